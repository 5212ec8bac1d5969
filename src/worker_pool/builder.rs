//! How a pool is made: all of it or nothing.

#![forbid(unsafe_code)]

use super::handle::Handle;
use super::outbox::{Outbox, Outlet};
use super::runner::{Init, Runner};
use super::{Context, Results, WorkerPool};
use crate::deque::Local;
use crate::engine::{
    Crew, Engine, Entry, Exit, Inside, MAX_WORKERS, Startup, ThreadOptions, Worker, join_each,
};
use crate::error::{BuildError, JobPanic};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{self, Arc, Object};
use crate::unwind;
use std::marker::PhantomData;
use std::{fmt, io};

/// More than a queue's directory could address at a sensible price.
const MAX_CAPACITY: usize = 1 << 28;

type Hook<'env> = Object<dyn Fn(usize) + Send + Sync + 'env>;

/// Configures a [`WorkerPool`]; made by [`WorkerPool::builder`].
///
/// The hooks and `init` may borrow what lives for `'env`; then the pool can be built by
/// [`scope`](Self::scope) alone.
#[must_use = "a builder does nothing until `build` or `scope`"]
pub struct Builder<'env, J, R, S = ()> {
    workers: usize,
    job_capacity: usize,
    result_capacity: usize,
    threads: ThreadOptions,
    on_start: Option<Hook<'env>>,
    on_stop: Option<Hook<'env>>,
    init: Object<Init<'env, S>>,
    types: PhantomData<fn(J) -> R>,
}

impl<J, R> Builder<'_, J, R> {
    pub(super) fn new() -> Self {
        Self {
            workers: sync::available_parallelism(),
            job_capacity: 1024,
            result_capacity: 1024,
            threads: ThreadOptions::default(),
            on_start: None,
            on_stop: None,
            init: Object::new(|_| ()),
            types: PhantomData,
        }
    }
}

impl<'env, J, R, S> Builder<'env, J, R, S> {
    /// How many worker threads the pool has: 1 to 65,534. Default: the parallelism
    /// that the system offers ([`std::thread::available_parallelism`]), or 1.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many accepted jobs may wait to be started: 1 to 2^28. Default: 1024.
    ///
    /// The bound is exact. Memory grows with the number that really wait.
    pub fn job_capacity(mut self, jobs: usize) -> Self {
        self.job_capacity = jobs;
        self
    }

    /// How many results may wait to be taken: 1 to 2^28. Default: 1024.
    ///
    /// A worker whose result comes on top of these waits, with its result in its
    /// hand, where takers can take it too, before it starts another job.
    pub fn result_capacity(mut self, results: usize) -> Self {
        self.result_capacity = results;
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
        self.threads.name = Some(name);
        self
    }

