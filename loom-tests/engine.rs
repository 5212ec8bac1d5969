//! Models of [`crate::engine`] without a front: jobs are numbers, or wait for each
//! other. Deques have two slots, and four for jobs without a size.

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::engine::{Desk, Ended, Engine, Exit, Fate, Picked, Run, Worker};
use crate::injector::Rejected;
use crate::pace::be_brisk;
use crate::parker::Parker;
use crate::probe::visit;
use crate::sync::{Arc, WATCH, thread};
// std's, on purpose: they count what really happens in the execution, and order nothing.
use std::sync::atomic::{AtomicU64, Ordering};

/// What the jobs of a model share.
pub(super) struct Site {
    pub(super) engine: Engine<u64>,
    /// How many jobs have begun.
    pub(super) begun: AtomicU64,
    /// Bit n: job n has ended.
    pub(super) ended: AtomicU64,
    /// Bit n: job n was cancelled.
    cancelled: AtomicU64,
    /// What the canceller did before.
    pub(super) board: Board,
    /// For jobs that wait, and for the main thread.
    signals: [Parker; 2],
    pub(super) done: Parker,
}

/// Runs job n by `rule(n)`.
struct Runner<F> {
    site: Arc<Site>,
    rule: F,
}

impl<F: Fn(&Site, u64, &mut Desk<'_, u64>)> Run<u64> for Runner<F> {
    type Done = ();

    fn run(&mut self, picked: Picked<'_, u64>, mut desk: Desk<'_, u64>) {
        let job = picked.take();
        self.site.begun.fetch_add(1, Ordering::Relaxed);
        (self.rule)(&self.site, job, &mut desk);
        let before = self.site.ended.fetch_or(1 << job, Ordering::Relaxed);
        assert_eq!(before & 1 << job, 0, "job {job} ran twice");
    }

    fn deliver(&mut self, (): (), _: &Desk<'_, u64>) -> Ended {
        Ended::Completed
    }

    fn cancel(&mut self, picked: Picked<'_, u64>, _: &Desk<'_, u64>) {
        assert_eq!(self.site.board.read(), 7);
        let before = self
            .site
            .cancelled
            .fetch_or(1 << picked.take(), Ordering::Relaxed);
        assert_eq!(before, 0, "one was cancelled, once");
    }
}

pub(super) type Workers<const N: usize> = [thread::JoinHandle<Exit>; N];

/// An engine with workers that begin when the closure they get is called.
pub(super) fn site<const N: usize, F>(
    capacity: usize,
    rule: F,
) -> (Arc<Site>, impl FnOnce() -> Workers<N>)
where
    F: Fn(&Site, u64, &mut Desk<'_, u64>) + Copy + 'static,
{
    site_with(|| {}, capacity, rule)
}

/// The same, of workers that each `begin` with something.
fn site_with<const N: usize, F>(
    begin: fn(),
    capacity: usize,
    rule: F,
) -> (Arc<Site>, impl FnOnce() -> Workers<N>)
where
    F: Fn(&Site, u64, &mut Desk<'_, u64>) + Copy + 'static,
{
    let (engine, locals) = Engine::new(N, capacity, 0, 0);
    let site = Arc::new(Site {
        engine,
        begun: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        cancelled: AtomicU64::new(0),
        board: Board::new(),
        signals: [Parker::new(), Parker::new()],
        done: Parker::new(),
    });
    let start = {
        let site = Arc::clone(&site);
        move || {
            let mut locals = locals.into_iter().enumerate();
            [(); N].map(|()| {
                let (id, local) = locals.next().unwrap();
                let site = Arc::clone(&site);
                thread::spawn(move || {
                    begin();
                    let mut runner = Runner {
                        site: Arc::clone(&site),
                        rule,
                    };
                    Worker::new(&site.engine, id, local).work(&mut runner)
                })
            })
        }
    };
    (site, start)
}

pub(super) fn submit(site: &Site, job: u64) {
    site.engine.submit(job, None).expect("it is open");
}

pub(super) fn close_and_join<const N: usize>(site: &Site, workers: Workers<N>, jobs: u64) {
    site.engine.close();
    for worker in workers {
        assert_eq!(worker.join().unwrap(), Exit::Drained);
    }
    assert_eq!(site.ended.load(Ordering::Relaxed), (1 << jobs) - 1);
    let totals = site.engine.totals();
    assert_eq!((totals.accepted, totals.completed), (jobs, jobs));
}

#[test]
fn submit_races_park() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &[
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("submit_races_park", plan, || {
        let (site, start) = site(2, |site, _, _| site.done.unpark());
        let workers: Workers<1> = start();
        submit(&site, 0);
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 1);
    });
}

/// The first job waits for the second, so both workers must come.
#[test]
fn two_jobs_need_two_workers() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 100,
        events: &[
            "idle sleep: work at the last look",
            "idle found: still counted",
        ],
    };
    explore("two_jobs_need_two_workers", plan, || {
        let (site, start) = site(2, |site, job, _| match job {
            0 => {
                site.signals[0].park(WATCH);
                site.done.unpark();
            }
            _ => site.signals[0].unpark(),
        });
        submit(&site, 0);
        let workers: Workers<2> = start();
        submit(&site, 1);
        // The close would wake everybody.
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 2);
    });
}

