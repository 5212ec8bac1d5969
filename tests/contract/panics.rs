//! Whatever the user's code panics in, the pool lives on and every job has its outcome.

use crate::common::{
    AlwaysPanicsOnDrop, Door, PanicsOnDrop, assert_conserved, crew, value, watchdog,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use workcrew::{Context, JobError, Outcome, WorkerPool};

fn panic_message<R: std::fmt::Debug>(outcome: Outcome<R>) -> String {
    match outcome.result {
        Err(JobError::Panicked(panic)) => panic.message().to_owned(),
        other => panic!("not a panic: {other:?}"),
    }
}

#[test]
fn a_panicking_job_has_its_outcome_and_its_worker_goes_on() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 10, 10);
    pool.submit(Box::new(|| panic!("a word"))).unwrap();
    pool.submit(Box::new(|| panic!("a number: {}", 5))).unwrap();
    pool.submit(Box::new(|| std::panic::panic_any(5))).unwrap();
    pool.submit(value(6)).unwrap();
    assert_eq!(panic_message(results.recv().unwrap()), "a word");
    assert_eq!(panic_message(results.recv().unwrap()), "a number: 5");
    assert_eq!(
        panic_message(results.recv().unwrap()),
        "(a panic without a message)"
    );
    assert_eq!(results.recv().unwrap().result.unwrap(), 6);
    let stats = pool.handle();
    pool.join().unwrap();
    let stats = stats.stats();
    assert_eq!((stats.panicked, stats.completed), (3, 1));
    assert_conserved(&stats);
}

