//! Which half of the barrier bears the cost: that may change while the program runs.
//!
//! Light halves cost nothing, since a heavy one interrupts all cores. Where that is dear, and a crew
//! sleeps often, two full fences are cheaper ([`Scales`](super::scales) weighs it).
//!
//! **Layout.** One word. It grows with each change; its two lowest bits are the *mode*. Three values
//! at the upper end stand for what does not go round: nobody has asked the kernel yet, it has refused
//! (`SYMMETRIC`), it has obeyed first and then refused (`REVOKED`).
//!
//! | mode       | light half   | heavy half           |
//! |------------|--------------|----------------------|
//! | asymmetric | none         | interrupts all cores |
//! | entering   | a full fence | interrupts all cores |
//! | fenced     | a full fence | a full fence         |
//! | leaving    | a full fence | interrupts all cores |
//! | (the three) | a full fence | a full fence        |
//!
//! **Transitions.** From each mode to the next, and from the last to the first, by compare-and-swap.
//!
//! * asymmetric to entering, fenced to leaving: anybody.
//! * entering to fenced, leaving to asymmetric: whoever has seen the mode, and interrupted all cores
//!   after that. So who began may be suspended.
//! * the kernel refuses: in "leaving" to `SYMMETRIC`, for no light half is missing there; in
//!   "asymmetric" and "entering" to `REVOKED`, for some may be.
//!
//! **Proof.** P stores x, passes its light half, loads y; S stores y (or has seen it), passes its heavy
//! half, loads x. If S interrupts all cores, or both pass a full fence, one of them sees the other's
//! store. What is left: S found "fenced" and P "asymmetric". Each half loads the mode after its
//! thread's store.
//!
//! 1. *P's asymmetric came before S's fenced.* In between somebody saw "entering" and then interrupted
//!    P's core, and P had loaded the mode by then, or it would have found "entering" or a later one.
//!    So x was stored by then; `[fenced]` brings that to S, which sees x.
//! 2. *P's asymmetric came after S's fenced.* In between somebody saw "leaving" and then interrupted
//!    S's core, and S had loaded the mode by then, or it would have found "leaving" or a later one. So
//!    y was stored (or seen) by then; `[bare]` brings that to P, which sees y.
//!
//! All changes are read-modify-writes, so whoever finds a later mode acquires what was released with
//! the earlier ones.
//!
//! | edge     | release side                      | acquire side               | carries                        | loom model                    |
//! |----------|-----------------------------------|----------------------------|--------------------------------|-------------------------------|
//! | `fenced` | [`Modes::advance`], to fenced     | [`Modes::try_heavy`], fence | stores before missing light halves | `bare_half_races_the_fences`  |
//! | `bare`   | [`Modes::advance`], to asymmetric | [`Modes::light_is_none`], word | stores before heavy halves that were fences | `fenced_half_races_their_end` |

#![forbid(unsafe_code)]

use super::imp::{interrupt_all, split_heavy, split_light};
use crate::sync::{AtomicU64, Ordering, fence};

/// So many modes there are.
const ROUND: u64 = 4;

/// A copy of the word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Snapshot(u64);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Asymmetric,
    Entering,
    Fenced,
    Leaving,
    /// None of these.
    Outside,
}

impl Snapshot {
    const UNKNOWN: Self = Self(u64::MAX);
    const SYMMETRIC: Self = Self(u64::MAX - ROUND);
    const REVOKED: Self = Self(u64::MAX - 2 * ROUND);

    /// The one question of a light half. (To the three values the answer is "no": their lowest bits are
    /// set.)
    #[inline]
    fn is_asymmetric(self) -> bool {
        self.0 % ROUND == 0
    }

    fn mode(self) -> Mode {
        match self.0 % ROUND {
            _ if self.0 >= Self::REVOKED.0 => Mode::Outside,
            0 => Mode::Asymmetric,
            1 => Mode::Entering,
            2 => Mode::Fenced,
            _ => Mode::Leaving,
        }
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a half was.
#[must_use]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Half {
    /// A light one that was none, or a heavy one that interrupted all cores.
    Asymmetric,
    /// A full fence.
    Fence,
}

/// The kernel refuses what it did before.
#[derive(Debug)]
pub(crate) struct Revoked;

#[derive(Debug)]
pub(crate) struct Modes {
    word: AtomicU64,
}

impl Modes {
    #[cfg(not(workcrew_loom))]
    pub(super) const fn new() -> Self {
        Self {
            word: AtomicU64::new(Snapshot::UNKNOWN.0),
        }
    }

    #[inline]
    fn load(&self) -> Snapshot {
        // Relaxed: [fenced] who needs what comes with it passes a fence.
        Snapshot(self.word.load(Ordering::Relaxed))
    }

