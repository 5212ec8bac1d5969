//! Whether two full fences would be cheaper than a light and a heavy half: hints, all of it.
//!
//! A heavy half takes as long as it takes to interrupt the other cores: half a microsecond, or ten in
//! a virtual machine. Is a sixteenth of the time spent so, fences are tried. They go on until a thread passes
//! a row of light halves which by then have cost it more than the heavy halves of the time, all threads'
//! together, would have. The more trials were in vain the more are left out.

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};
use std::cell::Cell;

/// Heavy halves that are weighed at a time.
const HEAVY_ROW: u64 = 16;

/// Light halves of one thread that are weighed at a time.
const LIGHT_ROW: u64 = 2048;

/// Nanoseconds for a full fence in place of a light half: it waits for all stores before it.
const FENCE: u64 = 20;

/// Heavy halves are rare while they take less than one part in so many of the time.
const RARE: u64 = 16;

/// Nanoseconds for a heavy half at most: one that takes longer has lost its core.
const MOST: u64 = 20_000;

/// Fences have paid if they took the place of so many heavy halves.
const PAID: u64 = 64;

/// Trials, each due after a row of heavy halves, that are left out in a row at most.
const MOST_LEFT_OUT: u64 = 63;

std::thread_local! {
    /// Light halves of this thread's row, and how many heavy ones there were when it began.
    static ROW: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

// Relaxed, all.
#[derive(Debug)]
pub(super) struct Scales {
    /// Heavy halves so far.
    heavy: AtomicU64,
    /// When the last row of them was weighed, and nanoseconds for one of them.
    since: AtomicU64,
    price: AtomicU64,
    /// Heavy halves before the trial.
    before: AtomicU64,
    /// Trials to leave out now, and after the last one.
    left_out: AtomicU64,
    back_off: AtomicU64,
}

impl Scales {
    pub(super) const fn new() -> Self {
        Self {
            heavy: AtomicU64::new(0),
            since: AtomicU64::new(0),
            price: AtomicU64::new(0),
            before: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            back_off: AtomicU64::new(0),
        }
    }

    /// A heavy half begins. Returns whether it ends a row.
    pub(super) fn heavy_begins(&self) -> bool {
        self.heavy.fetch_add(1, Ordering::Relaxed) % HEAVY_ROW == HEAVY_ROW - 1
    }

    /// The heavy half that ends a row has interrupted all cores, between these times. Returns whether
    /// fences shall be tried.
    pub(super) fn tries_fences(&self, start: u64, now: u64) -> bool {
        let price = (now - start).min(MOST);
        self.price.store(price, Ordering::Relaxed);
        let time = now.saturating_sub(self.since.swap(now, Ordering::Relaxed));
        if HEAVY_ROW * price * RARE < time {
            return false;
        }
        let left_out = self.left_out.load(Ordering::Relaxed);
        if left_out > 0 {
            self.left_out.store(left_out - 1, Ordering::Relaxed);
            return false;
        }
        self.before
            .store(self.heavy.load(Ordering::Relaxed), Ordering::Relaxed);
        true
    }

    /// A light half was a fence that could be spared. Returns whether such fences shall end.
    pub(super) fn ends_fences(&self) -> bool {
        let (light, before) = ROW.get();
        if light + 1 < LIGHT_ROW {
            ROW.set((light + 1, before));
            return false;
        }
        let heavy = self.heavy.load(Ordering::Relaxed);
        ROW.set((0, heavy));
        if (heavy - before) * self.price.load(Ordering::Relaxed) >= LIGHT_ROW * FENCE {
            return false;
        }
        let spared = heavy - self.before.load(Ordering::Relaxed);
        let back_off = if spared >= PAID {
            0
        } else {
            (2 * self.back_off.load(Ordering::Relaxed) + 1).min(MOST_LEFT_OUT)
        };
        self.back_off.store(back_off, Ordering::Relaxed);
        self.left_out.store(back_off, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/scales.rs"]
mod tests;
