//! Tasks that wait at a gate: futures, which leave a waker and go away.
//!
//! **Promise.** As for threads: if the condition becomes true and [`Gate::notify`] is called
//! after it, a task that waits is woken, and looks again. One event wakes one task, beside
//! the thread that it wakes; those that have waited longest come first, and who looked in
//! vain keeps its turn. Notifying waits for nobody; polling waits for whoever is at the
//! line, for some nanoseconds. When no task waits, `notify` is one load more.
//!
//! **Layout.** The line: wakers by their [turns](Turn), behind a lock. Beside it, whether
//! there are any, and how many tasks are *owed* a call.
//!
//! **Transitions.**
//!
//! * step out (a task that is polled): out of the line, if it still is in it; then a look.
//! * enter (the task): into the line, then a heavy barrier, then another look.
//! * give (notifier): a light barrier, and if tasks wait, each event is a call owed.
//! * settle: who gets hold of the line takes as many wakers out of it as calls are owed, lets
//!   go, and wakes them. Who finds it held leaves that to its holder.
//! * leave (a task that is dropped, or has found something at its second look): out of the
//!   line. If it is not in it any more, it was called and has not looked since: so it gives
//!   the call to the next.
//!
//! **No event is lost.** By the proof on the page of the [gate](super), the notifier sees that
//! a task waits, or the task sees the event at its second look. So let the notifier owe a
//! call, pass a full fence, and find the line held; its holder lets go, passes a full fence,
//! and asks what is owed. Either the line is free by then, or the holder sees the call. So it
//! is settled by somebody, and goes to a task that has entered and will look, or leaves and
//! gives it on. If the line is empty by then, all who were in it have looked since, or will;
//! and who enters it later sees the event.
//!
//! | edge    | release side             | acquire side              | carries              | loom model                       |
//! |---------|--------------------------|---------------------------|----------------------|----------------------------------|
//! | `tasks` | [`Gate::poll`], barrier  | [`Gate::notify`], barrier | that a task waits    | `task_races_the_event`           |
//! | `owed`  | [`Gate::give`], fence    | [`Gate::settle`], fence   | that a call is owed  | `call_finds_the_line_held`, `dropped_task_gives_its_call_on` |

#![forbid(unsafe_code)]

use super::Gate;
use crate::probe::probe;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, barrier};
use crate::unwind;
use std::collections::BTreeMap;
use std::mem;
use std::task::{Poll, Waker};

/// A task's turn among those that wait at one gate. Who drops it calls
/// [`Gate::leave_line`] before.
#[derive(Debug, Default)]
pub(crate) struct Turn(Option<u64>);

/// The tasks that wait at one gate.
#[derive(Debug)]
pub(super) struct Tasks {
    line: Mutex<Line>,
    /// Whether any are in it.
    present: AtomicBool,
    /// How many of them are to be woken.
    owed: AtomicU64,
}

#[derive(Debug, Default)]
struct Line {
    wakers: BTreeMap<u64, Waker>,
    next_turn: u64,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self {
            line: Mutex::new(Line::default()),
            present: AtomicBool::new(false),
            owed: AtomicU64::new(0),
        }
    }

    /// Asked after a barrier.
    #[inline]
    pub(super) fn are_present(&self) -> bool {
        // Relaxed: [tasks] is the barriers.
        self.present.load(Ordering::Relaxed)
    }

    /// Changes the line, and says whether it is empty.
    fn change<T>(&self, line: &mut Line, change: impl FnOnce(&mut Line) -> T) -> T {
        let changed = change(line);
        // Relaxed: [tasks] is the barriers; and one at a time, by the lock.
        self.present
            .store(!line.wakers.is_empty(), Ordering::Relaxed);
        changed
    }
}

