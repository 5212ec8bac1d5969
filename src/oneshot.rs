//! One job's place: where it waits to be claimed, and where its outcome waits for its owner.
//!
//! **Promise.** The job is claimed at most once, by who runs it or cancels it. What the
//! claimant [completes](Claim::complete) it with goes to the owner, or, if the owner has
//! left, comes back to the claimant: it is lost to neither and seen by one. An owner that
//! waits, asleep or by a waker, is told. Nobody waits for the owner; the owner waits for the
//! claimant alone.
//!
//! **Who is who.** Any number of threads may try to claim. The *owner* is one thread at a
//! time: it waits, polls or leaves. Whoever shares the place keeps it alive, so nobody
//! touches it after it is freed.
//!
//! **Layout.** One 32-bit word that the owner sleeps on: a phase, and three flags. A cell
//! with the job or its outcome. A waker behind a lock, which nobody holds while it calls the
//! user's code.
//!
//! **Phases.** `QUEUED -> RUNNING` (claim) `-> DONE` (complete) `-> TAKEN` (the owner takes
//! the outcome, or leaves). Flags are set once and stay: `SLEEPER`, by an owner about to
//! sleep; `WAKER`, by an owner that has stored a waker; `GONE`, by an owner that leaves.
//! After `GONE` a job that runs is not moved to `DONE`. `REVOKED` comes with the claim of who
//! will not run the job.
//!
//! **Invariants.**
//!
//! 1. `QUEUED`: the cell holds the job, and is nobody's.
//! 2. `RUNNING`: the cell is the claimant's.
//! 3. `DONE`: the cell holds the outcome, and is nobody's.
//! 4. `TAKEN`: the cell is whose change of the word has made it so.
//!
//! Since all flags and phases are one word, changed by read-modify-writes, completing and
//! leaving have an order: who comes second disposes of the outcome. In the same way a
//! completion sees that somebody sleeps or has stored a waker, or the owner sees that it is
//! done (models `outcome_reaches_the_sleeper`, `completion_races_the_poll`,
//! `completion_races_a_change_of_waker`, `completion_races_the_drop_of_the_handle`); and one
//! thread has the job (model `claim_races_cancel`).
//!
//! | edge      | release side              | acquire side           | carries                          | loom model                    |
//! |-----------|---------------------------|------------------------|----------------------------------|-------------------------------|
//! | `outcome` | [`Claim::complete`], word | [`Oneshot::take`], word | the outcome, and the job's deeds | `outcome_reaches_the_sleeper`, `asking_brings_the_jobs_deeds` |

use crate::probe::probe;
use crate::sync::{self, Futex, Mutex, Ordering, UnsafeCell, WATCH};
use crate::unwind;
use std::fmt;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

const QUEUED: u32 = 0;
const RUNNING: u32 = 1;
const DONE: u32 = 2;
const TAKEN: u32 = 3;
const PHASE: u32 = 3;

const SLEEPER: u32 = 1 << 2;
const WAKER: u32 = 1 << 3;
const GONE: u32 = 1 << 4;
const REVOKED: u32 = 1 << 5;

/// What lies in the cell.
enum Content<J, T> {
    Job(J),
    Outcome(T),
    Nothing,
}

/// A place for a job `J` and its outcome `T`.
pub(crate) struct Oneshot<J, T> {
    word: Futex,
    content: UnsafeCell<Content<J, T>>,
    waker: Mutex<Option<Waker>>,
}

// SAFETY: the cell's content goes from thread to thread by value (hence `Send`), and is
// touched by one at a time: invariants 1 to 4.
unsafe impl<J: Send, T: Send> Sync for Oneshot<J, T> {}

/// The right, and the duty, to complete a job.
#[must_use = "somebody waits for the outcome"]
pub(crate) struct Claim<'a, J, T>(&'a Oneshot<J, T>);

impl<J, T> Oneshot<J, T> {
    #[inline]
    pub(crate) fn new(job: J) -> Self {
        Self {
            word: Futex::new(QUEUED),
            content: UnsafeCell::new(Content::Job(job)),
            waker: Mutex::new(None),
        }
    }

    /// Puts something into the cell, and returns what was there.
    ///
    /// # Safety
    ///
    /// * The cell is the caller's: invariant 2 or 4.
    #[inline]
    unsafe fn replace(&self, content: Content<J, T>) -> Content<J, T> {
        self.content.with_mut(|cell| {
            // SAFETY: nobody else touches it (the caller).
            std::mem::replace(unsafe { &mut *cell }, content)
        })
    }

    /// Takes the job, to run it.
    #[inline]
    pub(crate) fn claim(&self) -> Option<(Claim<'_, J, T>, J)> {
        self.claim_and(0)
    }

    /// Takes the job, to drop it.
    #[inline]
    pub(crate) fn revoke(&self) -> Option<(Claim<'_, J, T>, J)> {
        self.claim_and(REVOKED)
    }

