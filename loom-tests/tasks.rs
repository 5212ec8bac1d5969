//! Models of tasks that wait: at a gate alone, for room in an engine, for results of an
//! outbox. A task is a thread that sleeps until its waker is called. A call that is lost
//! shows as a deadlock.

use super::engine::{Workers, close_and_join, site, submit};
use super::explore::{Bound, Plan, explore};
use super::gate::Hall;
use super::outbox::{deliver, outbox};
use crate::engine::{Fate, Refused};
use crate::gate::Turn;
use crate::parker::Parker;
use crate::probe::visit;
use crate::sync::{Arc, Ordering, WATCH, thread};
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

pub(super) struct Alarm(pub(super) Parker);

impl Wake for Alarm {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

pub(super) fn alarm() -> (std::sync::Arc<Alarm>, Waker) {
    let alarm = std::sync::Arc::new(Alarm(Parker::new()));
    (std::sync::Arc::clone(&alarm), Waker::from(alarm))
}

/// Polls until it is ready, and sleeps in between.
fn run<T>(mut poll: impl FnMut(&Waker) -> Poll<T>) -> T {
    let (alarm, waker) = alarm();
    loop {
        if let Poll::Ready(found) = poll(&waker) {
            return found;
        }
        assert!(alarm.0.park(WATCH));
    }
}

/// A task that waits for a place.
fn spawn_task(hall: &Arc<Hall>) -> thread::JoinHandle<()> {
    let hall = Arc::clone(hall);
    thread::spawn(move || {
        let mut turn = Turn::default();
        run(|waker| hall.gate.poll(&mut turn, waker, || hall.enter()));
    })
}

#[test]
fn task_races_the_event() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "gate poll: found, not left",
            "gate settle: out of the line, not woken",
        ],
    };
    explore("task_races_the_event", plan, || {
        let hall = Hall::new();
        let task = spawn_task(&hall);
        hall.free(1);
        task.join().unwrap();
        assert!(hall.gate.is_left());
    });
}

/// Who brings the event finds the task, or another one, at the line.
#[test]
fn call_finds_the_line_held() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &["gate settle: held by another"],
    };
    explore("call_finds_the_line_held", plan, || {
        let hall = Hall::new();
        let tasks = [(); 2].map(|()| spawn_task(&hall));
        hall.free(2);
        let _ = tasks.map(|task| task.join().unwrap());
        assert!(hall.gate.is_left());
    });
}

/// Two places, by two calls.
#[test]
fn each_event_calls_one_task() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 5_000,
        events: &[
            "gate settle: out of the line, not woken",
            "gate leave: called, not given on",
        ],
    };
    explore("each_event_calls_one_task", plan, || {
        let hall = Hall::new();
        let tasks = [(); 2].map(|()| spawn_task(&hall));
        hall.free(1);
        hall.free(1);
        let _ = tasks.map(|task| task.join().unwrap());
        assert!(hall.gate.is_left());
    });
}

/// A task that is dropped after it was called, and before it has looked.
#[test]
fn dropped_task_gives_its_call_on() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &["gate leave: called, not given on", "model: first in line"],
    };
    explore("dropped_task_gives_its_call_on", plan, || {
        let hall = Hall::new();
        let (_alarm, waker) = alarm();
        let mut turn = Turn::default();
        let early = hall.gate.poll(&mut turn, &waker, || None::<()>);
        assert!(early.is_pending());
        visit("model: first in line");
        let task = spawn_task(&hall);
        let notifier = thread::spawn({
            let hall = Arc::clone(&hall);
            move || hall.free(1)
        });
        hall.gate.leave_line(&mut turn);
        task.join().unwrap();
        notifier.join().unwrap();
        assert!(hall.gate.is_left());
    });
}

/// What lets all go on, as closing does.
#[test]
fn notify_all_races_two_tasks() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &["gate settle: out of the line, not woken"],
    };
    explore("notify_all_races_two_tasks", plan, || {
        let hall = Hall::new();
        let tasks = [(); 2].map(|()| {
            let hall = Arc::clone(&hall);
            thread::spawn(move || {
                let mut turn = Turn::default();
                run(|waker| {
                    hall.gate.poll(&mut turn, waker, || {
                        hall.open.load(Ordering::Relaxed).then_some(())
                    })
                });
            })
        });
        hall.open.store(true, Ordering::Relaxed);
        hall.gate.notify_all();
        let _ = tasks.map(|task| task.join().unwrap());
        assert!(hall.gate.is_left());
    });
}

