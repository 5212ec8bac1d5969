//! What a closure may do with its `ThreadPool`, and what must come of it.
//!
//! An act is a tree, since jobs act in their turn. What it comes to, a number or a panic, is known
//! beforehand: whoever runs which part of it, and in a closed pool too, where those who wait run
//! what the pool will not. Where it is not (may a job be cancelled?) the act comes to nothing, and
//! is held against the laws instead.

use crate::common::{Choices, LONGEST, take_time};
use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;
use workcrew::{
    BroadcastError, Failure, Group, GroupError, JobError, QueuedJob, SubmitError, ThreadPool,
    ThreadPoolHandle, ThreadPoolStats, TrySubmitError,
};

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

#[derive(Debug)]
pub(crate) enum Act {
    /// Takes so long, or gives up its core, and comes to that number.
    Works(u64),
    Panics,
    /// They are spawned by the body, or by a job.
    Scope {
        by_job: bool,
        jobs: Jobs,
    },
    Pair([Arc<Job>; 2]),
    Group {
        limit: Option<usize>,
        jobs: Jobs,
    },
    Slice(Slice, Jobs),
    Spawn(Then, Arc<Job>),
    Execute(Form, Jobs),
    /// Takes so many outcomes, while so many jobs may be in flight.
    MapIter {
        ordered: bool,
        window: usize,
        take: usize,
        /// At the end; else it is dropped.
        into_items: bool,
        jobs: Jobs,
    },
    Broadcast(Arc<Job>),
}

pub(crate) struct Job {
    act: Act,
    /// Its number is an error, where that is minded.
    fails: bool,
    /// It panics when it is dropped unstarted, by a worker.
    explosive: bool,
}

type Jobs = Vec<Arc<Job>>;

/// As in `Works(3)?!`: it fails, and is explosive.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fails = if self.fails { "?" } else { "" };
        let explosive = if self.explosive { "!" } else { "" };
        write!(f, "{:?}{fails}{explosive}", self.act)
    }
}

/// What is called with the items of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slice {
    ForEach,
    ForEachMut,
    Map,
    TryMap,
}

/// What is done with a job's handle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Join,
    JoinInNoTime,
    Poll,
    Cancel,
    Drop,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Execute,
    TryExecute,
    ExecuteAll,
}

impl Act {
    /// At most so deep, and with at most so many jobs at its root.
    pub(crate) fn draw(dice: &mut impl Choices, depth: u32, most: usize) -> Self {
        if depth == 0 {
            return if dice.one_in(40) {
                Self::Panics
            } else {
                Self::Works(dice.below(LONGEST))
            };
        }
        match dice.below(16) {
            0 => Self::Works(dice.below(LONGEST)),
            1..3 => Self::Scope {
                by_job: dice.one_in(3),
                jobs: draw_jobs(dice, depth, most),
            },
            3..6 => Self::Pair([draw_job(dice, depth), draw_job(dice, depth)]),
            6..8 => Self::Group {
                limit: dice.one_in(2).then(|| 1 + dice.below(4) as usize),
                jobs: draw_jobs(dice, depth, most),
            },
            8..10 => {
                let forms = [Slice::ForEach, Slice::ForEachMut, Slice::Map, Slice::TryMap];
                Self::Slice(dice.pick(&forms), draw_jobs(dice, depth, most))
            }
            10..12 => {
                let then = [
                    Then::Join,
                    Then::JoinInNoTime,
                    Then::Poll,
                    Then::Cancel,
                    Then::Drop,
                ];
                Self::Spawn(dice.pick(&then), draw_job(dice, depth))
            }
            12..14 => {
                let forms = [Form::Execute, Form::TryExecute, Form::ExecuteAll];
                Self::Execute(dice.pick(&forms), draw_jobs(dice, depth, most))
            }
            14 => Self::MapIter {
                ordered: dice.one_in(2),
                window: 1 + dice.below(9) as usize,
                take: dice.below(most as u64 + 2) as usize,
                into_items: dice.one_in(2),
                jobs: draw_jobs(dice, depth, most),
            },
            _ => Self::Broadcast(draw_job(dice, depth)),
        }
    }

