//! A function over an iterator, whose end nobody knows: lazily, within a window.
//!
//! **Promise.** Each item that is drawn becomes a job, at most a window of them at a time, and
//! each job's outcome is yielded once: in order, or as the jobs end. One that is dropped half-way
//! cancels what has not started. Whoever waits for an outcome runs these jobs, if it is one of
//! the pool's workers, and no others.
//!
//! **Parts.** The jobs are [spawned](super::spawn) ones, and who claims them and hears of their
//! outcome is settled there. Which outcome is the next: see [`in_flight`](super::in_flight).
//!
//! **Room.** Outside of the crew a job is submitted only if there is room at once, or nothing is
//! in flight that could be waited for instead. A worker never waits for room; its jobs go where
//! follow-ups go, but unlike these not after the pool was closed: an iterator without an end
//! would keep it open for ever.

#![forbid(unsafe_code)]

use super::in_flight::{Apply, AsTheyEnd, InFlight, InOrder};
use super::spawn::{Job, JobHandle, unpack};
use super::task::Task;
use super::{ThreadPool, ThreadPoolHandle};
use crate::engine::{Refused, current_worker};
use crate::error::JobError;
use crate::injector::Rejected;
use std::fmt;
use std::iter::FusedIterator;

/// Fewer than an [`Injector`](crate::injector::Injector) holds: each job in flight must be able to tell of its end.
const MAX_WINDOW: usize = if cfg!(any(test, miri)) {
    1 << 14
} else {
    1 << 20
};

/// What becomes of a job.
type Outcome<R> = Result<R, JobError>;

/// Applies a function to the items of an iterator, and yields what that returns, as the jobs end;
/// made by [`ThreadPool::map_iter`](crate::ThreadPool::map_iter).
#[must_use = "iterators do nothing unless they are consumed"]
pub struct MapIter<I: Iterator, F, R>(Feed<I, AsTheyEnd<F, R>>)
where
    I::Item: Send + 'static,
    F: 'static,
    R: Send + 'static;

/// As [`MapIter`], in the order of the items; made by
/// [`ThreadPool::map_iter_ordered`](crate::ThreadPool::map_iter_ordered).
#[must_use = "iterators do nothing unless they are consumed"]
pub struct MapIterOrdered<I: Iterator, F, R>(Feed<I, InOrder<F, R>>)
where
    I::Item: Send + 'static,
    F: 'static,
    R: Send + 'static;

/// A function, to be applied to an item.
struct Application<A, C> {
    item: A,
    /// Outlives the call.
    function: C,
}

impl<A: Send, R, C: Apply<A, R>> Job<R> for Application<A, C> {
    fn call(self) -> R {
        let Self { item, function } = self;
        function.apply(item)
    }
}

/// What both have in common.
struct Feed<I: Iterator, O: InFlight>
where
    I::Item: Send + 'static,
{
    pool: ThreadPoolHandle,
    /// `None` once it has ended.
    items: Option<I>,
    /// The job of the last item that was drawn, if it is not accepted yet.
    pending: Option<(Task, JobHandle<O::Result>)>,
    /// Nothing more is drawn or submitted.
    stopped: bool,
    /// Most jobs in flight.
    window: usize,
    in_flight: O,
}

impl<I: Iterator, O: InFlight> Drop for Feed<I, O>
where
    I::Item: Send + 'static,
{
    fn drop(&mut self) {
        self.in_flight.leave();
    }
}

