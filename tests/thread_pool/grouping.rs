//! Groups: jobs that may fail, the first failure, and limits.

use crate::common::{Door, OpenAtEnd, PanicsOnDrop, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::error::Error;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::{io, thread};
use workcrew::{Failure, Group, GroupError, JobError, ThreadPool, ThreadPoolHandle};

fn pool(workers: usize) -> ThreadPool {
    ThreadPool::builder()
        .workers(workers)
        .job_capacity(4)
        .build()
        .unwrap()
}

/// With each limit, and without one: the last is beyond the workers.
const LIMITS: [Option<usize>; 5] = [None, Some(1), Some(2), Some(3), Some(usize::MAX)];

fn group<'env, B, T: Send, E: Send>(
    pool: &ThreadPoolHandle,
    limit: Option<usize>,
    body: B,
) -> Result<Vec<T>, GroupError<T, E>>
where
    B: for<'scope> FnOnce(&'scope Group<'scope, 'env, T, E>),
{
    match limit {
        None => pool.group(body),
        Some(limit) => pool.limited_group(limit, body),
    }
}

fn message<T>(failure: &Failure<T>) -> &str {
    match failure {
        Failure::NoResult(JobError::Panicked(panic)) => panic.message(),
        _ => panic!("no panic"),
    }
}

#[test]
fn values_come_in_the_order_of_spawning() {
    let _watchdog = watchdog();
    for workers in [1, 3] {
        for limit in LIMITS {
            let pool = pool(workers);
            let words: Vec<String> = (0..100).map(|n: u32| n.to_string()).collect();
            let squares = |pool: &ThreadPoolHandle| {
                group(pool, limit, |group| {
                    for (n, word) in words.iter().enumerate() {
                        let index = group.spawn(|| word.parse::<usize>().map(|n| n * n));
                        assert_eq!(index, n);
                    }
                })
            };
            let right = |values: &[usize]| values.iter().copied().eq((0..100).map(|n| n * n));
            assert!(right(&squares(&pool.handle()).unwrap()));
            pool.wait_idle().unwrap();
            let stats = pool.stats();
            assert_eq!((stats.accepted, stats.completed), (100, 100), "{limit:?}");
            // One of the workers waits.
            let handle = &pool.handle();
            pool.scope(|scope| scope.spawn(|| assert!(right(&squares(handle).unwrap()))));
            pool.wait_idle().unwrap();
            assert_conserved(&pool.stats());
        }
    }
}

#[test]
fn a_slow_jobs_value_keeps_its_place() {
    let _watchdog = watchdog();
    let pool = pool(2);
    let started = AtomicUsize::new(0);
    let values = pool.group(|group| {
        for n in 0..6 {
            let started = &started;
            group.spawn(move || {
                started.fetch_max(n, SeqCst);
                if n == 0 {
                    // Those from 1 to 4 have ended before.
                    eventually("five", || started.load(SeqCst) == 5);
                }
                Ok::<_, ()>(n)
            });
        }
    });
    assert_eq!(values.unwrap(), [0, 1, 2, 3, 4, 5]);
}

/// Two other jobs lie in the pool's queue before the rest, and end after the group: so who
/// failed has dropped the rest, and nobody had to wait for a worker.
#[test]
fn the_first_failure_drops_what_has_not_started_and_everything_that_finished_comes_back() {
    let _watchdog = watchdog();
    for limit in [None, Some(2)] {
        let pool = ThreadPool::builder()
            .workers(2)
            .job_capacity(50)
            .build()
            .unwrap();
        let (others, running) = (Door::new(), Door::new());
        let _open = (OpenAtEnd(&others), OpenAtEnd(&running));
        let (counted, ran) = (Arc::new(()), AtomicUsize::new(0));
        let outcome = group(&pool.handle(), limit, |group| {
            group.spawn(|| {
                running.pass();
                // It has started, so it goes on.
                eventually("cancelled", || group.is_cancelled());
                eventually("dropped", || Arc::strong_count(&counted) == 1);
                Ok("late")
            });
            group.spawn(|| {
                running.pass();
                Err("the first")
            });
            running.wait_for(2);
            for _ in 0..2 {
                let others = others.clone();
                pool.execute(move || others.pass()).unwrap();
            }
            for _ in 0..20 {
                let counted = Arc::clone(&counted);
                group.spawn(|| {
                    drop(counted);
                    ran.fetch_add(1, Relaxed);
                    Ok("too late")
                });
            }
            running.open();
        });
        others.open();
        let error = outcome.unwrap_err();
        assert_eq!(error.index, 1);
        assert!(matches!(error.failure, Failure::Job("the first")));
        assert_eq!(error.finished, [(0, "late")]);
        assert!(error.failures.is_empty());
        assert_eq!((error.cancelled, ran.into_inner()), (20, 0));
        pool.wait_idle().unwrap();
        assert_conserved(&pool.stats());
    }
}

