//! Whatever the user's code panics in, the pool lives on.

use crate::assert_conserved;
use crate::common::{PanicsOnDrop, eventually, watchdog};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use workcrew::{BuildError, ThreadPool};

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