impl<I, O> Feed<I, O>
where
    I: Iterator,
    I::Item: Send + 'static,
    O: InFlight,
    O::Function: Apply<I::Item, O::Result>,
{
    fn new(pool: &ThreadPoolHandle, items: I, in_flight: O) -> Self {
        let window = pool.engine.capacity() + pool.engine.workers();
        Self {
            pool: pool.clone(),
            items: Some(items),
            pending: None,
            stopped: false,
            window: window.min(MAX_WINDOW),
            in_flight,
        }
    }

    fn next(&mut self) -> Option<Outcome<O::Result>> {
        if self.pool.engine.is_forked() {
            return None;
        }
        let worker = current_worker(self.pool.engine.key());
        self.submit(worker);
        if self.in_flight.len() == 0 {
            self.wait_for_room();
        }
        if self.in_flight.len() == 0 {
            return None;
        }
        // If it has not ended it is about to, or it is waited for, or run here.
        Some(self.in_flight.next(worker.is_some()).join())
    }

    fn draw(&mut self) -> Option<(Task, JobHandle<O::Result>)> {
        if self.pending.is_some() {
            return self.pending.take();
        }
        let Some(item) = self.items.as_mut()?.next() else {
            self.items = None;
            return None;
        };
        let function = self.in_flight.function();
        Some(self.pool.pack(Application { item, function }))
    }

    /// Submits as long as there is room in the queue and in the window.
    fn submit(&mut self, worker: Option<usize>) {
        while !self.stopped && self.in_flight.len() < self.window {
            let Some((task, job)) = self.draw() else {
                return;
            };
            let engine = &self.pool.engine;
            let submitted = match worker {
                Some(worker) if !engine.is_closed() => match engine.push_inside(worker, task) {
                    // Millions wait there: it is dropped, and so cancelled.
                    Err(Rejected::Full(_)) => Ok(()),
                    pushed => pushed,
                },
                _ => engine.try_submit(task).map(drop),
            };
            match submitted {
                Ok(()) => self.in_flight.add(job),
                Err(Rejected::Full(task)) => {
                    self.pending = Some((task, job));
                    return;
                }
                Err(Rejected::Closed(task)) => {
                    self.pending = Some((task, job));
                    self.stopped = true;
                }
            }
        }
    }

    /// Submits the item that found no room, when there is.
    fn wait_for_room(&mut self) {
        if self.stopped {
            return;
        }
        let Some((task, job)) = self.pending.take() else {
            return;
        };
        match self.pool.engine.submit(task, None) {
            Ok(_) => self.in_flight.add(job),
            Err(Refused::Closed(task) | Refused::WouldDeadlock(task) | Refused::TimedOut(task)) => {
                self.pending = Some((task, job));
                self.stopped = true;
            }
        }
    }

    fn into_items(mut self) -> impl Iterator<Item = I::Item> + use<I, O> {
        let pending = self.pending.take().map(|(task, _job)| {
            let job: Application<I::Item, O::Function> = unpack::<_, O::Result>(task);
            job.item
        });
        let rest = self.items.take();
        pending.into_iter().chain(rest.into_iter().flatten())
    }
}

