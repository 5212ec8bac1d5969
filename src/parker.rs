//! One thread's sleep token.
//!
//! **Promise.** An [`Parker::unpark`] before or during a [`Parker::park`] ends it;
//! one token is kept, not more. What the unparking thread did before is seen by
//! the thread that takes the token. Unparking is wait-free but for the system
//! call, and makes that call only if the owner really sleeps.
//!
//! **States** of the word: `EMPTY`; `NOTIFIED`: a token waits; `PARKED`: the
//! owner sleeps or is about to. The owner moves `EMPTY -> PARKED` and takes
//! `NOTIFIED -> EMPTY`; anybody moves anything to `NOTIFIED`.
//!
//! | edge    | release side               | acquire side              | carries                      | loom model                |
//! |---------|----------------------------|---------------------------|------------------------------|---------------------------|
//! | `token` | [`Parker::unpark`], swap   | [`Parker::park`], its RMWs | all writes before the unpark | `unpark_then_park_sees`   |

#![forbid(unsafe_code)]

use crate::probe::probe;
use crate::sync::{Futex, Ordering};
use std::time::Duration;

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const PARKED: u32 = 2;

/// The token of one thread, which alone may call [`Parker::park`].
#[derive(Debug)]
pub(crate) struct Parker {
    state: Futex,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self {
            state: Futex::new(EMPTY),
        }
    }

    /// Sleeps until a token is there and takes it, or until `limit` has passed
    /// (under loom: without limit). Returns whether it took a token.
    pub(crate) fn park(&self, limit: Duration) -> bool {
        let word = &self.state.word;
        // Relaxed, both: the swap below takes the token, and the unparker learns nothing
        // from us.
        if word
            .compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            probe!("parker: about to sleep");
            self.state.wait(PARKED, limit);
            probe!("parker park: woken, token not taken");
        }
        // [token] Acquire: whatever woke us, the token or the clock, or nothing.
        word.swap(EMPTY, Ordering::Acquire) == NOTIFIED
    }

    /// Leaves a token, and wakes the owner if it sleeps.
    pub(crate) fn unpark(&self) {
        // [token] Release: the owner sees what we did before. A second unpark
        // swaps too, so that its writes are seen by the same park.
        if self.state.word.swap(NOTIFIED, Ordering::Release) == PARKED {
            probe!("parker unpark: token left, owner not woken");
            self.state.wake(1);
        }
    }

    /// Plays a clock that runs out, which loom's never does: wakes the owner, now or when
    /// it sleeps next, without a token.
    #[cfg(all(test, workcrew_loom))]
    pub(crate) fn disturb(&self) {
        self.state.ring();
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/parker.rs"]
mod tests;
