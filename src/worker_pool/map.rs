//! Submitting and taking, interleaved: iterators that cannot deadlock.
//!
//! A loop that submits everything before it takes anything stands still as soon as both
//! queues are full. These submit only while there is room at once, and then wait for the
//! next outcome: without an end if all is submitted, else for a moment, since there may be
//! room before an outcome comes (a worker has begun a long job).
//!
//! One that is dropped half-way takes back what it can: its jobs that have not started are
//! cancelled, and outcomes that waited for their turn go back to the results.

#![forbid(unsafe_code)]

use super::{Handle, Outcome, Results};
use crate::carried::Carried;
use crate::error::{RecvTimeoutError, TrySubmitError};
#[cfg(feature = "async")]
use crate::{engine::Refused, error::RecvError, gate::Turn};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::iter::FusedIterator;
#[cfg(feature = "async")]
use std::task::{Poll, Waker, ready};
use std::time::Duration;

/// How long to wait for an outcome before the next look whether there is room for a job.
const TURN: Duration = Duration::from_millis(1);

/// Jobs of an iterator go in, outcomes come out as jobs end; made by
/// [`WorkerPool::map`](crate::WorkerPool::map).
#[must_use = "iterators do nothing unless they are consumed"]
pub struct Map<'a, I: Iterator, R: Send>(pub(super) Feed<'a, I, R, AsTheyCome>);

/// As [`Map`], in the order of the jobs; made by
/// [`WorkerPool::map_ordered`](crate::WorkerPool::map_ordered).
#[must_use = "iterators do nothing unless they are consumed"]
pub struct MapOrdered<'a, I: Iterator, R: Send>(pub(super) Feed<'a, I, R, Ordered<R>>);

/// What all maps have in common.
pub(super) struct Feed<'a, I: Iterator, R: Send, O: InFlight<R>> {
    handle: &'a Handle<I::Item, R>,
    results: &'a mut Results<R>,
    /// `None` once it has ended.
    pub(super) jobs: Option<I>,
    /// A job that was drawn and not accepted yet.
    pub(super) pending: Option<Carried<I::Item>>,
    /// Nothing more is drawn or submitted.
    stopped: bool,
    /// The pool's results have ended.
    ended: bool,
    /// What was submitted runs, come what may.
    detached: bool,
    /// Most jobs in flight.
    window: usize,
    /// Among the tasks that wait for room.
    #[cfg(feature = "async")]
    turn: Turn,
    pub(super) in_flight: O,
}

/// The jobs that were submitted, and whose outcomes have not been yielded.
pub(super) trait InFlight<R> {
    fn len(&self) -> usize;

    /// The indices of those whose outcomes have not arrived.
    fn missing(&self) -> impl Iterator<Item = u64>;

    fn submitted(&mut self, index: u64);

    /// An outcome has come. Returns it if it is to be yielded at once.
    fn arrived(&mut self, outcome: Outcome<R>) -> Option<Outcome<R>>;

    /// Another outcome that is to be yielded by now.
    fn next(&mut self) -> Option<Outcome<R>>;

    /// The last outcome that waits for its turn, when the turn will not come. (What is in
    /// flight is forgotten.)
    fn give_up(&mut self) -> Option<Outcome<R>>;
}

#[derive(Default)]
pub(super) struct AsTheyCome(HashSet<u64, BuildHasherDefault<Spread>>);

