//! What the builders of both fronts let their users choose, and the rules for it.

#![forbid(unsafe_code)]

use super::{MAX_WORKERS, ThreadOptions};
use crate::error::BuildError;
use crate::recorder::Wishes;
use crate::sync::{self, Object};
use crate::unwind;

/// The longest queue: more than a directory could address at a sensible price.
pub(crate) const MAX_CAPACITY: usize = 1 << 28;

/// Is told a worker's id, in its thread.
pub(crate) type Hook<'env> = Object<dyn Fn(usize) + Send + Sync + 'env>;

/// What an engine and its crew are made from.
#[derive(Clone)]
pub(crate) struct Settings<'env> {
    pub(crate) workers: usize,
    pub(crate) job_capacity: usize,
    pub(crate) threads: ThreadOptions,
    pub(crate) on_start: Option<Hook<'env>>,
    pub(crate) on_stop: Option<Hook<'env>>,
    pub(crate) wishes: Wishes,
}

impl Settings<'_> {
    /// The builder's shares of the hooks go, quietly: their drops may panic.
    pub(crate) fn discard(self) {
        unwind::drop_quietly(self.on_start);
        unwind::drop_quietly(self.on_stop);
    }

    pub(crate) fn new() -> Self {
        Self {
            workers: sync::available_parallelism(),
            job_capacity: 1024,
            threads: ThreadOptions::default(),
            on_start: None,
            on_stop: None,
            wishes: Wishes::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        match *self {
            Self { workers: 0, .. } => Err(BuildError::ZeroWorkers),
            Self { workers, .. } if workers > MAX_WORKERS => {
                Err(BuildError::TooManyWorkers(MAX_WORKERS))
            }
            Self {
                job_capacity: 0, ..
            } => Err(BuildError::ZeroJobCapacity),
            Self {
                job_capacity,
                wishes,
                ..
            } if job_capacity > MAX_CAPACITY || wishes.exceed(MAX_CAPACITY) => {
                Err(BuildError::CapacityTooLarge(MAX_CAPACITY))
            }
            _ => Ok(()),
        }
    }
}

/// The methods of a builder that has [`Settings`] in `self.settings`.
macro_rules! settings_methods {
    ($env:lifetime) => {
        /// How many worker threads the pool has: 1 to 65,534. Default: the parallelism
        /// that the system offers ([`std::thread::available_parallelism`]), or 1.
        pub fn workers(mut self, workers: usize) -> Self {
            self.settings.workers = workers;
            self
        }

        /// How many accepted jobs may wait to be started: 1 to 2^28. Default: 1024.
        ///
        /// The bound is exact. Memory grows with the number that really wait. If there is no more,
        /// the process is aborted, as by the collections of the standard library.
        pub fn job_capacity(mut self, jobs: usize) -> Self {
            self.settings.job_capacity = jobs;
            self
        }

        /// The threads' names: `name-0`, `name-1`, ... Default: none.
        ///
        /// # Panics
        ///
        /// If the name contains a NUL byte.
        pub fn thread_name(mut self, name: impl Into<String>) -> Self {
            let name = name.into();
            assert!(
                !name.contains('\0'),
                "a thread's name must not contain a NUL byte"
            );
            self.settings.threads.name = Some(name);
            self
        }

        /// The threads' stack size in bytes. Default: the standard library's.
        pub fn stack_size(mut self, bytes: usize) -> Self {
            self.settings.threads.stack_size = Some(bytes);
            self
        }

        /// Is called in each worker's thread with its id, before anything else there. A
        /// panic makes `build` fail.
        ///
        /// # Examples
        ///
        /// ```
        /// use std::sync::Arc;
        /// use std::sync::atomic::{AtomicUsize, Ordering};
        /// use workcrew::ThreadPool;
        ///
        /// let started = Arc::new(AtomicUsize::new(0));
        /// let count = Arc::clone(&started);
        /// let hook = move |_worker| drop(count.fetch_add(1, Ordering::Relaxed));
        /// let _pool = ThreadPool::builder().workers(3).on_start(hook).build()?;
        /// assert_eq!(started.load(Ordering::Relaxed), 3);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn on_start(mut self, hook: impl Fn(usize) + Send + Sync + $env) -> Self {
            self.settings.on_start = Some($crate::sync::Object::new(hook));
            self
        }

        /// Is called in each worker's thread with its id, after its last job. A panic is
        /// swallowed: there is nobody left to tell. If the build fails it is called too,
        /// wherever the start hook has returned.
        pub fn on_stop(mut self, hook: impl Fn(usize) + Send + Sync + $env) -> Self {
            self.settings.on_stop = Some($crate::sync::Object::new(hook));
            self
        }

        /// Remembers the last so many events of each worker, or some more, for
        /// [`Trace`](crate::Trace): 1 to 2^28. Default: none. Only with the feature `trace`.
        ///
        /// Each takes 24 bytes, all of them allocated by `build`, which also takes a
        /// moment to compare two clocks. A job is one event; so is a batch that a worker
        /// takes from the shared queue, a steal, and a sleep.
        #[cfg(feature = "trace")]
        pub fn trace(mut self, events_per_worker: usize) -> Self {
            self.settings.wishes.trace = events_per_worker;
            self
        }

        /// Measures how long each job waits in the queue, and how long it runs, for
        /// [`Histograms`](crate::Histograms), which says what is measured and what that costs.
        /// Default: `false`. Only with the feature `histograms`.
        ///
        /// # Examples
        ///
        /// ```
        /// use workcrew::ThreadPool;
        ///
        /// let pool = ThreadPool::builder().histograms(true).build()?;
        /// pool.execute_all((0..100).map(|_| || ()))?;
        /// pool.wait_idle()?;
        /// assert_eq!(pool.histograms().run_time.count(), 100);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[cfg(feature = "histograms")]
        pub fn histograms(mut self, measure: bool) -> Self {
            self.settings.wishes.histograms = measure;
            self
        }
    };
}
pub(crate) use settings_methods;