#[test]
fn a_panic_is_a_failure_as_any_other() {
    let _watchdog = watchdog();
    let pool = pool(2);
    let error = pool
        .group(|group| {
            group.spawn(|| -> Result<(), io::Error> { resume_unwind(Box::new("a panic")) });
        })
        .unwrap_err();
    assert_eq!((error.index, message(&error.failure)), (0, "a panic"));
    assert_eq!(
        error.to_string(),
        "job 0 of the group: the job panicked: a panic"
    );
    assert!(error.source().is_some_and(|source| source.is::<JobError>()));
    pool.wait_idle().unwrap();
    assert_eq!(pool.stats().panicked, 1);
    assert_conserved(&pool.stats());
}

#[test]
fn others_that_fail_before_they_could_be_cancelled_are_told_too() {
    let _watchdog = watchdog();
    let pool = pool(3);
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let error = pool
        .group(|group| {
            group.spawn(|| {
                door.pass();
                eventually("cancelled", || group.is_cancelled());
                Err(0)
            });
            group.spawn(|| {
                door.pass();
                Err(1)
            });
            group.spawn(|| -> Result<(), _> {
                door.pass();
                eventually("cancelled", || group.is_cancelled());
                resume_unwind(Box::new("two"))
            });
            door.wait_for(3);
            door.open();
        })
        .unwrap_err();
    assert_eq!(error.index, 1);
    assert!(matches!(error.failure, Failure::Job(1)));
    let [(0, Failure::Job(0)), (2, other)] = &error.failures[..] else {
        panic!("{error:?}");
    };
    assert_eq!((message(other), error.cancelled), ("two", 0));
}

#[test]
fn at_most_so_many_jobs_of_a_limited_group_run_at_a_time() {
    const JOBS: usize = if cfg!(miri) { 20 } else { 200 };
    let _watchdog = watchdog();
    for (workers, limit) in [(1, 1), (3, 1), (3, 2), (3, 3), (3, 4)] {
        let pool = pool(workers);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = |handle: &ThreadPoolHandle| {
            let outcome = handle.limited_group(limit, |group| {
                for _ in 0..JOBS {
                    group.spawn(|| {
                        most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                        Ok::<_, ()>(())
                    });
                }
            });
            assert_eq!(outcome.unwrap().len(), JOBS);
        };
        let handle = &pool.handle();
        run(handle);
        // One of the workers waits, and runs jobs meanwhile.
        pool.scope(|scope| scope.spawn(|| run(handle)));
        assert!(most.into_inner() <= limit);
    }
}

#[test]
fn as_many_as_the_limit_run_at_a_time() {
    let _watchdog = watchdog();
    let pool = pool(3);
    for limit in [2, 3] {
        let together = AtomicUsize::new(0);
        let outcome = pool.limited_group(limit, |group| {
            for _ in 0..limit * 10 {
                group.spawn(|| {
                    // Each goes on when a round is complete.
                    let round = together.fetch_add(1, SeqCst) / limit + 1;
                    eventually("together", || together.load(SeqCst) >= round * limit);
                    Ok::<_, ()>(())
                });
            }
        });
        assert_eq!(outcome.unwrap().len(), limit * 10);
    }
}

#[test]
fn jobs_over_the_limit_take_no_worker_and_no_place_in_the_queue() {
    let _watchdog = watchdog();
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(1)
        .build()
        .unwrap();
    let door = Door::new();
    let ran = Arc::new(AtomicUsize::new(0));
    let outcome = pool.limited_group(1, |group| {
        let _open = OpenAtEnd(&door);
        for _ in 0..10 {
            group.spawn(|| {
                door.pass();
                Ok::<_, ()>(())
            });
        }
        door.wait_for(1);
        for _ in 0..10 {
            let ran = Arc::clone(&ran);
            let count = move || {
                // It brings that this job counts as started.
                ran.fetch_add(1, SeqCst);
            };
            pool.execute(count).unwrap();
        }
        eventually("the others have run", || ran.load(SeqCst) == 10);
        assert_eq!((door.came(), pool.stats().queued), (1, 0));
        door.open();
    });
    assert_eq!(outcome.unwrap().len(), 10);
}

