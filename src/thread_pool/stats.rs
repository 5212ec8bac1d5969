//! Numbers about a pool.

#![forbid(unsafe_code)]

use crate::tally::{Jobs, Table, WorkerStats};
use std::fmt;

/// What a [`ThreadPool`](crate::ThreadPool) has done and holds, at one moment.
///
/// In every snapshot `accepted = queued + running + completed + panicked +
/// cancelled + returned`. While others are at work the parts may be some
/// nanoseconds apart in age.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ThreadPoolStats {
    /// Jobs that were ever accepted.
    pub accepted: u64,
    /// Jobs that wait to be started.
    pub queued: u64,
    /// Jobs that were started and have not ended.
    pub running: u64,
    /// Jobs that returned.
    pub completed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs that were dropped unstarted.
    pub cancelled: u64,
    /// Jobs that `shutdown_now` handed back.
    pub returned: u64,
    /// Threads that sleep in `execute` and its like because the jobs queue is full. (Tasks
    /// that await room are not counted.)
    pub blocked_submitters: u64,
    /// Each worker's own numbers, in order of their ids.
    pub workers: Vec<WorkerStats>,
}

impl fmt::Display for ThreadPoolStats {
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
        writeln!(f, "blocked  submitters {}", self.blocked_submitters)?;
        Table(&self.workers).fmt(f)
    }
}
