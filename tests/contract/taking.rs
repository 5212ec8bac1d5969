//! Results come as they complete, each to one taker; a full results queue makes workers wait.

use crate::common::{
    Door, OpenAtEnd, PanicsOnDrop, Task, assert_conserved, behind, crew, drop_while_panicking,
    eventually, value, watchdog,
};
use std::collections::HashSet;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use workcrew::{JobError, RecvError, RecvTimeoutError, Results, TryRecvError, WorkerPool};

/// Jobs of a stream, and of one that some of the tests repeat.
const STREAM: u64 = if cfg!(miri) { 100 } else { 20_000 };
const SHORT_STREAM: u64 = if cfg!(miri) { 50 } else { 2_000 };

#[test]
fn every_outcome_has_its_index_its_worker_and_its_result() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<u64, (u64, usize)>::builder()
        .workers(3)
        .build(|job, ctx| (job, ctx.worker()))
        .unwrap();
    let first = pool.submit(100).unwrap();
    pool.submit_all(101..1000).unwrap();
    pool.close();
    let mut seen = HashSet::new();
    for outcome in results {
        let (job, worker) = outcome.result.unwrap();
        assert_eq!(outcome.index - first, job - 100);
        assert_eq!(outcome.worker, worker);
        assert!(worker < 3);
        assert!(seen.insert(job));
    }
    assert_eq!(seen.len(), 900);
}

#[test]
fn one_workers_outcomes_come_in_order_whatever_the_result_capacity() {
    let _watchdog = watchdog();
    for capacity in [1, 2, 3, 64, 300, 1024] {
        let (pool, results) = crew(1, 10, capacity);
        thread::scope(|scope| {
            scope.spawn(|| {
                for job in 0..SHORT_STREAM {
                    pool.submit(value(job)).unwrap();
                }
                pool.close();
            });
            for (nth, outcome) in results.enumerate() {
                assert_eq!(outcome.index, nth as u64, "result capacity {capacity}");
                assert_eq!(outcome.result.unwrap(), nth as u64);
            }
        });
    }
}

#[test]
fn each_of_several_workers_outcomes_come_in_their_order() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<(), u64>::builder()
        .workers(3)
        .result_capacity(20)
        .init(|_| 0_u64)
        .build(|(), ctx| {
            *ctx.state += 1;
            *ctx.state
        })
        .unwrap();
    let mut last = [0; 3];
    thread::scope(|scope| {
        scope.spawn(|| {
            pool.submit_all([(); STREAM as usize]).unwrap();
            pool.close();
        });
        for outcome in results {
            let nth = outcome.result.unwrap();
            assert_eq!(nth, last[outcome.worker] + 1);
            last[outcome.worker] = nth;
        }
    });
    assert_eq!(last.iter().sum::<u64>(), STREAM);
}

#[test]
fn a_result_can_be_taken_while_other_jobs_still_run() {
    let _watchdog = watchdog();
    let door = Door::new();
    let (pool, mut results) = crew(2, 4, 4);
    let _open = OpenAtEnd(&door);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    for job in 1..100 {
        pool.submit(value(job)).unwrap();
        assert_eq!(results.recv().unwrap().result.unwrap(), job);
    }
}

#[test]
fn the_iterator_ends_when_all_is_delivered_and_stays_ended() {
    let (pool, mut results) = crew(2, 4, 10);
    pool.submit_all((0..10).map(value)).unwrap();
    assert_eq!(results.by_ref().take(10).count(), 10);
    assert_eq!(results.try_recv().unwrap_err(), TryRecvError::Empty);
    pool.close();
    for _ in 0..3 {
        assert!(results.next().is_none());
        assert_eq!(results.recv().unwrap_err(), RecvError::Ended);
        assert_eq!(results.try_recv().unwrap_err(), TryRecvError::Ended);
        assert_eq!(
            results.recv_timeout(Duration::MAX).unwrap_err(),
            RecvTimeoutError::Ended
        );
        assert_eq!(
            results.recv_timeout(Duration::ZERO).unwrap_err(),
            RecvTimeoutError::Ended
        );
    }
    pool.join().unwrap();
    assert!(results.clone().next().is_none());
}

