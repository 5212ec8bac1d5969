//! Everything at once, on pools that live for a moment.
//!
//! `WORKCREW_STRESS_RUNS` says how many pools of each kind are stressed, `WORKCREW_STRESS_SEED`
//! with which seed the first one. A run that makes no progress aborts, and prints its seed and the
//! pool's numbers. The [soak] does the same for hours, with larger pools: `cargo xtask soak`.

#[path = "../properties/acts.rs"]
mod acts;
#[path = "../common/mod.rs"]
mod common;
mod heap;
mod soak;
mod thread_pool;
mod worker_pool;

use common::PATIENCE;
use std::time::{Duration, Instant};

/// How large a run may be.
struct Scale {
    workers: &'static [usize],
    /// Jobs of one run, more or less.
    jobs: usize,
    /// How long there may be no job that ends.
    patience: Duration,
}

/// What came of a run that went well.
#[derive(Debug, Default)]
struct Tally {
    jobs: u64,
    panics: u64,
    /// Longest time in which no job ended.
    gap: Duration,
}

const SMALL: Scale = Scale {
    workers: &[1, 2, 3, 4, 5, 6, 7, 8],
    jobs: if cfg!(miri) { 1 << 11 } else { 1 << 13 },
    // Before anybody else's.
    patience: Duration::from_secs(PATIENCE.as_secs() / 2),
};

#[test]
fn every_accepted_job_has_exactly_one_outcome() {
    stress(worker_pool::run);
}

#[test]
fn every_closure_runs_or_is_dropped_exactly_once() {
    stress(thread_pool::run);
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().expect(variable),
        Err(_) => default,
    }
}

fn stress(run: fn(u64, &Scale) -> Tally) {
    let runs = number("WORKCREW_STRESS_RUNS", if cfg!(miri) { 3 } else { 200 });
    let first = number("WORKCREW_STRESS_SEED", 1);
    let start = Instant::now();
    let (mut slow, mut jobs) = (0, 0);
    for seed in first..first + runs {
        let start = Instant::now();
        jobs += run(seed, &SMALL).jobs;
        // A lost wakeup that a sleeper's clock repaired would show here.
        if start.elapsed() > Duration::from_millis(900) {
            slow += 1;
            println!("seed {seed} took {:?}", start.elapsed());
        }
    }
    println!(
        "{runs} runs, {jobs} jobs, {:?}, {slow} runs took long",
        start.elapsed()
    );
}
