//! Models of [`crate::gate`]. Events are stored `Relaxed`: what orders them is the
//! gate. One that nobody is woken for shows as a deadlock.

use super::explore::{Bound, Plan, explore};
use crate::gate::Gate;
use crate::probe::{hits, visit};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering, thread};
use std::time::Instant;

/// A gate, and a number of places behind it.
pub(super) struct Hall {
    pub(super) gate: Gate,
    places: AtomicUsize,
    pub(super) open: AtomicBool,
}

impl Hall {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(),
            places: AtomicUsize::new(0),
            open: AtomicBool::new(false),
        })
    }

    pub(super) fn free(&self, places: usize) {
        // By one writer; the takers' read-modify-writes come later or are seen.
        self.places.fetch_add(places, Ordering::Relaxed);
        self.gate.notify(places);
    }

    /// Takes a place, if one is seen. (A mere read-modify-write would always see
    /// the newest value, and hide a missing barrier.)
    pub(super) fn enter(&self) -> Option<()> {
        let mut seen = self.places.load(Ordering::Relaxed);
        while seen > 0 {
            match self
                .places
                .compare_exchange(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some(()),
                Err(now) => seen = now,
            }
        }
        None
    }
}

#[test]
fn notify_races_the_last_look() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 50,
        events: &[
            "gate wait: looked, not asleep",
            "gate notify: permit left, nobody woken yet",
        ],
    };
    explore("notify_races_the_last_look", plan, || {
        let hall = Hall::new();
        let waiter = thread::spawn({
            let hall = Arc::clone(&hall);
            move || hall.gate.wait(None, || hall.enter())
        });
        hall.free(1);
        assert_eq!(waiter.join().unwrap(), Some(()));
        assert_eq!(hall.gate.waiting(), 0);
    });
}

/// Two waiters, and a place for each, by two calls.
#[test]
fn each_event_wakes_one() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1000,
        events: &["gate wait: permit taken", "gate wait: looked, not asleep"],
    };
    explore("each_event_wakes_one", plan, || {
        let hall = Hall::new();
        let waiters = [(); 2].map(|()| {
            let hall = Arc::clone(&hall);
            thread::spawn(move || hall.gate.wait(None, || hall.enter()))
        });
        hall.free(1);
        hall.free(1);
        let _ = waiters.map(|waiter| assert_eq!(waiter.join().unwrap(), Some(())));
        assert_eq!(hall.gate.waiting(), 0);
    });
}

/// Two waiters, and a place for each, by one call.
#[test]
fn one_call_brings_two_events() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &["gate wait: permit taken", "gate wait: looked, not asleep"],
    };
    explore("one_call_brings_two_events", plan, || {
        let hall = Hall::new();
        let waiters = [(); 2].map(|()| {
            let hall = Arc::clone(&hall);
            thread::spawn(move || hall.gate.wait(None, || hall.enter()))
        });
        hall.free(2);
        let _ = waiters.map(|waiter| assert_eq!(waiter.join().unwrap(), Some(())));
    });
}

/// What makes all go on, as closing does.
#[test]
fn notify_all_races_two_waiters() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 1_000,
        events: &["gate wait: permit taken", "gate wait: looked, not asleep"],
    };
    explore("notify_all_races_two_waiters", plan, || {
        let hall = Hall::new();
        let waiters = [(); 2].map(|()| {
            let hall = Arc::clone(&hall);
            thread::spawn(move || {
                hall.gate
                    .wait(None, || hall.open.load(Ordering::Relaxed).then_some(()))
            })
        });
        hall.open.store(true, Ordering::Relaxed);
        hall.gate.notify_all();
        let _ = waiters.map(|waiter| assert_eq!(waiter.join().unwrap(), Some(())));
        assert_eq!(hall.gate.waiting(), 0);
    });
}

/// A waiter whose time is up may have the only permit, or have eaten the wake that
/// was meant for the other. The event must not go with it.
#[test]
fn late_waiter_passes_the_wake_on() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &["model: time is up", "gate wait: permit taken"],
    };
    explore("late_waiter_passes_the_wake_on", plan, || {
        let hall = Hall::new();
        let late = thread::spawn({
            let hall = Arc::clone(&hall);
            move || {
                let past = Instant::now();
                let found = hall.gate.wait(Some(past), || hall.enter());
                match found {
                    // It was not for us.
                    Some(()) => hall.free(1),
                    None => visit("model: time is up"),
                }
            }
        });
        let waiter = thread::spawn({
            let hall = Arc::clone(&hall);
            move || hall.gate.wait(None, || hall.enter())
        });
        hall.free(1);
        late.join().unwrap();
        assert_eq!(waiter.join().unwrap(), Some(()));
        assert_eq!(hall.gate.waiting(), 0);
    });
}

/// As the one before, and the clock also wakes whoever sleeps.
#[test]
fn clock_races_the_permit() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &["gate wait: permit taken", "gate wait: found by the clock"],
    };
    explore("clock_races_the_permit", plan, || {
        let hall = Hall::new();
        let waiters = [(); 2].map(|()| {
            let hall = Arc::clone(&hall);
            thread::spawn(move || hall.gate.wait(None, || hall.enter()))
        });
        let clock = thread::spawn({
            let hall = Arc::clone(&hall);
            move || hall.gate.disturb()
        });
        hall.free(1);
        hall.free(1);
        let _ = waiters.map(|waiter| assert_eq!(waiter.join().unwrap(), Some(())));
        clock.join().unwrap();
        assert_eq!(hall.gate.waiting(), 0);
    });
}

/// A waiter whose time is up as soon as it has looked. If the notifier saw it and left it
/// a permit, that vanishes when it leaves, and then its last look must find the event.
#[test]
fn last_look_sees_the_permits_event() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["model: permit left", "model: time is up"],
    };
    explore("last_look_sees_the_permits_event", plan, || {
        let hall = Hall::new();
        let late = thread::spawn({
            let hall = Arc::clone(&hall);
            move || hall.gate.wait(Some(Instant::now()), || hall.enter())
        });
        let permits = || hits("gate notify: permit left, nobody woken yet");
        let before = permits();
        hall.free(1);
        let seen = permits() > before;
        if seen {
            visit("model: permit left");
        }
        match late.join().unwrap() {
            Some(()) => {}
            None => {
                visit("model: time is up");
                assert!(!seen, "the permit and its event are lost");
            }
        }
    });
}

/// An event that nobody tells of, which [`crate::sync::WATCH`] is for.
#[test]
fn clock_finds_an_untold_event() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["gate wait: found by the clock"],
    };
    explore("clock_finds_an_untold_event", plan, || {
        let hall = Hall::new();
        let waiter = thread::spawn({
            let hall = Arc::clone(&hall);
            move || hall.gate.wait(None, || hall.enter())
        });
        hall.places.store(1, Ordering::Relaxed);
        hall.gate.disturb();
        assert_eq!(waiter.join().unwrap(), Some(()));
        assert_eq!(hall.gate.waiting(), 0);
    });
}
