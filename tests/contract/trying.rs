//! `try_map`: all results, or the first failure and everything that finished.

use crate::common::{Door, OpenAtEnd, assert_conserved, eventually, watchdog};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use workcrew::{CancelError, Failure, JobError, Results, WorkerPool};

type Pool = WorkerPool<u64, Result<u64, String>>;
type Taker = Results<Result<u64, String>>;

/// Fails in 100, panics in 200, stands at the door in 300.
fn pool(workers: usize, capacity: usize, door: &Door) -> (Pool, Taker) {
    let door = door.clone();
    WorkerPool::builder()
        .workers(workers)
        .job_capacity(capacity)
        .result_capacity(capacity)
        .build(move |job, ctx| match job {
            100 => Err("a hundred".to_owned()),
            200 => std::panic::resume_unwind(Box::new("two hundred")),
            300 => {
                door.pass();
                Ok(job)
            }
            400 => {
                ctx.push(1000);
                Ok(job)
            }
            _ => Ok(job),
        })
        .unwrap()
}

#[test]
fn try_map_returns_all_results_in_order_whatever_the_capacities() {
    const JOBS: u64 = if cfg!(miri) { 20 } else { 90 };
    let _watchdog = watchdog();
    for workers in [1, 3] {
        for capacity in [1, 2, 64] {
            let (pool, mut results) = pool(workers, capacity, &Door::new());
            for _ in 0..3 {
                let all = pool.try_map(&mut results, 0..JOBS).unwrap();
                assert!(all.into_iter().eq(0..JOBS));
            }
            assert!(pool.try_map(&mut results, []).unwrap().is_empty());
            pool.wait_idle().unwrap();
            assert_eq!(pool.stats().completed, 3 * JOBS);
        }
    }
}

/// One worker stands in a job while the other fails: what runs is waited for, and what was
/// neither run nor cancelled comes back.
#[test]
fn after_the_first_failure_what_runs_is_waited_for_and_everything_that_finished_is_returned() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (pool, mut results) = pool(2, 4, &door);
    let jobs: Vec<u64> = [300, 100].into_iter().chain(0..50).collect();
    // It must have started, or it would be cancelled too.
    let input = jobs.iter().copied().inspect(|job| {
        if *job == 100 {
            door.wait_for(1);
        }
    });
    let error = thread::scope(|scope| {
        let trying = scope.spawn(|| pool.try_map(&mut results, input).unwrap_err());
        door.wait_for(1);
        eventually("the other ran its jobs", || {
            let stats = pool.stats();
            stats.queued == 0 && stats.running == 1 && stats.results_waiting == 0
        });
        assert!(!trying.is_finished());
        door.open();
        trying.join().unwrap()
    });
    assert_eq!(error.position, 1);
    assert!(matches!(&error.failure, Failure::Job(why) if why == "a hundred"));
    assert_eq!(error.to_string(), "the job at position 1: a hundred");
    assert_eq!(error.finished[0], (0, 300));
    for (position, result) in &error.finished {
        assert_eq!(jobs[*position], *result);
    }
    assert!(error.failures.is_empty());
    let (finished, back) = (error.finished.len() as u64, error.jobs.collect::<Vec<_>>());
    assert!(jobs.ends_with(&back));
    // A result can be taken a moment before its job is counted.
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    assert_eq!(stats.accepted as usize + back.len(), jobs.len());
    assert_eq!(finished + 1 + stats.cancelled, stats.accepted);
    assert_conserved(&stats);
    assert_eq!(pool.try_map(&mut results, [5, 6]).unwrap(), [5, 6]);
}

/// How much is queued when a failure is seen is a matter of luck.
#[test]
fn after_the_first_failure_what_has_not_started_is_cancelled() {
    let _watchdog = watchdog();
    let (pool, mut results) = WorkerPool::<u64, Result<(), u64>>::builder()
        .workers(1)
        .job_capacity(50)
        .build(|job, _| {
            for _ in 0..20 {
                thread::yield_now();
            }
            if job == 0 { Err(job) } else { Ok(()) }
        })
        .unwrap();
    eventually("some are cancelled", || {
        let error = pool.try_map(&mut results, 0..50).unwrap_err();
        assert_eq!(error.position, 0);
        assert!(error.failures.is_empty(), "those are not told as failures");
        pool.stats().cancelled > 0
    });
}

