//! What the feature `histograms` promises of both pools.

#![cfg(feature = "histograms")]
#![forbid(unsafe_code)]

mod common;

use common::{Door, OpenAtEnd, Task, behind, value, watchdog};
use std::time::{Duration, Instant};
use workcrew::{Builder, Histograms, Results, ThreadPool, ThreadPoolBuilder, WorkerPool};

fn typed<J: Send, R: Send>() -> Builder<'static, J, R> {
    WorkerPool::builder().histograms(true)
}

/// One worker, so that its jobs wait for each other.
fn one_worker() -> (WorkerPool<Task, u64>, Results<u64>) {
    typed().workers(1).build(|task: Task, _| task()).unwrap()
}

fn closures() -> ThreadPoolBuilder {
    ThreadPool::builder().histograms(true)
}

/// So many jobs were measured, each once in both histograms.
#[track_caller]
fn assert_count(histograms: &Histograms, jobs: u64) {
    let Histograms {
        queue_wait,
        run_time,
        ..
    } = histograms;
    assert_eq!((queue_wait.count(), run_time.count()), (jobs, jobs));
}

/// Each job that the pool counts as run was measured. Returns how many these are.
#[track_caller]
fn assert_complete(pool: &ThreadPool) -> u64 {
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    let jobs = stats.completed + stats.panicked;
    assert_count(&pool.histograms(), jobs);
    jobs
}

/// Keeps this thread at work for a while, and returns at least how long.
fn some_time() -> Duration {
    let start = Instant::now();
    loop {
        let took = start.elapsed();
        if took > Duration::from_millis(2) {
            return took;
        }
        std::hint::spin_loop();
    }
}

/// What the pool's clock should make of at least `time`: it is another one than the test's, and
/// was set by it.
fn nearly(time: Duration) -> Duration {
    time * 9 / 10
}

/// No job waited since before its pool was there.
#[track_caller]
fn assert_waits_since(start: Instant, histograms: &Histograms) {
    let longest = histograms.queue_wait.max().unwrap_or_default();
    assert!(nearly(longest) <= start.elapsed(), "{histograms}");
}

#[test]
fn each_job_of_a_worker_pool_is_measured_once_whatever_way_it_came() {
    let _watchdog = watchdog();
    let start = Instant::now();
    let (pool, results) = typed::<u64, u64>()
        .workers(3)
        .job_capacity(8)
        .build(|job, ctx| {
            for follow_up in 0..job / 1_000 {
                ctx.push(follow_up);
            }
            assert!(job != 13, "on purpose");
            job
        })
        .unwrap();
    let taker = std::thread::spawn(move || results.count());
    for job in 0..20 {
        pool.submit(job).unwrap();
    }
    let mut given = 20;
    for job in 0..20 {
        given += usize::from(pool.try_submit(job).is_ok());
        given += usize::from(pool.submit_timeout(job, Duration::from_secs(3600)).is_ok());
    }
    let mut submitter = pool.submitter();
    for job in 0..100 {
        submitter.submit(job).unwrap();
    }
    submitter.submit_all(0..100).unwrap();
    pool.submit_all(0..100).unwrap();
    // More than a deque holds.
    pool.submit(1_000_000).unwrap();
    given += 301 + 1_000;
    drop(submitter);
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    assert_eq!(stats.completed + stats.panicked, given as u64);
    assert_count(&pool.histograms(), given as u64);
    let handle = pool.handle();
    pool.join().unwrap();
    assert_eq!(taker.join().unwrap(), given);
    assert_count(&handle.histograms(), given as u64);
    assert_waits_since(start, &handle.histograms());
}

#[test]
fn jobs_that_were_cancelled_or_handed_back_are_not_measured() {
    let _watchdog = watchdog();
    let (pool, results) = one_worker();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let first = Door::new();
    pool.submit(behind(&first, 0)).unwrap();
    first.wait_for(1);
    let cancelled = pool.submit(value(1)).unwrap();
    pool.cancel(cancelled).unwrap();
    pool.submit(Box::new(|| panic!("on purpose"))).unwrap();
    pool.submit(behind(&door, 2)).unwrap();
    first.open();
    door.wait_for(1);
    assert_count(&pool.histograms(), 2);
    pool.submit(value(3)).unwrap();
    pool.submit(value(4)).unwrap();
    let handle = pool.handle();
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| pool.shutdown_now().unwrap());
        common::eventually("it is closed", || handle.is_closed());
        door.open();
        let back = ended.join().unwrap();
        assert_eq!(back.len(), 2);
    });
    let stats = handle.stats();
    assert_eq!((stats.cancelled, stats.returned), (1, 2));
    assert_count(&handle.histograms(), 3);
    drop(results);
}

