//! Models of [`crate::thread_pool::session`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::engine::{Ended, Engine, Fate, Inside};
use crate::nest::Stolen;
use crate::parker::Parker;
use crate::probe::visit;
use crate::sync::{Arc, Mutex, WATCH, thread};
use crate::thread_pool::ThreadPoolHandle;
use crate::thread_pool::session::{Member, Session, Shared, Ticket};
use crate::thread_pool::task::{Detached, Task, Work};
use crate::unwind;

const LOOKED: &str = "gate wait: looked, not asleep";

/// A pool of which no worker works.
fn pool(workers: usize, nested: usize) -> ThreadPoolHandle {
    let (engine, _) = Engine::new(workers, 1, nested, 0);
    ThreadPoolHandle::of(Arc::new(engine))
}

pub(super) fn shared(helps: bool) -> Arc<Shared> {
    Shared::new(&pool(1, 0), helps)
}

/// A job of the scope. (The models wait for the scope's end in the frame where its `Arc` is, and
/// hand the task to `add` or `nest`.)
pub(super) fn member(scope: &Arc<Shared>, work: impl FnOnce() + Send + 'static) -> Task {
    // SAFETY: see above.
    Task::new(unsafe { Member::new(scope, Detached::new(work)) })
}

/// Where a scope is, for its jobs.
#[derive(Clone, Copy)]
struct Place(*const Arc<Shared>);

// SAFETY: as for `&Arc<Shared>`.
unsafe impl Send for Place {}

impl Place {
    fn get(&self) -> &Arc<Shared> {
        // SAFETY: the models wait for the scope's end in the frame where its `Arc` is.
        unsafe { &*self.0 }
    }
}

/// A job that writes to a board, plainly.
fn job(scope: &Arc<Shared>, board: &Arc<Board>) -> Task {
    let board = Arc::clone(board);
    member(scope, move || board.write(1))
}

/// A worker that uses its ticket.
fn worker(ticket: Ticket) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let _ = ticket.work();
    })
}

#[test]
fn owner_leaves_after_the_last_job() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 2_000,
        events: &[LOOKED, "gate wait: permit taken"],
    };
    explore("owner_leaves_after_the_last_job", plan, || {
        let shared = shared(false);
        let boards = [(); 2].map(|()| Arc::new(Board::new()));
        let workers = boards
            .each_ref()
            .map(|board| worker(Shared::add(&shared, job(&shared, board))));
        shared.wait(None);
        // Read plainly: loom sees it if the owner is too early.
        assert!(boards.iter().all(|board| board.read() == 1));
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

/// An owner that helps, and a worker with a ticket, which may come too late.
#[test]
fn owner_and_worker_share_the_jobs() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["model: by the owner", "model: by the worker", LOOKED],
    };
    explore("owner_and_worker_share_the_jobs", plan, || {
        let shared = shared(true);
        let board = Arc::new(Board::new());
        let owner = thread::current().id();
        let (count, seen) = (Arc::clone(&board), Arc::new(Mutex::new(0)));
        let runs = Arc::clone(&seen);
        let ticket = Shared::add(
            &shared,
            member(&shared, move || {
                count.write(1);
                *runs.lock() += 1;
                let by_owner = thread::current().id() == owner;
                visit(if by_owner {
                    "model: by the owner"
                } else {
                    "model: by the worker"
                });
            }),
        );
        let worker = worker(ticket);
        shared.wait(None);
        assert_eq!((board.read(), *seen.lock()), (1, 1));
        worker.join().unwrap();
    });
}

/// A job makes a job, for which no worker is free.
#[test]
fn sleeping_owner_runs_what_a_job_spawns() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 2_000,
        events: &[LOOKED, "gate wait: permit taken"],
    };
    explore("sleeping_owner_runs_what_a_job_spawns", plan, || {
        let shared = shared(true);
        let board = Arc::new(Board::new());
        let unused = Arc::new(Mutex::new(None));
        let ticket = Shared::add(
            &shared,
            member(&shared, {
                let (scope, board, unused) = (
                    Place(&raw const shared),
                    Arc::clone(&board),
                    Arc::clone(&unused),
                );
                move || *unused.lock() = Some(Shared::add(scope.get(), job(scope.get(), &board)))
            }),
        );
        let worker = worker(ticket);
        shared.wait(None);
        assert_eq!(board.read(), 1);
        worker.join().unwrap();
        drop(unused.lock().take());
    });
}

