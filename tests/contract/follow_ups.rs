//! Jobs that jobs push.

use crate::common::{Door, OpenAtEnd, assert_conserved, watchdog};
use workcrew::{JobError, TrySubmitError, WorkerPool};

#[test]
fn a_follow_up_bears_the_index_of_the_job_from_which_it_descends() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .build(|depth, ctx| {
            if depth % 10 > 0 {
                ctx.push(depth - 1);
            }
            assert_eq!(ctx.index(), depth / 10);
            depth
        })
        .unwrap();
    for family in 0..20 {
        assert_eq!(pool.submit(family * 10 + 9).unwrap(), family);
    }
    pool.close();
    let mut seen: Vec<_> = results
        .map(|outcome| {
            let depth = outcome.result.unwrap();
            assert_eq!(outcome.index, depth / 10);
            depth
        })
        .collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..200));
}

#[test]
fn follow_ups_keep_a_closed_pool_open_until_they_ran() {
    const MANY: u64 = if cfg!(miri) { 50 } else { 1000 };
    let _watchdog = watchdog();
    let door = Door::new();
    let inside = door.clone();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .result_capacity(2)
        .build(move |job, ctx| {
            if job == MANY {
                inside.pass();
            }
            if job > 0 {
                // The pool is closed by now.
                ctx.push(job - 1);
            }
            job
        })
        .unwrap();
    pool.submit(MANY).unwrap();
    door.wait_for(1);
    pool.close();
    assert!(pool.submit(5).is_err());
    door.open();
    assert_eq!(results.count() as u64, MANY + 1);
    assert_eq!(pool.stats().accepted, MANY + 1);
    assert_conserved(&pool.stats());
}

#[test]
fn follow_ups_do_not_count_against_the_capacity() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .job_capacity(3)
        .build(move |job, ctx| {
            if job == 0 {
                (0..500).for_each(|_| ctx.push(1));
                inside.pass();
            }
            job
        })
        .unwrap();
    pool.submit(0).unwrap();
    door.wait_for(1);
    assert_eq!(pool.stats().queued, 500);
    for _ in 0..3 {
        pool.try_submit(2).unwrap();
    }
    assert!(matches!(pool.try_submit(2), Err(TrySubmitError::Full(2))));
    assert_eq!(pool.stats().queued, 503);
    door.open();
    pool.close();
    assert_eq!(
        results.map(|outcome| outcome.result.unwrap()).sum::<u64>(),
        506
    );
}

#[test]
fn a_job_may_push_a_hundred_thousand_follow_ups() {
    let _watchdog = watchdog();
    const MANY: u64 = if cfg!(miri) { 300 } else { 100_000 };
    for workers in [1, 2, 4] {
        let (pool, results) = WorkerPool::<u64, u64>::builder()
            .workers(workers)
            .job_capacity(1)
            .result_capacity(5)
            .build(|job, ctx| {
                if job == 0 {
                    (1..=MANY).for_each(|job| ctx.push(job));
                }
                job
            })
            .unwrap();
        pool.submit(0).unwrap();
        pool.close();
        let mut seen = vec![false; MANY as usize + 1];
        for outcome in results {
            assert_eq!(outcome.index, 0);
            let job = outcome.result.unwrap();
            assert!(
                !std::mem::replace(&mut seen[job as usize], true),
                "{job} ran twice"
            );
        }
        assert!(seen.into_iter().all(|seen| seen));
        assert_eq!(pool.stats().accepted, MANY + 1);
    }
}

/// Release only: millions of jobs take their time without optimisation.
#[test]
#[cfg_attr(debug_assertions, ignore = "slow without optimisation")]
fn a_follow_up_beyond_millions_panics_in_its_job_and_the_pool_still_ends() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<u32, ()>::builder()
        .workers(1)
        .build(|job, ctx| {
            if job == 0 {
                (1..=4_000_000).for_each(|job| ctx.push(job));
            }
        })
        .unwrap();
    let stats = pool.handle();
    let mut panics = 0;
    pool.submit(0).unwrap();
    pool.close();
    for outcome in results {
        if let Err(JobError::Panicked(panic)) = outcome.result {
            assert!(
                panic.message().contains("overflow queue is full"),
                "{panic:?}"
            );
            panics += 1;
        }
    }
    pool.join().unwrap();
    let stats = stats.stats();
    assert_eq!(stats.panicked, panics);
    assert_eq!(panics, 1, "{stats}");
    assert_conserved(&stats);
}

#[test]
fn follow_ups_that_beget_follow_ups_for_ever_do_not_starve_submitted_jobs() {
    let _watchdog = watchdog();
    // Ends only when the submitted job, which says `true`, has run.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&stop);
    let (pool, results) = WorkerPool::<bool, ()>::builder()
        .workers(1)
        .build(move |last, ctx| {
            use std::sync::atomic::Ordering::Relaxed;
            if last {
                seen.store(true, Relaxed);
            } else if !seen.load(Relaxed) {
                ctx.push(false);
            }
        })
        .unwrap();
    drop(results);
    pool.submit(false).unwrap();
    pool.submit(true).unwrap();
    pool.join().unwrap();
    assert!(stop.load(std::sync::atomic::Ordering::Relaxed));
}

#[test]
fn shutdown_now_returns_follow_ups_that_wait() {
    let _watchdog = watchdog();
    let door = Door::new();
    let inside = door.clone();
    let (pool, results) = WorkerPool::<u64, ()>::builder()
        .workers(1)
        .build(move |job, ctx| {
            if job == 0 {
                (1..=1000).for_each(|job| ctx.push(job));
            }
            inside.pass();
        })
        .unwrap();
    pool.submit(0).unwrap();
    pool.submit(5000).unwrap();
    pool.submit(6000).unwrap();
    door.wait_for(1);
    let stats = pool.handle();
    let opener = std::thread::spawn({
        let stats = stats.clone();
        move || {
            crate::common::eventually("it is closed", || stats.is_closed());
            door.open();
        }
    });
    let jobs = pool.shutdown_now().unwrap();
    opener.join().unwrap();
    // Index 0 was passed on to the follow-ups; 5000 and 6000 are the jobs 1 and 2.
    let (follow_ups, submitted) = jobs.split_at(jobs.len() - 2);
    assert_eq!(submitted, [5000, 6000]);
    let mut follow_ups = follow_ups.to_vec();
    follow_ups.sort_unstable();
    assert!(follow_ups.into_iter().eq(1..=1000));
    assert_eq!(results.count(), 1);
    let stats = stats.stats();
    assert_eq!((stats.completed, stats.returned), (1, 1002));
    assert_conserved(&stats);
}
