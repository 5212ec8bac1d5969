//! How a pool is made: all of it or nothing.

#![forbid(unsafe_code)]

use super::handle::Handle;
use super::outbox::{Outbox, Outlet, View};
use super::results::Progress;
use super::runner::{Init, Runner};
use super::{Context, Results, WorkerPool};
use crate::deque::Local;
use crate::engine::{
    Crew, Engine, Entry, Exit, Inside, MAX_WORKERS, Startup, ThreadOptions, Worker,
};
use crate::error::{BuildError, JobPanic};
use crate::sync::{self, Arc, Object};
use crate::unwind;
use std::fmt;
use std::marker::PhantomData;

/// More than a queue's directory could address at a sensible price.
const MAX_CAPACITY: usize = 1 << 28;

type Hook = Object<dyn Fn(usize) + Send + Sync>;

/// Configures a [`WorkerPool`]; made by [`WorkerPool::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<J, R, S = ()> {
    workers: usize,
    job_capacity: usize,
    result_capacity: usize,
    threads: ThreadOptions,
    on_start: Option<Hook>,
    on_stop: Option<Hook>,
    init: Object<Init<S>>,
    types: PhantomData<fn(J) -> R>,
}

impl<J, R> Builder<J, R> {
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

impl<J, R, S> Builder<J, R, S> {
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
    pub fn on_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_start = Some(Object::new(hook));
        self
    }

    /// Is called in each worker's thread with its id, after its last job. A panic is
    /// swallowed: there is nobody left to tell.
    pub fn on_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Object::new(hook));
        self
    }

    /// Gives each worker a state of its own, made in its thread by `init(worker)`.
    ///
    /// Jobs get it as [`Context::state`]. After a job has panicked its worker's state
    /// is dropped and made again; if that panics too it is tried once more for the
    /// next job, which ends as panicked if it is in vain. `shutdown` returns the
    /// states. A panic of the first `init` makes `build` fail.
    pub fn init<T>(self, init: impl Fn(usize) -> T + Send + Sync + 'static) -> Builder<J, R, T> {
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
        let workers = self.workers;
        self.check()?;
        let (outbox, outlets) = Outbox::new(workers, self.result_capacity);
        let outbox = Arc::new(outbox);
        let key = Arc::as_ptr(&outbox) as usize;
        let (engine, locals) = Engine::new(workers, self.job_capacity, key);
        let engine = Arc::new(engine);
        let startup = Arc::new(Startup::default());
        let function = Arc::new(function);

        let bodies =
            locals
                .into_iter()
                .zip(outlets)
                .enumerate()
                .map(|(worker, (local, outlet))| {
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
                    move || {
                        let engine = Arc::clone(&seat.engine);
                        let state = seat.work();
                        engine.thread_ends();
                        state
                    }
                });
        let crew =
            Crew::start(bodies, &self.threads, || engine.halt()).map_err(BuildError::Thread)?;
        let taker = Results::new(Arc::clone(&outbox), Object::new(Jobs(Arc::clone(&engine))));
        // loom's models start when the threads do.
        if !cfg!(workcrew_loom) {
            if let Err((worker, payload)) = startup.wait(workers) {
                engine.halt();
                unwind::drop_each_quietly(crew.join());
                return Err(BuildError::Startup {
                    worker,
                    panic: JobPanic::new(payload),
                });
            }
        }
        let handle = Handle {
            engine,
            waiting: Object::new(View(Arc::clone(&outbox))),
        };
        Ok((
            WorkerPool {
                handle,
                outbox,
                crew: Some(crew),
            },
            taker,
        ))
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

/// An engine for those who do not know the jobs' type.
struct Jobs<J>(Arc<Engine<J>>);

impl<J: Send> Progress for Jobs<J> {
    fn is_idle(&self) -> bool {
        self.0.is_idle()
    }
}

/// What a worker's thread takes with it.
struct Seat<J, R, S, F> {
    worker: usize,
    local: Local<Entry<J>>,
    outlet: Outlet<R>,
    engine: Arc<Engine<J>>,
    outbox: Arc<Outbox<R>>,
    startup: Arc<Startup>,
    on_start: Option<Hook>,
    on_stop: Option<Hook>,
    init: Object<Init<S>>,
    function: Arc<F>,
}

impl<J, R, S, F> Seat<J, R, S, F>
where
    J: Send,
    R: Send,
    F: Fn(J, &mut Context<'_, J, S>) -> R,
{
    /// A worker's life. Returns its last state.
    fn work(self) -> Option<S> {
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
            if let Err(payload) = unwind::catch(|| hook(worker)) {
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

impl<J, R, S> fmt::Debug for Builder<J, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("job_capacity", &self.job_capacity)
            .field("result_capacity", &self.result_capacity)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
