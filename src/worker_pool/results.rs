//! The takers' end.

#![forbid(unsafe_code)]

use super::JobError;
use super::hand::Hand;
use super::outbox::Outbox;
use crate::engine::{Recalls, is_inside};
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
#[cfg(feature = "async")]
use crate::gate::Turn;
use crate::pace::{Nap, Pace, Patience};
use crate::probe::probe;
use crate::sync::{self, Arc};
use crossbeam_utils::CachePadded;
use std::fmt;
#[cfg(feature = "async")]
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// With fewer jobs than this ahead, a taker may be waiting for one in particular.
const NAP_BACKLOG: usize = 32;

/// How one job ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<R> {
    /// What `submit` returned for the job; for a follow-up, the index of the
    /// submitted job from which it descends.
    pub index: u64,
    /// Whether the job was not submitted, but pushed by another one
    /// ([`Context::push`](crate::Context::push)).
    pub follow_up: bool,
    /// The worker that ran the job, or dropped it cancelled: `0..workers`. For a job that
    /// was cancelled after the crew had left, 0.
    pub worker: usize,
    /// What the job returned, or why it did not.
    pub result: Result<R, JobError>,
}

/// Takes results as they become available.
///
/// An iterator that waits for each next outcome and ends when the pool is closed
/// and everything has been delivered. Clone it to take from several threads; each
/// outcome goes to one of them.
///
/// An outcome that another handle puts back when it is dropped may come even after the
/// end: then the iterator goes on.
///
/// A handle claims up to 64 results at a time, but not more than its share of what
/// lies there (their number divided by that of the handles), and puts back what is
/// left when it is dropped. When the last handle is dropped nobody can take results
/// any more: those that lie there, and all later ones, are dropped and counted in
/// [`Stats::results_discarded`](crate::Stats::results_discarded).
///
/// # Order
///
/// With one handle, each worker's outcomes come in the order in which they were
/// produced. Across workers there is no order, but an outcome that is available is
/// passed over by at most 64 of each other worker.
///
/// # Examples
///
/// Two threads take; each outcome goes to one of them:
///
/// ```
/// use std::thread;
/// use workcrew::WorkerPool;
///
/// let (pool, results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| job)?;
/// let others = results.clone();
/// let count = thread::spawn(move || others.count());
/// pool.submit_all(0..1000)?;
/// pool.close();
/// let here = results.count();
/// assert_eq!(here + count.join().unwrap(), 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "without a taker, results are discarded"]
pub struct Results<R: Send> {
    outbox: Arc<Outbox<R>>,
    recalls: Arc<CachePadded<Recalls>>,
    hand: Hand<R>,
    /// For [`InOrder`](super::InOrder): outcomes below this index are not waited for.
    pub(super) settled: u64,
    /// How fast results come.
    pace: Pace,
    patience: Patience,
    /// Among the tasks that wait for results.
    #[cfg(feature = "async")]
    turn: Turn,
}

/// Claims a share of what lies there and returns the first.
fn refill<R: Send>(
    hand: &mut Hand<R>,
    outbox: &Outbox<R>,
    recalls: &Recalls,
) -> Result<Outcome<R>, TryRecvError> {
    // Asked before the look: results delivered by then will be found.
    let ended = outbox.has_ended();
    outbox.fill(hand);
    if recalls.has_words() {
        hand.forget(recalls);
    }
    probe!("results: taken, not handed out");
    match hand.next() {
        Some(outcome) => Ok(outcome),
        None if ended => Err(TryRecvError::Ended),
        None => Err(TryRecvError::Empty),
    }
}

/// As [`refill`]; `None` if a wait might bring something.
fn look<R: Send>(
    hand: &mut Hand<R>,
    outbox: &Outbox<R>,
    recalls: &Recalls,
) -> Option<Result<Outcome<R>, RecvError>> {
    match refill(hand, outbox, recalls) {
        Ok(outcome) => Some(Ok(outcome)),
        Err(TryRecvError::Ended) => Some(Err(RecvError::Ended)),
        Err(TryRecvError::Empty) => None,
    }
}