fn sum(pool: &ThreadPool, numbers: &[u64]) -> u64 {
    match numbers {
        [number] => *number,
        _ => {
            let (left, right) = numbers.split_at(numbers.len() / 2);
            let (left, right) = pool.fork_join(|| sum(pool, left), || sum(pool, right));
            left + right
        }
    }
}

#[test]
fn each_job_of_a_thread_pool_is_measured_once_whatever_way_it_came() {
    let _watchdog = watchdog();
    let start = Instant::now();
    let pool = closures().workers(3).job_capacity(100).build().unwrap();
    assert_eq!(assert_complete(&pool), 0);
    pool.execute(|| ()).unwrap();
    pool.try_execute(|| ()).unwrap();
    pool.execute(|| panic!("on purpose")).unwrap();
    pool.execute_all((0..50).map(|_| || ())).unwrap();
    assert_eq!(assert_complete(&pool), 53);
    let one = pool.spawn(|| 1).unwrap();
    assert_eq!(one.join().unwrap(), 1);
    assert_eq!(assert_complete(&pool), 54);
    pool.scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..10 {
                    scope.spawn(|| ());
                }
            });
        }
    });
    assert_eq!(assert_complete(&pool), 164);
    // In a worker, which runs jobs of its scope while it waits, its own and stolen ones.
    let handle = pool.handle();
    pool.spawn(move || {
        handle.scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| scope.spawn(|| ()));
            }
        });
    })
    .unwrap()
    .join()
    .unwrap();
    assert_eq!(assert_complete(&pool), 365);
    assert_eq!(pool.broadcast(|_| ()).unwrap().len(), 3);
    let after_the_broadcast = assert_complete(&pool);
    assert!(after_the_broadcast >= 368);
    let squares = pool.map(&[1, 2, 3], |number| number * number);
    assert_eq!(squares, [1, 4, 9]);
    assert!(assert_complete(&pool) > after_the_broadcast);
    let doubled = pool.map_iter(0..50_u64, |number| number * 2);
    assert_eq!(doubled.map(|end| end.unwrap()).sum::<u64>(), 2_450);
    let before = assert_complete(&pool);
    let values = pool.limited_group(2, |group| {
        for number in 0..20 {
            group.spawn(move || Ok::<u64, ()>(number));
        }
    });
    assert_eq!(values.unwrap().len(), 20);
    assert!(assert_complete(&pool) >= before + 20);
    assert_eq!(sum(&pool, &[1; 1_000]), 1_000);
    assert_complete(&pool);
    assert_waits_since(start, &pool.histograms());
}

/// A spawned job that is revoked keeps its place in the queue, which is no job any more.
#[test]
fn a_cancelled_handles_place_is_not_measured() {
    let _watchdog = watchdog();
    let pool = closures().workers(1).build().unwrap();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let guest = door.clone();
    pool.execute(move || guest.pass()).unwrap();
    door.wait_for(1);
    let cancelled = pool.spawn(|| ()).unwrap();
    assert!(cancelled.cancel());
    door.open();
    assert_eq!(assert_complete(&pool), 1);
    assert_eq!(pool.stats().cancelled, 1);
}

#[test]
fn a_job_waits_from_its_acceptance_until_it_begins() {
    let _watchdog = watchdog();
    let (pool, results) = one_worker();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    let jobs = [value(1), value(2), value(3)];
    let held: Duration = {
        let [one, others @ ..] = jobs;
        pool.submit(one).unwrap();
        pool.submit_all(others).unwrap();
        some_time()
    };
    door.open();
    pool.wait_idle().unwrap();
    let wait = pool.histograms().queue_wait;
    // The one that ran did not wait for the others; they did for it, each at least so long.
    assert_eq!(wait.count(), 4);
    assert!(wait.quantile(0.5).unwrap() >= nearly(held), "{wait}");
    assert!(wait.sum() >= nearly(held * 3), "{wait}");
    drop(results);
}

