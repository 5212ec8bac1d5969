//! Calls on each worker.

use crate::common::{Door, OpenAtEnd, PanicsOnDrop, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use workcrew::{BroadcastError, ThreadPool};

#[test]
fn each_worker_calls_a_broadcast_once_and_results_come_by_id() {
    let _watchdog = watchdog();
    for workers in [1, 2, 5] {
        let pool = ThreadPool::new(workers).unwrap();
        let calls = AtomicUsize::new(0);
        for round in 1..=20 {
            let called = pool
                .broadcast(|worker| {
                    assert_eq!(pool.current_worker(), Some(worker));
                    calls.fetch_add(1, Relaxed);
                    (worker, thread::current().id())
                })
                .unwrap();
            let ids: Vec<_> = called.iter().map(|(worker, _)| *worker).collect();
            assert!(ids.into_iter().eq(0..workers));
            let threads: HashSet<_> = called.into_iter().map(|(_, thread)| thread).collect();
            assert_eq!(threads.len(), workers);
            assert_eq!(calls.load(Relaxed), round * workers);
        }
        let handle = pool.handle();
        pool.join().unwrap();
        let stats = handle.stats();
        assert_eq!(stats.accepted as usize, 20 * workers, "a job for each");
        assert_eq!(stats.completed, stats.accepted, "{stats}");
    }
}

/// Two broadcasts in different orders would stand still here.
#[test]
fn calls_of_broadcasts_may_wait_for_each_other_while_others_broadcast_and_submit() {
    let _watchdog = watchdog();
    let rounds = if cfg!(miri) { 3 } else { 200 };
    let (workers, done) = (3, AtomicUsize::new(0));
    let pool = ThreadPool::builder()
        .workers(workers)
        .job_capacity(2)
        .build()
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let barrier = Barrier::new(workers);
                for _ in 0..rounds {
                    let leaders = pool.broadcast(|_| barrier.wait().is_leader()).unwrap();
                    assert_eq!(leaders.iter().filter(|leader| **leader).count(), 1);
                }
                done.fetch_add(1, Relaxed);
            });
        }
        scope.spawn(|| {
            while done.load(Relaxed) < 3 {
                // Jobs that beget jobs keep the workers' own queues filled.
                pool.map(&[1, 2, 3, 4], |n| pool.map(&[1, 2, 3], |m| n * m));
            }
        });
    });
    pool.wait_idle().unwrap();
    assert_conserved(&pool.stats());
}

#[test]
fn a_worker_comes_to_a_broadcast_after_its_job_and_before_those_that_wait() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(10)
        .build()
        .unwrap();
    let inside = door.clone();
    pool.execute(move || inside.pass()).unwrap();
    door.wait_for(1);
    let (log, calls) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    thread::scope(|scope| {
        let broadcast = scope.spawn(|| {
            pool.broadcast(|_| {
                calls.fetch_add(1, Relaxed);
                eventually("both are here", || calls.load(Relaxed) == 2);
                log.lock().unwrap().push("a call");
            })
            .unwrap();
        });
        eventually("one is here", || calls.load(Relaxed) == 1);
        for _ in 0..3 {
            let log = Arc::clone(&log);
            pool.execute(move || log.lock().unwrap().push("a job"))
                .unwrap();
        }
        assert!(!broadcast.is_finished());
        door.open();
        broadcast.join().unwrap();
    });
    pool.wait_idle().unwrap();
    // One of the two may have gone on to the jobs before the other wrote its line.
    assert_eq!(log.lock().unwrap()[0], "a call");
    assert_eq!(log.lock().unwrap().len(), 5);
}

#[test]
fn a_closed_pool_calls_nothing_and_an_accepted_broadcast_runs_to_its_end() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = busy(2, 5, &door);
    thread::scope(|scope| {
        let accepted = scope.spawn(|| pool.broadcast(|worker| worker));
        eventually("queued", || pool.stats().queued == 1);
        pool.close();
        door.open();
        assert_eq!(accepted.join().unwrap().unwrap(), [0, 1]);
    });
    let late = pool.broadcast(|_| unreachable!("it is closed"));
    assert!(matches!(late, Err::<Vec<()>, _>(BroadcastError::Closed)));
    assert_eq!(late.unwrap_err().to_string(), "the pool is closed");
    assert_conserved(&pool.stats());
}