impl<R: Send> Results<R> {
    pub(crate) fn new(outbox: Arc<Outbox<R>>, recalls: Arc<CachePadded<Recalls>>) -> Self {
        Self {
            outbox,
            recalls,
            hand: Hand::default(),
            settled: 0,
            pace: Pace::new(),
            patience: Patience::default(),
            #[cfg(feature = "async")]
            turn: Turn::default(),
        }
    }

    /// Takes an outcome back that was handed out; it is the next.
    pub(super) fn put_back(&mut self, outcome: Outcome<R>) {
        self.hand.put_back(outcome);
    }

    /// Forgets cancellations that came too late for what is in hand.
    pub(super) fn forget_late_cancellations(&mut self) {
        if self.recalls.has_words() {
            self.hand.forget(&self.recalls);
        }
    }

    pub(super) fn is_forked(&self) -> bool {
        self.outbox.is_forked()
    }

    pub(super) fn belongs_to(&self, outbox: &Arc<Outbox<R>>) -> bool {
        Arc::ptr_eq(&self.outbox, outbox)
    }

    /// Returns the next outcome, waiting for it if need be.
    ///
    /// # Errors
    ///
    /// [`RecvError::Ended`] when the pool is closed and all is delivered, and
    /// [`RecvError::WouldDeadlock`] if nothing is there and the caller is one of the
    /// pool's own workers.
    ///
    /// # Blocking
    ///
    /// Until a worker delivers or the pool ends. A taker that is faster than the crew, while
    /// over thirty jobs wait (as the worker whose results came last saw it), looks again after
    /// some microseconds instead of being woken for each result, or every 0.2 ms or so if it is
    /// much faster or the queue much longer; else it is woken at once.
    #[inline]
    pub fn recv(&mut self) -> Result<Outcome<R>, RecvError> {
        match self.in_hand() {
            Some(outcome) => Ok(outcome),
            None => self.recv_elsewhere(),
        }
    }

    /// As [`Results::recv`], if none is left in the claim.
    #[inline(never)]
    fn recv_elsewhere(&mut self) -> Result<Outcome<R>, RecvError> {
        match self.refill() {
            Ok(outcome) => Ok(outcome),
            Err(TryRecvError::Ended) => Err(RecvError::Ended),
            Err(TryRecvError::Empty) => self.recv_by(None).map_err(|error| match error {
                RecvTimeoutError::WouldDeadlock => RecvError::WouldDeadlock,
                RecvTimeoutError::Ended | RecvTimeoutError::Timeout => RecvError::Ended,
            }),
        }
    }

    /// Returns the next outcome if one is there. Lock-free.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if none is there now, [`TryRecvError::Ended`] if none
    /// will come any more.
    #[inline]
    pub fn try_recv(&mut self) -> Result<Outcome<R>, TryRecvError> {
        match self.in_hand() {
            Some(outcome) => Ok(outcome),
            None => self.refill(),
        }
    }

    /// An outcome of the claim in hand. (So most come: without a copy on the way.)
    #[inline(always)]
    fn in_hand(&mut self) -> Option<Outcome<R>> {
        if self.is_forked() {
            return None;
        }
        self.hand.next_claimed()
    }

    /// The next outcome, if none is left in the claim.
    #[inline(never)]
    fn refill(&mut self) -> Result<Outcome<R>, TryRecvError> {
        if self.is_forked() {
            // What is here is the parent's.
            return Err(TryRecvError::Ended);
        }
        if let Some(outcome) = self.hand.next() {
            return Ok(outcome);
        }
        refill(&mut self.hand, &self.outbox, &self.recalls)
    }