#[test]
fn what_a_job_pushes_or_spawns_waits_from_then_on() {
    let _watchdog = watchdog();
    let (pool, results) = typed()
        .workers(1)
        .build(|is_first, ctx| {
            if is_first {
                ctx.push(false);
                some_time()
            } else {
                Duration::ZERO
            }
        })
        .unwrap();
    pool.submit(true).unwrap();
    pool.close();
    let held: Duration = results.map(|outcome| outcome.result.unwrap()).sum();
    let handle = pool.handle();
    pool.join().unwrap();
    let wait = handle.histograms().queue_wait;
    assert_eq!(wait.count(), 2);
    assert!(wait.max().unwrap() >= nearly(held), "{wait}");

    let pool = closures().workers(1).build().unwrap();
    let mut held = Duration::ZERO;
    pool.scope(|scope| {
        let held = &mut held;
        scope.spawn(move || {
            scope.spawn(|| ());
            *held = some_time();
        });
    });
    assert_eq!(assert_complete(&pool), 2);
    let Histograms {
        queue_wait,
        run_time,
        ..
    } = pool.histograms();
    assert!(queue_wait.max().unwrap() >= nearly(held), "{queue_wait}");
    assert!(run_time.max().unwrap() >= nearly(held), "{run_time}");
}

/// Whoever is suspended, and when: these times lie one behind the other.
#[test]
fn one_workers_jobs_run_no_longer_together_than_it_took() {
    let _watchdog = watchdog();
    let (pool, mut results) = typed()
        .workers(1)
        .build(|works, _| if works { some_time() } else { Duration::ZERO })
        .unwrap();
    let start = Instant::now();
    pool.submit_all([true, false, true, true, false]).unwrap();
    pool.wait_idle().unwrap();
    let all = start.elapsed();
    let inside: Duration = (0..5)
        .map(|_| results.recv().unwrap().result.unwrap())
        .sum();
    let ran = pool.histograms().run_time;
    assert_eq!(ran.count(), 5);
    assert!(ran.sum() >= nearly(inside), "{ran}");
    assert!(nearly(ran.sum()) <= all, "{ran}");
}

/// As the one before.
#[test]
fn a_job_waits_and_runs_no_longer_than_it_took() {
    let _watchdog = watchdog();
    let pool = closures().workers(1).build().unwrap();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let guest = door.clone();
    let first = Instant::now();
    pool.execute(move || guest.pass()).unwrap();
    door.wait_for(1);
    let second = Instant::now();
    pool.execute(|| ()).unwrap();
    some_time();
    assert_count(&pool.histograms(), 0);
    door.open();
    pool.wait_idle().unwrap();
    let all = first.elapsed() + second.elapsed();
    let Histograms {
        queue_wait,
        run_time,
        ..
    } = pool.histograms();
    let measured = queue_wait.sum() + run_time.sum();
    assert!(nearly(measured) <= all, "{queue_wait}, {run_time}");
}

#[test]
fn what_counts_as_ended_is_measured_while_the_pool_works_too() {
    let _watchdog = watchdog();
    let pool = closures().workers(2).build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pool.execute_all((0..20_000).map(|_| || ())).unwrap());
        let mut ended = 0;
        while ended < 20_000 {
            ended = pool.stats().completed;
            let Histograms {
                queue_wait,
                run_time,
                ..
            } = pool.histograms();
            assert!(queue_wait.count().min(run_time.count()) >= ended);
            assert!(queue_wait.count().max(run_time.count()) <= 20_000);
        }
    });
    assert_eq!(assert_complete(&pool), 20_000);
}

#[test]
fn a_pool_that_was_not_asked_measures_nothing() {
    let _watchdog = watchdog();
    let plain = ThreadPool::builder()
        .workers(2)
        .histograms(true)
        .histograms(false);
    let pool = plain.build().unwrap();
    pool.execute_all((0..100).map(|_| || ())).unwrap();
    pool.scope(|scope| scope.spawn(|| scope.spawn(|| ())));
    pool.wait_idle().unwrap();
    assert_eq!(pool.histograms(), Histograms::default());
    let (pool, results) = WorkerPool::builder().build(|job: u32, _| job).unwrap();
    pool.submit(1).unwrap();
    pool.close();
    assert_eq!(results.count(), 1);
    assert_eq!(pool.histograms(), Histograms::default());
}

#[cfg(feature = "trace")]
#[test]
fn histograms_and_a_trace_do_not_need_each_other() {
    let _watchdog = watchdog();
    for (histograms, events) in [(false, 1_000), (true, 0), (true, 1_000)] {
        let builder = ThreadPool::builder().histograms(histograms);
        let builder = if events > 0 {
            builder.trace(events)
        } else {
            builder
        };
        let pool = builder.workers(2).build().unwrap();
        pool.execute_all((0..100).map(|_| || ())).unwrap();
        pool.wait_idle().unwrap();
        assert_count(&pool.histograms(), if histograms { 100 } else { 0 });
        let trace = pool.trace();
        let is_job = |kind| matches!(kind, workcrew::TraceKind::Job { .. });
        let traced = trace.events().iter().filter(|event| is_job(event.kind));
        assert_eq!(traced.count(), if events > 0 { 100 } else { 0 });
    }
}
