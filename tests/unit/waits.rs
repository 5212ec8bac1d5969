//! When a wait for an outcome begins with a nap.

use super::*;
use crate::pace::LITTLE;

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
