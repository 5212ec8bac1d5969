//! Whether fewer workers would get on faster: hints, all of them.
//!
//! Jobs that take next to no time are done by as many workers as there are cores: one more only takes
//! cache lines from the others, and its turns of a core. So it *stands aside*. One of those who do is the
//! *lookout*, which searches with long naps in between, and the rest sleep behind it. (While somebody
//! searches nobody is woken; see [`Idle`](crate::idle::Idle).) If a nap shows that the others have not been
//! faster than all together were before, perhaps since jobs block now and then, the lookout comes back,
//! and wakes the rest as any searcher does that has found work; the next trial is twice as far away.
//!
//! At a long queue it is the workers' own tempo that counts: more are *brisk* than there are cores. At a
//! short one it is the whole crew's: its jobs are *quick* ([`Tempo`](crate::pace::Tempo) has both).

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
    /// How many neither sleep nor stand aside. (Who is kept by a job counts.)
    at_work: AtomicUsize,
    /// Whether somebody is the lookout.
    lookout: AtomicBool,
}

// Relaxed, all: hints.
impl Crowd {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            brisk: CachePadded::new(AtomicUsize::new(0)),
            shared: CachePadded::new(Shared {
                at_work: AtomicUsize::new(workers),
                lookout: AtomicBool::new(false),
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

    /// Whether the caller, who is at work, stands aside from now on: not unless more are at work than
    /// there are cores.
    pub(super) fn step_aside(&self) -> bool {
        let one_less = |at_work| (at_work > self.cores).then(|| at_work - 1);
        let at_work = &self.shared.at_work;
        one_less(at_work.load(Ordering::Relaxed)).is_some()
            && at_work
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
    }

    /// The caller, who is at work, goes to sleep.
    pub(super) fn leave(&self) {
        self.shared.at_work.fetch_sub(1, Ordering::Relaxed);
    }

    /// The caller neither sleeps nor stands aside any more.
    pub(super) fn come_back(&self) {
        self.shared.at_work.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the caller, who stands aside, is the lookout from now on: not if somebody else is.
    pub(super) fn post_lookout(&self) -> bool {
        !self.has_lookout() && !self.shared.lookout.swap(true, Ordering::Relaxed)
    }

    /// The caller is the lookout no more.
    pub(super) fn recall_lookout(&self) {
        self.shared.lookout.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_lookout(&self) -> bool {
        self.shared.lookout.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/crowd.rs"]
mod tests;
