//! What the feature `trace` promises of both pools.

#![cfg(feature = "trace")]
#![forbid(unsafe_code)]

mod common;

use common::{Door, OpenAtEnd, behind, eventually, value, watchdog};
use std::collections::BTreeMap;
use std::time::Duration;
use workcrew::{Ended, ThreadPool, Trace, TraceEvent, TraceKind, WorkerPool};

/// More than any test here makes.
const ALL: usize = 100_000;

/// The index of each job, and its event.
fn jobs(trace: &Trace) -> Vec<(u64, TraceEvent)> {
    let job = |event: &TraceEvent| match event.kind {
        TraceKind::Job { index, .. } => Some((index, *event)),
        _ => None,
    };
    trace.events().iter().filter_map(job).collect()
}

fn ended(event: &TraceEvent) -> Option<Ended> {
    match event.kind {
        TraceKind::Job { ended, .. } => ended,
        other => panic!("{other:?} is no job"),
    }
}

/// Each worker does one thing at a time.
fn assert_in_order(trace: &Trace) {
    for pair in trace.events().windows(2) {
        let [one, next] = pair else { unreachable!() };
        if one.worker == next.worker {
            let end = one.end.expect("the last event alone may go on");
            assert!(one.start <= end, "{one:?}");
            assert!(end <= next.start, "{one:?} {next:?}");
        } else {
            assert!(one.worker < next.worker);
        }
    }
}

#[test]
fn a_trace_has_one_event_for_each_job_by_the_worker_that_ran_it() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .trace(ALL)
        .build(|job, ctx| {
            if job == 7 {
                ctx.push(1000);
            }
            job
        })
        .unwrap();
    pool.submit_all(0..500).unwrap();
    pool.close();
    let ran: BTreeMap<_, _> = results
        .map(|outcome| ((outcome.index, outcome.follow_up), outcome.worker))
        .collect();
    let handle = pool.handle();
    pool.join().unwrap();
    let trace = handle.trace();
    assert_eq!((trace.workers(), trace.overwritten()), (3, 0));
    assert_in_order(&trace);
    let jobs = jobs(&trace);
    assert_eq!(jobs.len(), 501);
    let traced: BTreeMap<_, _> = jobs
        .iter()
        .map(|(index, event)| match event.kind {
            TraceKind::Job { follow_up, .. } => ((*index, follow_up), event.worker),
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(traced, ran);
    assert!(jobs.iter().all(|(_, event)| event.end <= Some(trace.end())));
}

#[test]
fn a_job_that_runs_is_in_the_trace_without_an_end() {
    let _watchdog = watchdog();
    let pool = ThreadPool::builder().workers(1).trace(ALL).build().unwrap();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let guest = door.clone();
    pool.execute(move || guest.pass()).unwrap();
    door.wait_for(1);
    let [(_, running)] = jobs(&pool.trace())[..] else {
        panic!("one job")
    };
    assert_eq!((running.end, ended(&running)), (None, None));
    door.open();
    pool.wait_idle().unwrap();
    let [(_, done)] = jobs(&pool.trace())[..] else {
        panic!("one job")
    };
    assert_eq!(ended(&done), Some(Ended::Completed));
    assert!(done.end >= Some(done.start));
    assert_eq!(done.start, running.start);
}

#[test]
fn a_trace_tells_how_jobs_ended() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let (pool, results) = WorkerPool::<common::Task, u64>::builder()
        .workers(1)
        .trace(ALL)
        .build(|task, _| task())
        .unwrap();
    pool.submit(behind(&door, 0)).unwrap();
    let panicking = pool.submit(Box::new(|| panic!("on purpose"))).unwrap();
    let cancelled = pool.submit(value(2)).unwrap();
    pool.cancel(cancelled).unwrap();
    door.open();
    pool.close();
    assert_eq!(results.count(), 3);
    let ended: BTreeMap<_, _> = jobs(&pool.trace())
        .iter()
        .map(|(index, event)| (*index, ended(event)))
        .collect();
    let expected = [
        (0, Some(Ended::Completed)),
        (panicking, Some(Ended::Panicked)),
        (cancelled, Some(Ended::Cancelled)),
    ];
    assert_eq!(ended, BTreeMap::from(expected));
}

