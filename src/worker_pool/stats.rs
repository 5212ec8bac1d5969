//! Numbers about a pool.

#![forbid(unsafe_code)]

use crate::tally::{Jobs, Table, WorkerStats};
use std::fmt;

/// What a pool has done and holds, at one moment.
///
/// In every snapshot `accepted = queued + running + completed + panicked +
/// cancelled + returned`. While others are at work the parts may be some
/// nanoseconds apart in age.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Jobs that were ever accepted, follow-ups included. For a moment places of the queue
    /// that were left unused may count, too.
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
    /// Outcomes that wait to be taken; with those that takers put back there may be more than
    /// `result_capacity`.
    pub results_waiting: u64,
    /// Outcomes that were dropped because all takers had gone.
    pub results_discarded: u64,
    /// Threads that sleep in `submit` because the jobs queue is full. (Tasks that await room
    /// are not counted.)
    pub blocked_submitters: u64,
    /// Workers that sleep because the results queue is full.
    pub blocked_workers: u64,
    /// Each worker's own numbers, in order of their ids.
    pub workers: Vec<WorkerStats>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = Jobs {
            accepted: self.accepted,
            queued: self.queued,
            running: self.running,
            completed: self.completed,
            panicked: self.panicked,
            cancelled: self.cancelled,
            returned: self.returned,
        };
        writeln!(f, "{jobs}")?;
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
        Table(&self.workers).fmt(f)
    }
}
