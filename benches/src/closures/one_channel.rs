//! The channel-based design for closures: a channel of boxed closures, and worker threads.

use std::fmt::{self, Debug};
use std::thread::{self, JoinHandle};

use super::{Execute, Pool};
use crate::channel_pool::{Channel, Message};
use crate::crew::Capacity;

type Task = Box<dyn FnOnce() + Send>;

impl Message for Task {}

/// A channel of kind `C`, and threads behind it.
pub struct OneChannel<C: Channel> {
    jobs: C::Sender<Task>,
    workers: Vec<JoinHandle<()>>,
}

impl<C: Channel> Debug for OneChannel<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneChannel")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl<C: Channel> Pool for OneChannel<C> {
    fn start(capacity: Capacity) -> Self {
        let (sender, receiver) = C::bounded::<Task>(capacity.jobs);
        let receiver = C::share(receiver);
        let workers = (0..capacity.workers)
            .map(|_| {
                let jobs = receiver.clone();
                thread::spawn(move || {
                    while let Some(job) = C::receive_shared(&jobs) {
                        job();
                    }
                })
            })
            .collect();
        Self {
            jobs: sender,
            workers,
        }
    }

    fn stop(self) {
        drop(self.jobs);
        for worker in self.workers {
            worker.join().expect("a worker panicked");
        }
    }
}

impl<C: Channel> Execute for OneChannel<C> {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        C::send(&self.jobs, Box::new(job));
    }
}
