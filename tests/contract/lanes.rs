//! Submitters with a lane of their own: all that holds for other submissions holds for theirs.

use crate::common::{
    Door, OpenAtEnd, Task, assert_conserved, behind, crew, eventually, value, watchdog,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;
use workcrew::{
    CancelError, JobError, Results, SubmitError, SubmitTimeoutError, Submitter, TrySubmitError,
    WorkerPool,
};

type Lane = Submitter<Task, u64>;

/// A pool of one worker that waits behind the door.
fn busy(capacity: usize) -> (Door, WorkerPool<Task, u64>, Results<u64>) {
    let door = Door::new();
    let (pool, results) = crew(1, capacity, 4096);
    pool.submit(behind(&door, u64::MAX)).unwrap();
    door.wait_for(1);
    (door, pool, results)
}

/// A submitter that has submitted one job, and has places reserved if there is ample room.
fn lane(pool: &WorkerPool<Task, u64>, job: u64) -> Lane {
    let mut lane = pool.submitter();
    lane.try_submit(value(job)).unwrap();
    lane
}

fn values(results: Results<u64>) -> Vec<u64> {
    let values = results.map(|outcome| outcome.result.unwrap());
    values.filter(|&value| value != u64::MAX).collect()
}

#[test]
fn one_submitter_alone_gets_the_indices_0_1_2_from_all_forms() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 4096, 4096);
    let mut lane = pool.submitter();
    assert_eq!(lane.submit(value(0)).unwrap(), 0);
    for job in 1..20 {
        assert_eq!(lane.try_submit(value(job)).unwrap(), job);
    }
    for job in 20..40 {
        let index = lane.submit_timeout(value(job), Duration::MAX).unwrap();
        assert_eq!(index, job);
    }
    assert_eq!(lane.submit(value(40)).unwrap(), 40);
    pool.close();
    let mut outcomes: Vec<_> = results
        .map(|outcome| (outcome.index, outcome.result.unwrap()))
        .collect();
    outcomes.sort_unstable();
    assert!(outcomes.into_iter().eq((0..41).map(|job| (job, job))));
}

#[test]
fn a_lanes_batches_come_behind_its_single_jobs() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(1000);
    let _open = OpenAtEnd(&door);
    let mut lane = pool.submitter();
    let mut next = 0;
    for singles in [1, 2, 7, 3] {
        for job in next..next + singles {
            lane.submit(value(job)).unwrap();
        }
        next += singles;
        for batch in [3, 40] {
            assert_eq!(
                lane.submit_all((next..next + batch).map(value)).unwrap(),
                batch
            );
            next += batch;
        }
    }
    assert_eq!(pool.stats().queued, next);
    door.open();
    pool.close();
    assert!(values(results).into_iter().eq(0..next));
}

/// In lanes that have places reserved, that have used them up, and beside lanes.
#[test]
fn capacity_is_exact_over_all_lanes_and_the_queue() {
    let _watchdog = watchdog();
    let (capacities, lanes): (&[usize], &[usize]) = if cfg!(miri) {
        (&[1, 2, 8, 9], &[1, 2, 5])
    } else {
        (&[1, 2, 5, 8, 9, 15, 16, 40, 64, 65, 200], &[1, 2, 5, 30])
    };
    for &capacity in capacities {
        for &lanes in lanes {
            let (door, pool, results) = busy(capacity);
            let _open = OpenAtEnd(&door);
            let mut lanes: Vec<_> = (0..lanes).map(|_| pool.submitter()).collect();
            let mut accepted = 0;
            for lane in &mut lanes {
                accepted += usize::from(lane.try_submit(value(0)).is_ok());
            }
            assert_eq!(accepted, lanes.len().min(capacity));
            // Others take what the lanes have reserved, and the lanes what is left.
            let rest = capacity - accepted;
            for _ in 0..rest - rest / 3 {
                pool.try_submit(value(0)).unwrap();
            }
            for job in 0..rest / 3 {
                let lane = job % lanes.len();
                lanes[lane].try_submit(value(0)).unwrap();
            }
            assert_eq!(pool.stats().queued, capacity as u64);
            for lane in &mut lanes {
                let full = lane.try_submit(value(7)).unwrap_err();
                assert!(matches!(full, TrySubmitError::Full(_)));
                assert_eq!(full.into_job()(), 7);
            }
            assert!(pool.try_submit(value(0)).is_err());
            let timeout = lanes[0]
                .submit_timeout(value(8), Duration::ZERO)
                .unwrap_err();
            assert!(matches!(timeout, SubmitTimeoutError::Timeout(_)));
            door.open();
            pool.close();
            assert_eq!(values(results).len(), capacity);
        }
    }
}

