//! The engine under both fronts: queues, crew and idling, put together.
//!
//! Generic over the job type and nothing else. A front supplies one [`Run`] a
//! worker; the engine finds jobs for it.
//!
//! **Where a job waits.** [`Engine::submit`] puts it into the *injector*, whose
//! positions are the jobs' indices and whose length, with what workers moved into
//! their *deques*, is the bounded capacity. A job that a job pushes goes into its
//! worker's deque, or the unbounded *overflow* when that is full. One that a certain
//! worker has to run is an [*errand*](errand). One that its worker runs itself before it
//! comes back for others waits in a [*nest*](nested), unless a thief finds it. A worker looks in
//! its own deque, at its errands, in the injector, the overflow, and the other deques and
//! nests, in this order; now and then in the others first, so that none of them starves.
//!
//! **How it ends.** After [`Engine::close`] nothing is accepted any more. The crew
//! is *drained* when all that was accepted has finished; the reader sums `finished`
//! first and `accepted` after it. Both only grow and `finished <= accepted`, so if
//! they are equal, nothing was queued or running at the moment in between, and
//! since only a submission or a running job makes jobs, nothing ever will be. Each
//! worker checks before it sleeps, after announcing it (see [`Idle`]), so the last
//! one to finish, or a sleeper, notices, and wakes all others to leave.
//!
//! | edge    | release side                | acquire side                 | carries             | loom model                      |
//! |---------|-----------------------------|------------------------------|---------------------|---------------------------------|
//! | `alive` | [`Engine::thread_ends`]     | [`Engine::wait_for_threads`] | what the thread did | `waiter_races_the_last_threads` |

#![forbid(unsafe_code)]

#[cfg(feature = "async")]
mod awaiting;
mod batch;
mod crew;
mod crowd;
mod ending;
mod entry;
mod errand;
mod lane;
mod ledger;
mod life;
mod nested;
mod recall;
mod settings;
mod worker;

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/common/hooks.rs"]
pub(crate) mod hooks;

pub(crate) use crate::idle::{Hunger, MAX_WORKERS};
pub(crate) use crate::tally::Ended;
#[cfg(feature = "async")]
pub(crate) use awaiting::Candidate;
#[cfg(not(workcrew_loom))]
pub(crate) use crew::Legacy;
#[cfg(all(test, not(workcrew_loom)))]
pub(crate) use crew::refusal;
pub(crate) use crew::{Crew, Startup, ThreadOptions, join_each};
pub(crate) use entry::{Entry, Origin, Picked, Stamped};
pub(crate) use lane::Lane;
pub(crate) use life::{Berth, Left, launch};
pub(crate) use nested::Roost;
pub(crate) use recall::Recalls;
pub(crate) use settings::{MAX_CAPACITY, Settings, settings_methods};
pub(crate) use worker::{Desk, Exit, Inside, Worker, current_worker, is_inside};

use crate::deque::{self, Local, Stealer};
use crate::error::CancelError;
use crate::gate::Gate;
use crate::idle::Idle;
use crate::injector::{Injector, Rejected};
use crate::lazy::Lazy;
use crate::nest::Nest;
use crate::pace::{Nap, Pace};
use crate::probe::probe;
use crate::recorder::Recorders;
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Home, Ordering, barrier};
use crate::tally::WorkerStats;
use crate::unwind::Payload;
use crossbeam_utils::CachePadded;
use crowd::Crowd;
use errand::Errands;
use ledger::{Ledger, Ledgers};
use std::time::Instant;

/// Slots in a worker's deque, for jobs of up to 256 bytes; larger jobs get fewer.
/// Chosen by W1b in `benches`: a claim fits, and some follow-ups of its first job.
const DEQUE_SLOTS: usize = if cfg!(workcrew_loom) { 4 } else { 256 };

/// Bytes that a ring of jobs may take. (In a model these are two slots, or four if a job has no
/// size.)
const DEQUE_BYTES: usize = if cfg!(workcrew_loom) { 32 } else { 1 << 16 };

/// What a front does with a job.
pub(crate) trait Run<J> {
    /// What comes of a job that does not panic.
    type Done;

    /// Takes the job and runs it. If it panics, so does this, and [`fail`](Self::fail) follows. (All else here
    /// does not panic.)
    fn run(&mut self, picked: Picked<'_, J>, desk: Desk<'_, J>) -> Self::Done;

