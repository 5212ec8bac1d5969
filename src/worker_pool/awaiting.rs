//! The typed front for tasks: submitting, taking and waiting by `await`. Feature `async`.
//!
//! No executor is needed or chosen: who makes room, delivers or ends wakes the task.

#![forbid(unsafe_code)]

use super::handle::not_submitted;
use super::{Handle, Map, MapOrdered, Outcome, Results, WorkerPool};
use crate::engine::Candidate;
use crate::error::{RecvError, SubmitError, WaitError};
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A job that is submitted as soon as there is room; made by [`Handle::submit_async`].
///
/// Resolves to what [`Handle::submit`] returns: the job's index, or the job itself inside the
/// error. Until then the job is not accepted, and has no place in the queue. Dropping this
/// drops the job; whoever wants it back, after a timeout for instance, polls a reference
/// (`&mut submission`) and calls [`Submission::into_job`].
///
/// # Panics
///
/// If it is polled after it has been ready.
#[must_use = "futures do nothing unless polled"]
pub struct Submission<'a, J>(Candidate<'a, J>);

impl<J> Submission<'_, J> {
    /// Gives up, and returns the job; `None` if it was submitted or handed back.
    pub fn into_job(self) -> Option<J> {
        self.0.into_job()
    }
}

impl<J> Future for Submission<'_, J> {
    type Output = Result<u64, SubmitError<J>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0
            .poll(context.waker())
            .map(|submitted| submitted.map_err(not_submitted))
    }
}

/// The job is not pinned.
impl<J> Unpin for Submission<'_, J> {}

impl<J> fmt::Debug for Submission<'_, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").finish_non_exhaustive()
    }
}

impl<J: Send, R: Send> Handle<J, R> {
    /// As [`Handle::submit`], but awaits the room: see [`Submission`].
    ///
    /// Nothing is submitted before the first poll. Tasks that wait for room are woken in the
    /// order in which they began to wait, one for each free place; beside them threads that
    /// wait in [`submit`](Handle::submit) are woken, and whoever comes first has the place. One
    /// that came too late keeps its turn.
    ///
    /// # Cancel safety
    ///
    /// A submission that is dropped has submitted nothing, and gives its turn to the next.
    /// One that was woken and is neither polled nor dropped may keep others waiting.
    ///
    /// # Errors
    ///
    /// Hands the job back: [`SubmitError::Closed`] if the pool was closed before it was
    /// accepted, [`SubmitError::WouldDeadlock`] if the queue is full and it is polled in one of
    /// the pool's own workers (by `block_on` in a job, say).
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// # smol::future::block_on(async {
    /// let (pool, mut results) = WorkerPool::<u64, u64>::builder()
    ///     .job_capacity(1)
    ///     .build(|job, _ctx| job * job)?;
    /// let mut sum = 0;
    /// for job in 1..=10 {
    ///     pool.submit_async(job).await?;
    ///     sum += results.recv_async().await?.result.unwrap();
    /// }
    /// assert_eq!(sum, 385);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn submit_async(&self, job: J) -> Submission<'_, J> {
        Submission(Candidate::new(&self.engine, job))
    }
}

impl<J: Send, R: Send, S: Send> WorkerPool<J, R, S> {
    /// As [`Handle::submit_async`].
    ///
    /// # Errors
    ///
    /// Hands the job back; see there.
    pub fn submit_async(&self, job: J) -> Submission<'_, J> {
        self.handle.submit_async(job)
    }

    /// As [`WorkerPool::wait_idle`], for a task.
    ///
    /// # Errors
    ///
    /// [`WaitError::WouldDeadlock`] if it is polled in one of the pool's own workers,
    /// [`WaitError::Forked`] in a forked child.
    pub fn wait_idle_async(&self) -> impl Future<Output = Result<(), WaitError>> {
        self.handle.engine.idle_async()
    }

    /// As [`WorkerPool::join_timeout`], for a task, and however long it takes: closes the pool
    /// (at once), and awaits that all jobs have run and all threads are at their end. The
    /// pool stays with the caller, and can be waited for again; then
    /// [`WorkerPool::shutdown`] returns the states without having to wait for jobs.
    ///
    /// # Errors
    ///
    /// As [`WorkerPool::wait_idle_async`].
    pub fn join_async(&mut self) -> impl Future<Output = Result<(), WaitError>> {
        self.close();
        self.handle.engine.threads_async()
    }
}

/// What [`Results::recv_async`] returns.
struct Recv<'a, R: Send>(&'a mut Results<R>);