#[test]
fn under_a_limit_of_one_jobs_run_in_the_order_of_spawning() {
    let _watchdog = watchdog();
    let pool = pool(3);
    let order = Mutex::new(Vec::new());
    let outcome = pool.limited_group(1, |group| {
        for n in 0..100 {
            let order = &order;
            group.spawn(move || {
                order.try_lock().expect("nobody else runs").push(n);
                Ok::<_, ()>(())
            });
        }
    });
    assert_eq!(outcome.unwrap().len(), 100);
    assert!(order.into_inner().unwrap().into_iter().eq(0..100));
}

#[test]
fn a_limit_of_zero_is_an_error_and_the_body_is_not_called() {
    let pool = pool(1);
    let outcome = pool.limited_group(0, |_: &Group<'_, '_, (), io::Error>| {
        unreachable!("not called")
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error.failure, Failure::ZeroLimit));
    assert_eq!(error.to_string(), "the group's limit must be at least 1");
    assert!(error.source().is_none());
}

#[test]
fn jobs_of_a_group_spawn_further_ones() {
    fn tree<'scope>(group: &'scope Group<'scope, '_, u32, ()>, depth: u32) -> Result<u32, ()> {
        if depth > 0 {
            for _ in 0..3 {
                group.spawn(move || tree(group, depth - 1));
            }
        }
        Ok(depth)
    }
    let _watchdog = watchdog();
    let (depth, nodes, leaves) = if cfg!(miri) {
        (3, 40, 27)
    } else {
        (5, 364, 243)
    };
    for workers in [1, 3] {
        for limit in LIMITS {
            let pool = pool(workers);
            let values = group(&pool.handle(), limit, |group| {
                group.spawn(move || tree(group, depth));
            });
            let values = values.unwrap();
            let last = values.iter().filter(|depth| **depth == 0).count();
            assert_eq!((values.len(), last, values[0]), (nodes, leaves, depth));
        }
    }
}

/// All workers wait in groups whose jobs are queued behind other groups.
#[test]
fn nested_groups_on_few_workers_end() {
    fn count(pool: &ThreadPoolHandle, limit: Option<usize>, depth: u32) -> Result<usize, ()> {
        if depth == 0 {
            return Ok(1);
        }
        let counts = group(pool, limit, |group| {
            for _ in 0..3 {
                group.spawn(|| count(pool, limit, depth - 1));
            }
        });
        Ok(counts.map_err(drop)?.into_iter().sum())
    }
    let _watchdog = watchdog();
    let (depth, leaves) = if cfg!(miri) { (2, 9) } else { (4, 81) };
    for workers in [1, 2] {
        for limit in LIMITS {
            let pool = pool(workers);
            let handle = pool.handle();
            let inside = pool.spawn(move || count(&handle, limit, depth)).unwrap();
            assert_eq!(count(&pool.handle(), limit, depth), Ok(leaves));
            assert_eq!(inside.join().unwrap(), Ok(leaves));
            pool.wait_idle().unwrap();
            assert_conserved(&pool.stats());
        }
    }
}

/// As for scopes: the complaint is rayon's issue 592.
#[test]
fn a_job_that_holds_a_mutex_while_it_waits_in_a_group_meets_no_job_that_wants_it() {
    const JOBS: usize = if cfg!(miri) { 4 } else { 20 };
    let _watchdog = watchdog();
    for workers in [1, 2] {
        for limit in LIMITS {
            let pool = &pool(workers);
            let lock = &Mutex::new(0);
            let outer = group(&pool.handle(), limit, |outer| {
                for _ in 0..JOBS {
                    outer.spawn(move || {
                        let mut number = lock.lock().unwrap();
                        let parts = group(&pool.handle(), limit, |inner| {
                            for n in 0..5 {
                                inner.spawn(move || Ok::<_, ()>(n));
                            }
                        });
                        *number += parts.unwrap().len();
                        Ok::<_, ()>(())
                    });
                }
            });
            assert_eq!(outer.unwrap().len(), JOBS);
            assert_eq!(*lock.lock().unwrap(), 5 * JOBS);
        }
    }
}

