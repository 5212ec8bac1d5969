//! Models of [`crate::engine::nested`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::ThreadPool;
use crate::engine::{Desk, Ended, Engine, Exit, Picked, Roost, Run, Worker};
use crate::parker::Parker;
use crate::probe::visit;
use crate::sync::{Arc, WATCH, thread};

type Signal = Arc<Parker>;

fn signal() -> Signal {
    Arc::new(Parker::new())
}

/// Tells somebody that it runs, and may wait for another.
struct Job {
    tells: Signal,
    awaits: Option<Signal>,
}

impl Job {
    fn new(tells: &Signal) -> Self {
        Self {
            tells: Arc::clone(tells),
            awaits: None,
        }
    }
}

struct Runner;

impl Run<Job> for Runner {
    type Done = ();

    fn run(&mut self, picked: Picked<'_, Job>, _: Desk<'_, Job>) {
        let job = picked.take();
        job.tells.unpark();
        if let Some(signal) = job.awaits {
            signal.park(WATCH);
        }
    }

    fn deliver(&mut self, (): (), _: &Desk<'_, Job>) -> Ended {
        Ended::Completed
    }

    fn cancel(&mut self, _: Picked<'_, Job>, _: &Desk<'_, Job>) {
        panic!("nobody cancels");
    }
}

type Workers = Vec<thread::JoinHandle<Exit>>;

/// An engine whose first worker is the model's first thread, and the others.
fn engine(workers: usize) -> (Arc<Engine<Job>>, Workers) {
    let (engine, locals) = Engine::new(workers, 1, 2, 0);
    let engine = Arc::new(engine);
    let others = locals.into_iter().enumerate().skip(1);
    let workers = others.map(|(id, local)| {
        let engine = Arc::clone(&engine);
        thread::spawn(move || Worker::new(&engine, id, local).work(&mut Runner))
    });
    let workers = workers.collect();
    (engine, workers)
}

fn roost(engine: &Engine<Job>) -> Roost<'_, Job> {
    let nest = engine.nest(0).expect("there are nests");
    // SAFETY: the models use it in their first thread.
    Roost::new(engine, 0, unsafe { nest.owner() })
}

fn nest(roost: &Roost<'_, Job>, job: Job) {
    assert!(roost.push(1, || job).is_ok(), "there is room");
}

/// All workers leave, and so many jobs were counted.
fn close_and_join(engine: &Engine<Job>, workers: Workers, jobs: u64) {
    engine.close();
    for worker in workers {
        assert_eq!(worker.join().unwrap(), Exit::Drained);
    }
    let totals = engine.totals();
    let counts = [totals.accepted, totals.started, totals.completed];
    assert_eq!(counts, [jobs; 3]);
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
        let (engine, workers) = engine(2);
        let roost = roost(&engine);
        let signals = [signal(), signal()];
        nest(&roost, Job::new(&signals[0]));
        assert!(signals[0].park(WATCH));
        nest(&roost, Job::new(&signals[1]));
        if let Some(job) = roost.pop(1) {
            visit("model: popped");
            roost.run_popped(job, |job| {
                job.take().into_inner().tells.unpark();
                Ended::Completed
            });
        }
        assert!(signals[1].park(WATCH));
        close_and_join(&engine, workers, 2);
    });
}

/// Who has stolen a job that takes long does not count as searching: what is submitted wakes the
/// other worker, which sleeps by then.
#[test]
fn thief_of_a_nest_no_longer_searches() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 20,
        events: &[
            "engine steal: out of a nest, crew not told",
            "idle wake: chosen, not woken",
        ],
    };
    explore("thief_of_a_nest_no_longer_searches", plan, || {
        let (engine, workers) = engine(3);
        let [stolen, goes_on] = [signal(), signal()];
        let long = Job {
            awaits: Some(Arc::clone(&goes_on)),
            ..Job::new(&stolen)
        };
        nest(&roost(&engine), long);
        assert!(stolen.park(WATCH));
        let submitted = engine.submit(Job::new(&goes_on), None);
        assert!(submitted.is_ok(), "it is open");
        close_and_join(&engine, workers, 2);
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
