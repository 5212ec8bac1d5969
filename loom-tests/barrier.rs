//! Models of [`crate::sync::barrier::modes`]. What is stored before a half is `Relaxed`: what orders
//! it is the pair.

use super::explore::{Bound, Plan, explore};
use crate::probe::visit;
use crate::sync::barrier::modes::{Half, Modes};
use crate::sync::{Arc, AtomicBool, Ordering, thread};

/// Two threads, each of which stores, passes its half, and looks for the other's store.
struct Pair {
    modes: Modes,
    light: AtomicBool,
    heavy: AtomicBool,
}

impl Pair {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            modes: Modes::asymmetric(),
            light: AtomicBool::new(false),
            heavy: AtomicBool::new(false),
        })
    }

    /// What its half was, and whether it sees the other.
    fn pass_light(&self) -> (Half, bool) {
        self.light.store(true, Ordering::Relaxed);
        let half = self.modes.light();
        (half, self.heavy.load(Ordering::Relaxed))
    }

    fn pass_heavy(&self) -> (Half, bool) {
        self.heavy.store(true, Ordering::Relaxed);
        let half = self.modes.try_heavy().unwrap();
        (half, self.light.load(Ordering::Relaxed))
    }
}

/// At least one sees the other, whatever mode each of them has found.
fn check(light: (Half, bool), heavy: (Half, bool)) {
    assert!(
        light.1 || heavy.1,
        "{light:?} and {heavy:?} passed each other"
    );
    match (light.0, heavy.0) {
        (Half::Asymmetric, Half::Fence) => visit("model: no half meets a fence"),
        (Half::Fence, Half::Fence) => visit("model: two fences"),
        (Half::Fence, Half::Asymmetric) => visit("model: fence meets interrupt"),
        (Half::Asymmetric, Half::Asymmetric) => {}
    }
}

/// A light half, a heavy half, and a third thread that changes the mode.
fn race(pair: Arc<Pair>, change: impl FnOnce(&Modes) + 'static) {
    let light = {
        let pair = Arc::clone(&pair);
        thread::spawn(move || pair.pass_light())
    };
    let changes = {
        let pair = Arc::clone(&pair);
        thread::spawn(move || change(&pair.modes))
    };
    let heavy = pair.pass_heavy();
    check(light.join().unwrap(), heavy);
    changes.join().unwrap();
}

#[test]
fn bare_half_races_the_fences() {
    let plan = Plan {
        bound: Bound::Preemptions(4),
        floor: 500,
        events: &["model: no half meets a fence", "model: two fences"],
    };
    explore("bare_half_races_the_fences", plan, || {
        race(Pair::new(), Modes::begin_fences);
    });
}

#[test]
fn fenced_half_races_their_end() {
    let plan = Plan {
        bound: Bound::Preemptions(4),
        floor: 500,
        events: &[
            "model: no half meets a fence",
            "model: fence meets interrupt",
        ],
    };
    explore("fenced_half_races_their_end", plan, || {
        let pair = Pair::new();
        pair.modes.begin_fences();
        race(pair, Modes::end_fences);
    });
}

/// Who began the change is suspended. Another heavy half finishes it, and the next one is a fence.
#[test]
fn heavy_half_finishes_a_change() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["model: no half meets a fence", "model: two fences"],
    };
    explore("heavy_half_finishes_a_change", plan, || {
        race(Pair::new(), |modes| {
            modes.begin_and_leave();
            let _ = modes.try_heavy().unwrap();
        });
    });
}

/// The modes go round between the two halves, whichever comes first.
#[test]
fn modes_go_round_between_two_halves() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &["model: no half meets a fence", "model: two fences"],
    };
    explore("modes_go_round_between_two_halves", plan, || {
        race(Pair::new(), |modes| {
            modes.begin_fences();
            modes.end_fences();
            modes.begin_fences();
        });
    });
}
