//! How somebody waits who has found nothing: by looking again soon ([`Patience`]), or
//! by a nap ([`Pace`]), before he sleeps until he is woken.
//!
//! A waiter that is much faster than the crew has a choice between bad and worse:
//! yielding burns a core, and sleeping until it is woken makes the crew pay for a
//! wake (thousands of nanoseconds) for each job. It does better to *nap* for a fixed
//! time, and find a run of jobs done. That is right only if the queue does not run
//! dry (or full) meanwhile. So after some waits that brought little it tries a nap;
//! naps go on as long as they bring more than nothing much and less than half the
//! queue; after one that brought more the next trial is twice as far away.

#![forbid(unsafe_code)]

use crate::sync::{self, AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{SPINS, YIELDS};

/// After so many long sleeps in a row, looking again is thought to be in vain.
const VAIN: u32 = 4;

/// A sleep shorter than this, in nanoseconds, might have been spared by looking a
/// little longer: going to sleep and being woken take a fifth of it.
const SHORT: u64 = 50_000;

/// How long one thread goes on looking before it sleeps.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Pauses in the present wait.
    pauses: usize,
    /// Long sleeps in a row.
    vain: u32,
}

impl Patience {
    /// Pauses, and says whether to look again; else it is time to sleep.
    ///
    /// `hot` allows to spin: there is a core to spare, and one event at a time.
    #[cold]
    pub(crate) fn pause(&mut self, hot: bool) -> bool {
        let spins = if hot { SPINS } else { 0 };
        if self.vain >= VAIN || self.pauses >= spins + YIELDS {
            return false;
        }
        if self.pauses < spins {
            sync::spin_loop();
        } else {
            sync::yield_now();
        }
        self.pauses += 1;
        true
    }

    /// Sleeps, and learns from how long it took.
    pub(crate) fn sleep<T>(&mut self, sleep: impl FnOnce() -> T) -> T {
        let start = sync::clock();
        let woken = sleep();
        self.vain = if sync::clock() - start < SHORT {
            0
        } else {
            self.vain.saturating_add(1)
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

/// A wait that brought fewer events than this brought little: a wait costs a
/// microsecond or two, so the events are hundreds of nanoseconds apart.
const LITTLE: u64 = 8;

/// Trials come after this many waits that brought little, at first and at last.
const TRIAL_AFTER: std::ops::RangeInclusive<u32> = 8..=8192;

/// No queue shorter than this is worth a trial: at the speed for which naps are made,
/// a job a microsecond, it runs dry.
const SHORTEST: usize = 256;

/// What a waiter, or several that wait for the same, remember of earlier waits. All
/// of it is a hint, so they may race.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Events up to the last wait.
    events: AtomicU64,
    /// Waits in a row that brought little.
    poor: AtomicU32,
    trial_after: AtomicU32,
    napped: AtomicBool,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            events: AtomicU64::new(0),
            poor: AtomicU32::new(0),
            trial_after: AtomicU32::new(*TRIAL_AFTER.start()),
            napped: AtomicBool::new(false),
        }
    }

    /// Asked before each wait: `events` happened so far, at most `most` can have
    /// happened when it ends.
    #[cold]
    pub(crate) fn should_nap(&self, events: u64, most: usize) -> bool {
        // Relaxed, all: a wrong hint costs a nap, or a few yields.
        let gain = events.saturating_sub(self.events.swap(events, Ordering::Relaxed));
        if cfg!(workcrew_loom) || most < SHORTEST {
            return false;
        }
        let trial_after = self.trial_after.load(Ordering::Relaxed);
        if self.napped.load(Ordering::Relaxed) {
            let too_long = gain >= most as u64 / 2;
            let next = if too_long {
                trial_after * 2
            } else {
                trial_after / 2
            };
            let next = next.clamp(*TRIAL_AFTER.start(), *TRIAL_AFTER.end());
            self.trial_after.store(next, Ordering::Relaxed);
            self.napped.store(!too_long, Ordering::Relaxed);
            return !too_long;
        }
        let poor = if gain < LITTLE {
            self.poor.load(Ordering::Relaxed) + 1
        } else {
            0
        };
        let trial = poor >= trial_after;
        self.napped.store(trial, Ordering::Relaxed);
        self.poor
            .store(if trial { 0 } else { poor }, Ordering::Relaxed);
        trial
    }
}