#[test]
fn submitters_that_race_for_the_last_places_do_not_exceed_the_capacity_in_lanes() {
    let _watchdog = watchdog();
    for round in 0..if cfg!(miri) { 3 } else { 200 } {
        let capacity = 16 + round % 50;
        let (door, pool, results) = busy(capacity);
        let _open = OpenAtEnd(&door);
        let start = Barrier::new(4);
        let accepted: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let (pool, start) = (&pool, &start);
                    scope.spawn(move || {
                        let mut lane = pool.submitter();
                        start.wait();
                        let mut accepted = 0;
                        for job in 0..capacity {
                            let beside = thread == 0 && job % 3 == 0;
                            let submitted = if beside {
                                pool.try_submit(value(0)).is_ok()
                            } else {
                                lane.try_submit(value(0)).is_ok()
                            };
                            accepted += usize::from(submitted);
                            let stats = pool.stats();
                            assert_conserved(&stats);
                            assert!(stats.queued <= capacity as u64 + 3 * 7, "{stats}");
                        }
                        accepted
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        // Nobody stands in between any more: what is left is free.
        let mut more = 0;
        while pool.try_submit(value(0)).is_ok() {
            more += 1;
        }
        assert_eq!(accepted + more, capacity);
        door.open();
        pool.close();
        assert_eq!(values(results).len(), capacity);
    }
}

#[test]
fn a_leaked_submitter_keeps_nobody_from_anything() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(64);
    let _open = OpenAtEnd(&door);
    for job in 0..9 {
        std::mem::forget(lane(&pool, job));
    }
    for job in 9..64 {
        pool.try_submit(value(job)).unwrap();
    }
    assert!(pool.try_submit(value(64)).is_err());
    door.open();
    pool.wait_idle().unwrap();
    std::mem::forget(lane(&pool, 64));
    pool.join().unwrap();
    let mut values = values(results);
    values.sort_unstable();
    assert!(values.into_iter().eq(0..65));
}

#[test]
fn ten_thousand_submitters_come_and_go_while_the_pool_runs() {
    let _watchdog = watchdog();
    const LANES: u64 = if cfg!(miri) { 100 } else { 5000 };
    let (pool, results) = crew(2, 100, 1 << 16);
    let submitted: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut submitted = 0;
                    for nth in 0..LANES {
                        let mut lane = pool.submitter();
                        for job in 0..nth % 4 {
                            lane.submit(value(job)).unwrap();
                            submitted += 1;
                        }
                        if nth % 64 == 0 {
                            // So that the crew may fall asleep: the next job has to wake it.
                            pool.wait_idle().unwrap();
                        }
                    }
                    submitted
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // Before it is closed, which wakes everybody.
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.accepted, stats.completed), (submitted, submitted));
    pool.close();
    assert_eq!(results.count() as u64, submitted);
}

#[test]
fn reserved_places_count_as_nothing() {
    let _watchdog = watchdog();
    let (pool, results) = crew(2, 100, 100);
    let mut first = lane(&pool, 0);
    pool.wait_idle().unwrap();
    assert_eq!(pool.stats().accepted, 1);
    drop(lane(&pool, 1));
    pool.wait_idle().unwrap();
    assert_eq!(pool.stats().accepted, 2);
    first.submit(value(2)).unwrap();
    pool.submit(value(3)).unwrap();
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.accepted, stats.queued), (4, 0));
    assert_conserved(&stats);
    pool.close();
    let mut values = values(results);
    values.sort_unstable();
    assert_eq!(values, [0, 1, 2, 3]);
}

#[test]
fn a_closed_pool_takes_no_job_into_a_reserved_place() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(64);
    let _open = OpenAtEnd(&door);
    let mut lane = lane(&pool, 0);
    pool.close();
    for _ in 0..2 {
        let closed = lane.try_submit(value(7)).unwrap_err();
        assert!(matches!(closed, TrySubmitError::Closed(_)));
        assert_eq!(closed.into_job()(), 7);
    }
    let closed = lane.submit(value(7)).unwrap_err();
    assert!(matches!(closed, SubmitError::Closed(_)));
    let error = lane.submit_all((0..50).map(value)).unwrap_err();
    assert_eq!((error.accepted(), error.would_deadlock()), (0, false));
    assert!(error.into_jobs().map(|job| job()).eq(0..50));
    door.open();
    assert_eq!(values(results), [0]);
}

