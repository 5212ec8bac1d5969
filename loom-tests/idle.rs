//! Models of [`crate::idle`]. Jobs are flags that are set and seen `Relaxed`: what
//! orders them is the idle word. A worker takes one job and never comes back, as if
//! the job took for ever, so a job that nobody is woken for shows as a deadlock.

use super::explore::{Bound, Plan, explore};
use crate::idle::{Idle, Place};
use crate::parker::Parker;
use crate::probe::visit;
use crate::sync::{Arc, AtomicBool, Ordering, WATCH, barrier, thread};

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
        bound: Bound::Preemptions(1),
        floor: 4_000,
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

/// The top sleeper's link is another than when it slept before, and whoever wakes it has
/// seen neither sleep. With the old link the sleeper below would be lost.
fn second_sleep(plan: Plan<'_>, name: &str, wake: fn(&Crew<2>)) {
    explore(name, plan, move || {
        let crew = Crew::<2>::new(3);
        let mut place = Place::new(0);
        crew.idle.begin_search(&mut place);
        // Nobody is below; it wakes itself.
        crew.idle.sleep(&mut place, || true);
        let below = worker(&crew, 1, 1);
        let waker = thread::spawn({
            let crew = Arc::clone(&crew);
            move || wake(&crew)
        });
        crew.find(&mut place);
        below.join().unwrap();
        waker.join().unwrap();
    });
}

#[test]
fn link_of_the_second_sleep() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &[
            "idle wake: sleeper seen, not chosen",
            "idle found: hands on",
        ],
    };
    second_sleep(plan, "link_of_the_second_sleep", |crew| {
        crew.publish(0);
        crew.publish(1);
    });
}

/// Here the waker is a searcher that hands its search on.
#[test]
fn search_goes_to_the_second_sleep() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &[
            "idle notify: searcher seen, not called",
            "idle found: hands on",
        ],
    };
    second_sleep(plan, "search_goes_to_the_second_sleep", |crew| {
        let mut place = Place::new(2);
        crew.idle.begin_search(&mut place);
        crew.publish(0);
        crew.publish(1);
        crew.idle.found(&mut place, false);
    });
}

#[test]
fn links_of_the_second_sleep() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["idle wake_all: chosen, not woken"],
    };
    second_sleep(plan, "links_of_the_second_sleep", |crew| {
        crew.stop.store(true, Ordering::Relaxed);
        crew.idle.wake_all();
    });
}

/// As `link_of_the_second_sleep`; here the waker sleeps below, and has found work at its
/// last look.
#[test]
fn last_look_wakes_the_second_sleep() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &[
            "idle wake: sleeper seen, not chosen",
            "idle found: hands on",
        ],
    };
    explore("last_look_wakes_the_second_sleep", plan, || {
        let idle = Arc::new(Idle::new(2));
        let mut place = Place::new(0);
        idle.begin_search(&mut place);
        idle.sleep(&mut place, || true);
        let below = thread::spawn({
            let idle = Arc::clone(&idle);
            move || {
                let mut place = Place::new(1);
                idle.begin_search(&mut place);
                idle.sleep(&mut place, || true);
                idle.found(&mut place, true);
            }
        });
        idle.sleep(&mut place, || true);
        idle.found(&mut place, true);
        below.join().unwrap();
    });
}

/// Worker 2 is at the bottom of the stack all the time. Somebody walks down from the top
/// while worker 0 is woken and sleeps again, now above worker 1, which has not slept before.
#[test]
fn stack_grows_under_a_walk() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &["idle wake: chosen, not woken", "model: third on top"],
    };
    explore("stack_grows_under_a_walk", plan, || {
        let crew = Crew::<0>::new(3);
        let go = Arc::new(Parker::new());
        let mut bottom = Place::new(2);
        let mut others = None;
        crew.idle.begin_search(&mut bottom);
        crew.idle.sleep(&mut bottom, || {
            let top = thread::spawn({
                let (crew, go) = (Arc::clone(&crew), Arc::clone(&go));
                move || {
                    let mut place = Place::new(0);
                    crew.idle.begin_search(&mut place);
                    crew.idle.sleep(&mut place, || {
                        go.unpark();
                        false
                    });
                    visit("model: third on top");
                    crew.find(&mut place);
                }
            });
            let middle = thread::spawn({
                let (crew, go) = (Arc::clone(&crew), Arc::clone(&go));
                move || {
                    go.park(WATCH);
                    // Worker 0 is on top.
                    crew.idle.notify();
                    crew.find(&mut Place::new(1));
                }
            });
            others = Some([top, middle]);
            assert!(crew.idle.shows_asleep(2));
            // How they all wake up is another model's business.
            loom::stop_exploring();
            crew.stop.store(true, Ordering::Relaxed);
            crew.idle.wake_all();
            false
        });
        crew.idle.found(&mut bottom, false);
        let _ = others.unwrap().map(|other| other.join().unwrap());
    });
}

/// The waker chooses a sleeper and is suspended for ever; the clock wakes it all the same.
#[test]
fn clock_stands_in_for_the_token() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["idle sleep: chosen, token owed", "model: was chosen"],
    };
    explore("clock_stands_in_for_the_token", plan, || {
        let crew = Crew::<1>::new(1);
        let worker = worker(&crew, 0, 1);
        if crew.idle.choose_and_leave() {
            visit("model: was chosen");
        }
        crew.jobs[0].store(true, Ordering::Relaxed);
        // For who is about to sleep, or asleep.
        barrier::heavy();
        crew.idle.disturb(0);
        worker.join().unwrap();
    });
}

/// Nobody was told of the job: the clock finds it.
#[test]
fn clock_finds_a_forgotten_job() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["idle wake: chosen, not woken"],
    };
    explore("clock_finds_a_forgotten_job", plan, || {
        let crew = Crew::<1>::new(1);
        let worker = worker(&crew, 0, 1);
        crew.jobs[0].store(true, Ordering::Relaxed);
        crew.idle.disturb(0);
        worker.join().unwrap();
    });
}
