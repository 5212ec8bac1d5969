//! The borrowed form: what a pool in a scope may borrow, and how the scope ends.

use crate::common::{Door, OpenAtEnd, PanicsOnDrop, assert_conserved, eventually, watchdog};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;
use workcrew::{
    BuildError, Builder, JobError, JoinError, RecvError, Results, SubmitError, WorkerPool,
};

/// A job that may borrow.
type Task<'env> = Box<dyn FnOnce() -> u64 + Send + 'env>;

fn tasks<'env>(workers: usize) -> Builder<'env, Task<'env>, u64> {
    WorkerPool::builder().workers(workers)
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn add(sum: &AtomicU64, number: u64) {
    sum.fetch_add(number, Ordering::Relaxed);
}

/// The body's panic, which is passed on by the scope.
#[track_caller]
fn panic_of<T>(scope: impl FnOnce() -> T) -> &'static str {
    let payload = catch_unwind(AssertUnwindSafe(scope)).map(drop).unwrap_err();
    payload.downcast_ref::<&str>().copied().unwrap()
}

#[test]
fn jobs_results_states_hooks_and_the_function_borrow_from_the_stack() {
    let _watchdog = watchdog();
    let text = String::from("jobs and results and states");
    let least = 4;
    let seen = [const { AtomicUsize::new(0) }; 3];
    let (started, stopped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (words, states) = WorkerPool::<&str, Option<&str>>::builder()
        .workers(3)
        .on_start(|_| count(&started))
        .on_stop(|_| count(&stopped))
        .init(|worker| &seen[worker])
        .scope(
            |word, ctx| {
                ctx.state.fetch_add(1, Ordering::Relaxed);
                (word.len() >= least).then_some(word)
            },
            |pool, mut results| {
                assert_eq!(started.load(Ordering::Relaxed), 3);
                let words = pool.map_ordered(&mut results, text.split(' '));
                let words: Vec<&str> = words.filter_map(|word| word.result.unwrap()).collect();
                (words, pool.shutdown().unwrap())
            },
        )
        .unwrap();
    assert_eq!(stopped.load(Ordering::Relaxed), 3);
    // Both outlive the scope, like what they borrow.
    assert_eq!(words, ["jobs", "results", "states"]);
    let runs = states.iter().map(|state| state.load(Ordering::Relaxed));
    assert_eq!(runs.sum::<usize>(), 5);
    assert!(states.iter().zip(&seen).all(|(a, b)| std::ptr::eq(*a, b)));
}

#[test]
fn all_that_was_accepted_has_run_and_all_threads_have_ended_when_the_scope_returns() {
    let _watchdog = watchdog();
    for workers in [1, 2, 5] {
        let (sum, stopped) = (AtomicU64::new(0), AtomicUsize::new(0));
        WorkerPool::<u64, ()>::builder()
            .workers(workers)
            .job_capacity(100)
            .result_capacity(1)
            .on_stop(|_| count(&stopped))
            .scope(
                |job, _| add(&sum, job),
                |pool, _results| assert_eq!(pool.submit_all(0..100).unwrap(), 100),
            )
            .unwrap();
        assert_eq!(sum.into_inner(), 4950);
        assert_eq!(stopped.into_inner(), workers);
    }
}

#[test]
fn an_early_return_from_the_body_runs_what_was_accepted() {
    let _watchdog = watchdog();
    let sum = AtomicU64::new(0);
    let parsed = WorkerPool::<u64, ()>::builder().workers(2).scope(
        |job, _| add(&sum, job),
        |pool, _results| {
            for number in ["1", "20", "x", "300"] {
                pool.submit(number.parse()?).unwrap();
            }
            Ok::<_, std::num::ParseIntError>(())
        },
    );
    assert!(parsed.unwrap().is_err());
    assert_eq!(sum.into_inner(), 21);
}

#[test]
fn every_ending_works_inside_the_body() {
    let _watchdog = watchdog();
    let numbers: Vec<u64> = (0..20).collect();
    let builder = || WorkerPool::<&u64, &u64>::builder().workers(2);
    let join = |mut pool: WorkerPool<_, _>, results: Results<&u64>| {
        pool.submit_all(&numbers).unwrap();
        pool.wait_idle().unwrap();
        pool.join_timeout(Duration::MAX).unwrap();
        assert!(matches!(pool.submit(&7), Err(SubmitError::Closed(7))));
        pool.join().unwrap();
        results.map(|outcome| outcome.result.unwrap()).sum::<u64>()
    };
    assert_eq!(builder().scope(|job, _| job, join).unwrap(), 190);

    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (done, returned) = builder()
        .scope(
            |job, ctx| {
                door.pass();
                eventually("it is cancelled", || ctx.is_cancelled());
                job
            },
            |pool, results| {
                pool.submit_all(&numbers[..2]).unwrap();
                door.wait_for(2);
                pool.submit_all(&numbers[2..]).unwrap();
                door.open();
                let returned = pool.shutdown_now().unwrap();
                (results.count(), returned)
            },
        )
        .unwrap();
    assert_eq!(done, 2);
    assert!(returned.into_iter().eq(&numbers[2..]));
}

#[test]
fn a_panic_in_the_body_cancels_the_queued_jobs_and_goes_on() {
    let _watchdog = watchdog();
    let (door, ran, stopped) = (Door::new(), AtomicUsize::new(0), AtomicUsize::new(0));
    let queued = Dropped::default();
    let taken = Mutex::new(Vec::new());
    let panic = thread::scope(|outside| {
        let (door, ran, queued, taken) = (&door, &ran, &queued, &taken);
        panic_of(|| {
            WorkerPool::<_, ()>::builder()
                .workers(2)
                .on_stop(|_| count(&stopped))
                .scope(
                    |job: Counted<'_>, ctx| {
                        door.pass();
                        eventually("it is cancelled", || ctx.is_cancelled());
                        ran.fetch_add(1, Ordering::Relaxed);
                        drop(job);
                    },
                    |pool, results| {
                        outside.spawn(move || {
                            let results = results.map(|outcome| outcome.result);
                            *taken.lock().unwrap() = results.collect::<Vec<_>>();
                        });
                        let jobs = |count| (0..count).map(|_| Counted(queued));
                        pool.submit_all(jobs(2)).unwrap();
                        door.wait_for(2);
                        pool.submit_all(jobs(30)).unwrap();
                        door.open();
                        panic!("in the body");
                    },
                )
        })
    });
    assert_eq!(panic, "in the body");
    assert_eq!(stopped.into_inner(), 2);
    assert_eq!((ran.into_inner(), queued.0.into_inner()), (2, 32));
    let taken = taken.into_inner().unwrap();
    let cancelled = |result: &&Result<(), _>| matches!(result, Err(JobError::Cancelled));
    assert_eq!(
        (taken.len(), taken.iter().filter(cancelled).count()),
        (32, 30)
    );
}

