//! Jobs that somebody waits for: each has a place on the heap, shared by the task in the queue and
//! the handle.

use super::ThreadPoolHandle;
use super::task::{Task, Work};
use crate::carried::Carried;
use crate::engine::{Ended, Refused, is_inside};
use crate::error::{JobError, JobPanic, SubmitError};
use crate::half::Half;
use crate::oneshot::{Claim, Oneshot};
use crate::pace::Waits;
use crate::sync::{self, Home};
use crate::unwind;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

sync::own! {
    static WAITS: Waits = Waits::new();
}

/// What becomes of a job.
type Outcome<T> = Result<T, JobError>;

type Place<F, T> = Oneshot<Carried<F>, Outcome<T>>;

/// What can be spawned: a closure, or something from which more can be had back.
pub(super) trait Job<T>: Send {
    fn call(self) -> T;
}

impl<F: FnOnce() -> T + Send, T> Job<T> for F {
    #[inline]
    fn call(self) -> T {
        self()
    }
}

/// The pool's share of a job.
struct Ticket<F, T>(Half<Place<F, T>>);

/// Runs what was claimed.
#[inline]
fn run<F: Job<T>, T>(claim: Claim<'_, Carried<F>, Outcome<T>>, job: Carried<F>) -> Ended {
    let (outcome, ended) = match unwind::catch(|| job.enter(Job::call)) {
        Ok(result) => (Ok(result), Ended::Completed),
        Err(payload) => {
            let panic = JobError::Panicked(JobPanic::new(payload));
            (Err(panic), Ended::Panicked)
        }
    };
    match claim.complete(outcome) {
        // Nobody waits for it any more, so it is as any other detached job.
        Err(Err(JobError::Panicked(panic))) => std::panic::resume_unwind(panic.into_payload()),
        Err(outcome) => {
            unwind::drop_quietly(outcome);
        }
        Ok(()) => {}
    }
    ended
}

/// Drops what was claimed.
fn cancel<F, T>(claim: Claim<'_, Carried<F>, Outcome<T>>, job: Carried<F>) {
    unwind::drop_quietly(job);
    // If the handle has gone nobody need be told.
    let _ = claim.complete(Err(JobError::Cancelled));
}

impl<F: Job<T>, T: Send> Work for Ticket<F, T> {
    #[inline]
    fn work(self) -> Ended {
        match self.0.claim() {
            Some((claim, job)) => run(claim, job),
            None if self.0.is_revoked() => Ended::Cancelled,
            // Who waited for it has run it.
            None => Ended::Completed,
        }
    }
}

/// A job that the pool drops unstarted is cancelled.
impl<F, T> Drop for Ticket<F, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some((claim, job)) = self.0.revoke() {
            cancel(claim, job);
        }
    }
}

/// What a handle can do with its job, whatever the closure.
trait Promise<T>: Send + Sync {
    fn run_if_queued(&self) -> bool;
    fn cancel(&self) -> bool;
    fn is_done(&self) -> bool;
    fn wait(&self, deadline: Option<Instant>) -> bool;
    /// What is there after a wait. (By itself: both together would return it in an `Option`, and it
    /// would be read out of that by a wide load before the narrow stores are done.)
    fn take(&self) -> Outcome<T>;
    fn join(&self) -> Outcome<T>;
    fn poll(&self, context: &mut Context<'_>) -> Poll<Outcome<T>>;
    fn leave(&self) -> Option<Outcome<T>>;
}

impl<F: Job<T>, T: Send> Promise<T> for Place<F, T> {
    fn run_if_queued(&self) -> bool {
        let claimed = self.claim();
        // It is counted when its ticket's turn comes.
        claimed.map(|(claim, job)| run(claim, job)).is_some()
    }

    fn cancel(&self) -> bool {
        let revoked = self.revoke();
        revoked.map(|(claim, job)| cancel(claim, job)).is_some()
    }

    fn is_done(&self) -> bool {
        Oneshot::is_done(self)
    }

