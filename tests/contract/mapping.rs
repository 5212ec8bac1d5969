//! `map` and `map_ordered`: in and out interleaved.

use crate::common::{Door, OpenAtEnd, assert_conserved, eventually, watchdog};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, yield_now};
use workcrew::{JobError, WorkerPool};

/// Jobs in the larger tests.
const MANY: u64 = if cfg!(miri) { 30 } else { 3_000 };

/// A pool whose job is its own result.
fn echo(
    workers: usize,
    jobs: usize,
    results: usize,
) -> (WorkerPool<u64, u64>, workcrew::Results<u64>) {
    WorkerPool::builder()
        .workers(workers)
        .job_capacity(jobs)
        .result_capacity(results)
        .build(|job, _| {
            for _ in 0..job % 3 {
                yield_now();
            }
            job
        })
        .unwrap()
}

#[test]
fn map_yields_each_job_once_whatever_the_capacities() {
    let _watchdog = watchdog();
    for workers in [1, 2, 4] {
        for (jobs, results, window) in [(1, 1, 1), (1, 1, 100), (2, 1, 3), (1, 5, 2), (64, 64, 7)] {
            let (pool, mut taker) = echo(workers, jobs, results);
            let map = pool.map(&mut taker, 0..MANY / 10).window(window);
            let seen: BTreeSet<_> = map.map(|outcome| outcome.result.unwrap()).collect();
            assert!(seen.into_iter().eq(0..MANY / 10));
            let handle = pool.handle();
            pool.join().unwrap();
            assert_eq!(handle.stats().completed, MANY / 10);
            assert_conserved(&handle.stats());
        }
    }
}

#[test]
fn map_ordered_keeps_the_order_whatever_the_capacities() {
    let _watchdog = watchdog();
    for workers in [1, 2, 4] {
        for (jobs, results, window) in [(1, 1, 1), (1, 1, 100), (2, 1, 3), (1, 5, 2), (64, 64, 7)] {
            let (pool, mut taker) = echo(workers, jobs, results);
            let map = pool.map_ordered(&mut taker, 0..MANY / 10).window(window);
            let seen = map.map(|outcome| outcome.result.unwrap());
            assert!(seen.eq(0..MANY / 10));
        }
    }
}

#[test]
fn a_pool_can_be_mapped_over_again() {
    let _watchdog = watchdog();
    let (pool, mut taker) = echo(2, 3, 3);
    for round in 0..20 {
        let jobs = round * 10..round * 10 + 10;
        let ordered = pool.map_ordered(&mut taker, jobs.clone());
        assert!(
            ordered
                .map(|outcome| outcome.result.unwrap())
                .eq(jobs.clone())
        );
        assert_eq!(pool.map(&mut taker, jobs).count(), 10);
    }
}

/// There is room for a job when a worker begins one, not when an outcome comes.
#[test]
fn a_map_keeps_all_workers_busy_whatever_the_capacity() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let inside = door.clone();
        let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
            .workers(4)
            .job_capacity(1)
            .result_capacity(1)
            .build(move |job, _| {
                inside.pass();
                job
            })
            .unwrap();
        thread::scope(|scope| {
            let (pool, taker) = (&pool, &mut taker);
            let mapping = scope.spawn(move || {
                if ordered {
                    pool.map_ordered(taker, 0..4).count()
                } else {
                    pool.map(taker, 0..4).count()
                }
            });
            door.wait_for(4);
            door.open();
            assert_eq!(mapping.join().unwrap(), 4);
        });
    }
}

/// What an ordered map held back comes first, in order.
#[test]
fn what_waited_in_a_dropped_map_is_next() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .build(move |job, ctx| {
            match job {
                0 => inside.pass(),
                1 => ctx.push(1000),
                _ => {}
            }
            job
        })
        .unwrap();
    let mut map = pool.map_ordered(&mut taker, 0..100);
    assert_eq!(map.next().unwrap().result.unwrap(), 1000);
    // Job 0 is at the door, so one worker has ended all others, and a stranger's job is
    // its last: when the map yields that, it holds them all back.
    while pool.stats().completed < 100 {
        yield_now();
    }
    pool.submit(5000).unwrap();
    assert_eq!(map.next().unwrap().result.unwrap(), 5000);
    assert_eq!(map.into_jobs().count(), 0);
    door.open();
    pool.join().unwrap();
    let indices = taker.map(|outcome| outcome.index);
    assert!(indices.eq((1..100).chain([0])));
}

