//! The typed front: jobs in, results out.

#![forbid(unsafe_code)]

#[cfg(feature = "async")]
mod awaiting;
mod builder;
mod context;
mod hand;
mod handle;
mod in_order;
pub(crate) mod lease;
mod map;
pub(crate) mod outbox;
pub(crate) mod results;
mod runner;
#[cfg(not(workcrew_loom))]
mod scope;
mod stats;
mod submitter;
mod try_map;

use crate::error::JobError;
#[cfg(feature = "async")]
pub use awaiting::{MapStream, ResultStream, Submission};
pub use builder::Builder;
pub use context::Context;
pub use handle::Handle;
pub use in_order::InOrder;
pub use map::{Map, MapOrdered};
pub use results::{Outcome, Results};
pub use stats::Stats;
pub use submitter::Submitter;

use crate::carried::Carried;
use crate::engine::{Crew, Engine, Entry, Fate};
use crate::error::{
    CancelError, JoinError, SubmitAllError, SubmitError, SubmitTimeoutError, TryMapError,
    TrySubmitError, WaitError, WaitTimeoutError,
};
#[cfg(feature = "histograms")]
use crate::histogram::Histograms;
use crate::sync;
#[cfg(feature = "trace")]
use crate::trace::Trace;
use crate::unwind;
use outbox::Outbox;
use std::fmt;
use std::time::Duration;

/// A fixed crew of worker threads that run jobs of type `J` and hand back results
/// of type `R`. Each worker may own a state of type `S`.
///
/// # Examples
///
/// ```
/// use workcrew::WorkerPool;
///
/// let (pool, results) = WorkerPool::<u64, u64>::builder()
///     .workers(3)
///     .job_capacity(5)
///     .build(|job, _ctx| job * 2)?;
/// pool.submit_all(1..=5)?;
/// pool.close();
/// let sum: u64 = results.filter_map(|outcome| outcome.result.ok()).sum();
/// assert_eq!(sum, 30);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Builder::build`] makes a pool that owns all it uses. In [`Builder::scope`] jobs, results,
/// states and functions may borrow from the stack; all that follows holds there too.
///
/// # Ending
///
/// | call | queued jobs | waits for | returns |
/// |---|---|---|---|
/// | [`close`](Self::close) | run | nothing | |
/// | [`join`](Self::join) | run | all jobs, all threads | |
/// | [`join_timeout`](Self::join_timeout) | run | the same, for some time | the pool stays |
/// | [`shutdown`](Self::shutdown) | run | all jobs, all threads | the workers' states |
/// | [`shutdown_now`](Self::shutdown_now) | are handed back | running jobs, all threads | the queued jobs |
/// | drop | run | all jobs, all threads | |
/// | drop while panicking | are dropped; takers get [`JobError::Cancelled`] | running jobs, all threads | |
///
/// What waits for all jobs also waits for takers, if more results are to come than
/// `result_capacity`. If nobody can take results because all [`Results`] were
/// dropped, they are discarded and nobody waits. `let (pool, results) = ...` drops
/// `results` before `pool`, so an early return does not hang.
///
/// # Large jobs and results
///
/// They lie in the queues by value, without an allocation for each, and are moved: several copies
/// may be on the stack of the thread that submits or takes, and on that of a worker
/// ([`Builder::stack_size`]). What is larger than some KiB is better boxed,
/// also because a queue gets its memory in pieces for 224 of them, or of a MiB if they are larger, but for seven at least,
/// however small its capacity.
///
/// # Fork
///
/// A forked child has the pool's memory, but not its threads. There (on Linux) the pool
/// is closed and ended for all who ask: submissions come back as `Closed`, takers get
/// `Ended`, who would wait gets `Forked`, and dropping it does nothing. The jobs and the
/// results are the parent's, which notices nothing.
///
/// # Panics in the user's code
///
/// A panicking job has the outcome [`JobError::Panicked`]; its worker lives on with a
/// fresh state. A panic in the `Drop` of a state, of a function or hook, or of a result that
/// is discarded, is swallowed. A job's `Drop` that panics *while its job is panicking* ends the
/// process, as everywhere in Rust.
#[must_use = "dropping a pool waits for its end"]
pub struct WorkerPool<J: Send, R: Send, S: Send = ()> {
    handle: Handle<J, R>,
    /// `None` once it was joined.
    crew: Option<Crew<Option<S>>>,
}

