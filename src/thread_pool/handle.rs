//! The submitters' end.

#![forbid(unsafe_code)]

use super::stats::ThreadPoolStats;
use super::task::{Detached, Task};
use crate::engine::{Engine, Refused, current_worker};
use crate::error::{SubmitAllError, SubmitError, TrySubmitError};
#[cfg(feature = "histograms")]
use crate::histogram::Histograms;
use crate::injector::Rejected;
use crate::sync::Arc;
#[cfg(feature = "trace")]
use crate::trace::Trace;
use std::fmt;

/// Submits jobs to a [`ThreadPool`](crate::ThreadPool) from anywhere, from its own jobs too.
///
/// Cheap to clone and to send. It does not keep the pool open: after the pool has been
/// closed every submission comes back as `Closed`.
///
/// # Examples
///
/// A job that makes more jobs:
///
/// ```
/// use workcrew::ThreadPool;
///
/// let pool = ThreadPool::new(2)?;
/// let handle = pool.handle();
/// pool.execute(move || {
///     for number in 0..10 {
///         let _ = handle.execute(move || println!("{number}"));
///     }
/// })?;
/// pool.wait_idle()?;
/// assert_eq!(pool.stats().completed, 11);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadPoolHandle {
    pub(crate) engine: Arc<Engine<Task>>,
    /// Its address is the engine's key.
    pub(super) identity: Arc<()>,
}

/// The closure that was made a task to be submitted.
pub(super) fn unpack<F: FnOnce() + Send + 'static>(task: Task) -> F {
    let detached: Option<Detached<F>> = task.take_back();
    detached
        .expect("it comes back to whom it came from")
        .into_inner()
}

impl ThreadPoolHandle {
    /// Runs a closure on one of the workers, some time, and tells nobody what became of it.
    ///
    /// Waits while `job_capacity` jobs wait to be started. If the closure panics, that is
    /// counted in the pool's [`stats`](Self::stats), the handler that
    /// [`on_panic`](crate::ThreadPoolBuilder::on_panic) set is told, and the worker goes on.
    /// Nothing is allocated for a closure of up to 48 bytes whose alignment is at most 8.
    ///
    /// Everything before `execute` happens-before the closure.
    ///
    /// # Errors
    ///
    /// Hands the closure back: [`SubmitError::Closed`] if the pool was closed before it was
    /// accepted, [`SubmitError::WouldDeadlock`] if the queue is full and the caller is one of
    /// the pool's own workers.
    ///
    /// # Blocking
    ///
    /// While the queue is full, as [`Handle::submit`](crate::Handle::submit). While there is
    /// room it is lock-free.
    pub fn execute<F>(&self, job: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        match self.engine.submit(Task::new(Detached::new(job)), None) {
            Ok(_) => Ok(()),
            Err(Refused::Closed(task)) => Err(SubmitError::Closed(unpack(task))),
            Err(Refused::WouldDeadlock(task)) => Err(SubmitError::WouldDeadlock(unpack(task))),
            Err(Refused::TimedOut(_)) => unreachable!("no time was set"),
        }
    }