    /// `None` is a panic.
    fn worth(&self) -> Option<u64> {
        match self {
            Self::Works(number) => Some(*number),
            Self::Panics => None,
            Self::Pair(jobs) => sum(jobs),
            Self::Scope { jobs, .. } => sum(jobs),
            Self::Slice(Slice::TryMap, jobs) if fails(jobs) => sum(jobs).and(Some(0)),
            Self::Slice(_, jobs) => sum(jobs),
            Self::Group { jobs, .. } if fails(jobs) => Some(0),
            Self::Group { jobs, .. } => Some(sum(jobs).unwrap_or(0)),
            Self::Spawn(..) | Self::Execute(..) | Self::MapIter { .. } | Self::Broadcast(_) => {
                Some(0)
            }
        }
    }

    /// # Panics
    ///
    /// With [`Planned`], if that is what it comes to.
    pub(crate) fn perform(&self, pool: &ThreadPoolHandle, roll: &Arc<Roll>) -> u64 {
        match catch_unwind(AssertUnwindSafe(|| self.begin(pool, roll))) {
            Ok(number) => {
                assert_eq!(Some(number), self.worth(), "{self:?}");
                number
            }
            Err(payload) => {
                check_planned(payload);
                assert_eq!(None, self.worth(), "{self:?}");
                resume_unwind(Box::new(Planned))
            }
        }
    }

    /// For who is no job: the panic goes no further.
    pub(crate) fn perform_alone(&self, pool: &ThreadPoolHandle, roll: &Arc<Roll>) {
        let performed = catch_unwind(AssertUnwindSafe(|| self.perform(pool, roll)));
        performed.map_or_else(check_planned, drop);
    }

    fn begin(&self, pool: &ThreadPoolHandle, roll: &Arc<Roll>) -> u64 {
        match self {
            Self::Works(number) => {
                take_time(*number);
                *number
            }
            Self::Panics => resume_unwind(Box::new(Planned)),
            Self::Scope { by_job, jobs } => scope(pool, roll, *by_job, jobs),
            Self::Pair([first, second]) => {
                let first = roll.closure(first, pool);
                let (first, second) = pool.fork_join(first, roll.closure(second, pool));
                first + second
            }
            Self::Group { limit, jobs } => group(pool, roll, *limit, jobs),
            Self::Slice(form, jobs) => slice(pool, roll, *form, jobs),
            Self::Spawn(then, job) => spawn(pool, roll, *then, job),
            Self::Execute(form, jobs) => execute(pool, roll, *form, jobs),
            Self::MapIter { .. } => map_iter(pool, roll, self),
            Self::Broadcast(job) => broadcast(pool, roll, job),
        }
    }
}

fn draw_job(dice: &mut impl Choices, depth: u32) -> Arc<Job> {
    Arc::new(Job {
        act: Act::draw(dice, depth - 1, 6),
        fails: dice.one_in(40),
        explosive: dice.one_in(6),
    })
}

fn draw_jobs(dice: &mut impl Choices, depth: u32, most: usize) -> Jobs {
    dice.some(most, |dice| draw_job(dice, depth))
}

fn sum(jobs: &[Arc<Job>]) -> Option<u64> {
    jobs.iter().map(|job| job.act.worth()).sum()
}

fn fails(jobs: &[Arc<Job>]) -> bool {
    jobs.iter().any(|job| job.fails)
}

fn scope(pool: &ThreadPoolHandle, roll: &Arc<Roll>, by_job: bool, jobs: &[Arc<Job>]) -> u64 {
    let (sum, begun) = (AtomicU64::new(0), AtomicU64::new(0));
    let scoped = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            let spawn_all = || {
                for job in jobs {
                    let (sum, begun) = (&sum, &begun);
                    let closure = roll.closure(job, pool);
                    scope.spawn(move || {
                        begun.fetch_add(1, Relaxed);
                        sum.fetch_add(closure(), Relaxed);
                    });
                }
            };
            if by_job {
                scope.spawn(spawn_all);
            } else {
                spawn_all();
            }
        });
    }));
    assert_eq!(begun.into_inner(), jobs.len() as u64, "none is cancelled");
    match scoped {
        Ok(()) => sum.into_inner(),
        Err(payload) => resume_unwind(payload),
    }
}

