//! How a pool is made: all of it or nothing.

#![forbid(unsafe_code)]

use super::runner::{PanicHandler, Runner};
use super::task::Task;
use super::{ThreadPool, ThreadPoolHandle};
use crate::engine::{Berth, Crew, Left, Settings, join_each, launch, settings_methods};
use crate::error::{BuildError, JobPanic};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Object};
use crate::unwind;
use std::fmt;

/// Jobs that fit into a worker's nest: a cache line each. A tree of jobs has there what branches
/// off the way to one leaf.
const NESTED: usize = if cfg!(workcrew_loom) { 2 } else { 128 };

/// Configures a [`ThreadPool`]; made by [`ThreadPool::builder`].
///
/// # Examples
///
/// ```
/// use workcrew::ThreadPool;
///
/// let pool = ThreadPool::builder()
///     .workers(2)
///     .job_capacity(100)
///     .thread_name("crew")
///     .stack_size(256 * 1024)
///     .build()?;
/// let name = pool.spawn(|| std::thread::current().name().map(str::to_owned))?;
/// assert!(name.join()?.is_some_and(|name| name.starts_with("crew-")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ThreadPoolBuilder {
    settings: Settings<'static>,
    on_panic: Option<Object<PanicHandler>>,
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::new(),
            on_panic: None,
        }
    }

    settings_methods!('static);

    /// Is called with the worker's id and the panic when a job panics that nobody waits
    /// for, in the worker's thread. Default: nothing, besides what the panic hook prints.
    ///
    /// A panic in the handler is swallowed: there is nobody left to tell.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use workcrew::ThreadPool;
    ///
    /// let messages = Arc::new(Mutex::new(Vec::new()));
    /// let log = Arc::clone(&messages);
    /// let pool = ThreadPool::builder()
    ///     .on_panic(move |_worker, panic| log.lock().unwrap().push(panic.message().to_owned()))
    ///     .build()?;
    /// pool.execute(|| panic!("out of paper"))?;
    /// pool.join()?;
    /// assert_eq!(*messages.lock().unwrap(), ["out of paper"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_panic(mut self, handler: impl Fn(usize, JobPanic) + Send + Sync + 'static) -> Self {
        self.on_panic = Some(Object::new(handler));
        self
    }

    /// Starts the threads and returns the pool.
    ///
    /// All or nothing: when this returns `Ok`, each worker has started.
    ///
    /// # Errors
    ///
    /// A number out of its range, a thread that the system refuses, a panic in the start
    /// hook. Threads that had started are joined.
    pub fn build(self) -> Result<ThreadPool, BuildError> {
        let identity = Arc::new(());
        // Each handle and each thread has a share of it, so no other pool gets this key.
        let key = Arc::as_ptr(&identity).addr();
        let mut threads = Vec::new();
        let spawn = |thread: thread::Builder, berth: Berth<'static, Task>| {
            let engine = Arc::clone(&berth.engine);
            let identity = Arc::clone(&identity);
            let on_panic = self.on_panic.clone();
            threads.push(thread.spawn(move || {
                let runner = berth.live(
                    |worker| Ok(Runner { worker, on_panic }),
                    |left| {
                        if left == Left::Last {
                            super::cancel_queued(&engine);
                        }
                    },
                );
                if let Some(Runner { on_panic, .. }) = runner {
                    unwind::drop_quietly(on_panic);
                }
                engine.thread_ends();
                drop(identity);
            })?);
            Ok(())
        };
        let checked = self.settings.check();
        let built = match checked.and_then(|()| launch(&self.settings, NESTED, key, spawn)) {
            Ok(engine) => Ok(ThreadPool {
                handle: ThreadPoolHandle { engine, identity },
                crew: Some(Crew::Owned(threads)),
            }),
            Err(error) => {
                join_each(threads, JoinHandle::join);
                Err(error)
            }
        };
        unwind::drop_quietly(self.on_panic);
        self.settings.discard();
        built
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("workers", &self.settings.workers)
            .field("job_capacity", &self.settings.job_capacity)
            .field("threads", &self.settings.threads)
            .finish_non_exhaustive()
    }
}
