//! Jobs that wait elsewhere than in the submission queue run in time, even if that
//! queue is never empty.

use crate::common::{Door, eventually, watchdog};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use workcrew::WorkerPool;

/// A handle for jobs, once the pool is there.
type Later = Arc<std::sync::OnceLock<workcrew::Handle<u32, ()>>>;

/// More follow-ups than a deque holds.
const MANY: u32 = if cfg!(miri) { 280 } else { 1000 };

/// One job pushes more follow-ups than the deque holds, while jobs that submit themselves again
/// keep the injector non-empty. The follow-ups in the overflow queue run all the same.
#[test]
fn follow_ups_in_the_overflow_run_while_submitters_keep_the_queue_full() {
    let _watchdog = watchdog();
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&done);
    let handle = Later::default();
    let again = Arc::clone(&handle);
    let (pool, results) = WorkerPool::<u32, ()>::builder()
        .workers(1)
        .job_capacity(64)
        .build(move |job, ctx| match job {
            0 => (1..=MANY).for_each(|job| ctx.push(job)),
            MANY => seen.store(true, Ordering::Relaxed),
            2000 if !seen.load(Ordering::Relaxed) => drop(again.get().unwrap().submit(2000)),
            _ => {}
        })
        .unwrap();
    handle.set(pool.handle()).unwrap();
    drop(results);
    pool.submit_all([2000, 2000, 0]).unwrap();
    eventually("the last follow-up ran", || done.load(Ordering::Relaxed));
}

/// A worker takes a batch and its first job takes long (or waits for one of the others). While
/// submitters keep the injector non-empty the rest of the batch is stolen all the same.
#[test]
fn jobs_behind_a_long_one_run_while_submitters_keep_the_queue_full() {
    let _watchdog = watchdog();
    let (first, long) = (Door::new(), Door::new());
    let (inner_first, inner_long) = (first.clone(), long.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let handle = Later::default();
    let again = Arc::clone(&handle);
    let (pool, results) = WorkerPool::<u32, ()>::builder()
        .workers(2)
        .job_capacity(64)
        .build(move |job, _| match job {
            0 => inner_first.pass(),
            1 => inner_long.pass(),
            2 if !stopped.load(Ordering::Relaxed) => drop(again.get().unwrap().submit(2)),
            _ => {}
        })
        .unwrap();
    handle.set(pool.handle()).unwrap();
    drop(results);
    for worker in 0..2 {
        pool.submit(0).unwrap();
        first.wait_for(worker + 1);
    }
    pool.submit(1).unwrap();
    // 3 does nothing. All twos stay in the injector, for the one that takes the long job takes
    // some threes along.
    pool.submit_all([3; 31]).unwrap();
    pool.submit_all([2; 10]).unwrap();
    first.open();
    long.wait_for(1);
    eventually("all threes have run", || pool.stats().queued <= 10);
    stop.store(true, Ordering::Relaxed);
    long.open();
}

/// More jobs than the deque holds push themselves again for ever, so neither the deque nor the
/// overflow queue is ever empty. What is submitted runs all the same.
#[test]
fn submitted_jobs_run_while_follow_ups_keep_the_deque_and_the_overflow_full() {
    let _watchdog = watchdog();
    let [begun, stop] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (begins, stopped) = (Arc::clone(&begun), Arc::clone(&stop));
    let (pool, results) = WorkerPool::<u32, ()>::builder()
        .workers(1)
        .build(move |job, ctx| match job {
            0 => (0..MANY).for_each(|_| ctx.push(1)),
            1 if !stopped.load(Ordering::Relaxed) => {
                begins.store(true, Ordering::Relaxed);
                ctx.push(1);
            }
            2 => stopped.store(true, Ordering::Relaxed),
            _ => {}
        })
        .unwrap();
    drop(results);
    pool.submit(0).unwrap();
    eventually("they have begun", || begun.load(Ordering::Relaxed));
    pool.submit(2).unwrap();
    eventually("what was submitted has run", || {
        stop.load(Ordering::Relaxed)
    });
}

/// A job takes long, and has pushed others; the other worker is kept busy by follow-ups that beget
/// follow-ups. What is behind the long job is stolen all the same, however late it comes.
#[test]
fn follow_ups_of_a_long_job_run_while_follow_ups_beget_follow_ups() {
    const PUSHED: usize = 30;
    const TURNS: usize = if cfg!(miri) { 100 } else { 1000 };
    let _watchdog = watchdog();
    let [turns, ran] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (seen, counted) = (Arc::clone(&turns), Arc::clone(&ran));
    let (pool, results) = WorkerPool::<u32, ()>::builder()
        .workers(2)
        .build(move |job, ctx| {
            let have_run = || counted.load(Ordering::Relaxed) == PUSHED;
            match job {
                0 => {
                    eventually("the other worker is busy", || {
                        seen.load(Ordering::Relaxed) >= TURNS
                    });
                    (0..PUSHED).for_each(|_| ctx.push(2));
                    eventually("the other worker steals", have_run);
                }
                1 if !have_run() => {
                    seen.fetch_add(1, Ordering::Relaxed);
                    ctx.push(1);
                }
                2 => drop(counted.fetch_add(1, Ordering::Relaxed)),
                _ => {}
            }
        })
        .unwrap();
    drop(results);
    pool.submit_all([0, 1]).unwrap();
    pool.join().unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), PUSHED);
}
