//! Where threads wait for something to become possible: submitters for room,
//! takers for results, workers for room among the results. With the feature `async`, tasks
//! wait here too: see `gate::tasks`.
//!
//! **Promise.** If the condition becomes true and [`Gate::notify`] is called after
//! it, a thread that waits looks again. Nobody waits in vain, and one event wakes
//! one thread. When nobody waits, `notify` is a light barrier and one load.
//!
//! **Layout.** One 32-bit word that threads sleep on: `waiting` in the upper half,
//! `permits` in the lower. `permits <= waiting`.
//!
//! **Transitions.**
//!
//! * enter (waiter): `waiting + 1`, then a heavy barrier, then a look. If there is no place
//!   in the upper half it does not enter: nobody can wake it, so it looks again by itself,
//!   and naps between.
//! * notify: a light barrier, and if `waiting > permits`, `permits + 1` and wake one.
//! * proceed (waiter): takes a permit: both halves - 1; then looks, and enters again
//!   if another thread was faster.
//! * leave (waiter): found what it came for, or its time is up: `waiting - 1`.
//!   Permits beyond `waiting` vanish with it. If some are left it has eaten nobody's
//!   wake: whoever comes out of its sleep looks at the word first, and either takes a
//!   permit or sees that none is left; a later permit comes with a wake of its own.
//!
//! **No event is lost.** Let the notifier store the event E, pass its light barrier
//! and load the word; the waiter enter, pass its heavy barrier and look for E. By
//! the barrier's proof one of them sees the other's store. If the waiter sees E it
//! needs no permit. If the notifier sees the waiter, it leaves a permit, and
//! `[permit]` carries E to whoever takes it; or `permits == waiting` already: then
//! every waiter has a permit that it has not taken yet, and after taking it either
//! finds something or enters again, through the heavy barrier, and sees E.
//!
//! | edge     | release side              | acquire side                  | carries         | loom model                         |
//! |----------|---------------------------|-------------------------------|-----------------|------------------------------------|
//! | `permit` | [`Gate::notify`], word    | [`Gate::wait`], word          | the event       | `last_look_sees_the_permits_event` |
//! | `enter`  | [`Gate::wait`], barrier   | [`Gate::notify`], barrier     | that one waits  | `notify_races_the_last_look`       |

#![forbid(unsafe_code)]

#[cfg(feature = "async")]
mod tasks;

#[cfg(feature = "async")]
pub(crate) use tasks::Turn;

use crate::pace::{Nap, Patience};
use crate::probe::probe;
use crate::sync::{self, Futex, Ordering, WATCH, barrier};
use std::time::{Duration, Instant};

const PERMIT: u32 = 1;
const WAITER: u32 = 1 << 16;

/// A copy of the word.
#[derive(Clone, Copy)]
struct Snapshot(u32);

impl Snapshot {
    fn permits(self) -> u32 {
        self.0 % WAITER
    }

    fn waiting(self) -> u32 {
        self.0 / WAITER
    }
}