#[test]
fn a_taker_that_waits_is_woken_by_the_end() {
    let _watchdog = watchdog();
    let door = Door::new();
    let (pool, results) = crew(2, 4, 10);
    thread::scope(|scope| {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let (mut results, door) = (results.clone(), door.clone());
                scope.spawn(move || {
                    door.pass();
                    results.recv().map(drop)
                })
            })
            .collect();
        door.open();
        door.wait_for(3);
        drop(pool);
        for taker in takers {
            assert_eq!(taker.join().unwrap(), Err(RecvError::Ended));
        }
    });
}

#[test]
fn each_outcome_goes_to_one_of_several_takers() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 8, 8);
    let mut taken: Vec<u64> = thread::scope(|scope| {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let results = results.clone();
                scope.spawn(move || results.map(|outcome| outcome.index).collect::<Vec<_>>())
            })
            .collect();
        drop(results);
        for job in 0..STREAM {
            pool.submit(value(job)).unwrap();
        }
        pool.close();
        takers
            .into_iter()
            .flat_map(|taker| taker.join().unwrap())
            .collect()
    });
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..STREAM));
}

#[test]
fn a_taker_that_is_dropped_gives_back_what_it_had_in_hand() {
    let _watchdog = watchdog();
    let (pool, mut first) = crew(1, 64, 64);
    pool.submit_all((0..30).map(value)).unwrap();
    eventually("all done", || pool.stats().completed == 30);
    // Alone, it claims all of them.
    assert_eq!(first.recv().unwrap().index, 0);
    let second = first.clone();
    drop(first);
    pool.close();
    let mut rest: Vec<_> = second.map(|outcome| outcome.index).collect();
    rest.sort_unstable();
    assert!(rest.into_iter().eq(1..30));
    assert_eq!(pool.stats().results_discarded, 0);
}

#[test]
fn when_all_takers_are_gone_results_are_discarded_and_counted() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 4, 1);
    drop(results.clone());
    drop(results);
    pool.submit_all((0..1000).map(value)).unwrap();
    let stats = pool.handle();
    pool.join().unwrap();
    let stats = stats.stats();
    assert_eq!(stats.completed, 1000);
    assert_eq!(stats.results_discarded, 1000);
    assert_eq!(stats.results_waiting, 0);
}

#[test]
fn dropping_the_last_taker_frees_workers_that_wait_for_room() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(2, 10, 2);
    pool.submit_all((0..10).map(value)).unwrap();
    eventually("both workers wait", || pool.stats().blocked_workers == 2);
    // What it takes in hand and does not return counts as discarded too.
    results.recv().unwrap();
    drop(results);
    let stats = pool.handle();
    pool.join().unwrap();
    assert_eq!(stats.stats().completed, 10);
    assert_eq!(stats.stats().results_discarded, 9);
    assert_eq!(stats.stats().results_waiting, 0);
}

#[test]
fn a_full_results_queue_makes_the_worker_wait_and_stats_show_it() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 10, 2);
    pool.submit_all((0..5).map(value)).unwrap();
    eventually("the worker waits", || pool.stats().blocked_workers == 1);
    let stats = pool.stats();
    assert_conserved(&stats);
    assert_eq!(
        (stats.completed, stats.running, stats.queued),
        (2, 1, 2),
        "{stats}"
    );
    assert_eq!(stats.results_waiting, 3, "{stats}");
    // The third result can be taken from the waiting worker's hand.
    for job in 0..5 {
        assert_eq!(results.recv().unwrap().result.unwrap(), job);
    }
    eventually("nobody waits", || {
        pool.stats().blocked_workers == 0 && pool.stats().running == 0
    });
    let stats = pool.stats();
    assert_eq!((stats.completed, stats.results_waiting), (5, 0), "{stats}");
}

#[test]
fn as_many_results_as_the_capacity_fit_without_a_taker() {
    let _watchdog = watchdog();
    for (workers, capacity) in [(1, 1), (3, 1), (1, 7), (4, 64), (2, 257), (3, 1000)] {
        let (pool, results) = crew(workers, 16, capacity);
        pool.submit_all((0..capacity as u64).map(value)).unwrap();
        let stats = pool.handle();
        pool.join().unwrap();
        assert_eq!(stats.stats().results_waiting, capacity as u64);
        assert_eq!(results.count(), capacity);
    }
}

