//! Sleepers, searchers, and those who wake them.

use super::{Idle, Place, Snapshot};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

fn now(idle: &Idle) -> Snapshot {
    idle.load(Ordering::Acquire)
}

#[test]
fn nobody_sleeps_nobody_searches_at_first() {
    let idle = Idle::new(3);
    idle.notify();
    idle.wake_all();
    assert_eq!(
        (
            now(&idle).top(),
            now(&idle).searching(),
            now(&idle).called()
        ),
        (None, 0, false)
    );
}

#[test]
fn a_searcher_is_counted_once_until_it_has_found_something() {
    let idle = Idle::new(2);
    let mut place = Place::new(1);
    idle.begin_search(&mut place);
    idle.begin_search(&mut place);
    assert!(place.is_searching());
    assert_eq!(now(&idle).searching(), 1);
    idle.found(&mut place, true);
    idle.found(&mut place, true);
    assert!(!place.is_searching());
    assert_eq!(now(&idle).searching(), 0);
}

#[test]
fn who_sees_work_at_the_last_look_does_not_sleep() {
    let idle = Idle::new(1);
    let mut place = Place::new(0);
    for _ in 0..100 {
        idle.begin_search(&mut place);
        assert!(!idle.sleep(&mut place, || true), "nobody woke it");
        assert!(place.is_searching(), "it returns as a searcher");
        assert_eq!((now(&idle).top(), now(&idle).searching()), (None, 1));
    }
}

#[test]
fn who_is_woken_can_tell() {
    let idle = &Idle::new(1);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let mut place = Place::new(0);
            idle.begin_search(&mut place);
            idle.sleep(&mut place, || false)
        });
        while !idle.is_asleep(0) {
            thread::yield_now();
        }
        idle.notify();
        assert!(sleeper.join().unwrap());
    });
}

#[test]
fn one_call_wakes_one_and_none_while_another_searches() {
    let idle = &Idle::new(3);
    let work = &AtomicBool::new(false);
    let awake = &AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..2 {
            scope.spawn(move || {
                let mut place = Place::new(worker);
                idle.begin_search(&mut place);
                idle.sleep(&mut place, || work.load(Ordering::Acquire));
                awake.fetch_add(1, Ordering::Relaxed);
                idle.found(&mut place, false);
            });
        }
        while !(idle.is_asleep(0) && idle.is_asleep(1)) {
            thread::yield_now();
        }
        let mut third = Place::new(2);
        idle.begin_search(&mut third);
        // A searcher is there: it is called, nobody is woken.
        idle.notify();
        assert!(now(idle).called());
        assert_eq!(awake.load(Ordering::Relaxed), 0);
        // It finds work and hands its ticket on.
        idle.found(&mut third, false);
        while awake.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        // Whoever is left.
        work.store(true, Ordering::Release);
        idle.wake_all();
    });
    assert_eq!(awake.load(Ordering::Relaxed), 2);
    assert_eq!((now(idle).top(), now(idle).searching()), (None, 0));
}

/// A tiny engine: items in a counter, workers that take them, sleep, and are woken.
#[test]
fn no_item_is_left_lying_while_all_sleep() {
    let items = if cfg!(miri) { 20 } else { 5000 };
    for workers in [1, 2, 4] {
        let idle = &Idle::new(workers);
        let (stock, taken, over) = (
            &AtomicUsize::new(0),
            &AtomicUsize::new(0),
            &AtomicBool::new(false),
        );
        thread::scope(|scope| {
            for worker in 0..workers {
                scope.spawn(move || {
                    let mut place = Place::new(worker);
                    loop {
                        let one =
                            stock.fetch_update(Ordering::AcqRel, Ordering::Acquire, |stock| {
                                stock.checked_sub(1)
                            });
                        if let Ok(before) = one {
                            idle.found(&mut place, before > 1);
                            taken.fetch_add(1, Ordering::Release);
                        } else if over.load(Ordering::Acquire) {
                            idle.found(&mut place, false);
                            return;
                        } else {
                            idle.begin_search(&mut place);
                            idle.sleep(&mut place, || {
                                stock.load(Ordering::Acquire) > 0 || over.load(Ordering::Acquire)
                            });
                        }
                    }
                });
            }
            for item in 0..items {
                stock.fetch_add(1, Ordering::AcqRel);
                idle.notify();
                if item % 3 == 0 {
                    // Let them fall asleep now and then.
                    while taken.load(Ordering::Acquire) <= item {
                        thread::yield_now();
                    }
                }
            }
            while taken.load(Ordering::Acquire) < items {
                thread::yield_now();
            }
            over.store(true, Ordering::Release);
            idle.wake_all();
        });
        assert_eq!((now(idle).top(), now(idle).searching()), (None, 0));
    }
}
