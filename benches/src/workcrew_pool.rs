//! `workcrew` itself: one by one through the shared `submit`, one by one through a submitter's lane, and in batches
//! through `submit_all`.

use workcrew::{Results, WorkerPool};

use crate::crew::{Capacity, Crew, Submitter, Taker, Widen};
use crate::job::{Job, work};

/// Jobs per call of `submit_all`.
const BATCH: usize = 64;

/// A pool whose submitter hands over one job per call.
#[derive(Debug)]
pub struct OneByOne<const WORDS: usize = 1>(Pool<WORDS>);

/// A pool whose submitter hands over one job per call, in its lane.
#[derive(Debug)]
pub struct InLane<const WORDS: usize = 1>(Pool<WORDS>);

/// A pool whose submitter hands over [`BATCH`] jobs per call.
#[derive(Debug)]
pub struct Batched<const WORDS: usize = 1>(Pool<WORDS>);

#[derive(Debug)]
struct Pool<const WORDS: usize> {
    pool: WorkerPool<Job<WORDS>, u64>,
    results: Results<u64>,
}

impl<const WORDS: usize> Pool<WORDS> {
    fn start(capacity: Capacity) -> Self {
        let (pool, results) = WorkerPool::<Job<WORDS>, u64>::builder()
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

impl<const WORDS: usize> Crew for OneByOne<WORDS> {
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

impl<const WORDS: usize> Crew for InLane<WORDS> {
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

impl<const WORDS: usize> Crew for Batched<WORDS> {
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

impl Widen for OneByOne {
    type Wide<const WORDS: usize> = OneByOne<WORDS>;
}

impl Widen for InLane {
    type Wide<const WORDS: usize> = InLane<WORDS>;
}

impl Widen for Batched {
    type Wide<const WORDS: usize> = Batched<WORDS>;
}

struct OneByOneSubmitter<'a, const WORDS: usize>(&'a WorkerPool<Job<WORDS>, u64>);

impl<const WORDS: usize> Submitter for OneByOneSubmitter<'_, WORDS> {
    fn submit(&mut self, job: Job) {
        assert!(self.0.submit(job.widened()).is_ok(), "the pool is open");
    }
}

struct LaneSubmitter<const WORDS: usize>(workcrew::Submitter<Job<WORDS>, u64>);

impl<const WORDS: usize> Submitter for LaneSubmitter<WORDS> {
    fn submit(&mut self, job: Job) {
        assert!(self.0.submit(job.widened()).is_ok(), "the pool is open");
    }
}

struct BatchSubmitter<'a, const WORDS: usize>(&'a WorkerPool<Job<WORDS>, u64>);

impl<const WORDS: usize> Submitter for BatchSubmitter<'_, WORDS> {
    fn submit(&mut self, job: Job) {
        self.submit_each(&[job]);
    }

    fn submit_each(&mut self, jobs: &[Job]) {
        for batch in jobs.chunks(BATCH) {
            let accepted = self.0.submit_all(batch.iter().map(|job| job.widened()));
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
