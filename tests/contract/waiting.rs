//! Waiting for a pool, for some time or without an end: `join_timeout`, `wait_idle`.

use crate::common::{Door, OpenAtEnd, assert_conserved, watchdog};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;
use workcrew::{Results, WaitError, WaitTimeoutError, WorkerPool};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(600);

/// A pool whose jobs wait at a door; a job pushes as many follow-ups as its number.
fn at_a_door(workers: usize, door: &Door) -> (WorkerPool<u64, u64>, Results<u64>) {
    let inside = door.clone();
    WorkerPool::builder()
        .workers(workers)
        .build(move |job, ctx| {
            inside.pass();
            (0..job).for_each(|_| ctx.push(0));
            job
        })
        .unwrap()
}

#[test]
fn join_timeout_leaves_a_closed_pool_when_the_time_is_up() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (mut pool, results) = at_a_door(2, &door);
    pool.submit_all([0; 5]).unwrap();
    door.wait_for(2);
    for _ in 0..2 {
        let timeout = Duration::from_millis(1);
        assert_eq!(pool.join_timeout(timeout), Err(WaitTimeoutError::Timeout));
        assert!(pool.submit(0).is_err());
    }
    door.open();
    assert_eq!(pool.join_timeout(LONG), Ok(()));
    assert_eq!(results.count(), 5);
    assert_conserved(&pool.stats());
    // Again, and in other ways.
    assert_eq!(pool.join_timeout(Duration::ZERO), Ok(()));
    pool.join().unwrap();
}

#[test]
fn join_timeout_waits_for_the_stop_hooks_and_leaves_the_states_to_shutdown() {
    let _watchdog = watchdog();
    let stopped = Arc::new(AtomicUsize::new(0));
    let stops = Arc::clone(&stopped);
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (mut pool, _results) = WorkerPool::<(), ()>::builder()
        .workers(3)
        .on_stop(move |_| {
            inside.pass();
            stops.fetch_add(1, Ordering::Relaxed);
        })
        .init(|worker| worker)
        .build(|(), _| ())
        .unwrap();
    let timeout = Duration::from_millis(1);
    assert_eq!(pool.join_timeout(timeout), Err(WaitTimeoutError::Timeout));
    door.open();
    assert_eq!(pool.join_timeout(LONG), Ok(()));
    assert_eq!(stopped.load(Ordering::Relaxed), 3);
    assert_eq!(pool.shutdown().unwrap(), [0, 1, 2]);
}

#[test]
fn waiting_in_a_stop_hook_of_the_pool_is_an_error() {
    let _watchdog = watchdog();
    let shared: Arc<Mutex<Option<WorkerPool<(), ()>>>> = Arc::default();
    let verdict = Arc::new(OnceLock::new());
    let (inner, told) = (Arc::clone(&shared), Arc::clone(&verdict));
    let (pool, results) = WorkerPool::<(), ()>::builder()
        .workers(1)
        .on_stop(move |_| {
            let mut pool = loop {
                if let Some(pool) = inner.lock().unwrap().take() {
                    break pool;
                }
            };
            told.set(pool.join_timeout(LONG)).unwrap();
        })
        .build(|(), _| ())
        .unwrap();
    pool.close();
    *shared.lock().unwrap() = Some(pool);
    assert_eq!(results.count(), 0);
    while verdict.get().is_none() {
        thread::yield_now();
    }
    assert_eq!(verdict.get(), Some(&Err(WaitTimeoutError::WouldDeadlock)));
}

#[test]
fn wait_idle_returns_at_once_if_nothing_was_submitted() {
    let _watchdog = watchdog();
    for workers in [1, 4] {
        let (pool, _results) = at_a_door(workers, &Door::new());
        assert_eq!(pool.wait_idle(), Ok(()));
        assert_eq!(pool.wait_idle_timeout(Duration::ZERO), Ok(()));
    }
}

#[test]
fn wait_idle_waits_for_queued_and_running_jobs_and_their_follow_ups() {
    let _watchdog = watchdog();
    for workers in [1, 2, 4] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let (pool, results) = at_a_door(workers, &door);
        pool.submit_all([0, 7, 0, 3, 0]).unwrap();
        door.wait_for(workers);
        let timeout = Duration::from_millis(1);
        assert_eq!(
            pool.wait_idle_timeout(timeout),
            Err(WaitTimeoutError::Timeout)
        );
        thread::scope(|scope| {
            let waiters = [(); 3].map(|()| scope.spawn(|| pool.wait_idle()));
            door.open();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Ok(()));
            }
        });
        let stats = pool.stats();
        assert_eq!((stats.completed, stats.queued, stats.running), (15, 0, 0));
        // It is still open.
        pool.submit(0).unwrap();
        assert_eq!(pool.wait_idle(), Ok(()));
        pool.close();
        assert_eq!(results.count(), 16);
    }
}

/// Many short bursts: each end is found by who waits, whoever was the last to finish.
#[test]
fn wait_idle_misses_no_end() {
    let _watchdog = watchdog();
    let rounds = if cfg!(miri) { 10 } else { 3_000 };
    for workers in [1, 2, 3] {
        let (pool, results) = WorkerPool::<u64, ()>::builder()
            .workers(workers)
            .build(|_, _| ())
            .unwrap();
        drop(results);
        for round in 1..=rounds {
            pool.submit_all([round; 3]).unwrap();
            pool.wait_idle().unwrap();
            assert_eq!(pool.stats().completed, 3 * round);
        }
    }
}

#[test]
fn waiting_in_a_worker_of_the_pool_is_an_error() {
    type Verdict = (WaitError, WaitTimeoutError, WaitTimeoutError);
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let shared: Arc<Mutex<Option<WorkerPool<(), ()>>>> = Arc::default();
    let verdict: Arc<OnceLock<Verdict>> = Arc::default();
    let (inner, inside, told) = (Arc::clone(&shared), door.clone(), Arc::clone(&verdict));
    let (pool, results) = WorkerPool::builder()
        .workers(2)
        .build(move |(), _| {
            inside.pass();
            let mut pool = inner.lock().unwrap().take().unwrap();
            let errors = (
                pool.wait_idle().unwrap_err(),
                pool.wait_idle_timeout(LONG).unwrap_err(),
                pool.join_timeout(LONG).unwrap_err(),
            );
            told.set(errors).unwrap();
        })
        .unwrap();
    pool.submit(()).unwrap();
    *shared.lock().unwrap() = Some(pool);
    door.open();
    assert_eq!(results.count(), 1);
    assert_eq!(
        verdict.get(),
        Some(&(
            WaitError::WouldDeadlock,
            WaitTimeoutError::WouldDeadlock,
            WaitTimeoutError::WouldDeadlock
        ))
    );
}
