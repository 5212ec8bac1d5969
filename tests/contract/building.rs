//! Building is all or nothing, and says what was wrong.

use crate::common::{AlwaysPanicsOnDrop, PanicsOnDrop, watchdog};
use std::io;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use workcrew::{BuildError, Builder, Context, WorkerPool};

#[path = "../common/hooks.rs"]
mod hooks;

use hooks::Hooked;

fn builder() -> Builder<'static, u64, u64> {
    WorkerPool::<u64, u64>::builder().workers(2)
}

fn error_of<S: Send + 'static>(builder: Builder<'static, u64, u64, S>) -> BuildError {
    builder
        .build(|job, _| job)
        .map(drop)
        .expect_err("this cannot be built")
}

#[test]
fn zero_workers_is_an_error_that_says_what_is_allowed() {
    let error = error_of(builder().workers(0));
    assert!(matches!(error, BuildError::ZeroWorkers));
    assert!(error.to_string().contains("at least 1"), "{error}");
}

#[test]
fn zero_job_capacity_is_an_error_that_says_what_is_allowed() {
    let error = error_of(builder().job_capacity(0));
    assert!(matches!(error, BuildError::ZeroJobCapacity));
    assert!(error.to_string().contains("at least 1"), "{error}");
}

#[test]
fn zero_result_capacity_is_an_error_that_says_what_is_allowed() {
    let error = error_of(builder().result_capacity(0));
    assert!(matches!(error, BuildError::ZeroResultCapacity));
    assert!(error.to_string().contains("at least 1"), "{error}");
}

#[test]
fn numbers_beyond_the_limits_are_errors_that_say_the_limit() {
    for workers in [65_535, usize::MAX] {
        let error = error_of(builder().workers(workers));
        assert!(
            matches!(error, BuildError::TooManyWorkers(65_534)),
            "{error:?}"
        );
        assert!(error.to_string().contains("65534"), "{error}");
    }
    for capacity in [(1 << 28) + 1, usize::MAX] {
        let error = error_of(builder().job_capacity(capacity));
        assert!(
            matches!(error, BuildError::CapacityTooLarge(0x1000_0000)),
            "{error:?}"
        );
        let error = error_of(builder().result_capacity(capacity));
        assert!(error.to_string().contains("268435456"), "{error}");
    }
}

#[test]
fn the_order_of_the_settings_does_not_matter() {
    let (pool, _results) = WorkerPool::<u64, u64>::builder()
        .workers(0)
        .init(|worker| worker)
        .workers(3)
        .job_capacity(1)
        .result_capacity(1)
        .build(|job, _| job)
        .unwrap();
    assert_eq!(pool.workers(), 3);
    assert_eq!(pool.shutdown().unwrap(), [0, 1, 2]);
}

#[test]
fn by_default_there_are_as_many_workers_as_the_system_offers() {
    let (pool, _results) = WorkerPool::<u64, u64>::builder()
        .build(|job, _| job)
        .unwrap();
    assert_eq!(
        pool.workers(),
        thread::available_parallelism().map_or(1, |n| n.get())
    );
}

#[test]
#[cfg_attr(miri, ignore = "Miri refuses no thread")]
fn a_thread_that_the_system_refuses_is_an_io_error() {
    let error = error_of(builder().stack_size(1 << 46));
    assert!(matches!(error, BuildError::Thread(_)), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
    let _: io::Error = error.into();
}

#[test]
fn a_bad_number_becomes_an_invalid_input_error() {
    let error: io::Error = error_of(builder().workers(0)).into();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("at least 1"), "{error}");
}

#[test]
fn a_thread_name_with_a_nul_byte_panics_at_once() {
    assert!(catch_unwind(|| builder().thread_name("a\0b")).is_err());
}

#[test]
fn threads_are_named_after_their_workers() {
    let (pool, results) = WorkerPool::<(), String>::builder()
        .workers(3)
        .thread_name("crew")
        .build(|(), ctx| format!("{} {}", ctx.worker(), thread::current().name().unwrap()))
        .unwrap();
    pool.submit_all([(); 50]).unwrap();
    pool.close();
    for outcome in results {
        let worker = outcome.worker;
        assert_eq!(outcome.result.unwrap(), format!("{worker} crew-{worker}"));
    }
}

#[test]
fn when_build_returns_all_workers_have_started_and_have_their_states() {
    let started = Arc::new(AtomicUsize::new(0));
    let made = Arc::new(AtomicUsize::new(0));
    let (hook, init) = (Arc::clone(&started), Arc::clone(&made));
    let (_pool, _results) = builder()
        .workers(5)
        .on_start(move |_| {
            hook.fetch_add(1, Ordering::Relaxed);
        })
        .init(move |_| init.fetch_add(1, Ordering::Relaxed))
        .build(|job, _| job)
        .unwrap();
    assert_eq!(started.load(Ordering::Relaxed), 5);
    assert_eq!(made.load(Ordering::Relaxed), 5);
}

#[test]
fn the_start_hook_runs_before_init_in_the_workers_own_thread() {
    let (pool, _results) = builder()
        .on_start(|_| NAME.with(|name| name.set(7)))
        .init(|worker| (worker, NAME.with(std::cell::Cell::get)))
        .build(|job, _| job)
        .unwrap();
    assert_eq!(pool.shutdown().unwrap(), [(0, 7), (1, 7)]);
    thread_local! {
        static NAME: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }
}

