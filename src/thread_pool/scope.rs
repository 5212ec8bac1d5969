//! Jobs that borrow from the stack of whom waits for them.
//!
//! **Promise.** [`ThreadPoolHandle::scope`] does not return, or unwind, before all jobs that
//! were spawned in it have ended and are dropped.
//!
//! How it waits, and where the jobs wait: see [`session`](super::session), whose invariants are
//! meant below. Here a job that lives for `'scope` becomes a [`Task`] that does not say so.

use super::ThreadPoolHandle;
use super::session::{Envoy, Member, Session, Shared, Ticket};
use super::task::{Detached, Task, Work};
use crate::sync::Arc;
use crate::unwind;
use std::fmt;
use std::marker::PhantomData;

/// Where jobs are spawned that may borrow what lives for `'env`: see
/// [`ThreadPool::scope`](crate::ThreadPool::scope).
pub struct Scope<'scope, 'env: 'scope> {
    shared: Arc<Shared>,
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
            shared: Shared::new(pool, pool.current_worker().is_some()),
            scope: PhantomData,
            env: PhantomData,
        }
    }

    /// Calls `body`, in which jobs may be spawned, and returns or unwinds when all of them
    /// have ended.
    pub(super) fn during<T>(&self, body: impl FnOnce() -> T) -> T {
        match Shared::during(&self.shared, body) {
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
    /// If more than 3.6 million jobs of a scope that a worker has opened wait. The closure is
    /// dropped.
    pub fn spawn<F>(&'scope self, job: F)
    where
        F: FnOnce() + Send + 'scope,
    {
        let work = Detached::new(job);
        // SAFETY: the reference is not kept.
        if let Some(session) = unsafe { Session::with_room(&self.shared) } {
            // SAFETY: it is made to be nested or queued.
            let task = || unsafe { self.task(work) };
            if let Err(task) = session.nest(task) {
                self.enqueue(task());
            }
        } else if self.shared.helps {
            // Where the owner finds it.
            self.spawn_work(work);
        } else {
            self.send(work);
        }
    }

    /// Runs any work on one of the workers, out of the scope's queue.
    pub(super) fn spawn_work<W: Work + 'scope>(&'scope self, work: W) {
        // SAFETY: it is handed on to be queued.
        self.enqueue(unsafe { self.task(work) });
    }

    /// Puts any work into the scope's queue, for whom the caller gives the ticket to.
    pub(super) fn ticket<W: Work + 'scope>(&'scope self, work: W) -> Ticket {
        // SAFETY: it is handed on to be queued.
        Shared::add(&self.shared, unsafe { self.task(work) })
    }

    /// # Safety
    ///
    /// * The caller hands the task to a [`Session`] or [`Shared::add`], to be counted.
    unsafe fn task<W: Work + 'scope>(&'scope self, work: W) -> Task {
        // SAFETY: the caller's promise; and the scope is where it is for `'scope`.
        let member = unsafe { Member::new(&self.shared, work) };
        // SAFETY: it is dropped when it is refused, or counts in `pending` until it has been run
        // and is dropped (invariant 1). The scope is not left before (invariant 3, `during`), and
        // what the job borrows lives for `'scope`, which is longer.
        unsafe { Task::borrowing(member) }
    }

    /// Queues a job of this scope, and submits its ticket. One that is refused is dropped, and so
    /// the owner told.
    fn enqueue(&self, task: Task) {
        let ticket = Shared::add(&self.shared, task);
        self.shared.submit(Task::new(ticket));
    }

    /// Submits a job as it is. One that is refused is dropped, and so handed to the owner.
    fn send<W: Work + 'scope>(&'scope self, work: W) {
        // SAFETY: the scope is where it is for `'scope`.
        let envoy = unsafe { Envoy::new(&self.shared, work) };
        // SAFETY: as in `task`; an envoy that is dropped gives its job to the owner.
        self.shared.submit(unsafe { Task::borrowing(envoy) });
    }

    /// Runs what is queued, in the calling thread: for jobs that have nothing to do any more.
    pub(super) fn run_queued(&self) {
        self.shared.run_queued();
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
