//! `threadpool`: a `std::sync::mpsc` channel of boxed closures behind a mutex.

use ::threadpool::ThreadPool;

use super::{Execute, Pool};
use crate::crew::Capacity;

/// A pool of the crate `threadpool`.
#[derive(Debug)]
pub struct ThreadpoolClosures(ThreadPool);

impl Pool for ThreadpoolClosures {
    fn start(capacity: Capacity) -> Self {
        Self(ThreadPool::new(capacity.workers))
    }

    fn stop(self) {
        self.0.join();
    }
}

impl Execute for ThreadpoolClosures {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        self.0.execute(job);
    }
}
