//! Jobs that borrow from the stack of whom waits for them.
//!
//! **Promise.** [`ThreadPoolHandle::scope`] does not return, or unwind, before all jobs that
//! were spawned in it have ended and are dropped. Whoever waits is told of the end; a worker
//! that waits runs the scope's jobs meanwhile, and nothing else.
//!
//! **Parts.** `jobs`: the scope's queue. `pending`: jobs that were spawned and have not ended.
//! `owner`: the gate where the thread of the body waits. `forsaken`: a ticket was dropped
//! unused, so the owner has to run jobs, whoever it is. Tickets share all that by a counted
//! pointer, so one that comes after the scope's end finds an empty queue.
//!
//! **Invariants.**
//!
//! 1. What is in `jobs` counts in `pending`, from before it is pushed until after it has been
//!    run and dropped.
//! 2. For each job in `jobs` there is a ticket that has not been used, or its spawner is about
//!    to submit one, or `forsaken` is set.
//! 3. Whoever spawns is the body or a job of the scope, or borrows from one of them: so while
//!    anybody can spawn, the owner has not left. (As in [`std::thread::scope`], by `'scope`.)
//!
//! | edge      | release side             | acquire side       | carries                     | loom model                    |
//! |-----------|--------------------------|--------------------|-----------------------------|-------------------------------|
//! | `pending` | [`Shared::run_one`]      | [`Shared::wait`]   | what the jobs did           | `owner_leaves_after_the_last_job` |

use super::ThreadPoolHandle;
use super::task::{Detached, Task, Work};
use crate::engine::{Ended, Engine, current_worker};
use crate::gate::Gate;
use crate::injector::Injector;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Home, Mutex, Ordering};
use crate::unwind::{self, AbortOnDrop, Payload};
use std::fmt;
use std::marker::PhantomData;

/// What the threads of a scope share.
pub(crate) struct Shared {
    jobs: Injector<Task>,
    pending: AtomicUsize,
    owner: Gate,
    /// Whether the owner runs jobs while it waits.
    helps: bool,
    forsaken: AtomicBool,
    home: Home,
    /// The first panic of a job.
    panic: Mutex<Option<Payload>>,
}

/// The right to run one job of a scope.
pub(crate) struct Ticket(Option<Arc<Shared>>);

/// What the owner finds when it looks.
enum Found {
    End,
    Job(Task),
}

impl Shared {
    pub(crate) fn new(helps: bool) -> Arc<Self> {
        Arc::new(Self {
            jobs: Injector::unbounded(),
            pending: AtomicUsize::new(0),
            owner: Gate::new(),
            helps,
            forsaken: AtomicBool::new(false),
            home: Home::new(),
            panic: Mutex::new(None),
        })
    }

    /// Puts a job into the queue. The caller submits the ticket.
    ///
    /// # Panics
    ///
    /// If millions of jobs wait here. Then this one is dropped.
    pub(crate) fn add(shared: &Arc<Self>, job: Task) -> Ticket {
        // Relaxed: by a thread that the owner waits for, or the owner.
        shared.pending.fetch_add(1, Ordering::Relaxed);
        if let Err(refused) = shared.jobs.add(job) {
            unwind::drop_quietly(refused);
            shared.one_has_ended();
            panic!("millions of jobs wait: the scope's queue is full");
        }
        if shared.helps {
            // The owner may be the only worker that is free.
            shared.owner.notify(1);
        }
        Ticket(Some(Arc::clone(shared)))
    }

    fn pop(&self) -> Option<Task> {
        // What was overtaken is pushed again, and its ticket comes after that.
        self.jobs.pop_one()
    }

    /// Runs a job to its end, whatever it does.
    fn run_one(&self, job: Task) -> Ended {
        let ended = unwind::catch(|| job.run()).unwrap_or_else(|payload| {
            let mut first = self.panic.lock();
            let other = match *first {
                None => first.replace(payload),
                Some(_) => Some(payload),
            };
            drop(first);
            unwind::drop_quietly(other);
            Ended::Panicked
        });
        self.one_has_ended();
        ended
    }

