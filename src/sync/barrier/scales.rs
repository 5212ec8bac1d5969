//! Whether two full fences would be cheaper than a light and a heavy half: hints, all of it.
//!
//! Heavy halves are counted, and one in a row of them is timed. If they take much of the time a *trial*
//! begins: both halves are fences. It goes on until one thread has passed a row of light halves during
//! which the heavy halves of all threads would have taken less time than its own fences. (Other threads pass
//! light halves too; but not all fences are waited for.) The more trials were in vain the more are left out.
//! Chosen by W1b-64 and W1b-1024 in `benches`.

#![forbid(unsafe_code)]

use crate::sync::{self, AtomicU64, Ordering};
use std::cell::Cell;

/// Heavy halves that are weighed at a time.
const HEAVY_ROW: u64 = 32;

/// Light halves of one thread that are weighed at a time.
const LIGHT_ROW: u64 = 2048;

/// Nanoseconds for a full fence in place of a light half: it waits for all stores before it.
const FENCE: u64 = 20;

/// Heavy halves are rare while they take less than one part in so many of the time.
const RARE: u64 = 16;

/// Nanoseconds for a heavy half at most: one that takes longer has lost its core.
const MOST: u64 = 20_000;

/// A trial has paid if what it spared would have taken so many nanoseconds.
const PAID: u64 = 4 * LIGHT_ROW * FENCE;

/// A trial ends, though it pays, when so many heavy halves were fences: the price may be an old one.
const LONG: u64 = 1 << 14;

/// Trials, each due after a row of heavy halves, that are left out in a row at most.
const MOST_LEFT_OUT: u64 = 63;

sync::own! {
    /// Light halves of this thread's row, and how many heavy ones there were when it began.
    static ROW: Cell<(u64, u64)> = Cell::new((0, 0));
}

#[derive(Debug)]
pub(super) struct Scales {
    /// Heavy halves so far.
    heavy: AtomicU64,
    /// When the last row of them ended, and nanoseconds for one of them; 0: unknown.
    since: AtomicU64,
    price: AtomicU64,
    /// Heavy halves before the last trial.
    before: AtomicU64,
    /// Trials to leave out now, and after the last one.
    left_out: AtomicU64,
    back_off: AtomicU64,
}

// Relaxed, all: hints. They may be of different moments, so nothing is subtracted that could be less.
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

    /// The heavy half that ends a row has interrupted all cores, from `start` to `now`. Returns whether a
    /// trial shall begin.
    pub(super) fn begins_trial(&self, start: u64, now: u64) -> bool {
        let since = self.since.swap(now, Ordering::Relaxed);
        let last = self.price.load(Ordering::Relaxed);
        let price = now.saturating_sub(start).min(MOST);
        // One that was held up makes no price.
        let price = if last > 0 { price.min(2 * last) } else { price };
        self.price.store(price, Ordering::Relaxed);
        let is_rare = |time| time > HEAVY_ROW * RARE * price;
        if since == 0 || now.checked_sub(since).is_none_or(is_rare) {
            return false;
        }
        let left_out = self.left_out.load(Ordering::Relaxed);
        if left_out > 0 {
            self.left_out.store(left_out - 1, Ordering::Relaxed);
            return false;
        }
        let heavy = self.heavy.load(Ordering::Relaxed);
        self.before.store(heavy, Ordering::Relaxed);
        true
    }

    /// A light half was a fence. Returns whether the trial shall end.
    pub(super) fn ends_trial(&self) -> bool {
        let (light, begin) = match ROW.get() {
            (0, _) => (0, self.heavy.load(Ordering::Relaxed)),
            row => row,
        };
        if light + 1 < LIGHT_ROW {
            ROW.set((light + 1, begin));
            return false;
        }
        ROW.set((0, 0));
        let heavy = self.heavy.load(Ordering::Relaxed);
        let price = self.price.load(Ordering::Relaxed);
        let spared = heavy.saturating_sub(self.before.load(Ordering::Relaxed));
        if heavy.saturating_sub(begin) * price >= LIGHT_ROW * FENCE && spared < LONG {
            return false;
        }
        let back_off = if spared * price >= PAID {
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