/// The same when the first job submits the second from inside, as a job does that spawns.
#[test]
fn job_from_inside_wakes_another_worker() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 50,
        events: &["idle sleep: work at the last look"],
    };
    explore("job_from_inside_wakes_another_worker", plan, || {
        let (site, start) = site(2, |site, job, desk| match job {
            0 => {
                let pushed = site.engine.push_inside(desk.worker(), 1);
                pushed.expect("there is room");
                site.signals[0].park(WATCH);
                site.done.unpark();
            }
            _ => site.signals[0].unpark(),
        });
        submit(&site, 0);
        let workers: Workers<2> = start();
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 2);
    });
}

/// A batch sits in the deque of a worker that does not come back; another must take
/// it from there.
fn batch_is_stolen(name: &str, begin: fn(), plan: Plan<'_>) {
    explore(name, plan, move || {
        let (site, start) = site_with(begin, 4, |site, job, _| match job {
            // The first of a batch of two waits for the other.
            0 => {
                site.signals[0].park(WATCH);
                site.done.unpark();
            }
            1 => site.signals[0].unpark(),
            _ => {}
        });
        for job in 0..4 {
            submit(&site, job);
        }
        let workers: Workers<2> = start();
        // The close would wake everybody.
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 4);
    });
}

#[test]
fn batch_is_stolen_from_a_busy_worker() {
    batch_is_stolen(
        "batch_is_stolen_from_a_busy_worker",
        || {},
        Plan {
            bound: Bound::Preemptions(1),
            floor: 100,
            events: &[
                "engine claim: claimed, batch not published",
                "engine steal: claimed, not published",
            ],
        },
    );
}

/// It was brisk, so its deque is biased, and spared at first.
#[test]
fn batch_is_stolen_from_a_brisk_worker() {
    batch_is_stolen(
        "batch_is_stolen_from_a_brisk_worker",
        be_brisk,
        Plan {
            bound: Bound::Preemptions(0),
            floor: 50,
            events: &["deque bias: begun", "deque steal: bias ended"],
        },
    );
}

/// The job that runs pushes the last one; the other worker must not go home before.
#[test]
fn last_job_races_last_worker() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "engine push: counted, not queued",
            "engine: drained, crew not told",
        ],
    };
    explore("last_job_races_last_worker", plan, || {
        let (site, start) = site(2, |_, job, desk| {
            if job == 0 {
                desk.push(1);
            }
        });
        submit(&site, 0);
        site.engine.close();
        let workers: Workers<2> = start();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), Exit::Drained);
            // The follow-up had run by then, on whichever worker.
            assert_eq!(site.ended.load(Ordering::Relaxed), 0b11);
        }
    });
}

/// A job waits for its follow-up, which lies in its own worker's deque.
#[test]
fn follow_up_needs_another_worker() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 50,
        events: &[
            "engine push: queued, nobody told",
            "idle sleep: work at the last look",
        ],
    };
    explore("follow_up_needs_another_worker", plan, || {
        let (site, start) = site(2, |site, job, desk| match job {
            0 => {
                desk.push(1);
                site.signals[0].park(WATCH);
            }
            _ => site.signals[0].unpark(),
        });
        submit(&site, 0);
        site.engine.close();
        let workers: Workers<2> = start();
        close_and_join(&site, workers, 2);
    });
}

/// A thief whose job takes long does not count as searching: job 2 wakes the other worker,
/// which sleeps by then.
#[test]
fn thief_no_longer_searches() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 20,
        events: &[
            "engine steal: published, crew not told",
            "idle wake: chosen, not woken",
        ],
    };
    explore("thief_no_longer_searches", plan, || {
        let (site, start) = site(2, |site, job, desk| match job {
            0 => {
                desk.push(1);
                site.signals[0].park(WATCH);
            }
            1 => {
                site.signals[0].unpark();
                site.done.unpark();
                site.signals[1].park(WATCH);
            }
            _ => site.signals[1].unpark(),
        });
        submit(&site, 0);
        let workers: Workers<2> = start();
        assert!(site.done.park(WATCH));
        submit(&site, 2);
        close_and_join(&site, workers, 3);
    });
}

