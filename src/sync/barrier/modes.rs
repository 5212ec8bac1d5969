//! Which half of the barrier bears the cost: that may change while the program runs.
//!
//! Light halves cost nothing, since a heavy one interrupts all cores. Where that is dear, and a crew
//! sleeps often, two full fences are cheaper ([`Scales`](super::scales::Scales) weighs it).
//!
//! **Layout.** One word. It grows with each change; its two lowest bits are the *mode*. Three of the
//! highest values are for ever: [`UNKNOWN`] until somebody asks the kernel, [`SYMMETRIC`],
//! [`REVOKED`].
//!
//! | mode       | light half   | heavy half           |
//! |------------|--------------|----------------------|
//! | asymmetric | nothing      | interrupts all cores |
//! | entering   | a full fence | interrupts all cores |
//! | fenced     | a full fence | a full fence         |
//! | leaving    | a full fence | interrupts all cores |
//!
//! **Transitions.** From each mode to the next, and from the last to the first, by compare-and-swap.
//!
//! * asymmetric to entering, fenced to leaving: anybody.
//! * entering to fenced, leaving to asymmetric: whoever has seen the mode, and interrupted all cores
//!   after that. So who began may be suspended.
//!
//! **Proof.** P stores x, passes its light half, loads y; S stores y, passes its heavy half, loads x.
//! If S interrupts all cores, or both pass a full fence, one of them sees the other's store. What is
//! left: S found "fenced" and P "asymmetric". Each half loads the mode after its thread's store.
//!
//! 1. *P's asymmetric came before S's fenced.* In between somebody saw "entering" and then interrupted
//!    P's core, and P had loaded the mode by then, or it would have found "entering". So x was stored
//!    by then; `[fenced]` brings that to S, which sees x.
//! 2. *P's asymmetric came after S's fenced.* In between somebody saw "leaving" and then interrupted
//!    S's core, and S had loaded the mode by then, or it would have found "leaving". So y was stored by
//!    then; `[bare]` brings that to P, which sees y.
//!
//! | edge     | release side                      | acquire side               | carries                   | loom model                    |
//! |----------|-----------------------------------|----------------------------|---------------------------|-------------------------------|
//! | `fenced` | [`Modes::advance`], to fenced     | [`Modes::try_heavy`], fence | what bare halves follow   | `bare_half_races_the_fences`  |
//! | `bare`   | [`Modes::advance`], to asymmetric | [`Modes::light`], word     | what fenced halves follow | `fenced_half_races_their_end` |

#![forbid(unsafe_code)]

use super::imp::{interrupt_all, split_heavy, split_light};
use crate::sync::{AtomicU64, Ordering, fence};

const ASYMMETRIC: u64 = 0;
const FENCED: u64 = 2;

/// So many modes there are.
const MODES: u64 = 4;

/// Nobody has asked the kernel. Light halves are full fences, which pairs with anything.
const UNKNOWN: u64 = u64::MAX;

/// The kernel refused: both halves are full fences for ever.
const SYMMETRIC: u64 = u64::MAX - MODES;

/// The kernel has obeyed, and then refused: both halves are full fences from now on, but
/// some light halves may have been none.
const REVOKED: u64 = u64::MAX - 2 * MODES;

/// What a half was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Half {
    /// A light one that cost nothing, or a heavy one that interrupted all cores.
    Asymmetric,
    /// A full fence, which the asymmetric mode would have spared a light half.
    Fenced,
    /// A full fence, whatever the mode.
    Fence,
}

#[derive(Debug)]
pub(crate) struct Modes {
    word: AtomicU64,
}

fn mode(word: u64) -> u64 {
    word % MODES
}

#[cold]
fn light_fence(word: u64) -> Half {
    fence(Ordering::SeqCst);
    if mode(word) == FENCED {
        Half::Fenced
    } else {
        Half::Fence
    }
}

impl Modes {
    #[cfg(not(workcrew_loom))]
    pub(super) const fn new() -> Self {
        Self {
            word: AtomicU64::new(UNKNOWN),
        }
    }

