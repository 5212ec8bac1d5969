//! How somebody waits who has found nothing: by looking again soon ([`Patience`]), or
//! by a [`Nap`], before it sleeps until it is woken.
//!
//! A waiter that is much faster than the crew has a choice between bad and worse:
//! looking again at once takes the cache lines from those who have the work, and
//! sleeping until it is woken makes the crew pay for a wake (thousands of nanoseconds)
//! for each job. It does better to stay away for a *fixed* time, and find a run of jobs
//! done. That is right only if the queue does not run dry (or full) meanwhile.
//!
//! * A *short* nap gives the core away for a few nanoseconds for each place in the queue.
//! * A *long* nap is a timer's, which the system makes 100 microseconds and more. It saves
//!   the core as well, but is too long for jobs of a tenth of a microsecond, unless the queue is
//!   very long. So after some waits that on average brought little, or little of what the queue
//!   can hold, a waiter tries one ([`Pace`]); long naps go on as long as they bring something, less
//!   than half the queue, and less than what is ahead; after another one the next trial is twice
//!   as far away.
//!
//! Where several outcomes come one by one, each with a place of its own, a waiter has [`Waits`]. When a worker
//! stays away for the sake of others, [`Tempo`] says; how often who has work asks others to help, [`Pulse`].

#![forbid(unsafe_code)]

mod patience;
mod pulse;
mod tempo;
mod trials;
mod waits;

pub(crate) use self::patience::Patience;
pub(crate) use self::pulse::Pulse;
pub(crate) use self::tempo::Tempo;
#[cfg(all(test, not(miri)))]
pub(crate) use self::tempo::be_brisk;
#[cfg(all(test, not(workcrew_loom)))]
pub(crate) use self::tempo::be_quick;
pub(crate) use self::waits::Waits;

use self::trials::LITTLE;
use crate::sync::{self, AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// How long a waiter stays away before it looks again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Nap {
    None,
    /// So many nanoseconds, with the core left to others.
    Short(u64),
    /// [`sync::NAP`].
    Long,
}

/// A short nap for each place in a queue, and in all: a pool's own work for a job takes
/// some 20 nanoseconds, so a full queue does not run dry. Chosen by W1b in `benches`.
const SHORT_NAP: (u64, u64) = (10, 5_000);

impl Nap {
    /// A short one, for those who wait at a queue of so many places.
    pub(crate) fn short(places: usize) -> Self {
        let (each, most) = SHORT_NAP;
        Self::Short(most.min(each * places as u64))
    }

    pub(crate) fn take(self) {
        match self {
            Self::None => {}
            Self::Short(time) => sync::give_way(time),
            Self::Long => sync::nap(),
        }
    }
}

/// So many short naps, the longest ones, are one long nap, with what the system adds.
const SHORT_IN_LONG: u64 = sync::NAP.as_nanos() as u64 * 3 / 2 / SHORT_NAP.1;

/// Trials come after this many waits, at first and at last.
const TRIAL_AFTER: std::ops::RangeInclusive<u32> = 8..=8192;

/// What a waiter, or several that wait for the same, remember of earlier waits. All
/// of it is a hint, so they may race.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Events when the waits were last judged, and how many waits there were since.
    events: AtomicU64,
    waits: AtomicU32,
    trial_after: AtomicU32,
    napped: AtomicBool,
    /// The budget of the last waiter's [`Patience`].
    budget: AtomicU64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            events: AtomicU64::new(0),
            waits: AtomicU32::new(0),
            trial_after: AtomicU32::new(*TRIAL_AFTER.start()),
            napped: AtomicBool::new(false),
            budget: AtomicU64::new(Patience::new().budget()),
        }
    }

    /// The patience of a waiter that keeps none of its own, lent for one wait.
    pub(crate) fn with_patience<T>(&self, wait: impl FnOnce(&mut Patience) -> T) -> T {
        let budget = self.budget.load(Ordering::Relaxed);
        let mut patience = Patience::with_budget(budget);
        let waited = wait(&mut patience);
        if patience.budget() != budget {
            // Hint: how long the next one looks.
            self.budget.store(patience.budget(), Ordering::Relaxed);
        }
        waited
    }

    /// The nap before a wait: `events` happened so far, at most `most` can have happened when it ends, and
    /// some `ahead` are to come, so far as is known. Who waits until a `deadline` takes no long one.
    #[cold]
    pub(crate) fn nap(
        &self,
        events: u64,
        most: usize,
        ahead: usize,
        deadline: Option<Instant>,
    ) -> Nap {
        // Asked only when it counts, for the answer will be judged.
        if deadline.is_none() && self.should_nap(events, most, ahead) {
            Nap::Long
        } else {
            Nap::short(most)
        }
    }

    /// Whether the nap is a long one.
    fn should_nap(&self, events: u64, most: usize, ahead: usize) -> bool {
        if cfg!(workcrew_loom) {
            return false;
        }
        // Relaxed, all: a wrong hint costs a nap, or a few yields.
        let napped = self.napped.load(Ordering::Relaxed);
        let waits = self.waits.load(Ordering::Relaxed) + 1;
        let trial_after = self.trial_after.load(Ordering::Relaxed);
        if !napped && waits < trial_after {
            // Hint: when a nap is tried.
            self.waits.store(waits, Ordering::Relaxed);
            return false;
        }
        // Hint: as above.
        self.waits.store(0, Ordering::Relaxed);
        let gain = events.saturating_sub(self.events.swap(events, Ordering::Relaxed));
        let enough = ahead.min(most / 2) as u64;
        let nap = if napped {
            let well_placed = gain > 0 && gain < enough;
            let next = if well_placed {
                trial_after / 2
            } else {
                trial_after * 2
            };
            let next = next.clamp(*TRIAL_AFTER.start(), *TRIAL_AFTER.end());
            // Hint: as above.
            self.trial_after.store(next, Ordering::Relaxed);
            well_placed
        } else {
            gain < LITTLE.max(enough / SHORT_IN_LONG) * u64::from(waits)
        };
        // Hint: as above.
        self.napped.store(nap, Ordering::Relaxed);
        nap
    }
}

/// So long a submitter pauses whose claim of a place has lost to another's, for the first time.
/// Chosen by W2-4 in `benches`.
const PAUSES: usize = if cfg!(workcrew_loom) { 1 } else { 16 };

/// A submitter's claim of a place has lost to another's, `again` or for the first time. Returns that
/// it has.
///
/// The next one comes not at once: of two cores that claim at the same time each waits for the
/// other's cache lines, those of the cells too. Who loses again leaves the tail to the other.
#[cold]
pub(crate) fn stand_back(again: bool) -> bool {
    if again {
        sync::yield_now();
    } else {
        (0..PAUSES).for_each(|_| sync::spin_loop());
    }
    true
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/pace.rs"]
mod tests;
