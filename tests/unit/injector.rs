//! The injector against a `VecDeque`, near the places where its numbers wrap, and against threads.

use super::segments::{ID_BITS, Segments};
use super::{Injector, Popped, Rejected, Reserve};
use crate::probe::Stall;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Positions in a segment of small items.
const SEGMENT: usize = Segments::<u64>::POSITIONS;

/// The first segment number whose tag is zero again, times its size.
const TAGS_WRAP: u64 = tags_wrap(SEGMENT);

const fn tags_wrap(segment: usize) -> u64 {
    ((1 << (64 - ID_BITS)) - 1) * segment as u64
}

/// At the beginning, at the edge of a group and a segment, and before the tags wrap.
const STARTS: [u64; 6] = starts(SEGMENT);

const fn starts(segment: usize) -> [u64; 6] {
    let wrap = tags_wrap(segment);
    [
        0,
        6,
        segment as u64 - 1,
        wrap - 3 * segment as u64,
        wrap - 5,
        wrap - segment as u64,
    ]
}

/// A segment whose first positions were never used is never drained.
fn pinned(start: u64, segment: usize) -> usize {
    usize::from(start % segment as u64 != 0)
}

/// More than two segments.
const MANY: u64 = if cfg!(miri) { 120 } else { 300 };

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Batch(usize),
    Pop(usize),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => Just(Step::Push),
        20 => (0..150_usize).prop_map(Step::Batch),
        40 => (0..100_usize).prop_map(Step::Pop),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 0..if cfg!(miri) { 20 } else { 200 })
}

/// Does this to a queue at the place of that number among [`starts`], whose items carry a ballast.
fn behaves_like_a_bounded_queue<B: Copy + std::fmt::Debug>(
    ballast: B,
    capacity: usize,
    place: usize,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let segment = Segments::<(u32, Arc<()>, B)>::POSITIONS;
    let start = starts(segment)[place];
    let entries = (capacity / segment + 3).next_power_of_two();
    let injector = Injector::at(entries, start);
    let alive = Arc::new(());
    // Positions and items.
    let mut model: VecDeque<(u64, u32)> = VecDeque::new();
    let (mut next, mut position, mut closed) = (0, start, false);
    for step in steps {
        let free = capacity - model.len();
        let limit = position + free as u64;
        match step {
            Step::Push => {
                next += 1;
                match injector.push((next, Arc::clone(&alive), ballast), |position| {
                    position < limit
                }) {
                    Ok(at) => {
                        prop_assert!(!closed && free > 0);
                        prop_assert_eq!(at, position);
                        model.push_back((at, next));
                        position += 1;
                    }
                    Err(Rejected::Full((back, ..))) => {
                        prop_assert!(!closed && free == 0);
                        prop_assert_eq!(back, next);
                    }
                    Err(Rejected::Closed((back, ..))) => {
                        prop_assert!(closed);
                        prop_assert_eq!(back, next);
                    }
                }
            }
            Step::Batch(want) => {
                let mut items: Vec<_> = (1..=want as u32)
                    .map(|offset| Some((next + offset, Arc::clone(&alive), ballast)))
                    .collect();
                let admits = |position, want: usize| want.min((limit - position) as usize);
                let done = match injector.push_batch(&mut items, admits) {
                    Ok(all) => {
                        prop_assert_eq!(all, want);
                        all
                    }
                    Err(Rejected::Full(some)) => {
                        prop_assert!(!closed && some == free && some < want);
                        some
                    }
                    Err(Rejected::Closed(some)) => {
                        prop_assert!(closed);
                        some
                    }
                };
                if want > 0 {
                    prop_assert_eq!(done, if closed { 0 } else { want.min(free) });
                }
                prop_assert!(items[..done].iter().all(Option::is_none));
                prop_assert!(
                    items[done..].iter().all(Option::is_some),
                    "rejected ones stay"
                );
                for offset in 1..=done as u32 {
                    model.push_back((position, next + offset));
                    position += 1;
                }
                next += want as u32;
            }
            Step::Pop(most) => {
                let mut announced = Vec::new();
                let mut items = Vec::new();
                let popped = injector.pop(
                    most,
                    |count| announced.push(count),
                    |at, (item, ..)| items.push((at, item)),
                );
                prop_assert_eq!(popped.taken, items.len());
                prop_assert_eq!(popped.skipped, 0);
                prop_assert_eq!(popped.taken == 0, most == 0 || model.is_empty());
                prop_assert!(popped.taken <= most);
                if popped.taken > 0 {
                    prop_assert_eq!(announced.last(), Some(&popped.taken));
                }
                prop_assert!(items.into_iter().eq(model.drain(..popped.taken)));
            }
            Step::Close => {
                injector.close();
                closed = true;
            }
        }
        prop_assert_eq!(injector.len(), model.len());
        prop_assert_eq!(injector.has_published(), !model.is_empty());
        prop_assert_eq!(injector.is_closed(), closed);
        prop_assert_eq!(
            (injector.head(), injector.tail()),
            (position - model.len() as u64, position)
        );
        prop_assert!(
            injector.segments_in_use() <= model.len() / segment + 2 + pinned(start, segment)
        );
        prop_assert_eq!(Arc::strong_count(&alive), 1 + model.len());
    }
    drop(injector);
    prop_assert_eq!(Arc::strong_count(&alive), 1);
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_injector_behaves_like_a_bounded_queue_and_recycles_its_segments(
        capacity in 1..300_usize,
        place in 0..STARTS.len(),
        steps in steps(),
    ) {
        behaves_like_a_bounded_queue((), capacity, place, steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 64 }, ..config() })]

    /// A segment of them has 21 places.
    #[test]
    fn so_does_one_of_large_items(
        capacity in 1..300_usize,
        place in 0..STARTS.len(),
        steps in steps(),
    ) {
        behaves_like_a_bounded_queue([0_u8; 1_200], capacity, place, steps)?;
    }
}

