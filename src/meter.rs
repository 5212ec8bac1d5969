//! A pool's numbers for the crate `metrics`, and so for whatever that is connected to.

#![forbid(unsafe_code)]

#[cfg(feature = "histograms")]
use crate::histogram::{Histogram, Histograms};
use crate::tally::WorkerStats;
use crate::thread_pool::ThreadPoolStats;
use crate::worker_pool::Stats;
use ::metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

/// Publishes a pool's numbers through the crate [`metrics`](https://docs.rs/metrics). Only with the feature
/// `metrics`.
///
/// Call [`publish`](Self::publish) now and then, in the interval of your scrapes say, with fresh
/// statistics. The pool's workers have no part in it and are not slowed down.
///
/// All bear the label `pool`, those of one worker also `worker`, its id. All are counts; those
/// in `_total` are counters and only grow, the others are gauges.
///
/// | name | what it is |
/// |---|---|
/// | `workcrew_jobs_accepted_total` | jobs that were ever accepted |
/// | `workcrew_jobs_completed_total` | jobs that returned |
/// | `workcrew_jobs_panicked_total` | jobs that panicked |
/// | `workcrew_jobs_cancelled_total` | jobs that were dropped unstarted |
/// | `workcrew_jobs_returned_total` | jobs that `shutdown_now` handed back |
/// | `workcrew_jobs_queued` | jobs that wait to be started |
/// | `workcrew_jobs_running` | jobs that were started and have not ended |
/// | `workcrew_submitters_blocked` | threads that wait for room among the jobs |
/// | `workcrew_results_waiting` | outcomes that wait to be taken (`WorkerPool` only) |
/// | `workcrew_results_discarded_total` | outcomes that nobody could take (`WorkerPool` only) |
/// | `workcrew_workers_blocked` | workers that wait for room among the results (`WorkerPool` only) |
/// | `workcrew_worker_jobs_total` | jobs that ended at this worker |
/// | `workcrew_worker_batches_total` | claims that brought more than one job |
/// | `workcrew_worker_stolen_total` | jobs that came from other workers' deques |
/// | `workcrew_worker_parks_total` | how often it went to sleep |
/// | `workcrew_worker_wakes_total` | how often another thread woke it |
///
/// With the feature `histograms` there are two summaries in the manner of Prometheus, published by
/// `publish_histograms`: of all jobs that have ended since the pool was built, in seconds. Their
/// quantiles are `0.5`, `0.9`, `0.99`, `0.999` and `1`.
///
/// | name | what it is |
/// |---|---|
/// | `workcrew_queue_wait_seconds` | how long jobs waited: gauges with the label `quantile`, `0.5` to `1` |
/// | `workcrew_queue_wait_seconds_sum` | a gauge: all waits together |
/// | `workcrew_queue_wait_seconds_count` | a counter: how many waits were measured |
/// | `workcrew_run_time_seconds` | as above, for how long jobs ran |
/// | `workcrew_run_time_seconds_sum` | |
/// | `workcrew_run_time_seconds_count` | |
///
/// # Examples
///
/// ```
/// use workcrew::{Meter, ThreadPool};
///
/// let pool = ThreadPool::new(2)?;
/// let meter = Meter::new("thumbnails");
/// pool.execute(|| println!("at work"))?;
/// meter.publish_closures(&pool.stats());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Meter {
    pool: SharedString,
}

impl Meter {
    /// A meter of the pool that shall be known by this name. Describes the metrics to the
    /// recorder that is installed by now.
    pub fn new(pool: impl Into<String>) -> Self {
        for (name, help) in COUNTERS {
            describe_counter!(name, Unit::Count, help);
        }
        for (name, help) in GAUGES {
            describe_gauge!(name, Unit::Count, help);
        }
        #[cfg(feature = "histograms")]
        for Summary { all, sum, count } in SUMMARIES {
            for (name, help) in [all, sum] {
                describe_gauge!(name, Unit::Seconds, help);
            }
            describe_counter!(count.0, Unit::Count, count.1);
        }
        Self {
            pool: pool.into().into(),
        }
    }

    /// Publishes a [`WorkerPool`](crate::WorkerPool)'s numbers.
    pub fn publish(&self, stats: &Stats) {
        self.count(ACCEPTED, stats.accepted);
        self.count(COMPLETED, stats.completed);
        self.count(PANICKED, stats.panicked);
        self.count(CANCELLED, stats.cancelled);
        self.count(RETURNED, stats.returned);
        self.gauge(QUEUED, stats.queued);
        self.gauge(RUNNING, stats.running);
        self.gauge(SUBMITTERS_BLOCKED, stats.blocked_submitters);
        self.gauge(RESULTS_WAITING, stats.results_waiting);
        self.count(RESULTS_DISCARDED, stats.results_discarded);
        self.gauge(WORKERS_BLOCKED, stats.blocked_workers);
        self.publish_workers(&stats.workers);
    }

    /// Publishes a [`ThreadPool`](crate::ThreadPool)'s numbers.
    pub fn publish_closures(&self, stats: &ThreadPoolStats) {
        self.count(ACCEPTED, stats.accepted);
        self.count(COMPLETED, stats.completed);
        self.count(PANICKED, stats.panicked);
        self.count(CANCELLED, stats.cancelled);
        self.count(RETURNED, stats.returned);
        self.gauge(QUEUED, stats.queued);
        self.gauge(RUNNING, stats.running);
        self.gauge(SUBMITTERS_BLOCKED, stats.blocked_submitters);
        self.publish_workers(&stats.workers);
    }

