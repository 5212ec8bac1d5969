//! Models of [`crate::thread_pool::scope`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::probe::visit;
use crate::sync::{Arc, Mutex, thread};
use crate::thread_pool::scope::{Shared, Ticket};
use crate::thread_pool::task::{Detached, Task, Work};
use crate::unwind;

const LOOKED: &str = "gate wait: looked, not asleep";

/// A job that writes to a board, plainly.
fn job(board: &Arc<Board>) -> Task {
    let board = Arc::clone(board);
    Task::new(Detached(move || board.write(1)))
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
        let shared = Shared::new(false);
        let boards = [(); 2].map(|()| Arc::new(Board::new()));
        let workers = boards
            .each_ref()
            .map(|board| worker(Shared::add(&shared, job(board))));
        shared.wait();
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
        let shared = Shared::new(true);
        let board = Arc::new(Board::new());
        let owner = thread::current().id();
        let (count, seen) = (Arc::clone(&board), Arc::new(Mutex::new(0)));
        let runs = Arc::clone(&seen);
        let ticket = Shared::add(
            &shared,
            Task::new(Detached(move || {
                count.write(1);
                *runs.lock() += 1;
                let by_owner = thread::current().id() == owner;
                visit(if by_owner {
                    "model: by the owner"
                } else {
                    "model: by the worker"
                });
            })),
        );
        let worker = worker(ticket);
        shared.wait();
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
        let shared = Shared::new(true);
        let board = Arc::new(Board::new());
        let unused = Arc::new(Mutex::new(None));
        let ticket = Shared::add(
            &shared,
            Task::new(Detached({
                let (shared, board, unused) =
                    (Arc::clone(&shared), Arc::clone(&board), Arc::clone(&unused));
                move || *unused.lock() = Some(Shared::add(&shared, job(&board)))
            })),
        );
        let worker = worker(ticket);
        shared.wait();
        assert_eq!(board.read(), 1);
        worker.join().unwrap();
        drop(unused.lock().take());
    });
}

/// A pool that is shut down drops a ticket: the owner, from outside, runs the job.
#[test]
fn dropped_ticket_wakes_the_owner() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 500,
        events: &[LOOKED, "gate wait: permit taken"],
    };
    explore("dropped_ticket_wakes_the_owner", plan, || {
        let shared = Shared::new(false);
        let board = Arc::new(Board::new());
        let ticket = Shared::add(&shared, job(&board));
        let pool = thread::spawn(move || drop(ticket));
        shared.wait();
        assert_eq!(board.read(), 1);
        pool.join().unwrap();
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
        let shared = Shared::new(true);
        let mut boards = Vec::new();
        let mut tickets = Vec::new();
        loop {
            let board = Arc::new(Board::new());
            match unwind::catch(|| Shared::add(&shared, job(&board))) {
                Ok(ticket) => tickets.push(ticket),
                Err(_) => break,
            }
            boards.push(board);
        }
        visit("model: refused");
        shared.wait();
        assert!(boards.iter().all(|board| board.read() == 1));
        drop(tickets);
    });
}
