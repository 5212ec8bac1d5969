//! Models of the whole pool, through its public face.

use super::explore::{Bound, Plan, explore};
use super::parcel::{Board, Parcel};
use crate::probe::visit;
use crate::sync::{Arc, thread};
use crate::{Context, JobError, Outcome, Results, SubmitError, WorkerPool};
use std::time::Duration;

type Pool = WorkerPool<Parcel, Parcel>;

fn pool(
    workers: usize,
    jobs: usize,
    results: usize,
    function: impl Fn(Parcel, &mut Context<'_, Parcel>) -> Parcel + Send + Sync + 'static,
) -> (Pool, Results<Parcel>) {
    WorkerPool::builder()
        .workers(workers)
        .job_capacity(jobs)
        .result_capacity(results)
        .build(function)
        .unwrap()
}

/// A pool whose jobs add ten.
fn adder(workers: usize, jobs: usize, results: usize) -> (Pool, Results<Parcel>) {
    pool(workers, jobs, results, |parcel, _| {
        Parcel::new(parcel.open() + 10)
    })
}

fn open(outcome: Outcome<Parcel>) -> u64 {
    outcome.result.unwrap().open()
}

/// Takes `count` results, which may have to come yet; sorted.
fn take(results: &mut Results<Parcel>, count: usize) -> Vec<u64> {
    let mut taken: Vec<_> = (0..count).map(|_| open(results.recv().unwrap())).collect();
    taken.sort_unstable();
    taken
}

#[test]
fn one_worker_one_job() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["idle wake: chosen, not woken", "gate wait: permit taken"],
    };
    explore("one_worker_one_job", plan, || {
        let (pool, mut results) = adder(1, 1, 1);
        assert_eq!(pool.submit(Parcel::new(1)).unwrap(), 0);
        assert_eq!(take(&mut results, 1), [11]);
        pool.join().unwrap();
        assert!(results.next().is_none());
    });
}

/// Queues so short that submitter and worker wait for each other in turn.
#[test]
fn one_worker_short_queues() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &[
            "gate wait: permit taken",
            "outbox take: claimed, room not told",
        ],
    };
    explore("one_worker_short_queues", plan, || {
        let (pool, mut results) = adder(1, 1, 1);
        for number in 1..=2 {
            pool.submit(Parcel::new(number)).unwrap();
        }
        assert_eq!(take(&mut results, 2), [11, 12]);
        pool.join().unwrap();
    });
}

#[test]
fn one_worker_batch() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &[
            "engine claim: claimed, batch not published",
            "gate wait: permit taken",
        ],
    };
    explore("one_worker_batch", plan, || {
        let (pool, mut results) = adder(1, 2, 2);
        assert_eq!(pool.submit_all((1..=2).map(Parcel::new)).unwrap(), 2);
        assert_eq!(take(&mut results, 2), [11, 12]);
        pool.join().unwrap();
    });
}

#[test]
fn two_workers_one_job() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 50,
        events: &[
            "idle sleep: work at the last look",
            "gate wait: permit taken",
        ],
    };
    explore("two_workers_one_job", plan, || {
        let (pool, mut results) = adder(2, 1, 1);
        pool.submit(Parcel::new(1)).unwrap();
        assert_eq!(take(&mut results, 1), [11]);
        pool.join().unwrap();
    });
}

/// Who waits for some time closes the pool, and hears of its threads' end.
#[test]
fn waiter_for_some_time_hears_of_the_pools_end() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 20,
        events: &["gate wait: permit taken"],
    };
    explore("waiter_for_some_time_hears_of_the_pools_end", plan, || {
        let (mut pool, mut results) = adder(1, 1, 1);
        pool.submit(Parcel::new(1)).unwrap();
        pool.join_timeout(Duration::MAX).unwrap();
        assert_eq!(take(&mut results, 1), [11]);
        assert!(results.next().is_none());
    });
}

/// A pool that is dropped has run what it accepted.
#[test]
fn dropped_pool_has_run_its_jobs() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 20,
        events: &["idle sleep: work at the last look"],
    };
    explore("dropped_pool_has_run_its_jobs", plan, || {
        let (pool, mut results) = adder(1, 1, 1);
        pool.submit(Parcel::new(1)).unwrap();
        drop(pool);
        assert_eq!(take(&mut results, 1), [11]);
        assert!(results.next().is_none());
    });
}

