//! `rayon`: jobs through `spawn_fifo`, results through a bounded `crossbeam-channel`.
//!
//! Rayon's queue of jobs has no bound, so it takes no part where jobs stream through bounded queues.

use std::cell::OnceCell;

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::crew::{Capacity, Crew, Submitter, Taker};
use crate::job::{Job, work};

thread_local! {
    /// Each worker's own sender: a clone for each job would cost rayon two counter updates a job.
    static RESULTS: OnceCell<Sender<u64>> = const { OnceCell::new() };
}

/// A rayon pool with a channel of results.
#[derive(Debug)]
pub struct RayonPool {
    pool: ThreadPool,
    results: Receiver<u64>,
}

impl Crew for RayonPool {
    fn start(capacity: Capacity) -> Self {
        let (sender, results) = bounded(capacity.results);
        let pool = ThreadPoolBuilder::new()
            .num_threads(capacity.workers)
            .start_handler(move |_| {
                RESULTS.with(|results| {
                    assert!(results.set(sender.clone()).is_ok(), "the thread is new");
                })
            })
            .build()
            .expect("the system starts the workers");
        Self { pool, results }
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (RayonSubmitter(&self.pool), RayonTaker(&self.results))
    }

    fn stop(self) -> usize {
        // Ends the workers, and with the last one of them the last sender.
        drop(self.pool);
        self.results.iter().count()
    }
}

struct RayonSubmitter<'a>(&'a ThreadPool);

impl Submitter for RayonSubmitter<'_> {
    fn submit(&mut self, job: Job) {
        self.0.spawn_fifo(move || {
            RESULTS.with(|results| {
                let results = results.get().expect("set when the thread started");
                results.send(work(job)).expect("the taker is there");
            });
        });
    }
}

struct RayonTaker<'a>(&'a Receiver<u64>);

impl Taker for RayonTaker<'_> {
    fn take(&mut self) -> u64 {
        self.0.recv().expect("the workers ended")
    }
}
