//! Models of [`crate::injector`]. Segments have four cells in two groups, and nobody
//! is patient.

use super::explore::{Bound, Plan, explore};
use super::parcel::{Board, Parcel};
use crate::injector::{Injector, Popped, Rejected};
use crate::probe::visit;
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering, barrier, thread};

type Queue = Arc<Injector<Parcel>>;

fn queue() -> Queue {
    Arc::new(Injector::at(4, 0))
}

/// A queue whose next item enters and leaves at `position`.
fn used_up_to(position: u64) -> Queue {
    let queue = queue();
    for number in 0..position {
        push(&queue, number);
    }
    while !pop(&queue, 4).is_empty() {}
    queue
}

fn push(queue: &Queue, number: u64) {
    let pushed = queue.push(Parcel::new(number), |_| true);
    pushed.map_err(|_| ()).expect("there is room");
}

/// Pushes all of `numbers` together; returns how many went in before the close.
fn push_batch<const N: usize>(queue: &Queue, numbers: [u64; N]) -> usize {
    let mut parcels = numbers.map(|number| Some(Parcel::new(number)));
    match queue.push_batch(&mut parcels, |_, want| want) {
        Ok(all) => all,
        Err(Rejected::Closed(some)) => some,
        Err(Rejected::Full(_)) => panic!("there is room"),
    }
}

fn pop(queue: &Queue, most: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    let popped = queue.pop(most, |_| {}, |_, parcel| taken.push(parcel.open()));
    assert_eq!(popped.taken, taken.len());
    taken
}

fn spawn_pop(queue: &Queue, most: usize) -> thread::JoinHandle<Vec<u64>> {
    let queue = Arc::clone(queue);
    thread::spawn(move || pop(&queue, most))
}

fn spawn_push<const N: usize>(queue: &Queue, numbers: [u64; N]) -> thread::JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || numbers.iter().for_each(|&number| push(&queue, number)))
}

/// After all are done: empties the queue and checks that the numbers `expected` came
/// out, each once; those of each ten (a producer's) in order, in each part (a
/// consumer's); and that no more segments are in use than the one at the end.
fn assert_all_once<const N: usize>(queue: &Queue, taken: [Vec<u64>; N], expected: &[u64]) {
    let mut rest = Vec::new();
    loop {
        let more = pop(queue, 8);
        if more.is_empty() {
            break;
        }
        rest.extend(more);
    }
    let parts = taken.iter().chain([&rest]);
    for part in parts.clone() {
        for ten in 0..4 {
            let own = part.iter().filter(|&&number| number / 10 == ten);
            assert!(own.is_sorted(), "out of order: {taken:?}, then {rest:?}");
        }
    }
    let mut all: Vec<_> = parts.flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(all, expected, "{taken:?}, then {rest:?}");
    assert!(
        queue.segments_in_use() <= 1,
        "a drained segment was not recycled"
    );
}

#[test]
fn consumer_sees_the_item() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["injector pop: claimed, not read"],
    };
    explore("consumer_sees_the_item", plan, || {
        let queue = queue();
        let consumer = spawn_pop(&queue, 2);
        push(&queue, 1);
        push(&queue, 2);
        assert_all_once(&queue, [consumer.join().unwrap()], &[1, 2]);
    });
}

/// As the one before, with a run that is published at once.
#[test]
fn consumer_sees_the_batch() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["injector pop: claimed, not read", "model: batch taken"],
    };
    explore("consumer_sees_the_batch", plan, || {
        let queue = queue();
        let consumer = spawn_pop(&queue, 2);
        push_batch(&queue, [1, 2]);
        let taken = consumer.join().unwrap();
        if taken.len() == 2 {
            visit("model: batch taken");
        }
        assert_all_once(&queue, [taken], &[1, 2]);
    });
}

