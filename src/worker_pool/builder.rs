//! How a pool is made: all of it or nothing.

#![forbid(unsafe_code)]

use super::handle::Handle;
use super::outbox::{Outbox, Outlet};
use super::runner::{Init, Runner};
use super::{Context, Results, WorkerPool};
use crate::carried::Carried;
use crate::engine::{
    Berth, Crew, Left, MAX_CAPACITY, Settings, join_each, launch, settings_methods,
};
use crate::error::BuildError;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Object};
use crate::unwind;
use std::marker::PhantomData;
use std::{fmt, io};

/// Configures a [`WorkerPool`]; made by [`WorkerPool::builder`].
///
/// The hooks and `init` may borrow what lives for `'env`; then the pool can be built by
/// [`scope`](Self::scope) alone.
///
/// # Examples
///
/// ```
/// use workcrew::WorkerPool;
///
/// let (pool, results) = WorkerPool::<u64, String>::builder()
///     .workers(2)
///     .job_capacity(16)
///     .result_capacity(16)
///     .thread_name("printer")
///     .init(|worker| format!("{worker}: ")) // each worker's state
///     .build(|job, ctx| format!("{}{job}", ctx.state))?;
/// pool.submit(7)?;
/// pool.close();
/// let lines: Vec<_> = results.map(|outcome| outcome.result.unwrap()).collect();
/// assert!(lines == ["0: 7"] || lines == ["1: 7"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until `build` or `scope`"]
pub struct Builder<'env, J, R, S = ()> {
    settings: Settings<'env>,
    result_capacity: usize,
    init: Object<Init<'env, S>>,
    types: PhantomData<fn(J) -> R>,
}

impl<J, R> Builder<'_, J, R> {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings::new(),
            result_capacity: 1024,
            init: Object::new(|_| ()),
            types: PhantomData,
        }
    }
}

impl<'env, J, R, S> Builder<'env, J, R, S> {
    settings_methods!('env);

    /// How many results may wait to be taken: 1 to 2^28. Default: 1024.
    ///
    /// A worker whose result comes on top of these waits, with its result in its
    /// hand, where takers can take it too, before it starts another job.
    pub fn result_capacity(mut self, results: usize) -> Self {
        self.result_capacity = results;
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
            settings,
            result_capacity,
            init: _,
            types,
        } = self;
        Builder {
            settings,
            result_capacity,
            init: Object::new(init),
            types,
        }
    }

    /// Starts all threads by `spawn`, and waits until each worker is ready.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`]. Threads that had started end; the caller joins them, and then
    /// [discards](Self::discard) the builder.
    pub(super) fn start<F>(
        &self,
        function: &Arc<F>,
        mut spawn: impl FnMut(thread::Builder, Seat<'env, J, R, S, F>) -> io::Result<()>,
    ) -> Result<(Handle<J, R>, Results<R>), BuildError>
    where
        J: Send,
        R: Send,
    {
        self.check()?;
        let (outbox, outlets) = Outbox::new(self.settings.workers, self.result_capacity);
        let outbox = Arc::new(outbox);
        let key = Arc::as_ptr(&outbox) as usize;
        let mut outlets = outlets.into_iter();
        let engine = launch(&self.settings, 0, key, |thread, berth| {
            let seat = Seat {
                berth,
                outlet: outlets.next().expect("one for each worker"),
                outbox: Arc::clone(&outbox),
                init: Object::clone(&self.init),
                function: Arc::clone(function),
            };
            spawn(thread, seat)
        })?;
        let taker = Results::new(Arc::clone(&outbox), engine.recalls());
        Ok((Handle { engine, outbox }, taker))
    }

    /// The builder's shares of the user's functions go, quietly. After a build that failed no
    /// thread has one any more, so that none of them is the last.
    pub(super) fn discard<F>(self, function: Arc<F>) {
        unwind::drop_quietly(function);
        unwind::drop_quietly(self.init);
        self.settings.discard();
    }

    fn check(&self) -> Result<(), BuildError> {
        self.settings.check()?;
        match self.result_capacity {
            0 => Err(BuildError::ZeroResultCapacity),
            1..=MAX_CAPACITY => Ok(()),
            _ => Err(BuildError::CapacityTooLarge(MAX_CAPACITY)),
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
        let function = Arc::new(function);
        let started = self.start(&function, |thread, seat| {
            threads.push(thread.spawn(move || seat.work(|_, state| state))?);
            Ok(())
        });
        let built = match started {
            Ok((handle, results)) => {
                let crew = Some(Crew::Owned(threads));
                Ok((WorkerPool { handle, crew }, results))
            }
            Err(error) => {
                unwind::drop_each_quietly(join_each(threads, JoinHandle::join));
                Err(error)
            }
        };
        self.discard(function);
        built
    }
}

/// What a worker's thread takes with it.
pub(super) struct Seat<'env, J, R, S, F> {
    berth: Berth<'env, Carried<J>>,
    outlet: Outlet<R>,
    outbox: Arc<Outbox<R>>,
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
        let engine = Arc::clone(&self.berth.engine);
        let worker = self.berth.worker;
        let kept = keep(worker, self.run());
        engine.thread_ends();
        kept
    }

    fn run(self) -> Option<S> {
        let Self {
            berth,
            outlet,
            outbox,
            init,
            function,
        } = self;
        let engine = Arc::clone(&berth.engine);
        let runner = berth.live(
            |worker| Runner::new(worker, init, function, Arc::clone(&outbox), outlet),
            |left| match left {
                Left::Drained => outbox.end(),
                Left::Last => super::cancel_queued(&engine, &outbox),
                Left::Halted => {}
            },
        );
        let state = runner?.into_state();
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
            .field("workers", &self.settings.workers)
            .field("job_capacity", &self.settings.job_capacity)
            .field("result_capacity", &self.result_capacity)
            .field("threads", &self.settings.threads)
            .finish_non_exhaustive()
    }
}