    /// As [`execute`](Self::execute), if there is room now. Lock-free.
    ///
    /// # Errors
    ///
    /// Hands the closure back: [`TrySubmitError::Full`] if at one moment during the call
    /// `job_capacity` jobs were waiting or being submitted, [`TrySubmitError::Closed`] if the
    /// pool was closed before.
    pub fn try_execute<F>(&self, job: F) -> Result<(), TrySubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        match self.engine.try_submit(Task::new(Detached::new(job))) {
            Ok(_) => Ok(()),
            Err(Rejected::Full(task)) => Err(TrySubmitError::Full(unpack(task))),
            Err(Rejected::Closed(task)) => Err(TrySubmitError::Closed(unpack(task))),
        }
    }

    /// As [`execute`](Self::execute), for all closures of an iterator, in order, and returns
    /// how many that were. Up to 32 of them are drawn from the iterator and published
    /// together.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use workcrew::ThreadPool;
    ///
    /// let sum = Arc::new(AtomicU32::new(0));
    /// let pool = ThreadPool::new(2)?;
    /// let jobs = [1, 2, 3].map(|number| {
    ///     let sum = Arc::clone(&sum);
    ///     move || drop(sum.fetch_add(number, Ordering::Relaxed))
    /// });
    /// let count = pool.execute_all(jobs)?;
    /// pool.join()?;
    /// assert_eq!((count, sum.load(Ordering::Relaxed)), (3, 6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Hands back the closures that were drawn and not accepted, and the rest of the
    /// iterator, if the pool was closed, or if it would have to wait in one of the pool's own
    /// workers.
    ///
    /// # Panics
    ///
    /// If the iterator panics. The closures that it had given are submitted before.
    ///
    /// # Blocking
    ///
    /// As [`execute`](Self::execute), for each batch.
    pub fn execute_all<I, F>(&self, jobs: I) -> Result<u64, SubmitAllError<I::IntoIter>>
    where
        I: IntoIterator<Item = F>,
        F: FnOnce() + Send + 'static,
    {
        let pack = |job| Task::new(Detached::new(job));
        self.engine.submit_all(jobs.into_iter(), pack, unpack)
    }

    /// Which of the pool's workers the calling thread is: `0..workers`, stable for the
    /// pool's life; `None` outside of the pool.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let handle = pool.handle();
    /// let worker = pool.spawn(move || handle.current_worker())?.join()?;
    /// assert!(worker == Some(0) || worker == Some(1));
    /// assert_eq!(pool.current_worker(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn current_worker(&self) -> Option<usize> {
        current_worker(self.engine.key())
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.engine.workers()
    }

    /// Closes the pool: nothing is accepted any more, what was accepted runs.
    ///
    /// Idempotent. There is one moment that separates accepted from rejected: a submission
    /// that races it either succeeds, and the job runs, or hands the job back. Threads that
    /// wait for room wake up with `Closed`.
    pub fn close(&self) {
        self.engine.close();
    }

    /// Whether the pool accepts nothing any more.
    pub fn is_closed(&self) -> bool {
        self.engine.is_closed()
    }

    /// A snapshot of the pool's numbers, also after its end. Takes time in proportion to the
    /// number of workers.
    pub fn stats(&self) -> ThreadPoolStats {
        let totals = self.engine.totals();
        ThreadPoolStats {
            accepted: totals.accepted,
            queued: totals.queued(),
            running: totals.running(),
            completed: totals.completed,
            panicked: totals.panicked,
            cancelled: totals.recalled + totals.left,
            returned: totals.returned,
            blocked_submitters: self.engine.blocked_submitters() as u64,
            workers: self.engine.works(),
        }
    }
}

#[cfg(feature = "histograms")]
impl ThreadPoolHandle {
    /// How long jobs have waited and run, since the pool was built, also after its end. Empty if
    /// the pool was built without [`ThreadPoolBuilder::histograms`](crate::ThreadPoolBuilder::histograms). Only with
    /// the feature `histograms`.
    ///
    /// A job is in them as soon as [`stats`](Self::stats) counts it as completed or panicked: so
    /// are all when [`wait_idle`](crate::ThreadPool::wait_idle) has returned. (A result can be
    /// taken a moment before.) Disturbs nobody. Takes time in proportion to the number of
    /// workers.
    pub fn histograms(&self) -> Histograms {
        self.engine.recorders.histograms()
    }
}

#[cfg(feature = "trace")]
impl ThreadPoolHandle {
    /// What the workers did last, up to now, also after the pool's end. Empty if the pool
    /// was built without [`ThreadPoolBuilder::trace`](crate::ThreadPoolBuilder::trace). Only
    /// with the feature `trace`.
    ///
    /// Disturbs nobody. Takes time and memory in proportion to the events.
    pub fn trace(&self) -> Trace {
        self.engine.recorders.trace()
    }
}

impl Clone for ThreadPoolHandle {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            identity: Arc::clone(&self.identity),
        }
    }
}

impl fmt::Debug for ThreadPoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolHandle").finish_non_exhaustive()
    }
}

#[cfg(all(test, workcrew_loom))]
impl ThreadPoolHandle {
    /// Of a pool without threads.
    pub(crate) fn of(engine: Arc<Engine<Task>>) -> Self {
        let identity = Arc::new(());
        Self { engine, identity }
    }
}
