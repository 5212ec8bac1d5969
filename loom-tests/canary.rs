//! Are the guards awake? These tests fail if the library's facade stands on std,
//! where every model passes and proves nothing, or if `explore` lets a vacuous
//! model pass.

use super::explore::{Bound, Plan, explore};
use crate::sync::{Arc, AtomicU64, Ordering, UnsafeCell, fence};
use loom::thread;
use std::sync::atomic::AtomicUsize;

const PLAN: Plan<'_> = Plan {
    bound: Bound::Exhaustive,
    floor: 2,
    events: &[],
};

struct Shared(UnsafeCell<u64>);

// SAFETY: it is not. That loom sees the race is what the test is about.
unsafe impl Sync for Shared {}

#[test]
#[should_panic(expected = "Causality violation")]
fn race_in_a_cell_is_seen() {
    explore("race_in_a_cell_is_seen", PLAN, || {
        let cell = Arc::new(Shared(UnsafeCell::new(0)));
        let other = Arc::clone(&cell);
        // SAFETY: none; loom panics before the second of the two accesses.
        let writer = thread::spawn(move || other.0.with_mut(|value| unsafe { *value = 1 }));
        // SAFETY: as above.
        let _ = cell.0.with(|value| unsafe { *value });
        writer.join().unwrap();
    });
}

#[test]
fn relaxed_stores_can_be_late() {
    assert!(late_stores("relaxed_stores_can_be_late", || {}) > 0);
}

#[test]
fn two_fences_forbid_late_stores() {
    assert_eq!(
        late_stores("two_fences_forbid_late_stores", || fence(Ordering::SeqCst)),
        0
    );
}

/// Two threads, each of which stores to a word of its own, then reads the other's.
/// Returns in how many executions both read the old value.
fn late_stores(name: &str, between: fn()) -> usize {
    let late = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&late);
    explore(name, PLAN, move || {
        let words = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let store_then_read = move |words: Arc<[AtomicU64; 2]>, own: usize| {
            words[own].store(1, Ordering::Relaxed);
            between();
            words[1 - own].load(Ordering::Relaxed)
        };
        let other = Arc::clone(&words);
        let second = thread::spawn(move || store_then_read(other, 1));
        if store_then_read(words, 0) + second.join().unwrap() == 0 {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    late.load(Ordering::Relaxed)
}

/// loom leaves out what this is about, if it is let; see `sync::watched`.
#[test]
fn load_does_not_hide_another_load() {
    let late = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&late);
    explore("load_does_not_hide_another_load", PLAN, move || {
        let word = Arc::new(AtomicU64::new(0));
        let other = Arc::clone(&word);
        let second = thread::spawn(move || {
            let seen = other.load(Ordering::Relaxed);
            let _ = other.compare_exchange(seen, 1, Ordering::Relaxed, Ordering::Relaxed);
        });
        if word.load(Ordering::Relaxed) == 1 {
            count.fetch_add(1, Ordering::Relaxed);
        }
        second.join().unwrap();
    });
    assert!(late.load(Ordering::Relaxed) > 0);
}

#[test]
#[should_panic(expected = "vacuous: alone has 1 executions")]
fn model_without_a_race_is_refused() {
    explore("alone", PLAN, || {});
}

#[test]
#[should_panic(expected = "vacuous: blind never reached `nothing`")]
fn model_that_misses_its_event_is_refused() {
    explore(
        "blind",
        Plan {
            floor: 1,
            events: &["nothing"],
            ..PLAN
        },
        || {},
    );
}