#[derive(Default)]
struct Dropped(AtomicUsize);

struct Counted<'a>(&'a Dropped);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_panic_in_the_body_does_not_wait_for_takers() {
    let _watchdog = watchdog();
    for (forget, forget_the_pool_too) in [(false, false), (true, false), (true, true)] {
        let dropped = Dropped::default();
        let panic = panic_of(|| {
            WorkerPool::builder()
                .workers(2)
                .job_capacity(10)
                .result_capacity(1)
                .scope(
                    |job: Counted<'_>, _| job,
                    |pool, results| {
                        pool.submit_all((0..10).map(|_| Counted(&dropped))).unwrap();
                        eventually("both workers wait for takers", || {
                            pool.stats().blocked_workers == 2
                        });
                        if forget {
                            std::mem::forget(results);
                        }
                        if forget_the_pool_too {
                            std::mem::forget(pool);
                        }
                        panic!("with results untaken");
                    },
                )
        });
        assert_eq!(panic, "with results untaken");
        // What nobody can take leaks, and nothing else.
        let leaked = 10 - dropped.0.into_inner();
        assert_eq!(leaked > 0, forget);
    }
}

#[test]
fn a_pool_that_the_body_forgets_still_ends_with_the_scope() {
    let _watchdog = watchdog();
    for panics in [false, true] {
        let (ran, stopped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let dropped = Dropped::default();
        let door = Door::new();
        let outcomes = thread::scope(|outside| {
            let (sender, taker) = mpsc::channel();
            let scope = catch_unwind(AssertUnwindSafe(|| {
                WorkerPool::builder()
                    .workers(2)
                    .init(|_| Counted(&dropped))
                    .on_stop(|_| count(&stopped))
                    .scope(
                        |(), ctx| {
                            door.pass();
                            if panics {
                                eventually("it is cancelled", || ctx.is_cancelled());
                            }
                            ran.fetch_add(1, Ordering::Relaxed);
                        },
                        |pool, results: Results<()>| {
                            let take = || results.map(|outcome| outcome.result).collect::<Vec<_>>();
                            sender.send(outside.spawn(take)).unwrap();
                            pool.submit_all([(); 2]).unwrap();
                            door.wait_for(2);
                            pool.submit_all([(); 8]).unwrap();
                            door.open();
                            std::mem::forget(pool);
                            assert!(!panics);
                        },
                    )
                    .unwrap();
            }));
            assert_eq!(scope.is_err(), panics);
            assert_eq!(stopped.load(Ordering::Relaxed), 2);
            taker.recv().unwrap().join().unwrap()
        });
        assert_eq!(outcomes.len(), 10);
        let done = outcomes.iter().filter(|result| result.is_ok()).count();
        assert_eq!(
            (done, ran.into_inner()),
            if panics { (2, 2) } else { (10, 10) }
        );
        // Of a crew that nobody can join, the threads drop the states.
        assert_eq!(dropped.0.into_inner(), if panics { 2 } else { 0 });
    }
}

#[test]
fn what_leaves_the_body_is_closed_and_ended() {
    let _watchdog = watchdog();
    let numbers: Vec<u64> = (0..10).collect();
    let (pool, handle, mut results) = WorkerPool::<&u64, &u64>::builder()
        .workers(2)
        .init(|worker| &numbers[worker])
        .scope(
            |job, _| job,
            |pool, results| {
                pool.submit_all(&numbers).unwrap();
                let handle = pool.handle();
                (pool, handle, results)
            },
        )
        .unwrap();
    assert!(handle.is_closed());
    assert!(matches!(handle.submit(&7), Err(SubmitError::Closed(7))));
    let stats = pool.stats();
    assert_eq!((stats.completed, stats.results_waiting), (10, 10));
    assert_conserved(&stats);
    let sum: u64 = results
        .by_ref()
        .map(|outcome| outcome.result.unwrap())
        .sum();
    assert_eq!(sum, 45);
    assert!(matches!(results.recv(), Err(RecvError::Ended)));
    assert_eq!(pool.shutdown().unwrap(), [&0, &1]);
}

#[test]
fn results_that_the_body_drops_or_that_fit_hold_up_nobody() {
    let _watchdog = watchdog();
    let ran = AtomicUsize::new(0);
    let run = |jobs: usize, deed: fn(Results<()>)| {
        WorkerPool::<(), ()>::builder()
            .workers(2)
            .result_capacity(10)
            .scope(
                |(), _| count(&ran),
                |pool, results| {
                    deed(results);
                    pool.submit_all(vec![(); jobs]).unwrap();
                    let stats = pool.handle();
                    pool.join().unwrap();
                    stats.stats().results_discarded
                },
            )
            .unwrap()
    };
    assert_eq!(run(100, drop), 100);
    assert_eq!(run(10, std::mem::forget), 0);
    assert_eq!(ran.into_inner(), 110);
}

/// The scope's end waits for it, as the pool's does.
#[test]
fn a_taker_outside_of_the_body_gets_everything() {
    let _watchdog = watchdog();
    let numbers: Vec<u64> = (0..100).collect();
    let sum = thread::scope(|outside| {
        let taker = WorkerPool::<&u64, &u64>::builder()
            .workers(3)
            .result_capacity(1)
            .scope(
                |job, _| job,
                |pool, results| {
                    pool.submit_all(&numbers).unwrap();
                    outside
                        .spawn(move || results.map(|outcome| outcome.result.unwrap()).sum::<u64>())
                },
            )
            .unwrap();
        taker.join().unwrap()
    });
    assert_eq!(sum, 4950);
}

#[test]
fn a_panic_in_a_job_is_its_outcome() {
    let _watchdog = watchdog();
    let name = String::from("seven");
    let made = AtomicUsize::new(0);
    let outcomes = WorkerPool::<u64, &str>::builder()
        .workers(1)
        .init(|_| made.fetch_add(1, Ordering::Relaxed))
        .scope(
            |job, _| {
                assert_eq!(job, 7);
                name.as_str()
            },
            |pool, results| {
                pool.submit_all([7, 8, 7]).unwrap();
                pool.close();
                results
                    .map(|outcome| outcome.result.ok())
                    .collect::<Vec<_>>()
            },
        )
        .unwrap();
    assert_eq!(outcomes, [Some("seven"), None, Some("seven")]);
    assert_eq!(made.into_inner(), 2);
}

#[test]
fn a_panic_in_init_or_in_the_start_hook_fails_and_the_body_is_not_called() {
    let _watchdog = watchdog();
    for bad in 0..3 {
        for in_the_hook in [false, true] {
            let (stopped, entered) = (AtomicUsize::new(0), AtomicBool::new(false));
            let error = WorkerPool::<(), ()>::builder()
                .workers(3)
                .on_start(|worker| assert!(!in_the_hook || worker != bad, "no start"))
                .on_stop(|_| count(&stopped))
                .init(|worker| {
                    assert!(in_the_hook || worker != bad, "no start");
                    PanicsOnDrop
                })
                .scope(|(), _| (), |_, _| entered.store(true, Ordering::Relaxed))
                .unwrap_err();
            assert!(
                matches!(&error, BuildError::Startup { worker, .. } if *worker == bad),
                "{error:?}"
            );
            assert!(error.to_string().contains("no start"), "{error}");
            assert!(!entered.into_inner());
            // No thread is left: all that have passed the first hook have passed the last.
            assert_eq!(stopped.into_inner(), if in_the_hook { 2 } else { 3 });
        }
    }
}

#[test]
fn what_cannot_be_built_is_an_error_and_the_body_is_not_called() {
    let _watchdog = watchdog();
    let scope = |builder: Builder<'_, (), ()>| {
        builder
            .scope(|(), _| (), |_, _| unreachable!("there is no pool"))
            .unwrap_err()
    };
    let builder = || WorkerPool::builder().workers(2);
    assert!(matches!(
        scope(builder().workers(0)),
        BuildError::ZeroWorkers
    ));
    // Miri refuses no thread.
    if !cfg!(miri) {
        let error = scope(builder().stack_size(1 << 46));
        assert!(matches!(error, BuildError::Thread(_)), "{error:?}");
    }
}

