//! Models of [`crate::injector::Reserve`]. Groups have two cells, so a reserve is one place.

use super::explore::{Bound, Plan, explore};
use super::parcel::Parcel;
use crate::injector::{Injector, Rejected, Reserve};
use crate::probe::visit;
use crate::sync::{Arc, thread};

type Queue = Arc<Injector<Parcel>>;

fn queue() -> Queue {
    Arc::new(Injector::at(4, 0))
}

fn push(queue: &Queue, number: u64) {
    let pushed = queue.push(Parcel::new(number), |_| true);
    pushed.map_err(|_| ()).expect("there is room");
}

/// Pushes at position 0 of a group, and reserves position 1.
fn push_and_reserve(queue: &Queue, number: u64) -> Reserve {
    let mut reserve = Reserve::default();
    let pushed = queue.push_and_reserve(&mut reserve, Parcel::new(number), |_, want| want);
    pushed.map_err(|_| ()).expect("there is room");
    reserve
}

/// Pushes at the reserved place. If that is gone, and `again`, elsewhere. Returns whether the
/// place was there.
fn push_reserved(queue: &Queue, reserve: &mut Reserve, number: u64, again: bool) -> bool {
    match queue.push_reserved(reserve, Parcel::new(number)) {
        Ok(_) => true,
        Err(back) => {
            visit("model: place gone");
            assert!(reserve.is_empty());
            if again {
                let pushed = queue.push(back, |_| true);
                pushed.map_err(|_| ()).expect("there is room");
            } else {
                assert_eq!(back.open(), number);
            }
            false
        }
    }
}

fn pop(queue: &Queue, most: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    let popped = queue.pop(most, |_| {}, |_, parcel| taken.push(parcel.open()));
    assert_eq!(popped.taken, taken.len());
    taken
}

fn pop_all(queue: &Queue) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let more = pop(queue, 8);
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// The owner uses its place while a consumer, behind whose head an item lies, passes it over.
#[test]
fn reserved_push_races_a_consumer() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["model: place gone", "injector pop: poisoned"],
    };
    explore("reserved_push_races_a_consumer", plan, || {
        let queue = queue();
        let mut reserve = push_and_reserve(&queue, 1);
        push(&queue, 3);
        push(&queue, 4);
        let consumer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || [pop(&queue, 4), pop(&queue, 4)].concat()
        });
        push_reserved(&queue, &mut reserve, 2, true);
        let mut all = consumer.join().unwrap();
        all.extend(pop_all(&queue));
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4]);
        assert!(queue.segments_in_use() <= 1, "a segment was not recycled");
    });
}

/// The owner uses its place while another takes it back: one of them has it.
#[test]
fn reserved_push_races_a_reclaim() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 20,
        events: &["model: place gone", "model: place used"],
    };
    explore("reserved_push_races_a_reclaim", plan, || {
        let queue = queue();
        let mut reserve = push_and_reserve(&queue, 1);
        let other = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.reclaim(0, 2)
        });
        let used = push_reserved(&queue, &mut reserve, 2, false);
        let void = other.join().unwrap();
        assert_eq!(used, void == 0, "one place, {void} void");
        if used {
            visit("model: place used");
        }
        assert_eq!(queue.given(), 1 + u64::from(used));
        assert_eq!(pop_all(&queue).len(), 1 + usize::from(used));
    });
}

/// The owner keeps its item, for which a place was void, and leaves; a consumer passes it over;
/// and the memory serves another item, whose producer has no other tie to the owner.
#[test]
fn owner_leaves_beside_a_consumer() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &[
            "model: place gone",
            "injector leave: left, not counted",
            "injector: last visitor, not recycled",
            "segments take: recycled",
        ],
    };
    explore("owner_leaves_beside_a_consumer", plan, || {
        let queue = queue();
        let mut reserve = push_and_reserve(&queue, 1);
        push(&queue, 3);
        push(&queue, 4);
        let owner = thread::spawn({
            let queue = Arc::clone(&queue);
            move || push_reserved(&queue, &mut reserve, 2, false)
        });
        queue.reclaim(0, 4);
        let mut all = pop_all(&queue);
        // The segment's positions are over: the next ones may lie in its memory.
        for number in 5..=6 {
            push(&queue, number);
        }
        let used = owner.join().unwrap();
        all.extend(pop_all(&queue));
        let expected = [1, 2, 3, 4, 5, 6];
        let expected = expected.iter().filter(|&&number| used || number != 2);
        assert!(all.iter().eq(expected), "{all:?}");
        for number in 7..=8 {
            push(&queue, number);
        }
        assert_eq!(pop_all(&queue), [7, 8]);
        assert_eq!(queue.segments_in_use(), 0, "a segment was not recycled");
    });
}

/// Looks at positions whose memory serves others by then, among them a reserved one.
fn late_look(name: &'static str, look: fn(&Queue) -> u64) {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["segments take: recycled", "model: all looked at"],
    };
    explore(name, plan, move || {
        let queue = queue();
        // Not vacant, and an item each.
        let mut used = push_and_reserve(&queue, 1);
        assert!(push_reserved(&queue, &mut used, 2, false));
        push(&queue, 3);
        push(&queue, 4);
        let late = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                assert_eq!(look(&queue), 0, "none of these was ever vacant");
                visit("model: all looked at");
            }
        });
        assert_eq!(pop(&queue, 4), [1, 2, 3, 4]);
        let mut reserve = push_and_reserve(&queue, 5);
        late.join().unwrap();
        queue.leave(&mut reserve);
        assert_eq!(pop_all(&queue), [5]);
    });
}

