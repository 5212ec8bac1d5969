//! `rayon`: `spawn` and `join`, and for jobs that submit jobs a scope or `spawn`.

use ::rayon::{Scope, ThreadPool, ThreadPoolBuilder};

use super::{Execute, ForkJoin, Nest, Pool, children, visit};
use crate::crew::Capacity;

/// A rayon pool.
#[derive(Debug)]
pub struct RayonClosures(ThreadPool);

/// A rayon pool whose jobs submit jobs by `spawn`, without a scope.
#[derive(Debug)]
pub struct RayonSpawn(RayonClosures);

impl Pool for RayonClosures {
    fn start(capacity: Capacity) -> Self {
        let builder = ThreadPoolBuilder::new().num_threads(capacity.workers);
        Self(builder.build().expect("the system starts the workers"))
    }

    fn stop(self) {}
}

impl Execute for RayonClosures {
    fn execute<F: FnOnce() + Send + 'static>(&self, job: F) {
        self.0.spawn(job);
    }
}

impl Nest for RayonClosures {
    fn nest(&self, nodes: u32) {
        self.0
            .scope(|scope| scope.spawn(move |scope| node_in_scope(scope, 0, nodes)));
    }
}

fn node_in_scope(scope: &Scope<'_>, number: u32, nodes: u32) {
    visit(number);
    for child in children(number, nodes) {
        scope.spawn(move |scope| node_in_scope(scope, child, nodes));
    }
}

impl ForkJoin for RayonClosures {
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
        ::rayon::join(|| a(&mut ()), || b(&mut ()))
    }
}

impl Pool for RayonSpawn {
    fn start(capacity: Capacity) -> Self {
        Self(RayonClosures::start(capacity))
    }

    fn stop(self) {
        self.0.stop();
    }
}

impl Nest for RayonSpawn {
    fn nest(&self, nodes: u32) {
        self.0.execute(move || node(0, nodes));
    }
}

fn node(number: u32, nodes: u32) {
    visit(number);
    for child in children(number, nodes) {
        // In a worker: into the pool to which it belongs.
        ::rayon::spawn(move || node(child, nodes));
    }
}
