//! The bound on waiting jobs is exact, and the counts add up at every moment.

#![forbid(unsafe_code)]

mod common;

use common::{Door, assert_conserved, eventually, watchdog, watchdog_with};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use workcrew::{Results, TrySubmitError, WorkerPool};

const ROUNDS: usize = if cfg!(miri) { 3 } else { 1000 };

/// A pool whose workers, each with a job in its hands, wait until all are told to go on.
struct Busy {
    pool: WorkerPool<u64, u64>,
    results: Results<u64>,
    /// Passed by each job twice: when it has started, and when it may end.
    barrier: Arc<Barrier>,
    workers: usize,
}

impl Busy {
    fn new(workers: usize, capacity: usize) -> Self {
        let barrier = Arc::new(Barrier::new(workers + 1));
        let inside = Arc::clone(&barrier);
        let (pool, results) = WorkerPool::<u64, u64>::builder()
            .workers(workers)
            .job_capacity(capacity)
            .build(move |job, _| {
                if job == SLOW {
                    inside.wait();
                    inside.wait();
                }
                job
            })
            .unwrap();
        Self {
            pool,
            results,
            barrier,
            workers,
        }
    }

    /// With all workers busy and the queue full: no job more, by no form, and the stats say so.
    fn expect_full(&self, capacity: u64) {
        for _ in 0..3 {
            assert!(matches!(
                self.pool.try_submit(1),
                Err(TrySubmitError::Full(1))
            ));
        }
        let stats = self.pool.stats();
        assert_eq!(
            (stats.queued, stats.running),
            (capacity, self.workers as u64),
            "{stats}"
        );
        assert_conserved(&stats);
    }

    fn finish(&mut self, jobs: usize) {
        self.barrier.wait();
        assert_eq!(self.results.by_ref().take(jobs).count(), jobs);
        eventually("the workers have counted their jobs", || {
            self.pool.stats().running == 0
        });
    }
}

/// A job that waits for the test.
const SLOW: u64 = u64::MAX;

/// The example of the contract: capacity 5 and 3 workers accept 8 slow jobs, not 9.
#[test]
fn with_capacity_5_and_3_busy_workers_8_jobs_are_accepted_and_the_9th_is_full() {
    let _watchdog = watchdog();
    let mut busy = Busy::new(3, 5);
    for _ in 0..ROUNDS {
        for _ in 0..3 {
            busy.pool.submit(SLOW).unwrap();
        }
        busy.barrier.wait();
        for _ in 0..5 {
            // None of these waits.
            busy.pool.try_submit(1).unwrap();
        }
        busy.expect_full(5);
        busy.finish(8);
    }
}

/// As above, with no wait for the workers in between: the eight fit at the latest when the
/// workers have started theirs, and never a ninth.
#[test]
fn eight_slow_jobs_one_after_the_other_leave_no_room_for_a_9th() {
    let _watchdog = watchdog();
    for _ in 0..ROUNDS {
        let door = Door::new();
        let inside = door.clone();
        let (pool, results) = WorkerPool::<(), ()>::builder()
            .workers(3)
            .job_capacity(5)
            .build(move |(), _| inside.pass())
            .unwrap();
        for _ in 0..8 {
            pool.submit(()).unwrap();
        }
        assert!(matches!(pool.try_submit(()), Err(TrySubmitError::Full(()))));
        door.wait_for(3);
        assert_eq!((pool.stats().queued, pool.stats().running), (5, 3));
        door.open();
        pool.close();
        assert_eq!(results.count(), 8);
    }
}

#[test]
fn eight_slow_jobs_in_a_batch_leave_no_room_for_a_9th() {
    let _watchdog = watchdog();
    for _ in 0..ROUNDS {
        let door = Door::new();
        let inside = door.clone();
        let (pool, results) = WorkerPool::<u64, ()>::builder()
            .workers(3)
            .job_capacity(5)
            .build(move |_, _| inside.pass())
            .unwrap();
        assert_eq!(pool.submit_all(0..8).unwrap(), 8);
        assert!(matches!(pool.try_submit(8), Err(TrySubmitError::Full(8))));
        thread::scope(|scope| {
            scope.spawn(|| {
                let error = pool.submit_all(8..20).unwrap_err();
                assert_eq!(error.accepted(), 0);
                assert!(error.into_jobs().eq(8..20));
            });
            eventually("the submitter waits", || {
                pool.stats().blocked_submitters == 1
            });
            assert_eq!(pool.stats().accepted, 8);
            pool.close();
        });
        door.open();
        assert_eq!(results.count(), 8);
    }
}

/// What waits in the deques of workers counts: they claim batches and are held up by the first.
#[test]
fn jobs_in_the_workers_deques_count_as_waiting() {
    let _watchdog = watchdog();
    for (workers, capacity) in [(1, 5), (3, 5), (2, 64), (1, 300), (4, 1000)] {
        for _ in 0..if cfg!(miri) { 1 } else { 50 } {
            let (first, second) = (Door::new(), Door::new());
            let doors = [first.clone(), second.clone()];
            let (pool, results) = WorkerPool::<usize, ()>::builder()
                .workers(workers)
                .job_capacity(capacity)
                .result_capacity(4096)
                .build(move |door, _| doors[door].pass())
                .unwrap();
            let full = || matches!(pool.try_submit(1), Err(TrySubmitError::Full(1)));
            for worker in 0..workers {
                pool.submit(0).unwrap();
                first.wait_for(worker + 1);
            }
            assert_eq!(pool.submit_all(vec![1; capacity]).unwrap(), capacity as u64);
            assert!(full());
            first.open();
            second.wait_for(workers);
            let stats = pool.stats();
            assert_eq!(stats.queued, (capacity - workers) as u64, "{stats}");
            // As many as were started, and not one more.
            for _ in 0..workers {
                pool.try_submit(1).unwrap();
            }
            assert!(full());
            assert_conserved(&pool.stats());
            second.open();
            pool.close();
            assert_eq!(results.count(), 2 * workers + capacity);
        }
    }
}

