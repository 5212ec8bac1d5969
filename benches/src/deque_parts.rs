//! What a pool of crossbeam's parts is assembled from, whatever its jobs are: an `Injector`, a deque per worker with
//! stealing, and a list of who sleeps.
//!
//! The injector has no bound, so a counter gives it one, for two counter updates a job.

use std::iter;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};

use crossbeam_deque::{Injector, Stealer, Worker};
use crossbeam_utils::{Backoff, CachePadded};

/// The queues, and who waits at them.
pub(crate) struct Parts<J> {
    injector: Injector<J>,
    stealers: Vec<Stealer<J>>,
    /// Jobs that wait to start.
    waiting: CachePadded<AtomicUsize>,
    job_capacity: usize,
    closed: AtomicBool,
    /// Workers that wait for a job.
    idle_workers: Sleepers,
    /// Submitters that wait for room among the jobs.
    blocked_submitters: Sleepers,
}

impl<J> Parts<J> {
    pub(crate) fn new(locals: &[Worker<J>], job_capacity: usize) -> Self {
        Self {
            injector: Injector::new(),
            stealers: locals.iter().map(Worker::stealer).collect(),
            waiting: CachePadded::new(AtomicUsize::new(0)),
            job_capacity,
            closed: AtomicBool::new(false),
            idle_workers: Sleepers::default(),
            blocked_submitters: Sleepers::default(),
        }
    }

    /// Submits a job from outside; waits while the queue is full.
    pub(crate) fn submit(&self, job: J) {
        let mut tries = 0;
        self.blocked_submitters.wait(|| {
            tries += 1;
            loop {
                if self.waiting.fetch_add(1, Ordering::AcqRel) < self.job_capacity {
                    return Some(());
                }
                // If it is not full without this one, another submitter counted meanwhile, and took that for full.
                if self.waiting.fetch_sub(1, Ordering::AcqRel) > self.job_capacity {
                    return None;
                }
            }
        });
        if tries > 1 {
            // One is woken when the queue ceases to be full; there may be room for others too.
            self.blocked_submitters.wake_one();
        }
        self.injector.push(job);
        self.idle_workers.wake_one();
    }

    /// Pushes a job that a worker's own job makes. Never waits.
    pub(crate) fn push(&self, local: &Worker<J>, job: J) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        local.push(job);
        self.idle_workers.wake_one();
    }

    /// Runs jobs until the pool is closed and none is left.
    pub(crate) fn run_worker(&self, local: &Worker<J>, mut run: impl FnMut(J)) {
        loop {
            let job = self.idle_workers.wait(|| {
                // `closed` before the look at the queues: what was submitted before it was set is still found.
                let closed = self.closed.load(Ordering::Acquire);
                match self.find_job(local) {
                    Some(job) => Some(Some(job)),
                    None => closed.then_some(None),
                }
            });
            let Some(job) = job else { return };
            run(job);
        }
    }

    /// Lets the workers end.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.idle_workers.wake_all();
    }

    /// The worker's own deque, then a batch of the injector, then another worker's deque.
    fn find_job(&self, local: &Worker<J>) -> Option<J> {
        let job = local.pop().or_else(|| {
            iter::repeat_with(|| {
                self.injector
                    .steal_batch_and_pop(local)
                    .or_else(|| self.stealers.iter().map(Stealer::steal).collect())
            })
            .find(|steal| !steal.is_retry())
            .and_then(|steal| steal.success())
        })?;
        let before = self.waiting.fetch_sub(1, Ordering::AcqRel);
        if before >= self.job_capacity {
            self.blocked_submitters.wake_one();
        }
        Some(job)
    }
}

/// Threads that sleep until something changes.
///
/// Who changes something does so first and looks for sleepers then; who goes to sleep enters the list first and looks for
/// the change then; a full fence stands between the two steps on both sides, so at least one of them sees the other.
#[derive(Default)]
struct Sleepers {
    /// The length of the list, to be looked at without the lock.
    count: CachePadded<AtomicUsize>,
    list: Mutex<Vec<Thread>>,
}

impl Sleepers {
    /// Tries until something comes of it: with pauses that grow at first, then asleep between tries.
    fn wait<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        let backoff = Backoff::new();
        loop {
            if let Some(outcome) = attempt() {
                return outcome;
            }
            if !backoff.is_completed() {
                backoff.snooze();
                continue;
            }
            self.with_list(|list| list.push(thread::current()));
            fence(Ordering::SeqCst);
            if let Some(outcome) = attempt() {
                // If somebody has taken this thread off the list to wake it, that wake goes to another.
                if !self.leave() {
                    self.wake_one();
                }
                return outcome;
            }
            thread::park();
            // After a spurious return it is still on the list.
            self.leave();
            backoff.reset();
        }
    }

    /// Takes this thread off the list; returns whether it was on it.
    fn leave(&self) -> bool {
        let this = thread::current().id();
        self.with_list(|list| {
            let before = list.len();
            list.retain(|sleeper| sleeper.id() != this);
            list.len() < before
        })
    }

    fn wake_one(&self) {
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it, as said above.
        if self.count.load(Ordering::Relaxed) > 0
            && let Some(sleeper) = self.with_list(Vec::pop)
        {
            sleeper.unpark();
        }
    }

    fn wake_all(&self) {
        for sleeper in self.with_list(std::mem::take) {
            sleeper.unpark();
        }
    }

    fn with_list<T>(&self, change: impl FnOnce(&mut Vec<Thread>) -> T) -> T {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut list);
        // Relaxed: who enters the list has a fence after it; a stale count costs a look at the list or no wake that matters.
        self.count.store(list.len(), Ordering::Relaxed);
        outcome
    }
}
