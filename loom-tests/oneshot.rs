//! Models of [`crate::oneshot`].

use super::explore::{Bound, Plan, explore};
use super::parcel::{Board, Parcel};
use super::tasks::alarm;
use crate::oneshot::Oneshot;
use crate::probe::visit;
use crate::sync::{Arc, WATCH, thread};
use std::task::Poll;

type Place = Oneshot<Parcel, Parcel>;

fn place() -> Arc<Place> {
    Arc::new(Oneshot::new(Parcel::new(1)))
}

/// What a worker does with the job: adds ten.
fn run(place: &Place) -> Option<Result<(), Parcel>> {
    let (claim, job) = place.claim()?;
    Some(claim.complete(Parcel::new(job.open() + 10)))
}

#[test]
fn outcome_reaches_the_sleeper() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 3_000,
        events: &[
            "oneshot wait: looked, not asleep",
            "oneshot complete: published, owner not told",
        ],
    };
    explore("outcome_reaches_the_sleeper", plan, || {
        let place = place();
        let board = Arc::new(Board::new());
        let worker = thread::spawn({
            let (place, board) = (Arc::clone(&place), Arc::clone(&board));
            move || {
                board.write(5);
                run(&place).unwrap().unwrap();
            }
        });
        assert!(place.wait(None));
        assert_eq!(place.take().open(), 11);
        assert_eq!(board.read(), 5);
        worker.join().unwrap();
    });
}

/// An owner that only asks, and finds the job done, sees what it did.
#[test]
fn asking_brings_the_jobs_deeds() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["model: done", "model: not done"],
    };
    explore("asking_brings_the_jobs_deeds", plan, || {
        let place = place();
        let board = Arc::new(Board::new());
        let worker = thread::spawn({
            let (place, board) = (Arc::clone(&place), Arc::clone(&board));
            move || {
                board.write(5);
                run(&place).unwrap().unwrap();
            }
        });
        if place.is_done() {
            visit("model: done");
            assert_eq!(board.read(), 5);
        } else {
            visit("model: not done");
        }
        worker.join().unwrap();
        assert!(place.is_done());
        assert_eq!(place.take().open(), 11);
    });
}

/// Two who would run it, and an owner that cancels it: one of them has it.
#[test]
fn claim_races_cancel() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 10_000,
        events: &["model: cancelled", "model: too late"],
    };
    explore("claim_races_cancel", plan, || {
        let place = place();
        let workers = [(); 2].map(|()| {
            let place = Arc::clone(&place);
            thread::spawn(move || run(&place).map(|told| told.unwrap()).is_some())
        });
        let cancelled = match place.revoke() {
            Some((claim, job)) => {
                visit("model: cancelled");
                assert_eq!(job.open(), 1);
                claim.complete(Parcel::new(0)).unwrap();
                true
            }
            None => {
                visit("model: too late");
                false
            }
        };
        assert!(place.wait(None));
        let outcome = place.take().open();
        assert_eq!(outcome, if cancelled { 0 } else { 11 });
        let ran = workers.map(|worker| worker.join().unwrap());
        let ran = ran.into_iter().filter(|ran| *ran).count();
        assert_eq!(ran + usize::from(cancelled), 1);
        assert_eq!(place.is_revoked(), cancelled);
    });
}

/// The outcome goes one way or the other; loom sees it if it goes none.
#[test]
fn completion_races_the_drop_of_the_handle() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["model: came back", "model: left with it"],
    };
    explore("completion_races_the_drop_of_the_handle", plan, || {
        let place = place();
        let worker = thread::spawn({
            let place = Arc::clone(&place);
            move || match run(&place).unwrap() {
                Ok(()) => false,
                Err(back) => {
                    visit("model: came back");
                    assert_eq!(back.open(), 11);
                    true
                }
            }
        });
        let left_with_it = match place.leave() {
            Some(outcome) => {
                visit("model: left with it");
                assert_eq!(outcome.open(), 11);
                true
            }
            None => false,
        };
        assert!(worker.join().unwrap() ^ left_with_it);
    });
}

#[test]
fn completion_races_the_poll() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 600,
        events: &[
            "model: ready at once",
            "model: woken",
            "oneshot poll: waker stored, not announced",
        ],
    };
    explore("completion_races_the_poll", plan, || {
        let place = place();
        let worker = thread::spawn({
            let place = Arc::clone(&place);
            move || run(&place).unwrap().unwrap()
        });
        let (alarm, waker) = alarm();
        let outcome = match place.poll(&waker) {
            Poll::Ready(outcome) => {
                visit("model: ready at once");
                outcome
            }
            Poll::Pending => {
                visit("model: woken");
                assert!(alarm.0.park(WATCH));
                match place.poll(&waker) {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => panic!("woken for nothing"),
                }
            }
        };
        assert_eq!(outcome.open(), 11);
        worker.join().unwrap();
    });
}

/// The second waker replaces the first, which need not be woken.
#[test]
fn completion_races_a_change_of_waker() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 300,
        events: &["model: woken by the second"],
    };
    explore("completion_races_a_change_of_waker", plan, || {
        let place = place();
        let worker = thread::spawn({
            let place = Arc::clone(&place);
            move || run(&place).unwrap().unwrap()
        });
        let (_first, waker) = alarm();
        let mut outcome = place.poll(&waker);
        if outcome.is_pending() {
            let (second, waker) = alarm();
            outcome = place.poll(&waker);
            if outcome.is_pending() {
                visit("model: woken by the second");
                assert!(second.0.park(WATCH));
                outcome = place.poll(&waker);
            }
        }
        match outcome {
            Poll::Ready(outcome) => assert_eq!(outcome.open(), 11),
            Poll::Pending => panic!("woken for nothing"),
        }
        worker.join().unwrap();
    });
}
