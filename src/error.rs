//! The errors of the crate. Each says what went wrong and hands back what it was
//! given.

#![forbid(unsafe_code)]

use crate::sync::Mutex;
use crate::unwind::{Payload, message};
use std::error::Error;
use std::{fmt, io};

/// Why [`Builder::build`](crate::Builder::build) failed. No thread is left behind.
///
/// # Examples
///
/// ```
/// use workcrew::{BuildError, ThreadPool};
///
/// let error = ThreadPool::new(0).unwrap_err();
/// assert!(matches!(error, BuildError::ZeroWorkers));
/// assert_eq!(error.to_string(), "a pool needs at least 1 worker");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A pool needs at least one worker.
    ZeroWorkers,
    /// More workers than a pool can have. The field is the limit.
    TooManyWorkers(usize),
    /// The jobs queue needs room for at least one job.
    ZeroJobCapacity,
    /// The results queue needs room for at least one result.
    ZeroResultCapacity,
    /// A queue cannot be that long. The field is the limit, in jobs or results.
    CapacityTooLarge(usize),
    /// The operating system refused a thread.
    Thread(io::Error),
    /// The start hook or `init` panicked.
    Startup {
        /// The worker that was being started.
        worker: usize,
        /// What it panicked with.
        panic: JobPanic,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroWorkers => f.write_str("a pool needs at least 1 worker"),
            Self::TooManyWorkers(limit) => write!(f, "a pool has at most {limit} workers"),
            Self::ZeroJobCapacity => f.write_str("the job capacity must be at least 1"),
            Self::ZeroResultCapacity => f.write_str("the result capacity must be at least 1"),
            Self::CapacityTooLarge(limit) => write!(f, "a capacity is at most {limit}"),
            Self::Thread(_) => f.write_str("the operating system refused a thread"),
            Self::Startup { worker, panic } => {
                write!(
                    f,
                    "worker {worker} could not start: it panicked: {}",
                    panic.message()
                )
            }
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Thread(error) => error,
            BuildError::Startup { .. } => Self::other(error),
            _ => Self::new(io::ErrorKind::InvalidInput, error),
        }
    }
}

/// Defines an error that hands a job back.
macro_rules! hands_back_a_job {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $message:literal,)+ }
    ) => {
        $(#[$doc])*
        #[non_exhaustive]
        pub enum $name<J> {
            $($(#[$variant_doc])* $variant(J),)+
        }

        impl<J> $name<J> {
            /// The job that was not accepted.
            pub fn into_job(self) -> J {
                match self {
                    $(Self::$variant(job) => job,)+
                }
            }
        }

        /// Does not need `J: Debug`.
        impl<J> fmt::Debug for $name<J> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(_) => f.write_str(concat!(stringify!($variant), "(..)")),)+
                }
            }
        }

        impl<J> fmt::Display for $name<J> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(_) => f.write_str($message),)+
                }
            }
        }

        impl<J> Error for $name<J> {}
    };
}

hands_back_a_job! {
    /// Why `submit` did not accept a job. The job is inside.
    SubmitError {
        /// The pool was closed before the job was accepted.
        Closed => "the pool is closed",
        /// The queue is full and the caller is one of the pool's own workers, which
        /// would wait for itself.
        WouldDeadlock => "a worker cannot wait for room in its own pool",
    }
}

hands_back_a_job! {
    /// Why `try_submit` did not accept a job. The job is inside.
    TrySubmitError {
        /// `job_capacity` jobs were waiting or being submitted.
        Full => "the jobs queue is full",
        /// The pool was closed before the job was accepted.
        Closed => "the pool is closed",
    }
}

hands_back_a_job! {
    /// Why `submit_timeout` did not accept a job. The job is inside.
    SubmitTimeoutError {
        /// The queue was full until the time was up.
        Timeout => "the jobs queue stayed full",
        /// The pool was closed before the job was accepted.
        Closed => "the pool is closed",
        /// The queue is full and the caller is one of the pool's own workers, which
        /// would wait for itself.
        WouldDeadlock => "a worker cannot wait for room in its own pool",
    }
}

/// Why `submit_all` stopped before the end of its iterator.
pub struct SubmitAllError<I: Iterator> {
    pub(crate) accepted: u64,
    pub(crate) would_deadlock: bool,
    pub(crate) rejected: std::vec::IntoIter<I::Item>,
    /// `None` once it has ended.
    pub(crate) rest: Option<I>,
}

