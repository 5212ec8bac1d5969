//! Models of [`crate::parker`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::parker::Parker;
use crate::sync::{Arc, AtomicBool, Ordering, WATCH, thread};

#[test]
fn unpark_then_park_sees() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["parker: about to sleep"],
    };
    explore("unpark_then_park_sees", plan, || {
        let parker = Arc::new(Parker::new());
        let board = Arc::new(Board::new());
        let waker = thread::spawn({
            let (parker, board) = (Arc::clone(&parker), Arc::clone(&board));
            move || {
                board.write(1);
                parker.unpark();
            }
        });
        assert!(parker.park(WATCH), "nothing but the token ends the sleep");
        assert_eq!(board.read(), 1);
        waker.join().unwrap();
    });
}

/// Two tokens may become one, but then it brings both.
#[test]
fn two_unparkers_are_both_seen() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["parker: about to sleep"],
    };
    explore("two_unparkers_are_both_seen", plan, || {
        let parker = Arc::new(Parker::new());
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wakers = [0, 1].map(|own| {
            let (parker, flags) = (Arc::clone(&parker), Arc::clone(&flags));
            thread::spawn(move || {
                flags[own].store(true, Ordering::Relaxed);
                parker.unpark();
            })
        });
        // If a token came without its flag, this would sleep for ever.
        while !flags.iter().all(|flag| flag.load(Ordering::Relaxed)) {
            parker.park(WATCH);
        }
        let _ = wakers.map(|waker| waker.join().unwrap());
    });
}

/// A sleeper that is woken without a token says so, and the token still comes.
#[test]
fn sleeper_is_disturbed() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["model: no token"],
    };
    explore("sleeper_is_disturbed", plan, || {
        let parker = Arc::new(Parker::new());
        let board = Arc::new(Board::new());
        let waker = thread::spawn({
            let (parker, board) = (Arc::clone(&parker), Arc::clone(&board));
            move || {
                board.write(1);
                parker.unpark();
            }
        });
        let clock = thread::spawn({
            let parker = Arc::clone(&parker);
            move || parker.disturb()
        });
        while !parker.park(WATCH) {
            crate::probe::visit("model: no token");
        }
        assert_eq!(board.read(), 1);
        waker.join().unwrap();
        clock.join().unwrap();
    });
}
