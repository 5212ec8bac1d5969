//! A pool of closures as one would assemble it from crossbeam's parts.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ::crossbeam_deque::Worker;

use super::{Execute, Nest, Pool, children, visit};
use crate::crew::Capacity;
use crate::deque_parts::Parts;

/// A closure, which may push others.
struct Task(Box<dyn FnOnce(&Site<'_>) + Send>);

/// Where a closure runs.
struct Site<'a> {
    shared: &'a Parts<Task>,
    local: &'a Worker<Task>,
}

/// The pool of crossbeam's parts.
pub struct DequeClosures {
    shared: Arc<Parts<Task>>,
    workers: Vec<JoinHandle<()>>,
}

impl Debug for DequeClosures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DequeClosures")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl Pool for DequeClosures {
    fn start(capacity: Capacity) -> Self {
        // The last pushed first, as for closures that push others: a queue of whole levels of a tree would not be short.
        let locals: Vec<_> = (0..capacity.workers).map(|_| Worker::new_lifo()).collect();
        let shared = Arc::new(Parts::new(&locals, capacity.jobs));
        let workers = locals
            .into_iter()
            .map(|local| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let site = Site {
                        shared: &shared,
                        local: &local,
                    };
                    shared.run_worker(&local, |Task(job)| job(&site));
                })
            })
            .collect();
        Self { shared, workers }
    }

    fn stop(self) {
        self.shared.close();
        for worker in self.workers {
            worker.join().expect("a worker panicked");
        }
    }
}

impl Execute for DequeClosures {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        self.shared.submit(Task(Box::new(|_| job())));
    }
}

impl Nest for DequeClosures {
    fn nest(&self, nodes: u32) {
        let root = Task(Box::new(move |site| node(site, 0, nodes)));
        self.shared.submit(root);
    }
}

fn node(site: &Site<'_>, number: u32, nodes: u32) {
    visit(number);
    for child in children(number, nodes) {
        let task = Task(Box::new(move |site| node(site, child, nodes)));
        site.shared.push(site.local, task);
    }
}
