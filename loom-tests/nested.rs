//! Models of [`crate::engine::nested`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::ThreadPool;
use crate::engine::{Desk, Ended, Engine, Entry, Exit, Roost, Run, Worker};
use crate::parker::Parker;
use crate::probe::visit;
use crate::sync::{Arc, WATCH, thread};

/// Jobs that somebody may wait for.
type Signal = Arc<Parker>;

struct Runner;

impl Run<Signal> for Runner {
    fn run(&mut self, entry: Entry<Signal>, _: &mut Desk<'_, Signal>) -> Ended {
        entry.job.unpark();
        Ended::Completed
    }

    fn cancel(&mut self, _: Entry<Signal>, _: &mut Desk<'_, Signal>) {
        panic!("nobody cancels");
    }
}

/// A worker nests a job and waits for it, while the other goes to sleep; then it nests another,
/// which it runs if it is not stolen.
#[test]
fn nesting_races_the_last_sleeper() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 1_000,
        events: &[
            "idle sleep: work at the last look",
            "engine steal: out of a nest, crew not told",
            "model: popped",
        ],
    };
    explore("nesting_races_the_last_sleeper", plan, || {
        let (engine, mut locals) = Engine::<Signal>::new(2, 1, 2, 0);
        let engine = Arc::new(engine);
        let other = {
            let (engine, local) = (Arc::clone(&engine), locals.pop().unwrap());
            thread::spawn(move || Worker::new(&engine, 1, local).work(&mut Runner))
        };
        // SAFETY: this thread's only.
        let nest = unsafe { engine.nest(0).expect("there are nests").owner() };
        let roost = Roost::new(&engine, 0, nest);
        let signals = [(); 2].map(|()| Arc::new(Parker::new()));
        let nested = roost.push(1, Arc::clone(&signals[0]));
        assert!(nested.is_ok(), "there is room");
        assert!(signals[0].park(WATCH));
        let nested = roost.push(1, Arc::clone(&signals[1]));
        assert!(nested.is_ok(), "there is room");
        if let Some(signal) = roost.pop(1) {
            visit("model: popped");
            signal.unpark();
            roost.finish(Ended::Completed);
        }
        assert!(signals[1].park(WATCH));
        engine.close();
        assert_eq!(other.join().unwrap(), Exit::Drained);
        let totals = engine.totals();
        let counts = [totals.accepted, totals.started, totals.completed];
        assert_eq!(counts, [2; 3]);
    });
}

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