#[test]
fn others_that_fail_meanwhile_are_told_too() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, mut results) = WorkerPool::<u64, Result<(), u64>>::builder()
        .workers(2)
        .build(move |job, _| {
            inside.pass();
            Err(job)
        })
        .unwrap();
    let error = thread::scope(|scope| {
        let trying = scope.spawn(|| pool.try_map(&mut results, 0..2).unwrap_err());
        door.wait_for(2);
        door.open();
        trying.join().unwrap()
    });
    assert!(matches!(error.failure, Failure::Job(job) if job == error.position as u64));
    let [(position, Failure::Job(job))] = error.failures[..] else {
        panic!("{error:?}");
    };
    assert_eq!((position, job), (1 - error.position, position as u64));
    assert!(error.finished.is_empty());
}

#[test]
fn a_panic_is_a_failure() {
    let _watchdog = watchdog();
    let (pool, mut results) = pool(1, 4, &Door::new());
    let error = pool.try_map(&mut results, [7, 200]).unwrap_err();
    assert_eq!((error.position, &error.finished[..]), (1, &[(0, 7)][..]));
    let Failure::NoResult(JobError::Panicked(panic)) = error.failure else {
        panic!("{error:?}");
    };
    assert_eq!(panic.into_payload().downcast_ref(), Some(&"two hundred"));
}

#[test]
fn a_cancellation_by_somebody_else_is_a_failure() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (pool, mut results) = pool(1, 4, &door);
    let error = thread::scope(|scope| {
        let trying = scope.spawn(|| pool.try_map(&mut results, [300, 0]).unwrap_err());
        door.wait_for(1);
        eventually("the other waits", || pool.stats().queued == 1);
        pool.cancel(1).unwrap();
        door.open();
        trying.join().unwrap()
    });
    assert_eq!((error.position, &error.finished[..]), (1, &[(0, 300)][..]));
    assert!(matches!(
        error.failure,
        Failure::NoResult(JobError::Cancelled)
    ));
}

#[test]
fn if_the_pool_is_closed_meanwhile_the_others_come_back() {
    let _watchdog = watchdog();
    let (pool, mut results) = pool(2, 4, &Door::new());
    let closes = (0..20).inspect(|job| {
        if *job == 10 {
            pool.close();
        }
    });
    let error = pool.try_map(&mut results, closes).unwrap_err();
    assert_eq!(error.position, 10);
    assert!(matches!(error.failure, Failure::Closed));
    assert!(error.finished.into_iter().eq((0..10).zip(0..10)));
    assert!(error.jobs.eq(10..20));
}

#[test]
fn what_others_made_comes_from_the_results_afterwards() {
    let _watchdog = watchdog();
    let (pool, mut results) = pool(2, 8, &Door::new());
    pool.submit(7).unwrap();
    pool.wait_idle().unwrap();
    assert_eq!(pool.try_map(&mut results, [400, 1]).unwrap(), [400, 1]);
    pool.close();
    let others = results.map(|outcome| outcome.result.unwrap().unwrap());
    let mut others: Vec<_> = others.collect();
    others.sort_unstable();
    assert_eq!(others, [7, 1000]);
}

#[test]
fn if_the_input_panics_all_outcomes_come_from_the_results() {
    let _watchdog = watchdog();
    let (pool, mut results) = pool(1, 4, &Door::new());
    let input = (0..).inspect(|job| {
        if *job == 20 {
            std::panic::resume_unwind(Box::new("no more coffee"));
        }
    });
    let unwound = catch_unwind(AssertUnwindSafe(|| pool.try_map(&mut results, input)));
    assert!(unwound.is_err());
    pool.close();
    let mut seen = Vec::new();
    for outcome in results {
        match outcome.result {
            Ok(job) => assert_eq!(job.unwrap(), outcome.index),
            Err(error) => assert!(matches!(error, JobError::Cancelled)),
        }
        seen.push(outcome.index);
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..20));
}

