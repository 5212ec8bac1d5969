//! When a wait begins with a nap.

use super::*;

/// How many of so many waits begin with a nap, if each of them is followed by `ready` outcomes
/// that are there at once.
fn naps(waits: &Waits, count: usize, ready: u64) -> usize {
    let naps = (0..count).filter(|_| {
        let nap = waits.should_nap();
        for _ in 0..ready {
            assert_eq!(waits.wait(|| Some(1), || unreachable!()), Some(1));
        }
        nap
    });
    naps.count()
}

#[test]
fn naps_that_bring_a_run_of_outcomes_go_on() {
    assert_eq!(naps(&Waits::new(), 1_000, LITTLE), 1_000);
}

#[test]
fn naps_that_bring_little_are_tried_ever_less_often() {
    let waits = Waits::new();
    // The waits without one between two naps: 0, 1, 3, 7, ..., 511.
    assert_eq!(naps(&waits, 1_023, LITTLE - 1), 10);
    assert_eq!(naps(&waits, 10 * 1_024, 0), 10);
}

#[test]
fn one_nap_that_pays_brings_the_next() {
    let waits = Waits::new();
    assert_eq!(naps(&waits, 1_023, 0), 10);
    // The trial is due at the latest after as many as are left out at most.
    let first = (0..=MOST_LEFT_OUT).find(|_| naps(&waits, 1, LITTLE) == 1);
    assert!(first.is_some());
    assert_eq!(naps(&waits, 100, LITTLE), 100);
}

/// How many of 1,000 waits begin with a long nap, where such a one brings 40 times as many events as
/// another wait.
fn long_naps(capacity: usize, ahead: usize, each: u64) -> usize {
    let pace = Pace::new();
    let mut events = 0;
    let naps = (0..1_000).filter(|_| {
        let nap = pace.should_nap(events, capacity, ahead);
        events += if nap { 40 * each } else { each };
        nap
    });
    naps.count()
}

/// Else it would keep a core busy that the crew could use.
#[test]
fn who_waits_for_much_naps_long_if_the_queue_holds_what_comes_meanwhile() {
    assert!(long_naps(100_000, 100_000, 50) > 950);
    // The queue would be full, or the work at its end.
    assert_eq!(long_naps(1_024, 1_024, 50), 0);
    assert_eq!(long_naps(1_024, 100_000, 50), 0);
    assert_eq!(long_naps(100_000, 1_024, 50), 0);
}

/// Naps long, at a queue of 1,024 places with so much ahead, and finds so many events. Whether the
/// next wait begins with a long nap again, and after how many waits a nap is tried when it was in vain.
fn after_a_nap(ahead: usize, events: u64) -> (bool, u32) {
    let pace = Pace::new();
    pace.napped.store(true, Ordering::Relaxed);
    pace.trial_after.store(64, Ordering::Relaxed);
    let again = pace.should_nap(events, 1_024, ahead);
    (again, pace.trial_after.load(Ordering::Relaxed))
}

#[test]
fn long_naps_go_on_while_the_queue_held_what_came() {
    assert_eq!(after_a_nap(1_024, 1), (true, 32));
    assert_eq!(after_a_nap(1_024, 511), (true, 32));
    assert_eq!(after_a_nap(1_024, 512), (false, 128));
    assert_eq!(after_a_nap(100_000, 512), (false, 128));
    // Less is ahead than came.
    assert_eq!(after_a_nap(100, 99), (true, 32));
    assert_eq!(after_a_nap(100, 100), (false, 128));
    // Nothing came.
    assert_eq!(after_a_nap(1_024, 0), (false, 128));
}

