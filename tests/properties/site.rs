//! The jobs of a program: they write down what becomes of them, and end when they may.

use crate::program::{Ending, Kind, Program};
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use workcrew::{Failure, Handle, JobError, Outcome, Results, WorkerPool};

/// The state counts the jobs that its worker has started since it was made.
pub(crate) type Pool = WorkerPool<Job, Tried, u64>;
pub(crate) type Tried = Result<Yield, u64>;

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    Started(u64),
    Ended(u64),
    /// By a worker, instead of being started.
    Dropped(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Site {
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gate {
    log: Vec<Event>,
    /// Running jobs that may end.
    permits: usize,
    /// All may.
    free: bool,
    waiting: usize,
}

impl Site {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn release(&self) {
        self.gate().permits += 1;
        self.changed.notify_all();
    }

    pub(crate) fn set_free(&self, free: bool) {
        let mut gate = self.gate();
        gate.free = free;
        gate.permits = 0;
        self.changed.notify_all();
    }

    /// Running jobs that may not end.
    pub(crate) fn held(&self) -> usize {
        let gate = self.gate();
        gate.waiting.saturating_sub(gate.permits)
    }

    /// What has happened since the last call.
    pub(crate) fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.gate().log)
    }

    fn pass(&self, job: u64) {
        let mut gate = self.gate();
        gate.log.push(Event::Started(job));
        gate.waiting += 1;
        while !gate.free && gate.permits == 0 {
            gate = self
                .changed
                .wait(gate)
                .unwrap_or_else(PoisonError::into_inner);
        }
        gate.permits = gate.permits.saturating_sub(1);
        gate.waiting -= 1;
    }

    fn note(&self, event: Event) {
        self.gate().log.push(event);
    }
}

/// Lets all jobs go when a test fails, so that its pool can end.
pub(crate) struct FreeAtEnd<'a>(pub(crate) &'a Site);

impl Drop for FreeAtEnd<'_> {
    fn drop(&mut self) {
        self.0.set_free(true);
    }
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    kind: Kind,
    /// `None` when it is started or has come back.
    site: Option<Arc<Site>>,
}

/// The number of a job's follow-up.
pub(crate) fn follow_up(ancestor: u64, number: u64) -> u64 {
    (ancestor + 1) * 100_000 + number
}

/// And whose follow-up that is.
pub(crate) fn ancestor(follow_up: u64) -> u64 {
    follow_up / 100_000 - 1
}

impl Job {
    pub(crate) fn new(id: u64, kind: Kind, site: &Arc<Site>) -> Self {
        let site = Some(Arc::clone(site));
        Self { id, kind, site }
    }

    /// It has come back.
    pub(crate) fn into_id(mut self) -> u64 {
        self.site = None;
        self.id
    }

    fn run(mut self, ctx: &mut workcrew::Context<'_, Self, u64>) -> Tried {
        let site = self.site.take().expect("it runs once");
        let Self { id, kind, .. } = self;
        *ctx.state += 1;
        site.pass(id);
        for number in 0..kind.follow_ups {
            let (id, kind) = (follow_up(id, number), kind.of_follow_ups());
            ctx.push(Self::new(id, kind, &site));
        }
        site.note(Event::Ended(id));
        match kind.ending {
            Ending::Returns => Ok(Yield {
                id,
                armed: kind.explosive,
            }),
            Ending::Fails => Err(id),
            Ending::Panics => resume_unwind(Box::new(id)),
            Ending::DropPanics => {
                drop(Bomb(id));
                unreachable!("it has panicked")
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let Some(site) = self.site.take() else { return };
        // Elsewhere it was not submitted, or its pool is being dropped in a panic.
        if IS_WORKER.get() {
            site.note(Event::Dropped(self.id));
        }
        if self.kind.explosive && IS_WORKER.get() {
            resume_unwind(Box::new("a job's drop"));
        }
    }
}

struct Bomb(u64);

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new(self.0));
    }
}

