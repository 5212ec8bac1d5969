//! When a wait begins with a long nap.

use super::*;

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