impl<J: Send, R: Send> WorkerPool<J, R> {
    /// Begins to configure a pool.
    pub fn builder<'env>() -> Builder<'env, J, R> {
        Builder::new()
    }
}

impl<J: Send, R: Send, S: Send> WorkerPool<J, R, S> {
    /// As [`Handle::submit`].
    ///
    /// # Errors
    ///
    /// Hands the job back; see there.
    #[inline]
    pub fn submit(&self, job: J) -> Result<u64, SubmitError<J>> {
        self.handle.submit(job)
    }

    /// As [`Handle::try_submit`].
    ///
    /// # Errors
    ///
    /// Hands the job back; see there.
    #[inline]
    pub fn try_submit(&self, job: J) -> Result<u64, TrySubmitError<J>> {
        self.handle.try_submit(job)
    }

    /// As [`Handle::submit_timeout`].
    ///
    /// # Errors
    ///
    /// Hands the job back; see there.
    pub fn submit_timeout(&self, job: J, timeout: Duration) -> Result<u64, SubmitTimeoutError<J>> {
        self.handle.submit_timeout(job, timeout)
    }

    /// As [`Handle::submit_all`].
    ///
    /// # Errors
    ///
    /// Hands back the jobs that were not accepted; see there.
    pub fn submit_all<I>(&self, jobs: I) -> Result<u64, SubmitAllError<I::IntoIter>>
    where
        I: IntoIterator<Item = J>,
    {
        self.handle.submit_all(jobs)
    }

    /// As [`Handle::cancel`]: a job that still waits to be started never is.
    ///
    /// # Errors
    ///
    /// If there is no such job yet, or too many are cancelled; see there.
    pub fn cancel(&self, index: u64) -> Result<(), CancelError> {
        self.handle.cancel(index)
    }

    /// As [`Handle::cancel_all`]: what was accepted before and has not started never is,
    /// and what is submitted afterwards runs. Returns the first index that it does not
    /// touch.
    ///
    /// # Errors
    ///
    /// In a forked child; see there.
    pub fn cancel_all(&self) -> Result<u64, CancelError> {
        self.handle.cancel_all()
    }

    /// Submits the jobs of an iterator and yields outcomes as jobs end, interleaved:
    /// whatever the capacities, it cannot deadlock, and `jobs` may be endless.
    ///
    /// Lazy: jobs are drawn from the iterator as there is room for them. `results` must
    /// be the only taker of this pool while it is in use: an outcome that another one
    /// takes would be waited for until the pool ends. It ends when `jobs` has ended and
    /// all its jobs' outcomes were yielded, or when the pool was closed and all is
    /// delivered. What else arrives is yielded too: outcomes of follow-ups (see
    /// [`Outcome::follow_up`]) and of what others submit.
    ///
    /// When it is dropped half-way, its jobs that have not started are cancelled, as by
    /// [`Handle::cancel`] (which has room for 131,072 at most; what is over that runs); those
    /// that have started end. From `results` comes then one
    /// outcome for each of its jobs that was submitted and not yielded:
    /// [`JobError::Cancelled`] for those that never started. [`Map::into_jobs`] cancels
    /// nothing, and hands back what was not submitted; a drop drops that.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let (pool, mut results) = WorkerPool::<u64, u64>::builder()
    ///     .job_capacity(1)
    ///     .result_capacity(1)
    ///     .build(|job, _ctx| job * job)?;
    /// let squares = pool.map(&mut results, 1..=1000);
    /// let sum: u64 = squares.filter_map(|outcome| outcome.result.ok()).sum();
    /// assert_eq!(sum, 333_833_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `results` belongs to another pool.
    pub fn map<'a, I>(&'a self, results: &'a mut Results<R>, jobs: I) -> Map<'a, I::IntoIter, R>
    where
        I: IntoIterator<Item = J>,
    {
        self.check_own(results);
        Map::new(&self.handle, results, jobs.into_iter())
    }

