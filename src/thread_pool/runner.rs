//! One worker's side: it runs closures, and tells of panics that nobody waits for.

#![forbid(unsafe_code)]

use super::task::Task;
use crate::engine::{Desk, Ended, Picked, Run};
use crate::error::JobPanic;
use crate::sync::Object;
use crate::unwind::{self, Payload};

/// Is told which worker met with a panic, and which.
pub(super) type PanicHandler = dyn Fn(usize, JobPanic) + Send + Sync;

pub(super) struct Runner {
    pub(super) worker: usize,
    pub(super) on_panic: Option<Object<PanicHandler>>,
}

impl Run<Task> for Runner {
    type Done = Ended;

    #[inline(always)]
    fn run(&mut self, picked: Picked<'_, Task>, _desk: Desk<'_, Task>) -> Ended {
        picked.take().run()
    }

    #[inline(always)]
    fn deliver(&mut self, ended: Ended, _desk: &Desk<'_, Task>) -> Ended {
        ended
    }

    fn fail(&mut self, payload: Payload, _desk: &Desk<'_, Task>) {
        // Of a panic in the handler, or in the drop of the payload, nobody is told.
        unwind::swallow(|| match &self.on_panic {
            Some(handler) => handler(self.worker, JobPanic::new(payload)),
            None => drop(payload),
        });
    }

    fn cancel(&mut self, picked: Picked<'_, Task>, _desk: &Desk<'_, Task>) {
        unwind::drop_quietly(picked.take());
    }
}
