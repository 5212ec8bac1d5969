//! Pools of closures: what one must offer to be measured, as much of it as it has.
//!
//! The measured loops stand once, in [`drive`]. Only how a job submits further jobs ([`Nest`]) is each adapter's own: it is
//! what is measured there, and differs from pool to pool.
//!
//! `forte` is not among the pools. 1.0.0-alpha.4, the last version for this toolchain, cannot be stopped: a pool that
//! shrinks joins its heartbeat thread while it holds the lock that this thread waits for. And a pool that is left running
//! ticks every 100 µs in everybody else's samples.

pub mod chili;
pub mod crossbeam_deque;
pub mod drive;
pub mod one_channel;
pub mod one_shot;
pub mod parkring;
pub mod plain;
pub mod program;
pub mod rayon;
pub mod tally;
pub mod threadpool;
pub mod tokio;
pub mod workcrew;

use crate::crew::Capacity;
use crate::job::{Job, work};

/// Threads that run closures.
pub trait Pool: Sized + Sync {
    /// Whether a thread that waits for the pool is one of its threads meanwhile. Such a pool starts one thread less than
    /// it is told.
    const WAITER_WORKS: bool = false;

    /// Starts the threads. A pool without a bound for its queue ignores the capacity.
    fn start(capacity: Capacity) -> Self;

    /// Stops the threads, when all jobs have run.
    fn stop(self);
}

/// Runs closures and tells nobody.
pub trait Execute: Pool {
    /// Submits a closure; waits while the queue is full.
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F);

    /// Submits closures in order: one by one, unless batches are what this pool is there to show.
    fn execute_each<F: FnOnce() + Send + 'static>(&self, jobs: impl Iterator<Item = F>) {
        for job in jobs {
            self.execute(job);
        }
    }
}

/// Runs closures and hands back a handle for each.
pub trait Spawn: Pool {
    /// Where one closure's result will be.
    type Handle: Send;

    /// Submits a closure.
    fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, job: F) -> Self::Handle;

    /// Waits for some closures; returns the sum of their results.
    fn join(&self, handles: impl Iterator<Item = Self::Handle> + Send) -> u64;
}

/// Runs closures that submit closures.
pub trait Nest: Pool {
    /// Runs a tree of jobs: the job of each node calls [`visit`] and submits a job for each of its [`children`], from
    /// node 0 on. Returns at once or after the last job.
    fn nest(&self, nodes: u32);
}

/// Runs two closures, perhaps at the same time, and returns both results.
pub trait ForkJoin: Pool {
    /// What a closure needs to fork again.
    type Site<'a>;

    /// Calls `body` in one of the pool's threads.
    fn inside<T: Send>(&self, body: impl FnOnce(&mut Self::Site<'_>) -> T + Send) -> T;

    /// Calls `body` as a thread does that has only this one thing to do with the pool.
    fn outside<T: Send>(&self, body: impl FnOnce(&mut Self::Site<'_>) -> T + Send) -> T {
        self.inside(body)
    }

    /// Calls both closures.
    fn join<A, B, RA, RB>(site: &mut Self::Site<'_>, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce(&mut Self::Site<'_>) -> RA + Send,
        B: FnOnce(&mut Self::Site<'_>) -> RB + Send,
        RA: Send,
        RB: Send;
}

/// The job of a node.
pub fn visit(node: u32) {
    tally::note(work(Job::new(node, 0)));
}

/// The children of `node` in a tree of `nodes` nodes, numbered row by row.
pub fn children(node: u32, nodes: u32) -> impl Iterator<Item = u32> {
    (2 * node + 1..=2 * node + 2).take_while(move |&child| child < nodes)
}
