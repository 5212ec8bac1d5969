//! The submitters' end.

#![forbid(unsafe_code)]

use super::outbox::Outbox;
use super::stats::Stats;
use super::submitter::Submitter;
use crate::carried::Carried;
use crate::engine::{Engine, Refused};
use crate::error::{CancelError, SubmitAllError, SubmitError, SubmitTimeoutError, TrySubmitError};
#[cfg(feature = "histograms")]
use crate::histogram::Histograms;
use crate::injector::Rejected;
use crate::sync::{self, Arc};
#[cfg(feature = "trace")]
use crate::trace::Trace;
use std::fmt;
use std::time::Duration;

/// Submits jobs to a [`WorkerPool`](crate::WorkerPool) from anywhere.
///
/// Cheap to clone and to send. It does not keep the pool open: after the pool has
/// been closed every submission comes back as `Closed`.
///
/// # Order
///
/// What one thread submits is taken in that order. While fewer than two jobs wait for
/// each worker they also start in that order; with more, a worker takes its share of
/// them at once and starts one after the other. Everything before `submit`
/// happens-before the job.
///
/// # Examples
///
/// ```
/// use std::thread;
/// use workcrew::WorkerPool;
///
/// let (pool, results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| job * 2)?;
/// let handle = pool.handle();
/// let submitter = thread::spawn(move || (1..=3).all(|job| handle.submit(job).is_ok()));
/// assert!(submitter.join().unwrap());
/// pool.close();
/// assert!(pool.handle().submit(4).is_err());
/// assert_eq!(results.map(|outcome| outcome.result.unwrap()).sum::<u32>(), 12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Handle<J, R> {
    pub(super) engine: Arc<Engine<Carried<J>>>,
    pub(super) outbox: Arc<Outbox<R>>,
}

impl<J: Send, R: Send> Handle<J, R> {
    /// Submits a job, waiting while `job_capacity` jobs wait to be started.
    ///
    /// Returns the job's index, which its [`Outcome`](crate::Outcome) will bear. With
    /// one submitting thread the indices are 0, 1, 2, ...; with several, none is
    /// given twice, they grow in the order of acceptance (but for those of a
    /// [`Submitter`]), and some may be skipped.
    ///
    /// # Errors
    ///
    /// Hands the job back: [`SubmitError::Closed`] if the pool was closed before it
    /// was accepted, [`SubmitError::WouldDeadlock`] if the queue is full and the
    /// caller is one of the pool's own workers.
    ///
    /// # Blocking
    ///
    /// While the queue is full. Before it sleeps until there is room, a submitter gives
    /// its core away for a moment, a hundredth of a microsecond for each place of the
    /// queue and at most 5; and one that is much faster than the crew, or whose queue is so
    /// long that the crew will not half empty it in 0.2 ms, looks again every 0.2 ms or so
    /// instead of being woken for each free place. While there is room it is lock-free, but for the system
    /// call that wakes a sleeping worker.
    #[inline]
    pub fn submit(&self, job: J) -> Result<u64, SubmitError<J>> {
        self.engine
            .submit(Carried::new(job), None)
            .map_err(not_submitted)
    }

    /// Submits a job if there is room now. Lock-free: it makes a system call at most to wake a sleeping
    /// worker, or to give its core away where others submit at the same time.
    ///
    /// # Examples
    ///
    /// A server that would rather say no than let its callers wait:
    ///
    /// ```
    /// use workcrew::{TrySubmitError, WorkerPool};
    ///
    /// let (pool, _results) = WorkerPool::<u32, u32>::builder()
    ///     .workers(1)
    ///     .job_capacity(1)
    ///     .build(|job, _ctx| job)?;
    /// match pool.try_submit(1) {
    ///     Ok(_index) => {}
    ///     Err(TrySubmitError::Full(job)) => println!("{job}: 503 Service Unavailable"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Hands the job back: [`TrySubmitError::Full`] if at one moment during the call
    /// `job_capacity` jobs were waiting or being submitted (a place that another
    /// submitter has taken and not filled yet counts), [`TrySubmitError::Closed`] if the
    /// pool was closed before.
    #[inline]
    pub fn try_submit(&self, job: J) -> Result<u64, TrySubmitError<J>> {
        self.engine.try_submit(Carried::new(job)).map_err(not_now)
    }

    /// As [`Handle::submit`], but waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// Hands the job back: as [`Handle::submit`], and
    /// [`SubmitTimeoutError::Timeout`] when the time is up.
    pub fn submit_timeout(&self, job: J, timeout: Duration) -> Result<u64, SubmitTimeoutError<J>> {
        let job = match self.try_submit(job) {
            Ok(index) => return Ok(index),
            Err(TrySubmitError::Closed(job)) => return Err(SubmitTimeoutError::Closed(job)),
            Err(TrySubmitError::Full(job)) => job,
        };
        let deadline = sync::deadline(timeout);
        self.engine
            .submit(Carried::new(job), deadline)
            .map_err(not_in_time)
    }

