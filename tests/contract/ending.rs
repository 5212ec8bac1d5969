//! How a pool ends: drained, handed back, cancelled; from outside and from within.

use crate::common::{
    Door, PanicsOnDrop, Task, assert_conserved, behind, crew, drop_while_panicking, eventually,
    value, watchdog,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use workcrew::{Context, JobError, JoinError, Results, WorkerPool};

#[test]
fn join_runs_everything_that_was_accepted() {
    let _watchdog = watchdog();
    for workers in [1, 2, 5] {
        let (pool, results) = crew(workers, 100, 100);
        pool.submit_all((0..100).map(value)).unwrap();
        let stats = pool.handle();
        pool.join().unwrap();
        assert_eq!(stats.stats().completed, 100);
        assert_eq!(results.count(), 100);
    }
}

#[test]
fn dropping_the_pool_runs_everything_that_was_accepted() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 100, 100);
    pool.submit_all((0..100).map(value)).unwrap();
    drop(pool);
    assert_eq!(results.count(), 100);
}

#[test]
fn results_dropped_before_the_pool_do_not_hang_an_early_return() {
    let _watchdog = watchdog();
    let (pool, _results) = crew(2, 100, 1);
    pool.submit_all((0..100).map(value)).unwrap();
}

#[test]
fn the_pool_ends_after_pools_that_did_nothing() {
    let _watchdog = watchdog();
    for workers in [1, 2, 8] {
        let (pool, results) = crew(workers, 1, 1);
        pool.join().unwrap();
        assert_eq!(results.count(), 0);
        let (pool, results) = crew(workers, 1, 1);
        assert!(pool.shutdown_now().unwrap().is_empty());
        assert_eq!(results.count(), 0);
        let (pool, results) = crew(workers, 1, 1);
        drop(results);
        drop(pool);
    }
}

#[test]
fn when_join_returns_the_threads_have_ended() {
    let _watchdog = watchdog();
    let stopped = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&stopped);
    let (pool, _results) = WorkerPool::<(), ()>::builder()
        .workers(4)
        .on_stop(move |_| {
            hook.fetch_add(1, Ordering::Relaxed);
        })
        .build(|(), _| ())
        .unwrap();
    pool.submit_all([(); 50]).unwrap();
    pool.join().unwrap();
    assert_eq!(stopped.load(Ordering::Relaxed), 4);
    assert_eq!(
        Arc::strong_count(&stopped),
        1,
        "a thread still holds the hook"
    );
}

/// A pool whose workers wait behind the door and whose queue holds the jobs 100, 101, ...
fn busy(workers: usize, queued: u64) -> (Door, WorkerPool<Task, u64>, Results<u64>) {
    let door = Door::new();
    let (pool, results) = crew(workers, queued.max(1) as usize, 100);
    for worker in 1..=workers {
        pool.submit(behind(&door, worker as u64)).unwrap();
        door.wait_for(worker);
    }
    for job in 0..queued {
        pool.try_submit(value(100 + job)).unwrap();
    }
    (door, pool, results)
}

/// Opens the door once the pool is closed.
fn open_when_closed(door: Door, pool: &WorkerPool<Task, u64>) -> thread::JoinHandle<()> {
    let handle = pool.handle();
    thread::spawn(move || {
        eventually("the pool is closed", || handle.is_closed());
        door.open();
    })
}

#[test]
fn shutdown_now_returns_exactly_the_queued_jobs_in_order() {
    let _watchdog = watchdog();
    for workers in [1, 2, 3] {
        let (door, pool, results) = busy(workers, 50);
        let stats = pool.handle();
        let opener = open_when_closed(door, &pool);
        let jobs = pool.shutdown_now().unwrap();
        opener.join().unwrap();
        assert!(jobs.into_iter().map(|task| task()).eq(100..150));
        let mut done: Vec<_> = results.map(|outcome| outcome.result.unwrap()).collect();
        done.sort_unstable();
        assert!(done.into_iter().eq(1..=workers as u64));
        let stats = stats.stats();
        assert_eq!((stats.completed, stats.returned), (workers as u64, 50));
        assert_conserved(&stats);
    }
}

