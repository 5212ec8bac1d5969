//! `cancel`: what waits is never started, what has started is not touched.

use crate::common::{
    Door, OpenAtEnd, Task, assert_conserved, behind, crew, drop_while_panicking, eventually, value,
    watchdog,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use workcrew::{CancelError, JobError, Results, WorkerPool};

/// Takes until the end: the indices of results and of cancelled jobs, sorted.
fn sort_out<R: Send>(results: Results<R>) -> (Vec<u64>, Vec<u64>) {
    let (mut done, mut cancelled) = (Vec::new(), Vec::new());
    for outcome in results {
        match outcome.result {
            Ok(_) => done.push(outcome.index),
            Err(JobError::Cancelled) => cancelled.push(outcome.index),
            Err(error) => panic!("{error}"),
        }
    }
    done.sort_unstable();
    cancelled.sort_unstable();
    (done, cancelled)
}

/// A pool of one worker, whose job 0 stands at the door.
fn busy(job_capacity: usize) -> (Door, WorkerPool<Task, u64>, Results<u64>) {
    let door = Door::new();
    let (pool, results) = crew(1, job_capacity, 10_000);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    (door, pool, results)
}

#[test]
fn a_cancelled_job_is_dropped_unstarted_and_its_outcome_says_so() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(8);
    let _open = OpenAtEnd(&door);
    let token = Arc::new(());
    for _ in 1..4 {
        let token = Arc::clone(&token);
        pool.submit(Box::new(move || Arc::strong_count(&token) as u64))
            .unwrap();
    }
    pool.cancel(2).unwrap();
    // Again, and from elsewhere.
    pool.handle().cancel(2).unwrap();
    let stats = pool.stats();
    assert_eq!(
        (stats.queued, stats.cancelled),
        (3, 0),
        "it keeps its place"
    );
    let handle = pool.handle();
    door.open();
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&token), 1);
    assert_eq!(sort_out(results), (vec![0, 1, 3], vec![2]));
    let stats = handle.stats();
    assert_eq!((stats.completed, stats.cancelled), (3, 1));
    assert_eq!(stats.workers[0].executed, 3);
    assert_conserved(&stats);
    // Nothing can be started any more.
    for _ in 0..100 {
        handle.cancel(3).unwrap();
    }
}

#[test]
fn jobs_that_run_or_have_ended_are_not_touched() {
    let _watchdog = watchdog();
    let (door, pool, mut results) = busy(8);
    let _open = OpenAtEnd(&door);
    pool.cancel(0).unwrap();
    door.open();
    assert_eq!(results.recv().unwrap().result.unwrap(), 0);
    pool.cancel(0).unwrap();
    pool.submit(value(1)).unwrap();
    pool.join().unwrap();
    assert_eq!(sort_out(results), (vec![1], vec![]));
}

/// A job that is cancelled before it was submitted would be another one.
#[test]
fn what_was_not_submitted_cannot_be_cancelled() {
    let _watchdog = watchdog();
    let (pool, results) = crew(1, 8, 8);
    assert_eq!(pool.cancel(0), Err(CancelError::NotSubmitted));
    assert_eq!(pool.cancel(u64::MAX), Err(CancelError::NotSubmitted));
    pool.submit(value(1)).unwrap();
    pool.join().unwrap();
    assert_eq!(sort_out(results), (vec![0], vec![]));
}

/// In the shared queue, and in the deque of a worker that has taken them along.
#[test]
fn all_that_wait_can_be_cancelled_whatever_the_capacity() {
    let _watchdog = watchdog();
    let capacities: &[usize] = if cfg!(miri) {
        &[1, 2, 5]
    } else {
        &[1, 2, 5, 64, 300]
    };
    for &capacity in capacities {
        for in_deques in [false, true] {
            let (door, pool, results) = busy(capacity);
            let _open = OpenAtEnd(&door);
            let second = Door::new();
            let _open_too = OpenAtEnd(&second);
            for _ in 0..capacity {
                pool.submit(behind(&second, 0)).unwrap();
            }
            let mut first = 1;
            if in_deques {
                door.open();
                second.wait_for(1);
                first = 2;
            }
            let all = 1..=capacity as u64;
            all.clone().for_each(|index| pool.cancel(index).unwrap());
            door.open();
            second.open();
            pool.join().unwrap();
            let (done, cancelled) = sort_out(results);
            assert!(done.into_iter().eq(0..first));
            assert!(cancelled.into_iter().eq(first..=capacity as u64));
        }
    }
}

