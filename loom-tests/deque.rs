//! Models of [`crate::deque`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Parcel;
use crate::deque::{Local, Steal, Stealer, ring, ring_at};
use crate::probe::visit;
use crate::sync::thread;

/// Pushes what fits.
fn push(local: &mut Local<Parcel>, number: u64) -> bool {
    local
        .push(Parcel::new(number))
        .map_err(Parcel::open)
        .is_ok()
}

fn pop_all(local: &mut Local<Parcel>) -> Vec<u64> {
    std::iter::from_fn(|| local.pop())
        .map(Parcel::open)
        .collect()
}

/// One attempt.
fn steal(stealer: &Stealer<Parcel>, most: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    let result = stealer.steal(most, |parcel| taken.push(parcel.open()));
    assert_eq!(matches!(result, Steal::Taken(_)), !taken.is_empty());
    taken
}

/// Each of `taken` in order, and all of them together are 1 to `last`, each once.
fn assert_all_once<const N: usize>(taken: [Vec<u64>; N], last: u64) {
    assert!(
        taken.iter().all(|one| one.is_sorted()),
        "out of order: {taken:?}"
    );
    let mut all = taken.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=last).collect::<Vec<_>>(), "{taken:?}");
}

#[test]
fn thief_sees_the_item() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["deque steal: claimed"],
    };
    explore("thief_sees_the_item", plan, || {
        let (mut local, stealer) = ring(2);
        let thief = thread::spawn(move || steal(&stealer, 2));
        push(&mut local, 1);
        push(&mut local, 2);
        let stolen = thief.join().unwrap();
        assert_all_once([stolen, pop_all(&mut local)], 2);
    });
}

/// The ring has one slot: the second push is into the slot that the thief has read,
/// or is reading, or has not claimed.
#[test]
fn push_reuses_a_stolen_slot() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["deque: read, slots not yet free", "model: slot used again"],
    };
    explore("push_reuses_a_stolen_slot", plan, || {
        let (mut local, stealer) = ring(1);
        let thief = thread::spawn(move || steal(&stealer, 1));
        push(&mut local, 1);
        let last = if push(&mut local, 2) {
            visit("model: slot used again");
            2
        } else {
            1
        };
        let stolen = thief.join().unwrap();
        assert_all_once([stolen, pop_all(&mut local)], last);
        assert!(
            push(&mut local, 3),
            "whoever took the last one left the slot free"
        );
    });
}

/// The owner takes the items on both sides of the thief's. When all is over the whole ring
/// is free again.
#[test]
fn slots_around_a_thief_are_free_again() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 10,
        events: &["model: between two pops"],
    };
    explore("slots_around_a_thief_are_free_again", plan, || {
        let (mut local, stealer) = ring(4);
        (1..=3).for_each(|number| assert!(push(&mut local, number)));
        let thief = thread::spawn(move || steal(&stealer, 1));
        let popped = pop_all(&mut local);
        let stolen = thief.join().unwrap();
        if stolen == [2] && popped == [1, 3] {
            visit("model: between two pops");
        }
        assert_all_once([stolen, popped], 3);
        (4..=7).for_each(|number| assert!(push(&mut local, number)));
        assert_eq!(pop_all(&mut local), [4, 5, 6, 7]);
    });
}

#[test]
fn thief_races_the_last_pop() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["deque pop: lost to a thief", "deque steal: lost the race"],
    };
    explore("thief_races_the_last_pop", plan, || {
        let (mut local, stealer) = ring(2);
        let thief = thread::spawn(move || steal(&stealer, 1));
        push(&mut local, 1);
        let popped = pop_all(&mut local);
        assert_all_once([thief.join().unwrap(), popped], 1);
    });
}

/// A thief that sees the head after another's claim must not see a tail before it.
#[test]
fn second_thief_is_not_too_late() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 100,
        events: &["deque steal: lost the race", "deque steal: claimed"],
    };
    explore("second_thief_is_not_too_late", plan, || {
        let (mut local, stealer) = ring(2);
        let thieves =
            [stealer.clone(), stealer].map(|stealer| thread::spawn(move || steal(&stealer, 1)));
        push(&mut local, 1);
        let [first, second] = thieves.map(|thief| thief.join().unwrap());
        assert_all_once([first, second, pop_all(&mut local)], 1);
    });
}

/// The owner pushes, pops and pushes over the end of the ring, and over the end of
/// the positions, while a thief takes what it can.
#[test]
fn positions_wrap_under_a_thief() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &[
            "deque steal: claimed",
            "deque pop: lost to a thief",
            "model: third in",
        ],
    };
    explore("positions_wrap_under_a_thief", plan, || {
        let (mut local, stealer) = ring_at(2, u64::MAX);
        let thief = thread::spawn(move || [steal(&stealer, 1), steal(&stealer, 1)].concat());
        push(&mut local, 1);
        push(&mut local, 2);
        let mut popped: Vec<_> = local.pop().map(Parcel::open).into_iter().collect();
        let last = if push(&mut local, 3) {
            visit("model: third in");
            3
        } else {
            2
        };
        popped.extend(pop_all(&mut local));
        assert_all_once([thief.join().unwrap(), popped], last);
    });
}

