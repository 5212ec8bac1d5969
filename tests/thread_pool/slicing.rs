//! Slices, shared out among the workers.

use crate::common::{Door, OpenAtEnd, PanicsOnDrop, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Barrier, Mutex};
use std::thread;
use workcrew::{MapError, ThreadPool};

const MANY: usize = if cfg!(miri) { 100 } else { 10_000 };

fn pool(workers: usize, job_capacity: usize) -> ThreadPool {
    let builder = ThreadPool::builder()
        .workers(workers)
        .job_capacity(job_capacity);
    builder.build().unwrap()
}

#[test]
fn each_item_of_a_slice_is_worked_on_once_and_results_keep_the_order() {
    let _watchdog = watchdog();
    for workers in [1, 3] {
        for capacity in [1, 1000] {
            let pool = pool(workers, capacity);
            for items in [0, 1, 2, 7, MANY] {
                let mut numbers: Vec<usize> = (0..items).collect();
                // Results with and without something to drop; `f` borrows.
                let factor = 3;
                let boxed = pool.map(&numbers, |n| Box::new(n * factor));
                assert!(boxed.into_iter().map(|n| *n).eq((0..items).map(|n| n * 3)));
                let tried = pool.try_map(&numbers, |n| Ok::<_, ()>(n + 1));
                assert!(tried.unwrap().into_iter().eq(1..=items));
                pool.for_each_mut(&mut numbers, |n| *n += 1);
                assert!(numbers.iter().copied().eq(1..=items));
                let calls: Vec<_> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                pool.for_each(&numbers, |n| {
                    calls[n - 1].fetch_add(1, Relaxed);
                });
                assert!(calls.into_iter().all(|calls| calls.into_inner() == 1));
            }
            let stats = pool.stats();
            assert_conserved(&stats);
            assert!(stats.accepted < 5_000, "chunks are jobs: {stats}");
        }
    }
}

#[test]
fn items_and_results_may_have_no_size_and_there_may_be_more_than_memory_has_bytes() {
    let _watchdog = watchdog();
    let pool = pool(2, 10);
    let (calls, mut nothings) = (AtomicUsize::new(0), [(); 100]);
    let made = pool.map(&nothings, |()| {
        calls.fetch_add(1, Relaxed);
    });
    assert_eq!((made.len(), calls.load(Relaxed)), (100, 100));
    pool.for_each_mut(&mut nothings, |()| {
        calls.fetch_add(1, Relaxed);
    });
    assert_eq!(calls.into_inner(), 200);
    let endless = vec![(); usize::MAX];
    let error = pool.try_map(&endless, |()| Err::<(), _>("no")).unwrap_err();
    assert_eq!((error.error, error.finished.len()), ("no", 0));
}

/// Whoever waits outside only waits; a worker takes part.
#[test]
fn a_worker_takes_part_in_its_map_and_an_outsider_does_not() {
    let _watchdog = watchdog();
    let pool = pool(2, 10);
    let here = thread::current().id();
    pool.for_each(&[0; 100], |_| assert_ne!(thread::current().id(), here));

    // The other worker stands in a job all the while.
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    pool.execute(move || inside.pass()).unwrap();
    door.wait_for(1);
    let handle = pool.handle();
    let own = pool.spawn(move || {
        let own = handle.current_worker();
        let numbers: Vec<usize> = (0..100).collect();
        let workers = handle.map(&numbers, |_| handle.current_worker());
        workers.into_iter().all(|worker| worker == own)
    });
    assert!(own.unwrap().join().unwrap());
}

/// All workers get something to do, and one that has slow items keeps only few of them.
#[test]
fn unequal_items_are_shared_out_among_all_workers() {
    let _watchdog = watchdog();
    let pool = pool(3, 10);
    // Three items that wait for each other: in chunks of their own, since the slice is short.
    let (barrier, seen) = (Barrier::new(3), Mutex::new(HashSet::new()));
    pool.for_each(&[0; 3], |_| {
        barrier.wait();
        seen.lock().unwrap().insert(pool.current_worker());
    });
    assert_eq!(seen.into_inner().unwrap().len(), 3);
    // The first item waits until nearly all others are done, which lie behind its chunk.
    let (items, done) = (1200, AtomicUsize::new(0));
    let numbers: Vec<usize> = (0..items).collect();
    pool.for_each(&numbers, |n| {
        if *n == 0 {
            eventually("five sixths are done", || {
                done.load(Relaxed) == items - items / 6
            });
        }
        done.fetch_add(1, Relaxed);
    });
}

