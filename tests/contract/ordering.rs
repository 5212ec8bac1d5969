//! `in_order`: submission order, as far as the window reaches.

use crate::common::{Door, OpenAtEnd, Task, behind, crew, eventually, value, watchdog};
use std::thread;
use workcrew::{JobError, Outcome, WorkerPool};

fn indices<R>(outcomes: impl Iterator<Item = Outcome<R>>) -> Vec<u64> {
    outcomes.map(|outcome| outcome.index).collect()
}

/// Four workers and jobs of different length, in submission order at the other end.
#[test]
fn in_order_gives_submission_order_within_the_window() {
    const JOBS: u64 = if cfg!(miri) { 50 } else { 5_000 };
    let _watchdog = watchdog();
    for capacity in [1, 7, 100] {
        let (pool, mut results) = WorkerPool::<u64, u64>::builder()
            .workers(4)
            .job_capacity(capacity)
            .result_capacity(3)
            .build(|job, _| {
                for _ in 0..job % 5 {
                    thread::yield_now();
                }
                job
            })
            .unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                pool.submit_all(0..JOBS).unwrap();
                pool.close();
            });
            let ordered = pool.in_order(&mut results, JOBS as usize);
            assert!(ordered.map(|outcome| outcome.result.unwrap()).eq(0..JOBS));
        });
    }
}

/// Job 0 stands at the door. The others are held back until the window is full.
#[test]
fn a_full_window_lets_the_first_go() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (pool, mut results) = crew(2, 16, 16);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    for job in 1..6 {
        pool.submit(value(job)).unwrap();
    }
    eventually("the others have ended", || pool.stats().completed == 5);
    let mut ordered = pool.in_order(&mut results, 3);
    // 1 to 4 have come, 5 lies there; then 2 is what comes after 1, and so on.
    let early = indices(ordered.by_ref().take(5).inspect(|outcome| {
        if outcome.index == 5 {
            // Nothing else is to come but the late one.
            door.open();
        }
    }));
    assert_eq!(early, [1, 2, 3, 4, 5]);
    assert_eq!(indices(ordered.by_ref().take(1)), [0], "late, at once");
    pool.submit(value(6)).unwrap();
    assert_eq!(indices(ordered.by_ref().take(1)), [6]);
}

/// Another taker has what is missing, and the pool stays open.
#[test]
fn an_index_that_never_comes_is_waited_for_until_the_pool_is_idle() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 16, 16);
    pool.submit(value(0)).unwrap();
    let mut other = results.clone();
    assert_eq!(other.recv().unwrap().index, 0);
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    pool.submit(value(1)).unwrap();
    pool.submit(value(2)).unwrap();
    pool.submit(behind(&door, 3)).unwrap();
    door.wait_for(1);
    thread::scope(|scope| {
        let taking = scope.spawn(|| indices(pool.in_order(&mut results, 8).take(3)));
        // It has taken them, and holds them back while job 3 runs.
        eventually("they are taken", || pool.stats().results_waiting == 0);
        assert!(!taking.is_finished());
        door.open();
        assert_eq!(taking.join().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn what_is_held_back_comes_at_the_end() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 16, 16);
    for job in 0..5 {
        pool.submit(value(job)).unwrap();
    }
    pool.wait_idle().unwrap();
    let mut other = results.clone();
    // A share of half: 0, 1, 2; it keeps them until it is dropped.
    assert_eq!(other.recv().unwrap().index, 0);
    pool.close();
    assert_eq!(indices(pool.in_order(&mut results, 8)), [3, 4]);
    drop(other);
    assert_eq!(indices(pool.in_order(&mut results, 8)), [1, 2]);
}

/// What it holds back when it is dropped is next, and the next one goes on from there.
#[test]
fn what_a_dropped_one_held_back_is_next() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (pool, mut results) = WorkerPool::<Task, u64>::builder()
        .workers(2)
        .build(|task, ctx| {
            let result = task();
            if result == 3 {
                // At once, whatever is held back.
                ctx.push(value(1000));
            }
            result
        })
        .unwrap();
    pool.submit(value(0)).unwrap();
    pool.submit(behind(&door, 1)).unwrap();
    door.wait_for(1);
    pool.submit(value(2)).unwrap();
    eventually("two have ended", || pool.stats().completed == 2);
    pool.submit(value(3)).unwrap();
    eventually("four have ended", || pool.stats().completed == 4);
    let mut ordered = pool.in_order(&mut results, 8);
    let first = ordered.by_ref().take(2);
    let mut first: Vec<_> = first.map(|it| (it.index, it.follow_up)).collect();
    first.sort_unstable();
    assert_eq!(first, [(0, false), (3, true)]);
    drop(ordered);
    assert_eq!(results.try_recv().unwrap().index, 2);
    door.open();
    pool.close();
    assert_eq!(indices(pool.in_order(&mut results, 8)), [1, 3]);
}

#[test]
fn cancelled_jobs_have_their_place_in_the_order() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (pool, mut results) = crew(2, 16, 16);
    pool.submit(behind(&door, 0)).unwrap();
    pool.submit(behind(&door, 1)).unwrap();
    door.wait_for(2);
    for job in 2..10 {
        pool.submit(value(job)).unwrap();
    }
    pool.cancel(5).unwrap();
    door.open();
    pool.close();
    for (job, outcome) in (0..10).zip(pool.in_order(&mut results, 16)) {
        assert_eq!(outcome.index, job);
        match outcome.result {
            Ok(result) => assert!(result == job && job != 5),
            Err(error) => assert!(job == 5 && matches!(error, JobError::Cancelled)),
        }
    }
}

/// Submitters that overtake each other may skip indices; nobody waits for those.
#[test]
fn several_submitters_jobs_come_in_the_order_of_acceptance() {
    const JOBS: u64 = if cfg!(miri) { 20 } else { 3_000 };
    let _watchdog = watchdog();
    let (pool, mut results) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .job_capacity(8)
        .build(|job, _| job)
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for job in 0..JOBS {
                    pool.submit(job).unwrap();
                }
            });
        }
        // The pool stays open.
        let seen = indices(pool.in_order(&mut results, 10_000).take(3 * JOBS as usize));
        assert!(seen.is_sorted());
    });
}
