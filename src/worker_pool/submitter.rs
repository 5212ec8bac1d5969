//! One submitter's own end, for jobs that come one by one.

#![forbid(unsafe_code)]

use super::Handle;
use super::handle::{not_in_time, not_now, not_submitted};
use crate::carried::Carried;
use crate::engine::{Lane, Refused};
use crate::error::{SubmitAllError, SubmitError, SubmitTimeoutError, TrySubmitError};
use crate::sync;
use std::fmt;
use std::time::Duration;

/// Submits jobs one by one, faster than a [`Handle`]; made by [`Handle::submitter`].
///
/// A submitter has one owner, and a *lane*: it reserves up to six places of the queue beside
/// the one that it fills, so that the next jobs need not contend for theirs with anybody.
/// All else is as with a handle: a job is visible to the workers, and counts, as soon as it
/// is submitted; the queue is bounded as exactly; closing and cancelling reach what was submitted
/// here too. Make as many as there are threads that submit, whenever, and drop them at any time:
/// what they have submitted runs. (For jobs that come many at a time
/// [`submit_all`](Handle::submit_all) is faster still.)
///
/// # Reserved places
///
/// A lane reserves places only where there is ample room, and not more than an eighth of
/// `job_capacity`; below 8 it reserves none. They are not lost to others: who finds the queue
/// full takes back what has not been used, and the crew passes over what others have
/// overtaken. Such a place's index is skipped. So whether a submitter is idle, leaked, or its
/// thread suspended for ever, it keeps nobody from anything (but pins the
/// memory of 224 jobs, of fewer if they are large).
///
/// # Order
///
/// What one submitter submits is taken in that order, and its indices grow. Beside others
/// it may be ahead: up to six jobs of a lane are taken before all that was submitted elsewhere
/// since their places were reserved, and have smaller indices. Reserved places count where a
/// worker takes its share of what waits; so that jobs *start* in order while few of them wait
/// holds for a handle alone.
///
/// # Cost to others
///
/// From the first submitter of a pool on, a snapshot ([`Handle::stats`]) and a submission
/// that finds the queue full take time in proportion to the queue, too. Gaps between indices
/// are nearly the rule, so [`InOrder`](crate::InOrder) often waits for its window to fill; and
/// cancelling nearly all of what waits, one by one, may be
/// [`Crowded`](crate::CancelError::Crowded).
///
/// # Examples
///
/// ```
/// use workcrew::WorkerPool;
///
/// let (pool, results) = WorkerPool::<u64, u64>::builder().workers(3).build(|job, _ctx| job * 2)?;
/// let mut submitter = pool.submitter();
/// for job in 1..=100 {
///     submitter.submit(job)?;
/// }
/// pool.close();
/// let sum: u64 = results.filter_map(|outcome| outcome.result.ok()).sum();
/// assert_eq!(sum, 10_100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a submitter is for submitting"]
pub struct Submitter<J, R> {
    handle: Handle<J, R>,
    lane: Lane,
}

impl<J: Send, R: Send> Submitter<J, R> {
    pub(super) fn new(handle: Handle<J, R>) -> Self {
        let lane = Lane::default();
        Self { handle, lane }
    }

    /// As [`Handle::submit`]: waits while `job_capacity` jobs wait to be started, and returns
    /// the job's index.
    ///
    /// # Errors
    ///
    /// Hands the job back: [`SubmitError::Closed`] if the pool was closed before it was
    /// accepted, [`SubmitError::WouldDeadlock`] if the queue is full and the caller is one of the
    /// pool's own workers.
    ///
    /// # Blocking
    ///
    /// As [`Handle::submit`].
    #[inline]
    pub fn submit(&mut self, job: J) -> Result<u64, SubmitError<J>> {
        let Self { handle, lane } = self;
        handle
            .engine
            .submit_in(lane, Carried::new(job), None)
            .map_err(not_submitted)
    }

    /// As [`Handle::try_submit`]: submits if there is room now. Lock-free, and in a reserved
    /// place wait-free, but for the system call that wakes a sleeping worker.
    ///
    /// # Errors
    ///
    /// Hands the job back: [`TrySubmitError::Full`] as there, [`TrySubmitError::Closed`] if the
    /// pool was closed before.
    #[inline]
    pub fn try_submit(&mut self, job: J) -> Result<u64, TrySubmitError<J>> {
        let Self { handle, lane } = self;
        handle
            .engine
            .try_submit_in(lane, Carried::new(job))
            .map_err(not_now)
    }

    /// As [`Submitter::submit`], but waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// Hands the job back: as [`Submitter::submit`], and [`SubmitTimeoutError::Timeout`] when
    /// the time is up.
    pub fn submit_timeout(
        &mut self,
        job: J,
        timeout: Duration,
    ) -> Result<u64, SubmitTimeoutError<J>> {
        let job = match self.try_submit(job) {
            Ok(index) => return Ok(index),
            Err(TrySubmitError::Closed(job)) => return Err(SubmitTimeoutError::Closed(job)),
            Err(TrySubmitError::Full(job)) => job,
        };
        let deadline = sync::deadline(timeout);
        let Self { handle, lane } = self;
        handle
            .engine
            .submit_in(lane, Carried::new(job), deadline)
            .map_err(not_in_time)
    }

    /// As [`Handle::submit_all`]: submits all jobs of an iterator, in order and in batches,
    /// waiting where need be, and returns how many that were.
    ///
    /// # Errors
    ///
    /// Hands back the jobs that were drawn and not accepted, and the rest of the iterator; see
    /// there.
    ///
    /// # Panics
    ///
    /// If the iterator panics. The jobs that it had given are submitted before.
    ///
    /// # Blocking
    ///
    /// As [`Submitter::submit`], for each batch.
    pub fn submit_all<I>(&mut self, jobs: I) -> Result<u64, SubmitAllError<I::IntoIter>>
    where
        I: IntoIterator<Item = J>,
    {
        let Self { handle, lane } = self;
        let engine = &*handle.engine;
        let mut jobs = jobs.into_iter();
        let mut accepted = 0;
        for _ in 0..lane.len() {
            let Some(job) = jobs.next() else {
                return Ok(accepted);
            };
            let (job, would_deadlock) = match engine.submit_in(lane, Carried::new(job), None) {
                Ok(_) => {
                    accepted += 1;
                    continue;
                }
                Err(Refused::WouldDeadlock(job)) => (job, true),
                Err(Refused::Closed(job) | Refused::TimedOut(job)) => (job, false),
            };
            return Err(SubmitAllError {
                accepted,
                would_deadlock,
                rejected: vec![job.into_inner()].into_iter(),
                rest: Some(jobs),
            });
        }
        // The batches lie behind what is reserved by now.
        engine.leave_lane(lane);
        match handle.submit_all(jobs) {
            Ok(more) => Ok(accepted + more),
            Err(mut error) => {
                error.accepted += accepted;
                Err(error)
            }
        }
    }
}

/// Its jobs run; its reserved places are free.
impl<J, R> Drop for Submitter<J, R> {
    fn drop(&mut self) {
        self.handle.engine.leave_lane(&mut self.lane);
    }
}

impl<J, R> fmt::Debug for Submitter<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter")
            .field("reserved", &self.lane.len())
            .finish_non_exhaustive()
    }
}