/// Hashes indices, which nobody chooses to collide: std's own hash takes longer than a job's way.
///
/// A multiplication spreads an index over the high bits (Fibonacci hashing: D. Knuth, The Art of
/// Computer Programming, volume 3, 6.4); the set goes by the low ones, and the highest seven.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    #[inline]
    fn write_u64(&mut self, index: u64) {
        self.0 = index.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("an index is one number");
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

impl<R> InFlight<R> for AsTheyCome {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn missing(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    fn submitted(&mut self, index: u64) {
        self.0.insert(index);
    }

    fn arrived(&mut self, outcome: Outcome<R>) -> Option<Outcome<R>> {
        if !outcome.follow_up {
            self.0.remove(&outcome.index);
        }
        Some(outcome)
    }

    fn next(&mut self) -> Option<Outcome<R>> {
        None
    }

    fn give_up(&mut self) -> Option<Outcome<R>> {
        None
    }
}

/// Indices grow from front to back, since one thread submits.
pub(super) struct Ordered<R>(VecDeque<(u64, Option<Outcome<R>>)>);

impl<R> Ordered<R> {
    fn place_of(&self, wanted: u64) -> Option<usize> {
        // Where nobody else submits it is as far from the front as their indices are, else nearer.
        let (front, _) = self.0.front()?;
        let distance = usize::try_from(wanted.checked_sub(*front)?).ok()?;
        if self
            .0
            .get(distance)
            .is_some_and(|(index, _)| *index == wanted)
        {
            return Some(distance);
        }
        self.0
            .binary_search_by_key(&wanted, |(index, _)| *index)
            .ok()
    }
}

impl<R> InFlight<R> for Ordered<R> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn missing(&self) -> impl Iterator<Item = u64> {
        let missing = self.0.iter().filter(|(_, outcome)| outcome.is_none());
        missing.map(|(index, _)| *index)
    }

    fn submitted(&mut self, index: u64) {
        self.0.push_back((index, None));
    }

    fn arrived(&mut self, outcome: Outcome<R>) -> Option<Outcome<R>> {
        match self.place_of(outcome.index) {
            Some(place) if !outcome.follow_up => {
                self.0[place].1 = Some(outcome);
                self.next()
            }
            _ => Some(outcome),
        }
    }

    fn next(&mut self) -> Option<Outcome<R>> {
        let (_, front) = self.0.front_mut()?;
        let outcome = front.take()?;
        self.0.pop_front();
        Some(outcome)
    }

    fn give_up(&mut self) -> Option<Outcome<R>> {
        while let Some((_, outcome)) = self.0.pop_back() {
            if outcome.is_some() {
                return outcome;
            }
        }
        None
    }
}

/// What has not started never will, and what waits for its turn goes back to the results.
impl<I: Iterator, R: Send, O: InFlight<R>> Drop for Feed<'_, I, R, O> {
    fn drop(&mut self) {
        #[cfg(feature = "async")]
        {
            self.handle.engine.leave_room(&mut self.turn);
            self.results.leave_line();
        }
        if !self.detached {
            self.cancel();
        }
        while let Some(outcome) = self.in_flight.give_up() {
            self.results.put_back(outcome);
        }
    }
}

impl<I: Iterator, R: Send, O: InFlight<R>> Feed<'_, I, R, O> {
    /// Cancels what has not started.
    fn cancel(&mut self) {
        self.handle.engine.cancel_each(self.in_flight.missing());
        // Some have ended.
        self.results.forget_late_cancellations();
    }
}

impl<'a, I: Iterator, R: Send, O: InFlight<R>> Feed<'a, I, R, O>
where
    I::Item: Send,
{
    pub(super) fn new(
        handle: &'a Handle<I::Item, R>,
        results: &'a mut Results<R>,
        jobs: I,
        in_flight: O,
    ) -> Self {
        Self {
            window: handle.engine.capacity() + handle.engine.workers(),
            handle,
            results,
            jobs: Some(jobs),
            pending: None,
            stopped: false,
            ended: false,
            detached: false,
            #[cfg(feature = "async")]
            turn: Turn::default(),
            in_flight,
        }
    }

    fn next(&mut self) -> Option<Outcome<R>> {
        while !self.is_over() {
            if let Some(outcome) = self.in_flight.next() {
                return Some(outcome);
            }
            let taken = self.take()?;
            if let Some(outcome) = self.in_flight.arrived(taken) {
                return Some(outcome);
            }
        }
        None
    }

    /// Submits what there is room for, and takes the next outcome, whosever it is. `None`
    /// when nothing is in flight any more, or nothing can come.
    pub(super) fn take(&mut self) -> Option<Outcome<R>> {
        while !self.is_over() {
            self.submit();
            let taken = if self.stopped || self.pending.is_none() {
                if self.in_flight.len() == 0 {
                    return None;
                }
                self.results.recv().map_err(RecvTimeoutError::from)
            } else {
                self.results.recv_timeout(TURN)
            };
            match taken {
                Ok(outcome) => return Some(outcome),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Ended) => self.ended = true,
                Err(error @ RecvTimeoutError::WouldDeadlock) => panic!("{error}"),
            }
        }
        None
    }

    fn is_over(&self) -> bool {
        self.ended || self.results.is_forked()
    }

    /// Submits nothing more, and cancels what has not started.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.cancel();
    }

    fn draw(&mut self) -> Option<I::Item> {
        if let Some(job) = self.pending.take() {
            return Some(job.into_inner());
        }
        let job = self.jobs.as_mut()?.next();
        if job.is_none() {
            self.jobs = None;
        }
        job
    }

    /// Submits as long as there is room in the queue and in the window.
    fn submit(&mut self) {
        while !self.stopped && self.in_flight.len() < self.window {
            let Some(job) = self.draw() else { return };
            match self.handle.try_submit(job) {
                Ok(index) => self.in_flight.submitted(index),
                Err(TrySubmitError::Full(job)) => {
                    self.pending = Some(Carried::new(job));
                    return;
                }
                Err(TrySubmitError::Closed(job)) => {
                    self.pending = Some(Carried::new(job));
                    self.stopped = true;
                }
            }
        }
    }
}