/// A thief takes two jobs of three at once, and the second one is not lost: the job that made them
/// waits for all.
#[test]
fn thief_keeps_the_second_job_of_its_haul() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 20,
        events: &["model: two at once"],
    };
    /// The first job makes three others, which make none.
    struct Makes {
        made: Arc<(AtomicU64, Parker)>,
    }
    impl Run<()> for Makes {
        type Done = ();

        fn run(&mut self, picked: Picked<'_, ()>, mut desk: Desk<'_, ()>) {
            let (ended, all_ended) = &*self.made;
            let is_follow_up = picked.origin().is_follow_up();
            picked.take();
            if is_follow_up {
                if ended.fetch_add(1, Ordering::Relaxed) == 2 {
                    all_ended.unpark();
                }
            } else {
                (0..3).for_each(|_| desk.push(()));
                all_ended.park(WATCH);
            }
        }

        fn deliver(&mut self, (): (), _: &Desk<'_, ()>) -> Ended {
            Ended::Completed
        }

        fn cancel(&mut self, _: Picked<'_, ()>, _: &Desk<'_, ()>) {
            unreachable!("nobody cancels")
        }
    }
    explore("thief_keeps_the_second_job_of_its_haul", plan, || {
        let (engine, locals) = Engine::new(2, 1, 0, 0);
        let engine = Arc::new(engine);
        engine.try_submit(()).unwrap();
        engine.close();
        let made = Arc::new((AtomicU64::new(0), Parker::new()));
        let mut locals = locals.into_iter().enumerate();
        let workers = [(); 2].map(|()| {
            let (id, local) = locals.next().unwrap();
            let (engine, made) = (Arc::clone(&engine), Arc::clone(&made));
            thread::spawn(move || Worker::new(&engine, id, local).work(&mut Makes { made }))
        });
        for worker in workers {
            assert_eq!(worker.join().unwrap(), Exit::Drained);
        }
        assert_eq!(made.0.load(Ordering::Relaxed), 3);
        let works = engine.works();
        if works.iter().any(|work| work.stolen > 1) {
            visit("model: two at once");
        }
    });
}

/// More follow-ups than the deque has room for; the job that pushed them waits for the
/// one in the overflow.
#[test]
fn follow_ups_overflow() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 50,
        events: &["engine push: overflow", "idle sleep: work at the last look"],
    };
    explore("follow_ups_overflow", plan, || {
        let (site, start) = site(2, |site, job, desk| match job {
            0 => {
                (1..=3).for_each(|job| desk.push(job));
                site.signals[0].park(WATCH);
            }
            3 => site.signals[0].unpark(),
            _ => {}
        });
        submit(&site, 0);
        site.engine.close();
        let workers: Workers<2> = start();
        close_and_join(&site, workers, 4);
    });
}

/// A job that starts out of a deque makes room as well: job 1 waits until job 3 has
/// been accepted.
#[test]
fn deferred_start_makes_room() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "engine: room counted, submitters not told",
            "gate wait: permit taken",
        ],
    };
    explore("deferred_start_makes_room", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 1 {
                site.signals[0].park(WATCH);
            }
        });
        submit(&site, 0);
        submit(&site, 1);
        let workers: Workers<1> = start();
        submit(&site, 2);
        submit(&site, 3);
        site.signals[0].unpark();
        close_and_join(&site, workers, 4);
    });
}

/// A submitter that waits for room is told of the close. (Nobody works here.)
#[test]
fn close_frees_a_blocked_submitter() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &["gate wait: looked, not asleep", "gate wait: permit taken"],
    };
    explore("close_frees_a_blocked_submitter", plan, || {
        let (site, _) = site::<1, _>(1, |_, _, _| {});
        submit(&site, 0);
        let submitter = thread::spawn({
            let site = Arc::clone(&site);
            move || assert!(site.engine.submit(1, None).is_err())
        });
        site.engine.close();
        submitter.join().unwrap();
        assert_eq!(site.engine.drain(Fate::Returned).len(), 1);
    });
}

/// Jobs 0 and 1 begin, 1 does not end, all others wait: never more than two of them.
#[test]
fn capacity_is_never_exceeded() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 1000,
        events: &[
            "engine claim: claimed, batch not published",
            "engine: taken from a deque, room not yet counted",
            "model: full",
        ],
    };
    explore("capacity_is_never_exceeded", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 1 {
                site.signals[1].park(WATCH);
            }
        });
        submit(&site, 0);
        submit(&site, 1);
        let workers: Workers<1> = start();
        let mut accepted = 2;
        for _ in 0..3 {
            match site.engine.try_submit(accepted) {
                Ok(_) => {
                    accepted += 1;
                    // One may have been claimed and not begun.
                    let begun = site.begun.load(Ordering::Relaxed);
                    let claimed = (begun + 1).min(2);
                    assert!(accepted <= 2 + claimed, "{accepted} jobs, {begun} begun");
                }
                Err(Rejected::Full(_)) => visit("model: full"),
                Err(Rejected::Closed(_)) => unreachable!(),
            }
        }
        site.signals[1].unpark();
        close_and_join(&site, workers, accepted);
    });
}

/// Blocked submitters are told of room.
#[test]
fn full_queue_races_the_submitter() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["gate wait: permit taken", "gate wait: looked, not asleep"],
    };
    explore("full_queue_races_the_submitter", plan, || {
        let (site, start) = site(1, |site, job, _| {
            if job == 1 {
                site.done.unpark();
            }
        });
        let workers: Workers<1> = start();
        for job in 0..2 {
            submit(&site, job);
        }
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 2);
    });
}

#[test]
fn submit_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["model: rejected", "engine: drained, crew not told"],
    };
    explore("submit_races_close", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        let workers: Workers<1> = start();
        let closer = thread::spawn({
            let site = Arc::clone(&site);
            move || site.engine.close()
        });
        let accepted = match site.engine.submit(0, None) {
            Ok(_) => 1,
            Err(_) => {
                visit("model: rejected");
                0
            }
        };
        let [worker] = workers;
        assert_eq!(worker.join().unwrap(), Exit::Drained);
        closer.join().unwrap();
        assert_eq!(site.ended.load(Ordering::Relaxed), accepted);
    });
}