#[test]
fn a_chain_of_a_hundred_thousand_jobs_at_a_limit_does_not_overflow_a_workers_stack() {
    fn deep<'scope>(
        group: &'scope Group<'scope, '_, (), u32>,
        depth: u32,
        fails: bool,
    ) -> Result<(), u32> {
        match depth {
            0 if fails => Err(7),
            0 => Ok(()),
            _ => {
                group.spawn(move || deep(group, depth - 1, fails));
                Ok(())
            }
        }
    }
    let _watchdog = watchdog();
    let depth = if cfg!(miri) { 100 } else { 100_000 };
    let pool = ThreadPool::builder()
        .workers(2)
        .stack_size(64 << 10)
        .build()
        .unwrap();
    for fails in [false, true] {
        let run = move |pool: &ThreadPoolHandle| {
            let outcome = pool.limited_group(1, |group| {
                group.spawn(move || deep(group, depth, fails));
            });
            match outcome {
                Ok(values) => values.len() == depth as usize + 1 && !fails,
                Err(error) => error.finished.len() == depth as usize && fails,
            }
        };
        let handle = pool.handle();
        assert!(run(&handle));
        let inside = pool.spawn(move || run(&handle)).unwrap();
        assert!(inside.join().unwrap());
    }
}

#[test]
fn a_panic_in_the_body_drops_what_has_not_started_and_goes_on_when_the_rest_has_ended() {
    let _watchdog = watchdog();
    for limit in [None, Some(1)] {
        let door = Door::new();
        let pool = pool(1);
        let (counted, ran) = (Arc::new(()), AtomicUsize::new(0));
        let ended = AtomicBool::new(false);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _ = group(&pool.handle(), limit, |group| {
                group.spawn(|| {
                    door.pass();
                    eventually("cancelled", || group.is_cancelled());
                    ended.store(true, Relaxed);
                    // What it returns is dropped once.
                    Ok((Arc::clone(&counted), PanicsOnDrop))
                });
                door.wait_for(1);
                for _ in 0..3 {
                    let counted = Arc::clone(&counted);
                    group.spawn(|| {
                        ran.fetch_add(1, Relaxed);
                        Err((counted, PanicsOnDrop))
                    });
                }
                door.open();
                resume_unwind(Box::new("the body's"));
            });
        }));
        let payload = unwound.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"the body's"));
        assert!(ended.into_inner());
        assert_eq!(ran.into_inner(), 0);
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}

/// As after a failure: nobody waits for a worker.
#[test]
fn a_panic_in_the_body_goes_on_though_all_workers_have_other_work() {
    let _watchdog = watchdog();
    for limit in [None, Some(1)] {
        let door = Door::new();
        let pool = busy(1, 20, &door);
        let _open = OpenAtEnd(&door);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _ = group(&pool.handle(), limit, |group| {
                for _ in 0..5 {
                    group.spawn(|| -> Result<(), ()> { unreachable!("cancelled") });
                }
                resume_unwind(Box::new("the body's"));
            });
        }));
        assert!(unwound.is_err());
    }
}

/// Closures, values, errors and payloads, whatever their drops do.
#[test]
fn everything_in_a_group_is_dropped_once() {
    struct Counted<'a>(
        &'a AtomicUsize,
        #[expect(dead_code, reason = "it is only dropped")] Option<PanicsOnDrop>,
    );
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let _watchdog = watchdog();
    for limit in LIMITS {
        for failing in [3, 50] {
            let (made, drops) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let count = |panics: bool| {
                made.fetch_add(1, Relaxed);
                Counted(&drops, panics.then(|| PanicsOnDrop))
            };
            let pool = pool(3);
            let outcome = group(&pool.handle(), limit, |group| {
                for n in 0..50 {
                    // What panics in its drop is dropped unrun, or is a job's panic.
                    let (held, bad) = (count(n % 7 == 6), [n; 20]);
                    let count = &count;
                    group.spawn(move || {
                        let value = (count(false), bad);
                        if n == failing {
                            return Err(count(false));
                        }
                        drop(held);
                        Ok(value)
                    });
                }
            });
            // The sixth panics, if none was faster.
            let error = outcome.map(drop).unwrap_err();
            assert!(error.index == failing || error.index % 7 == 6);
            let ended = 1 + error.finished.len() + error.failures.len();
            assert_eq!(ended + error.cancelled, 50);
            drop(error);
            drop(pool);
            assert_eq!(
                drops.load(Relaxed),
                made.load(Relaxed),
                "{limit:?} {failing}"
            );
        }
    }
}