/// One producer is overtaken by the other, and the consumer passes it over.
#[test]
fn poisoned_producer_tries_again() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &[
            "injector push: poisoned",
            "injector: last visitor, not recycled",
        ],
    };
    explore("poisoned_producer_tries_again", plan, || {
        let queue = used_up_to(2);
        let consumer = spawn_pop(&queue, 4);
        let other = spawn_push(&queue, [10]);
        push(&queue, 1);
        other.join().unwrap();
        assert_all_once(&queue, [consumer.join().unwrap()], &[1, 10]);
    });
}

/// A batch loses cells to a consumer: the items move up, and keep their order.
#[test]
fn batch_is_poisoned() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 2000,
        events: &[
            "injector push_batch: group changed",
            "injector pop: poisoned",
        ],
    };
    explore("batch_is_poisoned", plan, || {
        let queue = used_up_to(2);
        let consumer = spawn_pop(&queue, 4);
        let other = spawn_push(&queue, [10]);
        push_batch(&queue, [1, 2]);
        other.join().unwrap();
        assert_all_once(&queue, [consumer.join().unwrap()], &[1, 2, 10]);
    });
}

/// The item goes out, and the position is handed to the right consumer.
#[test]
fn two_consumers_drain() {
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 100,
        events: &[
            "injector pop: lost the race",
            "injector: last visitor, not recycled",
        ],
    };
    explore("two_consumers_drain", plan, || {
        let queue = used_up_to(2);
        let consumers = [(); 2].map(|()| spawn_pop(&queue, 1));
        push(&queue, 1);
        push(&queue, 2);
        let taken = consumers.map(|consumer| consumer.join().unwrap());
        assert_all_once(&queue, taken, &[1, 2]);
    });
}

/// The last visitors of a segment are on two threads; the next user of the memory is
/// a third, which has no other tie to them.
#[test]
fn recycled_segment_is_clean() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &[
            "injector: last visitor, not recycled",
            "segments take: recycled",
        ],
    };
    explore("recycled_segment_is_clean", plan, || {
        let queue = queue();
        for number in 1..=3 {
            push(&queue, number);
        }
        let consumers = [(); 2].map(|()| spawn_pop(&queue, 2));
        // The fourth cell, the next segment, and perhaps the first one's memory.
        for number in 4..=5 {
            push(&queue, number);
        }
        let taken = consumers.map(|consumer| consumer.join().unwrap());
        for number in 6..=9 {
            push(&queue, number);
        }
        assert_all_once(&queue, taken, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });
}

/// A consumer that counts a segment's last cell, and a producer that takes it at
/// once, at the position where the next segment begins.
#[test]
fn producer_takes_what_was_just_given() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 50,
        events: &[
            "injector: last visitor, not recycled",
            "segments take: recycled",
        ],
    };
    explore("producer_takes_what_was_just_given", plan, || {
        let queue = used_up_to(2);
        push(&queue, 1);
        push(&queue, 2);
        let consumer = spawn_pop(&queue, 2);
        push(&queue, 3);
        assert_all_once(&queue, [consumer.join().unwrap()], &[1, 2, 3]);
    });
}

/// Two producers install the same segment.
#[test]
fn segment_made_by_another() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &[
            "injector push: another installed",
            "segments take: recycled",
        ],
    };
    explore("segment_made_by_another", plan, || {
        let queue = queue();
        let other = spawn_push(&queue, [10]);
        let consumer = spawn_pop(&queue, 2);
        push(&queue, 1);
        other.join().unwrap();
        let taken = consumer.join().unwrap();
        // Needs a further segment: what the loser had taken was given back.
        for number in 2..=4 {
            push(&queue, number);
        }
        assert_all_once(&queue, [taken], &[1, 2, 3, 4, 10]);
    });
}

/// Two producers need a segment each, and one chunk holds both. Who loses gives his back;
/// the winner's may lie in the chunk that the loser has made.
#[test]
fn chunk_made_by_another() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &[
            "injector push: another installed",
            "segments take: chunk made, not installed",
        ],
    };
    explore("chunk_made_by_another", plan, || {
        let queue = queue();
        for number in 1..=4 {
            push(&queue, number);
        }
        let other = spawn_push(&queue, [10]);
        push(&queue, 20);
        other.join().unwrap();
        assert_all_once(&queue, [], &[1, 2, 3, 4, 10, 20]);
    });
}

