//! Models of the pool of closures, through its public face.

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::probe::visit;
use crate::sync::{Arc, thread};
use crate::{JobError, SubmitError, ThreadPool};
use std::time::Duration;

fn pool() -> ThreadPool {
    ThreadPool::builder()
        .workers(1)
        .job_capacity(1)
        .build()
        .unwrap()
}

/// A closure that writes to a board, plainly.
fn job(board: &Arc<Board>) -> impl FnOnce() + use<> {
    let board = Arc::clone(board);
    move || board.write(1)
}

/// What was accepted has run when the pool was dropped, and is seen.
#[test]
fn dropped_pool_has_run_its_closures() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &["idle sleep: work at the last look"],
    };
    explore("dropped_pool_has_run_its_closures", plan, || {
        let board = Arc::new(Board::new());
        let pool = pool();
        pool.execute(job(&board)).unwrap();
        drop(pool);
        assert_eq!(board.read(), 1);
    });
}

/// Who waits for some time closes the pool, and hears of its threads' end.
#[test]
fn waiter_for_some_time_hears_of_the_end() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &["gate wait: permit taken"],
    };
    explore("waiter_for_some_time_hears_of_the_end", plan, || {
        let board = Arc::new(Board::new());
        let mut pool = pool();
        pool.execute(job(&board)).unwrap();
        pool.join_timeout(Duration::MAX).unwrap();
        assert_eq!(board.read(), 1);
        assert!(pool.is_closed());
    });
}

/// A handle closes the pool from elsewhere: a closure runs or comes back.
#[test]
fn execute_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &["model: accepted", "model: rejected"],
    };
    explore("execute_races_close", plan, || {
        let board = Arc::new(Board::new());
        let pool = pool();
        let handle = pool.handle();
        let closer = thread::spawn(move || handle.close());
        let accepted = match pool.execute(job(&board)) {
            Ok(()) => {
                visit("model: accepted");
                1
            }
            Err(SubmitError::Closed(_)) => {
                visit("model: rejected");
                0
            }
            Err(error) => panic!("{error:?}"),
        };
        closer.join().unwrap();
        assert!(pool.is_closed());
        pool.join().unwrap();
        assert_eq!(board.read(), accepted);
    });
}

/// A job that its handle cancels is dropped or has run; its handle, the worker, and the
/// pool's numbers agree.
#[test]
fn cancelled_job_is_counted() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &["model: in time", "model: too late"],
    };
    explore("cancelled_job_is_counted", plan, || {
        let board = Arc::new(Board::new());
        let pool = pool();
        let spawned = pool.spawn(job(&board)).unwrap();
        let handle = pool.handle();
        let in_time = spawned.cancel();
        match spawned.join() {
            Ok(()) => {
                visit("model: too late");
                assert!(!in_time);
                assert_eq!(board.read(), 1);
            }
            Err(JobError::Cancelled) => {
                visit("model: in time");
                assert!(in_time);
                assert_eq!(board.read(), 0);
            }
            Err(error) => panic!("{error:?}"),
        }
        pool.join().unwrap();
        let stats = handle.stats();
        let counts = (stats.cancelled, stats.completed);
        assert_eq!(counts, if in_time { (1, 0) } else { (0, 1) });
    });
}
