//! Programs run by a seed; `cargo xtask deterministic` runs these.

#![cfg(workcrew_shuttle)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use workcrew::deterministic::{check, replay, thread};
use workcrew::{SubmitTimeoutError, ThreadPool, WorkerPool};

/// What is seen of a run, in order. The lock is std's: no thread's turn ends while it is held.
type History = Arc<Mutex<Vec<String>>>;

/// A program with short queues, two submitters, a timeout, follow-ups, closures, and workers that
/// steal from each other. Notes what happens when.
fn program(history: &History) {
    let note = |history: &History, what: String| history.lock().unwrap().push(what);
    let notes = Arc::clone(history);
    let (pool, results) = WorkerPool::<u32, u32>::builder()
        .workers(3)
        .job_capacity(1)
        .result_capacity(2)
        .build(move |job, context| {
            note(&notes, format!("job {job} by {}", context.worker()));
            if job % 5 == 0 && job < 100 {
                context.push(100 + job);
            }
            job
        })
        .unwrap();
    // From the start: else all may wait for room.
    let taker = {
        let notes = Arc::clone(history);
        thread::spawn(move || {
            for outcome in results {
                note(&notes, format!("taken {outcome:?}"));
            }
        })
    };
    let handle = pool.handle();
    let notes = Arc::clone(history);
    let beside = thread::spawn(move || {
        for job in 10..15 {
            match handle.submit_timeout(job, Duration::from_millis(3)) {
                Ok(index) => note(&notes, format!("{job} has index {index}")),
                Err(SubmitTimeoutError::Timeout(job)) => note(&notes, format!("{job} is late")),
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    for job in 0..8 {
        let index = pool.submit(job).unwrap();
        note(history, format!("{job} has index {index}"));
    }
    beside.join().unwrap();
    pool.close();
    taker.join().unwrap();
    let stats = pool.stats();
    note(history, format!("{stats:?}"));
    pool.join().unwrap();
    let closures = ThreadPool::new(2).unwrap();
    let notes = Arc::clone(history);
    let inside = closures.handle();
    let sum = closures.spawn(move || {
        let (left, right) = inside.fork_join(|| 1, || 2);
        let worker = inside.current_worker().expect("it is inside");
        note(&notes, format!("{left} and {right} by {worker}"));
        left + right
    });
    let sum = sum.unwrap().join().unwrap();
    note(history, format!("{sum}, {:?}", closures.stats()));
}

fn history(seed: u64) -> Vec<String> {
    let history = History::default();
    let notes = Arc::clone(&history);
    replay(seed, move || program(&notes));
    std::mem::take(&mut *history.lock().unwrap())
}

/// Bit for bit, each twice; and different seeds are different runs.
#[test]
fn a_seed_has_one_history() {
    const SEEDS: u64 = 1000;
    let mut all = BTreeSet::new();
    let mut late = 0;
    for seed in 0..SEEDS {
        let first = history(seed);
        assert_eq!(first, history(seed), "seed {seed}");
        late += u32::from(first.iter().any(|what| what.ends_with("is late")));
        all.insert(first);
    }
    println!(
        "{SEEDS} seeds, {} histories, {late} with a timeout",
        all.len()
    );
    assert!(all.len() as u64 > SEEDS * 9 / 10, "{} histories", all.len());
    assert!(late > 0, "no time was up");
}

/// It takes results to come in the order of their jobs.
fn impatient() {
    let (pool, results) = WorkerPool::<u32, u32>::builder()
        .workers(2)
        .build(|job, _ctx| job)
        .unwrap();
    pool.submit_all(0..4).unwrap();
    pool.close();
    let jobs: Vec<_> = results.map(|outcome| outcome.result.unwrap()).collect();
    assert_eq!(jobs, [0, 1, 2, 3], "in order");
}

/// The first seed under which it fails.
fn failing_seed() -> u64 {
    let fails = |seed: &u64| catch_unwind(|| replay(*seed, impatient)).is_err();
    (0..100)
        .find(fails)
        .expect("results come in another order too")
}

#[test]
fn a_planted_bug_is_found_and_replayed() {
    let found = catch_unwind(|| check(0..100, impatient)).expect_err("found");
    let seed = failing_seed();
    let again = catch_unwind(|| replay(seed, impatient)).expect_err("and again");
    let message = |panic: &(dyn std::any::Any + Send)| panic.downcast_ref::<String>().cloned();
    assert!(message(&*found).unwrap().contains("in order"));
    assert_eq!(message(&*found), message(&*again));
}

/// Whoever waits for what never comes is told, instead of waiting.
#[test]
fn a_deadlock_is_a_failure() {
    let stuck = catch_unwind(AssertUnwindSafe(|| {
        replay(0, || {
            let (pool, mut results) = WorkerPool::<u32, u32>::builder()
                .workers(1)
                .build(|job, _ctx| job)
                .unwrap();
            let _open = pool;
            let _ = results.recv();
        });
    }));
    assert!(stuck.is_err());
}
