//! What each worker has done: counters with one writer each, so that counting
//! costs a store, and sums that are right when it matters.
//!
//! **Capacity.** A job *waits* from the moment it is accepted until a worker starts
//! it, in the injector or in a worker's deque. The number that wait is
//! `(tail - head) + deferred - resumed`, where `deferred` counts the jobs that
//! claims took off the injector beyond the first (that one is started by the claim
//! itself), and `resumed` those that were started out of a deque, by whomever. (Places that lanes
//! reserve count too, until they are void: see
//! [`Injector::reclaim`](crate::injector::Injector::reclaim).)
//!
//! A reader must never find less than the truth, or the capacity is exceeded. So a
//! worker stores `deferred` *before* its claim moves `head` (and corrects it if the
//! claim brought less), and a reader reads `head` before `deferred`: with each claim
//! that it sees it sees the deferral, so `head - deferred` is at most the number of
//! claims, each of which has started a job. `resumed` is stored after the job was taken.
//! It only grows, so an old value is too low as well, and needs no order.
//!
//! | edge       | release side                  | acquire side              | carries                          | loom model                   |
//! |------------|-------------------------------|---------------------------|----------------------------------|------------------------------|
//! | `finished` | [`Ledger::finish`]            | [`Ledgers::finished`]     | the follow-ups that the job made | `last_job_races_last_worker` |
//! | `finished` | [`Ledger::finish`]            | [`Ledgers::finished`]     | what was measured of the job     | `durations_of_a_job_are_there_when_it_counts_as_ended` |
//! | `started`  | [`Ledger::start`]             | [`Ledgers::started`]      | that the job was accepted        | `sums_race_a_submission`     |
//! | `skipped`  | [`Ledger::skip`]              | [`Ledgers::skipped`]      | that the positions were claimed  | `sums_race_a_skipped_place`  |

#![forbid(unsafe_code)]

use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::tally::{Ended, WorkerStats};
use crossbeam_utils::CachePadded;

/// One worker's counters. Only that worker changes them.
#[derive(Debug)]
pub(crate) struct Ledger {
    deferred: AtomicU64,
    resumed: AtomicU64,
    skipped: AtomicU64,
    pushed: AtomicU64,
    started: AtomicU64,
    completed: AtomicU64,
    panicked: AtomicU64,
    cancelled: AtomicU64,
    batches: AtomicU64,
    stolen: AtomicU64,
    parked: AtomicU64,
    woken: AtomicU64,
    /// Whether the worker has left its loop.
    has_left: AtomicBool,
}

/// Adds to a counter that only the calling thread writes.
#[inline]
fn add(counter: &AtomicU64, amount: u64, ordering: Ordering) {
    // Relaxed load: our own value.
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(amount),
        ordering,
    );
}

