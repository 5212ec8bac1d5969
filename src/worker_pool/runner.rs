//! One worker's side of the contract: its state, its function, its outlet.

#![forbid(unsafe_code)]

use super::outbox::{Outbox, Outlet};
use super::{Context, JobError};
use crate::carried::Carried;
use crate::engine::{Desk, Ended, Picked, Run};
use crate::error::JobPanic;
use crate::sync::{Arc, Object};
use crate::unwind::{self, Payload};

/// Makes a worker's state.
pub(super) type Init<'env, S> = dyn Fn(usize) -> S + Send + Sync + 'env;

pub(super) struct Runner<'env, R, S, F> {
    worker: usize,
    /// `None` after a panic, as long as `init` panics too.
    state: Option<S>,
    init: Object<Init<'env, S>>,
    function: Arc<F>,
    outbox: Arc<Outbox<R>>,
    outlet: Outlet<R>,
}

impl<'env, R: Send, S, F> Runner<'env, R, S, F> {
    /// A runner with its first state, or what `init` panicked with.
    pub(super) fn new(
        worker: usize,
        init: Object<Init<'env, S>>,
        function: Arc<F>,
        outbox: Arc<Outbox<R>>,
        outlet: Outlet<R>,
    ) -> Result<Self, Payload> {
        let mut runner = Self {
            worker,
            state: None,
            init,
            function,
            outbox,
            outlet,
        };
        runner.renew()?;
        Ok(runner)
    }

    /// The last state. The worker's shares of the user's functions go, quietly.
    pub(super) fn into_state(self) -> Option<S> {
        let Self {
            state,
            init,
            function,
            ..
        } = self;
        unwind::drop_quietly(init);
        unwind::drop_quietly(function);
        state
    }

    fn renew(&mut self) -> Result<(), Payload> {
        self.state = Some(unwind::catch(|| (self.init)(self.worker))?);
        Ok(())
    }

    fn deliver_error<J: Send>(&mut self, error: JobError, desk: &Desk<'_, J>) {
        self.outlet
            .deliver_error(&self.outbox, desk.origin(), error, desk.halt());
    }

    /// What a panic left half-done goes, and a fresh state comes. If that panics as well,
    /// the next job will try again.
    #[cold]
    fn renew_after_panic(&mut self) {
        unwind::drop_quietly(self.state.take());
        if let Err(payload) = self.renew() {
            unwind::drop_quietly(payload);
        }
    }
}

impl<J: Send, R: Send, S, F> Run<Carried<J>> for Runner<'_, R, S, F>
where
    F: Fn(J, &mut Context<'_, J, S>) -> R,
{
    type Done = R;

    #[inline(always)]
    fn run(&mut self, picked: Picked<'_, Carried<J>>, desk: Desk<'_, Carried<J>>) -> R {
        if self.state.is_none() {
            // It could not be made again after the last panic: now or never.
            self.state = Some((self.init)(self.worker));
        }
        let state = self.state.as_mut().expect("made above");
        let mut context = Context { state, desk };
        picked
            .take()
            .enter(|job| (self.function)(job, &mut context))
    }

    #[inline(always)]
    fn deliver(&mut self, result: R, desk: &Desk<'_, Carried<J>>) -> Ended {
        self.outlet.deliver(
            &self.outbox,
            desk.origin(),
            result,
            desk.backlog(),
            desk.halt(),
        );
        Ended::Completed
    }

    fn fail(&mut self, payload: Payload, desk: &Desk<'_, Carried<J>>) {
        self.renew_after_panic();
        self.deliver_error(JobError::Panicked(JobPanic::new(payload)), desk);
    }

    fn cancel(&mut self, picked: Picked<'_, Carried<J>>, desk: &Desk<'_, Carried<J>>) {
        unwind::drop_quietly(picked.take());
        self.deliver_error(JobError::Cancelled, desk);
    }

    fn rest(&mut self) {
        self.outlet.rest();
    }
}
