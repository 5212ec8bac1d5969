//! Whole pools, small enough for Miri, and what only the inside can test.

use super::hand::Hand;
use super::outbox::Outbox;
use super::results::nap;
use super::{Results, WorkerPool};
use crate::engine::{Origin, hooks::Hooked, refusal};
use crate::error::{BuildError, JobError};
use crate::pace::{Nap, Pace};
use crate::unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

#[test]
fn a_small_pool_runs_everything_and_ends() {
    for (workers, jobs, results) in [(1, 1, 1), (2, 3, 2), (3, 2, 10)] {
        let (pool, taker) = WorkerPool::<Box<u64>, Box<u64>>::builder()
            .workers(workers)
            .job_capacity(jobs)
            .result_capacity(results)
            .init(Box::new)
            .build(|job, ctx| {
                if *job == 0 {
                    ctx.push(Box::new(100));
                }
                if *job % 7 == 6 {
                    std::panic::resume_unwind(Box::new(()));
                }
                **ctx.state += 1;
                job
            })
            .unwrap();
        let outcomes = thread::scope(|scope| {
            let takers = [taker.clone(), taker].map(|taker| scope.spawn(move || taker.count()));
            for job in 0..10 {
                pool.submit(Box::new(job)).unwrap();
            }
            pool.submit_all((10..20).map(Box::new)).unwrap();
            assert_eq!(pool.shutdown().unwrap().len(), workers);
            takers
                .map(|taker| taker.join().unwrap())
                .iter()
                .sum::<usize>()
        });
        assert_eq!(outcomes, 21);
    }
}

#[test]
fn a_small_pool_hands_its_queued_jobs_back_or_cancels_them() {
    for cancel in [false, true] {
        let (pool, taker) = WorkerPool::<Box<u64>, ()>::builder()
            .workers(1)
            .job_capacity(10)
            .build(|_, ctx| {
                while !ctx.is_cancelled() {
                    thread::yield_now();
                }
            })
            .unwrap();
        pool.submit_all((0..10).map(Box::new)).unwrap();
        while pool.stats().running == 0 {
            thread::yield_now();
        }
        if cancel {
            let unwound = thread::spawn(move || {
                let _pool = pool;
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(unwound.join().is_err());
            let cancelled =
                |result: &Result<(), JobError>| matches!(result, Err(JobError::Cancelled));
            assert_eq!(
                taker.filter(|outcome| cancelled(&outcome.result)).count(),
                9
            );
        } else {
            assert_eq!(pool.shutdown_now().unwrap().len(), 9);
            assert_eq!(taker.count(), 1);
        }
    }
}

#[test]
fn a_small_pool_borrows_whatever_becomes_of_it() {
    /// What the body does when all is submitted.
    type Deed = fn(WorkerPool<Box<&u64>, Box<&u64>, &u64>, Results<Box<&u64>>);
    let deeds: [Deed; 4] = [
        |_, _| (),
        |pool, results| {
            assert_eq!(pool.shutdown().unwrap().len(), 2);
            assert_eq!(results.count(), 10);
        },
        |_, _| std::panic::resume_unwind(Box::new(())),
        |pool, _| {
            let _escapes = pool.handle();
            std::panic::resume_unwind(Box::new(pool.stats()));
        },
    ];
    for deed in deeds {
        let numbers: Vec<u64> = (0..10).collect();
        let ran = AtomicUsize::new(0);
        let scope = unwind::catch(|| {
            WorkerPool::builder()
                .workers(2)
                .job_capacity(3)
                .init(|worker| &numbers[worker])
                .scope(
                    |job, ctx| {
                        ran.fetch_add(1, Ordering::Relaxed);
                        assert!(**ctx.state < 2);
                        job
                    },
                    |pool, results| {
                        pool.submit_all(numbers.iter().map(Box::new)).unwrap();
                        deed(pool, results);
                    },
                )
        });
        if scope.is_ok() {
            assert_eq!(ran.into_inner(), 10);
        }
    }
}

#[test]
fn if_the_system_refuses_a_thread_those_that_had_started_are_joined() {
    for allowed in 0..4 {
        for borrowed in [false, true] {
            let hooked = Hooked::default();
            // A share for each hook, `init`, the function, and each state.
            let (init, function) = (hooked.clone(), hooked.clone());
            let builder = WorkerPool::<u64, u64>::builder()
                .workers(4)
                .on_start(hooked.start())
                .on_stop(hooked.stop())
                .init(move |_| init.clone());
            let function = move |job, _: &mut crate::Context<'_, u64, Hooked>| {
                let _ = &function;
                job
            };
            refusal::after(allowed);
            let error = if borrowed {
                builder.scope(function, |_, _| ()).unwrap_err()
            } else {
                builder.build(function).map(drop).unwrap_err()
            };
            refusal::after(usize::MAX);
            assert!(matches!(error, BuildError::Thread(_)), "{error:?}");
            hooked.assert_balanced(allowed);
        }
    }
}

/// A worker that is kept by a job says nothing of its backlog, for hours. Else each of the others' results
/// would be waited for by a nap.
#[test]
fn a_taker_goes_by_the_backlog_of_the_worker_whose_results_came_last() {
    let (outbox, mut outlets) = Outbox::<usize>::new(2, 64);
    let mut hand = Hand::default();
    for turn in 0..4 {
        let (worker, backlog) = (turn % 2, 100 * (turn % 2));
        outlets[worker].deliver(&outbox, Origin::submitted(0), turn, backlog, || true);
        assert_eq!(outbox.fill(&mut hand), 1);
        assert_eq!(hand.next().map(|outcome| outcome.worker), Some(worker));
        assert_eq!(outbox.fill(&mut hand), 0);
        assert_eq!(outbox.backlog(hand.turn()), backlog);
        assert_eq!(outbox.is_hot(backlog), backlog == 0 && outbox.is_hot(0));
    }
}

/// Waits that cannot begin with a long nap say nothing about long naps.
#[test]
fn a_taker_of_single_results_naps_as_soon_as_many_wait() {
    let pace = Pace::new();
    let mut claimed = 0;
    let mut naps = |waits: usize, ahead, deadline| {
        let naps = (0..waits).filter(|_| {
            claimed += 1;
            nap(&pace, claimed, 1024, ahead, deadline) == Nap::Long
        });
        naps.count()
    };
    assert_eq!(naps(20_000, 0, None), 0);
    assert_eq!(naps(20_000, 1024, Some(Instant::now())), 0);
    assert!(naps(100, 1024, None) > 80);
    assert_eq!(naps(20_000, 31, None), 0);
    assert_eq!(naps(20_000, 32, Some(Instant::now())), 0);
    assert!(naps(100, 32, None) > 80);
}

/// Long naps where short ones bring less of what is ahead than a long one would, about a fortieth.
#[test]
fn a_taker_naps_long_by_what_is_ahead() {
    let naps = |each: u64| {
        let pace = Pace::new();
        let naps = (1..=100).filter(|n| nap(&pace, n * each, 100_000, 2_000, None) == Nap::Long);
        naps.count()
    };
    assert!(naps(40) > 80);
    assert_eq!(naps(50), 0);
}