    #[inline]
    pub(crate) fn light(&self) -> Half {
        // Our thread's store comes before the load of the mode.
        split_light();
        // [bare] Acquire: a new asymmetric mode brings the stores that came before a fence.
        let word = self.word.load(Ordering::Acquire);
        if mode(word) == ASYMMETRIC {
            Half::Asymmetric
        } else {
            light_fence(word)
        }
    }

    /// What the half was, or that it pairs with nothing, since the kernel has refused it.
    pub(crate) fn try_heavy(&self) -> Result<Half, Revoked> {
        // As there.
        split_heavy();
        // [fenced] Relaxed: the fence acquires the stores that came before a light half that was none.
        let word = self.word.load(Ordering::Relaxed);
        let half = match word {
            SYMMETRIC | REVOKED => Half::Fence,
            // Before `prepare` every light half is a full fence, so one here will do.
            UNKNOWN => self.interrupt(),
            _ => match mode(word) {
                FENCED => Half::Fenced,
                ASYMMETRIC => self.interrupt(),
                _ => self.advance(word),
            },
        };
        if half != Half::Asymmetric {
            fence(Ordering::SeqCst);
        }
        if self.is_revoked() {
            Err(Revoked)
        } else {
            Ok(half)
        }
    }

    fn interrupt(&self) -> Half {
        if interrupt_all() {
            return Half::Asymmetric;
        }
        // Only a filter on system calls that was installed after `prepare` gets us here. Relaxed:
        // nobody is published anything by it.
        let revoked = |word| (word < REVOKED).then_some(REVOKED);
        let _ = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, revoked);
        Half::Fence
    }

    /// From a mode in between to the next.
    fn advance(&self, word: u64) -> Half {
        let half = self.interrupt();
        if half == Half::Asymmetric {
            // [fenced] [bare] Release: the stores that the interrupt made visible. Relaxed failure:
            // another was faster, or it is revoked.
            let _ =
                self.word
                    .compare_exchange(word, word + 1, Ordering::Release, Ordering::Relaxed);
        }
        half
    }

    /// Light halves become full fences, and then heavy ones too, if they are not yet.
    pub(crate) fn begin_fences(&self) {
        self.leave(ASYMMETRIC);
    }

    /// Light halves cost nothing any more, if they did.
    pub(crate) fn end_fences(&self) {
        self.leave(FENCED);
    }

    #[cold]
    fn leave(&self, old: u64) {
        // Relaxed: the compare-and-swap fails if it is an old one.
        let word = self.word.load(Ordering::Relaxed);
        // Relaxed: nothing comes with it; who sees the mode in between does as in the old one, or more.
        let left = word < REVOKED
            && mode(word) == old
            && self
                .word
                .compare_exchange(word, word + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if left {
            self.advance(word + 1);
        }
    }

    /// Decides whether the kernel obeys.
    #[cfg(not(workcrew_loom))]
    pub(super) fn decide(&self, obeys: impl FnOnce() -> bool) {
        // Relaxed, both: nobody is published anything by it. It is decided once: a thread that saw
        // "asymmetric" must never meet a heavy half that saw "symmetric", so the first decision stands.
        if self.word.load(Ordering::Relaxed) == UNKNOWN {
            let word = if obeys() { ASYMMETRIC } else { SYMMETRIC };
            let _ = self
                .word
                .compare_exchange(UNKNOWN, word, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn is_revoked(&self) -> bool {
        // Relaxed: for ever.
        self.word.load(Ordering::Relaxed) == REVOKED
    }
}

/// The kernel refuses what it did before.
#[derive(Debug)]
pub(crate) struct Revoked;

#[cfg(all(test, not(workcrew_loom)))]
impl Modes {
    /// Whether the kernel obeys, as far as is known.
    pub(super) fn obeys(&self) -> bool {
        self.word.load(Ordering::Relaxed) < REVOKED
    }
}

#[cfg(all(test, workcrew_loom))]
impl Modes {
    /// Where light halves cost nothing.
    pub(crate) fn asymmetric() -> Self {
        Self {
            word: AtomicU64::new(ASYMMETRIC),
        }
    }

    /// Plays a thread that begins a change, and is then suspended for ever.
    pub(crate) fn begin_and_leave(&self) {
        self.word.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../../tests/unit/modes.rs"]
mod tests;
