//! Iterators whose items become jobs.

use crate::common::{Door, OpenAtEnd, PATIENCE, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use workcrew::{JobError, ThreadPool, ThreadPoolHandle};

const MANY: u64 = if cfg!(miri) { 30 } else { 2_000 };

fn pool(workers: usize, job_capacity: usize) -> ThreadPool {
    let builder = ThreadPool::builder()
        .workers(workers)
        .job_capacity(job_capacity);
    builder.build().unwrap()
}

/// Both forms yield everything, whatever the window.
fn check_all(pool: &ThreadPoolHandle) {
    for window in [1, 3, 1000] {
        let ordered = pool.map_iter_ordered(0..MANY, |n| Box::new(n + 1));
        let ordered = ordered.window(window).map(|outcome| *outcome.unwrap());
        assert!(ordered.eq(1..=MANY));
        let as_they_end = pool.map_iter(0..MANY, |n| Box::new(n + 1)).window(window);
        let mut numbers: Vec<_> = as_they_end.map(|outcome| *outcome.unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(1..=MANY));
    }
    assert!(pool.map_iter([(); 0], |()| ()).next().is_none());
    assert!(pool.map_iter_ordered([(); 0], |()| ()).next().is_none());
}

#[test]
fn each_item_of_an_iterator_comes_once_whatever_the_capacities() {
    let _watchdog = watchdog();
    for workers in [1, 3] {
        for capacity in [1, 64] {
            let pool = pool(workers, capacity);
            check_all(&pool.handle());
            // In a worker, which may be the only one.
            let handle = pool.handle();
            pool.spawn(move || check_all(&handle))
                .unwrap()
                .join()
                .unwrap();
            pool.wait_idle().unwrap();
            assert_conserved(&pool.stats());
        }
    }
}

#[test]
fn an_endless_iterator_is_drawn_within_the_window() {
    let _watchdog = watchdog();
    let pool = pool(2, 10);
    for (window, most) in [(Some(5), 5), (Some(0), 1), (None, 12)] {
        let drawn = Cell::new(0);
        let endless = std::iter::repeat_with(|| drawn.set(drawn.get() + 1));
        let mut map = pool.map_iter(endless, |()| ());
        if let Some(window) = window {
            map = map.window(window);
        }
        assert_eq!(drawn.get(), 0, "it is lazy");
        for yielded in 1..200 {
            map.next().unwrap().unwrap();
            // One more may be drawn that found no room.
            assert!(drawn.get() <= yielded - 1 + most + 1, "{}", drawn.get());
            assert!(map.size_hint().0 < most);
        }
        drop(map);
        pool.wait_idle().unwrap();
    }
}

#[test]
fn a_slow_job_holds_up_the_ordered_form_alone() {
    let _watchdog = watchdog();
    let pool = pool(2, 100);
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let mut map = pool.map_iter(0..50, move |n| {
        if n == 0 {
            inside.pass();
        }
        n
    });
    let mut others: Vec<_> = map.by_ref().take(49).map(Result::unwrap).collect();
    others.sort_unstable();
    assert!(others.into_iter().eq(1..50));
    door.open();
    assert_eq!(map.next().unwrap().unwrap(), 0);
    assert!(map.next().is_none() && map.next().is_none());

    let (door, done) = (Door::new(), Arc::new(AtomicUsize::new(0)));
    let _open = OpenAtEnd(&door);
    let (inside, count) = (door.clone(), Arc::clone(&done));
    let mut map = pool.map_iter_ordered(0..50, move |n| {
        if n == 0 {
            inside.pass();
        }
        count.fetch_add(1, Relaxed);
        n
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| map.next().unwrap().unwrap());
        eventually("all others are done", || done.load(Relaxed) == 49);
        assert!(!first.is_finished());
        door.open();
        assert_eq!(first.join().unwrap(), 0);
    });
    assert!(map.map(Result::unwrap).eq(1..50));
}

#[test]
fn a_panic_is_its_jobs_outcome_and_the_others_come() {
    let _watchdog = watchdog();
    let pool = pool(2, 5);
    let bad = |n: u64| {
        if n % 10 == 3 {
            std::panic::resume_unwind(Box::new("a three"));
        }
        n
    };
    let panics = |outcome: &Result<u64, JobError>| match outcome {
        Ok(n) => n % 10 == 3,
        Err(JobError::Panicked(panic)) => panic.message() == "a three",
        Err(_) => false,
    };
    let ordered: Vec<_> = pool.map_iter_ordered(0..100, bad).collect();
    let bad_places = (0..).zip(&ordered).filter(|(_, outcome)| panics(outcome));
    assert!(bad_places.map(|(n, _)| n).eq((0..10).map(|n| n * 10 + 3)));
    let count = pool.map_iter(0..100, bad).filter(panics).count();
    assert_eq!(count, 10);
}

/// What waits is dropped at once, what runs is not touched, and its result is dropped.
#[test]
fn a_map_that_is_dropped_half_way_cancels_what_has_not_started() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let pool = busy(2, 100, &door);
        let (counted, started) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
        let items = std::iter::repeat_n(Arc::clone(&counted), 20).enumerate();
        let (inside, first) = (Door::new(), Arc::clone(&started));
        let _leave = OpenAtEnd(&inside);
        let stands = inside.clone();
        let slow = move |(index, held)| {
            first.fetch_add(1, Relaxed);
            if index > 0 {
                stands.pass();
            }
            held
        };
        let outcome = if ordered {
            let mut map = pool.map_iter_ordered(items, slow).window(20);
            door.open();
            map.next()
        } else {
            let mut map = pool.map_iter(items, slow).window(20);
            door.open();
            map.next()
        };
        outcome.unwrap().unwrap();
        // Two may have begun besides the first.
        let began = || started.load(Relaxed);
        assert!(
            Arc::strong_count(&counted) <= 3,
            "the others' items are gone"
        );
        assert!(began() <= 3);
        inside.open();
        pool.wait_idle().unwrap();
        assert_eq!(Arc::strong_count(&counted), 1);
        assert!(began() <= 3);
        let stats = pool.stats();
        assert!(stats.cancelled >= 17, "{stats}");
        assert_conserved(&stats);
    }
}