    /// The threads' stack size in bytes. Default: the standard library's.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.threads.stack_size = Some(bytes);
        self
    }

    /// Is called in each worker's thread with its id, before `init`. A panic makes
    /// `build` fail.
    pub fn on_start(mut self, hook: impl Fn(usize) + Send + Sync + 'env) -> Self {
        self.on_start = Some(Object::new(hook));
        self
    }

    /// Is called in each worker's thread with its id, after its last job. A panic is
    /// swallowed: there is nobody left to tell.
    pub fn on_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'env) -> Self {
        self.on_stop = Some(Object::new(hook));
        self
    }

    /// Gives each worker a state of its own, made in its thread by `init(worker)`.
    ///
    /// Jobs get it as [`Context::state`]. After a job has panicked its worker's state
    /// is dropped and made again; if that panics too it is tried once more for the
    /// next job, which ends as panicked if it is in vain. `shutdown` returns the
    /// states. A panic of the first `init` makes `build` fail.
    pub fn init<T>(self, init: impl Fn(usize) -> T + Send + Sync + 'env) -> Builder<'env, J, R, T> {
        let Self {
            workers,
            job_capacity,
            result_capacity,
            threads,
            on_start,
            on_stop,
            init: _,
            types,
        } = self;
        let init = Object::new(init);
        Builder {
            workers,
            job_capacity,
            result_capacity,
            threads,
            on_start,
            on_stop,
            init,
            types,
        }
    }

    /// Starts all threads by `spawn`, and waits until each worker is ready.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`]. Threads that had started end; the caller joins them.
    pub(super) fn start<F>(
        self,
        function: F,
        mut spawn: impl FnMut(thread::Builder, Seat<'env, J, R, S, F>) -> io::Result<()>,
    ) -> Result<(Handle<J, R>, Results<R>), BuildError>
    where
        J: Send,
        R: Send,
    {
        self.check()?;
        let (outbox, outlets) = Outbox::new(self.workers, self.result_capacity);
        let outbox = Arc::new(outbox);
        let key = Arc::as_ptr(&outbox) as usize;
        let (engine, locals) = Engine::new(self.workers, self.job_capacity, key);
        let engine = Arc::new(engine);
        let startup = Arc::new(Startup::default());
        let function = Arc::new(function);

        for (worker, (local, outlet)) in locals.into_iter().zip(outlets).enumerate() {
            let seat = Seat {
                worker,
                local,
                outlet,
                engine: Arc::clone(&engine),
                outbox: Arc::clone(&outbox),
                startup: Arc::clone(&startup),
                on_start: self.on_start.clone(),
                on_stop: self.on_stop.clone(),
                init: Object::clone(&self.init),
                function: Arc::clone(&function),
            };
            let thread = self.threads.thread(worker);
            if let Err(error) = thread.and_then(|thread| spawn(thread, seat)) {
                engine.halt();
                return Err(BuildError::Thread(error));
            }
        }
        let taker = Results::new(Arc::clone(&outbox));
        // loom's models start when the threads do.
        if !cfg!(workcrew_loom) {
            if let Err((worker, payload)) = startup.wait(self.workers) {
                engine.halt();
                return Err(BuildError::Startup {
                    worker,
                    panic: JobPanic::new(payload),
                });
            }
        }
        Ok((Handle { engine, outbox }, taker))
    }

    fn check(&self) -> Result<(), BuildError> {
        match self {
            Self { workers: 0, .. } => Err(BuildError::ZeroWorkers),
            Self { workers, .. } if *workers > MAX_WORKERS => {
                Err(BuildError::TooManyWorkers(MAX_WORKERS))
            }
            Self {
                job_capacity: 0, ..
            } => Err(BuildError::ZeroJobCapacity),
            Self {
                result_capacity: 0, ..
            } => Err(BuildError::ZeroResultCapacity),
            Self {
                job_capacity,
                result_capacity,
                ..
            } if *job_capacity.max(result_capacity) > MAX_CAPACITY => {
                Err(BuildError::CapacityTooLarge(MAX_CAPACITY))
            }
            _ => Ok(()),
        }
    }
}

impl<J, R, S> Builder<'static, J, R, S> {
    /// Starts the threads and returns the pool and its first taker.
    ///
    /// All or nothing: when this returns `Ok`, each worker has started, and has its
    /// state.
    ///
    /// # Errors
    ///
    /// A number out of its range, a thread that the system refuses, a panic in the
    /// start hook or in `init`. Threads that had started are joined.
    #[expect(
        clippy::type_complexity,
        reason = "a pair of two types that are named so"
    )]
    pub fn build<F>(self, function: F) -> Result<(WorkerPool<J, R, S>, Results<R>), BuildError>
    where
        J: Send + 'static,
        R: Send + 'static,
        S: Send + 'static,
        F: Fn(J, &mut Context<'_, J, S>) -> R + Send + Sync + 'static,
    {
        let mut threads = Vec::new();
        let started = self.start(function, |thread, seat| {
            threads.push(thread.spawn(move || seat.work(|_, state| state))?);
            Ok(())
        });
        match started {
            Ok((handle, results)) => {
                let crew = Some(Crew::Owned(threads));
                Ok((WorkerPool { handle, crew }, results))
            }
            Err(error) => {
                unwind::drop_each_quietly(join_each(threads, JoinHandle::join));
                Err(error)
            }
        }
    }
}

/// What a worker's thread takes with it.
pub(super) struct Seat<'env, J, R, S, F> {
    worker: usize,
    local: Local<Entry<J>>,
    outlet: Outlet<R>,
    engine: Arc<Engine<J>>,
    outbox: Arc<Outbox<R>>,
    startup: Arc<Startup>,
    on_start: Option<Hook<'env>>,
    on_stop: Option<Hook<'env>>,
    init: Object<Init<'env, S>>,
    function: Arc<F>,
}

impl<J, R, S, F> Seat<'_, J, R, S, F>
where
    J: Send,
    R: Send,
    F: Fn(J, &mut Context<'_, J, S>) -> R,
{
    /// A worker's life, all of it. Its last state goes to `keep` before the thread counts
    /// as ended.
    pub(super) fn work<T>(self, keep: impl FnOnce(usize, Option<S>) -> T) -> T {
        let engine = Arc::clone(&self.engine);
        let worker = self.worker;
        let kept = keep(worker, self.run());
        engine.thread_ends();
        kept
    }

    fn run(self) -> Option<S> {
        let Self {
            worker,
            local,
            outlet,
            engine,
            outbox,
            startup,
            on_start,
            on_stop,
            init,
            function,
        } = self;
        // The hooks are inside too.
        let _inside = Inside::new(engine.key());
        let started = unwind::catch(|| {
            if let Some(hook) = on_start {
                hook(worker);
            }
        });
        let runner =
            started.and_then(|()| Runner::new(worker, init, function, Arc::clone(&outbox), outlet));
        let mut runner = match runner {
            Ok(runner) => runner,
            Err(payload) => {
                startup.report(worker, Err(payload));
                return None;
            }
        };
        if !cfg!(workcrew_loom) {
            startup.report(worker, Ok(()));
        }
        let exit = Worker::new(&engine, worker, local).work(&mut runner);
        let last_of_the_abandoned = engine.leave();
        if exit == Exit::Drained {
            outbox.end();
        } else if last_of_the_abandoned && !engine.is_forked() {
            super::cancel_queued(&engine, &outbox);
        }
        if let Some(hook) = on_stop {
            if let Err(payload) = unwind::catch(move || hook(worker)) {
                unwind::drop_quietly(payload);
            }
        }
        let state = runner.into_state();
        if engine.is_abandoned() {
            // Nobody will ask for it, and std aborts if a thread's return value
            // panics in its drop.
            unwind::drop_quietly(state);
            return None;
        }
        state
    }
}

impl<J, R, S> fmt::Debug for Builder<'_, J, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("job_capacity", &self.job_capacity)
            .field("result_capacity", &self.result_capacity)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
