//! Whatever the user's code panics in, the pool lives on.

use crate::common::{AlwaysPanicsOnDrop, Door, OpenAtEnd, PanicsOnDrop, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use workcrew::{BuildError, JobError, JobHandle, ThreadPool};

#[test]
fn the_handler_is_told_of_each_panic_and_by_whom() {
    let _watchdog = watchdog();
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let pool = ThreadPool::builder()
        .workers(1)
        .on_panic(move |worker, panic| {
            let message = panic.message().to_owned();
            list.lock().unwrap().push((worker, message));
        })
        .build()
        .unwrap();
    pool.execute(|| panic!("a word")).unwrap();
    pool.execute(|| ()).unwrap();
    pool.execute(|| panic!("a number: {}", 5)).unwrap();
    let bad = PanicsOnDrop;
    pool.execute(move || drop(bad)).unwrap();
    let handle = pool.handle();
    pool.join().unwrap();
    let expected = ["a word", "a number: 5", "a drop that panics"];
    let expected = expected.map(|message| (0, message.to_owned()));
    assert_eq!(*told.lock().unwrap(), expected);
    assert_eq!(Arc::strong_count(&told), 1, "the handler is gone");
    let stats = handle.stats();
    assert_eq!((stats.panicked, stats.completed), (3, 1));
    assert_conserved(&stats);
}

#[test]
fn payloads_and_handlers_that_panic_do_no_harm() {
    let _watchdog = watchdog();
    for handler in [false, true] {
        let mut builder = ThreadPool::builder().workers(1);
        if handler {
            builder = builder.on_panic(|_, panic| {
                // Dropped while this panic unwinds.
                let _panic = panic;
                std::panic::panic_any(PanicsOnDrop);
            });
        }
        let pool = builder.build().unwrap();
        for _ in 0..3 {
            if handler {
                pool.execute(|| panic!("for the handler")).unwrap();
            } else {
                pool.execute(|| std::panic::panic_any(PanicsOnDrop))
                    .unwrap();
            }
        }
        let ran = Arc::new(AtomicBool::new(false));
        let last = Arc::clone(&ran);
        pool.execute(move || last.store(true, Relaxed)).unwrap();
        let handle = pool.handle();
        pool.join().unwrap();
        assert!(ran.load(Relaxed));
        assert_eq!(handle.stats().panicked, 3);
    }
}

#[test]
fn what_a_handlers_panic_carries_is_dropped() {
    let carried = Arc::new(());
    let carrier = Arc::downgrade(&carried);
    let pool = ThreadPool::builder()
        .on_panic(move |_, _| std::panic::panic_any(carrier.upgrade()))
        .build()
        .unwrap();
    pool.execute(|| panic!("for the handler")).unwrap();
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&carried), 1);
}

#[test]
fn a_handler_whose_drop_panics_does_no_harm() {
    let _watchdog = watchdog();
    let bad = PanicsOnDrop;
    let pool = ThreadPool::builder()
        .workers(2)
        .on_panic(move |_, _| {
            let _bad = &bad;
        })
        .build()
        .unwrap();
    pool.execute(|| ()).unwrap();
    pool.join().unwrap();
}

#[test]
fn a_panic_in_the_start_hook_fails_the_build_and_one_in_the_stop_hook_is_swallowed() {
    let _watchdog = watchdog();
    let failed = ThreadPool::builder()
        .workers(3)
        .on_start(|worker| assert_ne!(worker, 1, "no"))
        .build();
    assert!(matches!(failed, Err(BuildError::Startup { worker: 1, .. })));
    let stopped = Arc::new(AtomicBool::new(false));
    let hook = Arc::clone(&stopped);
    let pool = ThreadPool::builder()
        .workers(1)
        .on_stop(move |_| {
            hook.store(true, Relaxed);
            panic!("too late");
        })
        .build()
        .unwrap();
    pool.join().unwrap();
    eventually("stopped", || stopped.load(Relaxed));
}

/// Hooks and handler go with the build, and in which thread does not matter.
#[test]
fn a_build_that_fails_swallows_panics_of_the_hooks_drops() {
    let _watchdog = watchdog();
    let own = |_: &AlwaysPanicsOnDrop| ();
    for round in 0..if cfg!(miri) { 6 } else { 30 } {
        if cfg!(miri) && round % 3 == 2 {
            // It refuses no thread.
            continue;
        }
        let [start, stop, handler] = [(); 3].map(|()| AlwaysPanicsOnDrop);
        let mut builder = ThreadPool::builder()
            .workers(if round % 3 == 0 { 0 } else { 4 })
            .on_start(move |_| {
                own(&start);
                assert_ne!(round % 3, 1, "no start");
            })
            .on_stop(move |_| own(&stop))
            .on_panic(move |_, _| own(&handler));
        if round % 3 == 2 {
            builder = builder.stack_size(1 << 46);
        }
        assert!(builder.build().is_err());
    }
}

