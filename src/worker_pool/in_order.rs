//! Outcomes in the order of their indices, as far as a window reaches.
//!
//! A map knows which indices it was given, and waits for each of them. Here an index may
//! be missing for ever (a submitter was overtaken, or another taker got the outcome), so
//! this waits for one only while it may still come and there is room for the others.

#![forbid(unsafe_code)]

use super::{Handle, Outcome, Results};
use crate::error::{RecvTimeoutError, TryRecvError};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

/// How long to wait for an outcome before the next look whether any job is left.
const TURN: Duration = Duration::from_millis(5);

/// Yields the outcomes of submitted jobs in the order of their indices, within a window;
/// made by [`WorkerPool::in_order`](crate::WorkerPool::in_order).
///
/// An outcome that comes before its turn is held back until all with smaller indices have
/// been yielded. But those are not waited for
///
/// * when `window` outcomes are held back and one more comes: then the first of them is
///   yielded, and it goes on from there;
/// * when at some moment no job is queued or running: then all that are held back are
///   yielded, in order, since nothing else with a smaller index can come (an index may be
///   skipped when several threads submit: see [`Handle::submit`](crate::Handle::submit));
/// * when the pool has ended.
///
/// So it never waits for ever for an index that was skipped or that another handle took,
/// and the order is complete if no job is overtaken by more than `window` others (with one
/// taker, and while nobody puts outcomes back). What comes after its turn all the same is
/// yielded at once, and can be told by its index, which is smaller than the one before. So
/// are outcomes of follow-ups ([`Outcome::follow_up`]), which have no turn.
///
/// The first index is 0, or the one at which the last `in_order` of this handle stopped.
/// When it is dropped, what it held back is what the results yield next, in order.
#[must_use = "iterators do nothing unless they are consumed"]
pub struct InOrder<'a, J, R: Send> {
    handle: &'a Handle<J, R>,
    results: &'a mut Results<R>,
    held: BinaryHeap<Held<R>>,
    window: usize,
}

/// The smallest index is the greatest of these.
struct Held<R>(Outcome<R>);

impl<R> Ord for Held<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.index.cmp(&self.0.index)
    }
}

impl<R> PartialOrd for Held<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> PartialEq for Held<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R> Eq for Held<R> {}

impl<'a, J: Send, R: Send> InOrder<'a, J, R> {
    pub(super) fn new(
        handle: &'a Handle<J, R>,
        results: &'a mut Results<R>,
        window: usize,
    ) -> Self {
        Self {
            handle,
            results,
            held: BinaryHeap::new(),
            window,
        }
    }

    /// An outcome whose turn has come, or which must make room.
    fn due(&mut self) -> Option<Outcome<R>> {
        let first = self.held.peek()?.0.index;
        if first > self.results.settled && self.held.len() <= self.window {
            return None;
        }
        self.results.settled = self.results.settled.max(first + 1);
        self.held.pop().map(|held| held.0)
    }

    /// Nothing that is missing among what is held back will come.
    fn settle(&mut self) {
        let end = self.held.iter().map(|held| held.0.index + 1).max();
        self.results.settled = self.results.settled.max(end.unwrap_or(0));
    }

    /// What comes next, or `None` at the end and when there is a reason to look at what is
    /// held back again.
    fn take(&mut self) -> Result<Outcome<R>, RecvTimeoutError> {
        match self.results.try_recv() {
            Ok(outcome) => return Ok(outcome),
            Err(TryRecvError::Ended) => return Err(RecvTimeoutError::Ended),
            Err(TryRecvError::Empty) if self.held.is_empty() => {
                return self.results.recv().map_err(RecvTimeoutError::from);
            }
            Err(TryRecvError::Empty) => {}
        }
        if !self.handle.engine.is_idle() {
            return self.results.recv_timeout(TURN);
        }
        // All jobs up to those that we hold have ended by now, and delivered before.
        match self.results.try_recv() {
            Ok(outcome) => Ok(outcome),
            Err(_) => {
                self.settle();
                Err(RecvTimeoutError::Timeout)
            }
        }
    }
}

/// # Panics
///
/// `next` panics if it would have to wait in one of the pool's own workers.
///
/// # Blocking
///
/// As [`Results::recv`], and while outcomes are held back and a job with a smaller index
/// may be queued or running. Then it looks every 5 ms whether any job is left.
impl<J: Send, R: Send> Iterator for InOrder<'_, J, R> {
    type Item = Outcome<R>;

    fn next(&mut self) -> Option<Outcome<R>> {
        // In a forked child, what is held back is the parent's.
        while !self.results.is_forked() {
            if let Some(outcome) = self.due() {
                return Some(outcome);
            }
            match self.take() {
                Ok(outcome) if outcome.follow_up => return Some(outcome),
                Ok(outcome) => self.held.push(Held(outcome)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Ended) if self.held.is_empty() => return None,
                Err(RecvTimeoutError::Ended) => self.settle(),
                Err(error @ RecvTimeoutError::WouldDeadlock) => panic!("{error}"),
            }
        }
        None
    }
}

/// What is held back goes back to the results.
impl<J, R: Send> Drop for InOrder<'_, J, R> {
    fn drop(&mut self) {
        // From the last to the first, each in front of those before.
        for held in std::mem::take(&mut self.held).into_sorted_vec() {
            self.results.put_back(held.0);
        }
    }
}

impl<J, R: Send> fmt::Debug for InOrder<'_, J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InOrder")
            .field("held", &self.held.len())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