#[test]
fn a_panic_in_the_start_hook_fails_the_build_and_leaves_no_thread() {
    let _watchdog = watchdog();
    for bad in 0..3 {
        let held = Arc::new(());
        let by_the_threads = Arc::clone(&held);
        let error = builder()
            .workers(3)
            .on_start(move |worker| {
                let _ = &by_the_threads;
                assert_ne!(worker, bad, "no start for {worker}");
            })
            .build(|job, _| job)
            .map(drop)
            .unwrap_err();
        let BuildError::Startup { worker, panic } = error else {
            panic!("{error:?}")
        };
        assert_eq!(worker, bad);
        assert!(
            panic.message().contains(&format!("no start for {bad}")),
            "{panic:?}"
        );
        assert_eq!(Arc::strong_count(&held), 1, "a thread is left");
    }
}

#[test]
fn a_panic_in_init_fails_the_build_and_leaves_no_thread() {
    let _watchdog = watchdog();
    for bad in 0..3 {
        let held = Arc::new(());
        let by_the_threads = Arc::clone(&held);
        let error = builder()
            .workers(3)
            .init(move |worker| {
                assert_ne!(worker, bad, "no state");
                Arc::clone(&by_the_threads)
            })
            .build(|job, _| job)
            .map(drop)
            .unwrap_err();
        assert!(error.to_string().contains("no state"), "{error}");
        assert!(
            matches!(error, BuildError::Startup { worker, .. } if worker == bad),
            "{error:?}"
        );
        assert_eq!(Arc::strong_count(&held), 1, "a thread is left");
    }
}

#[test]
fn a_build_that_fails_swallows_panics_of_the_states_drops() {
    let _watchdog = watchdog();
    for _ in 0..if cfg!(miri) { 2 } else { 20 } {
        let error = error_of(builder().workers(4).init(|worker| {
            assert_ne!(worker, 3, "no state");
            PanicsOnDrop
        }));
        assert!(
            matches!(error, BuildError::Startup { worker: 3, .. }),
            "{error:?}"
        );
    }
}

#[test]
fn a_build_in_which_all_workers_panic_reports_one_and_swallows_the_others() {
    let _watchdog = watchdog();
    for _ in 0..if cfg!(miri) { 2 } else { 20 } {
        let error = error_of(builder().workers(4).on_start(|_| {
            std::panic::panic_any(PanicsOnDrop);
        }));
        let BuildError::Startup { panic, .. } = error else {
            panic!("{error:?}")
        };
        std::mem::forget(panic);
    }
}

/// What makes a build fail.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Fault {
    NoWorkers,
    NoThread,
    StartHook,
    Init,
}

/// Hooks, `init` and function go with the build, and in which thread does not matter.
#[test]
fn a_build_that_fails_swallows_panics_of_the_functions_drops() {
    let _watchdog = watchdog();
    let build = |fault: Fault, in_scope: bool| {
        let own = |_: &AlwaysPanicsOnDrop| ();
        let [start, stop, init, function] = [(); 4].map(|()| AlwaysPanicsOnDrop);
        let mut builder = builder()
            .workers(if fault == Fault::NoWorkers { 0 } else { 4 })
            .on_start(move |_| {
                own(&start);
                assert!(fault != Fault::StartHook, "no start");
            })
            .on_stop(move |_| own(&stop))
            .init(move |_| {
                own(&init);
                assert!(fault != Fault::Init, "no state");
            });
        if fault == Fault::NoThread {
            builder = builder.stack_size(1 << 46);
        }
        let function = move |job, _: &mut Context<'_, u64>| {
            own(&function);
            job
        };
        if in_scope {
            builder.scope(function, |_, _| ()).map_err(drop)
        } else {
            builder.build(function).map(drop).map_err(drop)
        }
    };
    for fault in [
        Fault::NoWorkers,
        Fault::NoThread,
        Fault::StartHook,
        Fault::Init,
    ] {
        if cfg!(miri) && fault == Fault::NoThread {
            // It refuses none.
            continue;
        }
        for in_scope in [false, true] {
            // Now this thread is the last, now another.
            for _ in 0..if cfg!(miri) { 1 } else { 10 } {
                assert_eq!(build(fault, in_scope), Err(()));
            }
        }
    }
}

/// What a start hook has set up, the stop hook takes down.
#[test]
fn if_init_panics_the_stop_hook_is_called_where_the_start_hook_was() {
    let _watchdog = watchdog();
    for bad in 0..4 {
        for in_scope in [false, true] {
            let hooked = Hooked::default();
            let builder = WorkerPool::<u64, u64>::builder()
                .workers(4)
                .on_start(hooked.start())
                .on_stop(hooked.stop())
                .init(move |worker| assert_ne!(worker, bad, "no state"));
            let failed = if in_scope {
                builder.scope(|job, _| job, |_, _| ()).is_err()
            } else {
                builder.build(|job, _| job).is_err()
            };
            assert!(failed);
            hooked.assert_balanced(4);
        }
    }
}
