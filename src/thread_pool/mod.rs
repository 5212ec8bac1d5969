//! The front for closures.
//!
//! **What the engine sees.** An [`Engine`] of [`Task`]s: closures whose types are erased,
//! inline where they are small. A worker's runner calls them. That is all of `execute`; a
//! panic that reaches the runner is one that nobody waits for.
//!
//! **Jobs with a handle.** `spawn` puts closure and result into one place that task and handle
//! share: a [`Oneshot`](crate::oneshot::Oneshot). Whoever claims it runs the closure: the worker
//! whose turn it is, or a worker that waits for this very job. So the task in the queue is but a
//! ticket, and one that comes too late does nothing.
//!
//! **Scopes.** The jobs of a scope lie in a queue of the scope's own. The pool's queue gets a
//! ticket for each: "run one job of this scope". Whoever waits for a scope takes from that queue,
//! so it finds the scope's jobs and no others, and the tickets that are left over do nothing.
//! Workers' tickets go where follow-ups go, which is never full: a job that makes jobs never
//! waits for room.
//!
//! **Groups.** A scope whose jobs return something, and where the first failure cancels the
//! rest. Where it has a limit, jobs over that wait in a queue of the group's, and a job of the
//! scope takes them from there, as far as it has permits.
//!
//! **Pairs.** `fork_join` keeps its second closure in its own frame, and gives it away only if
//! somebody has nothing to do: an [`Offer`](offer::Offer), for which a worker gets a ticket too.
//!
//! **Built on these.** [Slices](slices) are worked off by a scope whose jobs are chunks, a
//! [broadcast] is a scope with a job for each worker, and the items of a [map_iter] are jobs with
//! a handle.
//!
//! **Waiting.** A worker that waits for a job, or a scope, runs that job, or that scope's, or
//! sleeps; it never looks into the pool's queues. Whoever runs a job that waits in turn waits for
//! something deeper, so the deepest goes on, and all others after it. So it meets no stranger that wants the lock it holds, and its stack grows only by
//! what it waits for. Threads outside of the crew only sleep, so that no more jobs run at once
//! than there are workers.

#[cfg(feature = "async")]
mod awaiting;
mod broadcast;
mod builder;
mod fork_join;
pub(crate) mod group;
mod handle;
pub(crate) mod in_flight;
pub(crate) mod limit;
mod map_iter;
pub(crate) mod offer;
mod runner;
mod scope;
pub(crate) mod session;
mod slices;
mod spawn;
mod stats;
pub(crate) mod task;

pub use builder::ThreadPoolBuilder;
pub use group::Group;
pub use handle::ThreadPoolHandle;
pub use map_iter::{MapIter, MapIterOrdered};
pub use scope::Scope;
pub use spawn::JobHandle;
pub use stats::ThreadPoolStats;

use crate::engine::{Crew, Engine, Fate};
use crate::error::{
    BuildError, GroupError, JoinError, SubmitAllError, SubmitError, TrySubmitError, WaitError,
    WaitTimeoutError,
};
#[cfg(feature = "histograms")]
use crate::histogram::Histograms;
#[cfg(feature = "trace")]
use crate::trace::Trace;
use crate::{sync, unwind};
use std::fmt;
use std::time::Duration;
use task::Task;

/// A fixed crew of worker threads that run closures.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use workcrew::ThreadPool;
///
/// let sum = Arc::new(AtomicU64::new(0));
/// let pool = ThreadPool::builder().workers(3).job_capacity(5).build()?;
/// for number in 1..=10 {
///     let sum = Arc::clone(&sum);
///     pool.execute(move || {
///         sum.fetch_add(number, Ordering::Relaxed);
///     })?;
/// }
/// pool.join()?;
/// assert_eq!(sum.load(Ordering::Relaxed), 55);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Ending
///
/// | call | queued jobs | waits for | returns |
/// |---|---|---|---|
/// | [`close`](Self::close) | run | nothing | |
/// | [`join`](Self::join), [`shutdown`](Self::shutdown) | run | all jobs, all threads | |
/// | [`join_timeout`](Self::join_timeout) | run | the same, for some time | the pool stays |
/// | [`shutdown_now`](Self::shutdown_now) | are handed back | running jobs, all threads | the queued jobs |
/// | drop | run | all jobs, all threads | |
/// | drop while panicking | are dropped | running jobs, all threads | |
///
/// A spawned job that is dropped, or handed back and not run, is cancelled for its handle.
///
/// # Fork
///
/// A forked child has the pool's memory, but not its threads. There (on Linux) the pool is
/// closed and ended for all who ask: submissions come back as `Closed`, who would wait gets
/// `Forked`, and dropping it does nothing. The jobs are the parent's, which notices nothing.
///
/// # Panics in the user's code
///
/// A job's panic costs nothing but that job: it is counted, and
/// [`on_panic`](ThreadPoolBuilder::on_panic)'s handler is told. A panic in that handler, in
/// the `Drop` of a panic's payload, or in that of a job that is dropped unstarted, is
/// swallowed.
#[must_use = "dropping a pool waits for its end"]
pub struct ThreadPool {
    handle: ThreadPoolHandle,
    /// `None` once it was joined.
    crew: Option<Crew<()>>,
}

