//! The table of recalls, used by one thread. (Races: `loom-tests/recall.rs`.)

use super::Recalls;
use crate::engine::Origin;

fn submitted(index: u64) -> Origin {
    Origin::submitted(index)
}

#[test]
fn a_recall_is_the_jobs_and_not_its_follow_ups() {
    let recalls = Recalls::new(64);
    recalls.add(5).unwrap();
    recalls.forget(submitted(5).follow_up());
    assert!(!recalls.has_recalled(submitted(5).follow_up()));
    assert!(!recalls.has_recalled(submitted(6)));
    assert!(recalls.has_recalled(submitted(5)));
    assert!(!recalls.has_recalled(submitted(5)), "the word is gone");
}

/// Of a job that ran, and of one that all others below some end were recalled with.
#[test]
fn a_word_that_nobody_needs_any_more_goes() {
    let recalls = Recalls::new(64);
    recalls.add(5).unwrap();
    recalls.forget(submitted(5));
    assert!(!recalls.has(5));
    recalls.add(6).unwrap();
    recalls.add_below(9);
    assert!(recalls.has_recalled(submitted(6)));
    assert!(!recalls.has(6));
    assert!(recalls.has_recalled(submitted(8).follow_up()));
    assert!(!recalls.has_recalled(submitted(9)));
}