    /// Runs the jobs that are queued.
    pub(crate) fn run_queued(&self) {
        while let Some(job) = self.pop() {
            // As for the owner: it is counted when a ticket's turn comes.
            let _ = self.run_one(job);
        }
    }

    fn one_has_ended(&self) {
        // [pending] Release: the owner sees what the job did; the others' share passes through
        // the read-modify-writes.
        if self.pending.fetch_sub(1, Ordering::Release) == 1 {
            self.owner.notify(1);
        }
    }

    /// Whether no job is under way.
    fn has_ended(&self) -> bool {
        // [pending] Acquire: see there.
        self.pending.load(Ordering::Acquire) == 0
    }

    /// The owner waits until all jobs have ended.
    pub(crate) fn wait(&self) {
        let look = || {
            if self.has_ended() {
                return Some(Found::End);
            }
            // Relaxed: the gate orders it.
            if self.helps || self.forsaken.load(Ordering::Relaxed) {
                return self.pop().map(Found::Job);
            }
            None
        };
        loop {
            // The body may have forked, or a job that was run here: the others are the parent's.
            if self.home.is_abroad() && !self.has_ended() {
                std::process::abort();
            }
            match look().or_else(|| self.owner.wait(None, look)) {
                Some(Found::Job(job)) => {
                    // It is counted when a ticket's turn comes.
                    let _ = self.run_one(job);
                }
                Some(Found::End) => return,
                None => unreachable!("there is no deadline"),
            }
        }
    }
}

impl Work for Ticket {
    fn work(mut self) -> Ended {
        let shared = self.0.take().expect("it is used once");
        match shared.pop() {
            Some(job) => shared.run_one(job),
            // The owner has run it.
            None => Ended::Completed,
        }
    }
}

/// The pool will not run the scope's jobs.
impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            // Relaxed: the gate orders it.
            shared.forsaken.store(true, Ordering::Relaxed);
            shared.owner.notify(1);
        }
    }
}

