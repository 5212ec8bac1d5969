//! Pairs of closures: two results for the price of two calls, and nothing but the pair's own
//! parts while it waits.

use crate::common::{AlwaysPanicsOnDrop, Door, OpenAtEnd, PanicsOnDrop, watchdog};
use crate::{assert_conserved, busy};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use workcrew::{ThreadPool, ThreadPoolHandle};

/// Pairs that bring nothing, until `done`: whoever is hungry is fed meanwhile.
fn pairs_until(pool: &ThreadPoolHandle, done: impl Fn() -> bool + Sync) {
    while !done() {
        pool.fork_join(|| (), || ());
        thread::yield_now();
    }
}

/// A pair whose second half is run by a worker, since the first one waits for that.
fn split<R: Send>(pool: &ThreadPoolHandle, a: impl FnOnce(), b: impl FnOnce() -> R + Send) -> R {
    let taken = AtomicBool::new(false);
    let second = || {
        taken.store(true, SeqCst);
        b()
    };
    let first = || {
        pairs_until(pool, || taken.load(SeqCst));
        a();
    };
    pool.fork_join(first, second).1
}

fn sum(pool: &ThreadPoolHandle, numbers: &[u64]) -> u64 {
    match numbers {
        [] => 0,
        [number] => *number,
        _ => {
            let (left, right) = numbers.split_at(numbers.len() / 3 + 1);
            let (left, right) = pool.fork_join(|| sum(pool, left), || sum(pool, right));
            left + right
        }
    }
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    payload.downcast_ref::<&str>().expect("a word")
}

/// What the pair panics with.
fn panic_of<T>(pair: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(pair()))).expect_err("it panics");
    message(&*payload).to_owned()
}

#[test]
fn both_results_come_back_and_the_closures_borrow() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let mut numbers = [3, 1, 2, 9, 8, 7];
    let (left, right) = numbers.split_at_mut(3);
    // What the first one captures need not be `Send`.
    let here = Rc::new(Cell::new(0));
    let lengths = pool.fork_join(
        || {
            here.set(1);
            left.sort_unstable();
            left.len()
        },
        || {
            right.sort_unstable();
            right.len() as u8
        },
    );
    assert_eq!((lengths, here.get()), ((3, 3_u8), 1));
    assert_eq!(numbers, [1, 2, 3, 7, 8, 9]);
}

#[test]
fn trees_of_pairs_add_up_from_inside_and_from_many_threads_outside() {
    let _watchdog = watchdog();
    let numbers: Vec<u64> = (1..=if cfg!(miri) { 40 } else { 20_000 }).collect();
    let expected: u64 = numbers.iter().sum();
    for workers in [1, 2, 5] {
        let pool = ThreadPool::builder()
            .workers(workers)
            .job_capacity(1)
            .build()
            .unwrap();
        let handle = pool.handle();
        pool.scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert_eq!(sum(&handle, &numbers), expected));
            }
            thread::scope(|threads| {
                for _ in 0..3 {
                    threads.spawn(|| assert_eq!(sum(&handle, &numbers), expected));
                }
            });
        });
        pool.wait_idle().unwrap();
        let stats = pool.stats();
        assert_conserved(&stats);
        assert_eq!(stats.queued + stats.running + stats.panicked, 0);
    }
}

#[test]
fn the_first_runs_here_and_the_second_in_a_worker_that_has_nothing_to_do() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let handle = pool.handle();
    let here = thread::current().id();
    let by = split(
        &handle,
        || assert_eq!(thread::current().id(), here),
        || pool.current_worker(),
    );
    assert!(by.is_some());
    // From a worker, another one.
    let job = pool.spawn(move || {
        (
            handle.current_worker(),
            split(&handle, || (), || handle.current_worker()),
        )
    });
    let (first, second) = job.unwrap().join().unwrap();
    assert!(first.is_some() && second.is_some());
    assert_ne!(first, second);
}

#[test]
fn where_nobody_has_nothing_to_do_both_run_here() {
    let _watchdog = watchdog();
    let door = Door::new();
    let numbers: Vec<u64> = (1..=1000).collect();
    let busy = busy(2, 1, &door);
    let _open = OpenAtEnd(&door);
    assert_eq!(sum(&busy.handle(), &numbers), 500_500);
    assert_eq!(busy.stats().accepted, 2);
    // Nor where the pool takes nothing any more.
    let closed = ThreadPool::new(2).unwrap();
    closed.close();
    let handle = closed.handle();
    assert_eq!(sum(&handle, &numbers), 500_500);
    closed.join().unwrap();
    assert_eq!(sum(&handle, &numbers), 500_500);
    assert_eq!(handle.stats().accepted, 0);
}

/// The owner waits for a part, and gets parts of that part to run.
#[test]
fn who_waits_runs_parts_of_what_it_waits_for() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let handle = pool.handle();
    let job = pool.spawn(move || {
        let owner = handle.current_worker();
        let by_owner = AtomicUsize::new(0);
        let deep = || {
            assert_ne!(handle.current_worker(), owner);
            // Each of these stays open until it is run by the owner, who waits for `deep`.
            split(
                &handle,
                || (),
                || {
                    assert_eq!(handle.current_worker(), owner);
                    by_owner.fetch_add(1, SeqCst);
                },
            );
            split(
                &handle,
                || (),
                || {
                    assert_eq!(handle.current_worker(), owner);
                    by_owner.fetch_add(1, SeqCst);
                },
            );
        };
        split(&handle, || (), deep);
        by_owner.into_inner()
    });
    assert_eq!(job.unwrap().join().unwrap(), 2);
}

