//! What types jobs and results may have, and what the public types are.

use crate::common::{Door, behind, crew, eventually, value, watchdog};
use std::cell::Cell;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::time::Duration;
use workcrew::*;

fn echo<T: Send + 'static>(job: impl Fn(u64) -> T, check: impl Fn(u64, T)) {
    let _watchdog = watchdog();
    for workers in [1, 3] {
        let (pool, results) = WorkerPool::<T, T>::builder()
            .workers(workers)
            .job_capacity(9)
            .result_capacity(5)
            .build(|job, _| job)
            .unwrap();
        std::thread::scope(|scope| {
            let taker = scope.spawn(move || {
                results
                    .map(|outcome| (outcome.index, outcome.result.unwrap()))
                    .collect::<Vec<_>>()
            });
            for n in 0..100 {
                pool.submit(job(n)).unwrap();
            }
            pool.submit_all((100..300).map(&job)).unwrap();
            pool.close();
            let mut outcomes = taker.join().unwrap();
            outcomes.sort_by_key(|(index, _)| *index);
            assert_eq!(outcomes.len(), 300);
            for (n, (index, value)) in outcomes.into_iter().enumerate() {
                assert_eq!(n as u64, index);
                check(index, value);
            }
        });
    }
}

#[test]
fn jobs_and_results_may_have_no_size() {
    echo(|_| (), |_, ()| ());
}

#[test]
fn jobs_and_results_may_have_four_kibibytes() {
    echo(
        |n| [n; 512],
        |n, value| assert!(value.iter().all(|word| *word == n)),
    );
}

#[test]
fn jobs_and_results_may_have_a_large_alignment() {
    #[repr(align(128))]
    struct Wide(u64);
    echo(Wide, |n, wide| {
        assert_eq!(wide.0, n);
        assert!((&raw const wide).addr() % 128 == 0);
    });
}

#[test]
fn jobs_and_results_may_be_boxes_strings_and_options() {
    echo(Box::new, |n, value| assert_eq!(*value, n));
    echo(
        |n| n.to_string(),
        |n, value| assert_eq!(value, n.to_string()),
    );
    echo(
        |n| (n % 2 == 0).then_some(n),
        |n, value| assert_eq!(value, (n % 2 == 0).then_some(n)),
    );
}

#[test]
fn jobs_results_and_states_need_not_be_sync() {
    echo(Cell::new, |n, value| assert_eq!(value.get(), n));
    let (pool, mut results) = WorkerPool::<Cell<u64>, Cell<u64>>::builder()
        .workers(2)
        .init(|_| Cell::new(0))
        .build(|job, ctx| {
            ctx.state.set(ctx.state.get() + job.get());
            job
        })
        .unwrap();
    pool.submit(Cell::new(4)).unwrap();
    assert_eq!(results.recv().unwrap().result.unwrap().get(), 4);
    let sum: u64 = pool.shutdown().unwrap().iter().map(Cell::get).sum();
    assert_eq!(sum, 4);
}

