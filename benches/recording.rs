//! `cargo bench -p workcrew-bench --features recording --bench recording`: what it costs to record what workers do.
//!
//! One worker works off a full queue of jobs of a microsecond, with and without a trace: the CPU time of the process for
//! each job, and the ratio of the two, which are measured in turns, so that a slow minute of the machine hits both. The
//! feature is on for both. (What it costs where nothing is asked for shows in `ratios`, built with and without it.)

use std::time::Duration;

use workcrew::{Results, WorkerPool};
use workcrew_bench::figures::{median, percentile};
use workcrew_bench::job::{Job, Speed, equal_jobs, sum_in_a_plain_loop, work};
use workcrew_bench::reading::cpu_time;

/// Jobs of a sample.
const JOBS: u32 = 100_000;

/// Pairs of samples.
const ROUNDS: usize = 60;

/// As many as a picture shows.
const EVENTS: usize = 10_000;

type Pool = (WorkerPool<Job, u64>, Results<u64>);

/// A pool of one worker whose queues hold all jobs.
fn pool(events: usize) -> Pool {
    let built = WorkerPool::<Job, u64>::builder()
        .workers(1)
        .job_capacity(JOBS as usize)
        .result_capacity(JOBS as usize)
        .trace(events)
        .build(|job, _| work(job));
    built.expect("the numbers are in range")
}

/// CPU nanoseconds a job. What it takes to submit the jobs and take the results counts too: it is the same for both.
fn sample((pool, results): &mut Pool, jobs: &[Job], sum: u64) -> f64 {
    let before = cpu_time();
    pool.submit_all(jobs.iter().copied())
        .expect("the pool is open");
    pool.wait_idle().expect("this is no worker");
    let taken = (0..JOBS).map(|_| results.recv().ok().and_then(|outcome| outcome.result.ok()));
    let taken = taken.fold(0_u64, |sum, value| {
        sum.wrapping_add(value.expect("each job has its result"))
    });
    let time = cpu_time() - before;
    assert_eq!(taken, sum, "no job is lost");
    time.as_nanos() as f64 / f64::from(JOBS)
}

fn main() {
    let steps = Speed::measure().steps(Duration::from_micros(1));
    let jobs = equal_jobs(JOBS, steps);
    let sum = sum_in_a_plain_loop(&jobs);
    let (mut off, mut on) = (pool(0), pool(EVENTS));
    // Warm.
    sample(&mut off, &jobs, sum);
    sample(&mut on, &jobs, sum);
    let (mut offs, mut ons, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Neither is always first.
        let on_first = round % 2 == 1;
        let early = on_first.then(|| sample(&mut on, &jobs, sum));
        let without = sample(&mut off, &jobs, sum);
        let with = early.unwrap_or_else(|| sample(&mut on, &jobs, sum));
        offs.push(without);
        ons.push(with);
        ratios.push(with / without);
    }
    println!("recording at 1 µs jobs, {JOBS} jobs x {ROUNDS} rounds, CPU ns a job (median)");
    println!("  off   {:.1}", median(&offs));
    println!("  trace {:.1}", median(&ons));
    println!(
        "  trace / off {:.4} (quartiles {:.4} to {:.4})",
        median(&ratios),
        percentile(&ratios, 25.0),
        percentile(&ratios, 75.0)
    );
}
