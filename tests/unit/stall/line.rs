//! Scenes in the line of tasks that wait at a gate.

use super::{Point, Release, demand, wait_until};
use crate::gate::{Gate, Turn};
use crate::probe::Stall;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Who is suspended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// A task that is polled.
    Task,
    /// A task that is dropped after it was called.
    DroppedTask,
    /// Who brings an event.
    Notifier,
}

/// Where a task holds the line.
pub(super) const HELD: &str = "gate line: changed, held";

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(point: &Point, role: Role) -> bool {
    let stall = Stall::at(point.name, 0);
    let before: Vec<_> = point.after.iter().map(|name| Stall::at(name, 0)).collect();
    let beside = point.beside.map(|name| Stall::at(name, 0));
    let stalls = before.iter().chain([&stall]).chain(&beside);
    let _release = Release(stalls.collect());
    let (gate, stock) = (Gate::new(), AtomicUsize::new(0));
    let take = || {
        let taken = stock.fetch_update(SeqCst, SeqCst, |stock| stock.checked_sub(1));
        taken.ok().map(drop)
    };
    let bring = || {
        stock.fetch_add(1, SeqCst);
        gate.notify(1);
    };
    let run_task = || {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut turn = Turn::default();
        while gate.poll(&mut turn, &waker, take).is_pending() {
            thread::park();
        }
    };
    let first = Arc::new(Flag(AtomicBool::new(false)));
    let (done, helper_done) = (AtomicBool::new(false), AtomicBool::new(beside.is_none()));
    let (through, other_through) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let mut first_turn = Turn::default();
        let mut poll_first = || gate.poll(&mut first_turn, &Waker::from(Arc::clone(&first)), take);
        if role == Role::Notifier {
            demand(poll_first() == Poll::Pending, "nothing is there yet");
        }
        if let Some(beside) = &beside {
            scope.spawn(|| {
                beside.watch();
                run_task();
                helper_done.store(true, SeqCst);
            });
            wait_until("the helper stands", || beside.holds_one());
        }
        scope.spawn(|| {
            before.iter().for_each(Stall::watch);
            stall.watch();
            match role {
                Role::Task => run_task(),
                Role::Notifier => bring(),
                Role::DroppedTask => {
                    let flag = Arc::new(Flag(AtomicBool::new(false)));
                    let mut turn = Turn::default();
                    if gate.poll(&mut turn, &Waker::from(Arc::clone(&flag)), take) == Poll::Pending
                    {
                        bring();
                        wait_until("it is called", || flag.0.load(SeqCst));
                    }
                    gate.leave_line(&mut turn);
                }
            }
            done.store(true, SeqCst);
        });
        for before in &before {
            wait_until("the thread stands on its way", || before.holds_one());
            bring();
            before.release();
        }
        wait_until("the thread stands", || stall.holds_one());

        // Notifying waits for nobody, and threads get what is theirs.
        scope.spawn(|| {
            gate.wait(None, take);
            through.store(true, SeqCst);
        });
        wait_until("a thread goes through", || {
            bring();
            through.load(SeqCst)
        });
        // So do other tasks, if nobody is at the line.
        let is_held = [Some(point.name), point.beside].contains(&Some(HELD));
        if !is_held {
            scope.spawn(|| {
                run_task();
                other_through.store(true, SeqCst);
            });
            wait_until("another task goes through", || {
                bring();
                other_through.load(SeqCst)
            });
        }
        stall.release();
        beside.iter().for_each(|beside| beside.release());
        wait_until("everybody goes through", || {
            if role != Role::Notifier || beside.is_some() {
                bring();
            }
            done.load(SeqCst) && helper_done.load(SeqCst)
        });
        if role == Role::Notifier {
            wait_until("the first task is called", || first.0.load(SeqCst));
            bring();
            demand(poll_first() == Poll::Ready(()), "something is there");
        }
    });
    stall.holds_one()
}