#[test]
fn a_cancelled_job_keeps_its_place_until_its_turn() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(2);
    let _open = OpenAtEnd(&door);
    pool.submit_all([value(1), value(2)]).unwrap();
    pool.cancel(1).unwrap();
    assert!(pool.try_submit(value(3)).is_err());
    door.open();
    pool.submit(value(3)).unwrap();
    pool.join().unwrap();
    assert_eq!(sort_out(results), (vec![0, 2, 3], vec![1]));
}

#[test]
fn follow_ups_are_not_cancelled_with_their_ancestor() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .build(move |job, ctx| {
            match job {
                0 => [1, 2].into_iter().for_each(|job| ctx.push(job)),
                1 => inside.pass(),
                _ => {}
            }
            job
        })
        .unwrap();
    pool.submit(0).unwrap();
    door.wait_for(1);
    // The ancestor has ended, and its second follow-up waits.
    pool.cancel(0).unwrap();
    door.open();
    pool.join().unwrap();
    assert_eq!(sort_out(results), (vec![0, 0, 0], vec![]));
}

/// Those of jobs that have ended stay in the table, until somebody sees the pool idle.
#[test]
fn late_cancellations_are_in_the_way_until_the_pool_is_idle() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(2, 1, 100);
    let mut next = 0;
    for _ in 0..3 {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        pool.submit(behind(&door, 0)).unwrap();
        door.wait_for(1);
        for _ in 0..20 {
            pool.submit(value(0)).unwrap();
            results.recv().unwrap();
        }
        let ended = next + 1..=next + 20;
        next += 21;
        let verdicts: Vec<_> = ended.map(|index| pool.cancel(index)).collect();
        assert!(verdicts[..8].iter().all(Result::is_ok), "{verdicts:?}");
        assert!(
            verdicts[8..]
                .iter()
                .all(|it| *it == Err(CancelError::Crowded))
        );
        // And so for a job that waits; it is not touched. (The other worker is held too.)
        let other = Door::new();
        let _open_too = OpenAtEnd(&other);
        pool.submit(behind(&other, 0)).unwrap();
        other.wait_for(1);
        let waits = pool.submit(value(7)).unwrap();
        assert_eq!(pool.cancel(waits), Err(CancelError::Crowded));
        next += 2;
        // One after the other looks around before it sleeps: the last sees the pool idle.
        let before = pool.stats().workers;
        for (door, jobs) in [(&door, 2), (&other, 1)] {
            door.open();
            let ended: Vec<_> = (0..jobs).map(|_| results.recv().unwrap()).collect();
            assert!(ended.iter().all(|outcome| outcome.result.is_ok()));
            let worker = ended[0].worker;
            eventually("its worker sleeps", || {
                pool.stats().workers[worker].parked > before[worker].parked
            });
        }
    }
}

#[test]
fn a_cancelled_jobs_panicking_drop_is_swallowed() {
    let _watchdog = watchdog();
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("in a job's drop"));
        }
    }
    let door = Door::new();
    let _open = OpenAtEnd(&door);
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
    pool.submit(Some(Explosive)).unwrap();
    pool.submit(None).unwrap();
    pool.cancel(1).unwrap();
    door.open();
    pool.join().unwrap();
    assert_eq!(sort_out(results), (vec![0, 2], vec![1]));
}

#[test]
fn shutdown_now_hands_back_what_was_cancelled_and_waits() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(8);
    pool.submit_all([value(1), value(2)]).unwrap();
    pool.cancel(1).unwrap();
    let handle = pool.handle();
    let opener = thread::spawn({
        let handle = handle.clone();
        move || {
            eventually("it is closed", || handle.is_closed());
            door.open();
        }
    });
    assert_eq!(pool.shutdown_now().unwrap().len(), 2);
    opener.join().unwrap();
    assert_eq!(sort_out(results), (vec![0], vec![]));
    assert_eq!(handle.stats().returned, 2);
    assert_conserved(&handle.stats());
}