/// One event, and one of each kind waits: the one that is too late waits for the next.
#[test]
fn task_and_thread_wait_for_the_same() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 5_000,
        events: &[
            "gate settle: out of the line, not woken",
            "gate wait: permit taken",
        ],
    };
    explore("task_and_thread_wait_for_the_same", plan, || {
        let hall = Hall::new();
        let task = spawn_task(&hall);
        let waiter = thread::spawn({
            let hall = Arc::clone(&hall);
            move || hall.gate.wait(None, || hall.enter())
        });
        hall.free(1);
        hall.free(1);
        task.join().unwrap();
        assert_eq!(waiter.join().unwrap(), Some(()));
    });
}

/// A job that awaits room, and a worker that makes some.
#[test]
fn task_awaits_room() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 200,
        events: &["gate settle: out of the line, not woken"],
    };
    explore("task_awaits_room", plan, || {
        let (site, start) = site(1, |site, job, _| {
            if job == 1 {
                site.done.unpark();
            }
        });
        submit(&site, 0);
        let workers: Workers<1> = start();
        let (mut job, mut turn) = (Some(1), Turn::default());
        let index = run(|waker| site.engine.poll_submit(&mut job, &mut turn, waker));
        assert!(index.is_ok());
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 2);
    });
}

/// A task that awaits room is told of the close, and gets its job back. (Nobody works here.)
#[test]
fn close_calls_a_task_that_awaits_room() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 400,
        events: &[
            "gate poll: entered, not looked",
            "gate settle: out of the line, not woken",
        ],
    };
    explore("close_calls_a_task_that_awaits_room", plan, || {
        let (site, _) = site::<1, _>(1, |_, _, _| {});
        submit(&site, 0);
        let task = thread::spawn({
            let site = Arc::clone(&site);
            move || {
                let (mut job, mut turn) = (Some(1), Turn::default());
                let refused = run(|waker| site.engine.poll_submit(&mut job, &mut turn, waker));
                assert!(matches!(refused, Err(Refused::Closed(1))));
            }
        });
        site.engine.close();
        task.join().unwrap();
        assert_eq!(site.engine.drain(Fate::Returned).len(), 1);
    });
}

/// A task that takes, the last result, and the end.
#[test]
fn stream_races_the_last_result_and_the_end() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &[
            "outbox end: ended, takers not told",
            "gate settle: out of the line, not woken",
        ],
    };
    explore("stream_races_the_last_result_and_the_end", plan, || {
        let (outbox, [mut outlet], mut results) = outbox::<1>(4);
        let worker = thread::spawn(move || {
            deliver(&outbox, &mut outlet, 1);
            outbox.end();
        });
        let mut stream = results.stream();
        let mut all = Vec::new();
        while let Some(outcome) = run(|waker| poll_next(&mut stream, waker)) {
            all.push(outcome.result.unwrap().open());
        }
        assert_eq!(all, [1]);
        worker.join().unwrap();
    });
}

fn poll_next<S: Stream + Unpin>(stream: &mut S, waker: &Waker) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

/// The first of two takers goes away: what it was called for the other one takes.
#[test]
fn dropped_taker_races_a_result() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 2_000,
        events: &["gate leave: called, not given on"],
    };
    explore("dropped_taker_races_a_result", plan, || {
        let (outbox, [mut outlet], mut first) = outbox::<1>(4);
        let mut second = first.clone();
        let (_alarm, waker) = alarm();
        let mut stream = first.stream();
        assert!(poll_next(&mut stream, &waker).is_pending());
        let worker = thread::spawn(move || deliver(&outbox, &mut outlet, 1));
        let task = thread::spawn(move || {
            let mut stream = second.stream();
            let outcome = run(|waker| poll_next(&mut stream, waker));
            assert_eq!(outcome.unwrap().result.unwrap().open(), 1);
        });
        drop(stream);
        task.join().unwrap();
        worker.join().unwrap();
    });
}