    /// As [`WorkerPool::map`], with the jobs' outcomes in the order of the jobs.
    ///
    /// An outcome waits here until all before it have been yielded, so a slow job holds
    /// up the others when the window is full of what has ended after it. (What waits here
    /// when the map is dropped comes from `results` next, in order of the jobs, and then
    /// what was cancelled or still runs.) Outcomes of follow-ups and of what others submit
    /// are in no order: they are yielded at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let (pool, mut results) = WorkerPool::<u32, String>::builder()
    ///     .workers(4)
    ///     .build(|job, _ctx| job.to_string())?;
    /// let words = pool.map_ordered(&mut results, 0..5).window(8);
    /// let words: Vec<_> = words.map(|outcome| outcome.result.unwrap()).collect();
    /// assert_eq!(words, ["0", "1", "2", "3", "4"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`WorkerPool::map`].
    pub fn map_ordered<'a, I>(
        &'a self,
        results: &'a mut Results<R>,
        jobs: I,
    ) -> MapOrdered<'a, I::IntoIter, R>
    where
        I: IntoIterator<Item = J>,
    {
        self.check_own(results);
        MapOrdered::new(&self.handle, results, jobs.into_iter())
    }

    /// Yields outcomes in the order of their jobs' indices, holding back at most `window` of
    /// them: see [`InOrder`].
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let (pool, mut results) = WorkerPool::<u32, u32>::builder()
    ///     .workers(4)
    ///     .build(|job, _ctx| job * job)?;
    /// pool.submit_all(0..5)?;
    /// pool.close();
    /// let squares = pool.in_order(&mut results, 8).map(|outcome| outcome.result.unwrap());
    /// assert!(squares.eq([0, 1, 4, 9, 16]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `results` belongs to another pool.
    pub fn in_order<'a>(&'a self, results: &'a mut Results<R>, window: usize) -> InOrder<'a, J, R> {
        self.check_own(results);
        InOrder::new(&self.handle, results, window)
    }

    fn check_own(&self, results: &Results<R>) {
        assert!(
            results.belongs_to(&self.handle.outbox),
            "these are another pool's results"
        );
    }

    /// A handle that submits from elsewhere.
    pub fn handle(&self) -> Handle<J, R> {
        self.handle.clone()
    }

    /// As [`Handle::submitter`]: for a thread that submits one by one.
    pub fn submitter(&self) -> Submitter<J, R> {
        self.handle.submitter()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.handle.engine.workers()
    }

    /// As [`Handle::close`]: accepts nothing more; what was accepted runs.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether the pool accepts nothing any more.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// As [`Handle::stats`].
    pub fn stats(&self) -> Stats {
        self.handle.stats()
    }

    /// As [`Handle::histograms`]. Only with the feature `histograms`.
    #[cfg(feature = "histograms")]
    pub fn histograms(&self) -> Histograms {
        self.handle.histograms()
    }

    /// As [`Handle::trace`]. Only with the feature `trace`.
    #[cfg(feature = "trace")]
    pub fn trace(&self) -> Trace {
        self.handle.trace()
    }

    /// Closes the pool and waits until all jobs have run and all threads have ended.
    ///
    /// # Errors
    ///
    /// [`JoinError::WouldDeadlock`] in one of the pool's own workers; then the pool is
    /// closed, and ends by itself.
    ///
    /// # Blocking
    ///
    /// Until the last job has ended, and, if more than `result_capacity` results are
    /// to come, until takers have taken them.
    pub fn join(self) -> Result<(), JoinError> {
        self.shutdown().map(unwind::drop_each_quietly)
    }

    /// As [`WorkerPool::join`], but waits at most `timeout`, and leaves the pool to the
    /// caller: it is closed from now on, and can be waited for again. When this succeeds,
    /// [`WorkerPool::shutdown`] returns the states without having to wait for jobs.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use workcrew::WorkerPool;
    ///
    /// let (mut pool, results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| job)?;
    /// pool.submit_all(0..100)?;
    /// while pool.join_timeout(Duration::from_millis(10)).is_err() {
    ///     println!("{} jobs wait", pool.stats().queued);
    /// }
    /// assert_eq!(results.count(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError::Timeout`] if jobs or threads have not ended by then,
    /// [`WaitTimeoutError::WouldDeadlock`] in one of the pool's own workers,
    /// [`WaitTimeoutError::Forked`] in a forked child.
    ///
    /// # Blocking
    ///
    /// As [`WorkerPool::join`], until the time is up.
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.close();
        self.handle.engine.wait_for_threads_timeout(timeout)
    }

    /// Waits until no job is queued or running: there was such a moment during the
    /// call. The pool stays as open as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let (pool, mut results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| job + 1)?;
    /// pool.submit(1)?;
    /// pool.wait_idle()?;
    /// assert_eq!(results.try_recv()?.result?, 2); // it is there by now
    /// pool.submit(2)?; // and the pool goes on
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WaitError::WouldDeadlock`] in one of the pool's own workers,
    /// [`WaitError::Forked`] in a forked child.
    ///
    /// # Blocking
    ///
    /// Until that moment; if more than `result_capacity` results are to come, until
    /// takers have taken them.
    pub fn wait_idle(&self) -> Result<(), WaitError> {
        self.handle.engine.wait_idle()
    }

    /// As [`WorkerPool::wait_idle`], but waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError::Timeout`] if there was no such moment by then,
    /// [`WaitTimeoutError::WouldDeadlock`] in one of the pool's own workers,
    /// [`WaitTimeoutError::Forked`] in a forked child.
    pub fn wait_idle_timeout(&self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.handle.engine.wait_idle_timeout(timeout)
    }

    /// As [`WorkerPool::join`], and returns the workers' states in order of their
    /// ids. A worker whose state was lost in a panic and could not be made again
    /// contributes none.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let builder = WorkerPool::<u64, ()>::builder().workers(3).init(|_worker| 0);
    /// let (pool, _results) = builder.build(|job, ctx| *ctx.state += job)?;
    /// pool.submit_all(1..=10)?;
    /// let sums = pool.shutdown()?;
    /// assert_eq!(sums.len(), 3);
    /// assert_eq!(sums.iter().sum::<u64>(), 55);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`WorkerPool::join`].
    ///
    /// # Blocking
    ///
    /// As [`WorkerPool::join`].
    pub fn shutdown(mut self) -> Result<Vec<S>, JoinError> {
        self.handle.engine.abandon_if_inside();
        self.close();
        self.join_crew()
    }

    /// Closes the pool, lets running jobs end, and returns the queued ones in order
    /// of their indices. Results can still be taken.
    ///
    /// Running jobs can ask [`Context::is_cancelled`].
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let (pool, results) = WorkerPool::<u32, u32>::builder().workers(1).build(|job, _ctx| job)?;
    /// pool.submit_all(0..100)?;
    /// let unstarted = pool.shutdown_now()?;
    /// assert_eq!(results.count() + unstarted.len(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError::WouldDeadlock`] in one of the pool's own workers; then the pool is
    /// closed, the queued jobs are dropped and their takers get
    /// [`JobError::Cancelled`], and it ends by itself.
    ///
    /// # Blocking
    ///
    /// Until the running jobs have ended. Not for takers.
    pub fn shutdown_now(mut self) -> Result<Vec<J>, JoinError> {
        self.halt();
        unwind::drop_each_quietly(self.join_crew()?);
        let jobs = self.handle.engine.drain(Fate::Returned);
        self.handle.outbox.end();
        Ok(jobs
            .into_iter()
            .map(|entry| entry.job.into_inner())
            .collect())
    }

    fn halt(&self) {
        self.handle.engine.abandon_if_inside();
        self.handle.halt();
    }

    fn join_crew(&mut self) -> Result<Vec<S>, JoinError> {
        let Some(crew) = self.crew.take() else {
            return Ok(Vec::new());
        };
        let states = self.handle.engine.join(crew);
        if matches!(states, Err(JoinError::Forked)) {
            // The jobs and the results are the parent's.
            std::mem::forget(self.handle.clone());
        }
        Ok(states?.into_iter().flatten().collect())
    }
}