impl Gate {
    /// Looks for a task: returns what `look` finds, or leaves its waker here, which is woken
    /// when it is worth another look.
    pub(crate) fn poll<T>(
        &self,
        turn: &mut Turn,
        waker: &Waker,
        mut look: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        self.step_out(turn);
        // Hint: spares entering. (What called us, if anything did, is answered by a look.)
        if let Some(found) = look() {
            *turn = Turn::default();
            return Poll::Ready(found);
        }
        self.enter(turn, waker);
        probe!("gate poll: entered, not looked");
        // [tasks] our entry is visible before we look.
        barrier::heavy();
        match look() {
            Some(found) => {
                probe!("gate poll: found, not left");
                self.leave_line(turn);
                Poll::Ready(found)
            }
            None => Poll::Pending,
        }
    }

    /// Goes away for good. (Does nothing if the task does not wait.)
    pub(crate) fn leave_line(&self, turn: &mut Turn) {
        if let Some(waker) = self.take_out(turn) {
            unwind::drop_quietly(waker);
        } else if turn.0.is_some() {
            probe!("gate leave: called, not given on");
            // [owed] to the next: nobody else calls it for this event.
            self.give(1);
        }
        *turn = Turn::default();
    }

    fn step_out(&self, turn: &Turn) {
        let waker = self.take_out(turn);
        unwind::drop_quietly(waker);
    }

    fn take_out(&self, turn: &Turn) -> Option<Waker> {
        let turn = turn.0?;
        self.at_the_line(|line| line.wakers.remove(&turn))
    }

    fn enter(&self, turn: &mut Turn, waker: &Waker) {
        // The user's code, and so outside of the lock.
        let waker = waker.clone();
        self.at_the_line(|line| {
            let turn = *turn.0.get_or_insert_with(|| {
                line.next_turn += 1;
                line.next_turn
            });
            let none = line.wakers.insert(turn, waker);
            debug_assert!(none.is_none(), "it has stepped out");
        });
    }

    fn at_the_line<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let mut line = self.tasks.line.lock();
        let changed = self.tasks.change(&mut line, change);
        probe!("gate line: changed, held");
        drop(line);
        self.settle();
        changed
    }

    /// Owes so many tasks a call.
    #[cold]
    pub(super) fn give(&self, calls: usize) {
        // As many as could ever wait: so that no sum of them overflows.
        let calls = calls as u32;
        // Relaxed: [owed] is the fences.
        self.tasks
            .owed
            .fetch_add(u64::from(calls), Ordering::Relaxed);
        probe!("gate give: owed, not settled");
        self.settle();
    }

    /// Makes the calls that are owed, unless somebody is at the line, who will.
    fn settle(&self) {
        let Tasks { line, owed, .. } = &self.tasks;
        loop {
            // [owed] our call is owed before we try the lock; or, the lock is free before we
            // ask what is owed.
            barrier::full();
            // Relaxed: as above.
            if owed.load(Ordering::Relaxed) == 0 {
                return;
            }
            let Some(mut line) = line.try_lock() else {
                probe!("gate settle: held by another");
                return;
            };
            // Relaxed, all: it only grows while we have the lock.
            let calls = owed.load(Ordering::Relaxed);
            let (one, all) = self.tasks.change(&mut line, |Line { wakers, .. }| {
                if calls > 1 && calls >= wakers.len() as u64 {
                    owed.fetch_sub(calls, Ordering::Relaxed);
                    (None, mem::take(wakers))
                } else {
                    owed.fetch_sub(calls.min(1), Ordering::Relaxed);
                    (wakers.pop_first(), BTreeMap::new())
                }
            });
            drop(line);
            probe!("gate settle: out of the line, not woken");
            for (_, waker) in one.into_iter().chain(all) {
                // The user's code; of its panic there is nobody to tell.
                unwind::swallow(|| waker.wake());
            }
        }
    }
}

#[cfg(all(test, workcrew_loom))]
impl Gate {
    /// Whether nobody waits here, and no task is owed a call.
    pub(crate) fn is_left(&self) -> bool {
        self.waiting() == 0
            && self.tasks.line.lock().wakers.is_empty()
            && !self.tasks.are_present()
            && self.tasks.owed.load(Ordering::Relaxed) == 0
    }
}