fn grouped<'env, B>(
    pool: &ThreadPoolHandle,
    limit: Option<usize>,
    body: B,
) -> Result<Vec<u64>, GroupError<u64, u64>>
where
    B: for<'scope> FnOnce(&'scope Group<'scope, 'env, u64, u64>),
{
    match limit {
        None => pool.group(body),
        Some(limit) => pool.limited_group(limit, body),
    }
}

/// Leaves with its job, however that ends.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn group(
    pool: &ThreadPoolHandle,
    roll: &Arc<Roll>,
    limit: Option<usize>,
    jobs: &[Arc<Job>],
) -> u64 {
    let running = &AtomicUsize::new(0);
    let grouped = grouped(pool, limit, |group| {
        for (index, job) in jobs.iter().enumerate() {
            let closure = roll.closure(job, pool);
            let spawned = group.spawn(move || {
                let now = running.fetch_add(1, Relaxed) + 1;
                let _leaves = Leaves(running);
                assert!(limit.is_none_or(|limit| now <= limit));
                match closure() {
                    number if job.fails => Err(number),
                    number => Ok(number),
                }
            });
            assert_eq!(spawned, index);
        }
    });
    match grouped {
        Ok(values) => {
            check_values(jobs, &values);
            values.iter().sum()
        }
        Err(error) => {
            let all = 1 + error.failures.len() + error.finished.len() + error.cancelled;
            assert_eq!(all, jobs.len(), "{error:?}");
            for (index, value) in error.finished {
                assert!(!jobs[index].fails);
                assert_eq!(Some(value), jobs[index].act.worth());
            }
            for (index, failure) in [(error.index, error.failure)]
                .into_iter()
                .chain(error.failures)
            {
                match failure {
                    Failure::Job(value) => {
                        assert!(jobs[index].fails);
                        assert_eq!(Some(value), jobs[index].act.worth());
                    }
                    Failure::NoResult(error) => check_outcome(&jobs[index], Err(error), roll),
                    failure => panic!("{failure}"),
                }
            }
            0
        }
    }
}

fn slice(pool: &ThreadPoolHandle, roll: &Arc<Roll>, form: Slice, jobs: &[Arc<Job>]) -> u64 {
    let call = |job: &Arc<Job>| roll.closure(job, pool)();
    match form {
        Slice::ForEach => {
            let sum = AtomicU64::new(0);
            pool.for_each(jobs, |job| {
                sum.fetch_add(call(job), Relaxed);
            });
            sum.into_inner()
        }
        Slice::ForEachMut => {
            let mut items: Vec<_> = jobs.iter().map(|job| (job, 0)).collect();
            pool.for_each_mut(&mut items, |(job, number)| *number = call(job));
            items.iter().map(|(_, number)| number).sum()
        }
        Slice::Map => {
            let numbers = pool.map(jobs, call);
            check_values(jobs, &numbers);
            numbers.iter().sum()
        }
        Slice::TryMap => {
            // Whether a failure or a panic comes first nobody knows.
            let minded = sum(jobs).is_some();
            let tried = pool.try_map(jobs, |job| match call(job) {
                number if minded && job.fails => Err(number),
                number => Ok(number),
            });
            match tried {
                Ok(numbers) => {
                    check_values(jobs, &numbers);
                    numbers.iter().sum()
                }
                Err(error) => {
                    let failures = error.failures.into_iter();
                    let failures = failures.chain([(error.position, error.error)]);
                    for (position, number) in failures {
                        assert!(jobs[position].fails);
                        assert_eq!(Some(number), jobs[position].act.worth());
                    }
                    for (position, number) in error.finished {
                        assert!(!jobs[position].fails);
                        assert_eq!(Some(number), jobs[position].act.worth());
                    }
                    0
                }
            }
        }
    }
}