impl<J, T, E, S> WorkerPool<J, Result<T, E>, S>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    S: Send + 'static,
{
    /// Runs the jobs of an iterator and returns their results in order, or stops at the
    /// first that fails: that returns an error or panics.
    ///
    /// Jobs are submitted as there is room, as by [`WorkerPool::map`], and `results` must
    /// be the only taker here too. After the first failure nothing more is drawn or
    /// submitted, what has not started is cancelled, as by [`Handle::cancel`], and what
    /// runs is waited for. Outcomes of follow-ups and of what others submit count for
    /// nothing here; they come from `results` afterwards.
    ///
    /// # Errors
    ///
    /// The first failure with its job's position, all that finished, and the jobs that
    /// were not submitted. If the pool was closed meanwhile, [`Failure::Closed`](crate::Failure::Closed)
    /// with the position of the first job that was not accepted.
    ///
    /// # Panics
    ///
    /// As [`WorkerPool::map`]; in one of the pool's own workers, if it would have to wait;
    /// and if the iterator of jobs panics. Then what has not started is cancelled, and the
    /// outcomes of all that was submitted come from `results`.
    ///
    /// # Blocking
    ///
    /// Until all jobs that were submitted have ended. It may not return if the iterator
    /// is endless and nothing fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::{Failure, WorkerPool};
    ///
    /// let (pool, mut results) = WorkerPool::<&str, Result<u32, std::num::ParseIntError>>::builder()
    ///     .build(|job, _ctx| job.parse())?;
    /// assert_eq!(pool.try_map(&mut results, ["1", "2", "3"]).unwrap(), [1, 2, 3]);
    ///
    /// let error = pool.try_map(&mut results, ["1", "two", "3"]).unwrap_err();
    /// assert_eq!(error.position, 1);
    /// assert!(matches!(error.failure, Failure::Job(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_map<I>(
        &self,
        results: &mut Results<Result<T, E>>,
        jobs: I,
    ) -> Result<Vec<T>, TryMapError<I::IntoIter, T, E>>
    where
        I: IntoIterator<Item = J>,
    {
        self.check_own(results);
        try_map::try_map(&self.handle, results, jobs.into_iter())
    }
}