#[test]
fn maps_within_maps_end_and_meet_no_stranger() {
    thread_local! {
        static BUSY: RefCell<u32> = const { RefCell::new(0) };
    }
    let _watchdog = watchdog();
    for workers in [1, 2] {
        let pool = pool(workers, 1);
        let sums = pool.map(&[10_u64, 20, 30, 40, 50], |end| {
            BUSY.with_borrow_mut(|count| {
                *count += 1;
                let numbers: Vec<u64> = (0..*end).collect();
                pool.map(&numbers, |n| n * 2).into_iter().sum::<u64>()
            })
        });
        assert_eq!(sums, [90, 380, 870, 1560, 2450]);
    }
}

#[test]
fn after_a_panic_in_a_map_the_rest_is_skipped_and_what_was_made_is_dropped_once() {
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    /// Counts, and now and then panics when it is dropped.
    struct Made {
        _bad: Option<PanicsOnDrop>,
    }
    impl Made {
        fn new(n: usize) -> Self {
            LIVE.fetch_add(1, Relaxed);
            let _bad = n.is_multiple_of(5).then(|| PanicsOnDrop);
            Self { _bad }
        }
    }
    impl Drop for Made {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Relaxed);
        }
    }
    let _watchdog = watchdog();
    let pool = pool(2, 4);
    let numbers: Vec<usize> = (0..1000).collect();
    // In the calls; the first panic may be another's in each round.
    for bad in [0, 130, 999] {
        for fails in [false, true] {
            let (began, panicked) = (AtomicUsize::new(0), AtomicBool::new(false));
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _ = pool.try_map(&numbers, |n| {
                    began.fetch_add(1, Relaxed);
                    if *n == bad {
                        panicked.store(true, Relaxed);
                        std::panic::resume_unwind(Box::new("the first"));
                    }
                    if fails && *n == bad + 1 {
                        return Err(Made::new(0));
                    }
                    if bad == 0 && began.load(Relaxed) > 1 {
                        eventually("it panics", || panicked.load(Relaxed));
                    }
                    Ok(Made::new(*n))
                });
            }));
            let payload = unwound.expect_err("it panics");
            assert_eq!(*payload.downcast_ref::<&str>().unwrap(), "the first");
            assert_eq!(LIVE.load(Relaxed), DROPS.load(Relaxed));
        }
    }
    // Items behind a panic in its own chunk never begin, and others' only for some time.
    eventually("some of the others do not begin", || {
        let began = AtomicUsize::new(0);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            pool.for_each(&numbers, |n| {
                began.fetch_add(1, Relaxed);
                if *n == 0 {
                    std::panic::resume_unwind(Box::new("no"));
                }
                thread::yield_now();
            });
        }));
        assert!(unwound.is_err());
        let most = numbers.len() - numbers.len() / 4 + 1;
        assert!(began.load(Relaxed) <= most);
        began.into_inner() < most
    });
    pool.wait_idle().unwrap();
    assert_conserved(&pool.stats());
}

