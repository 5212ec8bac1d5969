//! Models of [`crate::worker_pool`]'s outbox, through [`Results`]. Rings have two slots.

use super::explore::{Bound, Plan, explore};
use super::parcel::Parcel;
use crate::engine::{Origin, Recalls};
use crate::probe::visit;
use crate::sync::{Arc, AtomicBool, Ordering, thread};
use crate::worker_pool::outbox::{Outbox, Outlet};
use crate::{JobError, Outcome, Results};
use crossbeam_utils::CachePadded;
use std::cell::Cell;

pub(super) type Shared = Arc<Outbox<Parcel>>;

pub(super) fn outbox<const WORKERS: usize>(
    capacity: usize,
) -> (Shared, [Outlet<Parcel>; WORKERS], Results<Parcel>) {
    let (outbox, outlets) = Outbox::new(WORKERS, capacity);
    let outbox = Arc::new(outbox);
    let results = Results::new(
        Arc::clone(&outbox),
        Arc::new(CachePadded::new(Recalls::new(1))),
    );
    (outbox, outlets.try_into().unwrap(), results)
}

pub(super) fn deliver(outbox: &Shared, outlet: &mut Outlet<Parcel>, number: u64) {
    outlet.deliver(
        outbox,
        Origin::submitted(number),
        Parcel::new(number),
        0,
        || false,
    );
}

/// Delivers, but does not wait for room. Returns whether it would have.
fn deliver_in_a_hurry(outbox: &Shared, outlet: &mut Outlet<Parcel>, number: u64) -> bool {
    let waits = Cell::new(false);
    let origin = Origin::submitted(number);
    outlet.deliver(outbox, origin, Parcel::new(number), 0, || {
        waits.set(true);
        true
    });
    waits.get()
}

/// A worker that delivers `numbers`.
fn spawn_worker<const N: usize>(
    outbox: &Shared,
    mut outlet: Outlet<Parcel>,
    numbers: [u64; N],
) -> thread::JoinHandle<()> {
    let outbox = Arc::clone(outbox);
    thread::spawn(move || {
        for number in numbers {
            deliver(&outbox, &mut outlet, number);
        }
    })
}

fn try_recv(results: &mut Results<Parcel>) -> Option<u64> {
    results
        .try_recv()
        .ok()
        .map(|outcome| outcome.result.unwrap().open())
}

fn recv(results: &mut Results<Parcel>) -> u64 {
    results
        .recv()
        .expect("it has not ended")
        .result
        .unwrap()
        .open()
}

#[test]
fn result_races_a_sleeping_taker() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["gate wait: looked, not asleep", "gate wait: permit taken"],
    };
    explore("result_races_a_sleeping_taker", plan, || {
        let (outbox, [outlet], mut results) = outbox(2);
        let worker = spawn_worker(&outbox, outlet, [1]);
        assert_eq!(recv(&mut results), 1);
        worker.join().unwrap();
    });
}

/// The taker is between its look into the ring and its look at the spill queue, while
/// the worker goes back to the ring and spills again.
#[test]
fn spilled_results_keep_order() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &[
            "outbox take: ring empty, spill not looked at",
            "outbox deliver: spills",
        ],
    };
    explore("spilled_results_keep_order", plan, || {
        let (outbox, [mut outlet], mut results) = outbox(8);
        // Two in the ring, one spilled; all taken, and still spilling.
        for number in 1..=3 {
            deliver(&outbox, &mut outlet, number);
        }
        for number in 1..=3 {
            assert_eq!(try_recv(&mut results), Some(number));
        }
        let worker = spawn_worker(&outbox, outlet, [4, 5, 6]);
        let mut taken: Vec<_> = (0..2).filter_map(|_| try_recv(&mut results)).collect();
        worker.join().unwrap();
        taken.extend(std::iter::from_fn(|| try_recv(&mut results)));
        assert_eq!(taken, [4, 5, 6]);
    });
}

/// Failures go past the ring. The taker is between its look into the ring and its look at
/// the spill queue, while the worker goes back to the ring and fails again.
#[test]
fn failures_keep_their_place() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "outbox take: ring empty, spill not looked at",
            "outbox deliver: spilling, not pushed",
        ],
    };
    let fail = |outbox: &Shared, outlet: &mut Outlet<Parcel>, number| {
        let origin = Origin::submitted(number);
        outlet.deliver_error(outbox, origin, JobError::Cancelled, || false);
    };
    let next = |results: &mut Results<Parcel>| {
        let outcome = results.try_recv().ok()?;
        Some(outcome.result.map_or(outcome.index, Parcel::open))
    };
    explore("failures_keep_their_place", plan, move || {
        let (outbox, [mut outlet], mut results) = outbox(8);
        fail(&outbox, &mut outlet, 1);
        assert_eq!(next(&mut results), Some(1));
        let worker = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || {
                deliver(&outbox, &mut outlet, 2);
                fail(&outbox, &mut outlet, 3);
            })
        };
        let mut taken: Vec<_> = (0..2).filter_map(|_| next(&mut results)).collect();
        worker.join().unwrap();
        taken.extend(std::iter::from_fn(|| next(&mut results)));
        assert_eq!(taken, [2, 3]);
    });
}

