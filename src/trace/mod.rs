//! What the workers did, when: the events of all workers, for programs and for people.

#![forbid(unsafe_code)]

mod chrome;
pub(crate) mod encode;
mod svg;

use crate::tally::Ended;
use crate::track::Reading;
use std::io::{self, Write};
use std::time::Duration;

/// One thing that a worker did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// Who did it.
    pub worker: usize,
    /// What it was.
    pub kind: TraceKind,
    /// When it began, since the pool was built.
    pub start: Duration,
    /// When it ended, since the pool was built: later than `start` for jobs and sleeps only.
    /// `None` while it goes on.
    pub end: Option<Duration>,
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TraceKind {
    /// It ran a job, until its result was delivered. If the results queue was full that
    /// includes the wait for room.
    #[non_exhaustive]
    Job {
        /// The job's index, or its ancestor's: see [`Outcome`](crate::Outcome). In a
        /// [`ThreadPool`](crate::ThreadPool) jobs are numbered in the order of their acceptance,
        /// and those submitted by its own workers may have any number.
        index: u64,
        /// Whether another job pushed it.
        follow_up: bool,
        /// How it ended; `None` while it runs.
        ended: Option<Ended>,
    },
    /// It took more than one job from the shared queue.
    #[non_exhaustive]
    Batch {
        /// How many.
        jobs: u64,
    },
    /// It took jobs from another worker's deque.
    #[non_exhaustive]
    Steal {
        /// How many.
        jobs: u64,
        /// Whose they were.
        victim: usize,
    },
    /// It slept.
    #[non_exhaustive]
    Park {
        /// Whether another thread woke it.
        woken: bool,
    },
}

/// The last events of each worker, at one moment; see
/// [`Builder::trace`](crate::Builder::trace). Only with the feature `trace`.
///
/// A job is one event, with its beginning and its end. What a worker does between its events is to
/// look for jobs.
///
/// # Cost
///
/// A pool that was built without a trace pays a branch at each event. Else a job costs a
/// reading of the clock, two where it did not come out of its worker's own deque, and some
/// stores: with jobs of a microsecond one percent of the time (the bench `recording`).
///
/// # Examples
///
/// ```
/// use workcrew::{ThreadPool, TraceKind};
///
/// let pool = ThreadPool::builder().workers(2).trace(1000).build()?;
/// for number in 0..5 {
///     pool.execute(move || println!("{number}"))?;
/// }
/// let handle = pool.handle();
/// pool.join()?;
/// let trace = handle.trace();
/// let jobs = trace.events().iter().filter(|event| matches!(event.kind, TraceKind::Job { .. }));
/// assert_eq!(jobs.count(), 5);
/// let mut picture = Vec::new();
/// trace.write_svg(&mut picture)?;
/// assert!(picture.starts_with(b"<svg"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trace {
    /// In order of the workers' ids, and each worker's in the order in which they began.
    events: Vec<TraceEvent>,
    /// How many each worker has forgotten.
    overwritten: Vec<u64>,
    /// When it was taken.
    taken: Duration,
}

impl Trace {
    /// Makes sense of the workers' readings, taken at `now`; `nanos` is the clock's time in
    /// nanoseconds since the build.
    pub(crate) fn new(readings: Vec<Reading>, now: u64, nanos: impl Fn(u64) -> u64) -> Self {
        let time = |time| Duration::from_nanos(nanos(time));
        let mut trace = Self {
            taken: time(now),
            ..Self::default()
        };
        for (worker, reading) in readings.into_iter().enumerate() {
            trace.overwritten.push(reading.overwritten);
            trace.events.extend(reading.events.into_iter().map(|words| {
                let (kind, start, end) = encode::decode(words);
                TraceEvent {
                    worker,
                    kind,
                    start: time(start),
                    end: end.map(time),
                }
            }));
        }
        trace
    }

    /// All events that are remembered: in order of the workers' ids, and each worker's in the
    /// order in which they began.
    pub fn events(&self) -> &[TraceEvent] {
        &self.events
    }

    /// How many workers the pool has; 0 if it was built without a trace.
    pub fn workers(&self) -> usize {
        self.overwritten.len()
    }

    /// How many events there were before those that are remembered, in all workers.
    pub fn overwritten(&self) -> u64 {
        self.overwritten.iter().sum()
    }

    /// When the last event ended, since the pool was built; while one goes on, when the
    /// trace was taken.
    pub fn end(&self) -> Duration {
        let ends = self
            .events
            .iter()
            .map(|event| event.end.unwrap_or(self.taken));
        ends.max().unwrap_or_default()
    }

    /// Writes the trace as JSON that [Perfetto](https://ui.perfetto.dev) and
    /// `chrome://tracing` open: "Trace Event Format", a thread for each worker. Times are in
    /// microseconds.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_chrome_json(&self, out: impl Write) -> io::Result<()> {
        chrome::write(self, out)
    }

    /// Writes the trace as a picture, a lane for each worker.
    ///
    /// What is narrower than a pixel is drawn together: the fuller, the darker. If events have
    /// been overwritten, the picture begins where all lanes are complete.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_svg(&self, out: impl Write) -> io::Result<()> {
        svg::write(self, out)
    }

    /// One worker's events.
    fn lane(&self, worker: usize) -> impl Iterator<Item = &TraceEvent> {
        let start = self.events.partition_point(|event| event.worker < worker);
        self.events[start..]
            .iter()
            .take_while(move |event| event.worker == worker)
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/trace.rs"]
mod tests;