#[test]
fn try_map_over_a_slice_returns_the_first_error_and_everything_that_finished() {
    let _watchdog = watchdog();
    // One of two workers fails when the other stands in an item, which then ends well.
    let pool = pool(2, 10);
    let numbers: Vec<usize> = (0..100).collect();
    let (came, failed) = (AtomicBool::new(false), AtomicBool::new(false));
    let error = pool
        .try_map(&numbers, |n| match n {
            1 => {
                came.store(true, Relaxed);
                eventually("the other fails", || failed.load(Relaxed));
                Ok(*n)
            }
            30 => {
                eventually("the other stands", || came.load(Relaxed));
                failed.store(true, Relaxed);
                Err("thirty")
            }
            _ => Ok(*n),
        })
        .unwrap_err();
    assert_eq!((error.position, error.error), (30, "thirty"));
    assert_eq!(error.to_string(), "the item at position 30: thirty");
    assert!(error.failures.is_empty());
    assert!(error.finished.is_sorted());
    assert!(error.finished.iter().all(|(position, n)| position == n));
    assert_eq!(error.finished[..2], [(0, 0), (1, 1)]);
    // Behind the failure, within its chunk, nothing begins; most others are skipped.
    assert!(error.finished.iter().all(|(n, _)| !(31..43).contains(n)));

    // Other chunks are skipped too, but for some items.
    eventually("some of the others do not begin", || {
        let tried = pool.try_map(&numbers, |n| {
            thread::yield_now();
            if *n == 0 { Err(()) } else { Ok(()) }
        });
        tried.unwrap_err().finished.len() < 75
    });

    // Two that fail: one is the first, the other is told too.
    let both = Barrier::new(2);
    let error = pool
        .try_map(&[0, 1], |n| {
            both.wait();
            Err::<(), usize>(*n)
        })
        .unwrap_err();
    let MapError {
        position,
        error,
        failures,
        ..
    } = error;
    assert_eq!((position, failures), (error, vec![(1 - error, 1 - error)]));
}

#[test]
fn a_slice_is_worked_off_whatever_becomes_of_the_pool() {
    let _watchdog = watchdog();
    let closed = pool(2, 1);
    closed.close();
    let here = thread::current().id();
    let by_me = closed.map(&[1, 2, 3], |n| (*n, thread::current().id()));
    assert_eq!(by_me, [1, 2, 3].map(|n| (n, here)));

    // Shut down while its chunks wait.
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = busy(1, 50, &door);
    let handle = pool.handle();
    let numbers: Vec<usize> = (0..30).collect();
    thread::scope(|scope| {
        let map = scope.spawn(|| handle.map(&numbers, |n| n + 1));
        // 15, 7, 4, 2, 1 and 1 of them.
        eventually("all is queued", || handle.stats().queued == 6);
        let ends = scope.spawn(|| pool.shutdown_now().unwrap());
        eventually("closed", || handle.is_closed());
        door.open();
        drop(ends.join().unwrap());
        assert!(map.join().unwrap().into_iter().eq(1..=30));
    });
    assert_conserved(&handle.stats());
}

/// What a worker does in a map, and nothing else, happens while it waits for it.
#[test]
fn a_worker_that_waits_for_its_map_runs_no_other_job() {
    thread_local! {
        static MAPPING: Cell<bool> = const { Cell::new(false) };
    }
    let _watchdog = watchdog();
    let pool = pool(1, 10);
    let (handle, met) = (pool.handle(), std::sync::Arc::new(AtomicUsize::new(0)));
    let stranger = std::sync::Arc::clone(&met);
    let job = pool.spawn(move || {
        MAPPING.set(true);
        // Queued before the map's own jobs.
        for _ in 0..5 {
            let stranger = std::sync::Arc::clone(&stranger);
            let meet = move || {
                stranger.fetch_add(1 + 100 * usize::from(MAPPING.get()), Relaxed);
            };
            handle.execute(meet).unwrap();
        }
        let sum = handle.map(&[1, 2, 3], |n| n * 2).into_iter().sum::<i32>();
        MAPPING.set(false);
        sum
    });
    assert_eq!(job.unwrap().join().unwrap(), 12);
    pool.join().unwrap();
    assert_eq!(met.load(Relaxed), 5);
}

/// Room for all results would be four tebibytes.
#[test]
fn no_room_is_made_for_what_never_runs() {
    let _watchdog = watchdog();
    let pool = pool(1, 10);
    let items = &[(); 1 << 29];
    let error = pool.try_map(items, |()| Err::<[u64; 1024], _>("no"));
    assert_eq!(error.unwrap_err().position, 0);
}