/// A ring that is full, and a taker in it.
#[test]
fn taker_races_the_first_spill() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "outbox take: ring empty, spill not looked at",
            "outbox deliver: spills",
        ],
    };
    explore("taker_races_the_first_spill", plan, || {
        let (outbox, [mut outlet], mut results) = outbox(8);
        deliver(&outbox, &mut outlet, 1);
        let worker = spawn_worker(&outbox, outlet, [2, 3, 4]);
        for number in 1..=4 {
            assert_eq!(recv(&mut results), number);
        }
        worker.join().unwrap();
    });
}

#[test]
fn last_result_races_the_end() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "outbox end: ended, takers not told",
            "gate wait: permit taken",
        ],
    };
    explore("last_result_races_the_end", plan, || {
        let (outbox, [mut outlet, _other], mut results) = outbox::<2>(4);
        // Brings a lease, so that no fence stands between the next result and the end.
        deliver(&outbox, &mut outlet, 0);
        assert_eq!(try_recv(&mut results), Some(0));
        let worker = thread::spawn(move || {
            deliver(&outbox, &mut outlet, 1);
            outbox.end();
        });
        let all: Vec<_> = std::iter::from_fn(|| results.next())
            .map(|outcome| outcome.result.unwrap().open())
            .collect();
        assert_eq!(all, [1]);
        worker.join().unwrap();
    });
}

/// Whoever comes later, the taker that leaves or the result, discards it; and the
/// worker does not wait for room.
#[test]
fn last_taker_races_a_result() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "outbox taker_left: left, rest not discarded",
            "outbox deliver: stored, takers not told",
            "gate wait: permit taken",
        ],
    };
    explore("last_taker_races_a_result", plan, || {
        let (outbox, [outlet], results) = outbox(0);
        let worker = spawn_worker(&outbox, outlet, [1, 2]);
        drop(results);
        worker.join().unwrap();
        assert_eq!(outbox.untaken(), 0);
    });
}

/// A taker leaves with a claimed result in its hand, the other one waits.
#[test]
fn leaving_taker_puts_back() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "outbox put_back: queued, takers not told",
            "gate wait: permit taken",
        ],
    };
    explore("leaving_taker_puts_back", plan, || {
        let (outbox, [mut outlet], mut results) = outbox(4);
        for number in 1..=2 {
            deliver(&outbox, &mut outlet, number);
        }
        // Claims both.
        assert_eq!(try_recv(&mut results), Some(1));
        let mut other = results.clone();
        let taker = thread::spawn(move || recv(&mut other));
        drop(results);
        assert_eq!(taker.join().unwrap(), 2);
    });
}

/// No result may lie in the queue, so the worker waits with each in its hand.
#[test]
fn full_outbox_races_the_taker() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &[
            "outbox take: claimed, room not told",
            "gate wait: permit taken",
        ],
    };
    explore("full_outbox_races_the_taker", plan, || {
        let (outbox, [outlet], mut results) = outbox(0);
        let worker = spawn_worker(&outbox, outlet, [1, 2]);
        assert_eq!(recv(&mut results), 1);
        assert_eq!(recv(&mut results), 2);
        worker.join().unwrap();
    });
}

/// Both workers wait, and the second result that leaves makes room for both.
#[test]
fn room_is_for_all_who_wait() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "outbox take: claimed, room not told",
            "gate wait: permit taken",
        ],
    };
    explore("room_is_for_all_who_wait", plan, || {
        let (outbox, outlets, mut results) = outbox::<2>(0);
        let mut number = 0;
        let workers = outlets.map(|outlet| {
            number += 1;
            spawn_worker(&outbox, outlet, [number])
        });
        let first = recv(&mut results);
        assert_eq!(first + recv(&mut results), 3);
        // Without any further call.
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

/// A worker that keeps a lease, since it has begun a long job, keeps nobody waiting; and
/// when it comes back its place is gone.
#[test]
fn revoked_lease_is_not_used() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 20,
        events: &[
            "outbox wait: leases revoked, not counted",
            "gate wait: looked, not asleep",
        ],
    };
    explore("revoked_lease_is_not_used", plan, || {
        let (outbox, [mut first, mut second], mut results) = outbox::<2>(2);
        deliver(&outbox, &mut first, 1);
        deliver(&outbox, &mut second, 2);
        let returned = Arc::new(AtomicBool::new(false));
        let worker = {
            let (outbox, returned) = (Arc::clone(&outbox), Arc::clone(&returned));
            thread::spawn(move || {
                deliver(&outbox, &mut first, 3);
                returned.store(true, Ordering::Release);
            })
        };
        assert!(
            !returned.load(Ordering::Acquire),
            "room for two, three lie there"
        );
        let taken: u64 = (0..3).map(|_| recv(&mut results)).sum();
        assert_eq!(taken, 6);
        worker.join().unwrap();
    });
}