#[test]
fn shutdown_now_returns_jobs_that_a_worker_had_taken_into_its_deque() {
    let _watchdog = watchdog();
    let (first, second) = (Door::new(), Door::new());
    let (pool, results) = crew(1, 50, 100);
    pool.submit(behind(&first, 0)).unwrap();
    first.wait_for(1);
    pool.submit(behind(&second, 1)).unwrap();
    pool.submit_all((2..=40).map(value)).unwrap();
    first.open();
    // The worker has claimed the second job together with others.
    second.wait_for(1);
    let stats = pool.handle();
    let opener = open_when_closed(second, &pool);
    let jobs = pool.shutdown_now().unwrap();
    opener.join().unwrap();
    assert!(jobs.into_iter().map(|task| task()).eq(2..=40));
    assert_eq!(results.count(), 2);
    assert_eq!((stats.stats().completed, stats.stats().returned), (2, 39));
}

#[test]
fn shutdown_now_races_submitters_and_every_job_is_somewhere() {
    let _watchdog = watchdog();
    for round in 0..if cfg!(miri) { 3 } else { 200 } {
        let (pool, results) = crew(1 + round % 4, 1 + round % 7, 100_000);
        let handle = pool.handle();
        let submitters: Vec<_> = (0..3)
            .map(|_| {
                let handle = handle.clone();
                thread::spawn(move || {
                    (0..)
                        .take_while(|_| handle.submit(value(1)).is_ok())
                        .count()
                })
            })
            .collect();
        for _ in 0..round * 3 {
            thread::yield_now();
        }
        let returned = pool.shutdown_now().unwrap().len();
        let accepted: usize = submitters
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(results.count() + returned, accepted);
        let stats = handle.stats();
        assert_eq!(stats.accepted, accepted as u64);
        assert_conserved(&stats);
    }
}

#[test]
fn shutdown_now_does_not_wait_for_takers() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 10, 1);
    pool.submit_all((0..10).map(value)).unwrap();
    eventually("both workers wait for takers", || {
        pool.stats().blocked_workers == 2
    });
    let handle = pool.handle();
    let returned = pool.shutdown_now().unwrap().len();
    assert_eq!(results.count() + returned, 10);
    assert_conserved(&handle.stats());
    assert_eq!(handle.stats().blocked_workers, 0);
}

#[test]
fn running_jobs_can_ask_whether_they_are_cancelled() {
    let _watchdog = watchdog();
    let (pool, mut results) = WorkerPool::<(), ()>::builder()
        .workers(2)
        .build(|(), ctx| eventually("it is cancelled", || ctx.is_cancelled()))
        .unwrap();
    pool.submit_all([(); 2]).unwrap();
    eventually("both run", || pool.stats().running == 2);
    pool.shutdown_now().unwrap();
    assert_eq!(
        results
            .by_ref()
            .filter(|outcome| outcome.result.is_ok())
            .count(),
        2
    );
}

#[test]
fn a_pool_dropped_in_a_panic_cancels_the_queued_jobs_and_tells_the_takers() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(2, 30);
    let stats = pool.handle();
    let opener = open_when_closed(door, &pool);
    drop_while_panicking(|| pool);
    opener.join().unwrap();
    let (mut done, mut cancelled) = (0, Vec::new());
    for outcome in results {
        match outcome.result {
            Ok(_) => done += 1,
            Err(JobError::Cancelled) => cancelled.push(outcome.index),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(done, 2);
    assert!(cancelled.into_iter().eq(2..32));
    let stats = stats.stats();
    assert_eq!((stats.completed, stats.cancelled), (2, 30));
    assert_conserved(&stats);
}

#[test]
fn a_pool_dropped_in_a_panic_without_takers_counts_the_discarded_outcomes() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(1, 5);
    drop(results);
    let stats = pool.handle();
    let opener = open_when_closed(door, &pool);
    drop_while_panicking(|| pool);
    opener.join().unwrap();
    let stats = stats.stats();
    assert_eq!((stats.completed, stats.cancelled), (1, 5));
    assert_eq!(
        (stats.results_discarded, stats.results_waiting),
        (6, 0),
        "{stats}"
    );
}