    #[inline]
    fn claim_and(&self, flag: u32) -> Option<(Claim<'_, J, T>, J)> {
        // Relaxed, both: the job came with the place, to whoever shares it. Who is too late
        // touches nothing.
        let claimed = self
            .word
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                (word & PHASE == QUEUED).then_some((word | RUNNING) | flag)
            });
        claimed.ok()?;
        probe!("oneshot claim: claimed, job not out");
        // SAFETY: we have made it `RUNNING` (invariant 2).
        match unsafe { self.replace(Content::Nothing) } {
            Content::Job(job) => Some((Claim(self), job)),
            _ => unreachable!("it was queued (invariant 1)"),
        }
    }

    /// Whether the job was claimed by who would not run it.
    pub(crate) fn is_revoked(&self) -> bool {
        // Relaxed: nothing is done to the job on the strength of it.
        self.word.word.load(Ordering::Relaxed) & REVOKED != 0
    }

    /// Whether the outcome is there, or has been taken.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        // [outcome] Acquire: as for who takes it.
        self.word.word.load(Ordering::Acquire) & PHASE >= DONE
    }

    /// The owner takes the outcome.
    ///
    /// # Panics
    ///
    /// If it is not there, or was taken.
    #[inline]
    pub(crate) fn take(&self) -> T {
        // [outcome] Acquire: the outcome was written before.
        let word = self.word.word.load(Ordering::Acquire);
        assert_eq!(word & PHASE, DONE, "an outcome can be taken once");
        // Relaxed: from `DONE` on nobody but the owner changes the word.
        self.word.word.store(word | TAKEN, Ordering::Relaxed);
        self.outcome()
    }

    /// What lies in the cell that the caller has just made its own.
    #[inline]
    fn outcome(&self) -> T {
        // SAFETY: [`Oneshot::take`] and [`Claim::complete`] call it, one as the author of
        // `TAKEN` (invariant 4), the other as the claimant (invariant 2).
        match unsafe { self.replace(Content::Nothing) } {
            Content::Outcome(outcome) => outcome,
            _ => unreachable!("it is written before it is `DONE` (invariant 3)"),
        }
    }

    /// The owner waits for the outcome, at most until `deadline` (under loom: for ever). Returns
    /// whether it is there, or was taken.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        loop {
            // Relaxed: whoever completes it after this sees the flag.
            let word = self.word.word.fetch_or(SLEEPER, Ordering::Relaxed) | SLEEPER;
            if word & PHASE >= DONE {
                return true;
            }
            let limit = match deadline {
                None => Duration::MAX,
                Some(deadline) => deadline.saturating_duration_since(sync::now()),
            };
            if limit.is_zero() {
                return false;
            }
            probe!("oneshot wait: looked, not asleep");
            // Not for ever, since the claimant may be suspended before it wakes us.
            self.word.wait(word, limit.min(WATCH));
        }
    }

    /// The owner takes the outcome, or leaves a waker: the last one is woken.
    ///
    /// # Panics
    ///
    /// If the outcome was taken.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<T> {
        // Relaxed: `take` acquires.
        let mut word = self.word.word.load(Ordering::Relaxed);
        assert_ne!(word & PHASE, TAKEN, "polled again after it was ready");
        if word & PHASE < DONE {
            // Cloned and dropped outside of the lock: that is the user's code.
            let waker = waker.clone();
            let old = self.waker.lock().replace(waker);
            probe!("oneshot poll: waker stored, not announced");
            // Relaxed: who sees the flag takes the lock after us, since it had it neither
            // while we had it nor before: else we would have seen `DONE` here.
            word = self.word.word.fetch_or(WAKER, Ordering::Relaxed);
            drop(old);
        }
        // What is completed after this look wakes the waker.
        if word & PHASE < DONE {
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }

    /// The owner leaves. Returns the outcome, if it is there.
    #[inline]
    pub(crate) fn leave(&self) -> Option<T> {
        // Hint: spares a read-modify-write. (Relaxed: our own. With no waker in it there is nothing
        // to be left.)
        if self.word.word.load(Ordering::Relaxed) & (PHASE | WAKER) == TAKEN {
            return None;
        }
        // Relaxed: it brings nothing; `take` acquires.
        let before = self.word.word.fetch_or(GONE, Ordering::Relaxed);
        if before & WAKER != 0 {
            // Nobody wakes it any more. Dropping it is the user's code, and not the claimant's
            // to hear a panic of.
            let waker = self.waker.lock().take();
            unwind::drop_quietly(waker);
        }
        (before & PHASE == DONE).then(|| self.take())
    }
}

impl<J, T> Claim<'_, J, T> {
    /// Hands the outcome to the owner.
    ///
    /// # Errors
    ///
    /// Hands it back if the owner has left.
    #[inline]
    pub(crate) fn complete(self, outcome: T) -> Result<(), T> {
        let Self(place) = self;
        // SAFETY: we are the claimant (invariant 2).
        let nothing = unsafe { place.replace(Content::Outcome(outcome)) };
        debug_assert!(matches!(nothing, Content::Nothing), "we took the job out");
        probe!("oneshot complete: written, not published");
        // [outcome] Release: the owner sees what we have written. Relaxed on failure: an owner
        // that has left wrote nothing.
        let published =
            place
                .word
                .word
                .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                    (word & GONE == 0).then_some(word & !PHASE | DONE)
                });
        let Ok(before) = published else {
            // Still `RUNNING`, and so ours.
            return Err(place.outcome());
        };
        probe!("oneshot complete: published, owner not told");
        if before & SLEEPER != 0 {
            place.word.wake(1);
        }
        if before & WAKER != 0 {
            let waker = place.waker.lock().take();
            // The user's code; of its panic there is nobody to tell.
            unwind::swallow(|| {
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
        }
        Ok(())
    }
}

impl<J, T> fmt::Debug for Oneshot<J, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oneshot").finish_non_exhaustive()
    }
}
