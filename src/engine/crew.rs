//! The crew's threads: made all alike, joined once.

#![forbid(unsafe_code)]

use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex};
use crate::unwind::{Payload, drop_quietly};
use std::io;

/// How threads are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadOptions {
    /// Threads are called `name-0`, `name-1`, ...
    pub(crate) name: Option<String>,
    /// In bytes.
    pub(crate) stack_size: Option<usize>,
}

impl ThreadOptions {
    /// The thread of this worker, to be spawned.
    ///
    /// # Errors
    ///
    /// What a test gave to [`refusal`].
    pub(crate) fn thread(&self, worker: usize) -> io::Result<thread::Builder> {
        refusal::check()?;
        let mut thread = thread::Builder::new();
        if let Some(name) = &self.name {
            thread = thread.name(format!("{name}-{worker}"));
        }
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        Ok(thread)
    }
}

/// Running threads, and what each of them returns in the end.
#[derive(Debug)]
pub(crate) enum Crew<T> {
    /// Ours to join, in order of their worker's id.
    Owned(Vec<JoinHandle<T>>),
    /// A scope joins them. What they return lies here before the engine counts them as
    /// ended.
    #[cfg(not(workcrew_loom))]
    Scoped(crate::sync::Arc<Legacy<T>>),
}

impl<T> Crew<T> {
    /// Waits for all threads. `wait` is for those that are not ours: it returns when the
    /// engine counts all as ended.
    #[cfg_attr(workcrew_loom, expect(unused_variables, reason = "all are ours"))]
    pub(crate) fn join(self, wait: impl FnOnce()) -> Vec<T> {
        match self {
            Self::Owned(threads) => join_each(threads, JoinHandle::join),
            #[cfg(not(workcrew_loom))]
            Self::Scoped(legacy) => {
                wait();
                legacy.take()
            }
        }
    }
}

/// Waits for all threads. A thread's panic cannot be the user's, whose code
/// runs under [`catch`](crate::unwind::catch), so it is passed on.
pub(crate) fn join_each<H, T>(threads: Vec<H>, join: impl Fn(H) -> Result<T, Payload>) -> Vec<T> {
    let ended: Vec<_> = threads.into_iter().map(join).collect();
    ended
        .into_iter()
        .map(|end| end.unwrap_or_else(|bug| std::panic::resume_unwind(bug)))
        .collect()
}

/// What threads leave behind that their pool cannot join.
#[cfg(not(workcrew_loom))]
#[derive(Debug)]
pub(crate) struct Legacy<T>(Mutex<Vec<(usize, T)>>);

#[cfg(not(workcrew_loom))]
impl<T> Legacy<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// For the thread of this worker, once.
    pub(crate) fn leave(&self, worker: usize, value: T) {
        self.0.lock().push((worker, value));
    }

    /// All of it, in order of the workers' ids.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut left = std::mem::take(&mut *self.0.lock());
        left.sort_by_key(|(worker, _)| *worker);
        left.into_iter().map(|(_, value)| value).collect()
    }
}

/// Where the builder waits until each worker is ready, or one has failed.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    ready: usize,
    /// The first worker that failed.
    failed: Option<usize>,
    /// What it panicked with, until the builder has heard of it.
    payload: Option<Payload>,
}

impl Startup {
    /// A worker is ready, or its hook or `init` has panicked.
    pub(crate) fn report(&self, worker: usize, outcome: Result<(), Payload>) {
        let mut progress = self.progress.lock();
        match outcome {
            Ok(()) => progress.ready += 1,
            Err(payload) if progress.failed.is_none() => {
                progress.failed = Some(worker);
                progress.payload = Some(payload);
            }
            Err(payload) => {
                drop_quietly(payload);
            }
        }
        self.changed.notify_one();
    }

    /// Waits for all `workers` to be ready.
    ///
    /// # Errors
    ///
    /// The first worker that failed, with its panic.
    pub(crate) fn wait(&self, workers: usize) -> Result<(), (usize, Payload)> {
        let mut progress = self.progress.lock();
        while progress.ready < workers {
            if let (Some(worker), Some(payload)) = (progress.failed, progress.payload.take()) {
                return Err((worker, payload));
            }
            self.changed.wait(&mut progress);
        }
        Ok(())
    }
}

/// Lets a test play an operating system that refuses a thread.
pub(crate) mod refusal {
    use std::io;

    #[cfg(all(test, not(workcrew_loom)))]
    thread_local! {
        /// Threads that this thread may still start.
        static LEFT: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
    }

    #[cfg(all(test, not(workcrew_loom)))]
    pub(crate) fn after(threads: usize) {
        LEFT.set(threads);
    }

    pub(super) fn check() -> io::Result<()> {
        #[cfg(all(test, not(workcrew_loom)))]
        match LEFT.get() {
            0 => return Err(io::Error::other("no thread for you")),
            usize::MAX => {}
            left => LEFT.set(left - 1),
        }
        Ok(())
    }
}