/// A push that races the close either is rejected or its item leaves.
#[test]
fn push_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &["model: rejected", "injector push: poisoned"],
    };
    explore("push_races_close", plan, || {
        let queue = queue();
        let producer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || match queue.push(Parcel::new(1), |_| true) {
                Ok(_) => 1,
                Err(Rejected::Closed(back)) => {
                    visit("model: rejected");
                    assert_eq!(back.open(), 1);
                    0
                }
                Err(Rejected::Full(_)) => panic!("there is room"),
            }
        });
        let consumer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                // Draining a closed queue waits for nobody.
                let closed = queue.is_closed();
                let taken = pop(&queue, 4);
                assert!(!closed || queue.len() == 0);
                taken
            }
        });
        queue.close();
        let taken = consumer.join().unwrap();
        let accepted: Vec<u64> = (1..=producer.join().unwrap()).collect();
        assert_all_once(&queue, [taken], &accepted);
    });
}

#[test]
fn batch_races_close() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 500,
        events: &[
            "model: rejected",
            "model: in part",
            "injector push_batch: group changed",
        ],
    };
    explore("batch_races_close", plan, || {
        let queue = used_up_to(3);
        let producer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || push_batch(&queue, [1, 2])
        });
        let consumer = spawn_pop(&queue, 4);
        queue.close();
        let taken = consumer.join().unwrap();
        let accepted = producer.join().unwrap() as u64;
        match accepted {
            0 => visit("model: rejected"),
            1 => visit("model: in part"),
            _ => {}
        }
        assert_all_once(&queue, [taken], &(1..=accepted).collect::<Vec<_>>());
    });
}

/// What a consumer announced before its claim is seen by who sees the new head. Two
/// items at most may wait, and the second of the two that are claimed waits too: so there
/// is room for one more, not for two.
#[test]
fn announcement_is_seen_with_the_head() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 50,
        events: &["injector pop: claimed, not read", "model: let in"],
    };
    explore("announcement_is_seen_with_the_head", plan, || {
        let queue = queue();
        let deferred = Arc::new(AtomicU64::new(0));
        push(&queue, 1);
        push(&queue, 2);
        let consumer = thread::spawn({
            let (queue, deferred) = (Arc::clone(&queue), Arc::clone(&deferred));
            move || {
                let mut taken = Vec::new();
                let _: Popped = queue.pop(
                    2,
                    |run| deferred.store((run as u64).saturating_sub(1), Ordering::Relaxed),
                    |_, parcel| taken.push(parcel.open()),
                );
                taken
            }
        });
        let mut last = 2;
        while last < 4 {
            let pushed = queue.push(Parcel::new(last + 1), |position| {
                let head = queue.head();
                position + deferred.load(Ordering::Relaxed) < head + 2
            });
            match pushed {
                Ok(_) => last += 1,
                Err(Rejected::Full(_)) => break,
                Err(Rejected::Closed(_)) => unreachable!(),
            }
        }
        if last > 2 {
            visit("model: let in");
        }
        assert!(last < 4, "three wait");
        assert_all_once(
            &queue,
            [consumer.join().unwrap()],
            &(1..=last).collect::<Vec<_>>(),
        );
    });
}

/// "Has work" after the barrier must not overlook what was published before it.
#[test]
fn last_look_sees_what_was_published() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["model: it was empty"],
    };
    explore("last_look_sees_what_was_published", plan, || {
        let queue = used_up_to(2);
        let consumer = spawn_pop(&queue, 1);
        push(&queue, 1);
        push(&queue, 2);
        // At most one can have been taken.
        assert!(queue.has_published());
        let taken = consumer.join().unwrap();
        if taken.is_empty() {
            visit("model: it was empty");
        }
        assert_all_once(&queue, [taken], &[1, 2]);
    });
}