/// A queue of threads that wait for the same kind of event.
#[derive(Debug)]
pub(crate) struct Gate {
    word: Futex,
    #[cfg(feature = "async")]
    tasks: tasks::Tasks,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            word: Futex::new(0),
            #[cfg(feature = "async")]
            tasks: tasks::Tasks::new(),
        }
    }

    /// How many threads wait here now, as far as there are places.
    pub(crate) fn waiting(&self) -> usize {
        // Relaxed: for statistics.
        Snapshot(self.word.word.load(Ordering::Relaxed)).waiting() as usize
    }

    /// Tells as many waiters that `events` have happened. Lock-free.
    #[inline]
    pub(crate) fn notify(&self, events: usize) {
        // [enter] the events are stored before the look for waiters.
        barrier::light();
        // Relaxed: the barrier orders it; what is found is settled by RMW below.
        let word = self.word.word.load(Ordering::Relaxed);
        if word != 0 {
            self.admit(Snapshot(word), events);
        }
        #[cfg(feature = "async")]
        if self.tasks.are_present() {
            self.give(events);
        }
    }

    #[cold]
    fn admit(&self, mut seen: Snapshot, events: usize) {
        while seen.waiting() > seen.permits() {
            let lucky = (seen.waiting() - seen.permits()).min(events as u32);
            probe!("gate notify: waiter seen, no permit left yet");
            // [permit] Release: who takes the permit sees the event.
            match self.word.word.compare_exchange_weak(
                seen.0,
                seen.0 + lucky * PERMIT,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    probe!("gate notify: permit left, nobody woken yet");
                    // [permit] those who sleep come to take it.
                    self.word.wake(lucky);
                    return;
                }
                Err(now) => seen = Snapshot(now),
            }
        }
    }

    /// Tells all waiters to look again.
    pub(crate) fn notify_all(&self) {
        // [enter] heavy, since nobody calls this once a job.
        barrier::heavy();
        // [permit] Relaxed: who takes the permit and sees no event enters again, through
        // its own heavy barrier.
        let _ = self
            .word
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let seen = Snapshot(word);
                (seen.waiting() > seen.permits()).then(|| seen.waiting() * (WAITER + PERMIT))
            });
        probe!("gate notify_all: permits left, nobody woken yet");
        // [permit] as in `admit`.
        self.word.wake(u32::MAX);
        #[cfg(feature = "async")]
        if self.tasks.are_present() {
            self.give(usize::MAX);
        }
    }

    /// As [`Gate::wait`], after a nap, and if that was no long one after as many looks as
    /// `patience` allows.
    pub(crate) fn wait_politely<T>(
        &self,
        nap: Nap,
        patience: &mut Patience,
        hot: bool,
        deadline: Option<Instant>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        if nap != Nap::None {
            nap.take();
            // Hint: spares entering.
            if let Some(found) = look() {
                return Some(found);
            }
        }
        while nap != Nap::Long && patience.pause(hot) {
            // Hint: as above.
            if let Some(found) = look() {
                // Hint: only tunes how long to be patient.
                patience.found();
                return Some(found);
            }
        }
        patience.sleep(|| self.wait(deadline, look))
    }

    /// Waits until `look` returns something, at most until `deadline` (under loom:
    /// for ever). `None` means that the time is up and a last look found nothing.
    #[cold]
    pub(crate) fn wait<T>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        loop {
            if !self.take_place() {
                if let Some(found) = look() {
                    return Some(found);
                }
                time_left(deadline)?;
                Nap::Long.take();
                continue;
            }
            probe!("gate wait: entered, not looked");
            // [enter] our entry is visible before we look.
            barrier::heavy();
            if let Some(found) = look() {
                self.leave();
                return Some(found);
            }
            probe!("gate wait: looked, not asleep");
            let mut slept = false;
            loop {
                // Relaxed: `proceed` acquires.
                let seen = Snapshot(self.word.word.load(Ordering::Relaxed));
                if seen.permits() > 0 {
                    if self.proceed(seen) {
                        break;
                    }
                    continue;
                }
                // Slept and no permit: a look is not owed, but see `WATCH`.
                if slept {
                    if let Some(found) = look() {
                        probe!("gate wait: found by the clock");
                        self.leave();
                        return Some(found);
                    }
                }
                let Some(limit) = time_left(deadline) else {
                    self.leave();
                    return look();
                };
                self.word.wait(seen.0, limit.min(WATCH));
                probe!("gate wait: woken, permit not taken");
                slept = true;
            }
            probe!("gate wait: permit taken");
            // Hint: spares entering again.
            if let Some(found) = look() {
                return Some(found);
            }
        }
    }

    /// Becomes one of those that wait, if there is a place.
    fn take_place(&self) -> bool {
        // Relaxed: the barrier that follows orders it.
        self.word
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                word.checked_add(WAITER)
            })
            .is_ok()
    }

    /// Takes a permit, if the word is still as it was seen.
    fn proceed(&self, seen: Snapshot) -> bool {
        // [permit] Hint: Acquire brings the event, and spares a second round, through the
        // heavy barrier.
        self.word
            .word
            .compare_exchange_weak(
                seen.0,
                seen.0 - WAITER - PERMIT,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Goes away without a permit.
    fn leave(&self) {
        probe!("gate wait: found, not left");
        // [permit] Acquire: if a permit vanishes with us, the last look sees its
        // event.
        let _ = self
            .word
            .word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |word| {
                let waiting = Snapshot(word).waiting() - 1;
                Some(waiting * WAITER + Snapshot(word).permits().min(waiting))
            });
    }
}

#[cfg(all(test, workcrew_loom))]
impl Gate {
    /// Plays a clock that runs out, which loom's never does: wakes one that sleeps, or
    /// the next that would, without a permit.
    pub(crate) fn disturb(&self) {
        self.word.ring();
    }
}

/// `None` when the deadline has passed; the longest time when there is none.
fn time_left(deadline: Option<Instant>) -> Option<Duration> {
    match deadline {
        None => Some(Duration::MAX),
        Some(deadline) => deadline
            .checked_duration_since(sync::now())
            .filter(|left| !left.is_zero()),
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/gate.rs"]
mod tests;