/// A producer is overtaken by the other, passed over by the worker, and meets the
/// close when it comes again. The sums must be right at every moment.
#[test]
fn poisoned_submit_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["injector push: poisoned", "injector pop: poisoned"],
    };
    explore("poisoned_submit_races_close", plan, || {
        let (site, start) = site(4, |_, _, _| {});
        let workers: Workers<1> = start();
        let other = thread::spawn({
            let site = Arc::clone(&site);
            move || u64::from(site.engine.submit(0, None).is_ok())
        });
        site.engine.close();
        let [worker] = workers;
        assert_eq!(worker.join().unwrap(), Exit::Drained);
        let totals = site.engine.totals();
        let accepted = other.join().unwrap();
        assert_eq!(site.ended.load(Ordering::Relaxed), accepted);
        assert!(
            totals.completed == accepted && totals.accepted == accepted,
            "{totals:?}"
        );
    });
}

/// Somebody asks for the sums while a job is accepted, run, and makes another.
#[test]
fn totals_race_the_jobs() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["engine push: counted, not queued", "model: running"],
    };
    explore("totals_race_the_jobs", plan, || {
        let (site, start) = site(2, |_, job, desk| {
            if job == 0 {
                desk.push(1);
            }
        });
        submit(&site, 0);
        site.engine.close();
        let workers: Workers<1> = start();
        let totals = site.engine.totals();
        assert!(totals.accepted >= totals.started, "{totals:?}");
        assert!(totals.started >= totals.completed, "{totals:?}");
        if totals.started > totals.completed {
            visit("model: running");
        }
        close_and_join(&site, workers, 2);
    });
}

#[test]
fn halt_races_two_sleepers() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("halt_races_two_sleepers", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        let workers: Workers<2> = start();
        site.engine.halt();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// One worker leaves, since the engine was halted after it had gone to sleep; the other
/// looked before, and goes to sleep afterwards: it must not rely on the first.
#[test]
fn late_sleeper_wakes_itself_after_a_halt() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["idle sleep: work at the last look"],
    };
    explore("late_sleeper_wakes_itself_after_a_halt", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        let workers: Workers<2> = start();
        // No preemption: the workers may sleep by now.
        thread::yield_now();
        site.engine.halt();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// The same after a close.
#[test]
fn late_sleeper_wakes_itself_after_a_close() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &[
            "idle sleep: work at the last look",
            "engine: drained, crew not told",
        ],
    };
    explore("late_sleeper_wakes_itself_after_a_close", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        let workers: Workers<2> = start();
        thread::yield_now();
        close_and_join(&site, workers, 0);
    });
}

/// One worker goes to sleep while the other's job runs on.
#[test]
fn halt_races_a_sleeper_and_a_job() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["idle sleep: work at the last look", "model: it ran"],
    };
    explore("halt_races_a_sleeper_and_a_job", plan, || {
        let (site, start) = site(2, |site, _, _| {
            site.signals[0].park(WATCH);
        });
        submit(&site, 0);
        let workers: Workers<2> = start();
        site.engine.halt();
        site.signals[0].unpark();
        for worker in workers {
            worker.join().unwrap();
        }
        if site.ended.load(Ordering::Relaxed) == 1 {
            visit("model: it ran");
        }
    });
}

#[test]
fn close_races_two_sleepers() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "idle sleep: work at the last look",
            "engine: drained, crew not told",
        ],
    };
    explore("close_races_two_sleepers", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        let workers: Workers<2> = start();
        close_and_join(&site, workers, 0);
    });
}

/// What the halting thread did before is seen by a job that asks. Jobs are run or
/// drained, each once.
#[test]
fn halt_races_a_job() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["model: cancelled", "model: drained"],
    };
    explore("halt_races_a_job", plan, || {
        let board = Arc::new(Board::new());
        let (engine, mut locals) = Engine::new(1, 2, 0, 0);
        let engine = Arc::new(engine);
        engine.try_submit(0).unwrap();
        let worker = thread::spawn({
            let (engine, board, local) =
                (Arc::clone(&engine), Arc::clone(&board), locals.remove(0));
            move || {
                struct Asks(Arc<Board>, u64);
                impl Run<u64> for Asks {
                    type Done = ();

                    fn run(&mut self, picked: Picked<'_, u64>, desk: Desk<'_, u64>) {
                        picked.take();
                        if desk.is_cancelled() {
                            visit("model: cancelled");
                            assert_eq!(self.0.read(), 7);
                        }
                        self.1 += 1;
                    }

                    fn deliver(&mut self, (): (), _: &Desk<'_, u64>) -> Ended {
                        Ended::Completed
                    }

                    fn cancel(&mut self, _: Picked<'_, u64>, _: &Desk<'_, u64>) {
                        unreachable!("nobody cancels")
                    }
                }
                let mut runner = Asks(board, 0);
                let _ = Worker::new(&engine, 0, local).work(&mut runner);
                runner.1
            }
        });
        board.write(7);
        engine.halt();
        assert!(engine.is_halted());
        let run = worker.join().unwrap();
        let drained = engine.drain(Fate::Returned).len() as u64;
        if drained > 0 {
            visit("model: drained");
        }
        assert_eq!(run + drained, 1);
    });
}