#[test]
fn a_thousand_panics_among_others_all_have_their_outcomes() {
    const PANICS: u64 = if cfg!(miri) { 50 } else { 1000 };
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .job_capacity(7)
        .result_capacity(7)
        .build(|job, _| {
            if job % 3 == 0 {
                std::panic::resume_unwind(Box::new(job));
            }
            job
        })
        .unwrap();
    let taker = std::thread::spawn(move || {
        let mut seen = vec![false; 3 * PANICS as usize];
        for outcome in results {
            let job = match outcome.result {
                Ok(job) => job,
                Err(JobError::Panicked(panic)) => *panic.into_payload().downcast().unwrap(),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(job, outcome.index);
            assert!(!std::mem::replace(&mut seen[job as usize], true));
        }
        seen
    });
    pool.submit_all(0..3 * PANICS).unwrap();
    let stats = pool.handle();
    pool.join().unwrap();
    assert!(taker.join().unwrap().into_iter().all(|seen| seen));
    assert_eq!(stats.stats().panicked, PANICS);
}

#[test]
fn a_payload_whose_drop_panics_reaches_the_taker_unharmed() {
    let _watchdog = watchdog();
    let (pool, mut results) = crew(1, 10, 10);
    pool.submit(Box::new(|| std::panic::panic_any(PanicsOnDrop)))
        .unwrap();
    pool.submit(value(1)).unwrap();
    let Err(JobError::Panicked(panic)) = results.recv().unwrap().result else {
        panic!()
    };
    let payload = panic.into_payload();
    assert!(payload.is::<PanicsOnDrop>());
    std::mem::forget(payload);
    assert_eq!(results.recv().unwrap().result.unwrap(), 1);
}

#[test]
fn after_a_panic_the_state_is_made_again() {
    let _watchdog = watchdog();
    let made = Arc::new(AtomicUsize::new(0));
    let init = Arc::clone(&made);
    let (pool, results) = WorkerPool::<bool, (usize, u32)>::builder()
        .workers(1)
        .init(move |_| (init.fetch_add(1, Ordering::Relaxed), 0_u32))
        .build(|good, ctx| {
            ctx.state.1 += 1;
            assert!(good, "half-done: the state must not be seen again");
            *ctx.state
        })
        .unwrap();
    pool.submit_all([true, true, false, true, false, false, true])
        .unwrap();
    let states = pool.shutdown().unwrap();
    let seen: Vec<_> = results.map(|outcome| outcome.result.ok()).collect();
    let expected = [
        Some((0, 1)),
        Some((0, 2)),
        None,
        Some((1, 1)),
        None,
        None,
        Some((3, 1)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(states, [(3, 1)]);
}

#[test]
fn while_init_panics_jobs_end_as_panicked_and_when_it_works_again_so_does_the_worker() {
    let _watchdog = watchdog();
    let works = Arc::new(AtomicBool::new(true));
    let init = Arc::clone(&works);
    let (pool, mut results) = WorkerPool::<bool, ()>::builder()
        .workers(1)
        .init(move |_| assert!(init.load(Ordering::Relaxed), "no state today"))
        .build(|good, _| assert!(good, "the job's own panic"))
        .unwrap();
    works.store(false, Ordering::Relaxed);
    pool.submit(false).unwrap();
    assert_eq!(
        panic_message(results.recv().unwrap()),
        "the job's own panic"
    );
    for _ in 0..5 {
        pool.submit(true).unwrap();
        assert_eq!(panic_message(results.recv().unwrap()), "no state today");
    }
    works.store(true, Ordering::Relaxed);
    // The state may have been tried for in the background of the last job, in vain.
    pool.submit(true).unwrap();
    results.recv().unwrap().result.unwrap();
    // A result is there before its job is counted.
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.panicked, stats.completed), (6, 1));
    assert_eq!(pool.shutdown().unwrap().len(), 1);
}

#[test]
fn a_worker_that_has_lost_its_state_for_good_contributes_none_to_shutdown() {
    let _watchdog = watchdog();
    let works = Arc::new(AtomicBool::new(true));
    let init = Arc::clone(&works);
    let door = Door::new();
    let inside = door.clone();
    let (pool, mut results) = WorkerPool::<(), ()>::builder()
        .workers(3)
        .init(move |worker| {
            assert!(init.load(Ordering::Relaxed));
            worker
        })
        .build(move |(), ctx| {
            inside.pass();
            assert_ne!(*ctx.state, 1, "worker 1 panics");
        })
        .unwrap();
    // Each worker gets one of the three jobs.
    for job in 1..=3 {
        pool.submit(()).unwrap();
        door.wait_for(job);
    }
    works.store(false, Ordering::Relaxed);
    door.open();
    assert_eq!(
        results
            .by_ref()
            .take(3)
            .filter(|outcome| outcome.result.is_err())
            .count(),
        1
    );
    assert_eq!(pool.shutdown().unwrap(), [0, 2]);
}

#[test]
fn an_init_payload_whose_drop_panics_does_no_harm() {
    let _watchdog = watchdog();
    let works = Arc::new(AtomicBool::new(true));
    let init = Arc::clone(&works);
    let (pool, mut results) = WorkerPool::<bool, ()>::builder()
        .workers(1)
        .init(move |_| {
            if !init.load(Ordering::Relaxed) {
                std::panic::panic_any(PanicsOnDrop);
            }
        })
        .build(|good, _| assert!(good))
        .unwrap();
    works.store(false, Ordering::Relaxed);
    pool.submit(false).unwrap();
    assert!(results.recv().unwrap().result.is_err());
    pool.submit(true).unwrap();
    let Err(JobError::Panicked(panic)) = results.recv().unwrap().result else {
        panic!()
    };
    std::mem::forget(panic);
    works.store(true, Ordering::Relaxed);
    pool.submit(true).unwrap();
    results.recv().unwrap().result.unwrap();
}

#[test]
fn a_job_whose_drop_panics_after_its_run_ends_as_panicked() {
    let _watchdog = watchdog();
    let (pool, mut results) = WorkerPool::<PanicsOnDrop, ()>::builder()
        .workers(1)
        .build(|job, _| drop(job))
        .unwrap();
    for _ in 0..3 {
        pool.submit(PanicsOnDrop).unwrap();
        assert_eq!(panic_message(results.recv().unwrap()), "a drop that panics");
    }
    pool.join().unwrap();
}

#[test]
fn a_job_whose_drop_panics_when_it_cannot_run_for_want_of_a_state_ends_as_panicked() {
    let _watchdog = watchdog();
    let works = Arc::new(AtomicBool::new(true));
    let init = Arc::clone(&works);
    let (pool, mut results) = WorkerPool::<Option<PanicsOnDrop>, ()>::builder()
        .workers(1)
        .init(move |_| assert!(init.load(Ordering::Relaxed), "no state today"))
        .build(|job, _| assert!(job.is_some(), "the job's own panic"))
        .unwrap();
    works.store(false, Ordering::Relaxed);
    pool.submit(None).unwrap();
    assert_eq!(
        panic_message(results.recv().unwrap()),
        "the job's own panic"
    );
    for _ in 0..3 {
        pool.submit(Some(PanicsOnDrop)).unwrap();
        assert_eq!(panic_message(results.recv().unwrap()), "no state today");
    }
    works.store(true, Ordering::Relaxed);
    pool.join().unwrap();
}

#[test]
fn what_a_swallowed_panic_carries_is_dropped() {
    struct Carrier(Arc<()>);

    impl Drop for Carrier {
        fn drop(&mut self) {
            std::panic::panic_any(Arc::clone(&self.0));
        }
    }

    let _watchdog = watchdog();
    let (pool, _results) = WorkerPool::<Option<Carrier>, ()>::builder()
        .workers(1)
        .build(|_, ctx| while !ctx.is_cancelled() {})
        .unwrap();
    let carried = Arc::new(());
    pool.submit(None).unwrap();
    pool.submit(Some(Carrier(Arc::clone(&carried)))).unwrap();
    pool.cancel_all().unwrap();
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&carried), 1);
}