/// What became of a job that no worker ended is put back by one that is no taker, while
/// the last taker leaves: one of the two discards it.
#[test]
fn put_back_races_the_last_taker() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 10,
        events: &[
            "outbox put_back: queued, takers not told",
            "outbox taker_left: left, rest not discarded",
        ],
    };
    explore("put_back_races_the_last_taker", plan, || {
        let (outbox, [_outlet], results) = outbox(1);
        let taker = thread::spawn(move || drop(results));
        outbox.put_back(Outcome {
            index: 0,
            follow_up: false,
            worker: 0,
            result: Ok(Parcel::new(1)),
        });
        taker.join().unwrap();
        assert_eq!(outbox.discarded(), 1);
    });
}

/// The ring has room for two, and the third result waits behind it. It counts all the
/// same, so the worker waits.
#[test]
fn what_was_spilled_counts() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 1,
        events: &["outbox deliver: spills", "model: waits"],
    };
    explore("what_was_spilled_counts", plan, || {
        let (outbox, [mut outlet], mut results) = outbox(2);
        for number in 1..=3 {
            let origin = Origin::submitted(number);
            let waits = Cell::new(false);
            outlet.deliver(&outbox, origin, Parcel::new(number), 0, || {
                visit("model: waits");
                waits.set(true);
                true
            });
            assert_eq!(waits.get(), number == 3);
        }
        for number in 1..=3 {
            assert_eq!(recv(&mut results), number);
        }
    });
}

/// Two workers deliver where there is room for one result, and nobody has a lease: the second
/// one waits.
#[test]
fn two_results_race_for_one_place() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["model: the first waits", "model: the second waits"],
    };
    explore("two_results_race_for_one_place", plan, || {
        let (outbox, [mut first, mut second], _results) = outbox::<2>(1);
        let worker = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || deliver_in_a_hurry(&outbox, &mut first, 1))
        };
        let second_waits = deliver_in_a_hurry(&outbox, &mut second, 2);
        let first_waits = worker.join().unwrap();
        assert_eq!(outbox.untaken(), 2);
        match (first_waits, second_waits) {
            (true, _) => visit("model: the first waits"),
            (_, true) => visit("model: the second waits"),
            _ => panic!("room for one, two lie there"),
        }
    });
}

/// A lease is taken away while its owner fills its last place: either the owner looks for
/// room after that, or who took it away counts the result.
#[test]
fn lease_is_revoked_at_its_last_use() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 20,
        events: &[
            "outbox wait: leases revoked, not counted",
            "model: one waits",
        ],
    };
    explore("lease_is_revoked_at_its_last_use", plan, || {
        let (outbox, [mut first, mut second], _results) = outbox::<2>(2);
        // Leaves the first worker a lease of one place, the last one.
        deliver(&outbox, &mut first, 1);
        let worker = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || deliver_in_a_hurry(&outbox, &mut first, 2))
        };
        let second_waits = deliver_in_a_hurry(&outbox, &mut second, 3);
        let first_waits = worker.join().unwrap();
        assert_eq!(outbox.untaken(), 3);
        assert!(first_waits || second_waits, "room for two, three lie there");
        visit("model: one waits");
    });
}

/// Two workers take a lease where there is room for one. Who counts too much gives it back,
/// and looks again after its next result.
#[test]
fn leases_race_for_the_last_place() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["outbox deliver: lease announced, not counted"],
    };
    explore("leases_race_for_the_last_place", plan, || {
        let (outbox, [mut first, mut second], _results) = outbox::<2>(3);
        let twice = |outbox: &Shared, outlet: &mut Outlet<Parcel>, numbers: [u64; 2]| {
            numbers.map(|number| deliver_in_a_hurry(outbox, outlet, number))
        };
        let worker = {
            let outbox = Arc::clone(&outbox);
            thread::spawn(move || twice(&outbox, &mut first, [1, 2]))
        };
        let second_waits = twice(&outbox, &mut second, [3, 4]);
        let first_waits = worker.join().unwrap();
        assert_eq!(outbox.untaken(), 4);
        assert!(
            first_waits[1] || second_waits[1],
            "room for three, four lie there"
        );
    });
}