#[test]
fn waiting_for_the_pool_in_its_own_worker_is_an_error() {
    let _watchdog = watchdog();
    let own = Mutex::new(None);
    let door = Door::new();
    let ran = AtomicUsize::new(0);
    WorkerPool::<u64, u64>::builder()
        .workers(2)
        .init(|_| PanicsOnDrop)
        .scope(
            |job, _| {
                door.pass();
                if job == 0 {
                    let pool: WorkerPool<u64, u64, PanicsOnDrop> =
                        own.lock().unwrap().take().unwrap();
                    assert_eq!(pool.join(), Err(JoinError::WouldDeadlock));
                }
                ran.fetch_add(1, Ordering::Relaxed);
                job
            },
            |pool, _results| {
                pool.submit_all(0..20).unwrap();
                *own.lock().unwrap() = Some(pool);
                door.open();
            },
        )
        .unwrap();
    assert_eq!(ran.into_inner(), 20);
}

#[test]
fn scopes_nest_and_the_inner_borrows_from_the_outer_body() {
    let _watchdog = watchdog();
    let (low, high): (Vec<u64>, Vec<u64>) = (0..100).partition(|n| *n < 50);
    let sum = tasks(2)
        .scope(
            |task, _| task(),
            |outer, mut outer_results| {
                let local: Vec<u64> = high.iter().map(|n| n * 2).collect();
                let (low, half) = (&low, |n: &u64| n / 2);
                let inner = WorkerPool::<&u64, u64>::builder().workers(2).scope(
                    |job, _| half(job),
                    |inner, inner_results| {
                        outer.submit(Box::new(|| low.iter().sum())).unwrap();
                        inner.submit_all(&local).unwrap();
                        inner.close();
                        inner_results
                            .map(|outcome| outcome.result.unwrap())
                            .sum::<u64>()
                    },
                );
                inner.unwrap() + outer_results.recv().unwrap().result.unwrap()
            },
        )
        .unwrap();
    assert_eq!(sum, 4950);
}

#[test]
fn a_job_may_have_a_pool_in_a_scope_of_its_own() {
    let _watchdog = watchdog();
    let rows = [[1_u64, 2, 3], [4, 5, 6], [7, 8, 9]];
    let sum_of = |row: &[u64; 3]| {
        let squares = WorkerPool::<&u64, u64>::builder().workers(2).scope(
            |n, _| n * n,
            |pool, mut results| {
                let squares = pool.map(&mut results, row);
                squares.map(|square| square.result.unwrap()).sum::<u64>()
            },
        );
        squares.unwrap()
    };
    let totals: Vec<u64> = WorkerPool::<&[u64; 3], u64>::builder()
        .workers(2)
        .scope(
            |row, _| sum_of(row),
            |pool, mut results| {
                let totals = pool.map_ordered(&mut results, &rows);
                totals.map(|total| total.result.unwrap()).collect()
            },
        )
        .unwrap();
    assert_eq!(totals, [14, 77, 194]);
}
