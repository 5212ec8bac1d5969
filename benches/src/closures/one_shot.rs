//! Handles for a pool that has none: each job sends its result through a `oneshot` channel.

use oneshot::Receiver;

use super::{Execute, Pool, Spawn};
use crate::crew::Capacity;

/// A pool with a channel for each job.
#[derive(Debug)]
pub struct OneShot<P>(P);

impl<P: Pool> Pool for OneShot<P> {
    fn start(capacity: Capacity) -> Self {
        Self(P::start(capacity))
    }

    fn stop(self) {
        self.0.stop();
    }
}

impl<P: Execute> Spawn for OneShot<P> {
    type Handle = Receiver<u64>;

    fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, job: F) -> Receiver<u64> {
        let (sender, receiver) = oneshot::channel();
        self.0.execute(move || {
            assert!(sender.send(job()).is_ok(), "somebody waits for the result");
        });
        receiver
    }

    fn join(&self, handles: impl Iterator<Item = Receiver<u64>> + Send) -> u64 {
        handles.fold(0, |sum, handle| {
            sum.wrapping_add(handle.recv().expect("the job ran"))
        })
    }
}