impl<I: Iterator> SubmitAllError<I> {
    /// How many jobs were accepted before.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether it stopped because the caller is one of the pool's own workers and
    /// would have had to wait; else the pool was closed.
    pub fn would_deadlock(&self) -> bool {
        self.would_deadlock
    }

    /// The jobs that were not accepted, in order: those already drawn from the
    /// iterator, then the rest of it, untouched.
    pub fn into_jobs(self) -> impl Iterator<Item = I::Item> {
        self.rejected.chain(self.rest.into_iter().flatten())
    }
}

impl<I: Iterator> fmt::Debug for SubmitAllError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitAllError")
            .field("accepted", &self.accepted)
            .field("would_deadlock", &self.would_deadlock)
            .finish_non_exhaustive()
    }
}

impl<I: Iterator> fmt::Display for SubmitAllError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.would_deadlock {
            "a worker cannot wait for room in its own pool"
        } else {
            "the pool is closed"
        };
        write!(f, "{why}, after {} accepted jobs", self.accepted)
    }
}

impl<I: Iterator> Error for SubmitAllError<I> {}

/// Why a job has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// The job, or the making of its worker's state, panicked.
    Panicked(JobPanic),
    /// The job was dropped before it started: [`Handle::cancel`](crate::Handle::cancel),
    /// [`Handle::cancel_all`](crate::Handle::cancel_all) or
    /// [`JobHandle::cancel`](crate::JobHandle::cancel) was asked to, a map was dropped
    /// half-way, or the pool was torn down without it.
    Cancelled,
    /// The caller is a forked child of the process that the job was submitted in. (Only
    /// from a [`JobHandle`](crate::JobHandle).)
    Forked,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => write!(f, "the job panicked: {}", panic.message()),
            Self::Cancelled => f.write_str("the job was cancelled before it started"),
            Self::Forked => f.write_str("the job was submitted before a fork, in the parent"),
        }
    }
}

impl Error for JobError {}

/// Why [`WorkerPool::try_map`](crate::WorkerPool::try_map) or a
/// [`Group`](crate::Group) stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The job returned this error.
    Job(E),
    /// The job panicked, or somebody else cancelled it.
    NoResult(JobError),
    /// The pool was closed before the job was accepted, or ended before its outcome came
    /// to this taker. (Not in a group, whose jobs run all the same.)
    Closed,
    /// The group's limit was zero, which no job can keep to. (Only in a group.)
    ZeroLimit,
}

impl<E: Error + 'static> Failure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Job(error) => Some(error),
            Self::NoResult(error) => Some(error),
            Self::Closed | Self::ZeroLimit => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(error) => error.fmt(f),
            Self::NoResult(error) => error.fmt(f),
            Self::Closed => f.write_str("the pool is closed"),
            Self::ZeroLimit => f.write_str("the group's limit must be at least 1"),
        }
    }
}

/// The first failure of a [`WorkerPool::try_map`](crate::WorkerPool::try_map), and
/// everything else that came of its jobs. Positions are those of the input, from 0.
///
/// Jobs that are in none of the lists were cancelled before they started.
#[non_exhaustive]
pub struct TryMapError<I: Iterator, T, E> {
    /// Where the job that failed first (by the time of its outcome) stood.
    pub position: usize,
    /// Why it failed.
    pub failure: Failure<E>,
    /// The results of the jobs that succeeded, in order.
    pub finished: Vec<(usize, T)>,
    /// Why others failed that had started before they could be cancelled, in order.
    pub failures: Vec<(usize, Failure<E>)>,
    /// The jobs that were not submitted.
    pub jobs: Unsubmitted<I>,
}

impl<I: Iterator, T, E: fmt::Debug> fmt::Debug for TryMapError<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryMapError")
            .field("position", &self.position)
            .field("failure", &self.failure)
            .field("finished", &self.finished.len())
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl<I: Iterator, T, E: fmt::Display> fmt::Display for TryMapError<I, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the job at position {}: {}", self.position, self.failure)
    }
}

impl<I: Iterator, T, E: Error + 'static> Error for TryMapError<I, T, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure.source()
    }
}

