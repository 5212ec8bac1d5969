//! Scopes whose jobs may fail, where the first failure cancels the rest.
//!
//! **Promise.** Of the jobs that were spawned in a group, each has exactly one end: it returned
//! a value, it failed (by an error or a panic), or it was dropped unrun; and everything that
//! was returned comes back from [`ThreadPoolHandle::group`]. One failure is the first. A job
//! that looks after it is dropped unrun.
//!
//! **Parts.** A [`Scope`], which waits for the jobs, lends them what they borrow, and knows
//! what becomes of them when the pool is closed. A [`Record`] of what became of the jobs. Where
//! there is a limit, a [`Limiter`]: then the scope's jobs are [`Turn`]s, as many as there are
//! permits, and each runs one job out of the limiter's queue. So a job over the limit takes
//! neither a worker nor a place in the pool's queue.
//!
//! **The first failure** is who changes `failed`, in one read-modify-write. A job asks for it
//! once, before it starts. Who is first runs what is queued in the scope, and that is to drop
//! it; what is queued later is dropped by whom its ticket comes to.
//!
//! | edge     | release side      | acquire side            | carries                     | loom model                           |
//! |----------|-------------------|-------------------------|-----------------------------|--------------------------------------|
//! | `failed` | [`Record::fail`]  | [`Record::has_failed`]  | what was before the failure | `who_is_cancelled_sees_the_failure`  |

use super::ThreadPoolHandle;
use super::limit::{Limiter, Permit};
use super::scope::Scope;
use super::task::{Task, Work};
use crate::carried::Carried;
use crate::engine::Ended;
use crate::error::{Failure, GroupError, JobError, JobPanic};
use crate::injector::Injector;
use crate::probe::probe;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use crate::unwind;
use std::fmt;

/// What became of a job that was run.
struct Entry<T, E> {
    index: usize,
    /// Whether its failure was the first.
    is_first: bool,
    result: Result<T, Failure<E>>,
}

/// What became of the jobs.
pub(crate) struct Record<T, E> {
    /// How many indices were given out.
    spawned: AtomicUsize,
    failed: AtomicBool,
    entries: Injector<Entry<T, E>>,
    /// Those that came when millions were there.
    more: Mutex<Vec<Entry<T, E>>>,
}

/// What came of running a job.
#[must_use]
pub(crate) enum Ran {
    /// It has ended, somehow.
    Ended(Ended),
    /// It has failed, as the first: what waits is to be dropped.
    FailedFirst(Ended),
}

impl<T, E> Record<T, E> {
    pub(crate) fn new() -> Self {
        Self {
            spawned: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            entries: Injector::unbounded(),
            more: Mutex::new(Vec::new()),
        }
    }

    /// The index of the next job.
    pub(crate) fn next_index(&self) -> usize {
        // Relaxed: a number that is given once.
        self.spawned.fetch_add(1, Ordering::Relaxed)
    }

    /// Stops what has not started. Returns whether nobody had before.
    pub(crate) fn fail(&self) -> bool {
        // [failed] Release: who finds the group cancelled sees what was before that.
        !self.failed.swap(true, Ordering::Release)
    }

    pub(crate) fn has_failed(&self) -> bool {
        // [failed] Acquire: see there.
        self.failed.load(Ordering::Acquire)
    }

    /// Runs a job to its end, whatever it does, or drops it, if the group has failed.
    pub(crate) fn run(&self, index: usize, job: impl FnOnce() -> Result<T, E>) -> Ran {
        if self.has_failed() {
            unwind::drop_quietly(job);
            return Ran::Ended(Ended::Cancelled);
        }
        let (result, ended) = match unwind::catch(job) {
            Ok(result) => (result.map_err(Failure::Job), Ended::Completed),
            Err(payload) => {
                let panic = JobError::Panicked(JobPanic::new(payload));
                (Err(Failure::NoResult(panic)), Ended::Panicked)
            }
        };
        probe!("group: job ended, not recorded");
        let is_first = result.is_err() && self.fail();
        self.enter(Entry {
            index,
            is_first,
            result,
        });
        if is_first {
            Ran::FailedFirst(ended)
        } else {
            Ran::Ended(ended)
        }
    }

