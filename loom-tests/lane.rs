//! Models of [`crate::engine::Lane`]. A lane reserves one place beside the one that it fills.

use super::engine::{Site, Workers, close_and_join, place_of_a_lost_submitter, site, submit};
use super::explore::{Bound, Plan, explore};
use crate::engine::{Exit, Fate, Lane};
use crate::injector::Rejected;
use crate::probe::visit;
use crate::sync::{Arc, WATCH, thread};
// std's, on purpose: it counts what really happens in the execution, and orders nothing.
use std::sync::atomic::Ordering;

/// Submits a job, and reserves the next place.
fn lane_after(site: &Site, job: u64) -> Lane {
    let mut lane = Lane::default();
    let submitted = site.engine.try_submit_in(&mut lane, job);
    submitted.expect("there is room");
    lane
}

/// A job in a reserved place wakes a worker that is about to sleep.
#[test]
fn lane_push_races_the_last_searcher() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &[
            "engine lane: published, crew not told",
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("lane_push_races_the_last_searcher", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 1 {
                site.done.unpark();
            }
        });
        let mut lane = lane_after(&site, 0);
        assert_eq!(lane.len(), 1);
        let workers: Workers<1> = start();
        site.engine
            .submit_in(&mut lane, 1, None)
            .expect("it is open");
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 2);
    });
}

/// So does the job that reserves.
#[test]
fn reserving_push_races_the_last_searcher() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &[
            "engine lane: reserved, nobody told",
            "idle sleep: work at the last look",
            "idle wake: chosen, not woken",
        ],
    };
    explore("reserving_push_races_the_last_searcher", plan, || {
        let (site, start) = site(2, |site, _, _| site.done.unpark());
        let workers: Workers<1> = start();
        lane_after(&site, 0);
        assert!(site.done.park(WATCH));
        close_and_join(&site, workers, 1);
    });
}

/// A place that was reserved before all jobs were cancelled is not used afterwards: there a new
/// job would be taken for one of those.
#[test]
fn job_after_cancel_all_is_not_recalled() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["model: it ran", "injector pop: poisoned"],
    };
    explore("job_after_cancel_all_is_not_recalled", plan, || {
        let (site, start) = site(2, |_, job, _| {
            if job == 1 {
                visit("model: it ran");
            }
        });
        let mut lane = lane_after(&site, 0);
        site.board.write(7);
        site.engine.cancel_all().expect("it is open");
        let workers: Workers<1> = start();
        site.engine
            .submit_in(&mut lane, 1, None)
            .expect("it is open");
        site.engine.close();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), Exit::Drained);
        }
        let ran = site.ended.load(Ordering::Relaxed);
        assert_eq!(ran & 0b10, 0b10, "it was cancelled before it was submitted");
    });
}

/// A submission into a reserved place races the close: it runs or comes back, and the crew
/// ends.
#[test]
fn lane_push_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &[
            "model: rejected",
            "model: accepted",
            "injector pop: poisoned",
        ],
    };
    explore("lane_push_races_close", plan, || {
        let (site, start) = site(2, |_, _, _| {});
        let mut lane = lane_after(&site, 0);
        let workers: Workers<1> = start();
        let submitter = thread::spawn({
            let site = Arc::clone(&site);
            move || match site.engine.try_submit_in(&mut lane, 1) {
                Ok(index) => {
                    visit("model: accepted");
                    assert_eq!(index, 1);
                    0b11
                }
                Err(Rejected::Closed(job)) => {
                    visit("model: rejected");
                    assert_eq!(job, 1);
                    0b01
                }
                Err(Rejected::Full(_)) => panic!("there is room"),
            }
        });
        site.engine.close();
        let accepted = submitter.join().unwrap();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), Exit::Drained);
        }
        assert_eq!(site.ended.load(Ordering::Relaxed), accepted);
        assert!(site.engine.drain(Fate::Returned).is_empty());
    });
}