/// Defines what both offer alike.
macro_rules! offers {
    ($name:ident) => {
        impl<I, F, R> $name<I, F, R>
        where
            I: Iterator,
            I::Item: Send + 'static,
            F: Fn(I::Item) -> R + Send + Sync + 'static,
            R: Send + 'static,
        {
            /// Lets at most so many jobs (at least one, at most 2^20) be in flight: submitted,
            /// with outcomes that were not yielded yet. Default: `job_capacity` and the number
            /// of workers. It bounds the memory that this iterator takes.
            pub fn window(mut self, jobs: usize) -> Self {
                self.0.window = jobs.clamp(1, MAX_WINDOW);
                self
            }

            /// Stops, and returns the items that did not become jobs: the one that was drawn
            /// and not accepted, if any, and the rest of the iterator.
            ///
            /// What is in flight is cancelled, if it has not started, and its outcomes are
            /// lost: so exhaust this iterator before, if they matter. After the pool has been
            /// closed it ends with what is in flight.
            ///
            /// # Examples
            ///
            /// ```
            /// use workcrew::ThreadPool;
            ///
            /// let pool = ThreadPool::new(2)?;
            /// let mut map = pool.map_iter(0..1000, |number| number).window(10);
            /// let first = map.next();
            /// pool.close(); // somebody ends the pool
            /// let others = map.by_ref().count();
            /// let rest = map.into_items().count();
            /// assert_eq!(first.iter().count() + others + rest, 1000);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn into_items(self) -> impl Iterator<Item = I::Item> + use<I, F, R> {
                self.0.into_items()
            }
        }

        /// # Panics
        ///
        /// If the iterator of items panics; nothing is lost, and one may go on.
        ///
        /// # Blocking
        ///
        /// While jobs are in flight and no outcome is there to be yielded, or none is in flight
        /// and there is no room for one. One of the pool's own workers runs those that are
        /// queued, and no others.
        impl<I, F, R> Iterator for $name<I, F, R>
        where
            I: Iterator,
            I::Item: Send + 'static,
            F: Fn(I::Item) -> R + Send + Sync + 'static,
            R: Send + 'static,
        {
            type Item = Result<R, JobError>;

            fn next(&mut self) -> Option<Result<R, JobError>> {
                self.0.next()
            }

            /// What is in flight will come.
            fn size_hint(&self) -> (usize, Option<usize>) {
                let Feed {
                    items, in_flight, ..
                } = &self.0;
                if self.0.pool.engine.is_forked() {
                    return (0, Some(0));
                }
                let here = in_flight.len() + usize::from(self.0.pending.is_some());
                let most = match items {
                    None => Some(0),
                    Some(items) => items.size_hint().1,
                };
                (
                    in_flight.len(),
                    most.and_then(|most| most.checked_add(here)),
                )
            }
        }

        impl<I, F, R> FusedIterator for $name<I, F, R>
        where
            I: Iterator,
            I::Item: Send + 'static,
            F: Fn(I::Item) -> R + Send + Sync + 'static,
            R: Send + 'static,
        {
        }

        impl<I, F, R> fmt::Debug for $name<I, F, R>
        where
            I: Iterator,
            I::Item: Send + 'static,
            F: 'static,
            R: Send + 'static,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("in_flight", &self.0.in_flight.len())
                    .field("window", &self.0.window)
                    .finish_non_exhaustive()
            }
        }
    };
}

offers!(MapIter);
offers!(MapIterOrdered);

impl ThreadPoolHandle {
    /// Applies `f` to each item of an iterator, on the workers, and yields what it returns, as
    /// the jobs end. Lazy: items are drawn as there is room for them.
    ///
    /// For input that comes one by one, or has no end; at most a [`window`](MapIter::window) of
    /// jobs is in flight. (For a slice there is [`map`](Self::map).) A panic in `f` comes as its
    /// job's outcome, [`JobError::Panicked`]. The jobs may outlive the iterator, so `f` and the
    /// items own what they use.
    ///
    /// If it is dropped half-way, jobs that have not started are cancelled. If the pool is
    /// closed nothing more is drawn, in one of its own workers either: what is in flight is
    /// yielded, and [`into_items`](MapIter::into_items) has the rest.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let squares = pool.map_iter(1_u64.., |number| number * number).window(10);
    /// let large = squares.filter_map(Result::ok).find(|square| *square > 1000);
    /// assert!(large.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_iter<I, F, R>(&self, items: I, f: F) -> MapIter<I::IntoIter, F, R>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let in_flight = AsTheyEnd::new(f);
        MapIter(Feed::new(self, items.into_iter(), in_flight))
    }

    /// As [`map_iter`](Self::map_iter), in the order of the items.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let words = pool.map_iter_ordered(0.., |number: u32| number.to_string());
    /// let words: Result<Vec<_>, _> = words.take(3).collect();
    /// assert_eq!(words?, ["0", "1", "2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_iter_ordered<I, F, R>(&self, items: I, f: F) -> MapIterOrdered<I::IntoIter, F, R>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let in_flight = InOrder::new(f);
        MapIterOrdered(Feed::new(self, items.into_iter(), in_flight))
    }
}

impl ThreadPool {
    /// As [`ThreadPoolHandle::map_iter`]: applies `f` to each item of an iterator, on the workers,
    /// and yields what it returns, as the jobs end.
    pub fn map_iter<I, F, R>(&self, items: I, f: F) -> MapIter<I::IntoIter, F, R>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.handle.map_iter(items, f)
    }

    /// As [`ThreadPoolHandle::map_iter_ordered`]: the same in the order of the items.
    pub fn map_iter_ordered<I, F, R>(&self, items: I, f: F) -> MapIterOrdered<I::IntoIter, F, R>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.handle.map_iter_ordered(items, f)
    }
}