/// See the table at [`WorkerPool`]. In one of the pool's own workers it closes and
/// does not wait.
impl<J: Send, R: Send, S: Send> Drop for WorkerPool<J, R, S> {
    fn drop(&mut self) {
        if self.crew.is_none() {
            return;
        }
        let cancel = sync::panicking();
        if cancel {
            self.halt();
        } else {
            self.handle.engine.abandon_if_inside();
            self.close();
        }
        match self.join_crew() {
            Ok(states) => unwind::drop_each_quietly(states),
            Err(JoinError::WouldDeadlock | JoinError::Forked) => return,
        }
        if cancel {
            cancel_queued(&self.handle.engine, &self.handle.outbox);
        }
    }
}

/// Drops the jobs that will not run, and tells their takers. For after the crew has
/// left, or in the last worker that leaves.
fn cancel_queued<J: Send, R: Send>(engine: &Engine<Carried<J>>, outbox: &Outbox<R>) {
    for Entry { job, origin, .. } in engine.drain(Fate::Cancelled) {
        unwind::drop_quietly(job);
        outbox.put_back(Outcome {
            index: origin.index(),
            follow_up: origin.is_follow_up(),
            worker: 0,
            result: Err(JobError::Cancelled),
        });
    }
    outbox.end();
}

impl<J: Send, R: Send, S: Send> fmt::Debug for WorkerPool<J, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool")
            .field("workers", &self.workers())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/pool.rs"]
mod tests;