/// The first failure of a [`Group`](crate::Group), and everything else that came of its
/// jobs. Indices are what [`Group::spawn`](crate::Group::spawn) returned.
#[non_exhaustive]
pub struct GroupError<T, E> {
    /// Which job failed first: it stopped the others.
    pub index: usize,
    /// Why it failed.
    pub failure: Failure<E>,
    /// The results of the jobs that succeeded, in order.
    pub finished: Vec<(usize, T)>,
    /// Why others failed that had started by then, in order.
    pub failures: Vec<(usize, Failure<E>)>,
    /// How many jobs were dropped unrun.
    pub cancelled: usize,
}

impl<T, E: fmt::Debug> fmt::Debug for GroupError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupError")
            .field("index", &self.index)
            .field("failure", &self.failure)
            .field("finished", &self.finished.len())
            .field("failures", &self.failures)
            .field("cancelled", &self.cancelled)
            .finish()
    }
}

impl<T, E: fmt::Display> fmt::Display for GroupError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            failure @ Failure::ZeroLimit => failure.fmt(f),
            failure => write!(f, "job {} of the group: {failure}", self.index),
        }
    }
}

impl<T, E: Error + 'static> Error for GroupError<T, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure.source()
    }
}

/// The jobs of an iterator that were not submitted, in order: the one that was drawn and
/// found no room, if any, and the rest of the iterator, untouched.
pub struct Unsubmitted<I: Iterator> {
    pub(crate) pending: Option<I::Item>,
    pub(crate) rest: Option<I>,
}

impl<I: Iterator> Iterator for Unsubmitted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.pending.take().or_else(|| self.rest.as_mut()?.next())
    }
}

impl<I: Iterator> fmt::Debug for Unsubmitted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsubmitted").finish_non_exhaustive()
    }
}

/// The first error of a [`ThreadPool::try_map`](crate::ThreadPool::try_map), and everything
/// else that came of it. Positions are those of the slice, from 0.
///
/// Items that are in none of the lists were skipped.
#[non_exhaustive]
pub struct MapError<R, E> {
    /// Where the item stood whose call failed first, by time.
    pub position: usize,
    /// What that call returned.
    pub error: E,
    /// The results of the calls that succeeded, in order.
    pub finished: Vec<(usize, R)>,
    /// The errors of other calls, which had begun by then, in order.
    pub failures: Vec<(usize, E)>,
}

impl<R, E: fmt::Debug> fmt::Debug for MapError<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapError")
            .field("position", &self.position)
            .field("error", &self.error)
            .field("finished", &self.finished.len())
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl<R, E: fmt::Display> fmt::Display for MapError<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the item at position {}: {}", self.position, self.error)
    }
}

impl<R, E: Error + 'static> Error for MapError<R, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Why a [`ThreadPool::broadcast`](crate::ThreadPool::broadcast) did not reach each worker.
#[non_exhaustive]
pub enum BroadcastError<T> {
    /// The pool was closed before it was accepted: nobody called the function.
    Closed,
    /// The pool was shut down before each worker had called the function.
    Cancelled {
        /// What the calls returned of those workers that had, with their ids, in order.
        finished: Vec<(usize, T)>,
    },
    /// The caller is one of the pool's own workers, which would wait for itself and for
    /// workers that wait for it.
    WouldDeadlock,
}

impl<T> fmt::Debug for BroadcastError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("Closed"),
            Self::Cancelled { finished } => f
                .debug_struct("Cancelled")
                .field("finished", &finished.len())
                .finish(),
            Self::WouldDeadlock => f.write_str("WouldDeadlock"),
        }
    }
}

impl<T> fmt::Display for BroadcastError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the pool is closed",
            Self::Cancelled { .. } => "the pool was shut down before each worker was reached",
            Self::WouldDeadlock => "a worker cannot wait for all workers of its own pool",
        })
    }
}

impl<T> Error for BroadcastError<T> {}

/// What a panic left behind.
///
/// One pointer wide, so that it does not widen a result that has none.
pub struct JobPanic(Box<Caught>);

struct Caught {
    message: String,
    /// A payload is `Send` only; the lock, never contended, makes it `Sync`.
    payload: Mutex<Payload>,
}