#[test]
fn trials_of_long_naps_are_neither_too_close_nor_too_far_apart() {
    let pace = Pace::new();
    let judge = |gain: u64| {
        pace.napped.store(true, Ordering::Relaxed);
        let events = pace.events.load(Ordering::Relaxed);
        pace.should_nap(events + gain, 1_024, 1_024);
        pace.trial_after.load(Ordering::Relaxed)
    };
    let [nearest, farthest] = [TRIAL_AFTER.start(), TRIAL_AFTER.end()];
    assert_eq!(judge(1), *nearest);
    assert_eq!(judge(0), 2 * nearest);
    for _ in 0..20 {
        judge(0);
    }
    assert_eq!(judge(0), *farthest);
    assert_eq!(judge(1), farthest / 2);
}

/// A trial comes when so many waits are over, if on average each brought less than `SHORT_IN_LONG` would
/// in a long nap.
#[test]
fn long_naps_are_tried_where_short_ones_bring_little_of_what_is_ahead() {
    let tries = |capacity: usize, ahead: usize, each: u64| {
        let pace = Pace::new();
        (1..=100).position(|wait| pace.should_nap(wait * each, capacity, ahead))
    };
    let first = *TRIAL_AFTER.start() as usize - 1;
    for (ahead, enough) in [(100_000, 50_000), (10_000, 10_000)] {
        let most = enough / SHORT_IN_LONG;
        assert_eq!(tries(100_000, ahead, most - 1), Some(first));
        assert_eq!(tries(100_000, ahead, most), None);
    }
    assert_eq!(tries(64, 64, LITTLE - 1), Some(first));
    assert_eq!(tries(64, 64, LITTLE), None);
}

#[test]
fn who_waits_for_little_naps_long() {
    assert!(long_naps(1_024, 1_024, 4) > 950);
    // Tried, and too long each time.
    assert!((1..20).contains(&long_naps(64, 64, 4)));
}

/// How many of so many waits begin with a long nap, each of them some `each` events after the last.
fn long_naps_of(pace: &Pace, waits: u64, each: u64, deadline: Option<Instant>) -> usize {
    let before = pace.events.load(Ordering::Relaxed);
    let naps =
        (1..=waits).filter(|n| pace.nap(before + n * each, 1_024, 1_024, deadline) == Nap::Long);
    naps.count()
}

/// Those who wait until a deadline take none.
#[test]
fn naps_that_cannot_be_long_say_nothing_of_long_ones() {
    let pace = Pace::new();
    assert_eq!(long_naps_of(&pace, 20_000, 0, Some(sync::now())), 0);
    assert_eq!(
        pace.nap(0, 1_024, 1_024, Some(sync::now())),
        Nap::short(1_024)
    );
    assert!(long_naps_of(&pace, 100, 1, None) > 90);
}

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

/// Those who are woken and come too late are woken more seldom, until one comes in time.
#[test]
fn wakes_in_vain_become_rare() {
    let pulse = Pulse::new();
    let judge = |asleep: bool, helped: bool| {
        pulse.woken.set(asleep);
        pulse.judge(helped);
        pulse.wake_every.get()
    };
    assert_eq!(judge(true, false), 2 * WAKE_EVERY.start());
    // Nobody was woken for it.
    assert_eq!(judge(false, false), 2 * WAKE_EVERY.start());
    for _ in 0..10 {
        judge(true, false);
    }
    assert_eq!(judge(true, false), *WAKE_EVERY.end());
    assert_eq!(judge(true, true), *WAKE_EVERY.start());
    // An older one comes back, for which nobody was woken.
    pulse.judge(false);
    assert_eq!(pulse.wake_every.get(), *WAKE_EVERY.start());
    // One wake is judged once: the others that came back by it were given to the same.
    judge(true, false);
    pulse.judge(false);
    assert_eq!(pulse.wake_every.get(), 2 * WAKE_EVERY.start());
}

#[test]
fn what_is_given_says_whether_somebody_was_woken() {
    for asleep in [false, true] {
        let pulse = Pulse::new();
        assert!(pulse.may_feed(asleep), "nothing was given before");
        assert_eq!(pulse.woken.get(), asleep);
    }
}
