//! What people complain of in pools whose workers run anything while they wait, as programs: each
//! is run by this crate's pool, and by rayon (its core), to see that it shows what it shall.
//!
//! The complaints are those of rayon's issue 592 and its kin: a worker that waits takes an
//! unrelated job. That job wants the lock that the worker holds, finds the thread's own state in
//! use, or waits in turn, on the same stack.
//!
//! The programs do not hang where a pool is at fault, but find out that they would: a lock that
//! is held by the very thread that wants it is never released. Only the stack is really used up,
//! in a process of its own.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

#[path = "common/mod.rs"]
mod common;

use common::{eventually, watchdog};
use std::cell::{Cell, RefCell};
use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::yield_now;

/// What the programs need of a pool.
trait Pool: Send + Sync + Sized + 'static {
    fn start(workers: usize) -> Arc<Self>;

    /// Runs a job some time.
    fn detach(&self, job: impl FnOnce() + Send + 'static);

    /// Opens a scope with one job, calls `body`, and waits for the job.
    fn scope_of_one(&self, job: impl FnOnce() + Send, body: impl FnOnce() + Send);
}

/// Small, so that it takes less to fill it.
const STACK: usize = 128 << 10;

const MANY: usize = 100_000;

/// How often the job that is waited for gives way: time enough for a stranger to come. Only how
/// likely a complaint shows depends on this number and the next.
const TURNS: usize = 500;

/// How often a job gives way before it believes that no more of the others begin.
const QUIET: usize = 10_000;

/// How often a program is tried that may show nothing at first.
const TRIES: usize = 20;

impl Pool for workcrew::ThreadPool {
    fn start(workers: usize) -> Arc<Self> {
        let builder = Self::builder().workers(workers).stack_size(STACK);
        Arc::new(builder.job_capacity(MANY).build().unwrap())
    }

    fn detach(&self, job: impl FnOnce() + Send + 'static) {
        self.execute(job).unwrap();
    }

    fn scope_of_one(&self, job: impl FnOnce() + Send, body: impl FnOnce() + Send) {
        self.scope(|scope| {
            scope.spawn(job);
            body();
        });
    }
}

impl Pool for rayon_core::ThreadPool {
    fn start(workers: usize) -> Arc<Self> {
        let builder = rayon_core::ThreadPoolBuilder::new().num_threads(workers);
        Arc::new(builder.stack_size(STACK).build().unwrap())
    }

    fn detach(&self, job: impl FnOnce() + Send + 'static) {
        self.spawn(job);
    }

    fn scope_of_one(&self, job: impl FnOnce() + Send, body: impl FnOnce() + Send) {
        self.scope(|scope| {
            scope.spawn(|_| job());
            body();
        });
    }
}

/// A job holds something while it waits for another, which runs in the other worker. Meanwhile
/// there is a stranger to be run. Returns whether it ever came in the way of the one that waits.
fn meets_a_stranger<P: Pool>(hold: fn(&mut dyn FnMut()), finds_it_held_here: fn() -> bool) -> bool {
    let met = Arc::new(AtomicBool::new(false));
    for _ in 0..TRIES {
        if met.load(Relaxed) {
            break;
        }
        let pool = P::start(2);
        let (begun, strangers) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
        let waited_for = || {
            begun.store(true, Relaxed);
            for _ in 0..TURNS {
                if met.load(Relaxed) {
                    break;
                }
                yield_now();
            }
        };
        let stranger = {
            let (met, strangers) = (Arc::clone(&met), Arc::clone(&strangers));
            move || {
                met.fetch_or(finds_it_held_here(), Relaxed);
                strangers.fetch_add(1, Relaxed);
            }
        };
        let job = || {
            let mut stranger = Some(stranger);
            hold(&mut || {
                let (pool, begun, stranger) = (&pool, &begun, stranger.take().unwrap());
                pool.scope_of_one(waited_for, || {
                    eventually("the other worker has it", || begun.load(Relaxed));
                    pool.detach(stranger);
                });
            });
        };
        pool.scope_of_one(job, || ());
        eventually("the stranger has run", || strangers.load(Relaxed) == 1);
    }
    met.load(Relaxed)
}