    fn enter(&self, entry: Entry<T, E>) {
        if let Err(entry) = self.entries.add(entry) {
            self.more.lock().push(entry);
        }
    }

    /// Takes what is there, for when all jobs have ended.
    fn take(&self) -> Vec<Entry<T, E>> {
        let mut all = std::mem::take(&mut *self.more.lock());
        let mut sink = |_, entry| all.push(entry);
        while self.entries.pop(usize::MAX, |_| {}, &mut sink).taken > 0 {}
        all.sort_unstable_by_key(|entry| entry.index);
        all
    }

    /// All values, or the first failure and everything else, when all jobs have ended.
    pub(crate) fn conclude(&self) -> Result<Vec<T>, GroupError<T, E>> {
        let entries = self.take();
        // Relaxed: who spawned has ended.
        let cancelled = self.spawned.load(Ordering::Relaxed) - entries.len();
        let mut first = None;
        let (mut finished, mut failures) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry.result {
                Ok(value) => finished.push((entry.index, value)),
                Err(failure) if entry.is_first => first = Some((entry.index, failure)),
                Err(failure) => failures.push((entry.index, failure)),
            }
        }
        let Some((index, failure)) = first else {
            return Ok(finished.into_iter().map(|(_, value)| value).collect());
        };
        Err(GroupError {
            index,
            failure,
            finished,
            failures,
            cancelled,
        })
    }
}

/// Where jobs are spawned that may fail: see [`ThreadPool::group`](crate::ThreadPool::group).
pub struct Group<'scope, 'env: 'scope, T, E> {
    scope: Scope<'scope, 'env>,
    record: Record<T, E>,
    /// `None` without a limit.
    limiter: Option<Limiter<Task>>,
}

/// A job, wherever it waits.
struct Job<'scope, 'env, F, T, E> {
    group: &'scope Group<'scope, 'env, T, E>,
    index: usize,
    job: Carried<F>,
}

/// A job of the scope that runs one that waits at the limiter.
struct Turn<'scope, 'env, T, E> {
    group: &'scope Group<'scope, 'env, T, E>,
    limiter: &'scope Limiter<Task>,
    permit: Permit,
}

impl<F, T, E> Work for Job<'_, '_, F, T, E>
where
    F: FnOnce() -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn work(self) -> Ended {
        let job = self.job;
        let job = || job.enter(|job| job());
        match self.group.record.run(self.index, job) {
            Ran::Ended(ended) => ended,
            Ran::FailedFirst(ended) => {
                probe!("group: failed, what is queued not dropped");
                self.group.scope.run_queued();
                ended
            }
        }
    }
}

impl<T: Send, E: Send> Work for Turn<'_, '_, T, E> {
    fn work(self) -> Ended {
        let Self {
            group,
            limiter,
            permit,
        } = self;
        let ended = limiter.take(&permit).run();
        let mut kept = limiter.end(permit);
        while let Some(permit) = kept.take() {
            if !group.is_cancelled() {
                probe!("group: job ended, permit not passed on");
                group.scope.spawn_work(Turn { permit, ..self });
                break;
            }
            // To drop it, nobody else is needed.
            let _ = limiter.take(&permit).run();
            kept = limiter.end(permit);
        }
        ended
    }
}