/// Another worker, that looks once into the first one's nest.
fn thief(pool: &ThreadPoolHandle) -> thread::JoinHandle<()> {
    let engine = Arc::clone(&pool.engine);
    thread::spawn(move || {
        let _inside = Inside::new(engine.key(), 1);
        if let Stolen::Item(job) = engine.nest(0).expect("there are two").steal(None) {
            visit("model: stolen");
            assert_eq!(job.into_inner().run(), Ended::Completed);
        }
    })
}

/// A worker's job makes two, and a thief may get one of them. The units of all three pass through
/// the worker's session.
#[test]
fn owner_waits_for_the_thief_of_a_job() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &["model: stolen", LOOKED, "gate wait: permit taken"],
    };
    explore("owner_waits_for_the_thief_of_a_job", plan, || {
        let pool = pool(2, 2);
        let shared = Shared::new(&pool, false);
        let boards = [(); 2].map(|()| Arc::new(Board::new()));
        let (scope, targets) = (Place(&raw const shared), boards.clone());
        let root = member(&shared, move || {
            for board in targets {
                // SAFETY: it is not kept.
                let session = unsafe { Session::with_room(scope.get()) };
                let nested = session.map(|session| session.nest(|| job(scope.get(), &board)));
                assert!(matches!(nested, Some(Ok(()))), "there is room");
            }
        });
        let ticket = Shared::add(&shared, root);
        let engine = Arc::clone(&pool.engine);
        let worker = thread::spawn(move || {
            let _inside = Inside::new(engine.key(), 0);
            let _ = ticket.work();
        });
        let thief = thief(&pool);
        shared.wait(None);
        assert!(boards.iter().all(|board| board.read() == 1));
        worker.join().unwrap();
        thief.join().unwrap();
    });
}

/// A worker waits for a scope, of which a thief runs a job, which makes another and waits for that:
/// there is nobody else to run it.
#[test]
fn sleeping_owner_steals_what_a_thief_spawns() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &["model: stolen", "model: stolen back", LOOKED],
    };
    explore("sleeping_owner_steals_what_a_thief_spawns", plan, || {
        let pool = pool(2, 2);
        let thief = thief(&pool);
        let _inside = Inside::new(pool.engine.key(), 0);
        let owner = thread::current().id();
        let (board, done) = (Board::new(), Parker::new());
        pool.scope(|scope| {
            scope.spawn(|| {
                scope.spawn(|| {
                    board.write(1);
                    done.unpark();
                });
                if thread::current().id() != owner {
                    visit("model: stolen back");
                    done.park(WATCH);
                }
            });
        });
        assert_eq!(board.read(), 1);
        thief.join().unwrap();
        // (What the thief has stolen it does not count.)
        let totals = pool.engine.totals();
        assert_eq!(totals.started, totals.completed);
    });
}

/// A pool that is shut down drops a ticket: the owner, from outside, runs the job.
#[test]
fn dropped_ticket_wakes_the_owner() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &[LOOKED, "gate wait: permit taken"],
    };
    explore("dropped_ticket_wakes_the_owner", plan, || {
        let shared = shared(false);
        let board = Arc::new(Board::new());
        let ticket = Shared::add(&shared, job(&shared, &board));
        let pool = thread::spawn(move || drop(ticket));
        shared.wait(None);
        assert_eq!(board.read(), 1);
        pool.join().unwrap();
    });
}

/// The same for a job that goes through the pool by itself.
#[test]
fn dropped_envoy_wakes_the_owner() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &[LOOKED, "gate wait: permit taken"],
    };
    explore("dropped_envoy_wakes_the_owner", plan, || {
        let pool = pool(1, 0);
        let board = Board::new();
        pool.scope(|scope| {
            scope.spawn(|| board.write(1));
            let engine = Arc::clone(&pool.engine);
            // The worker of an abandoned pool.
            thread::spawn(move || drop(engine.drain(Fate::Cancelled)))
        })
        .join()
        .unwrap();
        assert_eq!(board.read(), 1);
    });
}

/// A job that finds the queue full is dropped, and not waited for.
#[test]
fn refused_job_is_not_waited_for() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 1,
        events: &["model: refused"],
    };
    explore("refused_job_is_not_waited_for", plan, || {
        let shared = shared(true);
        let mut boards = Vec::new();
        let mut tickets = Vec::new();
        loop {
            let board = Arc::new(Board::new());
            match unwind::catch(|| Shared::add(&shared, job(&shared, &board))) {
                Ok(ticket) => tickets.push(ticket),
                Err(_) => break,
            }
            boards.push(board);
        }
        visit("model: refused");
        shared.wait(None);
        assert!(boards.iter().all(|board| board.read() == 1));
        drop(tickets);
    });
}