#[test]
fn what_is_spawned_after_the_failure_is_dropped_at_once() {
    let _watchdog = watchdog();
    for limit in [None, Some(1)] {
        let pool = pool(2);
        let counted = Arc::new(());
        let error = group(&pool.handle(), limit, |group| {
            group.spawn(|| Err::<(), _>("failed"));
            eventually("cancelled", || group.is_cancelled());
            for n in 1..=10 {
                let (held, bad) = (Arc::clone(&counted), PanicsOnDrop);
                let index = group.spawn(|| unreachable!("{:?}", (held, bad)));
                assert_eq!((index, Arc::strong_count(&counted)), (n, 1));
            }
        });
        assert_eq!(error.unwrap_err().cancelled, 10);
    }
}

/// In a closed pool, and in one that is shut down meanwhile, the owner runs the jobs.
#[test]
fn a_group_ends_whatever_becomes_of_its_pool() {
    fn jobs<'scope>(group: &'scope Group<'scope, '_, usize, ()>) {
        for n in 0..5 {
            group.spawn(move || {
                group.spawn(move || Ok(n + 10));
                Ok(n)
            });
        }
    }
    fn check<E: Debug>(outcome: Result<Vec<usize>, E>) {
        let mut values = outcome.unwrap();
        assert_eq!(values[..5], [0, 1, 2, 3, 4]);
        values.sort_unstable();
        assert_eq!(values[5..], [10, 11, 12, 13, 14]);
    }
    let _watchdog = watchdog();
    for limit in LIMITS {
        let pool = pool(1);
        pool.close();
        check(group(&pool.handle(), limit, jobs));
        drop(pool);

        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let pool = busy(1, 20, &door);
        let handle = pool.handle();
        check(group(&handle.clone(), limit, |group| {
            jobs(group);
            let opener = thread::spawn({
                let door = door.clone();
                move || {
                    eventually("closed", || handle.is_closed());
                    door.open();
                }
            });
            // The tickets come back, and are dropped.
            let tickets = limit.map_or(5, |limit| limit.min(5));
            assert_eq!(pool.shutdown_now().unwrap().len(), tickets);
            opener.join().unwrap();
        }));
    }
}

/// The waiting thread runs what a closed pool does not, beside the workers' last jobs.
#[test]
fn a_limit_as_high_as_the_workers_holds_in_a_closed_pool_too() {
    let _watchdog = watchdog();
    let pool = pool(1);
    let (door, ran) = (Door::new(), AtomicBool::new(false));
    let _open = OpenAtEnd(&door);
    let outcome = pool.limited_group(1, |group| {
        group.spawn(|| {
            door.pass();
            // Every opportunity to run beside this one.
            for _ in 0..if cfg!(miri) { 200 } else { 10_000 } {
                thread::yield_now();
            }
            Ok::<_, ()>(ran.load(SeqCst))
        });
        door.wait_for(1);
        pool.close();
        group.spawn(|| {
            ran.store(true, SeqCst);
            Ok(true)
        });
        door.open();
    });
    assert_eq!(outcome.unwrap(), [false, true]);
}

#[test]
fn no_more_jobs_are_handed_back_than_may_run_at_a_time() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = busy(1, 100, &door);
    let handle = pool.handle();
    thread::scope(|scope| {
        let group = scope.spawn(|| {
            handle.limited_group(2, |group| {
                for number in 0..9 {
                    group.spawn(move || Ok::<_, ()>(number));
                }
            })
        });
        eventually("some are queued", || pool.stats().queued == 2);
        let handle = pool.handle();
        let ended = scope.spawn(|| pool.shutdown_now().unwrap());
        eventually("it is closed", || handle.is_closed());
        door.open();
        let back = ended.join().unwrap();
        // Each could be run in a thread of its own.
        assert!(back.len() <= 2, "{} jobs", back.len());
        back.into_iter().for_each(|job| job.run());
        let numbers = group.join().unwrap().unwrap();
        assert!(numbers.into_iter().eq(0..9));
    });
}