/// Where jobs are spawned that may borrow what lives for `'env`: see
/// [`ThreadPool::scope`](crate::ThreadPool::scope).
pub struct Scope<'scope, 'env: 'scope> {
    shared: Arc<Shared>,
    pool: ThreadPoolHandle,
    /// Invariant, so that `'scope` cannot shrink: else a job could borrow from the body.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl ThreadPoolHandle {
    /// Calls `body` in the calling thread, and returns what that returns, when all jobs that
    /// were spawned in the scope have ended. They may borrow from the stack.
    ///
    /// In the manner of [`std::thread::scope`]: jobs spawn further ones, also in scopes of
    /// their own.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let mut numbers = [1, 2, 3, 4, 5];
    /// let (left, right) = numbers.split_at_mut(2);
    /// pool.scope(|scope| {
    ///     scope.spawn(|| left.reverse());
    ///     scope.spawn(|| right.reverse());
    /// });
    /// assert_eq!(numbers, [2, 1, 5, 4, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the body panics, with its panic; else if jobs have panicked, with the first of these
    /// panics. Before that all jobs of the scope run and end; none is cancelled.
    ///
    /// # Blocking
    ///
    /// After the body for all jobs. One of the pool's own workers runs those that are queued
    /// meanwhile, and no others: so it holds up nobody, and meets no stranger. Other threads
    /// sleep, unless the pool accepts nothing more or is shut down: then the jobs that it will
    /// not run are run here. So it is in a worker's stop hook: the others may have left. (What
    /// [`shutdown_now`](crate::ThreadPool::shutdown_now) hands back may be such jobs: this waits
    /// until each [`QueuedJob`](crate::QueuedJob) is run or dropped.)
    ///
    /// # Fork
    ///
    /// A forked child must not leave the body while jobs are under way, which are the parent's:
    /// that ends the child ([`abort`](std::process::abort)). So it does not leave a job that a
    /// waiting worker runs, unless that is the last one. Jobs of a scope that it opens itself it
    /// runs itself.
    pub fn scope<'env, B, T>(&self, body: B) -> T
    where
        B: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        // SAFETY: jobs are spawned in the body, which is given to `during`.
        let scope = unsafe { Scope::new(self) };
        scope.during(|| body(&scope))
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// A scope that has not begun.
    ///
    /// # Safety
    ///
    /// * Jobs are spawned only in the body that is given to [`during`](Self::during), and by
    ///   jobs (invariant 3).
    pub(super) unsafe fn new(pool: &ThreadPoolHandle) -> Self {
        Self {
            shared: Shared::new(pool.current_worker().is_some()),
            pool: pool.clone(),
            scope: PhantomData,
            env: PhantomData,
        }
    }

    /// Calls `body`, in which jobs may be spawned, and returns or unwinds when all of them
    /// have ended.
    pub(super) fn during<T>(&self, body: impl FnOnce() -> T) -> T {
        let returned = unwind::catch(body);
        // Else the jobs' borrows would end before they do.
        let guard = AbortOnDrop;
        self.shared.wait();
        std::mem::forget(guard);
        let panic = self.shared.panic.lock().take();
        match (returned, panic) {
            (Ok(value), None) => value,
            (Ok(value), Some(payload)) => {
                unwind::drop_quietly(value);
                std::panic::resume_unwind(payload)
            }
            (Err(payload), others) => {
                unwind::drop_quietly(others);
                std::panic::resume_unwind(payload)
            }
        }
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Runs a closure on one of the workers, some time before the scope ends.
    ///
    /// Everything before `spawn` happens-before the closure, and everything in the closure
    /// happens-before the end of the scope. In [`stats`](ThreadPoolHandle::stats) it counts as
    /// a job of the pool. (If its scope's thread ran it, it counts as queued until its turn
    /// comes, and then as completed, whether it panicked or not.)
    ///
    /// # Examples
    ///
    /// A job spawns another one into the same scope:
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let (mut parent, mut child) = (0, 0);
    /// pool.scope(|scope| {
    ///     scope.spawn(|| {
    ///         scope.spawn(|| child = 2);
    ///         parent = 1;
    ///     });
    /// });
    /// assert_eq!((parent, child), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Blocking
    ///
    /// While `job_capacity` jobs wait to be started, as
    /// [`execute`](ThreadPoolHandle::execute), but never in one of the pool's own workers.
    ///
    /// # Panics
    ///
    /// If more than 3.6 million jobs of the scope wait. The closure is dropped.
    pub fn spawn<F>(&'scope self, job: F)
    where
        F: FnOnce() + Send + 'scope,
    {
        self.spawn_work(Detached(job));
    }

    /// As [`spawn`](Self::spawn), for any work.
    pub(super) fn spawn_work<W: Work + 'scope>(&'scope self, work: W) {
        let ticket = self.ticket(work);
        submit(&self.pool.engine, ticket);
    }

    /// Puts a job into the scope's queue, for whom the caller gives the ticket to.
    pub(super) fn ticket<W: Work + 'scope>(&'scope self, work: W) -> Ticket {
        // SAFETY: the job is dropped by `add`, or counts in `pending` until it has been run and
        // is dropped (invariant 1). The scope is not left before (invariant 3, `during`), and
        // what the job borrows lives for `'scope`, which is longer.
        let task = unsafe { Task::borrowing(work) };
        Shared::add(&self.shared, task)
    }

    /// Runs what is queued, in the calling thread: for jobs that have nothing to do any more.
    pub(super) fn run_queued(&self) {
        self.shared.run_queued();
    }
}

/// Submits a ticket. One that is refused is dropped, and so the owner told.
fn submit(engine: &Engine<Task>, ticket: Ticket) {
    let task = Task::new(ticket);
    match current_worker(engine.key()) {
        Some(worker) => drop(engine.push_inside(worker, task)),
        None => drop(engine.submit(task, None)),
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
