//! One worker's side: it runs closures, and tells of panics that nobody waits for.

#![forbid(unsafe_code)]

use super::task::Task;
use crate::engine::{Desk, Ended, Entry, Run};
use crate::error::JobPanic;
use crate::sync::Object;
use crate::unwind;

/// Is told which worker met with a panic, and which.
pub(super) type PanicHandler = dyn Fn(usize, JobPanic) + Send + Sync;

pub(super) struct Runner {
    pub(super) worker: usize,
    pub(super) on_panic: Option<Object<PanicHandler>>,
}

impl Run<Task> for Runner {
    fn run(&mut self, entry: Entry<Task>, _desk: &mut Desk<'_, Task>) -> Ended {
        // A closure that had the job itself would be moved to where panics are caught, with it.
        let mut job = Some(entry.job);
        match unwind::catch(|| job.take().map(Task::run)) {
            Ok(ended) => ended.expect("the job was there"),
            Err(payload) => {
                // Of a panic in the handler, or in the drop of the payload, nobody is told.
                unwind::swallow(|| match &self.on_panic {
                    Some(handler) => handler(self.worker, JobPanic::new(payload)),
                    None => drop(payload),
                });
                Ended::Panicked
            }
        }
    }

    fn cancel(&mut self, entry: Entry<Task>, _desk: &mut Desk<'_, Task>) {
        unwind::drop_quietly(entry.job);
    }
}
