//! Models of [`crate::idle`]. Jobs are flags that are set and seen `Relaxed`: what
//! orders them is the idle word. A worker takes one job and never comes back, as if
//! the job took for ever, so a job that nobody is woken for shows as a deadlock.

use super::explore::{Bound, Plan, explore};
use crate::idle::{Idle, Place};
use crate::sync::{Arc, AtomicBool, Ordering, thread};

struct Crew<const JOBS: usize> {
    idle: Idle,
    jobs: [AtomicBool; JOBS],
    stop: AtomicBool,
}

impl<const JOBS: usize> Crew<JOBS> {
    fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(workers),
            jobs: std::array::from_fn(|_| AtomicBool::new(false)),
            stop: AtomicBool::new(false),
        })
    }

    fn publish(&self, job: usize) {
        self.jobs[job].store(true, Ordering::Relaxed);
        self.idle.notify();
    }

    fn has_work(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.jobs.iter().any(|job| job.load(Ordering::Relaxed))
    }

    /// Takes a job that is seen. (A mere read-modify-write would always see the
    /// newest value, and hide a missing barrier.)
    fn take(&self) -> Option<usize> {
        self.jobs.iter().position(|job| {
            job.load(Ordering::Relaxed)
                && job
                    .compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// Finds one job, as the engine's workers do; `None` when told to stop.
    fn find(&self, place: &mut Place) -> Option<usize> {
        loop {
            if let Some(job) = self.take() {
                // No `more`: the callers must suffice.
                self.idle.found(place, false);
                return Some(job);
            }
            if self.stop.load(Ordering::Relaxed) {
                self.idle.found(place, false);
                return None;
            }
            self.idle.begin_search(place);
            self.idle.sleep(place, || self.has_work());
        }
    }
}

/// A thread that finds `jobs` jobs.
fn worker<const JOBS: usize>(
    crew: &Arc<Crew<JOBS>>,
    worker: usize,
    jobs: usize,
) -> thread::JoinHandle<()> {
    let crew = Arc::clone(crew);
    thread::spawn(move || {
        let mut place = Place::new(worker);
        for _ in 0..jobs {
            crew.find(&mut place);
        }
    })
}

#[test]
fn push_races_last_sleeper() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 50,
        events: &[
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("push_races_last_sleeper", plan, || {
        let crew = Crew::<1>::new(1);
        let worker = worker(&crew, 0, 1);
        crew.publish(0);
        worker.join().unwrap();
    });
}

/// One worker that comes back for the second job.
#[test]
fn push_races_second_sleep() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &[
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("push_races_second_sleep", plan, || {
        let crew = Crew::<2>::new(1);
        let worker = worker(&crew, 0, 2);
        crew.publish(0);
        crew.publish(1);
        worker.join().unwrap();
    });
}

#[test]
fn two_sleepers_two_jobs() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 5_000,
        events: &[
            "idle notify: searcher seen, not called",
            "idle found: hands on",
        ],
    };
    explore("two_sleepers_two_jobs", plan, || {
        let crew = Crew::<2>::new(2);
        let workers = [0, 1].map(|id| worker(&crew, id, 1));
        crew.publish(0);
        crew.publish(1);
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

#[test]
fn two_notifiers_race() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 5_000,
        events: &[
            "idle sleep: work at the last look",
            "idle wake: sleeper seen, not chosen",
        ],
    };
    explore("two_notifiers_race", plan, || {
        let crew = Crew::<2>::new(2);
        let workers = [0, 1].map(|id| worker(&crew, id, 1));
        let other = thread::spawn({
            let crew = Arc::clone(&crew);
            move || crew.publish(1)
        });
        crew.publish(0);
        other.join().unwrap();
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

/// There are more jobs than calls: two notifiers share one, or find nobody asleep.
#[test]
fn three_jobs_share_the_calls() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 5_000,
        events: &[
            "idle notify: searcher seen, not called",
            "idle found: hands on",
        ],
    };
    explore("three_jobs_share_the_calls", plan, || {
        let crew = Crew::<3>::new(3);
        let workers = [0, 1, 2].map(|id| worker(&crew, id, 1));
        crew.publish(0);
        crew.publish(1);
        crew.publish(2);
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

#[test]
fn wake_all_races_two_sleepers() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1000,
        events: &[
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("wake_all_races_two_sleepers", plan, || {
        let crew = Crew::<0>::new(2);
        let workers = [0, 1].map(|id| worker(&crew, id, 1));
        crew.stop.store(true, Ordering::Relaxed);
        crew.idle.wake_all();
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

/// The clock wakes the sleeper while a notifier chooses it: then it works on, and the
/// token of this sleep, which comes late, must not be taken for the next one's.
#[test]
fn clock_races_the_token() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 1_000,
        events: &["idle sleep: chosen, token owed", "idle sleep: an old token"],
    };
    explore("clock_races_the_token", plan, || {
        let crew = Crew::<2>::new(1);
        let worker = worker(&crew, 0, 2);
        let clock = thread::spawn({
            let crew = Arc::clone(&crew);
            move || crew.idle.disturb(0)
        });
        crew.publish(0);
        crew.publish(1);
        worker.join().unwrap();
        clock.join().unwrap();
    });
}
