//! Scopes: jobs that borrow, and waiting that runs only what is waited for.

use crate::common::{Door, OpenAtEnd, PanicsOnDrop, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use workcrew::{Scope, ThreadPool, ThreadPoolHandle};

fn message(unwound: thread::Result<()>) -> String {
    let payload = unwound.expect_err("it panics");
    (*payload.downcast_ref::<&str>().expect("a word")).to_owned()
}

#[test]
fn jobs_of_a_scope_borrow_and_have_ended_when_it_returns() {
    let _watchdog = watchdog();
    for workers in [1, 3] {
        let pool = ThreadPool::builder()
            .workers(workers)
            .job_capacity(3)
            .build()
            .unwrap();
        let mut numbers: Vec<usize> = (0..100).collect();
        let sum = AtomicUsize::new(0);
        let returned = pool.scope(|scope| {
            for number in &mut numbers {
                scope.spawn(|| {
                    *number += 1;
                    sum.fetch_add(*number, Relaxed);
                });
            }
            "a value"
        });
        assert_eq!((returned, sum.into_inner()), ("a value", 5050));
        assert!(numbers.into_iter().eq(1..=100));
        pool.wait_idle().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.accepted, stats.completed), (100, 100));
        assert_conserved(&stats);
    }
}

#[test]
fn the_body_runs_in_the_calling_thread_and_the_jobs_do_not() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let (here, pool) = (thread::current().id(), &pool);
    pool.scope(|scope| {
        assert_eq!(thread::current().id(), here);
        for _ in 0..100 {
            scope.spawn(move || assert!(pool.current_worker().is_some()));
        }
    });
}

#[test]
fn jobs_spawn_further_jobs_into_their_scope() {
    fn tree<'scope>(scope: &'scope Scope<'scope, '_>, depth: u32, leaves: &'scope AtomicUsize) {
        if depth == 0 {
            leaves.fetch_add(1, Relaxed);
            return;
        }
        for _ in 0..3 {
            scope.spawn(move || tree(scope, depth - 1, leaves));
        }
    }
    let _watchdog = watchdog();
    let (depth, expected) = if cfg!(miri) { (3, 27) } else { (6, 729) };
    for workers in [1, 3] {
        let pool = ThreadPool::builder()
            .workers(workers)
            .job_capacity(1)
            .build()
            .unwrap();
        let leaves = AtomicUsize::new(0);
        pool.scope(|scope| tree(scope, depth, &leaves));
        assert_eq!(leaves.into_inner(), expected);
    }
}

/// All workers wait in scopes whose jobs are queued behind other scopes.
#[test]
fn nested_scopes_on_few_workers_end() {
    fn count(pool: &ThreadPoolHandle, depth: u32) -> usize {
        if depth == 0 {
            return 1;
        }
        let mut counts = [0; 3];
        pool.scope(|scope| {
            for place in &mut counts {
                scope.spawn(move || *place = count(pool, depth - 1));
            }
        });
        counts.iter().sum()
    }
    let _watchdog = watchdog();
    let (depth, leaves) = if cfg!(miri) { (2, 9) } else { (5, 243) };
    for workers in [1, 2] {
        let pool = ThreadPool::builder()
            .workers(workers)
            .job_capacity(1)
            .build()
            .unwrap();
        let handle = pool.handle();
        let inside = pool.spawn(move || count(&handle, depth)).unwrap();
        assert_eq!(count(&pool.handle(), depth), leaves);
        assert_eq!(inside.join().unwrap(), leaves);
        pool.wait_idle().unwrap();
        assert_conserved(&pool.stats());
    }
}

/// The complaint is rayon's issue 592: the waiter steals a job that wants its lock.
#[test]
fn a_job_that_holds_a_mutex_while_it_waits_in_a_scope_meets_no_job_that_wants_it() {
    let _watchdog = watchdog();
    for workers in [1, 2] {
        let pool = ThreadPool::new(workers).unwrap();
        let lock = Mutex::new(0);
        pool.scope(|outer| {
            for _ in 0..20 {
                outer.spawn(|| {
                    let mut number = lock.lock().unwrap();
                    let parts = [const { AtomicUsize::new(0) }; 5];
                    pool.scope(|inner| {
                        for part in &parts {
                            inner.spawn(|| part.store(1, Relaxed));
                        }
                    });
                    *number += parts.iter().map(|part| part.load(Relaxed)).sum::<usize>();
                });
            }
        });
        assert_eq!(lock.into_inner().unwrap(), 100);
    }
}

#[test]
fn nested_spawns_a_hundred_thousand_deep_do_not_overflow_a_workers_stack() {
    fn deep<'scope>(scope: &'scope Scope<'scope, '_>, depth: u32, end: &'scope AtomicBool) {
        if depth == 0 {
            end.store(true, Relaxed);
        } else {
            scope.spawn(move || deep(scope, depth - 1, end));
        }
    }
    let _watchdog = watchdog();
    let depth = if cfg!(miri) { 100 } else { 100_000 };
    let pool = ThreadPool::builder()
        .workers(2)
        .stack_size(64 << 10)
        .build()
        .unwrap();
    let end = AtomicBool::new(false);
    pool.scope(|scope| deep(scope, depth, &end));
    assert!(end.into_inner());
    // In a worker, whose wait runs them all.
    let handle = pool.handle();
    let job = pool.spawn(move || {
        let end = AtomicBool::new(false);
        handle.scope(|scope| deep(scope, depth, &end));
        end.into_inner()
    });
    assert!(job.unwrap().join().unwrap());
}