#[test]
fn a_full_directory_is_full_and_works_again_when_it_is_empty() {
    for start in STARTS.into_iter().step_by(if cfg!(miri) { 3 } else { 1 }) {
        let injector = Injector::at(4, start);
        let mut next = 0;
        for _ in 0..if cfg!(miri) { 2 } else { 10 } {
            let first = next;
            while injector.push(next, |_| true).is_ok() {
                next += 1;
            }
            let accepted = (next - first) as usize;
            assert!(
                (2 * SEGMENT..=4 * SEGMENT).contains(&accepted),
                "{accepted}"
            );
            let mut expected = first..next;
            while injector
                .pop(
                    50,
                    |_| {},
                    |_, item| assert_eq!(Some(item), expected.next()),
                )
                .taken
                > 0
            {}
            assert_eq!(expected.next(), None);
            assert!(injector.segments_in_use() <= 1 + pinned(start, SEGMENT));
        }
    }
}

fn crowd(injector: &Injector<Box<u64>>, capacity: u64, each: u64) {
    const PRODUCERS: u64 = 3;
    let start = injector.head();
    let seen: Vec<_> = (0..PRODUCERS * each)
        .map(|_| AtomicBool::new(false))
        .collect();
    let (taken, skipped) = (AtomicU64::new(0), AtomicU64::new(0));
    // A capacity, as an engine counts it.
    let admits = |position: u64, want: usize| {
        (injector.head() + capacity)
            .saturating_sub(position)
            .min(want as u64) as usize
    };
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            scope.spawn(move || {
                let mut item = producer * each;
                let end = item + each;
                while item < end {
                    if item % 3 == 0 {
                        let batch = (end - item).min(1 + item % 40);
                        let mut items: Vec<_> = (item..item + batch)
                            .map(|item| Some(Box::new(item)))
                            .collect();
                        let mut rest = &mut items[..];
                        while !rest.is_empty() {
                            let done = match injector.push_batch(rest, admits) {
                                Ok(done) | Err(Rejected::Full(done)) => done,
                                Err(Rejected::Closed(_)) => panic!("not closed yet"),
                            };
                            rest = &mut rest[done..];
                            if done == 0 {
                                thread::yield_now();
                            }
                        }
                        item += batch;
                    } else {
                        let boxed = Box::new(item);
                        match injector.push(boxed, |position| admits(position, 1) == 1) {
                            Ok(_) => item += 1,
                            Err(_) => thread::yield_now(),
                        }
                    }
                }
            });
        }
        for most in [1, 7, 64] {
            let (seen, taken, skipped) = (&seen, &taken, &skipped);
            scope.spawn(move || {
                let mut last = [None; PRODUCERS as usize];
                while taken.load(Ordering::Relaxed) < PRODUCERS * each {
                    let popped = injector.pop(
                        most,
                        |_| {},
                        |_, item| {
                            assert!(
                                !seen[*item as usize].swap(true, Ordering::Relaxed),
                                "{item} twice"
                            );
                            let producer = (*item / each) as usize;
                            assert!(
                                last[producer] < Some(*item),
                                "a producer's items keep their order"
                            );
                            last[producer] = Some(*item);
                        },
                    );
                    taken.fetch_add(popped.taken as u64, Ordering::Relaxed);
                    skipped.fetch_add(popped.skipped as u64, Ordering::Relaxed);
                    if popped.taken == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    assert!(seen.into_iter().all(|seen| seen.into_inner()));
    assert_eq!(injector.len(), 0);
    assert_eq!(
        injector.tail() - start,
        taken.into_inner() + skipped.into_inner()
    );
    assert!(
        injector.segments_in_use() <= 1 + pinned(start, SEGMENT),
        "all but the current one are free"
    );
}

/// Three producers, each of which pushes by itself, in batches and at places that it has reserved, and three
/// consumers. Each item leaves once, as far as it says its `number`, and all segments come back.
fn mixed_crowd<T: Send>(item: impl Fn(u64) -> T + Sync, number: impl Fn(T) -> Option<u64> + Sync) {
    const PRODUCERS: u64 = 3;
    const EACH: u64 = if cfg!(miri) { 20 } else { 2_000 };
    let segment = Segments::<T>::POSITIONS;
    for start in starts(segment) {
        let queue = &Injector::at(8, start);
        let seen: Vec<_> = (0..PRODUCERS * EACH)
            .map(|_| AtomicBool::new(false))
            .collect();
        let taken = &AtomicU64::new(0);
        let (item, number, seen) = (&item, &number, &seen);
        thread::scope(|scope| {
            for producer in 0..PRODUCERS {
                scope.spawn(move || {
                    let mut reserve = Reserve::default();
                    let mut next = producer * EACH;
                    let end = next + EACH;
                    while next < end {
                        let done = match next % 4 {
                            0 => {
                                let batch = (end - next).min(1 + next % 17);
                                let numbers = next..next + batch;
                                let mut items: Vec<_> =
                                    numbers.map(|number| Some(item(number))).collect();
                                match queue.push_batch(&mut items, |_, want| want) {
                                    Ok(done) | Err(Rejected::Full(done)) => done,
                                    Err(Rejected::Closed(_)) => panic!("nobody closes"),
                                }
                            }
                            1 => usize::from(queue.push(item(next), |_| true).is_ok()),
                            _ if reserve.is_empty() => {
                                let pushed =
                                    queue.push_and_reserve(&mut reserve, item(next), |_, n| n);
                                if pushed.is_err() {
                                    queue.reclaim(queue.head(), queue.tail());
                                }
                                usize::from(pushed.is_ok())
                            }
                            _ => usize::from(queue.push_reserved(&mut reserve, item(next)).is_ok()),
                        };
                        next += done as u64;
                        if done == 0 {
                            thread::yield_now();
                        }
                    }
                    queue.leave(&mut reserve);
                });
            }
            for most in [1, 7, 64] {
                scope.spawn(move || {
                    let sink = |_, item| {
                        if let Some(number) = number(item) {
                            let seen = &seen[number as usize];
                            assert!(!seen.swap(true, Ordering::Relaxed), "{number} twice");
                        }
                    };
                    while taken.load(Ordering::Relaxed) < PRODUCERS * EACH {
                        let popped = queue.pop(most, |_| {}, sink);
                        taken.fetch_add(popped.taken as u64, Ordering::Relaxed);
                        if popped.taken == 0 {
                            thread::yield_now();
                        }
                    }
                });
            }
        });
        assert_eq!(taken.load(Ordering::Relaxed), PRODUCERS * EACH);
        // What was left is passed over.
        queue.close();
        while queue.pop(64, |_| {}, |_, _| panic!("one more")) != Popped::default() {}
        assert!(queue.segments_in_use() <= 1 + pinned(start, segment));
    }
}

#[test]
fn items_of_any_kind_leave_once() {
    mixed_crowd(Box::new, |item| Some(*item));
    mixed_crowd(|_| (), |()| None);
}

/// Seven of them are a segment.
#[test]
fn items_leave_once_whose_segments_have_one_group() {
    const BYTES: usize = 5_000;
    assert_eq!(Segments::<(u64, [u8; BYTES])>::GROUPS, 1);
    mixed_crowd(
        |number| (number, [number as u8; BYTES]),
        |(number, bytes)| {
            assert!(bytes == [number as u8; BYTES], "of one piece");
            Some(number)
        },
    );

    #[repr(align(4096))]
    struct Aligned(u64);
    assert_eq!(Segments::<Aligned>::GROUPS, 1);
    mixed_crowd(Aligned, |Aligned(number)| Some(number));
}

#[test]
fn every_item_leaves_once_and_every_position_is_accounted_for() {
    let each = if cfg!(miri) { 25 } else { 20_000 };
    let starts = if cfg!(miri) {
        &STARTS[4..5]
    } else {
        &STARTS[..]
    };
    for &start in starts {
        for capacity in [1, 3, 64, 1000] {
            let injector = Injector::at((capacity / SEGMENT + 3).next_power_of_two(), start);
            crowd(&injector, capacity as u64, each);
        }
    }
    if !cfg!(miri) {
        crowd(&Injector::unbounded(), 5000, each);
    }
}

#[test]
fn a_producer_that_races_the_close_is_in_or_gets_its_item_back() {
    for round in 0..if cfg!(miri) { 5 } else { 2000 } {
        let injector = Injector::at(4, STARTS[round % STARTS.len()]);
        let accepted: u64 = thread::scope(|scope| {
            let producers: Vec<_> = (0..3_u64)
                .map(|producer| {
                    let injector = &injector;
                    scope.spawn(move || {
                        let mut accepted = 0;
                        for _ in 0..20 {
                            match injector.push(Box::new(producer), |_| true) {
                                Ok(_) => accepted += 1,
                                Err(Rejected::Closed(back)) => assert_eq!(*back, producer),
                                Err(Rejected::Full(_)) => panic!("there is room"),
                            }
                        }
                        accepted
                    })
                })
                .collect();
            (0..round % 50).for_each(|_| thread::yield_now());
            injector.close();
            producers
                .into_iter()
                .map(|producer| producer.join().unwrap())
                .sum()
        });
        let mut taken = 0;
        loop {
            let popped = injector.pop(100, |_| {}, |_, _| {});
            taken += popped.taken as u64;
            if popped == Popped::default() {
                break;
            }
        }
        assert_eq!(taken, accepted);
    }
}

/// Suspends a thread in `push` at each of these points; the others must not notice.
#[test]
fn a_suspended_producer_stops_nobody_and_keeps_its_item() {
    for point in [
        "injector push: looked, not claimed",
        "injector push: claimed, not written",
        "injector push: written, not published",
    ] {
        for start in if cfg!(miri) {
            &STARTS[4..5]
        } else {
            &STARTS[..]
        } {
            let start = *start;
            let injector = &Injector::at(4, start);
            let stall = Stall::at(point, 0);
            thread::scope(|scope| {
                let watched = Arc::clone(&stall);
                let suspended = scope.spawn(move || {
                    watched.watch();
                    injector.push(1000, |_| true).unwrap()
                });
                while !stall.holds_one() {
                    thread::yield_now();
                }
                assert!(!injector.has_published(), "{point}");
                assert_eq!(injector.pop(1, |_| {}, |_, _| {}).taken, 0);
                let mut items = Vec::new();
                for item in 0..MANY {
                    injector.push(item, |_| true).unwrap();
                    assert!(injector.has_published());
                    while injector.pop(9, |_| {}, |_, item| items.push(item)).taken == 0 {}
                }
                assert!(items.into_iter().eq(0..MANY), "{point}");
                assert!(
                    injector.segments_in_use() <= 3 + pinned(start, SEGMENT),
                    "it pins one segment"
                );
                stall.release();
                let position = suspended.join().unwrap();
                let popped = injector.pop(
                    9,
                    |_| {},
                    |at, item| assert_eq!((at, item), (position, 1000)),
                );
                assert_eq!(popped.taken, 1);
                assert_eq!(injector.len(), 0);
                assert!(injector.segments_in_use() <= 1 + pinned(start, SEGMENT));
            });
        }
    }
}

#[test]
fn a_suspended_batch_keeps_its_order_when_it_is_overtaken() {
    for pass in 0..3 {
        let injector = &Injector::at(8, SEGMENT as u64 - 10);
        let stall = Stall::at("injector push_batch: written, not published", pass);
        thread::scope(|scope| {
            let watched = Arc::clone(&stall);
            let suspended = scope.spawn(move || {
                watched.watch();
                let mut items: Vec<_> = (1000..1030).map(Some).collect();
                assert_eq!(injector.push_batch(&mut items, |_, want| want).unwrap(), 30);
            });
            while !stall.holds_one() {
                thread::yield_now();
            }
            let mut items = Vec::new();
            for item in 0..100 {
                injector.push(item, |_| true).unwrap();
                while injector.pop(9, |_| {}, |_, item| items.push(item)).taken == 0 {}
            }
            stall.release();
            suspended.join().unwrap();
            while injector.pop(9, |_| {}, |_, item| items.push(item)).taken > 0 {}
            let (batch, others): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|item| *item >= 1000);
            assert!(batch.into_iter().eq(1000..1030));
            assert!(others.into_iter().eq(0..100));
        });
    }
}

#[test]
fn a_suspended_consumer_stops_nobody_and_keeps_its_items() {
    for point in [
        "injector pop: looked, not claimed",
        "injector pop: claimed, not read",
    ] {
        let injector = &Injector::at(4, TAGS_WRAP - SEGMENT as u64);
        let stall = Stall::at(point, 0);
        for item in 0..10 {
            assert_eq!(
                injector.push(item, |_| true).unwrap(),
                TAGS_WRAP - SEGMENT as u64 + item
            );
        }
        let mut items = Vec::new();
        thread::scope(|scope| {
            let watched = Arc::clone(&stall);
            let suspended = scope.spawn(move || {
                watched.watch();
                let mut items = Vec::new();
                let _ = injector.pop(4, |_| {}, |_, item| items.push(item));
                items
            });
            while !stall.holds_one() {
                thread::yield_now();
            }
            for item in 10..MANY {
                injector.push(item, |_| true).unwrap();
                while injector.pop(9, |_| {}, |_, item| items.push(item)).taken > 0 {}
            }
            stall.release();
            items.extend(suspended.join().unwrap());
        });
        items.sort_unstable();
        assert!(items.into_iter().eq(0..MANY));
        assert!(injector.segments_in_use() <= 1);
    }
}

/// Against a map from positions to items: what two producers reserve, use, leave and lose.
#[test]
fn reserved_places_keep_the_order_and_their_segments_come_back() {
    for (seed, start) in STARTS.into_iter().enumerate() {
        let queue = Injector::at(64, start);
        let mut reserves = [Reserve::default(), Reserve::default()];
        let mut model = BTreeMap::new();
        let mut dice = seed as u64 + 1;
        let (mut pushed, mut skipped) = (0, 0);
        for step in 0..if cfg!(miri) { 200 } else { 5000 } {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let roll = dice >> 33;
            let reserve = &mut reserves[roll as usize % 2];
            let position = match roll / 2 % 10 {
                0 => queue.push(step, |_| true).ok(),
                1..4 if reserve.is_empty() => {
                    let most = roll as usize / 20 % 8 + 1;
                    let ahead = |_, want: usize| want.min(most);
                    queue.push_and_reserve(reserve, step, ahead).ok()
                }
                1..6 if !reserve.is_empty() => {
                    let next = reserve.next();
                    let vacant = queue.is_vacant(next);
                    let used = queue.push_reserved(reserve, step);
                    assert!(vacant || used.is_err());
                    assert!(used.is_ok() || reserve.is_empty());
                    used.ok()
                }
                6 => {
                    queue.leave(reserve);
                    None
                }
                7 => {
                    let (head, tail) = (queue.head(), queue.tail());
                    let void = queue.reclaim(head, tail);
                    assert_eq!(void, queue.vacant(head, tail), "none is reserved any more");
                    None
                }
                _ => {
                    let mut taken = Vec::new();
                    let most = roll as usize / 20 % 9;
                    let popped = queue.pop(most, |_| {}, |at, item| taken.push((at, item)));
                    skipped += popped.skipped as u64;
                    for taken in taken {
                        assert_eq!(Some(taken), model.pop_first());
                    }
                    None
                }
            };
            if let Some(position) = position {
                assert_eq!(model.insert(position, step), None);
                pushed += 1;
            }
            assert_eq!(queue.given() - start, pushed + skipped);
        }
        reserves.iter_mut().for_each(|reserve| queue.leave(reserve));
        queue.close();
        while queue.len() > 0 {
            let expect = |at, item| assert_eq!(Some((at, item)), model.pop_first());
            let _ = queue.pop(100, |_| {}, expect);
        }
        assert!(model.is_empty());
        assert!(queue.segments_in_use() <= 1 + pinned(start, SEGMENT));
    }
}