    /// Submits all jobs of an iterator, in order, waiting where need be, and returns
    /// how many that were.
    ///
    /// Up to 32 jobs (one, if they have more than 1024 bytes) are drawn from the iterator and
    /// published together. For cheap
    /// jobs that is several times faster than [`Handle::submit`].
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let (pool, _results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| job)?;
    /// assert_eq!(pool.submit_all(0..100)?, 100);
    /// pool.close();
    /// let error = pool.submit_all(0..100).unwrap_err();
    /// assert_eq!(error.accepted(), 0);
    /// assert!(error.into_jobs().eq(0..100));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Hands back the jobs that were drawn and not accepted, and the rest of the
    /// iterator, if the pool was closed, or if it would have to wait in one of the
    /// pool's own workers.
    ///
    /// # Panics
    ///
    /// If the iterator panics. The jobs that it had given are submitted before.
    ///
    /// # Blocking
    ///
    /// As [`Handle::submit`], for each batch.
    pub fn submit_all<I>(&self, jobs: I) -> Result<u64, SubmitAllError<I::IntoIter>>
    where
        I: IntoIterator<Item = J>,
    {
        self.engine
            .submit_all(jobs.into_iter(), Carried::new, Carried::into_inner)
    }

    /// A submitter with a lane of its own, for a thread that submits one by one.
    ///
    /// Costs nothing until it is used, and no memory but its own.
    pub fn submitter(&self) -> Submitter<J, R> {
        Submitter::new(self.clone())
    }

    /// Cancels the job with this index, if it has not started.
    ///
    /// A job that still waits to be started when this returns is never started. It keeps
    /// its place in the queue, and counts as queued, until its turn comes: then its
    /// worker drops it (a panic in its `Drop` is swallowed) and delivers
    /// [`JobError::Cancelled`](crate::JobError::Cancelled) with its index. (If
    /// [`shutdown_now`](crate::WorkerPool::shutdown_now) is first, it comes back from
    /// there.) To a job that runs or has ended nothing happens, nor to follow-ups, which
    /// bear their ancestor's index. Which of these it was, the outcome tells.
    ///
    /// Everything before `cancel` happens-before the job is dropped. It never waits, and
    /// takes some microseconds: on Linux a system call that interrupts the other cores.
    /// From a pool's first cancellation on, workers and takers pay some nanoseconds more for each
    /// job.
    ///
    /// # Errors
    ///
    /// [`CancelError::NotSubmitted`] if no job has this index yet,
    /// [`CancelError::Crowded`] if too many others are cancelled. There is room for twice
    /// `job_capacity` (at most for 131,072), spread evenly over the indices, so with a
    /// capacity of up to 65,536 this comes only after many were cancelled too late, when
    /// they had ended, since the pool was last idle. (What takers claim afterwards does not
    /// count.) [`CancelError::Forked`] in a forked child.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::{JobError, WorkerPool};
    ///
    /// let (pool, results) = WorkerPool::<u32, u32>::builder().workers(1).build(|job, _ctx| {
    ///     std::thread::sleep(std::time::Duration::from_millis(10));
    ///     job
    /// })?;
    /// pool.submit(0)?;
    /// let second = pool.submit(1)?;
    /// pool.cancel(second)?;
    /// pool.close();
    /// let last = results.last().unwrap();
    /// assert!(matches!(last.result, Err(JobError::Cancelled)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self, index: u64) -> Result<(), CancelError> {
        self.engine.cancel(index)
    }

    /// Cancels all jobs that were accepted before and have not started. The pool stays as
    /// open as it was.
    ///
    /// Returns the first index that it does not touch. A job with a smaller index that has
    /// not started when this returns is never started, and its outcome is
    /// [`JobError::Cancelled`](crate::JobError::Cancelled); as after [`Handle::cancel`], it
    /// keeps its place in the queue until its turn comes. That goes for its follow-ups too,
    /// also for those that running jobs push later, since they bear its index. Jobs with
    /// such an index that are running go on, and can ask
    /// [`Context::is_cancelled`](crate::Context::is_cancelled).
    ///
    /// Every job whose submission had returned has a smaller index. What is submitted after
    /// this has returned has not, and runs as ever. A submission that is under way is on the
    /// one side or the other, as its index will tell; one that waits for room has no index
    /// yet.
    ///
    /// Everything before `cancel_all` happens-before a job that it cancels is dropped. It
    /// never waits, takes no longer for many jobs than for one (some microseconds, as
    /// [`Handle::cancel`]), and does not fail for want of room.
    ///
    /// # Errors
    ///
    /// [`CancelError::Forked`] in a forked child.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::{JobError, WorkerPool};
    ///
    /// let (pool, results) = WorkerPool::<u32, u32>::builder().workers(1).build(|job, _ctx| {
    ///     std::thread::sleep(std::time::Duration::from_millis(10));
    ///     job
    /// })?;
    /// pool.submit_all(0..10)?;
    /// let end = pool.cancel_all()?;
    /// assert_eq!(end, 10);
    /// pool.submit(10)?;
    /// pool.close();
    /// let outcomes: Vec<_> = results.map(|outcome| outcome.result).collect();
    /// assert!(matches!(outcomes[9], Err(JobError::Cancelled)));
    /// assert!(matches!(outcomes[10], Ok(10)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel_all(&self) -> Result<u64, CancelError> {
        self.engine.cancel_all()
    }

    /// Closes the pool: nothing is accepted any more, what was accepted runs.
    ///
    /// Idempotent. There is one moment that separates accepted from rejected: a
    /// submission that races it either succeeds, and the job runs, or hands the job
    /// back. Threads that wait in `submit` wake up with `Closed`.
    pub fn close(&self) {
        self.engine.close();
    }

    /// Closes, makes workers leave the queued jobs where they are, and frees those that
    /// wait for takers.
    pub(super) fn halt(&self) {
        self.engine.halt();
        self.outbox.hurry();
    }

    /// Whether the pool accepts nothing any more.
    pub fn is_closed(&self) -> bool {
        self.engine.is_closed()
    }

    /// A snapshot of the pool's numbers, also after its end. Takes time in
    /// proportion to the number of workers.
    pub fn stats(&self) -> Stats {
        let totals = self.engine.totals();
        Stats {
            accepted: totals.accepted,
            queued: totals.queued(),
            running: totals.running(),
            completed: totals.completed,
            panicked: totals.panicked,
            cancelled: totals.recalled + totals.left,
            returned: totals.returned,
            results_waiting: self.outbox.waiting() as u64,
            results_discarded: self.outbox.discarded(),
            blocked_submitters: self.engine.blocked_submitters() as u64,
            blocked_workers: self.outbox.blocked_workers() as u64,
            workers: self.engine.works(),
        }
    }
}