    /// Delivers what came of the job.
    fn deliver(&mut self, done: Self::Done, desk: &Desk<'_, J>) -> Ended;

    /// Delivers that the job has panicked, and with what. A runner whose jobs never do need not have this.
    fn fail(&mut self, payload: Payload, _desk: &Desk<'_, J>) {
        std::panic::resume_unwind(payload)
    }

    /// Takes a job that was cancelled and drops it, whatever its drop does, and delivers that.
    fn cancel(&mut self, picked: Picked<'_, J>, desk: &Desk<'_, J>);

    /// There is nothing to run at the moment.
    fn rest(&mut self) {}
}

/// A job that [`Engine::submit`] did not take.
#[derive(Debug)]
pub(crate) enum Refused<J> {
    Closed(J),
    TimedOut(J),
    WouldDeadlock(J),
}

/// Sums over the pool's life; see [`crate::Stats`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    pub(crate) started: u64,
    pub(crate) completed: u64,
    pub(crate) panicked: u64,
    /// Cancelled by their worker instead of being run: they count as started.
    pub(crate) recalled: u64,
    /// Cancelled since the crew had left.
    pub(crate) left: u64,
    pub(crate) returned: u64,
}

impl Totals {
    /// Jobs that wait to be started.
    pub(crate) fn queued(&self) -> u64 {
        self.accepted - self.started - self.left - self.returned
    }

    /// Jobs that are in a worker's hands.
    pub(crate) fn running(&self) -> u64 {
        self.started - self.completed - self.panicked - self.recalled
    }
}

/// What becomes of queued jobs that will not be started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// Dropped, and their takers told so.
    Cancelled,
    /// Handed back to the caller.
    Returned,
}

/// What all threads of a pool share.
#[derive(Debug)]
pub(crate) struct Engine<J> {
    injector: Injector<Stamped<J>>,
    /// Seldom needed, so made when it is.
    overflow: Lazy<Injector<Entry<J>>>,
    errands: Errands<J>,
    deques: Box<[Stealer<Entry<J>>]>,
    nests: Box<[Nest<Stamped<J>>]>,
    idle: Idle,
    ledgers: Ledgers,
    recalls: Arc<CachePadded<Recalls>>,
    /// Where submitters wait for room.
    room: Gate,
    capacity: u64,
    /// Positions below this one may be claimed: a lower bound, from the last count.
    limit: CachePadded<AtomicU64>,
    /// How fast a full queue moves.
    pace: Pace,
    /// Workers leave as soon as their present job has ended.
    halted: AtomicBool,
    crowd: Crowd,
    /// Nobody will join the crew: its last worker takes care of what is left.
    abandoned: AtomicBool,
    /// Workers that have not left.
    present: AtomicUsize,
    /// Threads that have not ended.
    alive: AtomicUsize,
    /// Where those wait who want all jobs, or all threads, to have ended.
    ended: Gate,
    cancelled: AtomicU64,
    returned: AtomicU64,
    pub(crate) recorders: Recorders,
    /// Tells this pool's threads from others'.
    key: usize,
    home: Home,
}

/// Attempts to submit the job that is there. If there is no room it stays.
fn try_job<J>(
    job: &mut Option<J>,
    attempt: impl FnOnce(J) -> Result<u64, Rejected<J>>,
) -> Option<Result<u64, Refused<J>>> {
    match attempt(job.take()?) {
        Ok(index) => Some(Ok(index)),
        Err(Rejected::Closed(back)) => Some(Err(Refused::Closed(back))),
        Err(Rejected::Full(back)) => {
            *job = Some(back);
            None
        }
    }
}

impl<J> Engine<J> {
    /// An engine, and the owner's end of each worker's deque. `nested` jobs have room in a
    /// worker's nest; a front that has no such jobs needs no nests.
    pub(crate) fn new(
        workers: usize,
        capacity: usize,
        nested: usize,
        key: usize,
    ) -> (Self, Vec<Local<Entry<J>>>) {
        barrier::prepare();
        let slots = (DEQUE_BYTES / size_of::<Entry<J>>().max(1)).clamp(2, DEQUE_SLOTS);
        let (locals, stealers): (Vec<_>, Vec<_>) = (0..workers).map(|_| deque::ring(slots)).unzip();
        let engine = Self {
            injector: Injector::with_reserves(capacity),
            overflow: Lazy::new(),
            errands: Errands::new(workers),
            deques: stealers.into(),
            nests: (0..if nested == 0 { 0 } else { workers })
                .map(|_| Nest::new(nested))
                .collect(),
            idle: Idle::new(workers),
            ledgers: Ledgers::new(workers),
            recalls: Arc::new(CachePadded::new(Recalls::new(capacity))),
            room: Gate::new(),
            capacity: capacity as u64,
            limit: CachePadded::new(AtomicU64::new(capacity as u64)),
            pace: Pace::new(),
            halted: AtomicBool::new(false),
            crowd: Crowd::new(workers),
            abandoned: AtomicBool::new(false),
            present: AtomicUsize::new(workers),
            alive: AtomicUsize::new(workers),
            ended: Gate::new(),
            cancelled: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            recorders: Recorders::default(),
            key,
            home: Home::new(),
        };
        (engine, locals)
    }

