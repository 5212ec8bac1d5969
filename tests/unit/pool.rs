//! Whole pools, small enough for Miri, and what only the inside can test.

use super::hand::Hand;
use super::lease;
use super::outbox::Outbox;
use super::{Results, WorkerPool};
use crate::engine::{Origin, hooks::Hooked, refusal};
use crate::error::{BuildError, JobError};
use crate::pace::be_quick;
use crate::unwind;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

#[test]
fn a_lease_is_as_long_as_it_may_be_and_leaves_others_half_of_the_room() {
    for (most, room, places) in [
        (128, 31, None),
        (128, 32, Some(32)),
        (128, 65, Some(32)),
        (128, 100, Some(50)),
        (128, 256, Some(128)),
        (128, 1000, Some(128)),
        (8, 7, None),
        (8, 8, Some(8)),
        (0, 100, None),
    ] {
        assert_eq!(lease::of(most, room), places, "{room} of room");
    }
}

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
        assert_eq!(outbox.backlog(&hand), backlog);
        assert_eq!(outbox.is_hot(backlog), backlog == 0 && outbox.is_hot(0));
    }
}

/// However they are asked for: what comes from a claim has a way of its own.
#[test]
fn an_outcome_that_was_put_back_is_the_next() {
    let (pool, mut results) = WorkerPool::<usize, usize>::builder()
        .workers(1)
        .build(|job, _| job)
        .unwrap();
    pool.submit_all(0..8).unwrap();
    pool.wait_idle().unwrap();
    let forms: [fn(&mut Results<usize>) -> usize; 3] = [
        |results| results.recv().unwrap().result.unwrap(),
        |results| results.try_recv().unwrap().result.unwrap(),
        |results| results.next().unwrap().result.unwrap(),
    ];
    // All of them are in one claim.
    for (taken, take) in forms.into_iter().cycle().take(7).enumerate() {
        let outcome = results.recv().unwrap();
        results.put_back(outcome);
        assert_eq!(take(&mut results), taken);
    }
    pool.join().unwrap();
    assert_eq!(results.count(), 1);
}

/// While jobs take next to no time, workers that are more than the cores leave them to the others. They
/// come back for jobs that wait for each other.
#[test]
fn all_workers_come_back_for_jobs_that_wait_for_each_other() {
    let (rounds, burst) = if cfg!(miri) { (1, 100) } else { (100, 1_000) };
    let workers = thread::available_parallelism().map_or(1, NonZero::get) + 3;
    let (pool, results) = WorkerPool::<Option<Arc<Barrier>>, ()>::builder()
        .workers(workers)
        .job_capacity(16)
        .on_start(|_| be_quick())
        .build(|barrier, _| {
            if let Some(barrier) = barrier {
                barrier.wait();
            }
        })
        .unwrap();
    drop(results);
    for _ in 0..rounds {
        let barrier = Arc::new(Barrier::new(workers + 1));
        let quick = std::iter::repeat_n(None, burst);
        let waiting = std::iter::repeat_n(Some(Arc::clone(&barrier)), workers);
        pool.submit_all(quick.chain(waiting)).unwrap();
        barrier.wait();
    }
}