/// A batch of half the ring against the owner, which pops and pushes again. What
/// nobody took is dropped with the ring, which loom's leak check sees.
#[test]
fn batch_thief_races_the_owner() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 25,
        events: &["model: batch stolen", "deque pop: lost to a thief"],
    };
    explore("batch_thief_races_the_owner", plan, || {
        let (mut local, stealer) = ring(4);
        for number in 1..=3 {
            push(&mut local, number);
        }
        let thief = thread::spawn(move || {
            let stolen = steal(&stealer, 4);
            if stolen.len() == 2 {
                visit("model: batch stolen");
            }
            stolen
        });
        let popped: Vec<_> = local.pop().map(Parcel::open).into_iter().collect();
        push(&mut local, 4);
        let stolen = thief.join().unwrap();
        let rest = popped.len() + stolen.len();
        assert!((1..=3).contains(&rest));
        assert_eq!(local.len(), 4 - rest);
    });
}

/// What is staged is invisible until it is published, and then seen in one piece.
#[test]
fn staged_items_appear_together() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["deque steal: claimed"],
    };
    explore("staged_items_appear_together", plan, || {
        let (mut local, stealer) = ring(2);
        let thief = thread::spawn(move || {
            let mut taken = Vec::new();
            let result = stealer.drain(2, |parcel: Parcel| taken.push(parcel.open()));
            assert!(matches!(result, Steal::Empty | Steal::Taken(2)));
            taken
        });
        for number in 1..=2 {
            assert!(local.stage(Parcel::new(number)).is_ok());
        }
        local.publish();
        let stolen = thief.join().unwrap();
        assert_all_once([stolen, pop_all(&mut local)], 2);
    });
}

/// Two thieves with batches, and a push into the slots that they free.
#[test]
fn two_batch_thieves_race_the_owner() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 1_000,
        events: &["deque steal: lost the race", "model: slot freed by a thief"],
    };
    explore("two_batch_thieves_race_the_owner", plan, || {
        let (mut local, stealer) = ring(2);
        push(&mut local, 1);
        push(&mut local, 2);
        let thieves =
            [stealer.clone(), stealer].map(|stealer| thread::spawn(move || steal(&stealer, 2)));
        let last = if push(&mut local, 3) {
            visit("model: slot freed by a thief");
            3
        } else {
            2
        };
        let popped = pop_all(&mut local);
        let [first, second] = thieves.map(|thief| thief.join().unwrap());
        assert_all_once([first, second, popped], last);
    });
}

/// Who asks for the length reads the head first: the tail must not be behind it.
#[test]
fn length_is_never_negative() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["deque pop: claimed"],
    };
    explore("length_is_never_negative", plan, || {
        let (mut local, stealer) = ring(2);
        let observer = thread::spawn(move || stealer.len());
        push(&mut local, 1);
        assert_eq!(pop_all(&mut local), [1]);
        assert!(observer.join().unwrap() <= 1);
    });
}

/// The owner needs no read-modify-write while a thief comes: it keeps the item that it has announced, or
/// loses it, but both know.
#[test]
fn thief_ends_a_bias() {
    let plan = Plan {
        bound: Bound::Preemptions(4),
        floor: 100,
        events: &[
            "deque steal: bias ended",
            "deque steal: lost the end of a bias",
            "deque pop: bias revoked, not ended",
            "deque pop: lost to a thief",
        ],
    };
    explore("thief_ends_a_bias", plan, || {
        let (mut local, stealer) = ring_at(2, u64::MAX);
        push(&mut local, 1);
        push(&mut local, 2);
        local.bias();
        let thief = thread::spawn(move || steal(&stealer, 2));
        let popped = pop_all(&mut local);
        assert_all_once([thief.join().unwrap(), popped], 2);
    });
}

/// Two thieves find the bias, or one finds what the other has begun.
#[test]
fn two_thieves_end_a_bias() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &[
            "deque steal: lost the race for a bias",
            "deque steal: lost the end of a bias",
            "deque pop: bias revoked, not ended",
        ],
    };
    explore("two_thieves_end_a_bias", plan, || {
        let (mut local, stealer) = ring(4);
        (1..=3).for_each(|number| assert!(push(&mut local, number)));
        local.bias();
        let thieves =
            [stealer.clone(), stealer].map(|stealer| thread::spawn(move || steal(&stealer, 1)));
        let popped = pop_all(&mut local);
        let [first, second] = thieves.map(|thief| thief.join().unwrap());
        assert_all_once([first, second, popped], 3);
    });
}