impl Ledger {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            deferred: zero(),
            resumed: zero(),
            skipped: zero(),
            pushed: zero(),
            started: zero(),
            completed: zero(),
            panicked: zero(),
            cancelled: zero(),
            batches: zero(),
            stolen: zero(),
            parked: zero(),
            woken: zero(),
            has_left: AtomicBool::new(false),
        }
    }

    pub(crate) fn deferred(&self) -> u64 {
        // Relaxed: asked by the one writer.
        self.deferred.load(Ordering::Relaxed)
    }

    /// Announces what [`Ledger::deferred`] will be after a claim.
    #[inline]
    pub(crate) fn set_deferred(&self, deferred: u64) {
        // Relaxed: the claim's release store of `head` ([head]) publishes it.
        self.deferred.store(deferred, Ordering::Relaxed);
    }

    /// A submitted job was taken out of a deque and starts.
    #[inline]
    pub(crate) fn resume(&self) {
        // Relaxed: see the page. Who waits for room learns of it through its gate.
        add(&self.resumed, 1, Ordering::Relaxed);
    }

    /// So many claimed positions were empty.
    pub(crate) fn skip(&self, positions: usize) {
        // [skipped] Release: after the claim that jumped over them, which has seen a
        // tail beyond them.
        add(&self.skipped, positions as u64, Ordering::Release);
    }

    /// A follow-up is about to be pushed.
    #[inline]
    pub(crate) fn push(&self) {
        // Relaxed: [finished] carries it, when the job that pushes has ended.
        add(&self.pushed, 1, Ordering::Relaxed);
    }

    /// The follow-up could not be pushed. Its job still runs, so the crew was not
    /// drained meanwhile.
    pub(crate) fn unpush(&self) {
        add(&self.pushed, u64::MAX, Ordering::Relaxed);
    }

    /// A job is about to be started. Before submitters are told of its room: who cancels it
    /// then and finds it counted as queued is in time, by the same barrier.
    #[inline]
    pub(crate) fn start(&self) {
        // [started] Release: so that a reader of `started` finds the job accepted.
        add(&self.started, 1, Ordering::Release);
    }

    #[inline]
    pub(crate) fn finish(&self, ended: Ended) {
        let counter = match ended {
            Ended::Completed => &self.completed,
            Ended::Panicked => &self.panicked,
            Ended::Cancelled => &self.cancelled,
        };
        // [finished] Release: after the job's follow-ups and its result.
        add(counter, 1, Ordering::Release);
    }

    pub(crate) fn batch(&self) {
        // Relaxed, here and below: for statistics.
        add(&self.batches, 1, Ordering::Relaxed);
    }

    pub(crate) fn steal(&self, jobs: usize) {
        add(&self.stolen, jobs as u64, Ordering::Relaxed);
    }

    pub(crate) fn park(&self) {
        add(&self.parked, 1, Ordering::Relaxed);
    }

    pub(crate) fn wake(&self) {
        add(&self.woken, 1, Ordering::Relaxed);
    }

    /// The worker has left its loop, and counts no further job.
    pub(crate) fn leave(&self) {
        // Relaxed, here and below: asked by the one writer.
        self.has_left.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
    }

    fn stats(&self) -> WorkerStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WorkerStats {
            executed: get(&self.completed) + get(&self.panicked),
            batches: get(&self.batches),
            stolen: get(&self.stolen),
            parked: get(&self.parked),
            woken: get(&self.woken),
        }
    }
}

/// The whole crew's counters.
#[derive(Debug)]
pub(crate) struct Ledgers(Box<[CachePadded<Ledger>]>);

impl Ledgers {
    pub(crate) fn new(workers: usize) -> Self {
        Self(
            (0..workers)
                .map(|_| CachePadded::new(Ledger::new()))
                .collect(),
        )
    }

    #[inline]
    pub(crate) fn of(&self, worker: usize) -> &Ledger {
        &self.0[worker]
    }

    fn sum(&self, counter: impl Fn(&Ledger) -> &AtomicU64) -> u64 {
        // [finished] [started] [skipped] Acquire serves all edges of this file.
        self.0
            .iter()
            .map(|ledger| counter(ledger).load(Ordering::Acquire))
            .sum()
    }

    /// Deferred minus nothing: read it last.
    pub(crate) fn all_deferred(&self) -> u64 {
        self.sum(|ledger| &ledger.deferred)
    }

    /// An old value only leaves room unused.
    pub(crate) fn resumed(&self) -> u64 {
        self.sum(|ledger| &ledger.resumed)
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.sum(|ledger| &ledger.skipped)
    }

    pub(crate) fn pushed(&self) -> u64 {
        self.sum(|ledger| &ledger.pushed)
    }

    pub(crate) fn started(&self) -> u64 {
        self.sum(|ledger| &ledger.started)
    }

    pub(crate) fn completed(&self) -> u64 {
        self.sum(|ledger| &ledger.completed)
    }

    pub(crate) fn panicked(&self) -> u64 {
        self.sum(|ledger| &ledger.panicked)
    }

    pub(crate) fn cancelled(&self) -> u64 {
        self.sum(|ledger| &ledger.cancelled)
    }

    /// Jobs that ended, well or badly, or were cancelled by their worker.
    pub(crate) fn finished(&self) -> u64 {
        self.completed() + self.panicked() + self.cancelled()
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = WorkerStats> {
        self.0.iter().map(|ledger| ledger.stats())
    }
}