/// Two items are there and one other consumer. "Empty" would be wrong at any moment,
/// also while the other recycles the segment under the head that we have read.
#[test]
fn two_items_are_enough_for_two() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "injector pop: lost the race",
            "injector: last visitor, not recycled",
        ],
    };
    explore("two_items_are_enough_for_two", plan, || {
        let queue = used_up_to(3);
        push(&queue, 1);
        push(&queue, 2);
        let consumer = spawn_pop(&queue, 1);
        assert!(queue.has_published());
        let own = pop(&queue, 1);
        let others = consumer.join().unwrap();
        assert_eq!((own.len(), others.len()), (1, 1));
        assert_all_once(&queue, [own, others], &[1, 2]);
    });
}

/// The same, where the second item comes after the head and the tail were read: what was looked
/// at is recycled, and nothing between them is left.
#[test]
fn look_that_was_overtaken_is_no_answer() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &["injector: last visitor, not recycled"],
    };
    explore("look_that_was_overtaken_is_no_answer", plan, || {
        let queue = used_up_to(3);
        push(&queue, 1);
        let other = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                push(&queue, 2);
                pop(&queue, 1)
            }
        });
        assert!(queue.has_published());
        let own = pop(&queue, 1);
        let others = other.join().unwrap();
        assert_eq!((own.len(), others.len()), (1, 1));
        assert_all_once(&queue, [own, others], &[1, 2]);
    });
}

/// Two segments are given back, the second linked to the first; the link must come
/// with the top of the list, or the first is lost.
#[test]
fn free_list_keeps_its_links() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "segments take: recycled",
            "injector: last visitor, not recycled",
        ],
    };
    explore("free_list_keeps_its_links", plan, || {
        let queue = queue();
        for number in 1..=8 {
            push(&queue, number);
        }
        let consumer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || [pop(&queue, 4), pop(&queue, 4)].concat()
        });
        push(&queue, 9);
        let taken = consumer.join().unwrap();
        assert_all_once(&queue, [taken], &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });
}

/// What the closer did before is seen by a producer that is turned away, and by whoever
/// asks whether the queue is closed.
#[test]
fn close_carries_what_was_before() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["model: rejected", "model: seen closed"],
    };
    explore("close_carries_what_was_before", plan, || {
        let queue = queue();
        let boards = Arc::new([Board::new(), Board::new()]);
        let other = thread::spawn({
            let (queue, boards) = (Arc::clone(&queue), Arc::clone(&boards));
            move || {
                boards[0].write(1);
                queue.close();
            }
        });
        let asks = thread::spawn({
            let (queue, boards) = (Arc::clone(&queue), Arc::clone(&boards));
            move || {
                if queue.is_closed() {
                    visit("model: seen closed");
                    assert_eq!(boards[0].read(), 1);
                }
            }
        });
        if let Err(Rejected::Closed(_)) = queue.push(Parcel::new(1), |_| true) {
            visit("model: rejected");
            assert_eq!(boards[0].read(), 1);
        }
        other.join().unwrap();
        asks.join().unwrap();
    });
}