    /// Accepts a job if there is room now.
    #[inline]
    pub(crate) fn try_submit(&self, job: J) -> Result<u64, Rejected<J>> {
        if self.is_forked() {
            return Err(Rejected::Closed(job));
        }
        let pushed = self
            .injector
            .push(self.stamp(job), |position| self.admits(position, 1) == 1);
        match &pushed {
            Ok(_) => self.idle.notify(),
            Err(Rejected::Full(_)) => self.contest(),
            Err(Rejected::Closed(_)) => {}
        }
        pushed.map_err(|rejected| rejected.map(Stamped::into_inner))
    }

    /// There was no room. If that is the fault of submitters that claimed their places
    /// and do not come to fill them, a worker shall pass them over.
    #[cold]
    fn contest(&self) {
        if self.injector.contest() {
            self.idle.notify();
        }
    }

    /// Accepts a job as soon as there is room.
    #[inline]
    pub(crate) fn submit(&self, job: J, deadline: Option<Instant>) -> Result<u64, Refused<J>> {
        match self.try_submit(job) {
            Ok(index) => Ok(index),
            Err(Rejected::Closed(job)) => Err(Refused::Closed(job)),
            Err(Rejected::Full(job)) => {
                self.submit_later(job, deadline, |job| self.try_submit(job))
            }
        }
    }

    #[cold]
    fn submit_later(
        &self,
        job: J,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(J) -> Result<u64, Rejected<J>>,
    ) -> Result<u64, Refused<J>> {
        if is_inside(self.key) {
            return Err(Refused::WouldDeadlock(job));
        }
        let mut job = Some(job);
        let tried = self.wait_for_room(deadline, || try_job(&mut job, &mut attempt));
        match (tried, job) {
            (Some(result), _) => result,
            (None, Some(job)) => Err(Refused::TimedOut(job)),
            (None, None) => unreachable!("the job is either tried or kept"),
        }
    }

    /// Accepts jobs from the front of `jobs` until all are in, as there is room.
    ///
    /// # Errors
    ///
    /// With the number accepted; the others stay in their `Option`s.
    pub(crate) fn submit_batch(
        &self,
        jobs: &mut [Option<Stamped<J>>],
    ) -> Result<(), (usize, Refused<()>)> {
        let mut done = self
            .try_submit_batch(jobs)
            .map_err(|()| (0, Refused::Closed(())))?;
        while done < jobs.len() {
            // There was no room for the next one.
            if is_inside(self.key) {
                return Err((done, Refused::WouldDeadlock(())));
            }
            let accepted =
                self.wait_for_room(None, || match self.try_submit_batch(&mut jobs[done..]) {
                    Ok(0) => None,
                    tried => Some(tried),
                });
            done += accepted
                .expect("without a deadline there is no end but success")
                .map_err(|()| (done, Refused::Closed(())))?;
        }
        Ok(())
    }

    /// Waits until `attempt` finds room, or the time is up.
    fn wait_for_room<T>(
        &self,
        deadline: Option<Instant>,
        attempt: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let nap = self.nap_when_full(deadline);
        self.pace.with_patience(|patience| {
            self.room
                .wait_politely(nap, patience, false, deadline, attempt)
        })
    }

    /// Accepts what there is room for; `Err` if the queue is closed and nothing was.
    fn try_submit_batch(&self, jobs: &mut [Option<Stamped<J>>]) -> Result<usize, ()> {
        if self.is_forked() {
            return Err(());
        }
        self.stamp_each(jobs);
        let accepted = match self
            .injector
            .push_batch(jobs, |position, want| self.admits(position, want))
        {
            Ok(all) => all,
            Err(Rejected::Full(0)) => {
                self.contest();
                0
            }
            Err(Rejected::Full(some)) => some,
            Err(Rejected::Closed(0)) => return Err(()),
            Err(Rejected::Closed(some)) => some,
        };
        if accepted > 0 {
            probe!("engine submit_batch: published, crew not told");
            self.idle.notify();
        }
        Ok(accepted)
    }