/// Closes the pool after the first outcome. Returns how many came.
fn close_half_way(pool: &ThreadPoolHandle, ordered: bool) -> u64 {
    let mut count = 1;
    let rest: Vec<_> = if ordered {
        let mut map = pool.map_iter_ordered(0..100, |n| n).window(7);
        map.next().unwrap().unwrap();
        pool.close();
        count += map.by_ref().map(Result::unwrap).count();
        map.into_items().collect()
    } else {
        let mut map = pool.map_iter(0..100, |n| n).window(7);
        map.next().unwrap().unwrap();
        pool.close();
        count += map.by_ref().map(Result::unwrap).count();
        map.into_items().collect()
    };
    assert!(count <= 7, "nothing was drawn after the close: {count}");
    assert!(rest.into_iter().eq(count..100));
    count as u64
}

#[test]
fn a_map_over_a_closed_pool_yields_what_was_accepted_and_hands_the_rest_back() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        for inside in [false, true] {
            let mut pool = pool(2, 2);
            let handle = pool.handle();
            let count = if inside {
                // In a job, which is one more.
                let job = pool.spawn(move || 1 + close_half_way(&handle, ordered));
                job.unwrap().join().unwrap()
            } else {
                close_half_way(&handle, ordered)
            };
            pool.join_timeout(PATIENCE).unwrap();
            assert_eq!(pool.stats().completed, count);
        }
    }
}

#[test]
fn jobs_of_a_map_that_a_shutdown_hands_back_are_cancelled() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = busy(1, 10, &door);
    let handle = pool.handle();
    thread::scope(|scope| {
        let map = scope.spawn(|| handle.map_iter(0..100, |n| n).collect::<Vec<_>>());
        eventually("ten are queued", || handle.stats().queued == 10);
        let ends = scope.spawn(|| drop(pool.shutdown_now().unwrap()));
        eventually("closed", || handle.is_closed());
        door.open();
        ends.join().unwrap();
        let outcomes = map.join().unwrap();
        assert_eq!(outcomes.len(), 10);
        let cancelled = |outcome| matches!(outcome, Err(JobError::Cancelled));
        assert!(outcomes.into_iter().all(cancelled));
    });
}

#[test]
fn a_worker_that_waits_for_its_iterator_runs_no_other_job() {
    thread_local! {
        static BUSY: Cell<bool> = const { Cell::new(false) };
    }
    let _watchdog = watchdog();
    let pool = pool(1, 10);
    let (handle, met) = (pool.handle(), Arc::new(AtomicUsize::new(0)));
    let stranger = Arc::clone(&met);
    let job = pool.spawn(move || {
        BUSY.set(true);
        for _ in 0..5 {
            let stranger = Arc::clone(&stranger);
            let meet = move || {
                stranger.fetch_add(1 + 100 * usize::from(BUSY.get()), Relaxed);
            };
            handle.execute(meet).unwrap();
        }
        let sum: u64 = handle.map_iter(0..10, |n| n).map(Result::unwrap).sum();
        let ordered = handle.map_iter_ordered(0..10, |n| n).map(Result::unwrap);
        assert!(ordered.eq(0..10));
        BUSY.set(false);
        sum
    });
    assert_eq!(job.unwrap().join().unwrap(), 45);
    pool.join().unwrap();
    assert_eq!(met.load(Relaxed), 5);
}

#[test]
fn a_worker_that_runs_its_own_items_begins_with_the_oldest() {
    let _watchdog = watchdog();
    let pool = pool(1, 8);
    let handle = pool.handle();
    let job = pool.spawn(move || {
        let all = handle.map_iter(0..8, |n| n).window(4).map(Result::unwrap);
        all.collect::<Vec<u32>>()
    });
    let all = job.unwrap().join().unwrap();
    assert_eq!(all[..4], [0, 1, 2, 3]);
    pool.join().unwrap();
}

#[test]
fn an_iterator_that_panics_loses_none_of_the_outcomes() {
    let _watchdog = watchdog();
    let pool = pool(2, 3);
    let items = || {
        (0..10).inspect(|n| {
            if *n == 5 {
                std::panic::resume_unwind(Box::new("no five"));
            }
        })
    };
    let drive = |map: &mut dyn Iterator<Item = Result<u64, JobError>>| {
        let (mut numbers, mut panics) = (Vec::new(), 0);
        loop {
            match catch_unwind(AssertUnwindSafe(|| map.next())) {
                Ok(Some(outcome)) => numbers.push(outcome.unwrap()),
                Ok(None) => return (panics, numbers),
                Err(_) => panics += 1,
            }
        }
    };
    let expected = (1, vec![0, 1, 2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(drive(&mut pool.map_iter_ordered(items(), |n| n)), expected);
    let (panics, mut numbers) = drive(&mut pool.map_iter(items(), |n| n));
    numbers.sort_unstable();
    assert_eq!((panics, numbers), expected);
}
