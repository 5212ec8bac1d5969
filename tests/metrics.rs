//! What the feature `metrics` promises: each number under its name, with its labels.

#![cfg(feature = "metrics")]
#![forbid(unsafe_code)]

mod common;

use common::{Door, OpenAtEnd, behind, value, watchdog};
use metrics::Unit;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::collections::BTreeMap;
use workcrew::{Meter, ThreadPool, WorkerPool};

/// What is published: by the name and the label `worker`, if there is one.
fn published(publish: impl FnOnce(&Meter)) -> BTreeMap<(String, Option<String>), u64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || publish(&Meter::new("thumbnails")));
    let all = snapshotter.snapshot().into_vec();
    let figures = all.into_iter().map(|(key, unit, description, value)| {
        let key = key.key();
        let name = key.name().to_owned();
        assert_eq!(unit, Some(Unit::Count), "{name}");
        assert!(description.is_some(), "{name}");
        let labels: BTreeMap<_, _> = key
            .labels()
            .map(|label| (label.key(), label.value()))
            .collect();
        assert_eq!(labels["pool"], "thumbnails");
        let is_total = name.ends_with("_total");
        let value = match value {
            DebugValue::Counter(count) if is_total => count,
            DebugValue::Gauge(gauge) if !is_total => gauge.into_inner() as u64,
            other => panic!("{name} is {other:?}"),
        };
        (
            (name, labels.get("worker").map(|id| (*id).to_owned())),
            value,
        )
    });
    figures.collect()
}

fn expected(
    pool: &[(&str, u64)],
    workers: &[workcrew::WorkerStats],
) -> BTreeMap<(String, Option<String>), u64> {
    let pool = pool
        .iter()
        .map(|(name, value)| ((format!("workcrew_{name}"), None), *value));
    let workers = workers.iter().enumerate().flat_map(|(id, worker)| {
        let numbers = [
            ("jobs", worker.executed),
            ("batches", worker.batches),
            ("stolen", worker.stolen),
            ("parks", worker.parked),
            ("wakes", worker.woken),
        ];
        numbers.map(|(name, value)| {
            (
                (
                    format!("workcrew_worker_{name}_total"),
                    Some(id.to_string()),
                ),
                value,
            )
        })
    });
    pool.chain(workers).collect()
}

#[test]
fn each_number_of_a_worker_pool_is_published_under_its_name() {
    let _watchdog = watchdog();
    let (pool, results) = common::crew(1, 10, 10);
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    // One that panics, one that is cancelled, two that return, one that runs, three that wait.
    let first = Door::new();
    pool.submit(behind(&first, 0)).unwrap();
    pool.submit(Box::new(|| panic!("on purpose"))).unwrap();
    let cancelled = pool.submit(value(2)).unwrap();
    pool.cancel(cancelled).unwrap();
    pool.submit(value(3)).unwrap();
    pool.submit(behind(&door, 4)).unwrap();
    first.open();
    door.wait_for(1);
    for job in 0..3 {
        pool.submit(value(job)).unwrap();
    }
    let stats = pool.stats();
    let pool_wide = [
        ("jobs_accepted_total", 8),
        ("jobs_completed_total", 2),
        ("jobs_panicked_total", 1),
        ("jobs_cancelled_total", 1),
        ("jobs_returned_total", 0),
        ("jobs_queued", 3),
        ("jobs_running", 1),
        ("submitters_blocked", 0),
        ("results_waiting", 4),
        ("results_discarded_total", 0),
        ("workers_blocked", 0),
    ];
    assert_eq!(
        published(|meter| meter.publish(&stats)),
        expected(&pool_wide, &stats.workers)
    );
    door.open();
    drop(results);
    pool.join().unwrap();
}

