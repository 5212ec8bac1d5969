//! No threads: two closures are two calls, one after the other.

use super::{ForkJoin, Pool};
use crate::crew::Capacity;

/// The calling thread.
#[derive(Debug)]
pub struct Plain;

impl Pool for Plain {
    fn start(_: Capacity) -> Self {
        Self
    }

    fn stop(self) {}
}

impl ForkJoin for Plain {
    type Site<'a> = ();

    fn inside<T: Send>(&self, body: impl FnOnce(&mut ()) -> T + Send) -> T {
        body(&mut ())
    }

    fn join<A, B, RA, RB>(site: &mut (), a: A, b: B) -> (RA, RB)
    where
        A: FnOnce(&mut ()) -> RA + Send,
        B: FnOnce(&mut ()) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        (a(site), b(site))
    }
}