#[test]
fn late_look_at_a_recycled_group() {
    late_look("late_look_at_a_recycled_group", |queue| queue.vacant(0, 4));
}

#[test]
fn late_reclaim_of_a_recycled_group() {
    late_look("late_reclaim_of_a_recycled_group", |queue| {
        queue.reclaim(0, 4)
    });
}

/// A reclaim has looked at a reserved place, and takes back one of the next use of its memory,
/// whose word looks the same.
#[test]
fn reclaim_takes_back_from_a_later_use() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["segments take: recycled", "model: place gone later"],
    };
    explore("reclaim_takes_back_from_a_later_use", plan, || {
        let queue = queue();
        let mut first = push_and_reserve(&queue, 1);
        let late = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.reclaim(0, 2)
        });
        let used = push_reserved(&queue, &mut first, 2, false);
        push(&queue, 3);
        push(&queue, 4);
        assert_eq!(pop_all(&queue).len(), 3 + usize::from(used));
        let mut later = push_and_reserve(&queue, 5);
        let void = late.join().unwrap();
        assert!(!used || void == 0, "an item was there, not {void} void");
        if used && queue.vacant(5, 6) == 1 && !push_reserved(&queue, &mut later, 6, false) {
            visit("model: place gone later");
        }
        queue.leave(&mut later);
    });
}

/// The same, and another has taken that one back already: the late reclaim has nothing to do.
#[test]
fn reclaim_finds_a_later_use_taken_back() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &["segments take: recycled", "model: an item was there"],
    };
    explore("reclaim_finds_a_later_use_taken_back", plan, || {
        let queue = queue();
        let mut first = push_and_reserve(&queue, 1);
        let late = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.reclaim(0, 2)
        });
        let used = push_reserved(&queue, &mut first, 2, false);
        push(&queue, 3);
        push(&queue, 4);
        assert_eq!(pop_all(&queue).len(), 3 + usize::from(used));
        let mut later = push_and_reserve(&queue, 5);
        assert_eq!(queue.reclaim(4, 6), 1);
        let void = late.join().unwrap();
        if used {
            visit("model: an item was there");
            assert_eq!(void, 0, "an item was there");
        }
        queue.leave(&mut later);
    });
}

/// A queue is closed while a producer is about to use its place: it is in, or it is poisoned,
/// and who drains waits for neither.
#[test]
fn reserved_push_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &["model: place gone", "model: place used"],
    };
    explore("reserved_push_races_close", plan, || {
        let queue = queue();
        let mut reserve = push_and_reserve(&queue, 1);
        let owner = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let used = push_reserved(&queue, &mut reserve, 2, false);
                let rejected = queue.push(Parcel::new(3), |_| true);
                if let Err(Rejected::Closed(back)) = rejected {
                    assert_eq!(back.open(), 3);
                }
                used
            }
        });
        queue.close();
        let mut all = pop_all(&queue);
        assert_eq!(queue.len(), 0, "who drains a closed queue waits for nobody");
        let used = owner.join().unwrap();
        if used {
            visit("model: place used");
        }
        all.retain(|number| *number != 3);
        assert_eq!(all.len(), 1 + usize::from(used));
    });
}

/// The oldest place is reserved and not used, and what is behind it is looked at, while another
/// pushes, takes that, gives the place up, and so recycles what is looked at. An item is there
/// at every moment.
#[test]
fn look_behind_that_was_overtaken_is_no_answer() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &["injector: last visitor, not recycled"],
    };
    explore("look_behind_that_was_overtaken_is_no_answer", plan, || {
        let queue = queue();
        let mut reserve = push_and_reserve(&queue, 0);
        assert_eq!(pop(&queue, 1), [0]);
        // The rest of the segment.
        push(&queue, 2);
        push(&queue, 3);
        assert!(queue.has_published());
        let other = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                push(&queue, 4);
                let taken = [pop(&queue, 1), pop(&queue, 1)].concat();
                queue.leave(&mut reserve);
                taken
            }
        });
        let own = pop(&queue, 1);
        let others = other.join().unwrap();
        assert_eq!((own.len(), others.len()), (1, 2));
    });
}

/// The item that comes with a reserve is poisoned: producer and reserve begin again, and the
/// places of the first are given up.
#[test]
fn reserving_push_races_a_consumer() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50,
        events: &[
            "injector push: poisoned",
            "injector leave: left, not counted",
        ],
    };
    explore("reserving_push_races_a_consumer", plan, || {
        let queue = queue();
        let other = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                push(&queue, 2);
                pop(&queue, 1)
            }
        });
        let mut reserve = push_and_reserve(&queue, 1);
        let mut all = other.join().unwrap();
        queue.leave(&mut reserve);
        all.extend(pop_all(&queue));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}
