//! A worker's thread from its first hook to its last, and the start of them all.

#![forbid(unsafe_code)]

use super::settings::{Hook, Settings};
use super::{Engine, Entry, Exit, Inside, Run, Startup, Worker};
use crate::deque::Local;
use crate::error::{BuildError, JobPanic};
use crate::recorder::Recorders;
use crate::sync::{Arc, thread};
use crate::unwind::{self, Payload};
use std::io;

/// What a worker's thread takes with it.
pub(crate) struct Berth<'env, J> {
    pub(crate) worker: usize,
    pub(crate) engine: Arc<Engine<J>>,
    local: Local<Entry<J>>,
    startup: Arc<Startup>,
    on_start: Option<Hook<'env>>,
    on_stop: Option<Hook<'env>>,
}

/// How a worker left its loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Left {
    /// All that was accepted has finished.
    Drained,
    /// It was told to leave the rest, which is for this worker to dispose of: it is the
    /// last one, and nobody will join the crew.
    Last,
    /// It was told to leave the rest to others.
    Halted,
}

/// Makes an engine and starts all its threads by `spawn`, and waits until each worker is
/// ready. `key` tells the engine from others as long as it lives; for `nested` see
/// [`Engine::new`].
///
/// # Errors
///
/// A thread that the system refuses, a panic in the start hook or in the making of a
/// runner. Threads that had started end; the caller joins them.
pub(crate) fn launch<'env, J: Send>(
    settings: &Settings<'env>,
    nested: usize,
    key: usize,
    mut spawn: impl FnMut(thread::Builder, Berth<'env, J>) -> io::Result<()>,
) -> Result<Arc<Engine<J>>, BuildError> {
    let (mut engine, locals) = Engine::new(settings.workers, settings.job_capacity, nested, key);
    engine.recorders = Recorders::new(settings.workers, settings.wishes);
    let engine = Arc::new(engine);
    let startup = Arc::new(Startup::default());
    for (worker, local) in locals.into_iter().enumerate() {
        let berth = Berth {
            worker,
            engine: Arc::clone(&engine),
            local,
            startup: Arc::clone(&startup),
            on_start: settings.on_start.clone(),
            on_stop: settings.on_stop.clone(),
        };
        let thread = settings.threads.thread(worker);
        if let Err(error) = thread.and_then(|thread| spawn(thread, berth)) {
            engine.halt();
            return Err(BuildError::Thread(error));
        }
    }
    // loom's models start when the threads do.
    if !cfg!(workcrew_loom) {
        if let Err((worker, payload)) = startup.wait(settings.workers) {
            engine.halt();
            return Err(BuildError::Startup {
                worker,
                panic: JobPanic::new(payload),
            });
        }
    }
    Ok(engine)
}

impl<J: Send> Berth<'_, J> {
    /// A worker's life: the start hook, the making of its runner, its jobs, `left`, the
    /// stop hook (for whoever has come through the start hook). Returns the runner, if there
    /// ever was one. The caller's last deed is [`Engine::thread_ends`].
    pub(crate) fn live<R: Run<J>>(
        self,
        runner: impl FnOnce(usize) -> Result<R, Payload>,
        left: impl FnOnce(Left),
    ) -> Option<R> {
        let Self {
            worker,
            engine,
            local,
            startup,
            on_start,
            on_stop,
        } = self;
        // The hooks are inside too.
        let _inside = Inside::new(engine.key(), worker);
        let started = call(on_start, worker);
        let stop = || {
            if let Err(payload) = call(on_stop, worker) {
                unwind::drop_quietly(payload);
            }
        };
        let has_begun = started.is_ok();
        let mut runner = match started.and_then(|()| runner(worker)) {
            Ok(runner) => runner,
            Err(payload) => {
                if has_begun {
                    stop();
                }
                startup.report(worker, Err(payload));
                return None;
            }
        };
        if !cfg!(workcrew_loom) {
            startup.report(worker, Ok(()));
        }
        let exit = Worker::new(&engine, worker, local).work(&mut runner);
        let last_of_the_abandoned = engine.leave(worker);
        left(match exit {
            Exit::Drained => Left::Drained,
            Exit::Halted if last_of_the_abandoned && !engine.is_forked() => Left::Last,
            Exit::Halted => Left::Halted,
        });
        stop();
        Some(runner)
    }
}

/// Calls a hook, if there is one, and then drops this worker's share of it: not as the hook's
/// panic unwinds, for its drop may panic too.
fn call(hook: Option<Hook<'_>>, worker: usize) -> Result<(), Payload> {
    let called = unwind::catch(|| {
        if let Some(hook) = &hook {
            hook(worker);
        }
    });
    unwind::drop_quietly(hook);
    called
}