    /// Accepts a job that belongs to the one that this worker runs, in whose thread the caller
    /// is. It does not count against the capacity, and is accepted after closing too.
    ///
    /// # Errors
    ///
    /// Hands the job back: as `Closed` if the worker has left its loop (it runs the stop hook),
    /// since it may be the last, and nobody would ever run the job; as `Full` if millions wait.
    pub(crate) fn push_inside(&self, worker: usize, job: J) -> Result<(), Rejected<J>> {
        let ledger = self.ledgers.of(worker);
        if ledger.has_left() {
            return Err(Rejected::Closed(job));
        }
        // Counted before it can be seen, so that no moment looks drained.
        ledger.push();
        self.overflow(ledger, Entry::orphan(self.stamp(job)))
            .map_err(Rejected::Full)?;
        self.idle.notify();
        Ok(())
    }

    /// Queues a follow-up that is counted already.
    ///
    /// # Errors
    ///
    /// Hands the job back if millions wait, and counts it no more.
    fn overflow(&self, ledger: &Ledger, entry: Entry<J>) -> Result<(), J> {
        let overflow = self.overflow.get_or(Injector::unbounded);
        overflow.add(entry).map(drop).map_err(|entry| {
            ledger.unpush();
            entry.job
        })
    }

    /// Whether workers have nothing to do, and nothing lies ready for them: a hint, for who
    /// could give them something.
    pub(crate) fn hunger(&self) -> Hunger {
        let hunger = self.idle.hunger();
        let overflows = || self.overflow.get().is_some_and(|queue| queue.len() > 0);
        if hunger != Hunger::None && (self.injector.len() > 0 || overflows()) {
            return Hunger::None;
        }
        hunger
    }

    /// How many of `want` positions from `position` on the capacity allows.
    #[inline]
    fn admits(&self, position: u64, want: usize) -> usize {
        // Relaxed: the limit only grows in truth; an old one costs a count.
        let mut limit = self.limit.load(Ordering::Relaxed);
        if limit < position + want as u64 {
            limit = self.count_limit(position);
        }
        limit.saturating_sub(position).min(want as u64) as usize
    }

    /// Counts until there is room at `position`, or there was none for a moment.
    #[cold]
    fn count_limit(&self, position: u64) -> u64 {
        // `head` before `deferred`: see [`ledger`]. Equal readings in a row are those of
        // one moment.
        let read = || {
            (
                self.ledgers.resumed(),
                self.injector.head(),
                self.ledgers.all_deferred(),
            )
        };
        let mut reading = read();
        loop {
            let (resumed, head, deferred) = reading;
            let mut limit = (self.capacity + head + resumed).saturating_sub(deferred);
            if limit <= position {
                // What others have reserved and not used.
                let void = self.injector.reclaim(head, position);
                limit = (self.capacity + head + resumed + void).saturating_sub(deferred);
            }
            probe!("engine submit: room counted, limit not stored");
            if position < limit {
                // Hint: spares others the count.
                self.limit.store(limit, Ordering::Relaxed);
                return limit;
            }
            let again = read();
            if again == reading {
                return limit;
            }
            reading = again;
        }
    }

    /// How long a submitter that found the queue full stays away.
    fn nap_when_full(&self, deadline: Option<Instant>) -> Nap {
        let capacity = self.capacity();
        self.pace
            .nap(self.injector.tail(), capacity, capacity, deadline)
    }

    /// Accepts nothing from now on. Idempotent.
    pub(crate) fn close(&self) {
        self.injector.close();
        probe!("engine close: closed, submitters not told");
        self.room.notify_all();
        probe!("engine close: submitters told, crew not");
        self.idle.wake_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.injector.is_closed() || self.is_forked()
    }

