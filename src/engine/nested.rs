//! Jobs that a job makes for the time until it is over: its worker runs them, the newest first,
//! before it comes back for others; or thieves do, the oldest first.
//!
//! They wait in the worker's [`Nest`], each with a tag that says whose it is. They count as
//! follow-ups do: accepted when they are pushed, also after closing, and never against the
//! capacity. Here is no protocol that is not elsewhere: a job in a nest is published as one in a
//! deque, and [`Idle`](crate::idle::Idle) is told of it in the same way (model
//! `nested_job_wakes_another_worker`).

#![forbid(unsafe_code)]

use super::ledger::Ledger;
use super::{Ended, Engine, Stamped};
use crate::nest::{InPlace, Nest, Owner, Stolen};
use crate::probe::probe;
use crate::recorder::Stamp;

/// A worker at its own nest.
#[derive(Debug)]
pub(crate) struct Roost<'a, J> {
    engine: &'a Engine<J>,
    worker: usize,
    ledger: &'a Ledger,
    nest: Owner<'a, Stamped<J>>,
}

impl<'a, J> Roost<'a, J> {
    /// `nest` is that worker's nest of the engine.
    pub(crate) fn new(engine: &'a Engine<J>, worker: usize, nest: Owner<'a, Stamped<J>>) -> Self {
        Self {
            engine,
            worker,
            ledger: engine.ledgers.of(worker),
            nest,
        }
    }

    /// Whether there is room for a job. It stays until the caller uses it.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.nest.has_room()
    }

    /// Adds a job, made where it stays. The caller, or a thief, will pop it; others only if they
    /// are told. `make` does not panic, and does not touch the nest.
    ///
    /// # Errors
    ///
    /// Hands `make` back, not called, if there is no room.
    #[inline(always)]
    pub(crate) fn push<F: FnOnce() -> J>(&self, tag: usize, make: F) -> Result<(), F> {
        // Counted before it can be seen, so that no moment looks drained.
        self.ledger.push();
        let mut make = Some(make);
        let pushed = self.nest.push(tag, || {
            let make = make.take().expect("it is called once");
            self.engine.stamp(make())
        });
        if pushed.is_err() {
            self.ledger.unpush();
            return Err(make.expect("it was not called"));
        }
        probe!("engine nest: pushed, nobody told");
        self.engine.idle.notify();
        Ok(())
    }

    /// Takes the newest job, if it has this tag. The caller [runs](Self::run_popped) it.
    #[inline]
    pub(crate) fn pop(&self, tag: usize) -> Option<InPlace<'a, Stamped<J>>> {
        let job = self.nest.pop(tag)?;
        self.ledger.start();
        Some(job)
    }

    /// Runs a job that was popped here. `run` does not panic.
    #[inline]
    pub(crate) fn run_popped(
        &self,
        job: InPlace<'a, Stamped<J>>,
        run: impl FnOnce(InPlace<'a, Stamped<J>>) -> Ended,
    ) {
        self.finish(job.get().accepted, || run(job));
    }

    /// Takes a job with this tag out of another's nest, if it is the oldest there. The caller
    /// [runs](Self::run) it.
    pub(crate) fn steal(&self, tag: usize) -> Option<Stamped<J>> {
        let nests = &self.engine.nests;
        let (before, others) = nests.split_at(self.worker);
        // The own one is empty, or holds what is not for the caller.
        let job = others[1..].iter().chain(before).find_map(|nest| {
            loop {
                match nest.steal(Some(tag)) {
                    Stolen::Item(job) => break Some(job),
                    Stolen::Nothing => break None,
                    // Somebody was faster.
                    Stolen::Retry => {}
                }
            }
        })?;
        self.ledger.steal(1);
        self.ledger.start();
        Some(job)
    }

    /// Runs a job that was stolen here. `run` does not panic.
    pub(crate) fn run(&self, job: Stamped<J>, run: impl FnOnce(J) -> Ended) {
        let Stamped { job, accepted } = job;
        self.finish(accepted, || run(job));
    }

    #[inline]
    fn finish(&self, accepted: Stamp, run: impl FnOnce() -> Ended) {
        let recorders = &self.engine.recorders;
        let ended = recorders.nest(self.worker, accepted, run);
        self.ledger.finish(ended);
    }
}

impl<J> Engine<J> {
    /// A worker's nest for itself, if there are any. Not in its stop hook: there it counts no
    /// jobs.
    #[inline]
    pub(crate) fn own_nest(&self, worker: usize) -> Option<&Nest<Stamped<J>>> {
        if self.ledgers.of(worker).has_left() {
            return None;
        }
        self.nest(worker)
    }

    /// A worker's nest, if there are any.
    #[inline]
    pub(crate) fn nest(&self, worker: usize) -> Option<&Nest<Stamped<J>>> {
        self.nests.get(worker)
    }
}
