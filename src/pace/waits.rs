//! How one thread waits for outcomes that each have a place of their own.

#![forbid(unsafe_code)]

use super::trials::{MOST_LEFT_OUT, Naps};
use super::{Nap, Patience, SHORT_NAP};
use std::cell::Cell;

/// How one thread waits for outcomes that each have a place of their own. It does not know how
/// many of them are about to come, so it tries a short nap, and goes on napping as long as that
/// brings a run of them. Chosen by W3 and W4 in `benches`.
pub(crate) struct Waits {
    /// Lent while the thread waits.
    patience: Cell<Patience>,
    /// Outcomes that were there at once since the last wait.
    ready: Cell<u64>,
    naps: Cell<Naps>,
}

impl Waits {
    pub(crate) const fn new() -> Self {
        Self {
            patience: Cell::new(Patience::new()),
            ready: Cell::new(0),
            naps: Cell::new(Naps::new(MOST_LEFT_OUT)),
        }
    }

    /// Looks; if that finds nothing looks again for a while, and in the end sleeps.
    #[inline]
    pub(crate) fn wait<T>(
        &self,
        look: impl Fn() -> Option<T>,
        sleep: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let found = look();
        if found.is_some() {
            self.ready.set(self.ready.get() + 1);
            return found;
        }
        self.wait_longer(look, sleep)
    }

    #[cold]
    fn wait_longer<T>(
        &self,
        look: impl Fn() -> Option<T>,
        sleep: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let nap = self.should_nap();
        let mut patience = self.patience.take();
        if nap {
            Nap::Short(SHORT_NAP.1).take();
        }
        let mut found = if nap { look() } else { None };
        // If naps are in vain one outcome comes at a time.
        while found.is_none() && patience.pause(!nap) {
            found = look();
        }
        if found.is_some() {
            // Hint: how long it looks next time.
            patience.found();
        } else {
            found = patience.sleep(sleep);
        }
        self.patience.set(patience);
        found
    }

    /// Whether this wait begins with a nap.
    fn should_nap(&self) -> bool {
        if cfg!(workcrew_loom) {
            return false;
        }
        let mut naps = self.naps.get();
        let nap = naps.begin(self.ready.take());
        self.naps.set(naps);
        nap
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/waits.rs"]
mod tests;
