//! Models of [`crate::nest`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Parcel;
use crate::nest::{InPlace, Nest, Owner, Stolen};
use crate::probe::visit;
use crate::sync::{Arc, thread};

const OURS: usize = 1;
const THEIRS: usize = 2;

type Thief = thread::JoinHandle<Option<u64>>;

/// Steals at most once.
fn thief(nest: &Arc<Nest<Parcel>>, tag: Option<usize>) -> Thief {
    let nest = Arc::clone(nest);
    thread::spawn(move || match nest.steal(tag) {
        Stolen::Item(parcel) => Some(parcel.open()),
        Stolen::Nothing | Stolen::Retry => None,
    })
}

fn open(popped: InPlace<'_, Parcel>) -> u64 {
    popped.take().open()
}

/// Pushes what fits.
fn push(owner: &Owner<'_, Parcel>, tag: usize, number: u64) -> bool {
    owner.push(tag, || Parcel::new(number)).is_ok()
}

fn pop_all(owner: &Owner<'_, Parcel>) -> Vec<u64> {
    std::iter::from_fn(|| owner.pop(OURS).map(open)).collect()
}

/// All of `taken` together are 1 to `last`, each once; and the owner took the newer first.
fn assert_all_once(popped: &[u64], stolen: impl IntoIterator<Item = Option<u64>>, last: u64) {
    assert!(popped.iter().rev().is_sorted(), "out of order: {popped:?}");
    let mut all: Vec<_> = stolen.into_iter().flatten().collect();
    all.extend(popped);
    all.sort_unstable();
    assert_eq!(all, (1..=last).collect::<Vec<_>>());
}

/// A model's nest and its owner's end. The owner is the model's first thread.
fn nest(slots: usize, start: u64) -> Arc<Nest<Parcel>> {
    Arc::new(Nest::new_at(slots, start))
}

fn owner(nest: &Nest<Parcel>) -> Owner<'_, Parcel> {
    // SAFETY: the models use it in the thread that calls this.
    unsafe { nest.owner() }
}

#[test]
fn thief_of_a_nest_sees_the_item() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["nest steal: claimed"],
    };
    explore("thief_of_a_nest_sees_the_item", plan, || {
        let nest = nest(2, 0);
        let thief = thief(&nest, None);
        let owner = owner(&nest);
        push(&owner, OURS, 1);
        assert_all_once(&[], [thief.join().unwrap(), owner.pop(OURS).map(open)], 1);
    });
}

/// The thief may see the bottom that a pop has lowered, and no other.
#[test]
fn thief_comes_after_a_pop() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["nest steal: claimed", "model: popped the newer"],
    };
    explore("thief_comes_after_a_pop", plan, || {
        let nest = nest(4, 0);
        let thief = thief(&nest, None);
        let owner = owner(&nest);
        push(&owner, OURS, 1);
        push(&owner, OURS, 2);
        let popped = owner.pop(OURS).map(open);
        let stolen = thief.join().unwrap();
        if stolen == Some(1) {
            visit("model: popped the newer");
        }
        assert_all_once(&[], [stolen, popped, owner.pop(OURS).map(open)], 2);
    });
}

/// The nest has one slot: the second push is into the slot that the thief has read, or is
/// reading, or has not claimed.
#[test]
fn push_reuses_a_slot_that_was_stolen_from() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &[
            "nest steal: read, slot not yet free",
            "model: slot used again",
        ],
    };
    explore("push_reuses_a_slot_that_was_stolen_from", plan, || {
        let nest = nest(1, 0);
        let thief = thief(&nest, None);
        let owner = owner(&nest);
        push(&owner, OURS, 1);
        let last = if push(&owner, OURS, 2) {
            visit("model: slot used again");
            2
        } else {
            1
        };
        let stolen = thief.join().unwrap();
        assert_all_once(&pop_all(&owner), [stolen], last);
        assert!(push(&owner, OURS, 3), "the slot is free");
    });
}

/// For the last item the owner and a thief compete; who loses finds the nest empty, and the
/// owner goes on as ever. Over the end of the positions.
#[test]
fn thief_races_the_last_item_of_a_nest() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "nest pop: lost the last one to a thief",
            "nest steal: lost the race",
        ],
    };
    explore("thief_races_the_last_item_of_a_nest", plan, || {
        let nest = nest(4, u64::MAX);
        let thief = thief(&nest, None);
        let owner = owner(&nest);
        push(&owner, OURS, 1);
        push(&owner, OURS, 2);
        let popped = pop_all(&owner);
        let again = push(&owner, OURS, 3);
        let stolen = thief.join().unwrap();
        let rest = pop_all(&owner);
        assert!(again, "there are four slots");
        assert_all_once(&popped, [stolen, rest.first().copied()], 3);
    });
}

/// Two thieves take two items one after the other, while the owner takes the second, too: it is
/// the last one, and the owner must know.
#[test]
fn two_thieves_and_an_owner_that_pops() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 1_000,
        events: &["model: both stolen", "model: one stolen"],
    };
    explore("two_thieves_and_an_owner_that_pops", plan, || {
        let nest = nest(2, 0);
        let owner = owner(&nest);
        push(&owner, OURS, 1);
        push(&owner, OURS, 2);
        let thieves = [(); 2].map(|()| thief(&nest, None));
        let popped = pop_all(&owner);
        let stolen = thieves.map(|thief| thief.join().unwrap());
        visit(match stolen {
            [Some(_), Some(_)] => "model: both stolen",
            [None, None] => "model: none stolen",
            _ => "model: one stolen",
        });
        assert_all_once(&popped, stolen, 2);
    });
}

/// A thief for one kind of items never gets another kind, whichever take turns in a position.
#[test]
fn thief_with_a_tag_gets_no_strangers() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["nest steal: claimed", "nest steal: lost the race"],
    };
    explore("thief_with_a_tag_gets_no_strangers", plan, || {
        let nest = nest(2, 0);
        let thief = thief(&nest, Some(OURS));
        let owner = owner(&nest);
        push(&owner, OURS, 1);
        let popped = pop_all(&owner);
        push(&owner, THEIRS, 2);
        let stolen = thief.join().unwrap();
        assert_all_once(&popped, [stolen], 1);
        assert_eq!(owner.pop(OURS).map(open), None);
        assert_eq!(owner.pop(THEIRS).map(open), Some(2));
    });
}