/// Who waits for the crew to be idle learns of it from whoever ends the last job.
#[test]
fn idle_waiter_races_the_last_jobs() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &["gate wait: permit taken", "engine: job ended, not counted"],
    };
    explore("idle_waiter_races_the_last_jobs", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        submit(&site, 0);
        submit(&site, 1);
        let workers: Workers<2> = start();
        assert!(site.engine.wait_until_idle(None));
        assert_eq!(site.ended.load(Ordering::Relaxed), 0b11);
        close_and_join(&site, workers, 2);
    });
}

/// Who waits for the threads learns of the last one's end, and sees what all did.
#[test]
fn waiter_races_the_last_threads() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["gate wait: permit taken"],
    };
    explore("waiter_races_the_last_threads", plan, || {
        let (site, _start) = site::<2, _>(1, |_, _, _| {});
        let boards = Arc::new([Board::new(), Board::new()]);
        let threads = [0, 1].map(|id| {
            let (site, boards) = (Arc::clone(&site), Arc::clone(&boards));
            thread::spawn(move || {
                boards[id].write(1);
                site.engine.thread_ends();
            })
        });
        assert!(site.engine.wait_for_threads(None));
        assert_eq!([boards[0].read(), boards[1].read()], [1, 1]);
        let _ = threads.map(|thread| thread.join().unwrap());
    });
}

/// Cancels the last of so many jobs that were submitted, fills the queue, and lets the
/// crew end. A queue that was full afterwards shows that the job waited.
fn cancel_and_end(
    site: &Site,
    workers: Workers<1>,
    cancel: impl FnOnce(&Engine<u64>),
    mut jobs: u64,
    most: u64,
) {
    let cancelled = jobs - 1;
    site.board.write(7);
    cancel(&site.engine);
    let mut waited = false;
    while !waited && jobs < most {
        match site.engine.try_submit(jobs) {
            Ok(_) => jobs += 1,
            Err(Rejected::Full(_)) => waited = true,
            Err(Rejected::Closed(_)) => unreachable!(),
        }
    }
    site.engine.close();
    for worker in workers {
        assert_eq!(worker.join().unwrap(), Exit::Drained);
    }
    let ran = site.ended.load(Ordering::Relaxed);
    let dropped = site.cancelled.load(Ordering::Relaxed);
    assert_eq!(ran + dropped, (1 << jobs) - 1, "each job once");
    assert!(dropped == 0 || dropped == 1 << cancelled);
    let totals = site.engine.totals();
    assert_eq!(totals.recalled, u64::from(dropped.count_ones()));
    assert_eq!(totals.accepted, totals.completed + totals.recalled);
    if waited {
        visit("model: it waited");
        assert_ne!(dropped, 0, "it waited, and yet it ran");
    }
    visit(if dropped == 0 {
        "model: it ran"
    } else {
        "model: cancelled"
    });
}

/// A job that takes up room after it was cancelled is never started; and who drops it
/// sees what the canceller did before.
#[test]
fn cancel_races_the_start() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["model: it waited", "model: cancelled", "model: it ran"],
    };
    explore("cancel_races_the_start", plan, || {
        let (site, start) = site(1, |_, _, _| {});
        submit(&site, 0);
        let workers: Workers<1> = start();
        let cancel = |engine: &Engine<u64>| engine.cancel(0).unwrap();
        cancel_and_end(&site, workers, cancel, 1, 2);
    });
}

/// The same for one of many.
#[test]
fn cancel_each_races_the_start() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["model: it waited", "model: cancelled", "model: it ran"],
    };
    explore("cancel_each_races_the_start", plan, || {
        let (site, start) = site(1, |_, _, _| {});
        submit(&site, 0);
        let workers: Workers<1> = start();
        // The second is not submitted yet, and will run.
        let cancel = |engine: &Engine<u64>| engine.cancel_each([0, 1].into_iter());
        cancel_and_end(&site, workers, cancel, 1, 2);
    });
}

/// A cancellation that comes while the job runs leaves nothing behind when it has ended,
/// though the crew is never idle.
#[test]
fn late_word_goes_with_its_job() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 20,
        events: &["model: late"],
    };
    explore("late_word_goes_with_its_job", plan, || {
        let (site, start) = site(1, |site, job, _| {
            site.done.unpark();
            site.signals[job as usize - 1].park(WATCH);
        });
        // A first word, so that the worker looks at the table at all.
        site.board.write(7);
        submit(&site, 0);
        site.engine.cancel(0).unwrap();
        let [worker]: Workers<1> = start();
        submit(&site, 1);
        assert!(site.done.park(WATCH));
        site.engine.cancel(1).unwrap();
        assert!(site.engine.has_recall(1));
        visit("model: late");
        submit(&site, 2);
        site.signals[0].unpark();
        assert!(site.done.park(WATCH));
        assert!(!site.engine.has_recall(1), "it has ended");
        site.signals[1].unpark();
        site.engine.close();
        assert_eq!(worker.join().unwrap(), Exit::Drained);
    });
}