#[cfg(feature = "histograms")]
impl<J, R> Handle<J, R> {
    /// How long jobs have waited and run, since the pool was built, also after its end. Empty if
    /// the pool was built without [`Builder::histograms`](crate::Builder::histograms). Only with
    /// the feature `histograms`.
    ///
    /// A job is in them as soon as [`stats`](Self::stats) counts it as completed or panicked: so
    /// are all when [`wait_idle`](crate::WorkerPool::wait_idle) has returned. (A result can be
    /// taken a moment before.) Disturbs nobody. Takes time in proportion to the number of
    /// workers.
    pub fn histograms(&self) -> Histograms {
        self.engine.recorders.histograms()
    }
}

#[cfg(feature = "trace")]
impl<J, R> Handle<J, R> {
    /// What the workers did last, up to now, also after the pool's end. Empty if the pool
    /// was built without [`Builder::trace`](crate::Builder::trace). Only with the feature
    /// `trace`.
    ///
    /// Disturbs nobody. Takes time and memory in proportion to the events.
    pub fn trace(&self) -> Trace {
        self.engine.recorders.trace()
    }
}

impl<J, R> Clone for Handle<J, R> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            outbox: Arc::clone(&self.outbox),
        }
    }
}

impl<J, R> fmt::Debug for Handle<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// The error of a job that could not be submitted, with no time set.
pub(super) fn not_submitted<J>(refused: Refused<Carried<J>>) -> SubmitError<J> {
    match refused {
        Refused::Closed(job) => SubmitError::Closed(job.into_inner()),
        Refused::WouldDeadlock(job) => SubmitError::WouldDeadlock(job.into_inner()),
        Refused::TimedOut(_) => unreachable!("no time was set"),
    }
}

/// The error of a job for which there was no room at once.
pub(super) fn not_now<J>(rejected: Rejected<Carried<J>>) -> TrySubmitError<J> {
    match rejected {
        Rejected::Full(job) => TrySubmitError::Full(job.into_inner()),
        Rejected::Closed(job) => TrySubmitError::Closed(job.into_inner()),
    }
}

/// The error of a job for which there was no room in time.
pub(super) fn not_in_time<J>(refused: Refused<Carried<J>>) -> SubmitTimeoutError<J> {
    match refused {
        Refused::Closed(job) => SubmitTimeoutError::Closed(job.into_inner()),
        Refused::TimedOut(job) => SubmitTimeoutError::Timeout(job.into_inner()),
        Refused::WouldDeadlock(job) => SubmitTimeoutError::WouldDeadlock(job.into_inner()),
    }
}
