//! Whether fewer workers would get on faster: hints, all of them.
//!
//! Jobs that take next to no time are done by as many workers as there are cores: one more only takes
//! cache lines from the others, and its turns of a core. So it *stands aside*. One of those who do
//! *watches*, which is a search with long naps, and the rest sleep behind it. (While somebody searches
//! nobody is woken; see [`Idle`](crate::idle::Idle).) If a nap shows that the others have not been faster
//! than all together were before, perhaps since jobs block now and then, the watcher comes back, and
//! wakes the rest as any searcher does that has found work; the next trial is twice as far away
//! ([`Tempo`](crate::pace::Tempo)).

#![forbid(unsafe_code)]

use crate::sync::{self, AtomicBool, AtomicUsize, Ordering};
use crossbeam_utils::CachePadded;

#[derive(Debug)]
pub(super) struct Crowd {
    /// How many work off a long queue of jobs that take next to no time.
    brisk: CachePadded<AtomicUsize>,
    shared: CachePadded<Shared>,
    /// The parallelism that the system offers.
    pub(super) cores: usize,
}

/// Seldom written.
#[derive(Debug)]
struct Shared {
    /// How many neither sleep nor stand aside.
    present: AtomicUsize,
    watched: AtomicBool,
}

// Relaxed, all: hints.
impl Crowd {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            brisk: CachePadded::new(AtomicUsize::new(0)),
            shared: CachePadded::new(Shared {
                present: AtomicUsize::new(workers),
                watched: AtomicBool::new(false),
            }),
            cores: sync::available_parallelism(),
        }
    }

    pub(super) fn brisk(&self) -> usize {
        self.brisk.load(Ordering::Relaxed)
    }

    /// One more is brisk, or one less.
    pub(super) fn set_brisk(&self, brisk: bool) {
        if brisk {
            self.brisk.fetch_add(1, Ordering::Relaxed);
        } else {
            self.brisk.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether the caller, who is present, stands aside from now on: not unless more are present than
    /// there are cores.
    pub(super) fn step_aside(&self) -> bool {
        let one_less = |present| (present > self.cores).then(|| present - 1);
        let present = &self.shared.present;
        one_less(present.load(Ordering::Relaxed)).is_some()
            && present
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
    }

    /// The caller, who is present, goes to sleep.
    pub(super) fn leave(&self) {
        self.shared.present.fetch_sub(1, Ordering::Relaxed);
    }

    /// The caller neither sleeps nor stands aside any more.
    pub(super) fn come_back(&self) {
        self.shared.present.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the caller, who stands aside, watches from now on: not if somebody else does.
    pub(super) fn watch(&self) -> bool {
        !self.is_watched() && !self.shared.watched.swap(true, Ordering::Relaxed)
    }

    pub(super) fn end_watch(&self) {
        self.shared.watched.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.shared.watched.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/crowd.rs"]
mod tests;