/// Two workers deliver at the same time into a queue for one. After one result was taken the
/// other is within the capacity, so nobody may wait.
#[test]
fn no_worker_waits_while_the_untaken_results_are_within_the_capacity() {
    let _watchdog = watchdog();
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        let (pool, mut results) = crew(2, 10, 1);
        let barrier = Arc::new(Barrier::new(2));
        for _ in 0..2 {
            let barrier = Arc::clone(&barrier);
            pool.submit(Box::new(move || {
                barrier.wait();
                0
            }))
            .unwrap();
        }
        eventually("both have delivered", || {
            let stats = pool.stats();
            stats.results_waiting == 2 && stats.blocked_workers + stats.completed == 2
        });
        let mut other = results.clone();
        results.recv().unwrap();
        eventually("nobody waits", || pool.stats().blocked_workers == 0);
        other.recv().or_else(|_| results.recv()).unwrap();
    }
}

#[test]
fn recv_with_a_timeout_of_zero_looks_once() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 4, 4);
    assert_eq!(
        results.recv_timeout(Duration::ZERO).unwrap_err(),
        RecvTimeoutError::Timeout
    );
    assert_eq!(
        results.recv_timeout(Duration::from_millis(1)).unwrap_err(),
        RecvTimeoutError::Timeout
    );
    assert_eq!(results.try_recv().unwrap_err(), TryRecvError::Empty);
    pool.submit(value(3)).unwrap();
    eventually("it is done", || pool.stats().completed == 1);
    assert_eq!(
        results
            .recv_timeout(Duration::ZERO)
            .unwrap()
            .result
            .unwrap(),
        3
    );
}

#[test]
fn recv_with_a_huge_timeout_waits_for_the_result() {
    let _watchdog = watchdog();
    let door = Door::new();
    let (pool, mut results) = crew(1, 4, 4);
    for timeout in [
        Duration::MAX,
        Duration::from_secs(u64::MAX / 2),
        Duration::from_secs(1 << 40),
    ] {
        pool.submit(behind(&door, 1)).unwrap();
        thread::scope(|scope| {
            let taker = scope.spawn(|| results.recv_timeout(timeout).unwrap().result.unwrap());
            door.wait_for(1);
            door.open();
            assert_eq!(taker.join().unwrap(), 1);
        });
    }
}

/// Lends the pool's only taker to a job of that pool.
fn in_its_own_worker(test: impl FnOnce(&mut Results<u64>) + Send + 'static) {
    let _watchdog = watchdog();
    let (pool, results) = crew(1, 4, 4);
    let mut outside = results.clone();
    let inside = Arc::new(Mutex::new(Some(results)));
    pool.submit(Box::new(move || {
        let mut results = inside.lock().unwrap().take().unwrap();
        test(&mut results);
        0
    }))
    .unwrap();
    outside
        .recv()
        .unwrap()
        .result
        .expect("the test in the worker passes");
}

#[test]
fn a_worker_that_would_wait_for_its_own_pools_results_gets_an_error() {
    in_its_own_worker(|results| {
        assert_eq!(results.recv().unwrap_err(), RecvError::WouldDeadlock);
        for timeout in [Duration::ZERO, Duration::MAX] {
            let error = results.recv_timeout(timeout).unwrap_err();
            assert_eq!(error, RecvTimeoutError::WouldDeadlock);
        }
        assert_eq!(results.try_recv().unwrap_err(), TryRecvError::Empty);
        let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| results.next()));
        assert!(next.is_err(), "an iterator has no other way to say it");
    });
}

#[test]
fn a_worker_may_take_its_own_pools_results_that_are_there() {
    let _watchdog = watchdog();
    let (pool, results) = crew(1, 4, 4);
    let mut inside = results.clone();
    let mut outside = results;
    pool.submit(value(42)).unwrap();
    eventually("it is done", || pool.stats().completed == 1);
    let door = Door::new();
    let inner = door.clone();
    pool.submit(Box::new(move || {
        let result = inside.recv().unwrap().result.unwrap() + 1;
        inner.pass();
        result
    }))
    .unwrap();
    door.wait_for(1);
    door.open();
    assert_eq!(outside.recv().unwrap().result.unwrap(), 43);
}

