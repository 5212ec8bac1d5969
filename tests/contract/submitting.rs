//! Jobs queue up to the capacity; a job that is not accepted comes back.

use crate::common::{Door, OpenAtEnd, Task, behind, crew, eventually, value, watchdog};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use workcrew::{Handle, SubmitError, SubmitTimeoutError, TrySubmitError, WorkerPool};

/// A pool of one worker that waits behind the door, with a full queue of `capacity` jobs.
fn full(capacity: u64) -> (Door, WorkerPool<Task, u64>, workcrew::Results<u64>) {
    let door = Door::new();
    let (pool, results) = crew(1, capacity as usize, 1024);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    for job in 1..=capacity {
        pool.try_submit(value(job)).unwrap();
    }
    (door, pool, results)
}

#[test]
fn one_submitter_gets_the_indices_0_1_2_from_all_forms() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 4, 1024);
    let handle = pool.handle();
    assert_eq!(pool.submit(value(0)).unwrap(), 0);
    assert_eq!(handle.submit(value(1)).unwrap(), 1);
    assert_eq!(handle.submit_timeout(value(2), Duration::MAX).unwrap(), 2);
    assert_eq!(pool.submit_all((3..103).map(value)).unwrap(), 100);
    eventually("room", || pool.stats().queued == 0);
    assert_eq!(pool.try_submit(value(103)).unwrap(), 103);
    pool.close();
    let mut outcomes: Vec<_> = results
        .map(|outcome| (outcome.index, outcome.result.unwrap()))
        .collect();
    outcomes.sort_unstable();
    assert!(outcomes.into_iter().eq((0..104).map(|job| (job, job))));
}

#[test]
fn several_submitters_never_get_the_same_index() {
    const EACH: u64 = if cfg!(miri) { 50 } else { 500 };
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 3, 4096);
    let mut given: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..EACH)
                        .map(|n| pool.submit(value(n)).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| {
                let indices = thread.join().unwrap();
                assert!(indices.is_sorted(), "a thread's indices grow");
                indices
            })
            .collect()
    });
    pool.join().unwrap();
    let mut seen: Vec<u64> = results.map(|outcome| outcome.index).collect();
    given.sort_unstable();
    seen.sort_unstable();
    assert_eq!(given, seen);
    given.dedup();
    assert_eq!(given.len() as u64, 4 * EACH);
}

#[test]
fn a_full_queue_gives_the_job_back() {
    let _watchdog = watchdog();
    let (door, pool, _results) = full(3);
    let _open = OpenAtEnd(&door);
    let back = pool.try_submit(value(77)).unwrap_err();
    assert!(matches!(back, TrySubmitError::Full(_)));
    assert_eq!(back.into_job()(), 77);
    let back = pool.submit_timeout(value(78), Duration::ZERO).unwrap_err();
    assert!(matches!(back, SubmitTimeoutError::Timeout(_)));
    assert_eq!(back.into_job()(), 78);
    let back = pool
        .submit_timeout(value(79), Duration::from_millis(1))
        .unwrap_err();
    assert!(matches!(back, SubmitTimeoutError::Timeout(_)));
    assert_eq!(pool.stats().blocked_submitters, 0);
}

#[test]
fn a_timeout_of_zero_is_enough_when_there_is_room() {
    let (pool, mut results) = crew(1, 1, 1);
    pool.submit_timeout(value(5), Duration::ZERO).unwrap();
    assert_eq!(results.recv().unwrap().result.unwrap(), 5);
}

