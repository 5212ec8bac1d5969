//! The nest against a `VecDeque`, and against thieves.

use super::{InPlace, Nest, Stolen};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// Before, at and after the place where positions wrap.
const STARTS: [u64; 4] = [0, u64::MAX, u64::MAX - 3, 1 << 40];

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(usize),
    Pop(usize),
    Steal(Option<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..3_usize).prop_map(Step::Push),
        3 => (1..3_usize).prop_map(Step::Pop),
        1 => Just(Step::Steal(None)),
        1 => (1..3_usize).prop_map(|tag| Step::Steal(Some(tag))),
    ];
    prop::collection::vec(step, 0..if cfg!(miri) { 30 } else { 200 })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_nest_is_a_stack_for_its_owner_and_a_queue_for_thieves(
        slots in 1..10_usize,
        start in prop::sample::select(&STARTS[..]),
        steps in steps(),
    ) {
        let nest = Nest::<(u32, Arc<()>)>::new_at(slots, start);
        // SAFETY: there is one thread.
        let owner = unsafe { nest.owner() };
        let mut model = VecDeque::new();
        let alive = Arc::new(());
        let mut next = 0;
        for step in steps {
            match step {
                Step::Push(tag) => {
                    next += 1;
                    match owner.push(tag, || (next, Arc::clone(&alive))) {
                        Ok(()) => model.push_back((tag, next)),
                        Err(make) => {
                            prop_assert_eq!(make().0, next);
                            prop_assert_eq!(model.len(), slots.next_power_of_two());
                        }
                    }
                }
                Step::Pop(tag) => {
                    let fits = model.back().is_some_and(|(its, _)| *its == tag);
                    let want = if fits { model.pop_back() } else { None };
                    prop_assert_eq!(owner.pop(tag).map(|popped| popped.take().0), want.map(|(_, id)| id));
                }
                Step::Steal(tag) => {
                    let fits = |its: &(usize, u32)| tag.is_none_or(|tag| its.0 == tag);
                    let fits = model.front().is_some_and(fits);
                    let want = if fits { model.pop_front() } else { None };
                    let want = want.map(|(_, id)| id);
                    let got = match nest.steal(tag) {
                        Stolen::Item((id, _)) => Some(id),
                        Stolen::Nothing => None,
                        Stolen::Retry => panic!("nobody else is here"),
                    };
                    prop_assert_eq!(got, want);
                }
            }
            prop_assert_eq!(nest.is_empty(), model.is_empty());
            prop_assert_eq!(Arc::strong_count(&alive), 1 + model.len());
        }
        drop(nest);
        prop_assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[test]
fn each_item_comes_out_of_a_nest_once_whoever_takes_it() {
    const ITEMS: usize = if cfg!(miri) { 200 } else { 200_000 };
    for slots in [1, 2, 64] {
        let nest = Nest::<Box<usize>>::new(slots);
        let counts: Vec<_> = (0..ITEMS).map(|_| AtomicU32::new(0)).collect();
        let took = |item: Box<usize>| {
            counts[*item].fetch_add(1, Ordering::Relaxed);
        };
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        match nest.steal(None) {
                            Stolen::Item(item) => took(item),
                            Stolen::Nothing => thread::yield_now(),
                            Stolen::Retry => {}
                        }
                    }
                });
            }
            // SAFETY: this thread's only.
            let owner = unsafe { nest.owner() };
            for item in 0..ITEMS {
                let _ = owner
                    .push(1, || Box::new(item))
                    .map_err(|make| took(make()));
                if item % 3 == 0 {
                    owner.pop(1).map(InPlace::take).into_iter().for_each(took);
                }
            }
            while let Some(item) = owner.pop(1).map(InPlace::take) {
                took(item);
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(nest.is_empty());
        assert!(
            counts
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 1)
        );
    }
}

/// Until a popped item has left its slot.
#[test]
fn nothing_is_pushed_where_a_popped_item_lies() {
    let nest = Nest::<u32>::new(2);
    // SAFETY: there is one thread.
    let owner = unsafe { nest.owner() };
    assert!(owner.push(1, || 1).is_ok());
    assert!(owner.push(1, || 2).is_ok());
    let second = owner.pop(1).unwrap();
    assert_eq!(*second.get(), 2);
    assert!(!owner.has_room());
    assert!(owner.push(1, || 3).is_err());
    let first = owner.pop(1).unwrap();
    assert!(owner.pop(1).is_none());
    assert!(owner.push(1, || 3).is_err());
    assert_eq!(second.take(), 2);
    assert!(owner.push(1, || 3).is_ok());
    // The slot of the first is the next one.
    assert!(owner.push(1, || 4).is_err());
    assert_eq!(first.take(), 1);
    assert!(owner.push(1, || 4).is_ok());
    assert_eq!(owner.pop(1).map(InPlace::take), Some(4));
    assert_eq!(owner.pop(1).map(InPlace::take), Some(3));
}

#[test]
#[should_panic(expected = "not touched")]
fn who_makes_an_item_must_not_touch_the_nest() {
    let nest = Nest::<u32>::new(4);
    // SAFETY: there is one thread.
    let owner = unsafe { nest.owner() };
    let make = || {
        assert!(owner.push(1, || 1).is_ok());
        2
    };
    let _ = owner.push(1, make);
}
