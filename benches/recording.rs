//! `cargo bench -p workcrew-bench --features recording --bench recording`: what it costs to record what workers do.
//!
//! One worker works off a full queue of jobs, in a pool that was asked for nothing, for histograms, for a trace, or for
//! both: the CPU time of the process for each job, and its ratio to that of the first pool. They are measured in turns,
//! so that a slow minute of the machine hits all. The features are on for all. (What it costs where they are not shows
//! in `ratios`, built with and without them.)
//!
//! What it takes to submit the jobs and take the results counts too; so does the stamp that a job gets for its
//! histograms, one for a batch of up to 32. So the jobs are submitted in batches, and then one by one.

use std::time::Duration;

use workcrew::{Results, WorkerPool};
use workcrew_bench::figures::{median, percentile};
use workcrew_bench::job::{Job, Speed, equal_jobs, sum_in_a_plain_loop, work};
use workcrew_bench::reading::cpu_time;

/// Jobs of a sample.
const JOBS: u32 = 100_000;

/// Samples of each pool, at each workload.
const ROUNDS: usize = 30;

/// As many as a picture shows.
const EVENTS: usize = 10_000;

/// What is asked for: a name, whether histograms, how many events. The others are compared with the first.
const WISHES: [(&str, bool, usize); 4] = [
    ("nothing", false, 0),
    ("histograms", true, 0),
    ("trace", false, EVENTS),
    ("both", true, EVENTS),
];

type Pool = (WorkerPool<Job, u64>, Results<u64>);

/// A pool of one worker whose queues hold all jobs.
fn pool(histograms: bool, events: usize) -> Pool {
    let built = WorkerPool::<Job, u64>::builder()
        .workers(1)
        .job_capacity(JOBS as usize)
        .result_capacity(JOBS as usize)
        .histograms(histograms)
        .trace(events)
        .build(|job, _| work(job));
    built.expect("the numbers are in range")
}

/// CPU nanoseconds a job.
fn sample((pool, results): &mut Pool, jobs: &[Job], sum: u64, in_batches: bool) -> f64 {
    let before = cpu_time();
    if in_batches {
        pool.submit_all(jobs.iter().copied())
            .expect("the pool is open");
    } else {
        for job in jobs {
            pool.submit(*job).expect("the pool is open");
        }
    }
    pool.wait_idle().expect("this is no worker");
    let taken = (0..JOBS).map(|_| results.recv().ok().and_then(|outcome| outcome.result.ok()));
    let taken = taken.fold(0_u64, |sum, value| {
        sum.wrapping_add(value.expect("each job has its result"))
    });
    let time = cpu_time() - before;
    assert_eq!(taken, sum, "no job is lost");
    time.as_nanos() as f64 / f64::from(JOBS)
}

fn compare(name: &str, jobs: &[Job], in_batches: bool) {
    let sum = sum_in_a_plain_loop(jobs);
    let mut pools = WISHES.map(|(_, histograms, events)| pool(histograms, events));
    // Warm.
    for pool in &mut pools {
        sample(pool, jobs, sum, in_batches);
    }
    let mut times = WISHES.map(|_| Vec::new());
    let mut ratios = WISHES.map(|_| Vec::new());
    for round in 0..ROUNDS {
        let mut now = WISHES.map(|_| 0.0);
        for turn in 0..WISHES.len() {
            // None is always first.
            let subject = (round + turn) % WISHES.len();
            now[subject] = sample(&mut pools[subject], jobs, sum, in_batches);
        }
        for (subject, time) in now.into_iter().enumerate() {
            times[subject].push(time);
            ratios[subject].push(time / now[0]);
        }
    }
    println!("{name}");
    for (subject, (wish, _, _)) in WISHES.iter().enumerate() {
        let ratios = &ratios[subject];
        println!(
            "  {wish:<10} {:>8.1} ns  x {:.4} (quartiles {:.4} to {:.4})",
            median(&times[subject]),
            median(ratios),
            percentile(ratios, 25.0),
            percentile(ratios, 75.0)
        );
    }
}

fn main() {
    println!(
        "recording: {JOBS} jobs x {ROUNDS} rounds, CPU time a job (median), ratio to a pool that was asked for nothing"
    );
    let micro = Speed::measure().steps(Duration::from_micros(1));
    for (work, steps) in [("empty jobs", 0), ("jobs of 1 µs", micro)] {
        let jobs = equal_jobs(JOBS, steps);
        compare(&format!("{work}, in batches"), &jobs, true);
        compare(&format!("{work}, one by one"), &jobs, false);
    }
}