#[test]
fn a_broadcast_that_a_shutdown_overtakes_tells_who_had_called() {
    let _watchdog = watchdog();
    // Before anybody has called; the job that is handed back calls nothing either.
    for run in [false, true] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let pool = busy(2, 5, &door);
        let handle = pool.handle();
        thread::scope(|scope| {
            let overtaken = scope.spawn(|| handle.broadcast(|worker| worker));
            eventually("queued", || handle.stats().queued == 1);
            let ends = scope.spawn(|| pool.shutdown_now().unwrap());
            eventually("closed", || handle.is_closed());
            door.open();
            for job in ends.join().unwrap() {
                if run {
                    job.run();
                } else {
                    drop(job);
                }
            }
            match overtaken.join().unwrap() {
                Err(BroadcastError::Cancelled { finished }) => assert!(finished.is_empty()),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(handle.stats().returned, 1);
        assert_conserved(&handle.stats());
    }
    // When one has, and the other's errand waits.
    for unwinding in [false, true] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let pool = ThreadPool::new(2).unwrap();
        let (handle, called) = (pool.handle(), AtomicUsize::new(0));
        let inside = door.clone();
        let stands = pool.handle();
        let own = pool
            .spawn(move || {
                inside.pass();
                stands.current_worker().unwrap()
            })
            .unwrap();
        door.wait_for(1);
        thread::scope(|scope| {
            let overtaken = scope.spawn(|| {
                handle.broadcast(|worker| {
                    called.fetch_add(1, Relaxed);
                    worker
                })
            });
            eventually("one has called", || {
                called.load(Relaxed) == 1 && handle.stats().running == 1
            });
            let ends = scope.spawn(move || {
                if unwinding {
                    crate::common::drop_while_panicking(|| pool);
                } else {
                    drop(pool.shutdown_now().unwrap());
                }
            });
            eventually("closed", || handle.is_closed());
            door.open();
            ends.join().unwrap();
            let other = 1 - own.join().unwrap();
            match overtaken.join().unwrap() {
                Err(BroadcastError::Cancelled { finished }) => {
                    assert_eq!(finished, [(other, other)]);
                }
                other => panic!("{other:?}"),
            }
        });
        assert_conserved(&handle.stats());
        assert_eq!(handle.stats().queued, 0);
    }
}

#[test]
fn a_broadcast_in_an_own_worker_is_an_error_and_in_anothers_is_not() {
    let _watchdog = watchdog();
    let (pool, other) = (ThreadPool::new(2).unwrap(), ThreadPool::new(2).unwrap());
    let handle = pool.handle();
    let own = pool.spawn(move || handle.broadcast(|worker| worker));
    let refused = own.unwrap().join().unwrap();
    assert!(matches!(refused, Err(BroadcastError::WouldDeadlock)));
    // In a call as well.
    let nested = pool.broadcast(|_| pool.broadcast(|_| ()).is_err()).unwrap();
    assert_eq!(nested, [true, true]);
    let handle = pool.handle();
    let others = other.spawn(move || handle.broadcast(|worker| worker));
    assert_eq!(others.unwrap().join().unwrap().unwrap(), [0, 1]);
}

#[test]
fn after_a_panic_in_a_broadcast_all_have_called_and_what_was_made_is_dropped_once() {
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    struct Made {
        _bad: PanicsOnDrop,
    }
    impl Drop for Made {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, Relaxed);
        }
    }
    let _watchdog = watchdog();
    let pool = ThreadPool::new(3).unwrap();
    let calls = AtomicUsize::new(0);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        pool.broadcast(|worker| {
            calls.fetch_add(1, Relaxed);
            if worker == 1 {
                std::panic::resume_unwind(Box::new("no"));
            }
            LIVE.fetch_add(1, Relaxed);
            Made { _bad: PanicsOnDrop }
        })
    }));
    let payload = unwound.map(drop).expect_err("it panics");
    assert_eq!(*payload.downcast::<&str>().unwrap(), "no");
    assert_eq!((calls.into_inner(), LIVE.load(Relaxed)), (3, 0));
    // The next one's turn comes.
    assert_eq!(pool.broadcast(|worker| worker).unwrap(), [0, 1, 2]);
    pool.wait_idle().unwrap();
    assert_eq!(pool.stats().panicked, 1);
    assert_conserved(&pool.stats());
}

#[test]
fn a_job_that_was_handed_back_does_not_wait_for_a_broadcast_that_was_too() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let (handle, busy, last) = (pool.handle(), pool.handle(), pool.handle());
    pool.execute(move || while !busy.is_closed() {}).unwrap();
    eventually("it runs", || handle.stats().running == 1);
    thread::scope(|scope| {
        let broadcast = scope.spawn(|| handle.broadcast(|worker| worker));
        eventually("it is queued", || handle.stats().queued == 1);
        pool.execute(move || {
            let refused = last.broadcast(|worker| worker);
            assert!(matches!(refused, Err(BroadcastError::Closed)));
        })
        .unwrap();
        let mut jobs = pool.shutdown_now().unwrap();
        jobs.pop().unwrap().run();
        drop(jobs);
        let broadcast = broadcast.join().unwrap();
        assert!(matches!(broadcast, Err(BroadcastError::Cancelled { .. })));
    });
}