fn spawn(pool: &ThreadPoolHandle, roll: &Arc<Roll>, then: Then, job: &Arc<Job>) -> u64 {
    let (fate, closure) = roll.watched_closure(job, pool);
    let mut handle = match pool.spawn(closure) {
        Ok(handle) => handle,
        Err(refused) => {
            check_refused(pool, matches!(refused, SubmitError::Closed(_)));
            drop_returned(refused);
            return 0;
        }
    };
    let outcome = match then {
        Then::Join => handle.join(),
        Then::JoinInNoTime => match handle.join_timeout(Duration::ZERO) {
            Ok(outcome) => outcome,
            Err(handle) => handle.join(),
        },
        Then::Poll => {
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut handle).poll(&mut context) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => handle.join(),
            }
        }
        Then::Cancel => {
            let in_time = handle.cancel();
            if in_time {
                assert_eq!(fate.load(Relaxed), DROPPED, "in this thread, by now");
                assert!(handle.is_finished());
            }
            let outcome = handle.join();
            if in_time {
                assert!(matches!(outcome, Err(JobError::Cancelled)));
                return 0;
            }
            outcome
        }
        Then::Drop => return 0,
    };
    check_outcome(job, outcome, roll);
    0
}

fn execute(pool: &ThreadPoolHandle, roll: &Arc<Roll>, form: Form, jobs: &[Arc<Job>]) -> u64 {
    let closures = jobs.iter().map(|job| {
        let (closure, roll, pool) = (roll.closure(job, pool), Arc::clone(roll), pool.clone());
        move || {
            let _told = TellsOfPanic(&roll, pool.current_worker().is_some());
            closure();
        }
    });
    match form {
        Form::Execute => {
            for closure in closures {
                if let Err(refused) = pool.execute(closure) {
                    check_refused(pool, matches!(refused, SubmitError::Closed(_)));
                    drop_returned(refused);
                }
            }
        }
        Form::TryExecute => {
            for closure in closures {
                if let Err(refused) = pool.try_execute(closure) {
                    if let TrySubmitError::Closed(_) = refused {
                        check_refused(pool, true);
                    }
                    drop_returned(refused);
                }
            }
        }
        Form::ExecuteAll => {
            let closures: Vec<_> = closures.collect();
            match pool.execute_all(closures) {
                Ok(accepted) => assert_eq!(accepted, jobs.len() as u64),
                Err(error) => {
                    check_refused(pool, !error.would_deadlock());
                    let accepted = error.accepted();
                    let back = error.into_jobs().map(drop_returned).count() as u64;
                    assert_eq!(accepted + back, jobs.len() as u64);
                }
            }
        }
    }
    0
}

fn map_iter(pool: &ThreadPoolHandle, roll: &Arc<Roll>, shape: &Act) -> u64 {
    let Act::MapIter {
        ordered,
        window,
        take,
        into_items,
        jobs,
    } = shape
    else {
        unreachable!("its caller has looked")
    };
    let items = {
        let (pool, roll) = (pool.clone(), Arc::clone(roll));
        let jobs = jobs.clone().into_iter().enumerate();
        jobs.map(move |(place, job)| (place, roll.closure(&job, &pool)))
    };
    let (outcomes, back): (Vec<_>, Option<Vec<_>>) = if *ordered {
        let mut map = pool.map_iter_ordered(items, call_at).window(*window);
        let outcomes = map.by_ref().take(*take).collect();
        let back = into_items.then(|| places(map.into_items()));
        (outcomes, back)
    } else {
        let mut map = pool.map_iter(items, call_at).window(*window);
        let outcomes = map.by_ref().take(*take).collect();
        let back = into_items.then(|| places(map.into_items()));
        (outcomes, back)
    };
    if outcomes.len() < (*take).min(jobs.len()) {
        check_refused(pool, true);
    }
    let mut yielded = BTreeSet::new();
    for (at, outcome) in outcomes.into_iter().enumerate() {
        // What panicked does not tell its place.
        let place = match &outcome {
            Ok((place, _)) => *place,
            Err(_) if *ordered => at,
            Err(_) => {
                let error = outcome.unwrap_err();
                assert!(jobs.iter().any(|job| job.act.worth().is_none()) || roll.is_halted());
                check_unworthy(error, roll);
                continue;
            }
        };
        assert!(!*ordered || place == at);
        assert!(yielded.insert(place), "each comes once");
        check_outcome(&jobs[place], outcome.map(|(_, number)| number), roll);
    }
    if let Some(back) = back {
        let first = jobs.len() - back.len();
        assert!(back.into_iter().eq(first..jobs.len()));
        assert!(yielded.iter().all(|place| *place < first));
    }
    0
}