#[test]
fn a_submission_in_a_lane_that_races_close_runs_or_comes_back() {
    let _watchdog = watchdog();
    const JOBS: u64 = if cfg!(miri) { 30 } else { 200 };
    for round in 0..if cfg!(miri) { 5 } else { 500 } {
        let (pool, results) = crew(2, 64, 4096);
        let start = Barrier::new(3);
        let accepted: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut lane = pool.submitter();
                        start.wait();
                        (0..JOBS)
                            .take_while(|&job| lane.submit(value(job)).is_ok())
                            .count() as u64
                    })
                })
                .collect();
            start.wait();
            for _ in 0..round % 50 {
                thread::yield_now();
            }
            pool.close();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        let handle = pool.handle();
        pool.join().unwrap();
        assert_eq!(handle.stats().accepted, accepted);
        assert_eq!(results.count() as u64, accepted);
    }
}

#[test]
fn close_wakes_a_submitter_that_waits_in_its_lane() {
    let _watchdog = watchdog();
    let (door, pool, _results) = busy(64);
    let _open = OpenAtEnd(&door);
    let mut lane = lane(&pool, 0);
    thread::scope(|scope| {
        let blocked = scope.spawn(move || {
            let mut accepted = 1;
            loop {
                match lane.submit(value(accepted)) {
                    Ok(_) => accepted += 1,
                    Err(error) => return (accepted, error),
                }
            }
        });
        eventually("it waits", || pool.stats().blocked_submitters == 1);
        pool.close();
        let (accepted, error) = blocked.join().unwrap();
        assert_eq!(accepted, 64);
        assert!(matches!(error, SubmitError::Closed(_)));
        assert_eq!(error.into_job()(), 64);
    });
}

#[test]
fn a_submitter_that_waits_in_its_lane_goes_on_when_a_job_starts() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(8);
    let _open = OpenAtEnd(&door);
    let mut lane = lane(&pool, 0);
    thread::scope(|scope| {
        let blocked = scope.spawn(move || {
            for job in 1..100 {
                lane.submit(value(job)).unwrap();
            }
        });
        eventually("it waits", || pool.stats().blocked_submitters == 1);
        door.open();
        blocked.join().unwrap();
    });
    pool.close();
    assert!(values(results).into_iter().eq(0..100));
}

#[test]
fn shutdown_now_returns_what_waits_in_lanes_in_order_of_the_indices() {
    let _watchdog = watchdog();
    let (door, pool, _results) = busy(100);
    let mut lanes = [pool.submitter(), pool.submitter()];
    let mut expected = Vec::new();
    for job in 0..60 {
        let index = match job % 4 {
            0 => pool.submit(value(job)),
            1 => lanes[1].submit(value(job)),
            _ => lanes[0].submit(value(job)),
        };
        expected.push((index.unwrap(), job));
    }
    expected.sort_unstable();
    let handle = pool.handle();
    let returned = thread::scope(|scope| {
        scope.spawn(|| {
            eventually("it is closed", || handle.is_closed());
            door.open();
        });
        pool.shutdown_now().unwrap()
    });
    let returned = returned.into_iter().map(|job| job());
    assert!(returned.eq(expected.iter().map(|(_, job)| *job)));
    assert_eq!(handle.stats().returned, 60);
    assert!(lanes.iter_mut().all(|lane| lane.submit(value(0)).is_err()));
}

#[test]
fn cancel_reaches_jobs_in_lanes_and_no_place_that_is_only_reserved() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(100);
    let _open = OpenAtEnd(&door);
    let mut lane = lane(&pool, 0);
    let cancelled = lane.submit(value(1)).unwrap();
    pool.cancel(cancelled).unwrap();
    // It has no job yet, so the one that it gets is not cancelled.
    assert_eq!(pool.cancel(cancelled + 1), Err(CancelError::NotSubmitted));
    assert_eq!(lane.submit(value(2)).unwrap(), cancelled + 1);
    // Nor when the place is given up.
    drop(lane);
    assert_eq!(pool.cancel(cancelled + 2), Err(CancelError::NotSubmitted));
    door.open();
    pool.close();
    let outcomes: Vec<_> = results.map(|outcome| outcome.result).collect();
    assert!(matches!(
        outcomes[..],
        [Ok(u64::MAX), Ok(0), Err(JobError::Cancelled), Ok(2)]
    ));
}

