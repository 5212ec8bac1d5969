//! What a running job sees of its pool.

#![forbid(unsafe_code)]

use crate::carried::Carried;
use crate::engine::Desk;
use std::fmt;

/// A running job's view of its worker and its pool; the worker function's second
/// argument.
///
/// # Examples
///
/// A job that makes more jobs, and a state that each worker keeps:
///
/// ```
/// use workcrew::WorkerPool;
///
/// let (pool, results) = WorkerPool::<u32, ()>::builder()
///     .workers(2)
///     .init(|_worker| 0_u64)
///     .build(|depth, ctx| {
///         *ctx.state += 1;
///         if depth > 0 {
///             ctx.push(depth - 1);
///             ctx.push(depth - 1);
///         }
///     })?;
/// pool.submit(3)?;
/// drop(results);
/// let runs: u64 = pool.shutdown()?.iter().sum();
/// assert_eq!(runs, 15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Context<'a, J, S = ()> {
    /// The worker's own state, made by [`Builder::init`](crate::Builder::init).
    /// Nobody else ever sees it.
    pub state: &'a mut S,
    pub(super) desk: Desk<'a, Carried<J>>,
}

impl<J: Send, S> Context<'_, J, S> {
    /// The worker that runs the job: `0..workers`, stable for the pool's life.
    pub fn worker(&self) -> usize {
        self.desk.worker()
    }

    /// The index that `submit` gave out for the job, or for the submitted job from
    /// which this follow-up descends.
    pub fn index(&self) -> u64 {
        self.desk.index()
    }

    /// Adds a follow-up job, which any worker may run.
    ///
    /// It does not count against the job capacity, is accepted even after `close`,
    /// and keeps the pool open until it has run. Its outcome bears the index of
    /// the job that pushed it. Never waits, and is lock-free.
    ///
    /// # Panics
    ///
    /// If more than 3.6 million follow-up jobs wait that found their workers' own
    /// deques full. (The job that pushed then ends as panicked, and the one that
    /// could not be pushed is dropped.)
    pub fn push(&mut self, job: J) {
        self.desk.push(Carried::new(job));
    }

    /// Whether the pool is being shut down without its queued jobs
    /// ([`shutdown_now`](crate::WorkerPool::shutdown_now), or a drop while
    /// panicking), or all jobs were cancelled since this one was submitted
    /// ([`cancel_all`](crate::WorkerPool::cancel_all)), so that a long job may want to end
    /// early. What was done before that call is seen by a job that gets `true`.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let (pool, results) = WorkerPool::<(), &str>::builder().workers(1).build(|(), ctx| {
    ///     while !ctx.is_cancelled() {
    ///         std::thread::yield_now(); // a piece of the work
    ///     }
    ///     "as far as I came"
    /// })?;
    /// pool.submit(())?;
    /// pool.cancel_all()?;
    /// pool.close();
    /// for outcome in results {
    ///     match outcome.result {
    ///         Ok(part) => assert_eq!(part, "as far as I came"),
    ///         Err(error) => println!("{error}"), // it had not started
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.desk.is_cancelled()
    }
}

impl<J, S> fmt::Debug for Context<'_, J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
