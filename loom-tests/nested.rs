//! Models of [`crate::engine::nested`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::ThreadPool;
use crate::parker::Parker;
use crate::sync::WATCH;

/// A worker's job makes a job and waits for it, which only the other worker can run.
#[test]
fn nested_job_wakes_another_worker() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 100,
        events: &[
            "engine steal: out of a nest, crew not told",
            "parker: about to sleep",
        ],
    };
    explore("nested_job_wakes_another_worker", plan, || {
        let pool = ThreadPool::builder()
            .workers(2)
            .job_capacity(1)
            .build()
            .unwrap();
        let (board, done) = (Board::new(), Parker::new());
        pool.scope(|scope| {
            scope.spawn(|| {
                scope.spawn(|| {
                    board.write(1);
                    done.unpark();
                });
                done.park(WATCH);
            });
        });
        assert_eq!(board.read(), 1);
        pool.wait_idle().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.accepted, stats.queued, stats.completed), (2, 0, 2));
    });
}
