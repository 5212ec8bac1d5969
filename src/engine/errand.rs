//! Jobs that one certain worker has to run.
//!
//! **Promise.** A job that was [sent](Engine::send_each) to a worker is run by that worker, as
//! soon as it comes to look for a job elsewhere than in its own deque. Who looks and has none
//! learns it from one load.
//!
//! **Layout.** A slot for each worker, behind a lock, and beside it a flag.
//!
//! **Transitions.** Send (a job that runs): counts the errands as follow-ups of its worker, so
//! that no moment looks drained; fills each slot and then sets its flag; then wakes *all*, since
//! a wake for one may reach another. Take (the worker): clears the flag and empties the slot.
//!
//! **Invariants.**
//!
//! 1. There is one sending at a time ([`Engine::in_turn`]): it has ended with its last errand. So
//!    a slot that is filled was empty.
//! 2. A slot is filled before its flag is set, and emptied by who found it set. So the lock,
//!    which carries the errand, is never waited for.
//!
//! **No errand is missed.** The sender changes the idle word after it has set the flag. A worker
//! that was asleep is woken by that; one that announces its sleep later sees the flag at its last
//! look (both as [`Idle::wake_all`](crate::idle::Idle::wake_all) says). By then it is among the
//! sleepers, and whoever wakes one of these for a job may wake another; so it wakes all, itself
//! too. A worker that would nap, since others are brisk, asks before each nap. One that takes an
//! errand may have been woken for another's job: if it sees work as it leaves the search it wakes
//! another.
//!
//! | edge     | release side                      | acquire side                          | carries        | loom model            |
//! |----------|-----------------------------------|---------------------------------------|----------------|-----------------------|
//! | `errand` | [`Engine::send_each`], idle word | [`Engine::has_work_for`], barrier | that one waits | `errand_races_park`, `errand_meets_a_lost_searcher` |

#![forbid(unsafe_code)]

use super::{Engine, Entry};
use crate::probe::probe;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crossbeam_utils::CachePadded;

#[derive(Debug)]
struct Slot<J> {
    waits: AtomicBool,
    entry: Mutex<Option<Entry<J>>>,
}

/// All workers' errands.
#[derive(Debug)]
pub(super) struct Errands<J> {
    slots: Box<[CachePadded<Slot<J>>]>,
    turn: Mutex<()>,
}

impl<J> Errands<J> {
    pub(super) fn new(workers: usize) -> Self {
        let slot = || Slot {
            waits: AtomicBool::new(false),
            entry: Mutex::new(None),
        };
        Self {
            slots: (0..workers).map(|_| CachePadded::new(slot())).collect(),
            turn: Mutex::new(()),
        }
    }

    /// Whether one waits for this worker.
    #[inline]
    pub(super) fn wait_for(&self, worker: usize) -> bool {
        // Relaxed: [errand] the idle word or the barrier before the last look orders it; who
        // does not sleep comes again.
        self.slots[worker].waits.load(Ordering::Relaxed)
    }

    fn send(&self, worker: usize, entry: Entry<J>) {
        let slot = &self.slots[worker];
        let before = slot.entry.lock().replace(entry);
        debug_assert!(before.is_none(), "one at a time (invariant 1)");
        probe!("errand send: in its slot, not shown");
        // Relaxed: [errand] the change of the idle word orders it, and the lock its slot.
        slot.waits.store(true, Ordering::Relaxed);
    }

    /// The one for this worker. Called by that worker, or when all have left.
    #[cold]
    pub(super) fn take(&self, worker: usize) -> Option<Entry<J>> {
        let slot = &self.slots[worker];
        // Relaxed: the next one is sent when this one has ended (invariant 1).
        slot.waits.store(false, Ordering::Relaxed);
        probe!("errand take: not shown any more, not taken");
        slot.entry.lock().take()
    }

    /// All of them, when the crew has left.
    pub(super) fn drain(&self) -> impl Iterator<Item = Entry<J>> {
        (0..self.slots.len()).filter_map(|worker| self.take(worker))
    }
}

impl<J> Engine<J> {
    /// Sends errands, and returns when all have ended, and no others are sent meanwhile.
    pub(crate) fn in_turn<T>(&self, send_and_wait: impl FnOnce() -> T) -> T {
        let _turn = self.errands.turn.lock();
        send_and_wait()
    }

    /// Accepts jobs that belong to the one that worker `sender` runs, in whose thread the caller
    /// is, each for the worker that it comes with. They do not count against the capacity, and
    /// are accepted after closing too. For within [`Engine::in_turn`].
    pub(crate) fn send_each(&self, sender: usize, errands: impl IntoIterator<Item = (usize, J)>) {
        let ledger = self.ledgers.of(sender);
        for (worker, job) in errands {
            ledger.push();
            self.errands.send(worker, Entry::orphan(self.stamp(job)));
        }
        probe!("errand send: shown, crew not told");
        self.idle.wake_all();
    }

    /// As [`Engine::has_work`], for this worker, which has announced its sleep.
    pub(super) fn has_work_for(&self, worker: usize) -> bool {
        if self.errands.wait_for(worker) {
            probe!("errand: seen at the last look");
            self.idle.wake_all();
        }
        self.has_work()
    }
}