/// Else what the hook holds would be dropped as the hook's panic unwinds, and end the process.
#[test]
fn a_hook_of_a_pool_of_closures_may_panic_and_its_drop_too() {
    let _watchdog = watchdog();
    let own = |_: &AlwaysPanicsOnDrop| ();
    let (start, stop) = (AlwaysPanicsOnDrop, AlwaysPanicsOnDrop);
    let pool = ThreadPool::builder()
        .workers(2)
        .on_start(move |_| own(&start))
        .on_stop(move |_| {
            own(&stop);
            panic!("in the stop hook");
        })
        .build()
        .unwrap();
    pool.execute(|| ()).unwrap();
    pool.join().unwrap();
}

/// Whether it is woken, or stays behind when the handle goes: nobody mistakes its panic for the
/// job's.
#[test]
fn a_waker_whose_drop_panics_does_no_harm() {
    struct Bad {
        _bad: AlwaysPanicsOnDrop,
    }
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {}
    }
    let _watchdog = watchdog();
    for leaves in [false, true] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let pool = ThreadPool::new(1).unwrap();
        let inside = door.clone();
        let mut job = pool.spawn(move || inside.pass()).unwrap();
        let bad = Bad {
            _bad: AlwaysPanicsOnDrop,
        };
        let waker = Waker::from(Arc::new(bad));
        let poll = pin!(&mut job).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        // The place has the last share.
        drop(waker);
        if leaves {
            drop(job);
            door.open();
        } else {
            door.open();
            job.join().unwrap();
        }
        pool.wait_idle().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.completed, stats.panicked), (1, 0));
    }
}

#[test]
fn items_of_a_map_whose_drops_panic_are_cancelled_as_others() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let pool = busy(1, 10, &door);
        let items = || (0..).map(|_| AlwaysPanicsOnDrop);
        let run = |item| std::mem::forget::<AlwaysPanicsOnDrop>(item);
        let handle = pool.handle();
        let maps = std::thread::spawn(move || {
            // The first outcome comes when the door is open.
            if ordered {
                let mut map = handle.map_iter_ordered(items(), run).window(5);
                map.next().unwrap().unwrap();
            } else {
                let mut map = handle.map_iter(items(), run).window(5);
                map.next().unwrap().unwrap();
            }
        });
        eventually("five are queued", || pool.stats().queued == 5);
        door.open();
        maps.join().expect("nothing unwinds");
        let handle = pool.handle();
        pool.join().unwrap();
        let stats = handle.stats();
        assert_eq!((stats.panicked, stats.queued), (0, 0));
        assert_conserved(&stats);
    }
}

#[test]
fn errors_whose_drops_panic_go_quietly_where_a_panic_goes_on() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let message = |unwound: std::thread::Result<()>| {
        let payload = unwound.expect_err("it panics");
        *payload.downcast::<&'static str>().unwrap()
    };
    // A group whose body panics after a job has failed.
    let group = || {
        let _ = pool.group::<_, (), _>(|group| {
            group.spawn(|| Err(AlwaysPanicsOnDrop));
            eventually("failed", || group.is_cancelled());
            std::panic::resume_unwind(Box::new("the body's"));
        });
    };
    assert_eq!(message(catch_unwind(AssertUnwindSafe(group))), "the body's");
    // A slice where one call panics when another, which fails, has begun.
    let pool = ThreadPool::new(2).unwrap();
    let begun = [Door::new(), Door::new()];
    begun.iter().for_each(Door::open);
    let call = |n: &u32| -> Result<(), AlwaysPanicsOnDrop> {
        let [first, second] = &begun;
        if *n == 0 {
            first.pass();
            second.wait_for(1);
            std::panic::resume_unwind(Box::new("a call's"));
        }
        first.wait_for(1);
        second.pass();
        Err(AlwaysPanicsOnDrop)
    };
    let map = || drop(pool.try_map(&[0, 1], call).map_err(std::mem::forget));
    assert_eq!(message(catch_unwind(AssertUnwindSafe(map))), "a call's");
}

#[test]
fn a_queued_job_that_panics_does_so_where_it_is_run() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = busy(1, 10, &door);
    let spawned = || std::panic::resume_unwind(Box::new("spawned"));
    let job: JobHandle<()> = pool.spawn(spawned).unwrap();
    pool.execute(|| std::panic::resume_unwind(Box::new("detached")))
        .unwrap();
    let handle = pool.handle();
    let ends = std::thread::spawn(move || pool.shutdown_now().unwrap());
    eventually("closed", || handle.is_closed());
    door.open();
    let mut queued = ends.join().unwrap().into_iter();
    // Its panic is for whoever joins it.
    queued.next().unwrap().run();
    assert!(matches!(job.join(), Err(JobError::Panicked(panic)) if panic.message() == "spawned"));
    let detached = queued.next().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| detached.run())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"detached"));
    assert!(queued.next().is_none());
}