#[test]
fn submit_races_close_in_the_pool() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["model: rejected", "outbox end: ended, takers not told"],
    };
    explore("submit_races_close_in_the_pool", plan, || {
        let (pool, results) = adder(1, 1, 1);
        let handle = pool.handle();
        let submitter = thread::spawn(move || match handle.submit(Parcel::new(1)) {
            Ok(_) => vec![11],
            Err(SubmitError::Closed(back)) => {
                visit("model: rejected");
                assert_eq!(back.open(), 1);
                vec![]
            }
            Err(error) => panic!("{error:?}"),
        });
        pool.close();
        // Ends: whatever was accepted has come by then.
        let taken: Vec<_> = results.map(open).collect();
        assert_eq!(submitter.join().unwrap(), taken);
        pool.join().unwrap();
    });
}

#[test]
fn shutdown_now_races_the_run() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["model: one came back", "model: both came back"],
    };
    explore("shutdown_now_races_the_run", plan, || {
        let (pool, results) = adder(1, 2, 2);
        pool.submit(Parcel::new(1)).unwrap();
        pool.submit(Parcel::new(2)).unwrap();
        let returned: Vec<_> = pool
            .shutdown_now()
            .unwrap()
            .into_iter()
            .map(Parcel::open)
            .collect();
        let taken: Vec<_> = results.map(open).collect();
        match returned.len() {
            0 => {}
            1 => visit("model: one came back"),
            _ => visit("model: both came back"),
        }
        let mut all: Vec<_> = taken.iter().map(|number| number - 10).collect();
        all.extend(&returned);
        assert_eq!(all, [1, 2], "{taken:?} and {returned:?}");
    });
}

/// A worker that waits for room among the results is told, too.
#[test]
fn shutdown_now_frees_a_blocked_worker() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["model: blocked at the end", "gate wait: permit taken"],
    };
    explore("shutdown_now_frees_a_blocked_worker", plan, || {
        let (pool, results) = adder(1, 2, 1);
        pool.submit(Parcel::new(1)).unwrap();
        pool.submit(Parcel::new(2)).unwrap();
        let returned = pool
            .shutdown_now()
            .unwrap()
            .into_iter()
            .map(Parcel::open)
            .count();
        let taken = results.map(open).count();
        if taken == 2 {
            visit("model: blocked at the end");
        }
        assert_eq!(taken + returned, 2);
    });
}

/// The end comes after the last job's follow-up.
#[test]
fn follow_up_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "engine push: counted, not queued",
            "engine: drained, crew not told",
        ],
    };
    explore("follow_up_races_close", plan, || {
        let (pool, results) = pool(1, 1, 2, |parcel, context| {
            let number = parcel.open();
            if number == 1 {
                context.push(Parcel::new(2));
            }
            Parcel::new(number + 10)
        });
        pool.submit(Parcel::new(1)).unwrap();
        pool.close();
        assert_eq!(results.map(open).collect::<Vec<_>>(), [11, 12]);
        pool.join().unwrap();
    });
}

#[test]
fn panic_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &[
            "outbox end: ended, takers not told",
            "gate wait: permit taken",
        ],
    };
    explore("panic_races_close", plan, || {
        let (pool, results) = pool(1, 2, 2, |parcel, _| match parcel.open() {
            // Not `panic!`: that would tell the hook, each time.
            1 => std::panic::resume_unwind(Box::new("on purpose")),
            number => Parcel::new(number),
        });
        pool.submit(Parcel::new(1)).unwrap();
        pool.submit(Parcel::new(2)).unwrap();
        pool.close();
        let mut panics = 0;
        let mut rest = Vec::new();
        for outcome in results {
            match outcome.result {
                Ok(parcel) => rest.push(parcel.open()),
                Err(JobError::Panicked(_)) => panics += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((panics, rest), (1, vec![2]));
        pool.join().unwrap();
    });
}

/// Nobody takes, and nobody waits for that.
#[test]
fn last_taker_leaves_the_pool() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &[
            "outbox taker_left: left, rest not discarded",
            "outbox deliver: stored, takers not told",
        ],
    };
    explore("last_taker_leaves_the_pool", plan, || {
        let (pool, results) = adder(1, 2, 1);
        pool.submit(Parcel::new(1)).unwrap();
        pool.submit(Parcel::new(2)).unwrap();
        drop(results);
        pool.join().unwrap();
    });
}

/// Everything before `submit` is seen by the job, and everything in the job by who
/// has its result, with nothing but the pool between them.
#[test]
fn job_and_result_carry_what_was_before() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["engine claim: claimed, batch not published"],
    };
    explore("job_and_result_carry_what_was_before", plan, || {
        let boards = Arc::new([Board::new(), Board::new()]);
        let seen = Arc::clone(&boards);
        let (pool, mut results) = pool(1, 2, 2, move |parcel, _| {
            seen[1].write(seen[0].read() + 1);
            parcel
        });
        boards[0].write(5);
        pool.submit(Parcel::new(1)).unwrap();
        assert_eq!(take(&mut results, 1), [1]);
        assert_eq!(boards[1].read(), 6);
        pool.join().unwrap();
    });
}