#[test]
fn who_waits_meets_no_stranger() {
    thread_local! {
        static IN_A_PAIR: Cell<bool> = const { Cell::new(false) };
    }
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let handle = pool.handle();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (inner, guest) = (handle.clone(), door.clone());
    let job = pool.spawn(move || {
        IN_A_PAIR.set(true);
        let second = || {
            // The owner, which waits for this closure, is the only one to run the halves of these.
            let feed_owner = || split(&inner, || (), || ());
            feed_owner();
            guest.pass();
            // Strangers are queued by now, and between two meals it could look around.
            (0..10).for_each(|_| feed_owner());
        };
        split(&inner, || (), second);
        IN_A_PAIR.set(false);
    });
    let job = job.unwrap();
    door.wait_for(1);
    // One worker stands at the door, the other one waits for it. Nobody is there for these.
    let strangers: Vec<_> = (0..20)
        .map(|_| handle.spawn(|| assert!(!IN_A_PAIR.get())).unwrap())
        .collect();
    door.open();
    job.join().unwrap();
    strangers
        .into_iter()
        .for_each(|stranger| stranger.join().unwrap());
}

#[test]
fn the_first_panic_drops_the_second_unstarted() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(1, 1, &door);
    let _open = OpenAtEnd(&door);
    let started = AtomicBool::new(false);
    // Linked or not: within so many pairs are both kinds.
    fn deep(pool: &ThreadPoolHandle, depth: u32, started: &AtomicBool) {
        let noisy = AlwaysPanicsOnDrop;
        pool.fork_join(
            || match depth {
                0 => panic!("the first"),
                _ => deep(pool, depth - 1, started),
            },
            move || {
                started.store(true, SeqCst);
                std::mem::forget(noisy);
            },
        );
    }
    for depth in 0..6 {
        let handle = pool.handle();
        assert_eq!(panic_of(|| deep(&handle, depth, &started)), "the first");
    }
    assert!(!started.into_inner());
    // And the strand is as if nothing had happened.
    assert_eq!(sum(&pool.handle(), &[1, 2, 3, 4, 5]), 15);
}

#[test]
fn the_seconds_panic_comes_out_wherever_it_ran() {
    struct Noisy(#[allow(dead_code, reason = "for its drop")] PanicsOnDrop);
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let handle = pool.handle();
    let here = || handle.fork_join(|| Noisy(PanicsOnDrop), || panic!("the second"));
    // In the sixth of these pairs nothing is linked.
    let nested = || {
        let f = || handle.fork_join(here, || ());
        let f = || handle.fork_join(f, || ());
        let f = || handle.fork_join(f, || ());
        handle.fork_join(f, || ())
    };
    assert_eq!(panic_of(here), "the second");
    assert_eq!(panic_of(nested), "the second");
    assert_eq!(
        panic_of(|| split(&handle, || (), || panic!("far away"))),
        "far away"
    );
    assert_eq!(
        panic_of(|| split(&handle, || panic!("the first"), || panic!("far away"))),
        "the first"
    );
    // A result that nobody gets, whose drop panics.
    assert_eq!(
        panic_of(|| split(&handle, || panic!("the first"), || PanicsOnDrop)),
        "the first"
    );
    assert_eq!(sum(&handle, &[1, 2, 3, 4, 5]), 15);
}

#[test]
fn pairs_of_two_pools_within_each_other_keep_apart() {
    let _watchdog = watchdog();
    let (one, other) = (ThreadPool::new(2).unwrap(), ThreadPool::new(2).unwrap());
    let (one, other) = (one.handle(), other.handle());
    let by = |pool: &ThreadPoolHandle| pool.current_worker().is_some();
    let ran = split(
        &one,
        || (),
        || {
            let inner = split(
                &other,
                || (),
                || {
                    let back = split(&one, || (), || by(&one));
                    back && by(&other)
                },
            );
            inner && by(&one)
        },
    );
    assert!(ran);
    drop((one, other));
}

#[test]
fn a_pair_in_a_scope_in_a_pair() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let handle = pool.handle();
    let numbers: Vec<u64> = (1..=100).collect();
    let total = AtomicUsize::new(0);
    let job = || {
        pool.scope(|scope| {
            for part in numbers.chunks(10) {
                scope.spawn(|| {
                    total.fetch_add(sum(&handle, part) as usize, SeqCst);
                });
            }
        });
    };
    handle.fork_join(job, job);
    assert_eq!(total.into_inner(), 10_100);
}

/// The only worker runs the pair's second half, and would wait for what it gave away.
#[test]
fn a_thread_from_outside_is_given_no_part_that_needs_the_worker() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let taken = AtomicBool::new(false);
    let until_taken = || {
        while !taken.load(SeqCst) {
            pool.fork_join(|| (), || ());
            thread::yield_now();
        }
    };
    let outside = thread::current().id();
    let needs_the_worker = || pool.scope(|scope| scope.spawn(|| ()));
    let second = || {
        taken.store(true, SeqCst);
        for _ in 0..100 {
            pool.fork_join(thread::yield_now, || {
                needs_the_worker();
                assert_ne!(thread::current().id(), outside);
            });
        }
    };
    pool.fork_join(until_taken, second);
}
