//! A pool as one would assemble it from crossbeam's parts: an `Injector` for jobs, a deque per worker with stealing, a
//! bounded channel for results.
//!
//! The injector has no bound, so a counter gives it one, for two counter updates a job.

use std::fmt::{self, Debug};
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use crossbeam_channel::{Receiver, Sender};
use crossbeam_deque::{Injector, Stealer, Worker};
use crossbeam_utils::{Backoff, CachePadded};

use crate::crew::{Capacity, Crew, Submitter, Taker};
use crate::job::{Job, work};

/// The pool of crossbeam's parts.
pub struct DequePool {
    shared: Arc<Shared>,
    results: Receiver<u64>,
    workers: Vec<JoinHandle<()>>,
}

impl Debug for DequePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DequePool")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

struct Shared {
    injector: Injector<Job>,
    stealers: Vec<Stealer<Job>>,
    /// Jobs that wait to start.
    waiting: CachePadded<AtomicUsize>,
    job_capacity: usize,
    closed: AtomicBool,
    /// Workers that wait for a job.
    idle_workers: Sleepers,
    /// Submitters that wait for room among the jobs.
    blocked_submitters: Sleepers,
}

impl Shared {
    /// The worker's own deque, then a batch of the injector, then another worker's deque.
    fn find_job(&self, local: &Worker<Job>) -> Option<Job> {
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

    fn run_worker(&self, local: &Worker<Job>, results: &Sender<u64>) {
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
            results.send(work(job)).expect("the taker is there");
        }
    }
}

impl Crew for DequePool {
    fn start(capacity: Capacity) -> Self {
        let locals: Vec<_> = (0..capacity.workers).map(|_| Worker::new_fifo()).collect();
        let (sender, results) = crossbeam_channel::bounded(capacity.results);
        let shared = Arc::new(Shared {
            injector: Injector::new(),
            stealers: locals.iter().map(Worker::stealer).collect(),
            waiting: CachePadded::new(AtomicUsize::new(0)),
            job_capacity: capacity.jobs,
            closed: AtomicBool::new(false),
            idle_workers: Sleepers::default(),
            blocked_submitters: Sleepers::default(),
        });
        let workers = locals
            .into_iter()
            .map(|local| {
                let (shared, sender) = (Arc::clone(&shared), sender.clone());
                thread::spawn(move || shared.run_worker(&local, &sender))
            })
            .collect();
        Self {
            shared,
            results,
            workers,
        }
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (DequeSubmitter(&self.shared), DequeTaker(&self.results))
    }

    fn stop(self) -> usize {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.idle_workers.wake_all();
        for worker in self.workers {
            worker.join().expect("a worker panicked");
        }
        self.results.len()
    }
}

struct DequeSubmitter<'a>(&'a Shared);

impl Submitter for DequeSubmitter<'_> {
    fn submit(&mut self, job: Job) {
        let shared = self.0;
        shared.blocked_submitters.wait(|| {
            let before = shared.waiting.fetch_add(1, Ordering::AcqRel);
            if before < shared.job_capacity {
                return Some(());
            }
            shared.waiting.fetch_sub(1, Ordering::AcqRel);
            None
        });
        shared.injector.push(job);
        shared.idle_workers.wake_one();
    }
}

struct DequeTaker<'a>(&'a Receiver<u64>);

impl Taker for DequeTaker<'_> {
    fn take(&mut self) -> u64 {
        self.0.recv().expect("the workers ended")
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