#[test]
fn each_number_of_a_thread_pool_is_published_under_its_name() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    pool.execute(|| panic!("on purpose")).unwrap();
    pool.execute_all((0..3).map(|_| || ())).unwrap();
    pool.wait_idle().unwrap();
    for _ in 0..5 {
        let guest = door.clone();
        pool.execute(move || guest.pass()).unwrap();
    }
    door.wait_for(2);
    let stats = pool.stats();
    let pool_wide = [
        ("jobs_accepted_total", 9),
        ("jobs_completed_total", 3),
        ("jobs_panicked_total", 1),
        ("jobs_cancelled_total", 0),
        ("jobs_returned_total", 0),
        ("jobs_queued", 3),
        ("jobs_running", 2),
        ("submitters_blocked", 0),
    ];
    assert_eq!(
        published(|meter| meter.publish_closures(&stats)),
        expected(&pool_wide, &stats.workers)
    );
}

#[test]
fn a_workers_sleeps_and_wakes_are_told_apart() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let asleep = || pool.stats().workers[0].parked > pool.stats().workers[0].woken;
    common::eventually("the worker sleeps", asleep);
    let stats = pool.stats();
    let published = published(|meter| meter.publish_closures(&stats));
    let of_worker = |name: &str| {
        published[&(
            format!("workcrew_worker_{name}_total"),
            Some("0".to_owned()),
        )]
    };
    let worker = stats.workers[0];
    assert!(worker.parked > worker.woken);
    assert_eq!(of_worker("parks"), worker.parked);
    assert_eq!(of_worker("wakes"), worker.woken);
}

/// Each gauge and counter, with its unit and the label `quantile`.
#[cfg(feature = "histograms")]
#[test]
fn histograms_are_published_as_summaries() {
    let _watchdog = watchdog();
    let (pool, results) = WorkerPool::builder()
        .histograms(true)
        .build(|job: u32, _| job)
        .unwrap();
    let published = |histograms: &workcrew::Histograms| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            Meter::new("thumbnails").publish_histograms(histograms);
        });
        let all = snapshotter.snapshot().into_vec();
        let figures = all.into_iter().map(|(key, unit, description, value)| {
            let key = key.key();
            let labels: BTreeMap<_, _> = key
                .labels()
                .map(|label| (label.key(), label.value()))
                .collect();
            assert_eq!(labels["pool"], "thumbnails");
            assert!(description.is_some(), "{key}");
            let quantile = labels.get("quantile").map(|part| part.parse().unwrap());
            let quantile = quantile.map(|part: f64| (part * 1_000.0) as u32);
            let value = match value {
                DebugValue::Counter(count) => (Unit::Count, count as f64),
                DebugValue::Gauge(gauge) => (Unit::Seconds, gauge.into_inner()),
                other => panic!("{key} is {other:?}"),
            };
            assert_eq!(unit, Some(value.0), "{key}");
            ((key.name().to_owned(), quantile), value.1)
        });
        figures.collect::<BTreeMap<_, _>>()
    };
    let names = ["workcrew_queue_wait_seconds", "workcrew_run_time_seconds"];
    let mut expected = BTreeMap::new();
    for name in names {
        expected.insert((format!("{name}_count"), None), 0.0);
        expected.insert((format!("{name}_sum"), None), 0.0);
    }
    assert_eq!(published(&pool.histograms()), expected);
    pool.submit_all(0..100).unwrap();
    pool.wait_idle().unwrap();
    let histograms = pool.histograms();
    for (name, histogram) in names
        .iter()
        .zip([&histograms.queue_wait, &histograms.run_time])
    {
        expected.insert((format!("{name}_count"), None), 100.0);
        let sum = histogram.sum().as_secs_f64();
        expected.insert((format!("{name}_sum"), None), sum);
        for mille in [500, 900, 990, 999, 1_000] {
            let quantile = histogram.quantile(f64::from(mille) / 1_000.0).unwrap();
            expected.insert(((*name).to_owned(), Some(mille)), quantile.as_secs_f64());
        }
    }
    assert_eq!(published(&histograms), expected);
    drop(results);
}

#[test]
fn without_a_recorder_nothing_happens() {
    let _watchdog = watchdog();
    let (pool, _results) = WorkerPool::<u32, u32>::builder()
        .build(|job, _| job)
        .unwrap();
    Meter::new("nobody").publish(&pool.stats());
}
