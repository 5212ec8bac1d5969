//! A scope behind the scenes: what its threads share, and what a worker has that is at work for it.
//!
//! **Promise.** [`Shared::wait`] returns after all jobs of the scope have ended and are dropped.
//! Whoever waits is told of the end; a worker that waits runs the scope's jobs meanwhile, and
//! nothing else.
//!
//! **Three ways of a job.** A worker that is at work for the scope has a [`Session`]: it pushes
//! what its jobs spawn into its own [nest](crate::nest), runs that, the newest first, when the job
//! has ended, and lets others steal the oldest. If the nest is full, or the session has had its
//! [`TURN`], or there is none, a job takes turns with others of the pool. Then it goes through
//! the pool's queue itself, as an [`Envoy`]; but if the owner is a worker, who runs the scope's
//! jobs while it waits, and so must find them, through the scope's own queue, and a [`Ticket`]
//! goes through the pool's. (A group's jobs, too, since a failure drops all that are queued.)
//!
//! **Parts.** `jobs`: the scope's queue. `pending`: jobs that were spawned and have not ended.
//! `owner`: the gate where the thread of the body waits. `forsaken`: the pool has dropped a ticket
//! or an envoy, so the owner has to run what is in `jobs`, whoever it is. Tickets share all that
//! by a counted pointer, so one that comes after the scope's end finds an empty queue.
//!
//! **Counting.** A job that ends in a session leaves its unit of `pending` to the session, which
//! spends it on the next job that is spawned there. So a tree of jobs is counted without a single
//! read-modify-write. What is left the session gives back at its end: until then one of its jobs
//! runs, or is about to, so nobody is kept waiting.
//!
//! **Invariants.**
//!
//! 1. What is in `jobs`, in a nest or on its own way counts in `pending`, from before it is
//!    pushed until after it has been run and dropped.
//! 2. For each job in `jobs` there is a ticket that has not been used, or its spawner is about
//!    to submit one, or `forsaken` is set.
//! 3. Whoever spawns is the body or a job of the scope, or borrows from one of them: so while
//!    anybody can spawn, the owner has not left. (As in [`std::thread::scope`], by `'scope`.)
//! 4. A nest has nothing of a scope in it when the last session of that scope in its thread ends.
//!    So above what it has of a scope there are only such as are within a job of it.
//! 5. What `CURRENT` points to is kept by a frame of this thread, or null.
//! 6. Once a job no longer counts, nothing of it is an argument or a variable of any frame but as
//!    [`MaybeDangling`].
//!
//! | edge      | release side             | acquire side       | carries                     | loom model                    |
//! |-----------|--------------------------|--------------------|-----------------------------|-------------------------------|
//! | `pending` | [`Shared::have_ended`]   | [`Shared::wait`]   | what the jobs did           | `owner_leaves_after_the_last_job`, `owner_waits_for_the_thief_of_a_job` |

use super::ThreadPoolHandle;
use super::task::{Task, Work};
use crate::dangling::MaybeDangling;
use crate::engine::{Ended, Engine, Roost, Stamped, current_worker};
use crate::gate::Gate;
use crate::injector::Injector;
use crate::lazy::Lazy;
use crate::probe::probe;
use crate::sync::{self, Arc, AtomicBool, AtomicUsize, Home, Mutex, Ordering};
use crate::unwind::{self, AbortOnDrop, Payload};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr;

/// So many jobs are nested in a session while other jobs of the pool wait for their turn.
const TURN: usize = 4096;

sync::own! {
    /// The innermost session of this thread. (The lifetime is not true.)
    static CURRENT: Cell<*const Session<'static>> = Cell::new(ptr::null());
}

/// What the threads of a scope share.
pub(crate) struct Shared {
    engine: Arc<Engine<Task>>,
    /// Many a scope needs none.
    jobs: Lazy<Injector<Task>>,
    pending: AtomicUsize,
    owner: Gate,
    /// Whether the owner runs jobs while it waits.
    pub(super) helps: bool,
    forsaken: AtomicBool,
    home: Home,
    /// The first panic of a job.
    panic: Mutex<Option<Payload>>,
}

/// A worker at work for a scope.
pub(crate) struct Session<'a> {
    shared: &'a Arc<Shared>,
    roost: Roost<'a, Task>,
    /// The session of whom waits for the scope.
    is_owners: bool,
    /// Units of `pending` of jobs that have ended here.
    spare: Cell<usize>,
    /// So many jobs may still be nested.
    turn: Cell<usize>,
}

