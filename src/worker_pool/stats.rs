//! Numbers about a pool.

#![forbid(unsafe_code)]

use std::fmt;

/// What a pool has done and holds, at one moment.
///
/// In every snapshot `accepted = queued + running + completed + panicked +
/// cancelled + returned`. While others are at work the parts may be some
/// nanoseconds apart in age.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Jobs that were ever accepted, follow-ups included.
    pub accepted: u64,
    /// Jobs that wait to be started.
    pub queued: u64,
    /// Jobs that were started and have not ended, those included whose worker waits
    /// for room among the results, and cancelled ones that are being dropped.
    pub running: u64,
    /// Jobs that returned a result.
    pub completed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs that were dropped unstarted, because they were cancelled or the pool was
    /// dropped in a panic.
    pub cancelled: u64,
    /// Jobs that `shutdown_now` handed back.
    pub returned: u64,
    /// Outcomes that wait to be taken.
    pub results_waiting: u64,
    /// Outcomes that were dropped because all takers had gone.
    pub results_discarded: u64,
    /// Threads that sleep in `submit` because the jobs queue is full.
    pub blocked_submitters: u64,
    /// Workers that sleep because the results queue is full.
    pub blocked_workers: u64,
    /// Each worker's own numbers, in order of their ids.
    pub workers: Vec<WorkerStats>,
}

/// What one worker has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Jobs that ended here.
    pub executed: u64,
    /// Claims that brought more than one job from the shared queue.
    pub batches: u64,
    /// Jobs that came from other workers' deques.
    pub stolen: u64,
    /// How often it went to sleep.
    pub parked: u64,
    /// How often another thread woke it. (Else it woke by itself: it found a job when it
    /// looked for the last time, or when the clock told it to look.)
    pub woken: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "jobs     accepted {} = queued {} + running {} + completed {} + panicked {} + cancelled {} + returned {}",
            self.accepted,
            self.queued,
            self.running,
            self.completed,
            self.panicked,
            self.cancelled,
            self.returned,
        )?;
        writeln!(
            f,
            "results  waiting {}, discarded {}",
            self.results_waiting, self.results_discarded
        )?;
        writeln!(
            f,
            "blocked  submitters {}, workers {}",
            self.blocked_submitters, self.blocked_workers
        )?;
        write!(
            f,
            "{:<9}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "worker", "executed", "batches", "stolen", "parked", "woken"
        )?;
        for (id, worker) in self.workers.iter().enumerate() {
            let WorkerStats {
                executed,
                batches,
                stolen,
                parked,
                woken,
            } = worker;
            write!(
                f,
                "\n{id:<9}{executed:>12}{batches:>12}{stolen:>12}{parked:>12}{woken:>12}"
            )?;
        }
        Ok(())
    }
}
