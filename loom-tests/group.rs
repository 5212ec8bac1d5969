//! Models of [`crate::thread_pool::group`].

use super::explore::{Bound, Plan, explore};
use super::parcel::{Board, Parcel};
use super::session::{member, shared as scope};
use crate::error::Failure;
use crate::probe::visit;
use crate::sync::{Arc, thread};
use crate::thread_pool::group::{Ran, Record};
use crate::thread_pool::session::{Shared, Ticket};
use crate::thread_pool::task::Work;
use crate::{GroupError, ThreadPool};

type Book = Record<Parcel, Parcel>;

/// A scope's ticket for a job of a group, as [`Group::spawn`](crate::Group::spawn) makes it.
fn spawn(
    shared: &Arc<Shared>,
    record: &Arc<Book>,
    job: impl FnOnce() -> Result<Parcel, Parcel> + Send + 'static,
) -> Ticket {
    let index = record.next_index();
    let (scope, record) = (Arc::clone(shared), Arc::clone(record));
    let job = member(shared, move || {
        if let Ran::FailedFirst(_) = record.run(index, job) {
            scope.run_queued();
        }
    });
    Shared::add(shared, job)
}

fn worker(ticket: Ticket) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let _ = ticket.work();
    })
}

/// What came of it: the values, or the first failure, the values and the other failures; and
/// how many were cancelled.
fn open(outcome: Result<Vec<Parcel>, GroupError<Parcel, Parcel>>) -> (Vec<u64>, Vec<u64>, usize) {
    let number = |failure| match failure {
        Failure::Job(parcel) => Parcel::open(parcel),
        other => panic!("{other:?}"),
    };
    match outcome {
        Ok(values) => (
            values.into_iter().map(Parcel::open).collect(),
            Vec::new(),
            0,
        ),
        Err(error) => {
            let finished = error.finished.into_iter();
            let others = error.failures.into_iter().map(|(_, failure)| failure);
            (
                finished.map(|(_, value)| value.open()).collect(),
                std::iter::once(error.failure)
                    .chain(others)
                    .map(number)
                    .collect(),
                error.cancelled,
            )
        }
    }
}

/// One fails while the other, which is the last, begins, ends, or is dropped.
#[test]
fn cancellation_races_the_last_job() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &[
            "model: finished",
            "model: cancelled",
            "gate wait: permit taken",
        ],
    };
    explore("cancellation_races_the_last_job", plan, || {
        let (shared, record) = (scope(false), Arc::new(Book::new()));
        let held = Parcel::new(2);
        let tickets = [
            spawn(&shared, &record, || Err(Parcel::new(1))),
            spawn(&shared, &record, move || Ok(Parcel::new(held.open()))),
        ];
        let workers = tickets.map(worker);
        shared.wait(None);
        match open(record.conclude()) {
            (values, failures, 0) => {
                visit("model: finished");
                assert_eq!((&values[..], &failures[..]), (&[2][..], &[1][..]));
            }
            (values, failures, cancelled) => {
                visit("model: cancelled");
                assert_eq!((&values[..], &failures[..]), (&[][..], &[1][..]));
                assert_eq!(cancelled, 1);
            }
        }
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

#[test]
fn one_of_two_failures_is_the_first() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &[
            "model: both",
            "model: the other was cancelled",
            "model: the second was first",
        ],
    };
    explore("one_of_two_failures_is_the_first", plan, || {
        let (shared, record) = (scope(false), Arc::new(Book::new()));
        let workers = [1, 2].map(|number| {
            let ticket = spawn(&shared, &record, move || Err(Parcel::new(number)));
            worker(ticket)
        });
        shared.wait(None);
        let (values, failures, cancelled) = open(record.conclude());
        assert!(values.is_empty());
        assert_eq!(failures.len() + cancelled, 2);
        visit(match failures[..] {
            [1] | [2] => "model: the other was cancelled",
            [1, 2] => "model: both",
            [2, 1] => "model: the second was first",
            _ => panic!("{failures:?}"),
        });
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

#[test]
fn who_is_cancelled_sees_the_failure() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 2,
        events: &["model: seen"],
    };
    explore("who_is_cancelled_sees_the_failure", plan, || {
        let record = Arc::new(Book::new());
        let board = Arc::new(Board::new());
        let worker = thread::spawn({
            let (record, board) = (Arc::clone(&record), Arc::clone(&board));
            move || {
                let ran = record.run(0, || {
                    board.write(5);
                    Err(Parcel::new(1))
                });
                assert!(matches!(ran, Ran::FailedFirst(_)));
            }
        });
        if record.has_failed() {
            visit("model: seen");
            assert_eq!(board.read(), 5);
        }
        worker.join().unwrap();
        record.next_index();
        assert_eq!(open(record.conclude()), (vec![], vec![1], 0));
    });
}

/// The whole of it: a job has its turn at the limit, one fails there, one is dropped.
#[test]
fn jobs_at_the_limit_have_their_turns_or_are_dropped() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 500,
        events: &[
            "limit add: queued, not counted",
            "group: job ended, permit not passed on",
            "group: failed, what is queued not dropped",
            "model: spawned before the failure",
            "model: spawned after the failure",
        ],
    };
    let name = "jobs_at_the_limit_have_their_turns_or_are_dropped";
    explore(name, plan, || {
        let pool = ThreadPool::builder()
            .workers(1)
            .job_capacity(1)
            .build()
            .unwrap();
        let outcome = pool.limited_group(1, |group| {
            group.spawn(|| Ok(Parcel::new(1)));
            group.spawn(|| Err(Parcel::new(2)));
            let held = Parcel::new(3);
            visit(if group.is_cancelled() {
                "model: spawned after the failure"
            } else {
                "model: spawned before the failure"
            });
            group.spawn(move || Ok(Parcel::new(held.open())));
        });
        assert_eq!(open(outcome), (vec![1], vec![2], 1));
        pool.join().unwrap();
    });
}