    /// Returns the next outcome, waiting at most `timeout` for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use workcrew::{RecvTimeoutError, WorkerPool};
    ///
    /// let (pool, mut results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| job * job)?;
    /// pool.submit(9)?;
    /// let square = loop {
    ///     match results.recv_timeout(Duration::from_millis(100)) {
    ///         Ok(outcome) => break outcome.result?,
    ///         Err(RecvTimeoutError::Timeout) => println!("still at it"),
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// };
    /// assert_eq!(square, 81);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Results::recv`], and [`RecvTimeoutError::Timeout`] when the time is up.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Outcome<R>, RecvTimeoutError> {
        match self.try_recv() {
            Ok(outcome) => Ok(outcome),
            Err(TryRecvError::Ended) => Err(RecvTimeoutError::Ended),
            Err(TryRecvError::Empty) => self.recv_by(sync::deadline(timeout)),
        }
    }

    #[cold]
    fn recv_by(&mut self, deadline: Option<Instant>) -> Result<Outcome<R>, RecvTimeoutError> {
        if is_inside(Arc::as_ptr(&self.outbox) as usize) {
            return Err(RecvTimeoutError::WouldDeadlock);
        }
        let Self {
            outbox,
            recalls,
            hand,
            pace,
            patience,
            ..
        } = self;
        let ahead = outbox.backlog(hand);
        let nap = if ahead < NAP_BACKLOG {
            Nap::None
        } else {
            pace.nap(hand.claimed(), outbox.capacity(), ahead, deadline)
        };
        let hot = outbox.is_hot(ahead);
        let found = outbox
            .ready()
            .wait_politely(nap, patience, hot, deadline, || look(hand, outbox, recalls));
        match found {
            Some(taken) => taken.map_err(RecvTimeoutError::from),
            None => Err(RecvTimeoutError::Timeout),
        }
    }
}

#[cfg(feature = "async")]
impl<R: Send> Results<R> {
    /// As [`Results::recv`], for a task, which waits in line meanwhile.
    pub(super) fn poll_recv(&mut self, waker: &Waker) -> Poll<Result<Outcome<R>, RecvError>> {
        if self.is_forked() {
            return Poll::Ready(Err(RecvError::Ended));
        }
        if let Some(outcome) = self.hand.next() {
            return Poll::Ready(Ok(outcome));
        }
        let Self {
            outbox,
            recalls,
            hand,
            turn,
            ..
        } = self;
        if is_inside(Arc::as_ptr(outbox) as usize) {
            let taken = look(hand, outbox, recalls);
            return Poll::Ready(taken.unwrap_or(Err(RecvError::WouldDeadlock)));
        }
        outbox
            .ready()
            .poll(turn, waker, || look(hand, outbox, recalls))
    }

    /// The task waits no longer.
    pub(super) fn leave_line(&mut self) {
        if !self.is_forked() {
            self.outbox.ready().leave_line(&mut self.turn);
        }
    }
}

/// Ends when the pool is closed and everything has been delivered.
///
/// # Panics
///
/// `next` panics if it would have to wait in one of the pool's own workers; use
/// [`Results::recv`] there.
impl<R: Send> Iterator for Results<R> {
    type Item = Outcome<R>;

    #[inline]
    fn next(&mut self) -> Option<Outcome<R>> {
        match self.recv() {
            Ok(outcome) => Some(outcome),
            Err(RecvError::Ended) => None,
            Err(error @ RecvError::WouldDeadlock) => panic!("{error}"),
        }
    }
}

/// A further taker. Starts with nothing in hand.
impl<R: Send> Clone for Results<R> {
    fn clone(&self) -> Self {
        self.outbox.taker_came();
        Self::new(Arc::clone(&self.outbox), Arc::clone(&self.recalls))
    }
}

impl<R: Send> Drop for Results<R> {
    fn drop(&mut self) {
        if self.is_forked() {
            // All of it is the parent's, who drops it.
            std::mem::forget(std::mem::take(&mut self.hand));
            std::mem::forget(Arc::clone(&self.outbox));
            return;
        }
        #[cfg(feature = "async")]
        self.leave_line();
        for outcome in &mut self.hand {
            self.outbox.put_back(outcome);
        }
        self.outbox.taker_left();
    }
}

impl<R: Send> fmt::Debug for Results<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results")
            .field("in_hand", &self.hand.len())
            .finish_non_exhaustive()
    }
}