/// There is one place, and its producer has not published. Another finds it taken, and
/// asks for it; a consumer goes to sleep, and asks for the last time. Either the
/// consumer passes the place over, or it is seen asleep.
#[test]
fn contested_place_is_passed_over() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 100,
        events: &[
            "injector contest: asked, crew not told",
            "injector push: poisoned",
            "model: seen asleep",
        ],
    };
    explore("contested_place_is_passed_over", plan, || {
        let queue = queue();
        let asleep = Arc::new(AtomicBool::new(false));
        let push_if_room = |queue: &Queue, number| {
            let pushed = queue.push(Parcel::new(number), |position| position <= queue.head());
            pushed.map(|_| number).map_err(|why| match why {
                Rejected::Full(_) => {}
                Rejected::Closed(_) => unreachable!(),
            })
        };
        let slow = thread::spawn({
            let queue = Arc::clone(&queue);
            move || push_if_room(&queue, 1)
        });
        let refused = thread::spawn({
            let (queue, asleep) = (Arc::clone(&queue), Arc::clone(&asleep));
            move || {
                let pushed = push_if_room(&queue, 2);
                let contests = pushed.is_err() && queue.contest();
                // As a notifier does.
                barrier::light();
                (pushed, contests && !asleep.load(Ordering::Relaxed))
            }
        });
        // As a sleeper does.
        asleep.store(true, Ordering::Relaxed);
        barrier::heavy();
        let mut taken = Vec::new();
        let has_work = queue.has_published();
        if has_work {
            let popped = queue.pop(4, |_| {}, |_, parcel: Parcel| taken.push(parcel.open()));
            assert_ne!(popped, Popped::default(), "what is work must be workable");
        } else {
            visit("model: seen asleep");
        }
        let (second, not_told) = refused.join().unwrap();
        assert!(
            has_work || !not_told,
            "the place stays taken, and nobody knows"
        );
        let accepted: Vec<u64> = [slow.join().unwrap(), second]
            .into_iter()
            .flatten()
            .collect();
        assert_all_once(&queue, [taken], &accepted);
    });
}

/// A segment is on the free list and another comes while the first is being taken.
#[test]
fn segment_is_given_while_another_is_taken() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 50,
        events: &[
            "segments take: looked, not taken",
            "segments give: linked, not given",
            "segments take: recycled",
        ],
    };
    explore("segment_is_given_while_another_is_taken", plan, || {
        let queue = queue();
        for number in 1..=8 {
            push(&queue, number);
        }
        assert_eq!(pop(&queue, 4), [1, 2, 3, 4]);
        let consumer = spawn_pop(&queue, 4);
        push(&queue, 9);
        let taken = consumer.join().unwrap();
        for number in 10..=13 {
            push(&queue, number);
        }
        assert_all_once(&queue, [taken], &[5, 6, 7, 8, 9, 10, 11, 12, 13]);
    });
}

/// A batch loses all its cells: these count too, so their segment is recycled.
#[test]
fn poisoned_batch_is_counted() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 20,
        events: &[
            "injector push_batch: group changed",
            "injector: last visitor, not recycled",
        ],
    };
    explore("poisoned_batch_is_counted", plan, || {
        let queue = used_up_to(2);
        let consumer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                queue.close();
                pop(&queue, 2)
            }
        });
        let accepted = push_batch(&queue, [1, 2]) as u64;
        let taken = consumer.join().unwrap();
        assert_all_once(&queue, [taken], &(1..=accepted).collect::<Vec<_>>());
    });
}

/// A claim is announced before, whatever it brings, also if it passes places over; and one
/// that has brought nothing is taken back.
#[test]
fn poisoning_is_announced_too() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 20,
        events: &["injector pop: claimed, not poisoned", "model: nothing"],
    };
    explore("poisoning_is_announced_too", plan, || {
        let queue = Arc::new(Injector::bounded(4));
        let announced = std::cell::Cell::new(0);
        let take = || {
            let sink = |_, parcel: Parcel| assert!(parcel.open() > 0);
            let popped = queue.pop(2, |claim| announced.set(claim), sink);
            assert!(popped.taken <= announced.get(), "{popped:?}");
            popped
        };
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert!(queue.push(Parcel::new(1), |_| true).is_ok()))
        };
        assert!(queue.push(Parcel::new(2), |_| true).is_ok());
        let mut left = 2 - take().taken;
        producer.join().unwrap();
        while left > 0 {
            left -= take().taken;
        }
        // Passed over, since after the end nobody else comes to do it.
        queue.claim_and_leave();
        queue.close();
        assert_eq!((take().skipped, announced.get()), (1, 0));
        visit("model: nothing");
    });
}
