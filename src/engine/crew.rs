//! The crew's threads: started all or none, joined once.

#![forbid(unsafe_code)]

use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex};
use crate::unwind::{Payload, drop_each_quietly, drop_quietly};
use std::io;

/// How threads are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadOptions {
    /// Threads are called `name-0`, `name-1`, ...
    pub(crate) name: Option<String>,
    /// In bytes.
    pub(crate) stack_size: Option<usize>,
}

/// Running threads, in order of their worker's id.
#[derive(Debug)]
pub(crate) struct Crew<T>(Vec<JoinHandle<T>>);

impl<T: Send + 'static> Crew<T> {
    /// Starts a thread for each body.
    ///
    /// # Errors
    ///
    /// The system's, when it refuses a thread. `give_up` is called then, which must
    /// make the bodies end, and the threads that had started are joined.
    pub(crate) fn start<B>(
        bodies: impl Iterator<Item = B>,
        options: &ThreadOptions,
        give_up: impl FnOnce(),
    ) -> io::Result<Self>
    where
        B: FnOnce() -> T + Send + 'static,
    {
        let mut crew = Self(Vec::with_capacity(bodies.size_hint().0));
        for (worker, body) in bodies.enumerate() {
            let mut thread = thread::Builder::new();
            if let Some(name) = &options.name {
                thread = thread.name(format!("{name}-{worker}"));
            }
            if let Some(bytes) = options.stack_size {
                thread = thread.stack_size(bytes);
            }
            match refusal::check().and_then(|()| thread.spawn(body)) {
                Ok(handle) => crew.0.push(handle),
                Err(error) => {
                    give_up();
                    drop_each_quietly(crew.join());
                    return Err(error);
                }
            }
        }
        Ok(crew)
    }

    /// Waits for all threads. A thread's panic cannot be the user's, whose code
    /// runs under [`catch`](crate::unwind::catch), so it is passed on.
    pub(crate) fn join(self) -> Vec<T> {
        let ended: Vec<_> = self.0.into_iter().map(JoinHandle::join).collect();
        ended
            .into_iter()
            .map(|end| end.unwrap_or_else(|bug| std::panic::resume_unwind(bug)))
            .collect()
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