#[test]
fn submitters_wait_while_the_queue_is_full_and_go_on_when_there_is_room() {
    let _watchdog = watchdog();
    let (door, pool, results) = full(2);
    thread::scope(|scope| {
        scope.spawn(|| pool.submit(value(10)).unwrap());
        scope.spawn(|| pool.submit_timeout(value(11), Duration::MAX).unwrap());
        scope.spawn(|| {
            pool.submit_timeout(value(12), Duration::from_secs(1 << 40))
                .unwrap()
        });
        scope.spawn(|| {
            assert_eq!(
                pool.submit_all([value(13), value(14), value(15)]).unwrap(),
                3
            )
        });
        eventually("four submitters wait", || {
            pool.stats().blocked_submitters == 4
        });
        assert_eq!(pool.stats().accepted, 3);
        door.open();
    });
    assert_eq!(pool.stats().blocked_submitters, 0);
    pool.close();
    let mut values: Vec<_> = results.map(|outcome| outcome.result.unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, [0, 1, 2, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn after_close_every_submit_form_gives_the_job_back() {
    let (pool, mut results) = crew(2, 4, 4);
    let handle = pool.handle();
    pool.close();
    pool.close();
    handle.close();
    assert!(pool.is_closed() && handle.is_closed());
    for handle in [pool.handle(), handle] {
        let back = handle.submit(value(1)).unwrap_err();
        assert!(matches!(back, SubmitError::Closed(_)));
        assert_eq!(back.into_job()(), 1);
        let back = handle.try_submit(value(2)).unwrap_err();
        assert!(matches!(back, TrySubmitError::Closed(_)));
        assert_eq!(back.into_job()(), 2);
        for timeout in [Duration::ZERO, Duration::MAX] {
            let back = handle.submit_timeout(value(3), timeout).unwrap_err();
            assert!(matches!(back, SubmitTimeoutError::Closed(_)));
            assert_eq!(back.into_job()(), 3);
        }
        let back = handle.submit_all((0..100).map(value)).unwrap_err();
        assert_eq!(back.accepted(), 0);
        assert!(!back.would_deadlock());
        assert!(back.into_jobs().map(|task| task()).eq(0..100));
    }
    assert!(pool.submit(value(1)).is_err() && pool.try_submit(value(1)).is_err());
    assert!(pool.submit_timeout(value(1), Duration::MAX).is_err());
    assert!(pool.submit_all([value(1)]).is_err());
    pool.join().unwrap();
    assert!(results.next().is_none());
}

#[test]
fn a_handle_that_outlives_its_pool_gives_the_job_back() {
    let (pool, _results) = crew(2, 4, 4);
    let handle = pool.handle();
    drop(pool);
    assert_eq!(handle.submit(value(9)).unwrap_err().into_job()(), 9);
    assert_eq!(handle.stats().accepted, 0);
}

/// Blocks one thread in each waiting form of a full pool, ends the pool by `end`, and expects
/// all jobs back as closed.
fn waiting_submitters_wake(end: impl FnOnce(WorkerPool<Task, u64>)) {
    let _watchdog = watchdog();
    let (door, pool, _results) = full(1);
    let handle = pool.handle();
    let stats = pool.handle();
    thread::scope(|scope| {
        for n in 10..13 {
            let handle = &handle;
            scope.spawn(move || {
                let back = handle.submit(value(n)).unwrap_err();
                assert!(matches!(back, SubmitError::Closed(_)));
                assert_eq!(back.into_job()(), n);
            });
        }
        scope.spawn(|| {
            let back = handle.submit_timeout(value(20), Duration::MAX).unwrap_err();
            assert!(matches!(back, SubmitTimeoutError::Closed(_)));
            assert_eq!(back.into_job()(), 20);
        });
        scope.spawn(|| {
            let back = handle.submit_all((30..100).map(value)).unwrap_err();
            assert_eq!(back.accepted(), 0);
            assert!(back.into_jobs().map(|task| task()).eq(30..100));
        });
        eventually("five submitters wait", || {
            stats.stats().blocked_submitters == 5
        });
        let opener = door.clone();
        // The pool can end only when its worker does, but the submitters return before.
        scope.spawn(move || {
            eventually("all have left", || stats.stats().blocked_submitters == 0);
            opener.open();
        });
        end(pool);
    });
    assert_eq!(handle.stats().accepted, 2);
}

#[test]
fn close_wakes_all_waiting_submitters_with_their_jobs() {
    waiting_submitters_wake(|pool| {
        pool.close();
        pool.join().unwrap();
    });
}

#[test]
fn dropping_the_pool_wakes_all_waiting_submitters_with_their_jobs() {
    waiting_submitters_wake(drop);
}

#[test]
fn shutdown_now_wakes_all_waiting_submitters_with_their_jobs() {
    waiting_submitters_wake(|pool| assert_eq!(pool.shutdown_now().unwrap().len(), 1));
}

#[test]
fn dropping_the_pool_in_a_panic_wakes_all_waiting_submitters_with_their_jobs() {
    waiting_submitters_wake(|pool| crate::common::drop_while_panicking(|| pool));
}

#[test]
fn a_submission_that_races_close_runs_or_comes_back() {
    let _watchdog = watchdog();
    for round in 0..if cfg!(miri) { 3 } else { 200 } {
        let (pool, results) = crew(1 + round % 3, 2 + round % 5, 10_000);
        let start = Barrier::new(4);
        let accepted: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|form| {
                    let (pool, start) = (&pool, &start);
                    scope.spawn(move || {
                        start.wait();
                        let mut accepted = 0;
                        loop {
                            accepted += match form {
                                0 => match pool.submit(value(1)) {
                                    Ok(_) => 1,
                                    Err(_) => return accepted,
                                },
                                1 => match pool.submit_all((0..7).map(value)) {
                                    Ok(all) => all,
                                    Err(error) => {
                                        let some = error.accepted();
                                        assert_eq!(error.into_jobs().count() as u64, 7 - some);
                                        return accepted + some;
                                    }
                                },
                                _ => match pool.try_submit(value(1)) {
                                    Ok(_) => 1,
                                    Err(TrySubmitError::Full(_)) => 0,
                                    Err(_) => return accepted,
                                },
                            };
                            if accepted > 2000 {
                                pool.close();
                            }
                        }
                    })
                })
                .collect();
            start.wait();
            for _ in 0..round {
                thread::yield_now();
            }
            pool.close();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        let stats = pool.handle();
        pool.join().unwrap();
        assert_eq!(results.count() as u64, accepted);
        assert_eq!(stats.stats().accepted, accepted);
        assert_eq!(stats.stats().completed, accepted);
    }
}

#[test]
fn a_panicking_iterator_loses_none_of_the_jobs_that_it_gave() {
    let _watchdog = watchdog();
    for given in [0, 1, 31, 32, 33, 100] {
        let (pool, results) = crew(2, 4, 1024);
        let jobs = (0..).map(|job| {
            if job < given {
                value(job)
            } else {
                panic!("no more jobs")
            }
        });
        let panic = catch_unwind(AssertUnwindSafe(|| pool.submit_all(jobs))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"no more jobs"));
        pool.submit(value(given)).unwrap();
        pool.close();
        let mut values: Vec<_> = results.map(|outcome| outcome.result.unwrap()).collect();
        values.sort_unstable();
        assert!(values.into_iter().eq(0..=given));
    }
}

#[test]
fn an_endless_iterator_ends_with_close_and_gives_the_rest_back_in_order() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(3, 5, 5);
    let handle = pool.handle();
    let submitter = thread::spawn(move || {
        let error = handle.submit_all((0_u64..).map(value)).unwrap_err();
        let accepted = error.accepted();
        assert!(
            error
                .into_jobs()
                .take(1000)
                .map(|task| task())
                .eq(accepted..accepted + 1000)
        );
        accepted
    });
    const TAKEN: u64 = if cfg!(miri) { 50 } else { 1000 };
    for _ in 0..TAKEN {
        results.recv().unwrap();
    }
    pool.close();
    let rest = results.count() as u64;
    assert_eq!(submitter.join().unwrap(), TAKEN + rest);
}