/// A job that was queued when its pool was shut down: see [`ThreadPool::shutdown_now`].
///
/// Somebody may wait for it: for a [spawned](ThreadPool::spawn) job, an item of an iterator, a
/// scope, a slice, a group, a broadcast. Whoever keeps it keeps them waiting. When it is dropped,
/// a handle, an iterator and a broadcast learn that the job was cancelled, and a scope, slice or
/// group runs its jobs itself.
#[must_use = "a job that is dropped does not run"]
pub struct QueuedJob(Task);

impl ThreadPool {
    /// Starts a pool of so many workers, with the builder's defaults.
    ///
    /// # Errors
    ///
    /// As [`ThreadPoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Self, BuildError> {
        Self::builder().workers(workers).build()
    }

    /// Begins to configure a pool.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    /// As [`ThreadPoolHandle::execute`]: runs a closure on one of the workers, some time.
    ///
    /// # Errors
    ///
    /// Hands the closure back; see there.
    pub fn execute<F>(&self, job: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.handle.execute(job)
    }

    /// As [`ThreadPoolHandle::try_execute`].
    ///
    /// # Errors
    ///
    /// Hands the closure back; see there.
    pub fn try_execute<F>(&self, job: F) -> Result<(), TrySubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.handle.try_execute(job)
    }

    /// As [`ThreadPoolHandle::execute_all`].
    ///
    /// # Errors
    ///
    /// Hands back the closures that were not accepted; see there.
    pub fn execute_all<I, F>(&self, jobs: I) -> Result<u64, SubmitAllError<I::IntoIter>>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce() + Send + 'static,
    {
        self.handle.execute_all(jobs)
    }

    /// As [`ThreadPoolHandle::spawn`]: runs a closure on one of the workers and returns a
    /// handle to what becomes of it.
    ///
    /// # Errors
    ///
    /// Hands the closure back; see there.
    pub fn spawn<F, T>(&self, job: F) -> Result<JobHandle<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn(job)
    }

    /// As [`ThreadPoolHandle::scope`]: calls `body` in the calling thread, and returns when all
    /// jobs that were spawned in the scope have ended. They may borrow from the stack.
    ///
    /// # Panics
    ///
    /// If the body or one of the jobs panics; see there.
    pub fn scope<'env, B, T>(&self, body: B) -> T
    where
        B: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        self.handle.scope(body)
    }

    /// As [`ThreadPoolHandle::group`]: a scope whose jobs may fail, and where the first failure
    /// cancels what has not started.
    ///
    /// # Errors
    ///
    /// The first failure and everything that finished; see there.
    ///
    /// # Panics
    ///
    /// If the body panics.
    pub fn group<'env, B, T, E>(&self, body: B) -> Result<Vec<T>, GroupError<T, E>>
    where
        B: for<'scope> FnOnce(&'scope Group<'scope, 'env, T, E>),
        T: Send,
        E: Send,
    {
        self.handle.group(body)
    }

    /// As [`ThreadPoolHandle::limited_group`]: a group of whose jobs at most `limit` run at a
    /// time.
    ///
    /// # Errors
    ///
    /// As [`group`](Self::group), and if the limit is zero; see there.
    ///
    /// # Panics
    ///
    /// If the body panics.
    pub fn limited_group<'env, B, T, E>(
        &self,
        limit: usize,
        body: B,
    ) -> Result<Vec<T>, GroupError<T, E>>
    where
        B: for<'scope> FnOnce(&'scope Group<'scope, 'env, T, E>),
        T: Send,
        E: Send,
    {
        self.handle.limited_group(limit, body)
    }

    /// A handle that submits from elsewhere, from the pool's own jobs too.
    pub fn handle(&self) -> ThreadPoolHandle {
        self.handle.clone()
    }

    /// As [`ThreadPoolHandle::current_worker`].
    pub fn current_worker(&self) -> Option<usize> {
        self.handle.current_worker()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.handle.workers()
    }

    /// As [`ThreadPoolHandle::close`]: accepts nothing more; what was accepted runs.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether the pool accepts nothing any more.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// As [`ThreadPoolHandle::stats`].
    pub fn stats(&self) -> ThreadPoolStats {
        self.handle.stats()
    }

    /// As [`ThreadPoolHandle::histograms`]. Only with the feature `histograms`.
    #[cfg(feature = "histograms")]
    pub fn histograms(&self) -> Histograms {
        self.handle.histograms()
    }

    /// As [`ThreadPoolHandle::trace`]. Only with the feature `trace`.
    #[cfg(feature = "trace")]
    pub fn trace(&self) -> Trace {
        self.handle.trace()
    }

    /// Closes the pool and waits until all jobs have run and all threads have ended.
    ///
    /// # Errors
    ///
    /// [`JoinError::WouldDeadlock`] in one of the pool's own workers; then the pool is
    /// closed, and ends by itself. [`JoinError::Forked`] in a forked child.
    ///
    /// # Blocking
    ///
    /// Until the last job has ended.
    pub fn join(mut self) -> Result<(), JoinError> {
        self.end()
    }

    /// The same as [`ThreadPool::join`].
    ///
    /// # Errors
    ///
    /// As [`ThreadPool::join`].
    ///
    /// # Blocking
    ///
    /// As [`ThreadPool::join`].
    pub fn shutdown(self) -> Result<(), JoinError> {
        self.join()
    }

    /// As [`ThreadPool::join`], but waits at most `timeout`, and leaves the pool to the
    /// caller: it is closed from now on, and can be waited for again.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError::Timeout`] if jobs or threads have not ended by then,
    /// [`WaitTimeoutError::WouldDeadlock`] in one of the pool's own workers,
    /// [`WaitTimeoutError::Forked`] in a forked child.
    ///
    /// # Blocking
    ///
    /// As [`ThreadPool::join`], until the time is up.
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.close();
        self.handle.engine.wait_for_threads_timeout(timeout)
    }

    /// The same as [`ThreadPool::join_timeout`].
    ///
    /// # Errors
    ///
    /// As [`ThreadPool::join_timeout`].
    ///
    /// # Blocking
    ///
    /// As [`ThreadPool::join_timeout`].
    pub fn shutdown_timeout(&mut self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.join_timeout(timeout)
    }

    /// Waits until no job is queued or running: there was such a moment during the call. The
    /// pool stays as open as it was.
    ///
    /// # Errors
    ///
    /// [`WaitError::WouldDeadlock`] in one of the pool's own workers, [`WaitError::Forked`]
    /// in a forked child.
    ///
    /// # Blocking
    ///
    /// Until that moment.
    pub fn wait_idle(&self) -> Result<(), WaitError> {
        self.handle.engine.wait_idle()
    }

    /// As [`ThreadPool::wait_idle`], but waits at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`WaitTimeoutError::Timeout`] if there was no such moment by then,
    /// [`WaitTimeoutError::WouldDeadlock`] in one of the pool's own workers,
    /// [`WaitTimeoutError::Forked`] in a forked child.
    pub fn wait_idle_timeout(&self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.handle.engine.wait_idle_timeout(timeout)
    }

    /// Closes the pool, lets running jobs end, and returns the queued ones in the order of
    /// their acceptance. They are to be run or dropped soon: see [`QueuedJob`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(1)?;
    /// let (sender, results) = mpsc::channel();
    /// for number in 0..10 {
    ///     let sender = sender.clone();
    ///     pool.execute(move || sender.send(number).unwrap())?;
    /// }
    /// drop(sender);
    /// for job in pool.shutdown_now()? {
    ///     job.run();
    /// }
    /// assert!(results.iter().eq(0..10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError::WouldDeadlock`] in one of the pool's own workers; then the pool is
    /// closed, the queued jobs are dropped, and it ends by itself. [`JoinError::Forked`] in a
    /// forked child.
    ///
    /// # Blocking
    ///
    /// Until the running jobs have ended.
    pub fn shutdown_now(mut self) -> Result<Vec<QueuedJob>, JoinError> {
        self.halt();
        self.join_crew()?;
        let jobs = self.handle.engine.drain(Fate::Returned);
        Ok(jobs.into_iter().map(|entry| QueuedJob(entry.job)).collect())
    }

    fn halt(&self) {
        self.handle.engine.abandon_if_inside();
        self.handle.engine.halt();
    }

    fn end(&mut self) -> Result<(), JoinError> {
        self.handle.engine.abandon_if_inside();
        self.close();
        self.join_crew()
    }

    fn join_crew(&mut self) -> Result<(), JoinError> {
        let Some(crew) = self.crew.take() else {
            return Ok(());
        };
        // In a forked child the jobs are the parent's. They are not dropped with the
        // handle, since the threads, which are not here, have their shares of the engine.
        self.handle.engine.join(crew).map(drop)
    }
}

/// See the table at [`ThreadPool`]. In one of the pool's own workers it closes and does not
/// wait.
impl Drop for ThreadPool {
    fn drop(&mut self) {
        if self.crew.is_none() {
            return;
        }
        if !sync::panicking() {
            // In an own worker and in a forked child there is nothing to wait for.
            let _ = self.end();
            return;
        }
        self.halt();
        if self.join_crew().is_ok() {
            cancel_queued(&self.handle.engine);
        }
    }
}

/// Drops the jobs that will not run. For after the crew has left, or in the last worker that
/// leaves.
fn cancel_queued(engine: &Engine<Task>) {
    unwind::drop_each_quietly(engine.drain(Fate::Cancelled));
}

impl QueuedJob {
    /// Runs the job, in the calling thread.
    ///
    /// # Panics
    ///
    /// If the job panics.
    pub fn run(self) {
        let _ = self.0.run();
    }
}

impl fmt::Debug for QueuedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedJob").finish_non_exhaustive()
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("workers", &self.workers())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/thread_pool.rs"]
mod tests;
