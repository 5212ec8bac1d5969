//! What the numbers of both fronts have in common.

#![forbid(unsafe_code)]

use std::fmt;

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

/// How a job ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    not(feature = "trace"),
    expect(unreachable_pub, reason = "part of the traces, which are not there")
)]
pub enum Ended {
    /// It returned.
    Completed,
    /// It panicked.
    Panicked,
    /// It was dropped instead of being run.
    Cancelled,
}

/// What has become of the jobs, in the order of the law: `accepted`, and its parts.
pub(crate) struct Jobs {
    pub(crate) accepted: u64,
    pub(crate) queued: u64,
    pub(crate) running: u64,
    pub(crate) completed: u64,
    pub(crate) panicked: u64,
    pub(crate) cancelled: u64,
    pub(crate) returned: u64,
}

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "jobs     accepted {} = queued {} + running {} + completed {} + panicked {} + cancelled {} + returned {}",
            self.accepted,
            self.queued,
            self.running,
            self.completed,
            self.panicked,
            self.cancelled,
            self.returned,
        )
    }
}

/// A table of all workers.
pub(crate) struct Table<'a>(pub(crate) &'a [WorkerStats]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<9}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "worker", "executed", "batches", "stolen", "parked", "woken"
        )?;
        for (id, worker) in self.0.iter().enumerate() {
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