fn call_at<F: FnOnce() -> u64>((place, closure): (usize, F)) -> (usize, u64) {
    (place, closure())
}

fn places<F>(items: impl Iterator<Item = (usize, F)>) -> Vec<usize> {
    let place = |(place, closure)| {
        drop_returned(closure);
        place
    };
    items.map(place).collect()
}

fn broadcast(pool: &ThreadPoolHandle, roll: &Arc<Roll>, job: &Arc<Job>) -> u64 {
    let calls = AtomicUsize::new(0);
    let called = catch_unwind(AssertUnwindSafe(|| {
        pool.broadcast(|worker| {
            calls.fetch_add(1, Relaxed);
            assert_eq!(pool.current_worker(), Some(worker));
            (worker, roll.closure(job, pool)())
        })
    }));
    let calls = calls.into_inner();
    let check = |(worker, number): &(usize, u64)| {
        assert!(*worker < pool.workers());
        assert_eq!(Some(*number), job.act.worth());
    };
    match called {
        Ok(Ok(results)) => {
            assert_eq!(calls, pool.workers());
            assert!(results.iter().map(|(worker, _)| *worker).eq(0..calls));
            results.iter().for_each(check);
        }
        Ok(Err(BroadcastError::Cancelled { finished })) => {
            assert!(roll.is_halted() && finished.len() == calls);
            finished.iter().for_each(|(_, result)| check(result));
        }
        Ok(Err(error)) => {
            assert_eq!(calls, 0);
            check_refused(pool, matches!(error, BroadcastError::Closed));
        }
        Err(payload) => {
            check_planned(payload);
            assert_eq!(job.act.worth(), None);
        }
    }
    0
}

/// The panic of [`Act::Panics`], and of no assertion.
struct Planned;

/// # Panics
///
/// With the payload, if it is another's.
fn check_planned(payload: Box<dyn Any + Send>) {
    if !payload.is::<Planned>() {
        resume_unwind(payload);
    }
}

/// What the pool has handed back may be explosive.
fn drop_returned<F>(closure: F) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(closure)));
}

fn check_values(jobs: &[Arc<Job>], numbers: &[u64]) {
    let numbers = numbers.iter().map(|number| Some(*number));
    assert!(numbers.eq(jobs.iter().map(|job| job.act.worth())));
}

/// A pool refuses what comes too late, and a worker that would have to wait.
fn check_refused(pool: &ThreadPoolHandle, closed: bool) {
    if closed {
        assert!(pool.is_closed());
    } else {
        assert!(pool.current_worker().is_some());
    }
}

fn check_outcome(job: &Job, outcome: Result<u64, JobError>, roll: &Roll) {
    match outcome {
        Ok(number) => assert_eq!(Some(number), job.act.worth()),
        Err(JobError::Panicked(panic)) => {
            check_planned(panic.into_payload());
            assert_eq!(job.act.worth(), None);
        }
        Err(error) => check_unworthy(error, roll),
    }
}

/// What is no outcome of its job.
fn check_unworthy(error: JobError, roll: &Roll) {
    match error {
        JobError::Panicked(panic) => check_planned(panic.into_payload()),
        JobError::Cancelled => assert!(roll.is_halted(), "nobody cancelled it"),
        error => panic!("{error}"),
    }
}

/// What has become of the closures that were made for one pool.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    made: AtomicU64,
    begun: AtomicU64,
    ended: AtomicU64,
    /// Unbegun.
    dropped: AtomicU64,
    /// The pool is told to leave jobs unrun.
    halted: AtomicBool,
    /// Panics that nobody waited for, as their jobs saw it, and as the pool's handler was told.
    unheard: AtomicU64,
    told: AtomicU64,
    /// And the first of those that nobody planned.
    strange: Mutex<Option<String>>,
}

const BEGUN: u8 = 1;
const DROPPED: u8 = 2;

/// A closure's share of the roll.
struct Entry {
    roll: Arc<Roll>,
    explosive: bool,
    fate: Arc<AtomicU8>,
}