/// What a job returns.
#[derive(Debug)]
pub(crate) struct Yield {
    pub(crate) id: u64,
    armed: bool,
}

impl Yield {
    pub(crate) fn into_id(mut self) -> u64 {
        self.armed = false;
        self.id
    }
}

impl Drop for Yield {
    fn drop(&mut self) {
        if self.armed && !thread::panicking() {
            resume_unwind(Box::new("a result's drop"));
        }
    }
}

/// What an outcome says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verdict {
    Returned,
    Failed,
    Panicked,
    Cancelled,
}

impl Verdict {
    pub(crate) fn of(kind: Kind) -> Self {
        match kind.ending {
            Ending::Returns => Self::Returned,
            Ending::Fails => Self::Failed,
            Ending::Panics | Ending::DropPanics => Self::Panicked,
        }
    }
}

/// What a `try_map` that failed tells of its jobs, of which the first has this number. Only
/// in a closed pool may there be jobs that it could not submit.
pub(crate) fn told_by_failed_map<E>(
    first: u64,
    finished: Vec<(usize, Yield)>,
    failures: impl Iterator<Item = (usize, Failure<E>)>,
    closed: bool,
) -> Vec<(u64, Verdict)> {
    let mut told = Vec::new();
    for (position, result) in finished {
        let id = result.into_id();
        assert_eq!(id, first + position as u64);
        told.push((id, Verdict::Returned));
    }
    for (position, failure) in failures {
        let verdict = match failure {
            Failure::Job(_) => Verdict::Failed,
            Failure::NoResult(_) => Verdict::Panicked,
            _ => {
                assert!(closed);
                continue;
            }
        };
        told.push((first + position as u64, verdict));
    }
    told
}

/// The job's number, which a cancellation does not tell, and the verdict.
pub(crate) fn read(outcome: Outcome<Tried>) -> (Option<u64>, Verdict) {
    match outcome.result {
        Ok(Ok(result)) => (Some(result.into_id()), Verdict::Returned),
        Ok(Err(id)) => (Some(id), Verdict::Failed),
        Err(JobError::Cancelled) => (None, Verdict::Cancelled),
        Err(JobError::Panicked(panic)) => {
            let id = panic.into_payload().downcast_ref().copied();
            (
                Some(id.expect("it panics with its number")),
                Verdict::Panicked,
            )
        }
        Err(other) => panic!("{other}"),
    }
}

pub(crate) fn build(program: &Program) -> (Pool, Results<Tried>) {
    WorkerPool::<Job, Tried>::builder()
        .workers(program.workers)
        .job_capacity(program.job_capacity)
        .result_capacity(program.result_capacity)
        .on_start(|_| IS_WORKER.set(true))
        .init(|_| 0_u64)
        .build(|job, ctx| job.run(ctx))
        .unwrap()
}

/// Looks again and again; who watches the programs ends it.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Calls `end`, while another thread lets the running jobs go, as soon as the pool is closed.
pub(crate) fn free_when_closed<T>(
    site: &Site,
    handle: &Handle<Job, Tried>,
    end: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            until(|| handle.is_closed());
            site.set_free(true);
        });
        let ended = end();
        // A scope waits for what its threads do, but not for their ends.
        other.join().unwrap();
        ended
    })
}

/// An iterator of jobs that writes down which it has given, and may panic at its end.
pub(crate) fn giving<'a>(
    jobs: &'a [Kind],
    first: u64,
    panics: bool,
    site: &'a Arc<Site>,
    given: &'a Cell<u64>,
) -> impl Iterator<Item = Job> + 'a {
    let mut jobs = jobs.iter();
    std::iter::from_fn(move || {
        let Some(kind) = jobs.next() else {
            if panics {
                resume_unwind(Box::new("the iterator's end"));
            }
            return None;
        };
        let id = first + given.get();
        given.set(given.get() + 1);
        Some(Job::new(id, *kind, site))
    })
}