/// Two places, three jobs, and nobody works: two are accepted, whoever is first.
#[test]
fn reserved_places_are_no_more_than_the_capacity() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &["model: full", "injector reclaim: looked, not taken back"],
    };
    explore(
        "reserved_places_are_no_more_than_the_capacity",
        plan,
        || {
            let (site, _) = site::<1, _>(2, |_, _, _| {});
            let other = thread::spawn({
                let site = Arc::clone(&site);
                move || u64::from(site.engine.try_submit(2).is_ok())
            });
            let mut lane = Lane::default();
            let own = (0..2).filter(|&job| match site.engine.try_submit_in(&mut lane, job) {
                Ok(_) => true,
                Err(_) => {
                    visit("model: full");
                    false
                }
            });
            let own = own.count() as u64;
            assert_eq!(own + other.join().unwrap(), 2);
            site.engine.leave_lane(&mut lane);
            let queued = site.engine.totals().queued();
            assert_eq!(queued, 2);
            site.engine.close();
            assert_eq!(site.engine.drain(Fate::Returned).len(), 2);
        },
    );
}

/// A submitter waits for room while another has reserved what is left, and goes away. (Nobody
/// works here.)
#[test]
fn blocked_submitter_gets_the_reserved_place() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &[
            "gate wait: permit taken",
            "injector reclaim: looked, not taken back",
        ],
    };
    explore("blocked_submitter_gets_the_reserved_place", plan, || {
        let (site, _) = site::<1, _>(2, |_, _, _| {});
        let other = thread::spawn({
            let site = Arc::clone(&site);
            move || submit(&site, 1)
        });
        let _forgotten = lane_after(&site, 0);
        other.join().unwrap();
        assert_eq!(site.engine.drain(Fate::Returned).len(), 2);
    });
}

#[test]
fn lane_passes_a_lost_submitter() {
    let bound = Bound::Preemptions(0);
    place_of_a_lost_submitter("lane_passes_a_lost_submitter", bound, |site| {
        let submitted = site.engine.submit_in(&mut Lane::default(), 0, None);
        submitted.expect("it is open");
    });
}

/// A lane is left, or forgotten, while its job is taken: what others submit behind it runs, the
/// pool comes to rest, and the numbers are right.
#[test]
fn lane_ends_beside_a_worker() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &[
            "injector leave: left, not counted",
            "injector pop: poisoned",
        ],
    };
    explore("lane_ends_beside_a_worker", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 1 {
                site.done.unpark();
            }
        });
        let mut lane = lane_after(&site, 0);
        let workers: Workers<1> = start();
        let owner = thread::spawn({
            let site = Arc::clone(&site);
            move || {
                site.engine.leave_lane(&mut lane);
                assert_eq!(lane.len(), 0);
            }
        });
        submit(&site, 1);
        assert!(site.done.park(WATCH));
        owner.join().unwrap();
        close_and_join(&site, workers, 2);
    });
}

/// A worker that has found the pool idle forgets what was cancelled too late, while a job is
/// submitted into a place that was reserved before, and cancelled.
#[test]
fn cancel_in_a_lane_races_the_sweep() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["model: it had not begun"],
    };
    explore("cancel_in_a_lane_races_the_sweep", plan, || {
        let (site, start) = site(2, |site, job, _| {
            if job == 0 {
                site.done.unpark();
            }
        });
        site.board.write(7);
        let mut lane = lane_after(&site, 0);
        let workers: Workers<1> = start();
        assert!(site.done.park(WATCH));
        // Too late.
        site.engine.cancel(0).expect("there is room");
        let index = site
            .engine
            .submit_in(&mut lane, 1, None)
            .expect("it is open");
        site.engine.cancel(index).expect("there is room");
        let begun = site.begun.load(Ordering::Relaxed);
        site.engine.close();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), Exit::Drained);
        }
        if begun == 1 {
            visit("model: it had not begun");
            assert_eq!(site.begun.load(Ordering::Relaxed), 1, "it was cancelled");
        }
    });
}
