//! When workers leave the jobs to others, or to the submitters.

use super::*;
use crate::pace::LITTLE;

/// How many of so many searches begin with a nap, if each of them is followed by a claim of so
/// many jobs.
fn searches_with_a_nap(tempo: &mut Tempo, searches: usize, jobs: usize) -> usize {
    let naps = (0..searches).filter(|_| {
        let nap = tempo.should_gather();
        let _ = tempo.claimed(jobs, jobs);
        nap
    });
    naps.count()
}

#[test]
fn a_worker_naps_while_jobs_gather_meanwhile() {
    let mut tempo = Tempo::new(2);
    assert_eq!(
        searches_with_a_nap(&mut tempo, 1_000, LITTLE as usize),
        1_000
    );
}

#[test]
fn a_worker_whose_jobs_come_one_at_a_time_hardly_ever_naps() {
    let mut tempo = Tempo::new(2);
    // The searches without one between two naps: 0, 1, 3, 7, ..., 4,095.
    assert_eq!(searches_with_a_nap(&mut tempo, 8_191, 1), 13);
    let later = if cfg!(miri) { 1 } else { 10 };
    assert_eq!(searches_with_a_nap(&mut tempo, later * 8_192, 1), later);
}

#[test]
fn a_burst_after_a_sleep_does_not_pay_for_the_nap_before_it() {
    let mut tempo = Tempo::new(2);
    let naps = (0..1_023).filter(|_| {
        let nap = tempo.should_gather();
        tempo.sleeps();
        let _ = tempo.claimed(100, 100);
        nap
    });
    assert_eq!(naps.count(), 10);
}

#[test]
fn jobs_of_all_claims_since_the_nap_count() {
    let mut tempo = Tempo::new(2);
    for _ in 0..1_000 {
        assert!(tempo.should_gather());
        for _ in 0..LITTLE {
            let _ = tempo.claimed(1, 1);
        }
    }
}

/// A worker comes for its share of `len` jobs, while `rate` more are submitted between two looks. Returns how
/// often it looked, if it napped.
fn looks(tempo: &mut Tempo, len: usize, workers: usize, places: usize, rate: u64) -> u32 {
    let looks = Cell::new(0);
    tempo.fall_behind(len, workers, places, || {
        looks.set(looks.get() + 1);
        u64::from(looks.get()) * rate
    });
    looks.get()
}

/// As many as nobody can submit.
const TORRENT: u64 = 1 << 40;

#[test]
fn who_is_at_the_submitters_heels_falls_behind_while_jobs_come() {
    let mut tempo = Tempo::new(2);
    for len in 1..FEW.0 {
        assert_eq!(looks(&mut tempo, len, 1, 1_024, TORRENT), 5);
    }
    // One trial after the other is in vain, and ends at the first look.
    let trials: Vec<_> = (0..10_000)
        .filter(|_| match looks(&mut tempo, 3, 1, 1_024, 0) {
            0 => false,
            looks => {
                assert_eq!(looks, 2);
                true
            }
        })
        .collect();
    assert_eq!(trials.len(), 13);
}

/// A submitter that waits for some of its jobs, say: it has filled its window.
#[test]
fn a_nap_ends_as_soon_as_no_more_jobs_come() {
    for before in 1..=3 {
        let mut tempo = Tempo::new(2);
        let looks = Cell::new(0_u64);
        let submitted = || {
            looks.set(looks.get() + 1);
            looks.get().min(before) * TORRENT
        };
        tempo.fall_behind(3, 1, 1_024, submitted);
        assert_eq!(looks.get(), before + 1);
        tempo.fall_behind(3, 1, 1_024, || unreachable!("that was in vain"));
    }
}

#[test]
fn who_is_not_at_the_submitters_heels_takes_its_share_at_once() {
    let naps = |len, workers, places| looks(&mut Tempo::new(2), len, workers, places, TORRENT) > 0;
    assert!(!naps(0, 1, 1_024), "there is no job");
    for (few, workers, places) in [
        (16, 1, 1_024),
        (48, 3, 1_024),
        (64, 100, 1_024),
        (32, 3, 256),
    ] {
        assert!(naps(1, workers, places));
        assert!(naps(few - 1, workers, places));
        assert!(!naps(few, workers, places), "{few}");
    }
}