#[test]
fn a_cancelled_job_whose_drop_panics_is_swallowed() {
    let _watchdog = watchdog();
    /// Panics even in a panic, which only a guard around it survives.
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("in a job's drop"));
        }
    }
    let door = Door::new();
    let inside = door.clone();
    let (pool, results) = WorkerPool::<Option<Explosive>, ()>::builder()
        .workers(1)
        .build(move |job, _| {
            std::mem::forget(job);
            inside.pass();
        })
        .unwrap();
    pool.submit(None).unwrap();
    door.wait_for(1);
    for _ in 0..3 {
        pool.submit(Some(Explosive)).unwrap();
    }
    let opener = thread::spawn({
        let handle = pool.handle();
        move || {
            eventually("the pool is closed", || handle.is_closed());
            door.open();
        }
    });
    drop_while_panicking(|| pool);
    opener.join().unwrap();
    let cancelled = results.filter(|outcome| matches!(outcome.result, Err(JobError::Cancelled)));
    assert_eq!(cancelled.count(), 3);
}

/// What a job does with the pool that runs it.
type Deed<S> = fn(WorkerPool<u64, u64, S>, &mut Context<'_, u64, S>);

/// Gives a pool of `workers` with `queued` jobs waiting to its own job, which does `deed`.
/// Returns what the taker got.
fn end_from_within<S: Send + 'static>(
    workers: usize,
    queued: u64,
    state: fn(usize) -> S,
    deed: Deed<S>,
) -> (Vec<Result<u64, JobError>>, workcrew::Stats) {
    let _watchdog = watchdog();
    let own = Arc::new(Mutex::new(None));
    let (inside, door) = (Arc::clone(&own), Door::new());
    let inner_door = door.clone();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(workers)
        .job_capacity(100)
        .init(state)
        .build(move |job, ctx| {
            if job < 10 {
                inner_door.pass();
            }
            if job == 0 {
                let pool = inside
                    .lock()
                    .unwrap()
                    .take()
                    .expect("the pool was put there");
                deed(pool, ctx);
            }
            job
        })
        .unwrap();
    let handle = pool.handle();
    for worker in 0..workers {
        pool.submit(worker as u64).unwrap();
        door.wait_for(worker + 1);
    }
    pool.submit_all(100..100 + queued).unwrap();
    *own.lock().unwrap() = Some(pool);
    door.open();
    let outcomes = results.map(|outcome| outcome.result).collect();
    let ended = handle.clone();
    eventually("all is accounted for", move || {
        let stats = ended.stats();
        stats.running == 0 && stats.queued == 0
    });
    assert!(handle.is_closed());
    assert_conserved(&handle.stats());
    (outcomes, handle.stats())
}

#[test]
fn join_in_an_own_worker_is_an_error_and_the_pool_ends_by_itself() {
    for workers in [1, 3] {
        let (outcomes, stats) = end_from_within(workers, 20, drop, |pool, _| {
            assert_eq!(pool.join(), Err(JoinError::WouldDeadlock));
        });
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(outcomes.len(), workers + 20);
        assert_eq!(stats.completed as usize, workers + 20);
    }
}

#[test]
fn shutdown_in_an_own_worker_is_an_error_and_the_pool_ends_by_itself() {
    let (outcomes, _) = end_from_within(
        2,
        20,
        |worker| worker,
        |pool, _| {
            assert_eq!(pool.shutdown(), Err(JoinError::WouldDeadlock));
        },
    );
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        22
    );
}

