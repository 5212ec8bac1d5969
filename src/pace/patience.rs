//! How long one thread goes on looking before it sleeps.

#![forbid(unsafe_code)]

use crate::sync;

/// How often a thread that found nothing gives its core away and looks again
/// before it goes to sleep. Chosen by W1b in `benches`: fewer makes threads park
/// in mid-stream, more (or spinning) starves the thread that has the work.
const YIELDS: usize = 4;

/// How often a thread that found nothing looks again at once before it yields, where
/// there is a core to spare and one event at a time. Chosen by W4 in `benches`.
const SPINS: usize = 32;

/// After so many long sleeps in a row, looking again is thought to be in vain.
const VAIN: u32 = 4;

/// A sleep shorter than this, in nanoseconds, might have been spared by looking a
/// little longer: going to sleep and being woken take a fifth of it.
const SHORT: u64 = 50_000;

/// Nanoseconds for which a thread goes on looking, at least and at most. Sleeping costs
/// the sleeper and its waker some 10,000, so looking longer would not pay.
const BUDGET: std::ops::RangeInclusive<u64> = 1_000..=20_000;

/// Waits that begin within so many nanoseconds of each other follow each other hotly. After
/// a longer pause whoever is waited for sleeps, and must be woken: then spinning would only
/// keep it from this core.
const HOT: u64 = 50_000;

/// How long one thread goes on looking before it sleeps.
#[derive(Debug)]
pub(crate) struct Patience {
    /// When the present wait began, or the last one.
    began: u64,
    /// Pauses in the present wait, and how many of them shall spin.
    pauses: usize,
    spins: usize,
    /// How long to go on yielding.
    budget: u64,
    /// Long sleeps in a row.
    vain: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self {
            began: 0,
            pauses: 0,
            spins: 0,
            budget: *BUDGET.start(),
            vain: 0,
        }
    }

    /// A new one, with what another has learnt.
    pub(super) fn with_budget(budget: u64) -> Self {
        Self {
            budget,
            ..Self::new()
        }
    }

    /// For how many nanoseconds it goes on looking.
    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    /// Pauses, and says whether to look again; else it is time to sleep.
    ///
    /// `hot` allows to spin: there is a core to spare, and one event at a time.
    #[cold]
    pub(crate) fn pause(&mut self, hot: bool) -> bool {
        if cfg!(workcrew_loom) {
            return false;
        }
        if self.pauses == 0 {
            let last = std::mem::replace(&mut self.began, sync::clock());
            let spin = hot && self.vain < VAIN && self.began - last < HOT;
            self.spins = if spin { SPINS } else { 0 };
        }
        let yields = self.pauses.checked_sub(self.spins);
        self.pauses += 1;
        let Some(yields) = yields else {
            sync::spin_loop();
            return true;
        };
        let again = if self.vain >= VAIN {
            // Once, for the thread that will take what this one has just made, if it
            // waits for the same core.
            yields == 0
        } else {
            yields < YIELDS || sync::clock() - self.began < self.budget
        };
        if again {
            sync::yield_now();
        }
        again
    }

    /// Pauses in the present wait.
    pub(crate) fn pauses(&self) -> usize {
        self.pauses
    }

    /// Sleeps, and learns from how long it took.
    pub(crate) fn sleep<T>(&mut self, sleep: impl FnOnce() -> T) -> T {
        let start = sync::clock();
        let woken = sleep();
        if sync::clock() - start < SHORT {
            self.vain = 0;
            self.budget = (self.budget * 2).min(*BUDGET.end());
        } else {
            self.vain = self.vain.saturating_add(1);
            self.budget = *BUDGET.start();
        };
        self.pauses = 0;
        woken
    }

    /// The wait is over, without sleep.
    #[inline]
    pub(crate) fn found(&mut self) {
        self.pauses = 0;
    }
}