impl JobPanic {
    pub(crate) fn new(payload: Payload) -> Self {
        Self(Box::new(Caught {
            message: message(&payload).to_owned(),
            payload: Mutex::new(payload),
        }))
    }

    /// The panic's message, or a phrase that says it had none.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was passed to `panic_any`, for [`std::panic::resume_unwind`].
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::{JobError, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1)?;
    /// let job = pool.spawn(|| -> u32 { std::panic::panic_any(404_u16) })?;
    /// let Err(JobError::Panicked(panic)) = job.join() else {
    ///     unreachable!("it panics");
    /// };
    /// assert_eq!(panic.into_payload().downcast_ref::<u16>(), Some(&404));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_payload(self) -> Box<dyn std::any::Any + Send> {
        self.0.payload.into_inner()
    }
}

impl fmt::Debug for JobPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobPanic").field(&self.message()).finish()
    }
}

/// Defines an error without content.
macro_rules! plain_error {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $message:literal,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $message,)+
                })
            }
        }

        impl Error for $name {}
    };
}

plain_error! {
    /// Why [`Results::recv`](crate::Results::recv) has nothing to return.
    RecvError {
        /// The pool is closed and everything has been delivered.
        Ended => "the pool has ended and all results are delivered",
        /// The caller is one of the pool's own workers, and would have to wait.
        WouldDeadlock => "a worker cannot wait for its own pool's results",
    }
}

plain_error! {
    /// Why [`Results::try_recv`](crate::Results::try_recv) has nothing to return.
    TryRecvError {
        /// No result is there now.
        Empty => "no result is there now",
        /// The pool is closed and everything has been delivered.
        Ended => "the pool has ended and all results are delivered",
    }
}

plain_error! {
    /// Why [`Results::recv_timeout`](crate::Results::recv_timeout) has nothing to return.
    RecvTimeoutError {
        /// No result came until the time was up.
        Timeout => "no result came in time",
        /// The pool is closed and everything has been delivered.
        Ended => "the pool has ended and all results are delivered",
        /// The caller is one of the pool's own workers, and would have to wait.
        WouldDeadlock => "a worker cannot wait for its own pool's results",
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Ended => Self::Ended,
            RecvError::WouldDeadlock => Self::WouldDeadlock,
        }
    }
}

plain_error! {
    /// Why [`Handle::cancel`](crate::Handle::cancel) could not cancel a job, or
    /// [`Handle::cancel_all`](crate::Handle::cancel_all) all (only if forked). Nothing
    /// happened.
    CancelError {
        /// No job has been given this index yet.
        NotSubmitted => "no job with this index has been submitted",
        /// Too many other jobs have been cancelled that are still queued, or that ended
        /// since the pool was last idle.
        Crowded => "too many cancelled jobs are still queued",
        /// The caller is a forked child of the process that built the pool.
        Forked => "the pool was built before a fork, and has no workers in the child",
    }
}

plain_error! {
    /// Why the end of a pool could not be waited for.
    JoinError {
        /// The caller is one of the pool's own workers, which would wait for itself.
        /// The pool is closed, and its threads end by themselves.
        WouldDeadlock => "a worker cannot wait for its own pool to end",
        /// The caller is a forked child of the process that built the pool: there are no
        /// workers here. The pool and its jobs are the parent's.
        Forked => "the pool was built before a fork, and has no workers in the child",
    }
}

plain_error! {
    /// Why a pool could not be waited for.
    WaitError {
        /// The caller is one of the pool's own workers, which would wait for itself.
        WouldDeadlock => "a worker cannot wait for its own pool",
        /// The caller is a forked child of the process that built the pool.
        Forked => "the pool was built before a fork, and has no workers in the child",
    }
}

impl From<WaitError> for WaitTimeoutError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::WouldDeadlock => Self::WouldDeadlock,
            WaitError::Forked => Self::Forked,
        }
    }
}

plain_error! {
    /// Why a pool was not waited for to the end.
    WaitTimeoutError {
        /// It was not yet so when the time was up.
        Timeout => "the pool was not ready in time",
        /// The caller is one of the pool's own workers, which would wait for itself.
        WouldDeadlock => "a worker cannot wait for its own pool",
        /// The caller is a forked child of the process that built the pool.
        Forked => "the pool was built before a fork, and has no workers in the child",
    }
}
