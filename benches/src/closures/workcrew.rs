//! `workcrew`'s `ThreadPool`: one by one, and in batches through `execute_all`.

use ::workcrew::{JobHandle, Scope, ThreadPool, ThreadPoolHandle};

use super::{Execute, ForkJoin, Nest, Pool, Spawn, children, visit};
use crate::crew::Capacity;

/// A pool that gets one closure per call.
#[derive(Debug)]
pub struct OneByOne(ThreadPool);

/// A pool that gets its closures by the iterator.
#[derive(Debug)]
pub struct Batched(OneByOne);

impl Pool for OneByOne {
    fn start(capacity: Capacity) -> Self {
        let builder = ThreadPool::builder()
            .workers(capacity.workers)
            .job_capacity(capacity.jobs);
        Self(builder.build().expect("the system starts the workers"))
    }

    fn stop(self) {
        self.0.join().expect("the pool ends");
    }
}

impl Execute for OneByOne {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        assert!(self.0.execute(job).is_ok(), "the pool is open");
    }
}

impl Spawn for OneByOne {
    type Handle = JobHandle<u64>;

    fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, job: F) -> JobHandle<u64> {
        let Ok(handle) = self.0.spawn(job) else {
            panic!("the pool is open");
        };
        handle
    }

    fn join(&self, handles: impl Iterator<Item = JobHandle<u64>> + Send) -> u64 {
        handles.fold(0, |sum, handle| {
            sum.wrapping_add(handle.join().expect("the job ran"))
        })
    }
}

impl Nest for OneByOne {
    fn nest(&self, nodes: u32) {
        self.0
            .scope(|scope| scope.spawn(move || node(scope, 0, nodes)));
    }
}

fn node<'scope>(scope: &'scope Scope<'scope, '_>, number: u32, nodes: u32) {
    visit(number);
    for child in children(number, nodes) {
        scope.spawn(move || node(scope, child, nodes));
    }
}

impl ForkJoin for OneByOne {
    type Site<'a> = &'a ThreadPoolHandle;

    fn inside<T: Send>(&self, body: impl FnOnce(&mut &ThreadPoolHandle) -> T + Send) -> T {
        let handle = self.0.handle();
        let mut result = None;
        self.0
            .scope(|scope| scope.spawn(|| result = Some(body(&mut &handle))));
        result.expect("the job ran")
    }

    fn outside<T: Send>(&self, body: impl FnOnce(&mut &ThreadPoolHandle) -> T + Send) -> T {
        body(&mut &self.0.handle())
    }

    fn join<A, B, RA, RB>(site: &mut &ThreadPoolHandle, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce(&mut &ThreadPoolHandle) -> RA + Send,
        B: FnOnce(&mut &ThreadPoolHandle) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        let pool = *site;
        pool.fork_join(|| a(site), || b(&mut { pool }))
    }
}

impl Pool for Batched {
    fn start(capacity: Capacity) -> Self {
        Self(OneByOne::start(capacity))
    }

    fn stop(self) {
        self.0.stop();
    }
}

impl Execute for Batched {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        self.0.execute(job);
    }

    fn execute_each<F: FnOnce() + Send + 'static>(&self, jobs: impl Iterator<Item = F>) {
        let accepted = self.0.0.execute_all(jobs);
        assert!(accepted.is_ok(), "the pool is open");
    }
}