    /// Publishes how long a pool's jobs waited and ran; of a pool that has measured none, the
    /// sums and the counts alone. Only with the feature `histograms`.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::{Meter, ThreadPool};
    ///
    /// let pool = ThreadPool::builder().histograms(true).build()?;
    /// let meter = Meter::new("thumbnails");
    /// pool.execute(|| println!("at work"))?;
    /// meter.publish_histograms(&pool.histograms());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "histograms")]
    pub fn publish_histograms(&self, histograms: &Histograms) {
        let [queue_wait, run_time] = SUMMARIES;
        self.summary(queue_wait, &histograms.queue_wait);
        self.summary(run_time, &histograms.run_time);
    }

    #[cfg(feature = "histograms")]
    fn summary(&self, summary: Summary, histogram: &Histogram) {
        for (part, label) in QUANTILES {
            if let Some(duration) = histogram.quantile(part) {
                gauge!(summary.all.0, "pool" => self.pool.clone(), "quantile" => label)
                    .set(duration.as_secs_f64());
            }
        }
        gauge!(summary.sum.0, "pool" => self.pool.clone()).set(histogram.sum().as_secs_f64());
        self.count(summary.count, histogram.count());
    }

    fn publish_workers(&self, workers: &[WorkerStats]) {
        for (id, worker) in workers.iter().enumerate() {
            let id = SharedString::from(id.to_string());
            let count = |(name, _): Figure, value| {
                counter!(name, "pool" => self.pool.clone(), "worker" => id.clone()).absolute(value);
            };
            count(WORKER_JOBS, worker.executed);
            count(WORKER_BATCHES, worker.batches);
            count(WORKER_STOLEN, worker.stolen);
            count(WORKER_PARKS, worker.parked);
            count(WORKER_WAKES, worker.woken);
        }
    }

    fn count(&self, (name, _): Figure, value: u64) {
        counter!(name, "pool" => self.pool.clone()).absolute(value);
    }

    fn gauge(&self, (name, _): Figure, value: u64) {
        gauge!(name, "pool" => self.pool.clone()).set(value as f64);
    }
}

/// A name, and what it is.
type Figure = (&'static str, &'static str);

const ACCEPTED: Figure = (
    "workcrew_jobs_accepted_total",
    "Jobs that were ever accepted",
);
const COMPLETED: Figure = ("workcrew_jobs_completed_total", "Jobs that returned");
const PANICKED: Figure = ("workcrew_jobs_panicked_total", "Jobs that panicked");
const CANCELLED: Figure = ("workcrew_jobs_cancelled_total", "Jobs dropped unstarted");
const RETURNED: Figure = (
    "workcrew_jobs_returned_total",
    "Jobs that shutdown_now handed back",
);
const QUEUED: Figure = ("workcrew_jobs_queued", "Jobs that wait to be started");
const RUNNING: Figure = ("workcrew_jobs_running", "Jobs started and not ended");
const SUBMITTERS_BLOCKED: Figure = (
    "workcrew_submitters_blocked",
    "Threads that wait for room among the jobs",
);
const RESULTS_WAITING: Figure = ("workcrew_results_waiting", "Outcomes that wait to be taken");
const RESULTS_DISCARDED: Figure = (
    "workcrew_results_discarded_total",
    "Outcomes that nobody could take",
);
const WORKERS_BLOCKED: Figure = (
    "workcrew_workers_blocked",
    "Workers that wait for room among the results",
);
const WORKER_JOBS: Figure = (
    "workcrew_worker_jobs_total",
    "Jobs that ended at this worker",
);
const WORKER_BATCHES: Figure = (
    "workcrew_worker_batches_total",
    "Claims that brought more than one job",
);
const WORKER_STOLEN: Figure = (
    "workcrew_worker_stolen_total",
    "Jobs that came from other workers' deques",
);
const WORKER_PARKS: Figure = ("workcrew_worker_parks_total", "How often it went to sleep");
const WORKER_WAKES: Figure = (
    "workcrew_worker_wakes_total",
    "How often another thread woke it",
);

const COUNTERS: [Figure; 11] = [
    ACCEPTED,
    COMPLETED,
    PANICKED,
    CANCELLED,
    RETURNED,
    RESULTS_DISCARDED,
    WORKER_JOBS,
    WORKER_BATCHES,
    WORKER_STOLEN,
    WORKER_PARKS,
    WORKER_WAKES,
];

const GAUGES: [Figure; 5] = [
    QUEUED,
    RUNNING,
    SUBMITTERS_BLOCKED,
    RESULTS_WAITING,
    WORKERS_BLOCKED,
];

/// The names of one histogram's numbers.
#[cfg(feature = "histograms")]
#[derive(Clone, Copy)]
struct Summary {
    all: Figure,
    sum: Figure,
    count: Figure,
}

#[cfg(feature = "histograms")]
const SUMMARIES: [Summary; 2] = [
    Summary {
        all: (
            "workcrew_queue_wait_seconds",
            "How long jobs waited for a worker",
        ),
        sum: (
            "workcrew_queue_wait_seconds_sum",
            "How long all jobs together waited for a worker",
        ),
        count: (
            "workcrew_queue_wait_seconds_count",
            "Jobs of which it is known how long they waited",
        ),
    },
    Summary {
        all: ("workcrew_run_time_seconds", "How long jobs ran"),
        sum: (
            "workcrew_run_time_seconds_sum",
            "How long all jobs together ran",
        ),
        count: (
            "workcrew_run_time_seconds_count",
            "Jobs of which it is known how long they ran",
        ),
    },
];

/// Each with its label.
#[cfg(feature = "histograms")]
const QUANTILES: [(f64, &str); 5] = [
    (0.5, "0.5"),
    (0.9, "0.9"),
    (0.99, "0.99"),
    (0.999, "0.999"),
    (1.0, "1"),
];
