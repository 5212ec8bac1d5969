//! A pool as one would assemble it from crossbeam's parts: an `Injector` for jobs, a deque per worker with stealing, a
//! bounded channel for results.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::Receiver;
use crossbeam_deque::Worker;

use crate::crew::{Capacity, Crew, Submitter, Taker, Widen};
use crate::deque_parts::Parts;
use crate::job::{Job, work};

/// The pool of crossbeam's parts.
pub struct DequePool<const WORDS: usize = 1> {
    shared: Arc<Parts<Job<WORDS>>>,
    results: Receiver<u64>,
    workers: Vec<JoinHandle<()>>,
}

impl<const WORDS: usize> Debug for DequePool<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DequePool")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl Widen for DequePool {
    type Wide<const WORDS: usize> = DequePool<WORDS>;
}

impl<const WORDS: usize> Crew for DequePool<WORDS> {
    fn start(capacity: Capacity) -> Self {
        let locals: Vec<_> = (0..capacity.workers).map(|_| Worker::new_fifo()).collect();
        let (sender, results) = crossbeam_channel::bounded(capacity.results);
        let shared = Arc::new(Parts::new(&locals, capacity.jobs));
        let workers = locals
            .into_iter()
            .map(|local| {
                let (shared, sender) = (Arc::clone(&shared), sender.clone());
                thread::spawn(move || {
                    shared.run_worker(&local, |job| {
                        sender.send(work(job)).expect("the taker is there");
                    });
                })
            })
            .collect();
        Self {
            shared,
            results,
            workers,
        }
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (DequeSubmitter(&self.shared), DequeTaker(&self.results))
    }

    fn stop(self) -> usize {
        self.shared.close();
        for worker in self.workers {
            worker.join().expect("a worker panicked");
        }
        self.results.len()
    }
}

struct DequeSubmitter<'a, const WORDS: usize>(&'a Parts<Job<WORDS>>);

impl<const WORDS: usize> Submitter for DequeSubmitter<'_, WORDS> {
    fn submit(&mut self, job: Job) {
        self.0.submit(job.widened());
    }
}

struct DequeTaker<'a>(&'a Receiver<u64>);

impl Taker for DequeTaker<'_> {
    fn take(&mut self) -> u64 {
        self.0.recv().expect("the workers ended")
    }
}
