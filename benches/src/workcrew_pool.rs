//! `workcrew` itself: one by one through the shared `submit`, one by one through a submitter's lane, and in batches
//! through `submit_all`.

use workcrew::{Results, WorkerPool};

use crate::crew::{Capacity, Crew, Submitter, Taker};
use crate::job::{Job, work};

/// Jobs per call of `submit_all`.
const BATCH: usize = 64;

/// A pool whose submitter hands over one job per call.
#[derive(Debug)]
pub struct OneByOne(Pool);

/// A pool whose submitter hands over one job per call, in its lane.
#[derive(Debug)]
pub struct InLane(Pool);

/// A pool whose submitter hands over [`BATCH`] jobs per call.
#[derive(Debug)]
pub struct Batched(Pool);

#[derive(Debug)]
struct Pool {
    pool: WorkerPool<Job, u64>,
    results: Results<u64>,
}

impl Pool {
    fn start(capacity: Capacity) -> Self {
        let (pool, results) = WorkerPool::<Job, u64>::builder()
            .workers(capacity.workers)
            .job_capacity(capacity.jobs)
            .result_capacity(capacity.results)
            .build(|job, _context| work(job))
            .expect("the system starts the workers");
        Self { pool, results }
    }

    fn stop(self) -> usize {
        self.pool.join().expect("the pool ends");
        self.results.count()
    }
}

impl Crew for OneByOne {
    fn start(capacity: Capacity) -> Self {
        Self(Pool::start(capacity))
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (
            OneByOneSubmitter(&self.0.pool),
            PoolTaker(&mut self.0.results),
        )
    }

    fn stop(self) -> usize {
        self.0.stop()
    }
}

impl Crew for InLane {
    fn start(capacity: Capacity) -> Self {
        Self(Pool::start(capacity))
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (
            LaneSubmitter(self.0.pool.submitter()),
            PoolTaker(&mut self.0.results),
        )
    }

    fn stop(self) -> usize {
        self.0.stop()
    }
}

impl Crew for Batched {
    fn start(capacity: Capacity) -> Self {
        Self(Pool::start(capacity))
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (BatchSubmitter(&self.0.pool), PoolTaker(&mut self.0.results))
    }

    fn stop(self) -> usize {
        self.0.stop()
    }
}

struct OneByOneSubmitter<'a>(&'a WorkerPool<Job, u64>);

impl Submitter for OneByOneSubmitter<'_> {
    fn submit(&mut self, job: Job) {
        assert!(self.0.submit(job).is_ok(), "the pool is open");
    }
}

struct LaneSubmitter(workcrew::Submitter<Job, u64>);

impl Submitter for LaneSubmitter {
    fn submit(&mut self, job: Job) {
        assert!(self.0.submit(job).is_ok(), "the pool is open");
    }
}

struct BatchSubmitter<'a>(&'a WorkerPool<Job, u64>);

impl Submitter for BatchSubmitter<'_> {
    fn submit(&mut self, job: Job) {
        self.submit_each(&[job]);
    }

    fn submit_each(&mut self, jobs: &[Job]) {
        for batch in jobs.chunks(BATCH) {
            let accepted = self.0.submit_all(batch.iter().copied());
            assert!(accepted.is_ok(), "the pool is open");
        }
    }
}

struct PoolTaker<'a>(&'a mut Results<u64>);

impl Taker for PoolTaker<'_> {
    fn take(&mut self) -> u64 {
        let outcome = self.0.recv().expect("the pool is open");
        outcome.result.expect("the job ran")
    }
}