/// A worker's own numbers count the same things.
#[test]
fn batches_steals_and_sleeps_in_a_trace_are_those_of_the_statistics() {
    let _watchdog = watchdog();
    let pool = ThreadPool::builder().workers(3).trace(ALL).build().unwrap();
    let numbers = || pool.stats().workers;
    // A worker that is kept in a job has its batch in its deque, for others to steal.
    while numbers().iter().all(|worker| worker.stolen == 0) {
        pool.wait_idle().unwrap();
        eventually("all sleep", || {
            let asleep = |event: &TraceEvent| event.end.is_none();
            pool.trace()
                .events()
                .iter()
                .filter(|event| asleep(event))
                .count()
                == 3
        });
        let jobs = (0..60).map(|job| move || common::take_time(job % common::LONGEST));
        pool.execute_all(jobs).unwrap();
    }
    let handle = pool.handle();
    pool.join().unwrap();
    let (trace, stats) = (handle.trace(), handle.stats());
    assert_in_order(&trace);
    for (id, worker) in stats.workers.iter().enumerate() {
        let (mut batches, mut stolen, mut parked, mut woken, mut ran) = (0, 0, 0, 0, 0);
        for event in trace.events().iter().filter(|event| event.worker == id) {
            match event.kind {
                TraceKind::Job { .. } => ran += 1,
                TraceKind::Batch { jobs, .. } => {
                    assert!(jobs > 1);
                    batches += 1;
                }
                TraceKind::Steal { jobs, victim, .. } => {
                    assert!(victim != id && victim < 3);
                    stolen += jobs;
                }
                TraceKind::Park {
                    woken: by_another, ..
                } => {
                    parked += 1;
                    woken += u64::from(by_another);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            (ran, batches, stolen, parked, woken),
            (
                worker.executed,
                worker.batches,
                worker.stolen,
                worker.parked,
                worker.woken
            ),
            "worker {id}"
        );
    }
}

#[test]
fn a_trace_keeps_the_last_events_and_counts_the_others() {
    let _watchdog = watchdog();
    let pool = ThreadPool::builder().workers(1).trace(10).build().unwrap();
    pool.execute_all((0..1000).map(|_| || ())).unwrap();
    let handle = pool.handle();
    pool.join().unwrap();
    let (trace, stats) = (handle.trace(), handle.stats());
    assert_in_order(&trace);
    let kept = trace.events().len() as u64;
    assert!((10..=40).contains(&kept), "{kept}");
    let worker = stats.workers[0];
    let all = worker.executed + worker.batches + worker.parked;
    assert_eq!(trace.overwritten() + kept, all);
    let last = jobs(&trace).last().unwrap().0;
    assert_eq!(last, 999);
}

#[test]
fn a_trace_that_is_taken_while_the_pool_works_is_in_order() {
    let _watchdog = watchdog();
    let pool = ThreadPool::builder().workers(2).trace(30).build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pool.execute_all((0..20_000).map(|_| || ())).unwrap());
        let mut seen = 0;
        while seen < 19_000 {
            let trace = pool.trace();
            assert_in_order(&trace);
            assert!(trace.end() < Duration::from_secs(3600));
            seen = pool.stats().completed;
        }
    });
}

#[test]
fn a_pool_that_was_built_without_a_trace_has_an_empty_one() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    pool.execute(|| ()).unwrap();
    pool.wait_idle().unwrap();
    let trace = pool.trace();
    assert_eq!((trace.workers(), trace.events().len()), (0, 0));
    let mut picture = Vec::new();
    trace.write_svg(&mut picture).unwrap();
    trace.write_chrome_json(&mut picture).unwrap();
}

#[test]
fn a_trace_of_too_many_events_is_refused() {
    let built = ThreadPool::builder().trace(usize::MAX).build();
    assert!(matches!(
        built,
        Err(workcrew::BuildError::CapacityTooLarge(_))
    ));
}