impl Roll {
    fn closure(
        self: &Arc<Self>,
        job: &Arc<Job>,
        pool: &ThreadPoolHandle,
    ) -> impl FnOnce() -> u64 + Send + use<> {
        self.watched_closure(job, pool).1
    }

    fn watched_closure(
        self: &Arc<Self>,
        job: &Arc<Job>,
        pool: &ThreadPoolHandle,
    ) -> (Arc<AtomicU8>, impl FnOnce() -> u64 + Send + use<>) {
        self.made.fetch_add(1, Relaxed);
        let fate = Arc::new(AtomicU8::new(0));
        let entry = Entry {
            roll: Arc::clone(self),
            explosive: job.explosive,
            fate: Arc::clone(&fate),
        };
        let (job, pool) = (Arc::clone(job), pool.clone());
        let closure = move || {
            let before = entry.fate.swap(BEGUN, Relaxed);
            assert_eq!(before, 0, "it begins once");
            entry.roll.begun.fetch_add(1, Relaxed);
            job.act.perform(&pool, &entry.roll)
        };
        (fate, closure)
    }

    /// So many closures have met their ends.
    pub(crate) fn settled(&self) -> u64 {
        self.ended.load(Relaxed) + self.dropped.load(Relaxed)
    }

    /// From now on the pool may leave jobs unrun.
    pub(crate) fn halt(&self) {
        self.halted.store(true, Relaxed);
    }

    fn is_halted(&self) -> bool {
        self.halted.load(Relaxed)
    }

    /// Whether nothing is left of the closures.
    pub(crate) fn is_complete(&self) -> bool {
        self.settled() == self.made.load(Relaxed)
    }

    /// The pool has ended, and nothing is left of the closures.
    pub(crate) fn check(&self, stats: &ThreadPoolStats) {
        assert!(self.is_complete(), "{self:?}");
        assert_eq!(self.begun.load(Relaxed), self.ended.load(Relaxed));
        assert_eq!(*self.strange.lock().unwrap(), None);
        let (unheard, told) = (self.unheard.load(Relaxed), self.told.load(Relaxed));
        // Those of jobs whose handles were dropped in time are told, too.
        assert!(
            unheard <= told && told <= stats.panicked,
            "{self:?}\n{stats}"
        );
        let parts = stats.completed + stats.panicked + stats.cancelled + stats.returned;
        assert_eq!((stats.queued, stats.running), (0, 0), "{stats}");
        assert_eq!(stats.accepted, parts, "{stats}");
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.fate.load(Relaxed) == BEGUN {
            self.roll.ended.fetch_add(1, Relaxed);
            return;
        }
        let before = self.fate.swap(DROPPED, Relaxed);
        assert_eq!(before, 0, "it is dropped once");
        self.roll.dropped.fetch_add(1, Relaxed);
        if self.explosive && IS_WORKER.get() {
            resume_unwind(Box::new("a closure's drop"));
        }
    }
}

/// Notes a panic that the pool's handler must be told of, if it passes here.
struct TellsOfPanic<'a>(&'a Roll, bool);

impl Drop for TellsOfPanic<'_> {
    fn drop(&mut self) {
        if self.1 && thread::panicking() {
            self.0.unheard.fetch_add(1, Relaxed);
        }
    }
}

/// A pool that notes on the roll what its handler is told.
pub(crate) fn build(workers: usize, job_capacity: usize, roll: &Arc<Roll>) -> ThreadPool {
    let roll = Arc::clone(roll);
    ThreadPool::builder()
        .workers(workers)
        .job_capacity(job_capacity)
        .on_start(|_| IS_WORKER.set(true))
        .on_panic(move |_, panic| {
            roll.told.fetch_add(1, Relaxed);
            let message = panic.message().to_owned();
            if !panic.into_payload().is::<Planned>() {
                roll.strange.lock().unwrap().get_or_insert(message);
            }
        })
        .build()
        .unwrap()
}

/// And drops the others.
pub(crate) fn run_every_other(jobs: Vec<QueuedJob>) {
    for job in jobs.into_iter().step_by(2) {
        let run = catch_unwind(AssertUnwindSafe(|| job.run()));
        run.unwrap_or_else(check_planned);
    }
}