/// A nap is no work.
#[test]
fn who_falls_behind_is_brisk_as_before() {
    let mut tempo = Tempo::new(2);
    tempo.since = sync::clock();
    let before = tempo.since;
    assert_eq!(looks(&mut tempo, 3, 1, 1_024, TORRENT), 5);
    let nap = Nap::short(1_024);
    assert!(matches!(nap, Nap::Short(time) if tempo.since - before >= time));
}

/// `jobs` more jobs leave the queue in so many nanoseconds. Whether the crew counts as quick then.
fn is_quick_after(tempo: &mut Tempo, jobs: u64, time: u64, capacity: usize) -> bool {
    tempo.since += time;
    tempo.see(tempo.seen + jobs, capacity);
    tempo.is_quick()
}

#[test]
fn a_crew_is_quick_while_a_job_takes_little_of_all_cores() {
    for cores in [1, 2, 4] {
        let mut tempo = Tempo::new(cores);
        let most = QUICK / cores as u64 * 256;
        assert!(!tempo.is_quick(), "nothing was seen");
        assert!(is_quick_after(&mut tempo, 256, most - 1, 64));
        assert!(!is_quick_after(&mut tempo, 256, most, 64));
        assert!(is_quick_after(&mut tempo, 256, 0, 64));
    }
    // More cores than nanoseconds: no crew is so quick.
    assert!(!is_quick_after(&mut Tempo::new(10_000), 256, 1, 64));
}

/// What is claimed may lie in the deques for a while.
#[test]
fn fewer_jobs_than_four_queues_say_nothing() {
    let mut tempo = Tempo::new(2);
    assert!(!is_quick_after(&mut tempo, 255, 1, 64));
    assert!(is_quick_after(&mut tempo, 256, 1, 64));
    assert!(is_quick_after(&mut tempo, 255, u64::from(u32::MAX), 64));
    assert!(
        !is_quick_after(&mut tempo, 256, 1, 64),
        "all that time counts"
    );
}

#[test]
fn who_has_a_long_queue_is_brisk_or_not_but_never_quick() {
    let mut tempo = Tempo::new(2);
    assert!(!is_quick_after(&mut tempo, 1 << 20, 1, LONG_QUEUE));
    assert!(is_quick_after(&mut tempo, 1 << 20, 1, LONG_QUEUE - 1));
}

/// Whether a worker goes on napping if so many jobs leave the queue in each nap. Where it is the lookout,
/// the crew took `each` nanoseconds from job to job before.
fn goes_on_napping(lookout: Option<u64>, jobs: u64) -> bool {
    let mut tempo = Tempo::new(2);
    tempo.each = lookout.unwrap_or(300);
    let (asked, head) = (Cell::new(0), Cell::new(0));
    tempo.stay_away(
        lookout.is_some(),
        || asked.replace(asked.get() + 1) < 3,
        || head.replace(head.get() + jobs),
    );
    let in_vain = tempo.has_napped_in_vain();
    assert_eq!(asked.get(), if in_vain { 2 } else { 4 });
    !in_vain
}

/// Of the longest and the shortest nap.
const LONG: u64 = 1 << 40;
const SHORT_ONE: u64 = sync::NAP.as_nanos() as u64;

#[test]
fn who_stays_away_naps_while_the_brisk_get_on() {
    // A lookout, too, that stands aside since too many are brisk.
    for lookout in [None, Some(0)] {
        assert!(goes_on_napping(lookout, SHORT_ONE / BRISK));
        assert!(!goes_on_napping(lookout, SHORT_ONE / BRISK - 1));
    }
}

#[test]
fn the_lookout_naps_while_the_others_are_faster_than_all_were_together() {
    for each in [1, 20, 300] {
        assert!(goes_on_napping(Some(each), LONG / each));
        assert!(!goes_on_napping(Some(each), SHORT_ONE / each));
    }
}

#[test]
fn who_comes_back_sees_anew() {
    let mut tempo = Tempo::new(2);
    assert!(is_quick_after(&mut tempo, 256, 1, 64));
    let now = sync::clock();
    tempo.see_anew(1_000);
    assert!(!tempo.is_quick());
    assert!(tempo.seen_at >= now);
    tempo.since = tempo.seen_at;
    tempo.see(1_255, 64);
    assert!(!tempo.is_quick());
    tempo.see(1_256, 64);
    assert!(tempo.is_quick());
}