/// A cancellation that comes after the job's end is forgotten when the crew rests.
#[test]
fn resting_worker_forgets_late_words() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 20,
        events: &["model: late"],
    };
    explore("resting_worker_forgets_late_words", plan, || {
        let (site, start) = site(1, |_, _, _| {});
        submit(&site, 0);
        let workers: Workers<1> = start();
        assert!(site.engine.wait_until_idle(None));
        site.engine.cancel(0).unwrap();
        if site.engine.has_recall(0) {
            visit("model: late");
        }
        submit(&site, 1);
        close_and_join(&site, workers, 2);
        assert!(!site.engine.has_recall(0));
    });
}

/// The table is full of words of jobs that have ended, and no worker is there to clear
/// them: who finds no place does it. (Nobody works here.)
#[test]
fn canceller_makes_itself_a_place() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 1,
        events: &["model: three cancelled"],
    };
    explore("canceller_makes_itself_a_place", plan, || {
        let (site, _start) = site::<1, _>(1, |_, _, _| {});
        for job in 0..3 {
            submit(&site, job);
            assert_eq!(site.engine.drain(Fate::Returned).len(), 1);
        }
        assert!(!site.engine.leave(0), "somebody joins the crew");
        // A line has two words.
        for index in 0..3 {
            assert_eq!(site.engine.cancel(index), Ok(()));
        }
        visit("model: three cancelled");
    });
}

/// A job that does not count as started after it was cancelled is never started.
#[test]
fn cancel_races_the_count() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["model: it had not started", "model: it ran"],
    };
    explore("cancel_races_the_count", plan, || {
        let (site, start) = site(1, |_, _, _| {});
        submit(&site, 0);
        let [worker]: Workers<1> = start();
        site.board.write(7);
        assert_eq!(site.engine.cancel(0), Ok(()));
        let started = site.engine.totals().started;
        site.engine.close();
        assert_eq!(worker.join().unwrap(), Exit::Drained);
        let ran = site.ended.load(Ordering::Relaxed) != 0;
        if started == 0 {
            visit("model: it had not started");
            assert!(!ran, "it counted as queued, and yet it ran");
        } else if ran {
            visit("model: it ran");
        }
    });
}

/// The same when all jobs are cancelled; the one that fills the queue afterwards runs.
#[test]
fn cancel_all_races_the_start() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["model: it waited", "model: cancelled", "model: it ran"],
    };
    explore("cancel_all_races_the_start", plan, || {
        let (site, start) = site(1, |_, _, _| {});
        submit(&site, 0);
        let workers: Workers<1> = start();
        let cancel = |engine: &Engine<u64>| assert_eq!(engine.cancel_all(), Ok(1));
        cancel_and_end(&site, workers, cancel, 1, 2);
    });
}

/// A follow-up that has not started when all are cancelled never is, even if it is pushed
/// later; and a job that asks sees what the canceller did before.
#[test]
fn cancel_all_races_a_follow_up() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "model: it had not started",
            "model: its ancestor asked",
            "model: all ran",
        ],
    };
    explore("cancel_all_races_a_follow_up", plan, || {
        let (site, start) = site(1, |site, job, desk| {
            if desk.is_cancelled() {
                visit("model: its ancestor asked");
                assert_eq!(site.board.read(), 7);
            }
            if job == 0 {
                desk.push(1);
            }
        });
        submit(&site, 0);
        let [worker]: Workers<1> = start();
        site.board.write(7);
        assert_eq!(site.engine.cancel_all(), Ok(1));
        let started = site.engine.totals().started;
        site.engine.close();
        assert_eq!(worker.join().unwrap(), Exit::Drained);
        let ran = site.ended.load(Ordering::Relaxed);
        let dropped = site.cancelled.load(Ordering::Relaxed);
        // Neither, or the ancestor, or both.
        assert!([(0, 0b01), (0b01, 0b10), (0b11, 0)].contains(&(ran, dropped)));
        if started < 2 {
            visit("model: it had not started");
            assert_ne!(ran, 0b11, "it had not started, and yet it ran");
        } else if ran == 0b11 {
            visit("model: all ran");
        }
        let totals = site.engine.totals();
        assert_eq!(totals.accepted, totals.completed + totals.recalled);
    });
}

/// The same for a job in a worker's deque. One worker keeps the order, so if the queue of
/// two is full after the cancellation, job 1 is among those that wait.
#[test]
fn cancel_races_the_start_from_a_deque() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "engine: taken from a deque, room not yet counted",
            "model: it waited",
            "model: cancelled",
            "model: it ran",
        ],
    };
    explore("cancel_races_the_start_from_a_deque", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        submit(&site, 0);
        submit(&site, 1);
        let workers: Workers<1> = start();
        let cancel = |engine: &Engine<u64>| engine.cancel(1).unwrap();
        cancel_and_end(&site, workers, cancel, 2, 4);
    });
}