    /// Whether this is a forked child's copy, without workers.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.home.is_abroad()
    }

    /// Closes, and makes the workers leave the queued jobs where they are.
    pub(crate) fn halt(&self) {
        // Release: what the halting thread did is seen by jobs that ask.
        self.halted.store(true, Ordering::Release);
        self.close();
    }

    #[inline]
    pub(crate) fn is_halted(&self) -> bool {
        // A job that has forked comes back in the child too: no further one runs there.
        self.halted.load(Ordering::Acquire) || self.is_forked()
    }

    /// Says that nobody will join the crew; called in a job, before the engine is
    /// halted or closed.
    pub(crate) fn abandon(&self) {
        // Relaxed: whoever leaves has acquired `halted`, or [finished] of the job
        // that calls this.
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        // Relaxed: see `abandon`.
        self.abandoned.load(Ordering::Relaxed)
    }

    /// For takers, who know what has ended.
    pub(crate) fn recalls(&self) -> Arc<CachePadded<Recalls>> {
        Arc::clone(&self.recalls)
    }

    /// Makes sure that a job which still waits is not started; see [`recall`].
    pub(crate) fn cancel(&self, index: u64) -> Result<(), CancelError> {
        self.recall(index)?;
        self.recalls.settle();
        Ok(())
    }

    /// As [`Engine::cancel`], for many jobs with one barrier. Those that find no place in
    /// the table will run.
    pub(crate) fn cancel_each(&self, indices: impl Iterator<Item = u64>) {
        let mut any = false;
        for index in indices {
            any |= self.recall(index).is_ok();
        }
        if any {
            self.recalls.settle();
        }
    }

    /// Makes sure that no job with an index below the returned one is started which still
    /// waits, follow-ups included. All that were accepted so far have such an index.
    pub(crate) fn cancel_all(&self) -> Result<u64, CancelError> {
        if self.is_forked() {
            return Err(CancelError::Forked);
        }
        let end = self.injector.tail();
        self.recalls.add_below(end);
        self.recalls.settle();
        Ok(end)
    }

    fn recall(&self, index: u64) -> Result<(), CancelError> {
        if self.is_forked() {
            return Err(CancelError::Forked);
        }
        if index >= self.injector.tail() || self.injector.is_vacant(index) {
            return Err(CancelError::NotSubmitted);
        }
        let add = || self.recalls.add(index);
        add()
            .or_else(|crowded| {
                if self.forget_recalls() {
                    add()
                } else {
                    Err(crowded)
                }
            })
            .map_err(|recall::Crowded| CancelError::Crowded)
    }

    /// Clears what was recalled too late, if no job is queued or running, or none can be.
    fn forget_recalls(&self) -> bool {
        // Before the look: those below have been accepted by then, or never will be. (What is
        // reserved behind the head may be yet.)
        let mut end = self.injector.head();
        // Relaxed: it only shrinks, so at 0 nobody is left who would look for a word; and of
        // what they did the sweep uses nothing.
        if self.present.load(Ordering::Relaxed) == 0 {
            end = self.injector.tail();
        } else if !self.is_idle() {
            return false;
        }
        self.recalls.sweep(end);
        true
    }

    /// The calling worker has left its loop. Returns whether it was the last of a crew that
    /// nobody will join.
    #[must_use]
    pub(crate) fn leave(&self, worker: usize) -> bool {
        self.ledgers.of(worker).leave();
        // AcqRel: the last one sees what the others did, and may use their ledgers.
        self.present.fetch_sub(1, Ordering::AcqRel) == 1 && self.is_abandoned()
    }

    /// A worker's thread is about to end.
    pub(crate) fn thread_ends(&self) {
        // [alive] Release: what this thread did is seen by who finds all ended; the
        // others' share passes through the read-modify-writes.
        self.alive.fetch_sub(1, Ordering::Release);
        self.ended.notify(usize::MAX);
    }

    /// Waits until all threads have ended. Returns whether they have.
    pub(crate) fn wait_for_threads(&self, deadline: Option<Instant>) -> bool {
        let ended = || self.have_threads_ended().then_some(());
        self.ended.wait(deadline, ended).is_some()
    }

    fn have_threads_ended(&self) -> bool {
        // [alive] Acquire: what they did.
        self.alive.load(Ordering::Acquire) == 0
    }

    /// Waits until at some moment no job is queued or running. Returns whether there was
    /// one.
    ///
    /// A worker tells `ended` after its last job when it finds no other: see
    /// [`Worker`].
    pub(crate) fn wait_until_idle(&self, deadline: Option<Instant>) -> bool {
        let idle = || self.is_idle().then_some(());
        idle().is_some() || self.ended.wait(deadline, idle).is_some()
    }

    /// Takes all queued jobs, in order of their indices. For after the crew has left.
    pub(crate) fn drain(&self, fate: Fate) -> Vec<Entry<J>> {
        let mut jobs = Vec::new();
        for deque in &self.deques {
            while deque.drain(usize::MAX, |entry| jobs.push(entry)) != deque::Steal::Empty {}
        }
        loop {
            let popped = self.injector.pop(
                usize::MAX,
                |_| {},
                |index, job| jobs.push(Entry::new(Origin::submitted(index), job)),
            );
            // The crew has left, so its ledgers may be ours.
            self.ledgers.of(0).skip(popped.skipped);
            if popped.taken == 0 {
                break;
            }
        }
        if let Some(overflow) = self.overflow.get() {
            let mut sink = |_, entry| jobs.push(entry);
            while overflow.pop(usize::MAX, |_| {}, &mut sink).taken > 0 {}
        }
        jobs.extend(self.errands.drain());
        jobs.sort_by_key(|entry| entry.origin);
        let counter = match fate {
            Fate::Cancelled => &self.cancelled,
            Fate::Returned => &self.returned,
        };
        // Release: after what made these jobs count as accepted.
        counter.fetch_add(jobs.len() as u64, Ordering::Release);
        jobs
    }

    /// Whether all is done and nothing can come any more.
    fn is_drained(&self) -> bool {
        // A reserved place counts until it is passed over: somebody who was there before the
        // close may be about to use it.
        self.is_closed() && self.ledgers.finished() == self.accepted_of(Injector::tail)
    }

    /// Whether at some moment during the call no job is queued or running.
    pub(crate) fn is_idle(&self) -> bool {
        // `finished` before `accepted`: see the module's page.
        let finished = self.ledgers.finished();
        finished == self.accepted()
    }

    fn accepted(&self) -> u64 {
        self.accepted_of(Injector::given)
    }

    fn accepted_of(&self, claimed: impl Fn(&Injector<Stamped<J>>) -> u64) -> u64 {
        // A skipped position was claimed by its producer before it was skipped.
        let skipped = self.ledgers.skipped();
        claimed(&self.injector) - skipped + self.ledgers.pushed()
    }

    /// Whether a worker about to sleep should not.
    fn has_work(&self) -> bool {
        self.is_halted()
            || self.injector.has_published()
            || self.overflow.get().is_some_and(Injector::has_published)
            || self.deques.iter().any(Stealer::has_items)
            || self.nests.iter().any(|nest| !nest.is_empty())
            || self.is_drained()
    }

    /// Sums such that `accepted >= started >= completed + panicked + recalled`.
    pub(crate) fn totals(&self) -> Totals {
        // The later stage is read first, so no job is seen ended but not started. If
        // the reader is held up in between it may see more jobs running than there are
        // workers, so it reads again, but not for ever.
        let mut totals = self.read_totals();
        for _ in 0..8 {
            if totals.running() <= self.workers() as u64 {
                break;
            }
            totals = self.read_totals();
        }
        totals
    }

    fn read_totals(&self) -> Totals {
        let left = self.cancelled.load(Ordering::Acquire);
        let returned = self.returned.load(Ordering::Acquire);
        let completed = self.ledgers.completed();
        let panicked = self.ledgers.panicked();
        let recalled = self.ledgers.cancelled();
        let started = self.ledgers.started();
        let accepted = self.accepted();
        Totals {
            accepted,
            started,
            completed,
            panicked,
            recalled,
            left,
            returned,
        }
    }

    /// Each worker's numbers, in order of their ids.
    pub(crate) fn works(&self) -> Vec<WorkerStats> {
        self.ledgers.each().collect()
    }

    pub(crate) fn blocked_submitters(&self) -> usize {
        self.room.waiting()
    }

    pub(crate) fn key(&self) -> usize {
        self.key
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    pub(crate) fn workers(&self) -> usize {
        self.deques.len()
    }
}

#[cfg(all(test, workcrew_loom))]
impl<J> Engine<J> {
    /// Plays a submitter that takes a place and is then suspended for ever.
    pub(crate) fn claim_and_leave(&self) {
        self.injector.claim_and_leave();
    }

    /// Plays a worker that is suspended in its search until what it returns is called.
    pub(crate) fn search_in_vain(&self) -> impl FnOnce() {
        let mut place = crate::idle::Place::new(0);
        self.idle.begin_search(&mut place);
        move || self.idle.found(&mut place, false)
    }

    /// Whether the table of recalls has a word for the job.
    pub(crate) fn has_recall(&self, index: u64) -> bool {
        self.recalls.has(index)
    }
}