impl ThreadPoolHandle {
    /// Calls `body` in the calling thread, and waits until all jobs that were spawned in the
    /// group have ended. Returns their values, in the order of spawning.
    ///
    /// A [`scope`](Self::scope) whose jobs may fail: they borrow from the stack, and spawn
    /// further ones. A job fails by an error or a panic. The first failure cancels the group:
    /// jobs that have not started never do, and are dropped. Those that run may
    /// [ask](Group::is_cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::num::ParseIntError;
    /// use workcrew::{Failure, ThreadPool};
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let parse = |words: &[&str]| {
    ///     pool.group(|group| {
    ///         for word in words {
    ///             group.spawn(|| word.parse::<u32>());
    ///         }
    ///     })
    /// };
    /// assert_eq!(parse(&["1", "2", "3"])?, [1, 2, 3]);
    /// let error = parse(&["1", "two", "3"]).unwrap_err();
    /// assert_eq!(error.index, 1);
    /// assert!(matches!(error.failure, Failure::Job(ParseIntError { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first failure: of all jobs that failed, the one that was faster than the others to
    /// cancel the group. With it comes everything else that finished, by value or failure.
    ///
    /// # Panics
    ///
    /// If the body panics, with its panic. The group is cancelled and waited for before, and
    /// what its jobs returned is dropped.
    ///
    /// # Blocking
    ///
    /// As [`scope`](Self::scope): after the body for all jobs. One of the pool's own workers
    /// runs the group's jobs meanwhile, and no others.
    ///
    /// # Fork
    ///
    /// As [`scope`](Self::scope).
    pub fn group<'env, B, T, E>(&self, body: B) -> Result<Vec<T>, GroupError<T, E>>
    where
        B: for<'scope> FnOnce(&'scope Group<'scope, 'env, T, E>),
        T: Send,
        E: Send,
    {
        self.group_with(None, body)
    }

    /// As [`group`](Self::group), and at most `limit` of the jobs run at a time.
    ///
    /// What is over the limit takes no worker: it waits in a queue of the group's own until
    /// another job has ended, and its turn comes after what the pool was given meanwhile. So a
    /// part of a pool's jobs is kept within bounds, as by a semaphore, while the rest has all
    /// workers: spawn what opens files or calls one server in a limited group, and the rest
    /// elsewhere. With a limit of 1 jobs run one after the other, in the order of spawning, and
    /// each sees what those before it did.
    ///
    /// The workers alone never reach a limit beyond their number. Jobs that
    /// [`shutdown_now`](crate::ThreadPool::shutdown_now) hands back keep to it too.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(4)?;
    /// let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    /// pool.limited_group(2, |group| {
    ///     for _ in 0..20 {
    ///         group.spawn(|| {
    ///             let now = running.fetch_add(1, Ordering::SeqCst) + 1;
    ///             most.fetch_max(now, Ordering::SeqCst);
    ///             running.fetch_sub(1, Ordering::SeqCst);
    ///             Ok::<(), std::io::Error>(())
    ///         });
    ///     }
    /// })?;
    /// assert!(most.into_inner() <= 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`group`](Self::group). [`Failure::ZeroLimit`] if the limit is zero: then the body is
    /// not called.
    ///
    /// # Panics
    ///
    /// As [`group`](Self::group).
    ///
    /// # Blocking
    ///
    /// As [`group`](Self::group). A worker that waits keeps to the limit too, and sleeps while
    /// it is reached.
    ///
    /// # Fork
    ///
    /// As [`scope`](Self::scope).
    pub fn limited_group<'env, B, T, E>(
        &self,
        limit: usize,
        body: B,
    ) -> Result<Vec<T>, GroupError<T, E>>
    where
        B: for<'scope> FnOnce(&'scope Group<'scope, 'env, T, E>),
        T: Send,
        E: Send,
    {
        if limit == 0 {
            return Err(GroupError {
                index: 0,
                failure: Failure::ZeroLimit,
                finished: Vec::new(),
                failures: Vec::new(),
                cancelled: 0,
            });
        }
        self.group_with(Some(Limiter::new(limit)), body)
    }

    fn group_with<'env, B, T, E>(
        &self,
        limiter: Option<Limiter<Task>>,
        body: B,
    ) -> Result<Vec<T>, GroupError<T, E>>
    where
        B: for<'scope> FnOnce(&'scope Group<'scope, 'env, T, E>),
        T: Send,
        E: Send,
    {
        let group = Group {
            // SAFETY: jobs are spawned in the body, which is called in `during`, and by jobs;
            // nobody else has the group.
            scope: unsafe { Scope::new(self) },
            record: Record::new(),
            limiter,
        };
        let returned = group.scope.during(|| {
            let returned = unwind::catch(|| body(&group));
            if returned.is_err() {
                let _ = group.record.fail();
                group.scope.run_queued();
            }
            returned
        });
        match returned {
            Ok(()) => group.record.conclude(),
            Err(payload) => {
                unwind::drop_each_quietly(group.record.take());
                std::panic::resume_unwind(payload)
            }
        }
    }
}