    fn wait(&self, deadline: Option<Instant>) -> bool {
        WAITS.with(|waits| {
            let look = || Oneshot::is_done(self).then_some(());
            let sleep = || Oneshot::wait(self, deadline).then_some(());
            waits.wait(look, sleep).is_some()
        })
    }

    fn take(&self) -> Outcome<T> {
        Oneshot::take(self)
    }

    fn join(&self) -> Outcome<T> {
        let done = Promise::wait(self, None);
        debug_assert!(done, "without a deadline there is no end but an outcome");
        Promise::take(self)
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        Oneshot::poll(self, context.waker())
    }

    #[inline]
    fn leave(&self) -> Option<Outcome<T>> {
        Oneshot::leave(self)
    }
}

impl ThreadPoolHandle {
    /// Runs a closure on one of the workers and returns a handle to what becomes of it.
    ///
    /// Waits while `job_capacity` jobs wait to be started. Everything before `spawn`
    /// happens-before the closure, and everything in the closure happens-before the receipt of
    /// its result.
    ///
    /// One allocation at most, whatever the size of the closure and its result. None, once warm,
    /// if both are small (72 bytes each; with the feature `tracing` 32) and jobs are joined in the
    /// thread that spawned them, after their workers have done with them, as most of a batch are:
    /// it uses their memory again, and keeps up to half a mebibyte of it while it lives.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let sum = pool.spawn(|| (1..=10).sum::<u64>())?;
    /// assert_eq!(sum.join()?, 55);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Hands the closure back, as [`execute`](Self::execute).
    ///
    /// # Blocking
    ///
    /// As [`execute`](Self::execute).
    pub fn spawn<F, T>(&self, job: F) -> Result<JobHandle<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (task, handle) = self.pack(job);
        match self.engine.submit(task, None) {
            Ok(_) => Ok(handle),
            Err(Refused::Closed(task)) => Err(SubmitError::Closed(unpack::<F, T>(task))),
            Err(Refused::WouldDeadlock(task)) => {
                Err(SubmitError::WouldDeadlock(unpack::<F, T>(task)))
            }
            Err(Refused::TimedOut(_)) => unreachable!("no time was set"),
        }
    }

    /// A job as a task to be submitted, and its handle.
    #[inline]
    pub(super) fn pack<F, T>(&self, job: F) -> (Task, JobHandle<T>)
    where
        F: Job<T> + 'static,
        T: Send + 'static,
    {
        let [ours, theirs] = Half::pair(Oneshot::new(Carried::new(job)));
        let task = Task::new(Ticket(theirs));
        let handle = JobHandle {
            // SAFETY: the same pointer, beside which the compiler puts a table.
            promise: unsafe { ours.unsize(|place| place as _) },
            key: self.engine.key(),
            home: Home::again(),
        };
        (task, handle)
    }
}

/// The job of a task that was refused.
pub(super) fn unpack<F: 'static, T: 'static>(task: Task) -> F {
    let ticket: Option<Ticket<F, T>> = task.take_back();
    let ticket = ticket.expect("it comes back to whom it came from");
    let (_nobody_waits, job) = ticket.0.claim().expect("nobody else has had it");
    job.into_inner()
}

/// A job that was [spawned](crate::ThreadPool::spawn), and in the end its result.
///
/// Dropping the handle detaches the job: it runs all the same, its result is dropped, and its
/// panic goes to [`on_panic`](crate::ThreadPoolBuilder::on_panic)'s handler. (A panic that was
/// there when the handle was dropped is dropped with it.) A panic in the `Drop` of a result
/// that nobody takes is swallowed.
///
/// A handle is a [`Future`] that resolves to what [`join`](Self::join) returns. It needs no
/// runtime: the worker that runs the job wakes the task. (One of the pool's own workers that
/// blocks on it, instead of joining, waits for another worker to run the job.)
///
/// # Examples
///
/// ```
/// use workcrew::{JobError, ThreadPool};
///
/// let pool = ThreadPool::new(2)?;
/// let job = pool.spawn(|| -> u32 { panic!("no number") })?;
/// match job.join() {
///     Err(JobError::Panicked(panic)) => assert_eq!(panic.message(), "no number"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a handle detaches its job"]
pub struct JobHandle<T> {
    promise: Half<dyn Promise<T>>,
    /// The engine's: whether the waiter is one of its workers.
    key: usize,
    home: Home,
}