#[cfg(feature = "async")]
impl<I: Iterator, R: Send, O: InFlight<R>> Feed<'_, I, R, O>
where
    I::Item: Send,
{
    /// As [`Feed::next`], for a task.
    pub(super) fn poll_next(&mut self, waker: &Waker) -> Poll<Option<Outcome<R>>> {
        while !self.is_over() {
            if let Some(outcome) = self.in_flight.next() {
                return Poll::Ready(Some(outcome));
            }
            self.poll_submit(waker);
            if !self.wants_room() && self.in_flight.len() == 0 {
                break;
            }
            match ready!(self.results.poll_recv(waker)) {
                Ok(outcome) => {
                    if let Some(outcome) = self.in_flight.arrived(outcome) {
                        return Poll::Ready(Some(outcome));
                    }
                }
                Err(RecvError::Ended) => self.ended = true,
                Err(error @ RecvError::WouldDeadlock) => panic!("{error}"),
            }
        }
        Poll::Ready(None)
    }

    /// Whether there is a job that found no room.
    fn wants_room(&self) -> bool {
        self.pending.is_some() && !self.stopped
    }

    /// As [`Feed::submit`], and waits in line for room if there is none.
    fn poll_submit(&mut self, waker: &Waker) {
        loop {
            if self.wants_room() {
                let engine = &self.handle.engine;
                match engine.poll_submit(&mut self.pending, &mut self.turn, waker) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(index)) => self.in_flight.submitted(index),
                    // In an own worker, for which taking is no better.
                    Poll::Ready(Err(Refused::WouldDeadlock(job))) => {
                        self.pending = Some(job);
                        return;
                    }
                    Poll::Ready(Err(Refused::Closed(job) | Refused::TimedOut(job))) => {
                        self.pending = Some(job);
                        self.stopped = true;
                    }
                }
            }
            self.submit();
            if !self.wants_room() {
                return;
            }
        }
    }
}

/// Defines what the two maps offer alike.
macro_rules! offers {
    ($name:ident, $in_flight:expr) => {
        impl<'a, I: Iterator, R: Send> $name<'a, I, R>
        where
            I::Item: Send,
        {
            pub(super) fn new(
                handle: &'a Handle<I::Item, R>,
                results: &'a mut Results<R>,
                jobs: I,
            ) -> Self {
                Self(Feed::new(handle, results, jobs, $in_flight))
            }

            /// Lets at most so many jobs (at least one) be in flight: submitted, with
            /// outcomes that were not yielded yet. Default: `job_capacity` and the
            /// number of workers. It bounds the memory that this iterator takes.
            pub fn window(mut self, jobs: usize) -> Self {
                self.0.window = jobs.max(1);
                self
            }

            /// Stops submitting, and returns the jobs that were not submitted: the one
            /// that was drawn and found no room, if any, and the rest of the iterator.
            /// Nothing is cancelled: what was submitted runs, and its outcomes come from
            /// the results.
            ///
            /// # Examples
            ///
            /// ```
            /// use workcrew::WorkerPool;
            ///
            /// let (pool, mut results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| job)?;
            /// let mut map = pool.map(&mut results, 0..1000).window(10);
            /// let first = map.next();
            /// let rest = map.into_jobs().count();
            /// pool.close();
            /// assert_eq!(first.iter().count() + results.count() + rest, 1000);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn into_jobs(mut self) -> impl Iterator<Item = I::Item> + use<I, R> {
                self.0.detached = true;
                let (pending, jobs) = (self.0.pending.take(), self.0.jobs.take());
                let pending = pending.map(Carried::into_inner);
                pending.into_iter().chain(jobs.into_iter().flatten())
            }
        }

        /// # Panics
        ///
        /// If the iterator of jobs panics; nothing is lost, and one may go on. In one of
        /// the pool's own workers, if it would have to wait.
        ///
        /// # Blocking
        ///
        /// While jobs are in flight and no outcome is there.
        impl<I: Iterator, R: Send> Iterator for $name<'_, I, R>
        where
            I::Item: Send,
        {
            type Item = Outcome<R>;

            fn next(&mut self) -> Option<Outcome<R>> {
                self.0.next()
            }

            /// What is in flight will come, and nobody knows what others submit.
            fn size_hint(&self) -> (usize, Option<usize>) {
                if self.0.is_over() {
                    return (0, Some(0));
                }
                (InFlight::<R>::len(&self.0.in_flight), None)
            }
        }

        impl<I: Iterator, R: Send> FusedIterator for $name<'_, I, R> where I::Item: Send {}

        impl<I: Iterator, R: Send> fmt::Debug for $name<'_, I, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("in_flight", &InFlight::<R>::len(&self.0.in_flight))
                    .field("window", &self.0.window)
                    .finish_non_exhaustive()
            }
        }
    };
}

offers!(Map, AsTheyCome::default());
offers!(MapOrdered, Ordered(VecDeque::new()));

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/map.rs"]
mod tests;