/// The stranger wants the mutex.
fn deadlocks<P: Pool>() -> bool {
    static LOCK: Mutex<()> = Mutex::new(());
    thread_local! {
        static HOLDS: Cell<bool> = const { Cell::new(false) };
    }
    meets_a_stranger::<P>(
        |wait| {
            let _held = LOCK.lock().unwrap();
            HOLDS.set(true);
            wait();
            HOLDS.set(false);
        },
        || LOCK.try_lock().is_err() && HOLDS.get(),
    )
}

/// The stranger borrows the cell, which would be a panic.
fn re_enters<P: Pool>() -> bool {
    thread_local! {
        static STATE: RefCell<u64> = const { RefCell::new(0) };
    }
    meets_a_stranger::<P>(
        |wait| {
            STATE.with_borrow_mut(|state| {
                *state += 1;
                wait();
            });
        },
        || STATE.with(|state| state.try_borrow_mut().is_err()),
    )
}

/// Many jobs, each of which waits for a job in another pool; the first of these lasts until no
/// more of the many begin.
fn many_wait<P: Pool>() {
    let (pool, other) = (P::start(1), P::start(1));
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..MANY {
        let other = Arc::clone(&other);
        let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
        pool.detach(move || {
            let last = || {
                let (mut seen, mut turns) = (0, 0);
                while turns < QUIET && begun.load(Relaxed) < MANY {
                    turns = if begun.load(Relaxed) == seen {
                        turns + 1
                    } else {
                        0
                    };
                    seen = begun.load(Relaxed);
                    yield_now();
                }
            };
            let first = begun.fetch_add(1, Relaxed) == 0;
            other.scope_of_one(
                || {
                    if first {
                        last()
                    }
                },
                || (),
            );
            ended.fetch_add(1, Relaxed);
        });
    }
    eventually("all have waited", || ended.load(Relaxed) == MANY);
}

/// A job that spawns a job, and so on.
fn deep<P: Pool>(pool: Arc<P>, depth: usize, end: Arc<AtomicBool>) {
    if depth == 0 {
        end.store(true, Relaxed);
    } else {
        let here = Arc::clone(&pool);
        here.detach(move || deep(pool, depth - 1, end));
    }
}

fn reaches_the_depth<P: Pool>() {
    let end = Arc::new(AtomicBool::new(false));
    deep(P::start(2), MANY, Arc::clone(&end));
    eventually("the depth is reached", || end.load(Relaxed));
}

#[test]
fn a_job_that_holds_a_mutex_while_it_waits_does_not_deadlock_on_it_through_an_unrelated_job() {
    let _watchdog = watchdog();
    assert!(!deadlocks::<workcrew::ThreadPool>());
    assert!(deadlocks::<rayon_core::ThreadPool>());
}

#[test]
fn a_cell_in_thread_local_state_is_never_re_entered_by_an_unrelated_job() {
    let _watchdog = watchdog();
    assert!(!re_enters::<workcrew::ThreadPool>());
    assert!(re_enters::<rayon_core::ThreadPool>());
}

#[test]
fn jobs_that_wait_do_not_pile_up_on_a_workers_stack() {
    let _watchdog = watchdog();
    // The child is this test.
    const CHILD: &str = "WORKCREW_COMPLAINTS_CHILD";
    if env::var_os(CHILD).is_some() {
        return many_wait::<rayon_core::ThreadPool>();
    }
    many_wait::<workcrew::ThreadPool>();
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([
        "--exact",
        "jobs_that_wait_do_not_pile_up_on_a_workers_stack",
    ]);
    let output = child.env(CHILD, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "no complaint");
    assert!(told.contains("overflowed its stack"), "{told}");
}

/// Here there is nothing to complain of in either: whoever spawns does not wait.
#[test]
fn nested_spawns_a_hundred_thousand_deep_do_not_overflow_a_stack() {
    let _watchdog = watchdog();
    reaches_the_depth::<workcrew::ThreadPool>();
    reaches_the_depth::<rayon_core::ThreadPool>();
}