impl<R: Send> Future for Recv<'_, R> {
    type Output = Result<Outcome<R>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_recv(context.waker())
    }
}

impl<R: Send> Drop for Recv<'_, R> {
    fn drop(&mut self) {
        self.0.leave_line();
    }
}

impl<R: Send> Results<R> {
    /// As [`Results::recv`], for a task.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped no outcome is lost: what this handle has claimed it returns next. And
    /// if it was woken in vain, another task is woken in its place.
    ///
    /// # Errors
    ///
    /// [`RecvError::Ended`] when the pool is closed and all is delivered, and
    /// [`RecvError::WouldDeadlock`] if nothing is there and it is polled in one of the pool's own
    /// workers.
    pub fn recv_async(&mut self) -> impl Future<Output = Result<Outcome<R>, RecvError>> {
        Recv(self)
    }
}

/// The outcomes of a [`Results`] handle as a [`Stream`]; made by [`Results::stream`].
///
/// Ends as the iterator does. One that was polled and is then left alone, neither polled again
/// nor dropped, may be woken for an outcome that another task waits for, as long as nothing else
/// is delivered.
///
/// # Panics
///
/// `poll_next` panics in one of the pool's own workers if nothing is there; use
/// [`Results::recv_async`] or [`Results::try_recv`] there.
#[must_use = "streams do nothing unless polled"]
pub struct ResultStream<'a, R: Send>(&'a mut Results<R>);

impl<R: Send> Results<R> {
    /// The outcomes as a stream. Several tasks may take, each from a clone of this handle, and
    /// threads beside them.
    ///
    /// # Examples
    ///
    /// ```
    /// use smol::stream::StreamExt;
    /// use workcrew::WorkerPool;
    ///
    /// # smol::future::block_on(async {
    /// let (pool, mut results) = WorkerPool::<u64, u64>::builder().build(|job, _ctx| job * job)?;
    /// pool.submit_all(1..=10)?;
    /// pool.close();
    /// let squares = results.stream().map(|outcome| outcome.result.unwrap());
    /// assert_eq!(squares.fold(0, |sum, square| sum + square).await, 385);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn stream(&mut self) -> ResultStream<'_, R> {
        ResultStream(self)
    }
}

impl<R: Send> Stream for ResultStream<'_, R> {
    type Item = Outcome<R>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let taken = self.get_mut().0.poll_recv(context.waker());
        taken.map(|taken| match taken {
            Ok(outcome) => Some(outcome),
            Err(RecvError::Ended) => None,
            Err(error @ RecvError::WouldDeadlock) => panic!("{error}"),
        })
    }
}

impl<R: Send> Drop for ResultStream<'_, R> {
    fn drop(&mut self) {
        self.0.leave_line();
    }
}

impl<R: Send> fmt::Debug for ResultStream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResultStream").field(&self.0).finish()
    }
}

/// A [`Map`] or [`MapOrdered`] as a [`Stream`]; made by [`into_stream`](Map::into_stream).
///
/// It yields what the iterator yields, submits when it is polled, and waits for room and for
/// outcomes at once. Dropping it half-way is as with the iterator.
///
/// # Panics
///
/// As the iterator.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct MapStream<M>(M);

/// Nothing in it is pinned.
impl<M> Unpin for MapStream<M> {}

/// Defines what the two maps offer alike.
macro_rules! streams {
    ($name:ident) => {
        impl<'a, I: Iterator, R: Send> $name<'a, I, R>
        where
            I::Item: Send,
        {
            /// The same as a stream.
            ///
            /// # Examples
            ///
            /// ```
            /// use smol::stream::StreamExt;
            /// use workcrew::WorkerPool;
            ///
            /// # smol::future::block_on(async {
            /// let (pool, mut results) = WorkerPool::<u64, u64>::builder()
            ///     .job_capacity(1)
            ///     .build(|job, _ctx| job * job)?;
            /// let squares = pool.map(&mut results, 1..=10).into_stream();
            /// let squares = squares.map(|outcome| outcome.result.unwrap());
            /// assert_eq!(squares.fold(0, |sum, square| sum + square).await, 385);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).unwrap();
            /// ```
            pub fn into_stream(self) -> MapStream<Self> {
                MapStream(self)
            }
        }

        impl<I: Iterator, R: Send> Stream for MapStream<$name<'_, I, R>>
        where
            I::Item: Send,
        {
            type Item = Outcome<R>;

            fn poll_next(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                self.0.0.poll_next(context.waker())
            }
        }
    };
}

streams!(Map);
streams!(MapOrdered);
