//! `parkring`: its pool, for closures and for pairs. A job can spawn only with a reference to the pool that lives for ever,
//! so it takes no part where jobs submit jobs.

use ::parkring::ThreadPool;

use super::{Execute, ForkJoin, Pool};
use crate::crew::Capacity;

/// A parkring pool.
#[derive(Debug)]
pub struct ParkringClosures(ThreadPool);

impl Pool for ParkringClosures {
    fn start(capacity: Capacity) -> Self {
        Self(ThreadPool::new(capacity.workers))
    }

    fn stop(self) {}
}

impl Execute for ParkringClosures {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        self.0.spawn(job);
    }
}

impl ForkJoin for ParkringClosures {
    type Site<'a> = ();

    fn inside<T: Send>(&self, body: impl FnOnce(&mut ()) -> T + Send) -> T {
        self.0.install(|| body(&mut ()))
    }

    fn join<A, B, RA, RB>((): &mut (), a: A, b: B) -> (RA, RB)
    where
        A: FnOnce(&mut ()) -> RA + Send,
        B: FnOnce(&mut ()) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        ::parkring::join(|| a(&mut ()), || b(&mut ()))
    }
}
