//! The jobs: what they are, how long they take, and the one function that runs them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::rng::SplitMix;

/// One job: a number, and how many steps of spinning it costs. Eight bytes, as its result, unless it is
/// [widened](Job::widened).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<const WORDS: usize = 1>([u64; WORDS]);

impl Job {
    /// A job that costs `steps` steps.
    #[must_use]
    pub const fn new(number: u32, steps: u32) -> Self {
        Self([(steps as u64) << 32 | number as u64])
    }

    /// How many steps this job costs.
    #[must_use]
    pub const fn steps(self) -> u64 {
        self.0[0] >> 32
    }

    /// The job as the Go program reads it.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0[0]
    }

    /// The same job, carrying `WORDS` words of eight bytes.
    #[must_use]
    pub const fn widened<const WORDS: usize>(self) -> Job<WORDS> {
        Job([self.0[0]; WORDS])
    }
}

/// Where a job's value starts, so that job 0 is not all zeros.
const START: u64 = 0x9E37_79B9_7F4A_7C15;

/// An odd number with its bits well spread.
const MULTIPLIER: u64 = 0xD134_2543_DE82_EF95;

/// Runs a job and returns its result. A step is one multiplication that needs the step before it.
///
/// Never inlined, so that all subjects run the same machine code.
#[inline(never)]
#[must_use]
pub fn work<const WORDS: usize>(job: Job<WORDS>) -> u64 {
    if WORDS > 1 {
        // It might look at all of its words, so all of them must come here.
        black_box(&job);
    }
    let job = Job([job.0[0]]);
    let mut value = job.to_bits() ^ START;
    for _ in 0..job.steps() {
        // The shift keeps the compiler from folding several multiplications into one.
        value = (value ^ (value >> 32)).wrapping_mul(MULTIPLIER);
    }
    value
}

/// Runs all jobs in a plain loop; returns the wrapping sum of their results.
#[must_use]
pub fn sum_in_a_plain_loop(jobs: &[Job]) -> u64 {
    jobs.iter().fold(0, |sum, &job| sum.wrapping_add(work(job)))
}

/// How long one step takes on this machine, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    nanos_per_step: f64,
}

impl Speed {
    /// Measures the step: the fastest of several long jobs, since anything else on the machine only slows them down.
    #[must_use]
    pub fn measure() -> Self {
        const STEPS: u32 = 500_000;
        let fastest = (0..15)
            .map(|number| {
                let start = Instant::now();
                black_box(work(black_box(Job::new(number, STEPS))));
                start.elapsed()
            })
            .min()
            .unwrap_or_default();
        Self {
            nanos_per_step: fastest.as_nanos() as f64 / f64::from(STEPS),
        }
    }

    /// How many steps take `time`.
    #[must_use]
    pub fn steps(self, time: Duration) -> u32 {
        (time.as_nanos() as f64 / self.nanos_per_step).round() as u32
    }

    /// How long a step takes, in nanoseconds.
    #[must_use]
    pub fn nanos_per_step(self) -> f64 {
        self.nanos_per_step
    }
}

/// `count` jobs of `steps` steps each.
#[must_use]
pub fn equal_jobs(count: u32, steps: u32) -> Vec<Job> {
    (0..count).map(|number| Job::new(number, steps)).collect()
}

/// `count` jobs whose cost has a heavy tail (Pareto, exponent 1.2, cut off at `longest` steps): most are near
/// `shortest` steps, the mean is about five times that, and a few are hundreds of times as long. Always the same list.
#[must_use]
pub fn heavy_tailed_jobs(count: u32, shortest: u32, longest: u32) -> Vec<Job> {
    const EXPONENT: f64 = 1.2;
    let mut rng = SplitMix::new(7);
    (0..count)
        .map(|number| {
            let steps = f64::from(shortest) * rng.fraction().powf(-1.0 / EXPONENT);
            Job::new(number, steps.min(f64::from(longest)) as u32)
        })
        .collect()
}

/// The time that `machines` machines need for `jobs`, each taking the next job of the list as soon as it is free, as a
/// part of what one machine needs: what a pool without any cost of its own would take.
#[must_use]
pub fn list_schedule(jobs: &[Job], machines: usize) -> f64 {
    // A job without steps still costs about one.
    let cost = |job: &Job| job.steps() + 1;
    let mut busy_until = vec![0_u64; machines];
    for job in jobs {
        if let Some(first_free) = busy_until.iter_mut().min() {
            *first_free += cost(job);
        }
    }
    let total: u64 = jobs.iter().map(cost).sum();
    let last = busy_until.into_iter().max().unwrap_or(0);
    last as f64 / total.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_needs_all_of_the_time() {
        assert_eq!(list_schedule(&heavy_tailed_jobs(100, 10, 1_000), 1), 1.0);
    }

    #[test]
    fn a_long_last_job_leaves_the_second_machine_idle() {
        // Costs 10, 10, 20 in order: both machines are busy until 10, then one until 30, of 40 in all.
        let jobs = [Job::new(0, 9), Job::new(1, 9), Job::new(2, 19)];
        assert_eq!(list_schedule(&jobs, 2), 0.75);
    }

    #[test]
    fn the_tail_is_heavy_and_cut_off() {
        let jobs = heavy_tailed_jobs(10_000, 50, 100_000);
        let steps = || jobs.iter().map(|job| job.steps());
        let mean = steps().sum::<u64>() / 10_000;
        assert!((150..400).contains(&mean), "mean {mean}");
        assert_eq!(steps().min(), Some(50));
        assert!(
            steps()
                .max()
                .is_some_and(|longest| (10_000..=100_000).contains(&longest))
        );
    }
}