impl<'scope, T: Send, E: Send> Group<'scope, '_, T, E> {
    /// Runs a closure on one of the workers, some time before the group ends, unless the group
    /// is cancelled before. Returns its index: how many were spawned in the group before.
    ///
    /// Everything before `spawn` happens-before the closure, and everything in the closure
    /// happens-before the end of the group. In [`stats`](ThreadPoolHandle::stats) it counts as
    /// a job of the pool, where there is a limit once its turn comes. (A job that is then found
    /// run or dropped, by the thread that waits for the group or by the first failure, counts
    /// as queued until its turn, and then as completed.)
    ///
    /// A panic in the `Drop` of a closure that is dropped unrun is swallowed.
    ///
    /// # Blocking
    ///
    /// While `job_capacity` jobs wait to be started, as
    /// [`execute`](ThreadPoolHandle::execute), but never in one of the pool's own workers, and
    /// never for the limit: what is over that waits without a bound.
    ///
    /// # Panics
    ///
    /// If more than 3.6 million jobs of the group wait. The closure is dropped.
    pub fn spawn<F>(&'scope self, job: F) -> usize
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
    {
        let index = self.record.next_index();
        if self.is_cancelled() {
            unwind::drop_quietly(job);
            return index;
        }
        let job = Job {
            group: self,
            index,
            job: Carried::new(job),
        };
        match &self.limiter {
            None => self.scope.spawn_work(job),
            Some(limiter) => self.spawn_limited(limiter, job),
        }
        index
    }

    fn spawn_limited<W: Work + 'scope>(&'scope self, limiter: &'scope Limiter<Task>, job: W) {
        // SAFETY: while the task is in the queue a permit is out, or the spawner is about to
        // count it (`limit`'s invariants 1 and 2). A permit is in a `Turn`, a job of the scope;
        // so is the spawner, or it is the body. So the scope is not left before a turn has
        // run or dropped the task; and what that borrows lives for `'scope`, which is longer.
        let task = unsafe { Task::borrowing(job) };
        match limiter.add(task) {
            Ok(Some(permit)) => self.scope.spawn_work(Turn {
                group: self,
                limiter,
                permit,
            }),
            Ok(None) => {}
            Err(refused) => {
                unwind::drop_quietly(refused);
                panic!("millions of jobs wait: the group's queue is full");
            }
        }
    }

    /// Whether a job of the group has failed, or its body has panicked: then nothing starts
    /// here any more. A long job asks now and then, and returns early.
    ///
    /// Everything that the failed job did happens-before a `true`.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let ended = pool.group(|group| {
    ///     group.spawn(|| {
    ///         while !group.is_cancelled() {
    ///             std::thread::yield_now();
    ///         }
    ///         Ok("gave up early")
    ///     });
    ///     group.spawn(|| Err("no luck"));
    /// });
    /// let error = ended.unwrap_err();
    /// assert_eq!((error.index, error.finished), (1, vec![(0, "gave up early")]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.record.has_failed()
    }
}

impl<T, E> fmt::Debug for Group<'_, '_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("is_cancelled", &self.record.has_failed())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(workcrew_loom)))]
impl<T, E> Record<T, E> {
    /// With a queue of outcomes that is soon full.
    pub(crate) fn short() -> Self {
        Self {
            entries: Injector::at(2, 0),
            ..Self::new()
        }
    }
}