/// No more is drawn than what can be submitted, and one job for which there is no room.
#[test]
fn map_draws_an_endless_input_as_it_has_room() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        let (pool, mut taker) = echo(2, 1, 1);
        let drawn = AtomicUsize::new(0);
        let endless = (0..).inspect(|_| {
            drawn.fetch_add(1, Ordering::Relaxed);
        });
        let mut yielded = 0;
        let mut check = |outcome: workcrew::Outcome<u64>| {
            assert!(!ordered || outcome.result.unwrap() == yielded);
            yielded += 1;
            let ahead = drawn.load(Ordering::Relaxed) as u64 - yielded;
            assert!(ahead <= 5, "drew {ahead} jobs ahead with a window of 4");
        };
        if ordered {
            let map = pool.map_ordered(&mut taker, endless).window(4);
            map.take(MANY as usize).for_each(&mut check);
        } else {
            let map = pool.map(&mut taker, endless).window(4);
            map.take(MANY as usize).for_each(&mut check);
        }
        assert_eq!(yielded, MANY);
    }
}

/// A slow first job holds the ordered map up when the window is full, not before.
#[test]
fn the_window_bounds_what_waits_behind_a_slow_job() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .job_capacity(64)
        .build(move |job, _| {
            if job == 0 {
                inside.pass();
            }
            job
        })
        .unwrap();
    thread::scope(|scope| {
        let pool = &pool;
        scope.spawn(|| {
            let map = pool.map_ordered(&mut taker, 0..100).window(10);
            assert!(map.map(|outcome| outcome.result.unwrap()).eq(0..100));
        });
        while pool.stats().completed < 9 {
            yield_now();
        }
        assert_eq!(pool.stats().accepted, 10);
        door.open();
    });
}

#[test]
fn what_is_left_of_a_map_comes_back() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        let (pool, mut taker) = echo(2, 2, 2);
        let (seen, rest): (Vec<u64>, Vec<u64>) = if ordered {
            let mut map = pool.map_ordered(&mut taker, 0..100);
            let seen = map.by_ref().take(10).map(|outcome| outcome.result.unwrap());
            (seen.collect(), map.into_jobs().collect())
        } else {
            let mut map = pool.map(&mut taker, 0..100);
            let seen = map.by_ref().take(10).map(|outcome| outcome.result.unwrap());
            (seen.collect(), map.into_jobs().collect())
        };
        // What was in flight comes from the results.
        pool.close();
        let in_flight = taker.map(|outcome| outcome.result.unwrap());
        let mut all: Vec<u64> = seen.into_iter().chain(in_flight).chain(rest).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
    }
}

#[test]
fn a_panic_in_the_input_loses_nothing() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        let (pool, mut taker) = echo(2, 3, 3);
        let mut next = 0;
        let mut panicked = false;
        let input = std::iter::from_fn(|| {
            if next == 50 && !panicked {
                panicked = true;
                panic!("no more coffee");
            }
            next += 1;
            (next <= 100).then_some(next)
        });
        let mut seen = Vec::new();
        let mut panics = 0;
        let mut drive = |map: &mut dyn Iterator<Item = workcrew::Outcome<u64>>| {
            loop {
                match catch_unwind(AssertUnwindSafe(|| map.next())) {
                    Ok(Some(outcome)) => seen.push(outcome.result.unwrap()),
                    Ok(None) => break,
                    Err(_) => panics += 1,
                }
            }
        };
        if ordered {
            drive(&mut pool.map_ordered(&mut taker, input));
        } else {
            drive(&mut pool.map(&mut taker, input));
            seen.sort_unstable();
        }
        assert_eq!(panics, 1);
        assert!(seen.into_iter().eq(1..=100));
    }
}

