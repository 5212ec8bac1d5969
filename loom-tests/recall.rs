//! Models of `engine::recall` alone: one line of two words. (`cancel_races_the_start` is
//! with the engine's.)

use super::explore::{Bound, Plan, explore};
use crate::engine::{Origin, Recalls};
use crate::probe::visit;
use crate::sync::{Arc, thread};

/// Two words for three cancellations: one is refused, none is lost.
#[test]
fn cancellations_race_for_a_place() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &["model: the last was refused", "model: another was refused"],
    };
    explore("cancellations_race_for_a_place", plan, || {
        let recalls = Arc::new(Recalls::new(1));
        let others = [0, 1].map(|index| {
            let recalls = Arc::clone(&recalls);
            thread::spawn(move || recalls.add(index).is_ok())
        });
        let last = recalls.add(2).is_ok();
        let [first, second] = others.map(|other| other.join().unwrap());
        assert_eq!(
            [first, second, last].iter().filter(|added| **added).count(),
            2
        );
        for (index, added) in [(0, first), (1, second), (2, last)] {
            assert_eq!(recalls.has_recalled(Origin::submitted(index)), added);
        }
        visit(if last {
            "model: another was refused"
        } else {
            "model: the last was refused"
        });
    });
}

/// Two who saw the pool idle clear the word of a job that has ended; what takes its place
/// stays.
#[test]
fn sweeps_race_a_cancellation() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &["model: a word took the place of another"],
    };
    explore("sweeps_race_a_cancellation", plan, || {
        let recalls = Arc::new(Recalls::new(1));
        // One has ended, the other waits.
        recalls.add(0).unwrap();
        recalls.add(5).unwrap();
        let sweepers = [(); 2].map(|()| {
            let recalls = Arc::clone(&recalls);
            thread::spawn(move || recalls.sweep(1))
        });
        let added = recalls.add(6).is_ok();
        let _ = sweepers.map(|sweeper| sweeper.join().unwrap());
        if added {
            visit("model: a word took the place of another");
        }
        assert!(!recalls.has(0));
        assert!(recalls.want_sweep(), "words are left");
        assert!(recalls.has_recalled(Origin::submitted(5)));
        assert_eq!(recalls.has_recalled(Origin::submitted(6)), added);
    });
}

/// Cancellations of jobs that have ended are swept, or known to be there.
#[test]
fn late_cancel_races_the_sweep() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &["model: swept", "model: left for the next sweep"],
    };
    explore("late_cancel_races_the_sweep", plan, || {
        let recalls = Arc::new(Recalls::new(1));
        let cancellers = [0, 1].map(|index| {
            let recalls = Arc::clone(&recalls);
            thread::spawn(move || recalls.add(index).unwrap())
        });
        recalls.sweep(2);
        let _ = cancellers.map(|canceller| canceller.join().unwrap());
        let left = recalls.has(0) || recalls.has(1);
        visit(if left {
            "model: left for the next sweep"
        } else {
            "model: swept"
        });
        assert!(!left || recalls.want_sweep());
    });
}

/// A word that its job's worker has taken out makes room for another, in a line of two.
#[test]
fn word_that_was_taken_out_makes_room() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 2,
        events: &["model: refused at first", "model: added at once"],
    };
    explore("word_that_was_taken_out_makes_room", plan, || {
        let recalls = Arc::new(Recalls::new(1));
        recalls.add(0).unwrap();
        recalls.add(1).unwrap();
        let worker = {
            let recalls = Arc::clone(&recalls);
            thread::spawn(move || assert!(recalls.has_recalled(Origin::submitted(0))))
        };
        let added = recalls.add(2).is_ok();
        worker.join().unwrap();
        if added {
            visit("model: added at once");
        } else {
            visit("model: refused at first");
            assert_eq!(recalls.add(2), Ok(()));
        }
        assert!(recalls.has(2) && !recalls.has(0));
    });
}

/// The worker and a taker clear a word that came too late, and a job that waits gets its place.
#[test]
fn two_clear_a_late_word_and_spare_the_next() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["model: a word took the place of another"],
    };
    explore("two_clear_a_late_word_and_spare_the_next", plan, || {
        // One line of two words, and one of them is in use.
        let recalls = Arc::new(Recalls::new(1));
        recalls.add(0).unwrap();
        recalls.add(1).unwrap();
        let worker = {
            let recalls = Arc::clone(&recalls);
            thread::spawn(move || recalls.remove(0))
        };
        let canceller = {
            let recalls = Arc::clone(&recalls);
            thread::spawn(move || recalls.add(2).is_ok())
        };
        recalls.remove(0);
        worker.join().unwrap();
        let added = canceller.join().unwrap();
        if added {
            visit("model: a word took the place of another");
        }
        assert!(!recalls.has(0) && recalls.has(1));
        assert_eq!(recalls.has(2), added);
    });
}