#[test]
fn submit_all_of_nothing_accepts_nothing() {
    let (pool, _results) = crew(1, 1, 1);
    assert_eq!(pool.submit_all([]).unwrap(), 0);
}

#[test]
fn submit_all_tells_how_many_were_accepted_before_the_close() {
    let _watchdog = watchdog();
    let door = Door::new();
    let (pool, results) = crew(1, 3, 100);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            let error = pool.submit_all((1..=50).map(value)).unwrap_err();
            assert_eq!(error.accepted(), 3);
            assert!(error.into_jobs().map(|task| task()).eq(4..=50));
        });
        eventually("the submitter waits", || {
            pool.stats().blocked_submitters == 1
        });
        pool.close();
    });
    door.open();
    assert!(results.map(|outcome| outcome.result.unwrap()).eq(0..=3));
}

/// Runs `test` in a pool's only worker while the pool has a full queue of one job. Returns the
/// values of the jobs that ran, in order.
fn in_the_worker_of_a_full_pool(test: impl FnOnce(Handle<Task, u64>) + Send + 'static) -> Vec<u64> {
    let _watchdog = watchdog();
    let (pool, results) = crew(1, 1, 100);
    let door = Door::new();
    let (inner, handle) = (door.clone(), pool.handle());
    pool.submit(Box::new(move || {
        inner.pass();
        test(handle);
        0
    }))
    .unwrap();
    door.wait_for(1);
    pool.submit(value(1)).unwrap();
    door.open();
    pool.close();
    results
        .map(|outcome| outcome.result.expect("the test in the worker passes"))
        .collect()
}

