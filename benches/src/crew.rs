//! What a pool must offer to be measured.

use crate::job::Job;

/// How many worker threads, and how much each queue may hold.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Number of worker threads.
    pub workers: usize,
    /// Jobs that may wait to start.
    pub jobs: usize,
    /// Results that may wait to be taken.
    pub results: usize,
}

/// Worker threads that run [`work`](crate::job::work) on the jobs they are given.
pub trait Crew: Sized {
    /// Starts the threads.
    fn start(capacity: Capacity) -> Self;

    /// The two ends, to be used by two threads or by one.
    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_);

    /// Stops the threads, waits for them, and returns how many results nobody took.
    fn stop(self) -> usize;
}

/// A crew whose jobs may be larger. Its ends widen them as they come, so all that a larger job costs is in the sample.
pub trait Widen {
    /// The same crew with jobs of so many words.
    type Wide<const WORDS: usize>: Crew;
}

/// The end where jobs enter.
pub trait Submitter: Send {
    /// Submits one job; waits while the queue is full.
    fn submit(&mut self, job: Job);

    /// Submits all jobs in order: one by one, unless batches are what this submitter is there to show.
    fn submit_each(&mut self, jobs: &[Job]) {
        for &job in jobs {
            self.submit(job);
        }
    }
}

/// The end where results leave.
pub trait Taker {
    /// Takes one result; waits until there is one.
    fn take(&mut self) -> u64;
}