/// A session is the current one until this is dropped.
struct Current(*const Session<'static>);

/// A job of a scope, which counts in `pending`.
pub(crate) struct Member<W> {
    scope: *const Arc<Shared>,
    work: MaybeDangling<W>,
}

// SAFETY: the pointer is used while the job counts, when the scope is there (`Member::new`);
// and an `Arc<Shared>` may be used by several threads.
unsafe impl<W: Send> Send for Member<W> {}

/// A job of a scope on its own way through the pool.
pub(crate) struct Envoy<W: Work>(ManuallyDrop<Member<W>>);

/// The right to run one job of a scope's queue.
pub(crate) struct Ticket(Option<Arc<Shared>>);

/// What the owner finds when it looks.
enum Found {
    End,
    /// Of the queue.
    Job(Task),
    /// Of another worker's nest.
    Stolen(Stamped<Task>),
}

impl<W: Work> Member<W> {
    /// # Safety
    ///
    /// * `scope` stays where it is until the job has been run or dropped.
    /// * The job counts in the scope's `pending` when it is run, but no longer afterwards.
    #[inline]
    pub(crate) unsafe fn new(scope: &Arc<Shared>, work: W) -> Self {
        let work = MaybeDangling::new(work);
        Self { scope, work }
    }
}

impl<W: Work> Work for Member<W> {
    #[inline]
    fn work(self) -> Ended {
        // SAFETY: we count, so the scope is there (`new`).
        let shared = unsafe { &*self.scope };
        // SAFETY: invariant 5; the reference is not kept.
        match unsafe { CURRENT.with(Cell::get).as_ref() } {
            Some(session) if session.is_of(shared) => session.run(self.work),
            None => Session::host(Arc::clone(shared), self.work),
            Some(_) => Shared::run_as_a_guest(Arc::clone(shared), self.work),
        }
    }
}

impl<W: Work> Envoy<W> {
    /// A job that counts from now on.
    ///
    /// # Safety
    ///
    /// * `scope` stays where it is until the job has been run.
    #[inline]
    pub(super) unsafe fn new(scope: &Arc<Shared>, work: W) -> Self {
        scope.has_begun();
        // SAFETY: it counts until it is run; and the caller's promise.
        Self(ManuallyDrop::new(unsafe { Member::new(scope, work) }))
    }

    /// # Safety
    ///
    /// * The envoy is not used any more, nor dropped.
    #[inline]
    unsafe fn member(&mut self) -> Member<W> {
        // SAFETY: the caller's promise.
        unsafe { ManuallyDrop::take(&mut self.0) }
    }
}

impl<W: Work> Work for Envoy<W> {
    #[inline]
    fn work(self) -> Ended {
        let mut envoy = ManuallyDrop::new(self);
        // SAFETY: nobody drops it.
        unsafe { envoy.member() }.work()
    }
}

/// The pool will not run it: it is the owner's.
impl<W: Work> Drop for Envoy<W> {
    fn drop(&mut self) {
        // SAFETY: this is its drop.
        let member = unsafe { self.member() };
        // SAFETY: it counts, so the scope is there (`new`).
        let scope = unsafe { &*member.scope };
        // The owner may run it, and leave.
        let shared = Arc::clone(scope);
        // SAFETY: it counts until it is run (invariant 1).
        let job = unsafe { Task::borrowing(member) };
        if let Err(job) = shared.queue(job) {
            // There is no room for it. A panic is the scope's.
            let _ = job.run();
        }
        shared.forsake();
    }
}

impl Current {
    #[inline]
    fn new(session: &Session<'_>) -> Self {
        let session = ptr::from_ref(session).cast();
        Self(CURRENT.with(|current| current.replace(session)))
    }
}

impl Drop for Current {
    #[inline]
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}

impl<'a> Session<'a> {
    /// The calling thread's for this scope, if it is a worker of the pool, and at work.
    #[inline]
    fn new(shared: &'a Arc<Shared>, is_owners: bool) -> Option<Self> {
        let engine = &shared.engine;
        let worker = current_worker(engine.key())?;
        let nest = engine.own_nest(worker)?;
        // SAFETY: it is this worker's, and so only ever used in this thread.
        let nest = unsafe { nest.owner() };
        Some(Self {
            shared,
            roost: Roost::new(engine, worker, nest),
            is_owners,
            spare: Cell::new(0),
            // The owner's job lasts as long as the scope in any case.
            turn: Cell::new(if is_owners { usize::MAX } else { TURN }),
        })
    }

    #[inline]
    fn is_of(&self, scope: &Arc<Shared>) -> bool {
        Arc::ptr_eq(self.shared, scope)
    }

    /// What its jobs are known by in the nests.
    #[inline]
    fn tag(&self) -> usize {
        Arc::as_ptr(self.shared).addr()
    }

    /// Runs a job that has come to this thread, and all that it makes and nobody steals.
    /// (A share of its own, for the last job gives back what keeps the scope.)
    #[inline]
    fn host(shared: Arc<Shared>, work: MaybeDangling<impl Work>) -> Ended {
        let Some(session) = Session::new(&shared, false) else {
            return Shared::run_as_a_guest(shared, work);
        };
        let current = Current::new(&session);
        let ended = session.run(work);
        session.work_off();
        drop(current);
        session.settle();
        ended
    }

    /// Runs a job, and keeps its unit.
    #[inline]
    fn run(&self, work: MaybeDangling<impl Work>) -> Ended {
        let ended = self.shared.catch(work);
        self.spare.set(self.spare.get() + 1);
        ended
    }

    /// Runs what is in the nest. In a forked child nothing: it is the parent's.
    #[inline]
    fn work_off(&self) {
        while !self.shared.home.is_abroad() {
            let Some(job) = self.roost.pop(self.tag()) else {
                break;
            };
            self.roost.run_popped(job, |job| {
                // SAFETY: a task that is run is moved out of its place first of all.
                let place = unsafe { job.leave() };
                // SAFETY: it lies there, and nobody uses it again.
                unsafe { Task::run_in_place(Stamped::job_in(place)) }
            });
        }
    }

    /// Gives back what is left of the units.
    #[inline]
    fn settle(&self) {
        let spare = self.spare.take();
        if spare > 0 {
            self.shared.have_ended(spare);
        }
    }

    /// The session of this thread that would nest one more job of the scope, if there is one.
    ///
    /// # Safety
    ///
    /// * The reference is not kept.
    #[inline]
    pub(crate) unsafe fn with_room(scope: &Arc<Shared>) -> Option<&Self> {
        // SAFETY: invariant 5, and the caller's promise.
        let session = unsafe { CURRENT.with(Cell::get).cast::<Self>().as_ref() }?;
        let fits = session.is_of(scope) && session.turn.get() > 0 && session.roost.has_room();
        fits.then_some(session)
    }

    /// Nests a job, for which there is room. `make` does not panic, and does not touch the nest.
    ///
    /// # Errors
    ///
    /// Hands `make` back, not called, if nobody could steal the job.
    #[inline(always)]
    pub(crate) fn nest<F: FnOnce() -> Task>(&self, make: F) -> Result<(), F> {
        self.turn.set(self.turn.get() - 1);
        match self.spare.get().checked_sub(1) {
            Some(rest) => self.spare.set(rest),
            None => self.shared.has_begun(),
        }
        if let Err(make) = self.roost.push(self.tag(), make) {
            self.spare.set(self.spare.get() + 1);
            return Err(make);
        }
        if !self.is_owners {
            self.shared.feed_owner();
        }
        Ok(())
    }
}

impl Shared {
    pub(crate) fn new(pool: &ThreadPoolHandle, helps: bool) -> Arc<Self> {
        Arc::new(Self {
            engine: Arc::clone(&pool.engine),
            jobs: Lazy::new(),
            pending: AtomicUsize::new(0),
            owner: Gate::new(),
            helps,
            forsaken: AtomicBool::new(false),
            home: Home::new(),
            panic: Mutex::new(None),
        })
    }

    /// Puts a job into the queue, where it counts. The caller submits the ticket.
    ///
    /// # Panics
    ///
    /// If millions of jobs wait here. Then this one is dropped.
    pub(crate) fn add(shared: &Arc<Self>, job: Task) -> Ticket {
        shared.has_begun();
        if let Err(refused) = shared.queue(job) {
            unwind::drop_quietly(refused);
            shared.have_ended(1);
            panic!("millions of jobs wait: the scope's queue is full");
        }
        shared.feed_owner();
        Ticket(Some(Arc::clone(shared)))
    }

    fn queue(&self, job: Task) -> Result<(), Task> {
        self.jobs.get_or(Injector::unbounded).add(job).map(drop)
    }

    fn pop(&self) -> Option<Task> {
        // What was overtaken is pushed again, and its ticket comes after that.
        self.jobs.get()?.pop_one()
    }

    /// Runs the jobs that are queued.
    pub(crate) fn run_queued(&self) {
        while let Some(job) = self.pop() {
            // As for the owner: it is counted when a ticket's turn comes.
            let _ = job.run();
        }
    }

    /// Runs a job to its end, whatever it does.
    #[inline]
    fn catch(&self, work: MaybeDangling<impl Work>) -> Ended {
        unwind::catch(|| work.into_inner().work()).unwrap_or_else(|payload| {
            let mut first = self.panic.lock();
            let other = match *first {
                None => first.replace(payload),
                Some(_) => Some(payload),
            };
            drop(first);
            unwind::drop_quietly(other);
            Ended::Panicked
        })
    }

    /// Runs a job in a thread that is at work for something else.
    /// (A share of its own, as in `host`.)
    fn run_as_a_guest(shared: Arc<Self>, work: MaybeDangling<impl Work>) -> Ended {
        let ended = shared.catch(work);
        shared.have_ended(1);
        ended
    }

    /// Calls the body of the scope, in which jobs may be spawned, and returns when all of them
    /// have ended; with the first panic of a job.
    #[inline(always)]
    pub(super) fn during<T>(
        shared: &Arc<Self>,
        body: impl FnOnce() -> T,
    ) -> (Result<T, Payload>, Option<Payload>) {
        let session = Session::new(shared, true);
        let current = session.as_ref().map(Current::new);
        let returned = unwind::catch(body);
        // Else the jobs' borrows would end before they do.
        let guard = AbortOnDrop;
        shared.wait(session.as_ref());
        std::mem::forget(guard);
        drop(current);
        (returned, shared.panic.lock().take())
    }

    /// Submits a job, or a ticket. One that is refused is dropped.
    #[inline]
    pub(super) fn submit(&self, task: Task) {
        match current_worker(self.engine.key()) {
            Some(worker) => drop(self.engine.push_inside(worker, task)),
            None => drop(self.engine.submit(task, None)),
        }
    }

    /// A job counts from now on.
    #[inline]
    fn has_begun(&self) {
        // Relaxed: by a thread that the owner waits for, or the owner.
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// So many jobs have ended, and count no more.
    #[inline]
    fn have_ended(&self, jobs: usize) {
        probe!("scope: jobs ended, not counted");
        // [pending] Release: the owner sees what the jobs did; the others' share passes through
        // the read-modify-writes.
        if self.pending.fetch_sub(jobs, Ordering::Release) == jobs {
            self.owner.notify(1);
            probe!("scope: owner told, not back");
        }
    }

    /// There is a job that the owner has to run, whoever it is.
    fn forsake(&self) {
        // Relaxed: the gate orders it.
        self.forsaken.store(true, Ordering::Relaxed);
        self.owner.notify(1);
    }

    /// There is a job that the owner may run.
    fn feed_owner(&self) {
        if self.helps {
            // It may be the only worker that is free.
            self.owner.notify(1);
        }
    }

    /// Whether no job is under way.
    fn is_over(&self) -> bool {
        // [pending] Acquire: see there.
        self.pending.load(Ordering::Acquire) == 0
    }

    /// The owner waits until all jobs have ended; in its session, if it has one.
    pub(crate) fn wait(&self, session: Option<&Session<'_>>) {
        let look = || {
            if self.is_over() {
                return Some(Found::End);
            }
            // Relaxed: the gate orders it.
            if self.helps || self.forsaken.load(Ordering::Relaxed) {
                if let Some(job) = self.pop() {
                    return Some(Found::Job(job));
                }
            }
            let session = session?;
            session.roost.steal(session.tag()).map(Found::Stolen)
        };
        loop {
            if let Some(session) = session {
                session.work_off();
                session.settle();
            }
            // The body may have forked, or a job that was run here: the others are the parent's.
            if self.home.is_abroad() && !self.is_over() {
                std::process::abort();
            }
            match (look().or_else(|| self.owner.wait(None, look)), session) {
                (Some(Found::End), _) => return,
                // It is counted when a ticket's turn comes.
                (Some(Found::Job(job)), _) => {
                    let _ = job.run();
                }
                (Some(Found::Stolen(job)), Some(session)) => session.roost.run(job, Task::run),
                (Some(Found::Stolen(_)), None) => unreachable!("a session steals"),
                (None, _) => unreachable!("there is no deadline"),
            }
        }
    }
}

impl Work for Ticket {
    fn work(mut self) -> Ended {
        let shared = self.0.take().expect("it is used once");
        match shared.pop() {
            Some(job) => job.run(),
            // The owner has run it.
            None => Ended::Completed,
        }
    }
}

/// The pool will not run the scope's jobs.
impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.forsake();
        }
    }
}
