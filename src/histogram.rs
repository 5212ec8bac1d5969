//! How long jobs waited and ran: the durations of all workers, for programs and for people.

#![forbid(unsafe_code)]

use crate::durations::{BUCKETS, Reading, longest};
use std::fmt;
use std::time::Duration;

/// How long a pool's jobs waited and ran, from when it was built up to one moment; see
/// [`Builder::histograms`](crate::Builder::histograms). Only with the feature `histograms`.
///
/// # Which jobs
///
/// Each job that the pool's statistics count as completed or panicked is measured, when it
/// ends, once in each histogram. So for an idle pool both counts are `completed + panicked`.
/// Jobs that were cancelled or handed back are in neither.
///
/// | | from | to |
/// |---|---|---|
/// | `queue_wait` | it was accepted | a worker began it |
/// | `run_time` | then | its outcome was delivered |
///
/// * A submission that waits for room is accepted when it has found some: what a submitter
///   waits is not in `queue_wait`. Jobs that are accepted together, up to 32, share a reading of
///   the clock.
/// * A follow-up, and what a worker spawns in a scope, is accepted when it is pushed.
/// * `run_time` includes the wait for room among the results, where there is none.
/// * A job that runs others while it waits for them, or after it what it has spawned in its
///   scope, includes these in its `run_time`. They are measured themselves, too.
/// * What waits at a group's limit is not accepted yet.
/// * A job of a [`ThreadPool`](crate::ThreadPool) that was run by whoever waited for it keeps its
///   place in the queue, and is measured, as it is counted, when its turn comes: then it takes
///   next to no time.
/// * The halves of a pair are no jobs, unless another worker is offered one.
///
/// # Cost
///
/// A job costs two readings of the clock: one when it is submitted, and one when it ends, which
/// is also the beginning of the next, and shared with the trace. It costs a third one where it
/// did not come out of its worker's own deque, or was spawned by a job of its scope; and four
/// stores.
/// README.md has the figures (the bench `recording`).
///
/// Memory: 31 KB a worker, allocated by `build`. Each place in a queue takes 8 bytes more with the
/// feature alone.
///
/// The clock is the processor's own counter where that is steady, else the system's. The first
/// `build` in a process that needs it compares the two, for up to 0.2 s. If the clock of another
/// core is behind, a wait may come out as zero; it is never negative.
///
/// # Examples
///
/// ```
/// use workcrew::WorkerPool;
///
/// let (pool, results) =
///     WorkerPool::<u64, u64>::builder().workers(2).histograms(true).build(|job, _ctx| job * 2)?;
/// pool.submit_all(0..100)?;
/// pool.wait_idle()?;
/// let histograms = pool.histograms();
/// assert_eq!(histograms.queue_wait.count(), 100);
/// assert!(histograms.run_time.quantile(0.5) <= histograms.run_time.max());
/// println!("{histograms}");
/// # drop(results);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Histograms {
    /// How long jobs waited.
    pub queue_wait: Histogram,
    /// How long they ran.
    pub run_time: Histogram,
}

impl Histograms {
    /// Adds what another pool, or another time, has measured.
    pub fn merge(&mut self, other: &Self) {
        self.queue_wait.merge(&other.queue_wait);
        self.run_time.merge(&other.run_time);
    }
}

/// A line for each histogram.
impl fmt::Display for Histograms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "queue wait  {}", self.queue_wait)?;
        write!(f, "run time    {}", self.run_time)
    }
}

/// Durations, counted in buckets: see [`Histograms`].
///
/// **Range:** 0 to 2^64 - 1 nanoseconds, which is some centuries. **Error:**
/// [`quantile`](Self::quantile) and [`max`](Self::max) never return less than the truth, and at
/// most a 32nd of it more; up to 63 ns they are exact. [`count`](Self::count),
/// [`sum`](Self::sum) and [`mean`](Self::mean) are exact, the mean to the nanosecond below. (A sum, or
/// a count, of more than 2^64 - 1 stays there.)
///
/// If it was read while jobs ended, what it says of the last of them may be in its counts and
/// not yet in its sum, or the other way round.
///
/// Takes 15 KB, of which [`Clone`] makes a copy.
#[derive(Clone, Eq, PartialEq)]
pub struct Histogram(Reading);

impl Histogram {
    pub(crate) fn new(reading: Reading) -> Self {
        Self(reading)
    }

    /// How many durations were measured.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().copied().fold(0, u64::saturating_add)
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.0.sum)
    }

    /// The longest one, if there is any: [`quantile`](Self::quantile) of 1.
    pub fn max(&self) -> Option<Duration> {
        self.quantile(1.0)
    }

    /// The arithmetic mean, if there is any duration.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.0.sum.checked_div(self.count())?;
        Some(Duration::from_nanos(mean))
    }

    /// The duration that so great a part of all did not exceed: `0.5` is the median, `1.0` the
    /// longest. For the error see the [type](Self). `None` if there is none, or `part` is not
    /// between 0 and 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::builder().histograms(true).build()?;
    /// pool.execute(|| std::thread::sleep(Duration::from_millis(5)))?;
    /// pool.wait_idle()?;
    /// let ran = pool.histograms().run_time;
    /// assert!(ran.quantile(0.5) >= Some(Duration::from_millis(4))); // by another clock
    /// assert_eq!(ran.quantile(1.5), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        if !(0.0..=1.0).contains(&part) {
            return None;
        }
        let count = self.count();
        // A count above 2^53 is rounded, perhaps to a greater one.
        let rank = ((count as f64 * part).ceil() as u64).clamp(1, count.max(1));
        let mut up_to_here = 0_u64;
        let bucket = self.0.counts.iter().position(|count| {
            up_to_here = up_to_here.saturating_add(*count);
            up_to_here >= rank
        })?;
        Some(Duration::from_nanos(longest(bucket)))
    }

    /// Adds the durations of another histogram: of another pool, say.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.counts.iter_mut().zip(&other.0.counts) {
            *count = count.saturating_add(*more);
        }
        self.0.sum = self.0.sum.saturating_add(other.0.sum);
    }
}

/// Without a duration.
impl Default for Histogram {
    fn default() -> Self {
        Self(Reading {
            counts: [0; BUCKETS].into(),
            sum: 0,
        })
    }
}

/// In one line: how many, some quantiles, the longest.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count {}", self.count())?;
        for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
            if let Some(duration) = self.quantile(part) {
                write!(f, ", {name} {duration:.2?}")?;
            }
        }
        match self.max() {
            Some(max) => write!(f, ", max {max:.2?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({self})")
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/histogram.rs"]
mod tests;
