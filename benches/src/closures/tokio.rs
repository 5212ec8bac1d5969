//! `tokio`: a runtime of several threads, and a task for each closure.

use ::tokio::runtime::{Builder, Runtime};
use ::tokio::task::JoinHandle;

use super::{Execute, Nest, Pool, Spawn, children, visit};
use crate::crew::Capacity;

/// A runtime.
#[derive(Debug)]
pub struct TokioClosures(Runtime);

impl Pool for TokioClosures {
    fn start(capacity: Capacity) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(capacity.workers)
            .build();
        Self(runtime.expect("the system starts the workers"))
    }

    fn stop(self) {}
}

impl Execute for TokioClosures {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        self.0.spawn(async { job() });
    }
}

impl Spawn for TokioClosures {
    type Handle = JoinHandle<u64>;

    fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, job: F) -> JoinHandle<u64> {
        self.0.spawn(async { job() })
    }

    fn join(&self, handles: impl Iterator<Item = JoinHandle<u64>> + Send) -> u64 {
        self.0.block_on(async {
            let mut sum = 0_u64;
            for handle in handles {
                sum = sum.wrapping_add(handle.await.expect("the job ran"));
            }
            sum
        })
    }
}

impl Nest for TokioClosures {
    fn nest(&self, nodes: u32) {
        self.execute(move || node(0, nodes));
    }
}

fn node(number: u32, nodes: u32) {
    visit(number);
    for child in children(number, nodes) {
        ::tokio::spawn(async move { node(child, nodes) });
    }
}
