//! How often one thread asks others to help it.

#![forbid(unsafe_code)]

use crate::sync;
use std::cell::Cell;

/// Nanoseconds between two pieces of work that a thread gives to others, if they have to be
/// woken and if they are awake: so what that costs the giver is less than a tenth. While those who
/// are woken come too late the first becomes longer, up to the end: then it is less than a
/// hundredth.
const WAKE_EVERY: std::ops::RangeInclusive<u64> = 100_000..=1_600_000;
const FEED_EVERY: u64 = 10_000;

/// How often the clock is asked: about once in so many nanoseconds, but after so many
/// questions at the latest.
const ASK_EVERY: std::ops::RangeInclusive<u64> = 5_000..=20_000;
const MOST_UNASKED: u32 = 16;

/// How often one thread asks others to help it.
#[derive(Debug)]
pub(crate) struct Pulse {
    fed: Cell<u64>,
    /// When the clock was asked last, and of how many questions one asks it.
    asked: Cell<u64>,
    every: Cell<u32>,
    /// Questions until it is asked again.
    left: Cell<u32>,
    wake_every: Cell<u64>,
    /// Whether somebody was woken for what was given last, and nobody knows yet who ran that.
    woken: Cell<bool>,
}

impl Pulse {
    pub(crate) const fn new() -> Self {
        Self {
            fed: Cell::new(0),
            asked: Cell::new(0),
            every: Cell::new(1),
            left: Cell::new(1),
            wake_every: Cell::new(*WAKE_EVERY.start()),
            woken: Cell::new(false),
        }
    }

    /// New work: the next question asks the clock.
    pub(crate) fn begin(&self) {
        self.left.set(1);
    }

    /// Whether to give work to somebody now, who may be asleep. If so, the caller does.
    pub(crate) fn may_feed(&self, asleep: bool) -> bool {
        let left = self.left.get() - 1;
        if left > 0 {
            self.left.set(left);
            return false;
        }
        let now = sync::clock();
        let past = now - self.asked.replace(now);
        let every = self.every.get();
        let every = if past < *ASK_EVERY.start() {
            every * 2
        } else if past > *ASK_EVERY.end() {
            every / 2
        } else {
            every
        };
        let every = every.clamp(1, MOST_UNASKED);
        self.every.set(every);
        self.left.set(every);
        let pause = if asleep {
            self.wake_every.get()
        } else {
            FEED_EVERY
        };
        let may = self.fed.get() == 0 || now - self.fed.get() >= pause;
        if may {
            self.fed.set(now);
            self.woken.set(asleep);
        }
        may
    }

    /// What was given has been run, or else came back before anybody had begun it.
    pub(crate) fn judge(&self, helped: bool) {
        let woken = self.woken.replace(false);
        if helped {
            self.wake_every.set(*WAKE_EVERY.start());
        } else if woken {
            let longer = self.wake_every.get() * 2;
            self.wake_every.set(longer.min(*WAKE_EVERY.end()));
        }
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/pulse.rs"]
mod tests;