#[test]
fn with_capacity_1_one_job_waits_for_each_pool_whatever_its_workers() {
    let _watchdog = watchdog();
    for workers in 1..5 {
        let mut busy = Busy::new(workers, 1);
        for _ in 0..ROUNDS / 10 {
            for _ in 0..workers {
                busy.pool.submit(SLOW).unwrap();
            }
            busy.barrier.wait();
            busy.pool.try_submit(1).unwrap();
            busy.expect_full(1);
            busy.finish(workers + 1);
        }
    }
}

/// Many submitters race for the last places; as many as there are get one.
#[test]
fn submitters_that_race_for_the_last_places_do_not_exceed_the_capacity() {
    let _watchdog = watchdog();
    let mut busy = Busy::new(2, 7);
    for round in 0..ROUNDS {
        for _ in 0..2 {
            busy.pool.submit(SLOW).unwrap();
        }
        busy.barrier.wait();
        let start = Barrier::new(4);
        let accepted: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let (pool, start) = (&busy.pool, &start);
                    scope.spawn(move || {
                        start.wait();
                        (0..4).filter(|_| pool.try_submit(thread).is_ok()).count() as u64
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(accepted, 7, "round {round}");
        busy.expect_full(7);
        busy.finish(9);
    }
}

/// Counted from outside: jobs whose submission returned, less jobs whose function was entered,
/// less those that the workers may be carrying from one to the other.
#[test]
fn the_capacity_is_not_exceeded_while_everything_moves() {
    let _watchdog = watchdog();
    for (workers, capacity) in [(1, 1), (2, 3), (3, 5), (4, 64)] {
        let started = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&started);
        let (pool, results) = WorkerPool::<(), ()>::builder()
            .workers(workers)
            .job_capacity(capacity)
            .build(move |(), _| {
                counter.fetch_add(1, Ordering::SeqCst);
            })
            .unwrap();
        drop(results);
        let accepted = AtomicU64::new(0);
        let running = AtomicBool::new(true);
        let jobs = if cfg!(miri) { 60 } else { 30_000 };
        thread::scope(|scope| {
            for form in 0..3 {
                let (pool, accepted) = (&pool, &accepted);
                scope.spawn(move || {
                    for _ in 0..jobs / 10 {
                        // Each form counts when it returns, so late rather than early.
                        let some = match form {
                            0 => u64::from(pool.submit(()).is_ok()),
                            1 => u64::from(pool.try_submit(()).is_ok()),
                            _ => pool.submit_all([(); 10]).unwrap(),
                        };
                        accepted.fetch_add(some, Ordering::SeqCst);
                    }
                });
            }
            scope.spawn(|| {
                while running.load(Ordering::Relaxed) {
                    let accepted = accepted.load(Ordering::SeqCst);
                    let started = started.load(Ordering::SeqCst);
                    assert!(
                        accepted <= started + (capacity + workers) as u64,
                        "{accepted} accepted, {started} started"
                    );
                    assert_conserved(&pool.stats());
                    thread::yield_now();
                }
            });
            eventually("nearly all is done", || {
                pool.stats().completed >= jobs / 10 * 11
            });
            running.store(false, Ordering::Relaxed);
        });
        pool.join().unwrap();
    }
}

/// The parts of a snapshot are taken while everything moves, and still add up; none is ever
/// "less than nothing", and what only grows does.
#[test]
fn every_snapshot_under_load_adds_up() {
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .job_capacity(8)
        .result_capacity(8)
        .build(|job, ctx| {
            match job % 5 {
                0 => std::panic::resume_unwind(Box::new("a panic")),
                1 => ctx.push(2),
                _ => {}
            }
            job
        })
        .unwrap();
    let handle = pool.handle();
    let _watchdog = watchdog_with(common::PATIENCE, {
        let handle = handle.clone();
        move || handle.stats().to_string()
    });
    let jobs = if cfg!(miri) { 50 } else { 20_000 };
    thread::scope(|scope| {
        let taker = scope.spawn(move || results.count() as u64);
        let snapshots = scope.spawn(|| {
            let mut last = handle.stats();
            while !handle.is_closed() {
                let stats = handle.stats();
                assert_conserved(&stats);
                assert!(stats.queued < 1 << 32, "{stats}");
                assert!(stats.completed >= last.completed && stats.panicked >= last.panicked);
                last = stats;
            }
        });
        for job in 0..jobs {
            pool.submit(job).unwrap();
        }
        pool.submit_all(0..jobs).unwrap();
        pool.join().unwrap();
        snapshots.join().unwrap();
        assert_eq!(taker.join().unwrap(), handle.stats().accepted);
    });
    let stats = handle.stats();
    assert_conserved(&stats);
    assert_eq!((stats.queued, stats.running), (0, 0));
    // A fifth of all jobs panics, another fifth pushes one.
    assert_eq!(stats.accepted, 2 * jobs + 2 * jobs.div_ceil(5));
    assert_eq!(stats.panicked, 2 * jobs.div_ceil(5));
    assert_eq!(
        stats
            .workers
            .iter()
            .map(|worker| worker.executed)
            .sum::<u64>(),
        stats.accepted
    );
}
