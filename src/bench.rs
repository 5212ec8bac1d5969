//! The private queues, for the crate's own benches: the feature `bench-internals`. Not
//! part of the API.

#![forbid(unsafe_code)]

use crate::deque::{self, Local, Steal, Stealer};
use crate::engine::{Desk, Ended, Engine, Exit, Picked, Run, Worker};
use crate::injector;
use crate::sync::barrier;

#[derive(Debug)]
pub struct Owner<T>(Local<T>);

#[derive(Debug)]
pub struct Thief<T>(Stealer<T>);

pub fn ring<T>(capacity: usize) -> (Owner<T>, Thief<T>) {
    let (local, stealer) = deque::ring(capacity);
    (Owner(local), Thief(stealer))
}

impl<T> Owner<T> {
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        self.0.push(item)
    }

    #[inline]
    pub fn stage(&mut self, item: T) -> Result<(), T> {
        self.0.stage(item)
    }

    #[inline]
    pub fn publish(&mut self) {
        self.0.publish();
    }

    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    /// As in a process that has a pool.
    pub fn bias(&mut self) {
        barrier::prepare();
        self.0.bias();
    }
}

impl<T> Thief<T> {
    /// How many items went to the sink, if any.
    #[inline]
    pub fn drain(&self, most: usize, sink: impl FnMut(T)) -> Option<usize> {
        match self.0.drain(most, sink) {
            Steal::Taken(taken) => Some(taken),
            Steal::Empty | Steal::Retry => None,
        }
    }
}

#[derive(Debug)]
pub struct Injector<T>(injector::Injector<T>);

pub fn injector<T>(capacity: usize) -> Injector<T> {
    Injector(injector::Injector::bounded(capacity))
}

impl<T> Injector<T> {
    /// The position, or the item if there is no room.
    #[inline]
    pub fn push(&self, item: T) -> Result<u64, T> {
        self.0.add(item)
    }

    /// Pushes all, which must fit.
    #[inline]
    pub fn push_batch(&self, items: &mut [Option<T>]) {
        let pushed = self.0.push_batch(items, |_, want| want);
        assert!(pushed.is_ok(), "there is room");
    }

    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.0.pop_one()
    }

    /// How many items went to the sink.
    #[inline]
    pub fn pop_batch(&self, most: usize, mut sink: impl FnMut(T)) -> usize {
        self.0.pop(most, |_| {}, |_, item| sink(item)).taken
    }
}

/// What a worker does with its jobs.
struct Sink<F>(F);

impl<J, F: FnMut(J)> Run<J> for Sink<F> {
    type Done = ();

    #[inline(always)]
    fn run(&mut self, picked: Picked<'_, J>, _: Desk<'_, J>) {
        (self.0)(picked.take());
    }

    #[inline(always)]
    fn deliver(&mut self, (): (), _: &Desk<'_, J>) -> Ended {
        Ended::Completed
    }

    fn cancel(&mut self, _: Picked<'_, J>, _: &Desk<'_, J>) {
        unreachable!("nobody cancels");
    }
}

/// A crew with these jobs and no others: its one worker is the thread that calls what this returns.
pub fn crew_of_one<J: Send, F: FnMut(J)>(
    jobs: impl ExactSizeIterator<Item = J>,
    sink: F,
) -> impl FnOnce() {
    let (engine, mut locals) = Engine::new(1, jobs.len(), 0, 0);
    for job in jobs {
        assert!(engine.try_submit(job).is_ok(), "there is room");
    }
    engine.close();
    move || {
        let exit = Worker::new(&engine, 0, locals.remove(0)).work(&mut Sink(sink));
        assert_eq!(exit, Exit::Drained);
    }
}