/// Each attempt is a job with an outcome of its own, which bears the index of the first.
#[test]
fn a_job_may_retry_itself_as_a_follow_up_of_a_closed_pool() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, results) = WorkerPool::<(u64, u32), Result<u64, u32>>::builder()
        .workers(2)
        .job_capacity(1)
        .build(move |(job, attempt), ctx| {
            inside.pass();
            if u64::from(attempt) < job {
                ctx.push((job, attempt + 1));
                return Err(attempt);
            }
            Ok(job)
        })
        .unwrap();
    pool.submit((3, 0)).unwrap();
    door.wait_for(1);
    pool.submit((1, 0)).unwrap();
    pool.close();
    door.open();
    let mut attempts: Vec<_> = results
        .map(|outcome| (outcome.index, outcome.follow_up, outcome.result.unwrap()))
        .collect();
    attempts
        .sort_by_key(|(index, follow_up, result)| (*index, *follow_up, result.is_ok(), *result));
    let expected = [
        (0, false, Err(0)),
        (0, true, Err(1)),
        (0, true, Err(2)),
        (0, true, Ok(3)),
        (1, false, Err(0)),
        (1, true, Ok(1)),
    ];
    assert_eq!(attempts, expected);
}

/// The index tells which job it was that failed or panicked.
#[test]
fn a_taker_may_submit_again_what_has_failed() {
    let _watchdog = watchdog();
    let (pool, mut results) = WorkerPool::<(u64, u64), Result<u64, ()>>::builder()
        .workers(2)
        .build(|(job, attempt), _| match attempt {
            attempt if attempt >= job % 3 => Ok(job),
            0 => Err(()),
            _ => std::panic::resume_unwind(Box::new(job)),
        })
        .unwrap();
    let mut open = std::collections::BTreeMap::new();
    for job in 0..30 {
        open.insert(pool.submit((job, 0)).unwrap(), (job, 0));
    }
    let mut done = Vec::new();
    while !open.is_empty() {
        let outcome = results.recv().unwrap();
        let (job, attempt) = open.remove(&outcome.index).unwrap();
        match outcome.result {
            Ok(Ok(result)) => done.push(result),
            _ => {
                let again = (job, attempt + 1);
                open.insert(pool.submit(again).unwrap(), again);
            }
        }
    }
    done.sort_unstable();
    assert!(done.into_iter().eq(0..30));
    assert_eq!(pool.stats().accepted, 30 + 10 + 20);
}

/// The first failure cancels the rest, and the pool is there for the next round.
#[test]
fn a_taker_may_cancel_all_at_the_first_failure() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, mut results) = WorkerPool::<u64, Result<u64, u64>>::builder()
        .workers(1)
        .build(move |job, _| {
            if job == 4 {
                inside.pass();
            }
            if job == 3 { Err(job) } else { Ok(job) }
        })
        .unwrap();
    pool.submit_all(0..20).unwrap();
    let mut first = results.by_ref().map(|outcome| outcome.result.unwrap());
    assert_eq!(first.find_map(Result::err), Some(3));
    door.wait_for(1);
    assert_eq!(pool.cancel_all(), Ok(20));
    door.open();
    pool.submit_all(20..25).unwrap();
    let verdicts: Vec<_> = results.by_ref().take(21).collect();
    for (outcome, index) in verdicts.into_iter().zip(4..) {
        assert_eq!(outcome.index, index);
        match outcome.result {
            Ok(result) => assert!(result == Ok(index) && (index == 4 || index >= 20)),
            Err(error) => assert!(matches!(error, JobError::Cancelled) && (5..20).contains(&index)),
        }
    }
}

/// One worker stands in a job all the while, so nothing is forgotten by an idle pool.
#[test]
fn failures_cancel_the_rest_though_the_pool_is_never_idle() {
    const FAILURES: u64 = if cfg!(miri) { 3 } else { 30 };
    let _watchdog = watchdog();
    let door = Door::new();
    let (pool, mut results) = pool(2, 64, &door);
    let _open = OpenAtEnd(&door);
    pool.submit(300).unwrap();
    door.wait_for(1);
    for _ in 0..FAILURES {
        let error = pool.try_map(&mut results, [100].into_iter().chain(0..60));
        assert_eq!(error.unwrap_err().position, 0);
    }
    // There is room to cancel 128 jobs, and 30 times 60 were.
    let crowded = (0..64).filter(|_| {
        let job = pool.submit(0).unwrap();
        pool.cancel(job) == Err(CancelError::Crowded)
    });
    assert_eq!(crowded.count(), 0);
}