#[test]
fn a_cell_in_thread_local_state_is_not_re_entered_by_a_job_of_another_scope() {
    thread_local! {
        static BUSY: RefCell<u32> = const { RefCell::new(0) };
    }
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    pool.scope(|outer| {
        for _ in 0..20 {
            outer.spawn(|| {
                BUSY.with_borrow_mut(|n| {
                    *n += 1;
                    // Its jobs do not touch the cell; those of the outer scope do.
                    pool.scope(|inner| (0..3).for_each(|_| inner.spawn(thread::yield_now)));
                });
            });
        }
    });
}

#[test]
fn after_a_panic_all_jobs_have_run_and_the_first_is_rethrown() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let ran = AtomicUsize::new(0);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            scope.spawn(|| std::panic::resume_unwind(Box::new("first")));
            scope.spawn(|| std::panic::panic_any(PanicsOnDrop));
            (0..10).for_each(|_| {
                scope.spawn(|| {
                    ran.fetch_add(1, Relaxed);
                });
            });
        });
    }));
    assert_eq!(message(unwound), "first");
    assert_eq!(ran.into_inner(), 10);
    pool.wait_idle().unwrap();
    assert_eq!(pool.stats().panicked, 2);
}

#[test]
fn after_a_panic_in_the_body_all_jobs_have_run_and_the_bodys_is_rethrown() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(1, 20, &door);
    let ran = AtomicUsize::new(0);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            scope.spawn(|| std::panic::resume_unwind(Box::new("a job's")));
            (0..10).for_each(|_| {
                scope.spawn(|| {
                    ran.fetch_add(1, Relaxed);
                });
            });
            door.open();
            std::panic::resume_unwind(Box::new("the body's"));
        });
    }));
    assert_eq!(message(unwound), "the body's");
    assert_eq!(ran.into_inner(), 10);
}

#[test]
fn each_closure_of_a_scope_is_dropped_once_and_its_drop_may_panic() {
    /// What the body returns goes before the panic goes on: its drop may panic too.
    struct Returned<'a>(&'a AtomicUsize, PanicsOnDrop);
    impl Drop for Returned<'_> {
        fn drop(&mut self) {
            self.0
                .fetch_add(1 + usize::from(thread::panicking()), Relaxed);
        }
    }
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let counted = Arc::new(());
    let drops = AtomicUsize::new(0);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            for n in 0..50 {
                let (held, large) = (Arc::clone(&counted), [n; 20]);
                let bad = (n == 25).then(|| PanicsOnDrop);
                scope.spawn(move || drop((held, large, bad)));
            }
            Returned(&drops, PanicsOnDrop)
        });
    }));
    assert!(unwound.is_err());
    assert_eq!(drops.into_inner(), 1);
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// In a closed pool, and in one that is shut down meanwhile, the owner runs the jobs.
#[test]
fn a_scope_ends_whatever_becomes_of_its_pool() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let ran = AtomicUsize::new(0);
    pool.scope(|scope| {
        pool.close();
        scope.spawn(|| {
            ran.fetch_add(1, Relaxed);
            scope.spawn(|| {
                ran.fetch_add(1, Relaxed);
            });
        });
    });
    assert_eq!(ran.load(Relaxed), 2);
    drop(pool);

    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = busy(1, 20, &door);
    let handle = pool.handle();
    let mut pool = Some(pool);
    handle.scope(|scope| {
        (0..10).for_each(|_| {
            scope.spawn(|| {
                ran.fetch_add(1, Relaxed);
            });
        });
        let pool = pool.take().unwrap();
        let opener = thread::spawn({
            let (handle, door) = (handle.clone(), door.clone());
            move || {
                eventually("closed", || handle.is_closed());
                door.open();
            }
        });
        // The tickets come back, and are dropped.
        assert_eq!(pool.shutdown_now().unwrap().len(), 10);
        opener.join().unwrap();
    });
    assert_eq!(ran.into_inner(), 12);
}

#[test]
fn a_job_of_a_closed_pool_has_a_scope_as_before() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (handle, inside) = (pool.handle(), door.clone());
    let job = pool
        .spawn(move || {
            inside.pass();
            let running = AtomicUsize::new(0);
            // Two at once: so another worker has come to help.
            handle.scope(|scope| {
                (0..2).for_each(|_| {
                    scope.spawn(|| {
                        running.fetch_add(1, Relaxed);
                        eventually("both run", || running.load(Relaxed) == 2);
                    });
                });
            });
        })
        .unwrap();
    door.wait_for(1);
    pool.close();
    door.open();
    job.join().unwrap();
}