impl<T> JobHandle<T> {
    /// Runs the job here, if it has not started. Returns whether that was in time.
    pub(super) fn run_if_queued(&self) -> bool {
        self.promise.run_if_queued()
    }

    /// Waits for the job to end and returns its result.
    ///
    /// # Errors
    ///
    /// [`JobError::Panicked`] if the job panicked, [`JobError::Cancelled`] if it was dropped
    /// unstarted, by [`cancel`](Self::cancel) or with its pool, [`JobError::Forked`] in a
    /// forked child.
    ///
    /// # Blocking
    ///
    /// Until the job has ended. One of the pool's own workers runs the job itself if it is
    /// still queued, and no other job: so it holds up nobody, and meets no stranger. (Such a
    /// job counts as queued in [`stats`](ThreadPoolHandle::stats) until its turn comes, and
    /// then as completed, whether it panicked or not.) It never returns if the job waits for
    /// the caller.
    ///
    /// # Panics
    ///
    /// If the handle, as a future, has been ready before: then the outcome was taken.
    pub fn join(self) -> Result<T, JobError> {
        if self.home.is_abroad() {
            return Err(JobError::Forked);
        }
        if is_inside(self.key) {
            self.promise.run_if_queued();
        }
        self.promise.join()
    }

    /// As [`join`](Self::join), but waits at most `timeout`, and never runs the job itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(1)?;
    /// let mut job = pool.spawn(|| 2 + 2)?;
    /// let sum = loop {
    ///     match job.join_timeout(Duration::from_millis(10)) {
    ///         Ok(outcome) => break outcome?,
    ///         Err(again) => job = again, // tell the user that it takes longer
    ///     }
    /// };
    /// assert_eq!(sum, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Hands back the handle when the time is up. The job goes on.
    ///
    /// # Blocking
    ///
    /// As [`join`](Self::join), until the time is up.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, JobError>, Self> {
        if self.home.is_abroad() {
            return Ok(Err(JobError::Forked));
        }
        let deadline = sync::deadline(timeout);
        if self.promise.wait(deadline) {
            Ok(self.promise.take())
        } else {
            Err(self)
        }
    }

    /// Whether the job has ended: then [`join`](Self::join) returns at once.
    pub fn is_finished(&self) -> bool {
        self.promise.is_done()
    }

    /// Cancels the job, if it has not started. Returns whether that was in time.
    ///
    /// If it was, the job's closure has been dropped by now, in this thread, and
    /// [`join`](Self::join) returns [`JobError::Cancelled`]. The job keeps its place in the
    /// queue, and counts as queued, until its turn comes. A job that has started is not
    /// touched. In a forked child nothing is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::{JobError, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1)?;
    /// let job = pool.spawn(|| 1)?;
    /// if job.cancel() {
    ///     assert!(matches!(job.join(), Err(JobError::Cancelled)));
    /// } else {
    ///     assert_eq!(job.join()?, 1); // it was faster
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) -> bool {
        !self.home.is_abroad() && self.promise.cancel()
    }
}

/// # Panics
///
/// If it is polled after it has been ready.
///
/// Stores the waker under a lock, for some nanoseconds.
impl<T> Future for JobHandle<T> {
    type Output = Result<T, JobError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.home.is_abroad() {
            return Poll::Ready(Err(JobError::Forked));
        }
        self.promise.poll(context)
    }
}

impl<T> Drop for JobHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if self.home.is_abroad() {
            // What is there is the parent's.
            self.promise.leak();
        } else if let Some(outcome) = self.promise.leave() {
            unwind::drop_quietly(outcome);
        }
    }
}

impl<T> fmt::Debug for JobHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