#[test]
fn a_state_whose_drop_panics_does_no_harm_after_a_panic() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<bool, ()>::builder()
        .workers(1)
        .init(|_| PanicsOnDrop)
        .build(|good, _| assert!(good))
        .unwrap();
    pool.submit_all([true, false, true, false, true]).unwrap();
    let states = pool.shutdown().unwrap();
    assert_eq!(states.len(), 1);
    states.into_iter().for_each(std::mem::forget);
    let good: Vec<_> = results.map(|outcome| outcome.result.is_ok()).collect();
    assert_eq!(good, [true, false, true, false, true]);
}

#[test]
fn a_state_whose_drop_panics_does_no_harm_at_any_end() {
    let _watchdog = watchdog();
    let build = || {
        WorkerPool::<u64, ()>::builder()
            .workers(3)
            .init(|_| PanicsOnDrop)
            .build(|_, _| ())
            .unwrap()
    };
    let (pool, results) = build();
    pool.submit(1).unwrap();
    drop(pool);
    assert_eq!(results.count(), 1);

    let (pool, results) = build();
    pool.submit(1).unwrap();
    pool.join().unwrap();
    assert_eq!(results.count(), 1);

    let (pool, results) = build();
    pool.submit(1).unwrap();
    let returned = pool.shutdown_now().unwrap().len();
    assert_eq!(results.count() + returned, 1);

    let (pool, results) = build();
    crate::common::drop_while_panicking(|| pool);
    assert_eq!(results.count(), 0);
}

#[test]
fn functions_whose_drops_panic_do_no_harm() {
    let _watchdog = watchdog();
    let own = |_: &PanicsOnDrop| ();
    let run = |in_scope: bool| {
        let (function, init, hook) = (PanicsOnDrop, PanicsOnDrop, PanicsOnDrop);
        let builder = WorkerPool::<u64, u64>::builder()
            .workers(2)
            .on_stop(move |_| own(&hook))
            .init(move |worker| {
                own(&init);
                worker
            });
        let function = move |job, _: &mut Context<'_, u64, usize>| {
            own(&function);
            job
        };
        let body = |pool: WorkerPool<u64, u64, usize>, _results| {
            pool.submit_all(0..10).unwrap();
            pool.shutdown().unwrap()
        };
        if in_scope {
            builder.scope(function, body).unwrap()
        } else {
            let (pool, results) = builder.build(function).unwrap();
            body(pool, results)
        }
    };
    assert_eq!(run(false), [0, 1]);
    assert_eq!(run(true), [0, 1]);
}

#[test]
fn a_panic_in_the_stop_hook_is_swallowed() {
    let _watchdog = watchdog();
    let stopped = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&stopped);
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .on_stop(move |worker| {
            hook.fetch_add(1, Ordering::Relaxed);
            match worker {
                0 => panic!("in the stop hook"),
                1 => std::panic::panic_any(PanicsOnDrop),
                _ => {}
            }
        })
        .init(|worker| worker)
        .build(|job, _| job)
        .unwrap();
    pool.submit_all(0..10).unwrap();
    assert_eq!(pool.shutdown().unwrap(), [0, 1, 2]);
    assert_eq!(stopped.load(Ordering::Relaxed), 3);
    assert_eq!(results.count(), 10);
}

#[test]
fn a_panic_after_follow_ups_were_pushed_does_not_lose_them() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .build(|job, ctx| {
            if job > 0 {
                ctx.push(job - 1);
                ctx.push(0);
                std::panic::resume_unwind(Box::new(()));
            }
            job
        })
        .unwrap();
    pool.submit(100).unwrap();
    let stats = pool.handle();
    pool.join().unwrap();
    assert_eq!(
        (stats.stats().panicked, stats.stats().completed),
        (100, 101)
    );
    assert_eq!(results.count(), 201);
}

/// Else what the hook holds would be dropped as the hook's panic unwinds, and end the process.
#[test]
fn a_hook_that_panics_and_whose_drop_panics_does_no_harm() {
    let _watchdog = watchdog();
    let own = |_: &AlwaysPanicsOnDrop| ();
    let (start, stop) = (AlwaysPanicsOnDrop, AlwaysPanicsOnDrop);
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .on_start(move |_| own(&start))
        .on_stop(move |_| {
            own(&stop);
            panic!("in the stop hook");
        })
        .build(|job, _| job)
        .unwrap();
    pool.submit_all(0..10).unwrap();
    pool.join().unwrap();
    assert_eq!(results.count(), 10);
}

/// Else they would be dropped as the iterator's panic unwinds, and end the process.
#[test]
fn what_a_panicking_iterator_gave_to_a_closed_pool_is_dropped_before_the_panic_goes_on() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<AlwaysPanicsOnDrop, ()>::builder()
        .workers(1)
        .build(|job, _| std::mem::forget(job))
        .unwrap();
    pool.close();
    let jobs = (0..).map(|n| match n {
        3 => panic!("no more jobs"),
        _ => AlwaysPanicsOnDrop,
    });
    let submit = std::panic::AssertUnwindSafe(|| pool.submit_all(jobs).is_ok());
    let panic = std::panic::catch_unwind(submit).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"no more jobs"));
    pool.join().unwrap();
    assert_eq!(results.count(), 0);
}