    fn change(&self, old: Snapshot, new: Snapshot, success: Ordering) -> bool {
        self.word
            .compare_exchange(old.0, new.0, success, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether a light half is none, now. Else it is [`Modes::light_fence`].
    #[inline]
    pub(super) fn light_is_none(&self) -> bool {
        // Our thread's store comes before the load of the mode.
        split_light();
        // [bare] Acquire: a new asymmetric mode brings the stores that came before a fence.
        Snapshot(self.word.load(Ordering::Acquire)).is_asymmetric()
    }

    /// Returns whether it is a fence for now: till the asymmetric mode comes back.
    pub(super) fn light_fence(&self) -> bool {
        fence(Ordering::SeqCst);
        self.load().mode() != Mode::Outside
    }

    /// What the half was; or it pairs with nothing, since the kernel has refused it.
    pub(crate) fn try_heavy(&self) -> Result<Half, Revoked> {
        // Our thread's store comes before the load of the mode.
        split_heavy();
        let word = self.load();
        let half = match word.mode() {
            Mode::Fenced => Half::Fence,
            Mode::Asymmetric => self.interrupt(),
            Mode::Entering | Mode::Leaving => self.advance(word),
            // Before `decide` every light half is a full fence. And if it comes meanwhile, it decides.
            Mode::Outside if word == Snapshot::UNKNOWN => self.interrupt(),
            Mode::Outside => Half::Fence,
        };
        if half == Half::Fence {
            // [fenced] acquires what came with the mode.
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
        // Only a filter on system calls that was installed after `decide` gets us here.
        let refused = |word| match Snapshot(word).mode() {
            Mode::Asymmetric | Mode::Entering => Some(Snapshot::REVOKED.0),
            Mode::Leaving => Some(Snapshot::SYMMETRIC.0),
            // A fence will do.
            Mode::Fenced | Mode::Outside => None,
        };
        // Relaxed: nobody is published anything by it; [fenced] the caller's fence acquires.
        let _ = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, refused);
        Half::Fence
    }

    /// From a mode in between to the next.
    fn advance(&self, word: Snapshot) -> Half {
        let half = self.interrupt();
        if half == Half::Asymmetric {
            // [fenced] [bare] Release: the stores that the interrupt made visible. (If it fails
            // another was faster, or the kernel has refused.)
            self.change(word, word.next(), Ordering::Release);
        }
        half
    }

    /// Light halves become full fences, and then heavy ones too, if they are not yet.
    pub(crate) fn begin_fences(&self) {
        self.leave(Mode::Asymmetric);
    }

    /// Light halves are none any more, if they were fences for now. Finishes what others have begun.
    pub(crate) fn end_fences(&self) {
        self.leave(Mode::Fenced);
    }

    #[cold]
    fn leave(&self, old: Mode) {
        let word = self.load();
        let mode = word.mode();
        let between = match mode {
            Mode::Entering | Mode::Leaving => word,
            // Relaxed: who sees the mode in between does as in the old one, or more.
            _ if mode == old && self.change(word, word.next(), Ordering::Relaxed) => word.next(),
            _ => return,
        };
        let _ = self.advance(between);
    }

    /// Decides whether the kernel obeys.
    #[cfg(not(workcrew_loom))]
    pub(super) fn decide(&self, obeys: impl FnOnce() -> bool) {
        if self.load() != Snapshot::UNKNOWN {
            return;
        }
        let decision = if obeys() {
            Snapshot(0)
        } else {
            Snapshot::SYMMETRIC
        };
        // Relaxed: nobody is published anything by it. Once: a thread that saw "asymmetric" must never
        // meet a heavy half that saw "symmetric", so the first decision stands.
        self.change(Snapshot::UNKNOWN, decision, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_revoked(&self) -> bool {
        self.load() == Snapshot::REVOKED
    }
}

#[cfg(all(test, not(workcrew_loom)))]
impl Modes {
    /// Whether the kernel obeys, as far as is known.
    pub(super) fn obeys(&self) -> bool {
        self.load().mode() != Mode::Outside
    }
}

#[cfg(all(test, workcrew_loom))]
impl Modes {
    /// Where light halves are none.
    pub(crate) fn asymmetric() -> Self {
        Self {
            word: AtomicU64::new(0),
        }
    }

    pub(crate) fn light(&self) -> Half {
        if self.light_is_none() {
            return Half::Asymmetric;
        }
        let _ = self.light_fence();
        Half::Fence
    }

    /// Plays a thread that begins a change, and is then suspended for ever.
    pub(crate) fn begin_and_leave(&self) {
        self.word.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../../tests/unit/modes.rs"]
mod tests;