/// The worker stands in job 1 when the map goes: that one ends, the others never start.
#[test]
fn a_map_dropped_half_way_cancels_what_has_not_started() {
    let _watchdog = watchdog();
    for ordered in [false, true] {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let inside = door.clone();
        let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
            .workers(1)
            .job_capacity(10)
            .build(move |job, _| {
                if job == 1 {
                    inside.pass();
                }
                job
            })
            .unwrap();
        let first = if ordered {
            let mut map = pool.map_ordered(&mut taker, 0..);
            let first = map.next();
            door.wait_for(1);
            first
        } else {
            let mut map = pool.map(&mut taker, 0..);
            let first = map.next();
            door.wait_for(1);
            first
        };
        assert_eq!(first.unwrap().result.unwrap(), 0);
        // Others' jobs run.
        let own = pool.stats().accepted;
        door.open();
        pool.submit(5000).unwrap();
        pool.close();
        let mut cancelled = 0;
        for outcome in taker {
            match outcome.result {
                Ok(job) => assert_eq!(job, if outcome.index == own { 5000 } else { 1 }),
                Err(JobError::Cancelled) => cancelled += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(cancelled, own - 2);
        assert_eq!(pool.stats().completed, 3);
        assert_conserved(&pool.stats());
    }
}

#[test]
fn what_a_map_has_submitted_runs_when_it_hands_back_the_others() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .job_capacity(10)
        .build(move |job, _| {
            if job == 1 {
                inside.pass();
            }
            job
        })
        .unwrap();
    let mut map = pool.map(&mut taker, 0..50);
    map.next().unwrap();
    door.wait_for(1);
    let back: Vec<_> = map.into_jobs().collect();
    door.open();
    pool.close();
    let submitted = 50 - back.len() as u64;
    assert!(back.into_iter().eq(submitted..50));
    assert!(submitted > 2, "some wait");
    let outcomes = taker.map(|outcome| outcome.result.unwrap());
    assert!(outcomes.eq(1..submitted));
}

/// An unfinished map that a panic takes along cancels too.
#[test]
fn a_map_dropped_in_a_panic_cancels_what_has_not_started() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .build(move |job, _| {
            if job == 1 {
                inside.pass();
            }
            job
        })
        .unwrap();
    let unwound: Result<(), _> = catch_unwind(AssertUnwindSafe(|| {
        let mut map = pool.map(&mut taker, 0..100);
        map.next().unwrap();
        door.wait_for(1);
        std::panic::resume_unwind(Box::new("the test's own panic"));
    }));
    assert!(unwound.is_err());
    door.open();
    pool.close();
    assert_eq!(taker.filter(|outcome| outcome.result.is_ok()).count(), 1);
    assert_eq!(pool.stats().cancelled, 98);
}

#[test]
fn a_maps_size_hint_is_what_is_in_flight_and_nothing_at_the_end() {
    let _watchdog = watchdog();
    let (pool, mut taker) = echo(2, 8, 8);
    let mut map = pool.map_ordered(&mut taker, 0..100).window(5);
    assert_eq!(map.size_hint(), (0, None));
    let mut left = 100;
    while map.next().is_some() {
        left -= 1;
        let (least, most) = map.size_hint();
        assert!(least <= left && most.is_none_or(|most| most >= left));
        assert!(left < 99 || least == 4, "the window is full");
    }
    assert_eq!(left, 0);
    drop(map);
    // Another takes an outcome, so it never comes here.
    let mut other = taker.clone();
    let mut map = pool.map(&mut taker, 0..8).window(8);
    map.next().unwrap();
    pool.wait_idle().unwrap();
    let taken = usize::from(other.try_recv().is_ok());
    pool.close();
    let yielded = map.by_ref().count();
    assert_eq!(
        map.size_hint(),
        (0, if taken == 0 { None } else { Some(0) })
    );
    drop(map);
    drop(other);
    assert_eq!(1 + yielded + taken + taker.count(), 8);
}