/// What a claim takes beyond the first job still waits: while job 0 runs, two others may.
#[test]
fn deferred_jobs_wait_too() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["engine claim: claimed, batch not published", "model: full"],
    };
    explore("deferred_jobs_wait_too", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 0 {
                site.signals[0].park(WATCH);
            }
        });
        submit(&site, 0);
        submit(&site, 1);
        let workers: Workers<1> = start();
        let mut accepted = 2;
        for _ in 0..2 {
            match site.engine.try_submit(accepted) {
                Ok(_) => accepted += 1,
                Err(Rejected::Full(_)) => visit("model: full"),
                Err(Rejected::Closed(_)) => unreachable!(),
            }
        }
        assert!(accepted <= 3, "three wait");
        site.signals[0].unpark();
        close_and_join(&site, workers, accepted);
    });
}

/// A claim announces that it defers a job, and finds that the other place is a lost
/// submitter's. Then nothing is deferred: while job 0 runs, two others may wait.
#[test]
fn place_that_was_passed_over_is_free() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 20,
        events: &["injector pop: claimed, not poisoned"],
    };
    explore("place_that_was_passed_over_is_free", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 0 {
                site.done.unpark();
                site.signals[0].park(WATCH);
            }
        });
        site.engine.claim_and_leave();
        submit(&site, 0);
        let workers: Workers<1> = start();
        assert!(site.done.park(WATCH));
        for job in 1..=2 {
            assert!(site.engine.try_submit(job).is_ok(), "one runs, {job} wait");
        }
        site.signals[0].unpark();
        close_and_join(&site, workers, 3);
    });
}

/// Somebody who has seen nothing else asks for the sums while a job is accepted and run.
#[test]
fn sums_race_a_submission() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["model: started"],
    };
    explore("sums_race_a_submission", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        let asks = thread::spawn({
            let site = Arc::clone(&site);
            move || {
                let totals = site.engine.totals();
                assert!(totals.accepted >= totals.started, "{totals:?}");
                assert!(totals.started >= totals.completed, "{totals:?}");
                if totals.started > 0 {
                    visit("model: started");
                }
            }
        });
        let workers: Workers<1> = start();
        submit(&site, 0);
        asks.join().unwrap();
        close_and_join(&site, workers, 1);
    });
}

/// As the one before, while a place is passed over: its submitter was overtaken by the
/// other and comes again. (Nobody works here.)
#[test]
fn sums_race_a_skipped_place() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["injector push: poisoned", "model: none"],
    };
    explore("sums_race_a_skipped_place", plan, || {
        let (site, _start) = site::<1, _>(4, |_, _, _| {});
        let spawn = |act: fn(&Site)| {
            let site = Arc::clone(&site);
            thread::spawn(move || act(&site))
        };
        let others = [
            spawn(|site| {
                assert!(site.engine.try_submit(1).is_ok());
                drop(site.engine.drain(Fate::Returned));
            }),
            spawn(|site| {
                let totals = site.engine.totals();
                if totals.accepted == 0 {
                    visit("model: none");
                }
                assert!(totals.accepted <= 3, "{totals:?}");
            }),
        ];
        assert!(site.engine.try_submit(0).is_ok());
        let _ = others.map(|other| other.join().unwrap());
        assert_eq!(site.engine.totals().accepted, 2);
    });
}

/// As the ones before, while queued jobs are taken back, in both ways. (Nobody works here.)
#[test]
fn sums_race_the_drain() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 10,
        events: &["model: some out", "model: some in"],
    };
    explore("sums_race_the_drain", plan, || {
        let (site, _start) = site::<1, _>(2, |_, _, _| {});
        let asks = thread::spawn({
            let site = Arc::clone(&site);
            move || {
                let totals = site.engine.totals();
                let out = totals.left + totals.returned;
                assert!(totals.accepted >= out, "{totals:?}");
                visit(match out {
                    0 => "model: some in",
                    _ => "model: some out",
                });
            }
        });
        for fate in [Fate::Cancelled, Fate::Returned] {
            assert!(site.engine.try_submit(0).is_ok());
            assert_eq!(site.engine.drain(fate).len(), 1);
        }
        asks.join().unwrap();
    });
}

/// As `submit_races_park`, with a batch.
#[test]
fn batch_races_park() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &[
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("batch_races_park", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 1 {
                site.done.unpark();
            }
        });
        let workers: Workers<1> = start();
        site.engine
            .submit_batch(&mut [Some(0.into()), Some(1.into())])
            .unwrap();
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 2);
    });
}

/// The only place is a submitter's that never fills it. Whoever finds it taken makes the
/// worker pass it over.
pub(super) fn place_of_a_lost_submitter(name: &str, bound: Bound, submit: fn(&Site)) {
    let plan = Plan {
        bound,
        floor: 10,
        events: &[
            "injector contest: asked, crew not told",
            "idle sleep: announced, not looked",
        ],
    };
    explore(name, plan, move || {
        let (site, start) = site(1, |_, _, _| {});
        site.engine.claim_and_leave();
        let workers: Workers<1> = start();
        submit(&site);
        close_and_join(&site, workers, 1);
    });
}

#[test]
fn submit_passes_a_lost_submitter() {
    let bound = Bound::Preemptions(1);
    place_of_a_lost_submitter("submit_passes_a_lost_submitter", bound, |site| {
        submit(site, 0);
    });
}