#[test]
fn shutdown_now_in_an_own_worker_is_an_error_and_the_queued_jobs_are_cancelled() {
    for workers in [1, 3] {
        let (outcomes, stats) = end_from_within(workers, 20, drop, |pool, ctx| {
            assert_eq!(pool.shutdown_now().unwrap_err(), JoinError::WouldDeadlock);
            assert!(ctx.is_cancelled());
        });
        // Other workers may have taken some before they heard of it.
        let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(done >= workers);
        assert_eq!(outcomes.len(), workers + 20);
        assert_eq!(stats.cancelled as usize, workers + 20 - done);
    }
}

#[test]
fn a_pool_dropped_inside_its_own_job_runs_what_was_accepted() {
    for workers in [1, 3] {
        let (outcomes, _) = end_from_within(workers, 20, drop, |pool, ctx| {
            drop(pool);
            assert!(!ctx.is_cancelled());
        });
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            workers + 20
        );
    }
}

#[test]
fn a_pool_dropped_inside_its_own_panicking_job_cancels_the_queued_jobs() {
    for workers in [1, 3] {
        let (outcomes, stats) = end_from_within(workers, 20, drop, |pool, _| {
            let _dropped_in_the_panic = pool;
            std::panic::resume_unwind(Box::new(()));
        });
        assert_eq!(outcomes.len(), workers + 20);
        assert_eq!(stats.panicked, 1);
        assert_eq!(stats.completed + stats.cancelled, workers as u64 + 19);
    }
}

#[test]
fn states_whose_drops_panic_do_no_harm_when_the_pool_ends_by_itself() {
    let (outcomes, _) = end_from_within(3, 20, |_| PanicsOnDrop, |pool, _| drop(pool));
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        23
    );
    let (outcomes, _) = end_from_within(
        3,
        20,
        |_| PanicsOnDrop,
        |pool, _| {
            assert!(pool.shutdown_now().is_err());
        },
    );
    assert_eq!(outcomes.len(), 23);
}

#[test]
fn a_worker_may_join_another_pool() {
    let _watchdog = watchdog();
    let (outer, mut results) = crew(1, 1, 1);
    let (inner, inner_results) = crew(1, 1, 1);
    inner.submit(value(4)).unwrap();
    outer
        .submit(Box::new(move || {
            inner.join().unwrap();
            inner_results.map(|outcome| outcome.result.unwrap()).sum()
        }))
        .unwrap();
    assert_eq!(results.recv().unwrap().result.unwrap(), 4);
}

#[test]
fn a_handle_and_stats_work_after_the_end() {
    let (pool, results) = crew(2, 4, 4);
    let handle = pool.handle();
    pool.submit_all((0..4).map(value)).unwrap();
    pool.join().unwrap();
    drop(results);
    handle.close();
    let stats = handle.stats();
    assert_eq!(
        stats
            .workers
            .iter()
            .map(|worker| worker.executed)
            .sum::<u64>(),
        4
    );
    assert_eq!(stats.results_discarded, 4);
    assert!(stats.to_string().contains("accepted 4"), "{stats}");
}

#[test]
fn stats_show_how_often_a_worker_went_to_sleep_and_was_woken() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 1, 1);
    let worker = || pool.stats().workers[0];
    let mut asleep = 0;
    eventually("a submission meets a sleeper", || {
        eventually("the worker goes to sleep", || worker().parked > asleep);
        asleep = worker().parked;
        pool.submit(value(0)).unwrap();
        results.recv().unwrap();
        assert!(worker().woken <= worker().parked);
        worker().woken > 0
    });
    let table = pool.stats().to_string();
    assert!(table.contains("parked       woken\n"), "{table}");
}

#[test]
fn a_job_that_closes_its_own_pool_ends_it() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 4, 4);
    let handle = pool.handle();
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    pool.submit(Box::new(move || {
        handle.close();
        seen.store(handle.is_closed(), Ordering::Relaxed);
        0
    }))
    .unwrap();
    assert_eq!(results.count(), 1);
    assert!(closed.load(Ordering::Relaxed));
}