#[test]
fn a_discarded_result_whose_drop_panics_is_counted_and_harms_nobody() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<(), PanicsOnDrop>::builder()
        .workers(2)
        .result_capacity(4)
        .build(|(), _| PanicsOnDrop)
        .unwrap();
    let mut first = results;
    pool.submit_all([(); 4]).unwrap();
    eventually("all are done", || pool.stats().completed == 4);
    std::mem::forget(first.recv().unwrap());
    drop(first);
    assert_eq!(pool.stats().results_discarded, 3);
    pool.submit_all([(); 100]).unwrap();
    let stats = pool.handle();
    pool.join().unwrap();
    assert_eq!(stats.stats().completed, 104);
    assert_eq!(stats.stats().results_discarded, 103);
}

#[test]
fn a_discarded_panic_whose_payload_panics_when_dropped_harms_nobody() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<(), ()>::builder()
        .workers(2)
        .result_capacity(4)
        .build(|(), _| std::panic::panic_any(PanicsOnDrop))
        .unwrap();
    pool.submit_all([(); 4]).unwrap();
    eventually("all are done", || pool.stats().panicked == 4);
    drop(results);
    pool.submit_all([(); 100]).unwrap();
    let stats = pool.handle();
    pool.join().unwrap();
    assert_eq!(stats.stats().panicked, 104);
    assert_eq!(stats.stats().results_discarded, 104);
}

#[test]
fn a_taker_may_be_dropped_while_others_wait_and_results_come() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 8, 8);
    let total: usize = thread::scope(|scope| {
        let steady = {
            let results = results.clone();
            scope.spawn(move || results.count())
        };
        let fickle = scope.spawn(move || {
            let mut taken = 0;
            let mut results = results;
            for round in 0..if cfg!(miri) { 20 } else { 200 } {
                // Claims some, returns one, and puts the others back.
                let mut fresh = results.clone();
                taken += usize::from(fresh.recv().is_ok());
                if round % 3 == 0 {
                    results = fresh;
                }
            }
            taken
        });
        pool.submit_all((0..SHORT_STREAM).map(value)).unwrap();
        pool.close();
        steady.join().unwrap() + fickle.join().unwrap()
    });
    assert_eq!(
        total as u64 + pool.stats().results_discarded + pool.stats().results_waiting,
        SHORT_STREAM
    );
}

#[test]
fn an_error_says_why_there_is_no_result() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 4, 4);
    let number = std::hint::black_box(7);
    let task: Task = Box::new(move || panic!("number {number}"));
    let index = pool.submit(task).unwrap();
    let outcome = results.recv().unwrap();
    assert_eq!(outcome.index, index);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.to_string(), "the job panicked: number 7");
    let JobError::Panicked(panic) = error else {
        panic!("{error:?}")
    };
    assert_eq!(panic.message(), "number 7");
    assert_eq!(
        panic.into_payload().downcast_ref::<String>().unwrap(),
        "number 7"
    );
}

/// What a taker had claimed and did not hand out, and what became of jobs that never ran.
#[test]
fn results_that_came_back_count_as_waiting() {
    let _watchdog = watchdog();
    let door = Door::new();
    let (pool, mut results) = crew(1, 100, 100);
    pool.submit_all((0..64).map(value)).unwrap();
    pool.wait_idle().unwrap();
    let mut other = results.clone();
    other.try_recv().unwrap();
    drop(other);
    let mut waiting = pool.stats().results_waiting;
    assert_eq!(waiting, 63);
    while results.try_recv().is_ok() {
        waiting -= 1;
    }
    assert_eq!((waiting, pool.stats().results_waiting), (0, 0));

    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    pool.submit_all((0..50).map(value)).unwrap();
    let handle = pool.handle();
    let ended = thread::spawn(move || drop_while_panicking(|| pool));
    eventually("it is closed", || handle.is_closed());
    door.open();
    ended.join().unwrap();
    let waiting = handle.stats().results_waiting;
    assert_eq!(waiting, 51);
    assert_eq!(results.count() as u64, waiting);
}