#[test]
fn what_a_lane_submits_after_cancel_all_runs() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(100);
    let _open = OpenAtEnd(&door);
    let mut lane = lane(&pool, 0);
    let end = pool.cancel_all().unwrap();
    assert!(lane.submit(value(1)).unwrap() >= end);
    door.open();
    pool.close();
    let outcomes: Vec<_> = results.map(|outcome| outcome.result).collect();
    assert!(matches!(
        outcomes[..],
        [Ok(u64::MAX), Err(JobError::Cancelled), Ok(1)]
    ));
}

/// What was cancelled too late is forgotten when the pool is idle, but nothing that comes later.
#[test]
fn a_cancellation_in_a_reserved_place_is_not_forgotten() {
    let _watchdog = watchdog();
    for _ in 0..if cfg!(miri) { 2 } else { 20 } {
        let (pool, results) = crew(1, 64, 4096);
        let mut lane = lane(&pool, 0);
        pool.wait_idle().unwrap();
        // Too late.
        pool.cancel(0).unwrap();
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        lane.submit(behind(&door, 1)).unwrap();
        door.wait_for(1);
        let index = lane.submit(value(2)).unwrap();
        pool.cancel(index).unwrap();
        door.open();
        pool.close();
        let outcomes: Vec<_> = results.map(|outcome| outcome.result).collect();
        assert!(matches!(
            outcomes[..],
            [Ok(0), Ok(1), Err(JobError::Cancelled)]
        ));
    }
}

/// One worker starts all in order of their indices; so a job is overtaken by few.
#[test]
fn jobs_in_lanes_and_others_do_not_starve_each_other() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(1000);
    let _open = OpenAtEnd(&door);
    let mut lanes: Vec<_> = (0..3).map(|_| pool.submitter()).collect();
    for job in 0..600 {
        match job % 7 {
            0 | 3 => pool.submit(value(job)),
            1 | 4 | 5 => lanes[0].submit(value(job)),
            2 => lanes[1].submit(value(job)),
            _ => lanes[2].submit(value(job)),
        }
        .unwrap();
    }
    door.open();
    pool.close();
    for (turn, job) in values(results).into_iter().enumerate() {
        // By six places of each lane, at most.
        let early = turn.abs_diff(job as usize);
        assert!(early <= 3 * 7 * 7, "job {job} came as number {turn}");
    }
}

#[test]
fn a_worker_that_would_wait_for_room_in_its_own_pools_lane_gets_the_job_back() {
    let _watchdog = watchdog();
    let (pool, results) = crew(1, 64, 100);
    let mut lane = pool.submitter();
    pool.submit(Box::new(move || {
        for job in 0..64 {
            lane.submit(value(job)).unwrap();
        }
        let back = lane.submit(value(7)).unwrap_err();
        assert!(matches!(back, SubmitError::WouldDeadlock(_)));
        assert_eq!(back.into_job()(), 7);
        let error = lane.submit_all((0..3).map(value)).unwrap_err();
        assert!(error.would_deadlock());
        assert_eq!(error.into_jobs().count(), 3);
        u64::MAX
    }))
    .unwrap();
    eventually("all was submitted", || pool.stats().completed == 65);
    pool.close();
    assert!(values(results).into_iter().eq(0..64));
}

#[test]
fn a_panicking_iterator_loses_none_of_the_jobs_that_it_gave_to_a_lane() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(1000);
    let _open = OpenAtEnd(&door);
    let mut next = 0;
    let mut lane = pool.submitter();
    // While it takes what is reserved, and in the batches behind.
    for given in [0, 3, 40] {
        lane.submit(value(next)).unwrap();
        let jobs = (0..given).map(|nth| value(next + 1 + nth));
        let panics = std::iter::once_with(|| std::panic::resume_unwind(Box::new("the end")));
        let submitted = catch_unwind(AssertUnwindSafe(|| lane.submit_all(jobs.chain(panics))));
        assert!(submitted.is_err());
        next += 1 + given;
    }
    lane.submit(value(next)).unwrap();
    door.open();
    pool.close();
    assert!(values(results).into_iter().eq(0..=next));
}

#[test]
fn a_submitter_outlives_its_pool_and_its_thread() {
    let _watchdog = watchdog();
    let (pool, results) = crew(1, 64, 100);
    let lane = lane(&pool, 0);
    let mut lane = thread::spawn(move || {
        let mut lane = lane;
        lane.submit(value(1)).unwrap();
        lane
    })
    .join()
    .unwrap();
    pool.join().unwrap();
    assert!(lane.submit(value(2)).is_err());
    drop(results);
    assert!(lane.try_submit(value(2)).is_err());
}