#[test]
fn a_worker_that_would_wait_for_room_in_its_own_pool_gets_the_job_back() {
    let ran = in_the_worker_of_a_full_pool(|handle| {
        // The pool was closed by now, or will be.
        let back = handle.submit(value(7)).unwrap_err();
        assert!(matches!(
            back,
            SubmitError::WouldDeadlock(_) | SubmitError::Closed(_)
        ));
        assert_eq!(back.into_job()(), 7);
    });
    assert_eq!(ran, [0, 1]);

    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 1, 100);
    let handle = pool.handle();
    pool.submit(Box::new(move || {
        // There is room: accepted, even from within.
        handle.submit(value(1)).unwrap();
        let back = handle.submit(value(2)).unwrap_err();
        assert!(matches!(back, SubmitError::WouldDeadlock(_)));
        assert_eq!(back.into_job()(), 2);
        for timeout in [Duration::ZERO, Duration::MAX] {
            let back = handle.submit_timeout(value(3), timeout).unwrap_err();
            assert!(matches!(back, SubmitTimeoutError::WouldDeadlock(_)));
            assert_eq!(back.into_job()(), 3);
        }
        let back = handle.try_submit(value(4)).unwrap_err();
        assert!(matches!(back, TrySubmitError::Full(_)));
        let back = handle.submit_all((5..100).map(value)).unwrap_err();
        assert!(back.would_deadlock());
        assert_eq!(back.accepted(), 0);
        assert!(back.into_jobs().map(|task| task()).eq(5..100));
        0
    }))
    .unwrap();
    assert_eq!(results.recv().unwrap().result.unwrap(), 0);
    assert_eq!(results.recv().unwrap().result.unwrap(), 1);
}

#[test]
fn a_worker_may_wait_for_room_in_another_pool() {
    let _watchdog = watchdog();
    let (outer, mut outer_results) = crew(1, 1, 10);
    let (door, inner, inner_results) = full(1);
    let handle = inner.handle();
    outer
        .submit(Box::new(move || handle.submit(value(2)).unwrap()))
        .unwrap();
    eventually("the worker waits", || inner.stats().blocked_submitters == 1);
    door.open();
    assert_eq!(outer_results.recv().unwrap().result.unwrap(), 2);
    inner.close();
    assert_eq!(inner_results.count(), 3);
}

#[test]
fn what_was_done_before_submit_is_seen_by_the_job_and_what_the_job_did_by_the_taker() {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    let _watchdog = watchdog();
    let (pool, mut results) =
        WorkerPool::<(Arc<[AtomicU64; 2]>, u64), Arc<[AtomicU64; 2]>>::builder()
            .workers(2)
            .job_capacity(4)
            .result_capacity(4)
            .build(|(cells, n), _| {
                // Relaxed: only the pool orders these.
                assert_eq!(cells[0].load(Relaxed), n);
                cells[1].store(n + 1, Relaxed);
                cells
            })
            .unwrap();
    let rounds = if cfg!(miri) { 30 } else { 20_000 };
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..rounds {
                let cells = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
                cells[0].store(n, Relaxed);
                pool.submit((cells, n)).unwrap();
            }
            pool.close();
        });
        for outcome in &mut results {
            let cells = outcome.result.unwrap();
            assert_eq!(cells[1].load(Relaxed), cells[0].load(Relaxed) + 1);
        }
    });
    assert_eq!(pool.stats().completed, rounds);
}

#[test]
fn an_iterator_that_has_ended_is_not_asked_again() {
    let (pool, _results) = WorkerPool::<u64, u64>::builder()
        .build(|job, _| job)
        .unwrap();
    pool.close();
    let mut number = 0;
    // It goes on after its end.
    let jobs = std::iter::from_fn(|| {
        number += 1;
        (number != 3).then_some(number)
    });
    let back = pool.submit_all(jobs).unwrap_err().into_jobs();
    assert_eq!(back.take(10).collect::<Vec<_>>(), [1, 2]);
}