/// The owner goes on with a bias round a ring of two slots: it writes only where the thief, which
/// keeps its claim for a while, has read.
#[test]
fn thief_keeps_its_claim_under_a_bias() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 1_000,
        events: &[
            "deque steal: bias ended",
            "deque pop: bias revoked, not ended",
            "model: slot used again",
            "model: no room",
        ],
    };
    explore("thief_keeps_its_claim_under_a_bias", plan, || {
        let (mut local, stealer) = ring_at(2, u64::MAX - 1);
        push(&mut local, 1);
        push(&mut local, 2);
        local.bias();
        let thief = thread::spawn(move || match stealer.take(|len| len.min(1)) {
            Steal::Taken(claim) => claim.map(Parcel::open).collect(),
            Steal::Empty | Steal::Retry => Vec::new(),
        });
        let (mut popped, mut last) = (Vec::new(), 2);
        for _ in 0..2 {
            popped.extend(local.pop().map(Parcel::open));
            local.bias();
            if push(&mut local, last + 1) {
                visit("model: slot used again");
                last += 1;
            } else {
                visit("model: no room");
            }
        }
        popped.extend(pop_all(&mut local));
        assert_all_once([thief.join().unwrap(), popped], last);
    });
}

/// A bias begins while items are staged, which are published under it.
#[test]
fn batch_is_published_under_a_bias() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 1_000,
        events: &[
            "deque steal: bias ended",
            "deque pop: bias revoked, not ended",
        ],
    };
    explore("batch_is_published_under_a_bias", plan, || {
        let (mut local, stealer) = ring(4);
        push(&mut local, 1);
        let mut staging = local.staging();
        for number in 2..=3 {
            assert!(staging.add(Parcel::new(number)).is_ok());
        }
        drop(staging);
        let thief = thread::spawn(move || [steal(&stealer, 2), steal(&stealer, 2)].concat());
        local.bias();
        local.publish();
        let popped = pop_all(&mut local);
        assert_all_once([thief.join().unwrap(), popped], 3);
    });
}

/// The owner ends the bias and would begin another at the same place, while a thief still believes in the
/// first one.
#[test]
fn thief_of_an_earlier_bias() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 1_000,
        events: &[
            "model: another bias",
            "deque steal: lost the race for a bias",
            "deque steal: lost the end of a bias",
        ],
    };
    explore("thief_of_an_earlier_bias", plan, || {
        let (mut local, stealer) = ring(4);
        (1..=2).for_each(|number| assert!(push(&mut local, number)));
        local.bias();
        let observer = stealer.clone();
        let thieves =
            [stealer.clone(), stealer].map(|stealer| thread::spawn(move || steal(&stealer, 1)));
        local.share();
        // In vain, unless somebody has taken something meanwhile.
        local.bias();
        if observer.is_unshared() {
            visit("model: another bias");
        }
        let popped = pop_all(&mut local);
        let [first, second] = thieves.map(|thief| thief.join().unwrap());
        assert_all_once([first, second, popped], 2);
    });
}

/// The owner goes away with a bias, and items are left.
#[test]
fn owner_goes_with_a_bias() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &[
            "deque steal: lost the end of a bias",
            "deque steal: claimed",
        ],
    };
    explore("owner_goes_with_a_bias", plan, || {
        let (mut local, stealer) = ring(2);
        push(&mut local, 1);
        push(&mut local, 2);
        local.bias();
        let thief = {
            let stealer = stealer.clone();
            thread::spawn(move || steal(&stealer, 1))
        };
        let popped: Vec<_> = local.pop().map(Parcel::open).into_iter().collect();
        drop(local);
        let stolen = thief.join().unwrap();
        let mut rest = Vec::new();
        let _ = stealer.drain(2, |parcel| rest.push(parcel.open()));
        assert_all_once([popped, stolen, rest], 2);
    });
}

/// As `length_is_never_negative`, while the owner pops without a read-modify-write.
#[test]
fn length_is_never_negative_under_a_bias() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["deque pop: claimed"],
    };
    explore("length_is_never_negative_under_a_bias", plan, || {
        let (mut local, stealer) = ring(2);
        push(&mut local, 1);
        local.bias();
        let observer = thread::spawn(move || stealer.len());
        push(&mut local, 2);
        assert_eq!(pop_all(&mut local), [1, 2]);
        local.share();
        assert!(observer.join().unwrap() <= 2);
    });
}

/// Who sees where a thief has ended a bias sees a tail that is not behind that.
#[test]
fn length_is_never_negative_after_a_bias() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "deque steal: bias ended",
            "deque pop: announced, not claimed",
        ],
    };
    explore("length_is_never_negative_after_a_bias", plan, || {
        let (mut local, stealer) = ring(2);
        local.bias();
        let observer = {
            let stealer = stealer.clone();
            thread::spawn(move || stealer.len())
        };
        let thief = thread::spawn(move || steal(&stealer, 1));
        for number in 1..=2 {
            push(&mut local, number);
            drop(local.pop());
        }
        assert!(observer.join().unwrap() <= 2);
        assert!(thief.join().unwrap().len() <= 1);
    });
}

/// The same with a bias of which the observer does not know yet.
#[test]
fn length_is_never_negative_after_two() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["deque pop: announced, not claimed"],
    };
    explore("length_is_never_negative_after_two", plan, || {
        let (mut local, stealer) = ring(2);
        local.bias();
        let observer = thread::spawn(move || stealer.len());
        push(&mut local, 1);
        assert_eq!(pop_all(&mut local), [1]);
        local.share();
        push(&mut local, 2);
        assert_eq!(pop_all(&mut local), [2]);
        local.bias();
        assert!(observer.join().unwrap() <= 2);
    });
}