#[test]
fn a_pool_dropped_in_a_panic_cancels_each_job_once() {
    let _watchdog = watchdog();
    let (door, pool, results) = busy(8);
    pool.submit_all([value(1), value(2)]).unwrap();
    pool.cancel(1).unwrap();
    let handle = pool.handle();
    let opener = thread::spawn({
        let handle = handle.clone();
        move || {
            eventually("it is closed", || handle.is_closed());
            door.open();
        }
    });
    drop_while_panicking(|| pool);
    opener.join().unwrap();
    assert_eq!(sort_out(results), (vec![0], vec![1, 2]));
    assert_eq!(handle.stats().cancelled, 2);
    assert_conserved(&handle.stats());
}

#[test]
fn cancel_all_cancels_what_waits_and_the_pool_goes_on() {
    let _watchdog = watchdog();
    // Of 300 some are in the worker's deque.
    for capacity in [1, 3, 300] {
        let (door, pool, results) = busy(capacity);
        let _open = OpenAtEnd(&door);
        let second = Door::new();
        let _open_too = OpenAtEnd(&second);
        for _ in 0..capacity {
            pool.submit(behind(&second, 0)).unwrap();
        }
        door.open();
        second.wait_for(1);
        // One that was cancelled by itself too has one outcome.
        pool.cancel(capacity as u64).unwrap();
        let end = capacity as u64 + 1;
        assert_eq!(pool.cancel_all(), Ok(end));
        assert_eq!(
            pool.handle().cancel_all(),
            Ok(end),
            "again, and from elsewhere"
        );
        assert!(!pool.is_closed());
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.running), (capacity as u64 - 1, 1));
        second.open();
        for _ in 0..10 {
            pool.submit(value(7)).unwrap();
        }
        let handle = pool.handle();
        pool.join().unwrap();
        let (done, cancelled) = sort_out(results);
        assert!(done.into_iter().eq((0..2).chain(end..end + 10)));
        assert!(cancelled.into_iter().eq(2..end));
        assert_eq!(handle.stats().cancelled, end - 2);
        assert_conserved(&handle.stats());
    }
}

#[test]
fn running_jobs_can_ask_whether_all_were_cancelled() {
    let _watchdog = watchdog();
    let (before, after) = (Door::new(), Door::new());
    let (_open, _open_too) = (OpenAtEnd(&before), OpenAtEnd(&after));
    let inside = [before.clone(), after.clone()];
    let (pool, results) = WorkerPool::<usize, bool>::builder()
        .workers(2)
        .build(move |job, ctx| {
            inside[job].pass();
            ctx.is_cancelled()
        })
        .unwrap();
    pool.submit(0).unwrap();
    before.wait_for(1);
    assert_eq!(pool.cancel_all(), Ok(1));
    pool.submit(1).unwrap();
    after.wait_for(1);
    before.open();
    after.open();
    pool.join().unwrap();
    let mut asked: Vec<_> = results
        .map(|outcome| (outcome.index, outcome.result.unwrap()))
        .collect();
    asked.sort_unstable();
    assert_eq!(asked, [(0, true), (1, false)]);
}

/// Those that wait, and those that a running job pushes afterwards.
#[test]
fn cancel_all_takes_follow_ups_along() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .build(move |job, ctx| {
            if job == 1 {
                ctx.push(0);
                inside.pass();
                ctx.push(0);
            } else if job == 2 {
                ctx.push(0);
            }
            job
        })
        .unwrap();
    pool.submit(1).unwrap();
    door.wait_for(1);
    assert_eq!(pool.cancel_all(), Ok(1));
    pool.submit(2).unwrap();
    door.open();
    pool.join().unwrap();
    assert_eq!(sort_out(results), (vec![0, 1, 1], vec![0, 0]));
}

/// It is no end of the pool: the results' bound holds.
#[test]
fn after_cancel_all_workers_still_wait_for_room_among_the_results() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (pool, mut results) = crew(1, 8, 2);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    for _ in 0..6 {
        pool.submit(value(0)).unwrap();
    }
    pool.cancel_all().unwrap();
    door.open();
    eventually("the worker waits", || pool.stats().blocked_workers == 1);
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.results_waiting), (4, 3));
    pool.close();
    assert_eq!(results.by_ref().count(), 7);
    pool.join().unwrap();
}