#[test]
fn panicking_jobs_have_their_place_in_the_order() {
    let _watchdog = watchdog();
    let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .job_capacity(4)
        .build(|job, _| {
            assert!(job % 5 != 0, "a multiple of five");
            job
        })
        .unwrap();
    let map = pool.map_ordered(&mut taker, 0..50);
    for (job, outcome) in (0..).zip(map) {
        match outcome.result {
            Ok(result) => assert_eq!(result, job),
            Err(JobError::Panicked(panic)) => {
                assert_eq!((job % 5, panic.message()), (0, "a multiple of five"));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_map_ends_when_the_pool_is_closed_and_hands_the_others_back() {
    let _watchdog = watchdog();
    let (pool, mut taker) = echo(2, 2, 2);
    let mut map = pool.map(&mut taker, 0..100);
    let mut seen: Vec<u64> = Vec::new();
    seen.extend(map.by_ref().take(10).map(|outcome| outcome.result.unwrap()));
    pool.close();
    seen.extend(map.by_ref().map(|outcome| outcome.result.unwrap()));
    assert!(map.next().is_none(), "it is fused");
    seen.extend(map.into_jobs());
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..100));
}

#[test]
fn a_map_that_has_ended_stays_ended_if_another_taker_gives_back() {
    let _watchdog = watchdog();
    let (pool, mut taker) = echo(1, 64, 64);
    let mut other = taker.clone();
    let mut map = pool.map(&mut taker, 0..40).window(40);
    let first = map.next().map_or(0, |_| 1);
    pool.wait_idle().unwrap();
    let taken = usize::from(other.try_recv().is_ok());
    pool.close();
    let yielded = map.by_ref().count();
    drop(other);
    assert!(map.next().is_none());
    drop(map);
    assert_eq!(first + taken + yielded + taker.count(), 40);
}

/// Outcomes of follow-ups are told apart, and those of others' jobs do no harm.
#[test]
fn what_others_make_is_yielded_too() {
    let _watchdog = watchdog();
    let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .job_capacity(2)
        .result_capacity(1)
        .build(|job, ctx| {
            if job < 100 {
                ctx.push(job + 1000);
            }
            job
        })
        .unwrap();
    let strangers = if cfg!(miri) { 20 } else { 500 };
    let stranger = pool.handle();
    let own = thread::scope(|scope| {
        scope.spawn(|| {
            for job in 0..strangers {
                stranger.submit(5000 + job).unwrap();
            }
        });
        let mut own = Vec::new();
        for outcome in pool.map_ordered(&mut taker, 0..100).window(3) {
            let result = outcome.result.unwrap();
            assert_eq!(outcome.follow_up, (1000..1100).contains(&result));
            if result < 100 {
                own.push(result);
            }
        }
        // The stranger may still be blocked.
        while pool.stats().accepted < 200 + strangers || pool.stats().queued > 0 {
            let _ = taker.recv_timeout(std::time::Duration::from_millis(1));
        }
        own
    });
    assert!(own.into_iter().eq(0..100));
}

#[test]
#[should_panic(expected = "another pool's results")]
fn a_map_takes_its_own_pools_results() {
    let (_pool, mut results) = echo(1, 1, 1);
    let (other, _taker) = echo(1, 1, 1);
    let _ = other.map(&mut results, 0..1);
}

#[test]
fn a_map_in_a_worker_of_its_own_pool_panics_instead_of_waiting() {
    type Pool = (WorkerPool<u64, ()>, workcrew::Results<()>);
    let _watchdog = watchdog();
    let shared: Arc<Mutex<Option<Pool>>> = Arc::default();
    let verdict = Arc::new(OnceLock::new());
    let door = Door::new();
    let (inner, inside, told) = (Arc::clone(&shared), door.clone(), Arc::clone(&verdict));
    let built: Pool = WorkerPool::builder()
        .workers(1)
        .build(move |job, _| {
            inside.pass();
            // The job that the map submits finds nothing here.
            if let Some((pool, mut results)) = inner.lock().unwrap().take() {
                let mapped = AssertUnwindSafe(|| pool.map(&mut results, [job + 1]).count());
                told.set(catch_unwind(mapped).is_err()).unwrap();
            }
        })
        .unwrap();
    built.0.submit(1).unwrap();
    *shared.lock().unwrap() = Some(built);
    door.open();
    while verdict.get().is_none() {
        yield_now();
    }
    assert_eq!(verdict.get(), Some(&true));
}

/// One worker stands in a job all the while, so the pool is never idle. Each map leaves jobs behind
/// that have ended, and whose outcomes it has not taken.
#[test]
fn maps_dropped_half_way_cancel_though_the_pool_is_never_idle() {
    const MAPS: usize = if cfg!(miri) { 3 } else { 30 };
    let _watchdog = watchdog();
    let (door, gate) = (Door::new(), Door::new());
    let ran = Arc::new(AtomicUsize::new(0));
    let (behind, between, count) = (door.clone(), gate.clone(), Arc::clone(&ran));
    let (pool, mut taker) = WorkerPool::<u64, u64>::builder()
        .workers(2)
        .job_capacity(64)
        .build(move |job, _| {
            match job {
                1 => behind.pass(),
                2 => between.pass(),
                3 => drop(count.fetch_add(1, Ordering::Relaxed)),
                _ => {}
            }
            job
        })
        .unwrap();
    let _open = (OpenAtEnd(&door), OpenAtEnd(&gate));
    pool.submit(1).unwrap();
    door.wait_for(1);
    for _ in 0..MAPS {
        let mut map = pool.map(&mut taker, std::iter::repeat(0));
        map.next().unwrap();
        drop(map);
        eventually("all but one has ended and is taken", || {
            while taker.try_recv().is_ok() {}
            let stats = pool.stats();
            stats.queued == 0 && stats.running == 1 && stats.results_waiting == 0
        });
    }
    let jobs = [0, 2].into_iter().chain(std::iter::repeat_n(3, 50));
    let mut map = pool.map(&mut taker, jobs);
    map.next().unwrap();
    gate.wait_for(1);
    drop(map);
    gate.open();
    door.open();
    pool.join().unwrap();
    // The worker may have taken some from the queue before, and not started them: these too.
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}