#[test]
fn batch_passes_a_lost_submitter() {
    let bound = Bound::Preemptions(1);
    place_of_a_lost_submitter("batch_passes_a_lost_submitter", bound, |site| {
        site.engine.submit_batch(&mut [Some(0.into())]).unwrap();
    });
}

/// The only place is a submitter's that never fills it, and it counts as a job until the worker
/// passes it over, which finds no other: who waits for idleness is told all the same.
#[test]
fn idle_waiter_is_told_of_a_place_passed_over() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["injector pop: poisoned", "gate wait: permit taken"],
    };
    explore("idle_waiter_is_told_of_a_place_passed_over", plan, || {
        let (site, start) = site(1, |_, _, _| {});
        site.engine.claim_and_leave();
        let workers: Workers<1> = start();
        // It does not come again.
        let refused = site.engine.try_submit(0);
        assert!(matches!(refused, Err(Rejected::Full(0))));
        assert!(site.engine.wait_until_idle(None));
        close_and_join(&site, workers, 0);
    });
}

/// Nobody joins the crew, so its last worker takes care of what is left: one does, and it
/// sees what the other did.
#[test]
fn last_of_an_abandoned_crew() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 2,
        events: &[
            "model: the first is the last",
            "model: the second is the last",
        ],
    };
    explore("last_of_an_abandoned_crew", plan, || {
        let (site, _start) = site::<2, _>(1, |_, _, _| {});
        let boards = Arc::new([Board::new(), Board::new()]);
        site.engine.abandon();
        let workers = [0, 1].map(|id| {
            let (site, boards) = (Arc::clone(&site), Arc::clone(&boards));
            thread::spawn(move || {
                boards[id].write(1);
                let last = site.engine.leave(id);
                if last {
                    assert_eq!([boards[0].read(), boards[1].read()], [1, 1]);
                }
                last
            })
        });
        match workers.map(|worker| worker.join().unwrap()) {
            [true, false] => visit("model: the first is the last"),
            [false, true] => visit("model: the second is the last"),
            last => panic!("{last:?}"),
        }
    });
}

/// A job that waits when the engine is halted is left where it is, by a worker that has
/// the time to take it.
#[test]
fn halted_worker_takes_nothing() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 1,
        events: &["model: left"],
    };
    explore("halted_worker_takes_nothing", plan, || {
        let (site, start) = site(1, |_, _, _| {});
        submit(&site, 0);
        site.engine.halt();
        let workers: Workers<1> = start();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), Exit::Halted);
        }
        assert_eq!(site.begun.load(Ordering::Relaxed), 0);
        assert_eq!(site.engine.drain(Fate::Returned).len(), 1);
        visit("model: left");
    });
}

/// A job sends another to the other worker, and waits for it. If there is a `searcher`, it does
/// not come to look meanwhile.
fn errand_for_the_other_worker(name: &str, searcher: bool, bound: Bound) {
    let plan = Plan {
        bound,
        floor: 10,
        events: &[
            "errand: seen at the last look",
            "idle wake_all: chosen, not woken",
        ],
    };
    explore(name, plan, move || {
        let (site, start) = site(2, |site, job, desk| {
            let own = desk.worker();
            if job == 0 {
                site.board.write(own as u64);
                site.engine.send_each(own, [(1 - own, 1)]);
                site.signals[0].park(WATCH);
                site.done.unpark();
            } else {
                assert_eq!(site.board.read(), 1 - own as u64);
                site.signals[0].unpark();
            }
        });
        let searcher = searcher.then(|| site.engine.search_in_vain());
        submit(&site, 0);
        let workers: Workers<2> = start();
        // The close would wake everybody.
        assert!(site.done.park(WATCH));
        let _ = searcher.map(|comes_back| comes_back());
        close_and_join(&site, workers, 2);
    });
}

#[test]
fn errand_races_park() {
    errand_for_the_other_worker("errand_races_park", false, Bound::Preemptions(1));
}

/// Whoever is woken in its place, or spared the wake, cannot run it.
#[test]
fn errand_meets_a_lost_searcher() {
    let bound = Bound::Preemptions(0);
    errand_for_the_other_worker("errand_meets_a_lost_searcher", true, bound);
}

/// As a thief, a worker whose errand takes long does not count as searching: job 2 wakes the
/// other one, which sleeps by then.
#[test]
fn worker_with_an_errand_no_longer_searches() {
    let plan = Plan {
        bound: Bound::Preemptions(0),
        floor: 20,
        events: &[
            "idle wake_all: chosen, not woken",
            "idle wake: chosen, not woken",
        ],
    };
    explore("worker_with_an_errand_no_longer_searches", plan, || {
        let (site, start) = site(2, |site, job, desk| {
            let own = desk.worker();
            match job {
                0 => site.engine.send_each(own, [(1 - own, 1)]),
                1 => {
                    site.done.unpark();
                    site.signals[0].park(WATCH);
                }
                _ => site.signals[0].unpark(),
            }
        });
        submit(&site, 0);
        let workers: Workers<2> = start();
        assert!(site.done.park(WATCH));
        submit(&site, 2);
        close_and_join(&site, workers, 3);
    });
}