/// Submitters, workers and one who cancels all, over and over: what was accepted before is
/// cancelled or has run, what came after the last one runs, and each job has one outcome.
#[test]
fn each_job_is_on_one_side_of_cancel_all() {
    const JOBS: u64 = if cfg!(miri) { 60 } else { 20_000 };
    let _watchdog = watchdog();
    for workers in [1, 3] {
        let (pool, results) = WorkerPool::<u64, u64>::builder()
            .workers(workers)
            .job_capacity(50)
            .build(move |job, ctx| {
                if job % 16 == 0 {
                    ctx.push(1);
                    thread::yield_now();
                }
                job
            })
            .unwrap();
        let over = AtomicBool::new(false);
        let (end, outcomes) = thread::scope(|scope| {
            let taker = scope.spawn(|| {
                results
                    .map(|outcome| (outcome.index, outcome.follow_up, outcome.result.is_ok()))
                    .collect::<Vec<_>>()
            });
            let canceller = scope.spawn(|| {
                let mut end = 0;
                while !over.load(Ordering::Relaxed) {
                    let next = pool.cancel_all().unwrap();
                    assert!(next >= end, "it only grows");
                    end = next;
                    assert_conserved(&pool.stats());
                    thread::yield_now();
                }
                end
            });
            for job in 0..JOBS / 2 {
                pool.submit(job).unwrap();
            }
            pool.submit_all(JOBS / 2..JOBS).unwrap();
            over.store(true, Ordering::Relaxed);
            let end = canceller.join().unwrap();
            pool.submit_all(0..100).unwrap();
            pool.close();
            (end, taker.join().unwrap())
        });
        assert!(end <= JOBS);
        let late = outcomes.iter().filter(|(index, ..)| *index >= end);
        assert!(late.clone().all(|(.., ran)| *ran), "nobody cancelled those");
        let submitted: BTreeSet<_> = outcomes
            .iter()
            .filter(|(_, follow_up, _)| !follow_up)
            .map(|(index, ..)| *index)
            .collect();
        assert!(submitted.into_iter().eq(0..JOBS + 100));
        let stats = pool.stats();
        assert_eq!(stats.accepted, outcomes.len() as u64);
        let cancelled = outcomes.iter().filter(|(.., ran)| !ran).count();
        assert_eq!(stats.cancelled, cancelled as u64);
        assert_conserved(&stats);
    }
}

/// Submitters, cancellers and workers at once: each job has one outcome, it ran if and only
/// if that is no cancellation, and every snapshot adds up.
#[test]
fn each_job_has_one_outcome_while_others_cancel() {
    const JOBS: u64 = if cfg!(miri) { 60 } else { 20_000 };
    let _watchdog = watchdog();
    for workers in [1, 3] {
        let ran = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&ran);
        let (pool, results) = WorkerPool::<u64, u64>::builder()
            .workers(workers)
            .job_capacity(50)
            .build(move |job, _| {
                count.fetch_add(1, Ordering::Relaxed);
                if job % 16 == 0 {
                    thread::yield_now();
                }
                job
            })
            .unwrap();
        let over = AtomicBool::new(false);
        let (done, cancelled) = thread::scope(|scope| {
            let taker = scope.spawn(|| sort_out(results));
            let canceller = scope.spawn(|| {
                let mut last = 0;
                while !over.load(Ordering::Relaxed) {
                    let stats = pool.stats();
                    assert_conserved(&stats);
                    // What was submitted last waits most likely. It may find no place.
                    for index in last.max(stats.accepted.saturating_sub(40))..stats.accepted {
                        let _ = pool.cancel(index);
                        last = index + 1;
                    }
                    thread::yield_now();
                }
            });
            for job in 0..JOBS / 2 {
                pool.submit(job).unwrap();
            }
            pool.submit_all(JOBS / 2..JOBS).unwrap();
            over.store(true, Ordering::Relaxed);
            canceller.join().unwrap();
            pool.close();
            taker.join().unwrap()
        });
        assert_eq!(ran.load(Ordering::Relaxed), done.len() as u64);
        let stats = pool.stats();
        assert_eq!(stats.cancelled, cancelled.len() as u64);
        assert_conserved(&stats);
        let all: BTreeSet<_> = done.iter().chain(&cancelled).copied().collect();
        assert_eq!(done.len() + cancelled.len(), JOBS as usize);
        assert!(all.into_iter().eq(0..JOBS));
    }
}
