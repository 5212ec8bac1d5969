//! `chili`: pairs of closures. The calling thread is one of its threads.

use std::num::NonZero;

use ::chili::{Config, Scope, ThreadPool};

use super::{ForkJoin, Pool};
use crate::crew::Capacity;

/// A chili pool.
#[derive(Debug)]
pub struct ChiliPairs(ThreadPool);

impl Pool for ChiliPairs {
    const WAITER_WORKS: bool = true;

    fn start(capacity: Capacity) -> Self {
        Self(ThreadPool::with_config(Config {
            // It counts the calling thread itself.
            thread_count: NonZero::new(capacity.workers),
            ..Config::default()
        }))
    }

    fn stop(self) {}
}

impl ForkJoin for ChiliPairs {
    type Site<'a> = Scope<'a>;

    fn inside<T: Send>(&self, body: impl FnOnce(&mut Scope<'_>) -> T + Send) -> T {
        body(&mut self.0.scope())
    }

    fn join<A, B, RA, RB>(site: &mut Scope<'_>, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce(&mut Scope<'_>) -> RA + Send,
        B: FnOnce(&mut Scope<'_>) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        site.join(a, b)
    }
}
