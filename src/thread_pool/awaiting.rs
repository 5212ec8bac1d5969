//! The front for closures, for tasks: submitting and waiting by `await`. Feature `async`.
//! (That a [`JobHandle`] is a future needs no feature.)

#![forbid(unsafe_code)]

use super::handle::unpack;
use super::spawn::unpack as unpack_spawned;
use super::task::{Detached, Task};
use super::{JobHandle, ThreadPool, ThreadPoolHandle};
use crate::engine::{Candidate, Refused};
use crate::error::{SubmitError, WaitError};
use std::future;

impl ThreadPoolHandle {
    /// As [`execute`](Self::execute), but awaits the room. Nothing is submitted before the
    /// first poll; dropped before it is ready, it drops the closure unrun. Which task has the
    /// next place is as in [`Handle::submit_async`](crate::Handle::submit_async).
    ///
    /// # Errors
    ///
    /// Hands the closure back: [`SubmitError::Closed`] if the pool was closed before it was
    /// accepted, [`SubmitError::WouldDeadlock`] if the queue is full and this is polled in one
    /// of the pool's own workers (by `block_on` in a job, say).
    pub fn execute_async<F>(&self, job: F) -> impl Future<Output = Result<(), SubmitError<F>>>
    where
        F: FnOnce() + Send + 'static,
    {
        let submitted = self.submit_async(Task::new(Detached::new(job)));
        async {
            submitted
                .await
                .map_err(|refused| handed_back(refused, unpack))
        }
    }

    /// As [`spawn`](Self::spawn), but awaits the room, as [`execute_async`](Self::execute_async).
    /// The handle can be awaited in its turn.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// # smol::future::block_on(async {
    /// let pool = ThreadPool::new(2)?;
    /// let sum = pool.spawn_async(|| (1..=10).sum::<u64>()).await?;
    /// assert_eq!(sum.await?, 55);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Hands the closure back, as [`execute_async`](Self::execute_async).
    pub fn spawn_async<F, T>(
        &self,
        job: F,
    ) -> impl Future<Output = Result<JobHandle<T>, SubmitError<F>>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (task, handle) = self.pack(job);
        let submitted = self.submit_async(task);
        async {
            match submitted.await {
                Ok(()) => Ok(handle),
                Err(refused) => Err(handed_back(refused, unpack_spawned::<F, T>)),
            }
        }
    }

    fn submit_async(&self, task: Task) -> impl Future<Output = Result<(), Refused<Task>>> {
        let mut candidate = Candidate::new(&self.engine, task);
        future::poll_fn(move |context| candidate.poll(context.waker()).map_ok(drop))
    }
}

fn handed_back<F>(refused: Refused<Task>, unpack: impl FnOnce(Task) -> F) -> SubmitError<F> {
    match refused {
        Refused::Closed(task) => SubmitError::Closed(unpack(task)),
        Refused::WouldDeadlock(task) => SubmitError::WouldDeadlock(unpack(task)),
        Refused::TimedOut(_) => unreachable!("no time was set"),
    }
}

impl ThreadPool {
    /// As [`ThreadPoolHandle::execute_async`].
    ///
    /// # Errors
    ///
    /// Hands the closure back; see there.
    pub fn execute_async<F>(&self, job: F) -> impl Future<Output = Result<(), SubmitError<F>>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.handle.execute_async(job)
    }

    /// As [`ThreadPoolHandle::spawn_async`].
    ///
    /// # Errors
    ///
    /// Hands the closure back; see there.
    pub fn spawn_async<F, T>(
        &self,
        job: F,
    ) -> impl Future<Output = Result<JobHandle<T>, SubmitError<F>>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn_async(job)
    }

    /// As [`ThreadPool::wait_idle`], for a task.
    ///
    /// # Errors
    ///
    /// [`WaitError::WouldDeadlock`] if it is polled in one of the pool's own workers,
    /// [`WaitError::Forked`] in a forked child.
    pub fn wait_idle_async(&self) -> impl Future<Output = Result<(), WaitError>> {
        self.handle.engine.idle_async()
    }

    /// As [`ThreadPool::join_timeout`], for a task, and however long it takes: closes the pool
    /// (at once), and awaits that all jobs have run and all threads are at their end. The
    /// pool stays with the caller.
    ///
    /// # Errors
    ///
    /// As [`ThreadPool::wait_idle_async`].
    pub fn join_async(&mut self) -> impl Future<Output = Result<(), WaitError>> {
        self.close();
        self.handle.engine.threads_async()
    }
}