#[test]
fn each_job_is_dropped_once_wherever_it_ends() {
    use std::sync::Arc;
    let counted = Arc::new(());
    let door = Door::new();
    let inside = door.clone();
    let (pool, results) = WorkerPool::<(Arc<()>, bool), Arc<()>>::builder()
        .workers(2)
        .job_capacity(20)
        .build(move |(job, wait), _| {
            if wait {
                inside.pass();
            }
            job
        })
        .unwrap();
    let job = |wait| (Arc::clone(&counted), wait);
    pool.submit_all((0..2).map(|_| job(true))).unwrap();
    door.wait_for(2);
    pool.submit_all((0..20).map(|_| job(false))).unwrap();
    assert!(pool.try_submit(job(false)).is_err());
    assert_eq!(Arc::strong_count(&counted), 1 + 22);
    let opener = {
        let handle = pool.handle();
        std::thread::spawn(move || {
            eventually("closed", || handle.is_closed());
            door.open();
        })
    };
    let returned = pool.shutdown_now().unwrap();
    opener.join().unwrap();
    assert_eq!(returned.len(), 20);
    drop(returned);
    assert_eq!(Arc::strong_count(&counted), 1 + 2);
    drop(results);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn public_types_are_send_sync_and_debug() {
    fn check<T: Send + Sync + Debug>() {}
    check::<WorkerPool<u64, String, Vec<u8>>>();
    check::<Builder<u64, String, Vec<u8>>>();
    check::<Handle<u64, String>>();
    check::<Submitter<u64, String>>();
    check::<Results<String>>();
    check::<InOrder<'_, u32, String>>();
    check::<TryMapError<std::vec::IntoIter<u64>, String, String>>();
    check::<Unsubmitted<std::vec::IntoIter<u64>>>();
    check::<Outcome<String>>();
    check::<Stats>();
    check::<WorkerStats>();
    // The pool and its handle share jobs of any kind that may be sent.
    fn shared<T: Send + Sync>() {}
    shared::<WorkerPool<Cell<u64>, Cell<u64>, Cell<u64>>>();
    shared::<Handle<Cell<u64>, Cell<u64>>>();
    shared::<Submitter<Cell<u64>, Cell<u64>>>();
    fn sent<T: Send>() {}
    sent::<Results<Cell<u64>>>();
}

#[test]
fn errors_are_errors_that_threads_may_share() {
    fn check<E: Error + Send + Sync + 'static>() {}
    check::<BuildError>();
    check::<SubmitError<u64>>();
    check::<TrySubmitError<u64>>();
    check::<SubmitTimeoutError<u64>>();
    check::<SubmitAllError<std::vec::IntoIter<u64>>>();
    check::<JobError>();
    check::<RecvError>();
    check::<TryRecvError>();
    check::<RecvTimeoutError>();
    check::<JoinError>();
    check::<CancelError>();
    check::<TryMapError<std::vec::IntoIter<u64>, u64, std::num::ParseIntError>>();
    fn shared<T: Send + Sync + Debug>() {}
    shared::<JobPanic>();
}

#[test]
fn errors_say_what_happened_without_showing_the_job() {
    let _watchdog = watchdog();
    fn says(error: &(impl Debug + Display), debug: &str, display: &str) {
        assert_eq!(format!("{error:?}"), debug);
        assert_eq!(error.to_string(), display);
    }
    let door = Door::new();
    let (pool, mut results) = crew(1, 1, 4);
    pool.submit(behind(&door, 0)).unwrap();
    door.wait_for(1);
    pool.submit(value(1)).unwrap();
    says(
        &pool.try_submit(value(2)).unwrap_err(),
        "Full(..)",
        "the jobs queue is full",
    );
    let timeout = pool.submit_timeout(value(2), Duration::ZERO).unwrap_err();
    says(&timeout, "Timeout(..)", "the jobs queue stayed full");
    says(
        &results.try_recv().unwrap_err(),
        "Empty",
        "no result is there now",
    );
    let timeout = results.recv_timeout(Duration::ZERO).unwrap_err();
    says(&timeout, "Timeout", "no result came in time");
    door.open();
    pool.close();
    says(
        &pool.submit(value(2)).unwrap_err(),
        "Closed(..)",
        "the pool is closed",
    );
    let all = pool.submit_all([value(2)]).unwrap_err();
    assert_eq!(all.to_string(), "the pool is closed, after 0 accepted jobs");
    assert!(format!("{all:?}").contains("accepted: 0"));
    assert_eq!(results.by_ref().count(), 2);
    let ended = "the pool has ended and all results are delivered";
    says(&results.recv().unwrap_err(), "Ended", ended);
    says(
        &JobError::Cancelled,
        "Cancelled",
        "the job was cancelled before it started",
    );
}

#[test]
fn debug_output_names_the_types() {
    let (pool, results) = crew(2, 1, 1);
    assert!(format!("{pool:?}").starts_with("WorkerPool { workers: 2"));
    assert!(format!("{:?}", pool.handle()).starts_with("Handle"));
    assert!(format!("{:?}", pool.submitter()).starts_with("Submitter { reserved: 0"));
    assert!(format!("{results:?}").starts_with("Results { in_hand: 0"));
    let builder = WorkerPool::<u64, u64>::builder().workers(3);
    assert!(format!("{builder:?}").contains("workers: 3"));
}
