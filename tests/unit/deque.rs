//! The deque against a `VecDeque`, against crossbeam's, and against thieves.

use super::{Local, Steal, Stealer, barrier, ring_at};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// Before, at and after the place where positions wrap, and where only their lower 62 bits do, which
/// are in the head.
const STARTS: [u64; 6] = [0, 1, u64::MAX - 3, u64::MAX - 17, (1 << 62) - 5, 1 << 40];

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    /// Stages so many and publishes them at once.
    Batch(usize),
    Pop,
    Steal(usize),
    Drain(usize),
    Bias,
    Share,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Push),
        2 => (0..20_usize).prop_map(Step::Batch),
        3 => Just(Step::Pop),
        2 => (0..20_usize).prop_map(Step::Steal),
        1 => (0..20_usize).prop_map(Step::Drain),
        2 => Just(Step::Bias),
        1 => Just(Step::Share),
    ];
    prop::collection::vec(step, 0..if cfg!(miri) { 30 } else { 200 })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_deque_behaves_like_a_queue_and_drops_each_item_once(
        capacity in 1..20_usize,
        start in prop::sample::select(&STARTS[..]),
        steps in steps(),
    ) {
        let slots = capacity.next_power_of_two();
        let (mut local, stealer) = ring_at::<(u32, Arc<()>)>(capacity, start);
        let mut model = VecDeque::new();
        let alive = Arc::new(());
        let mut next = 0;
        let mut fresh = || {
            next += 1;
            (next, Arc::clone(&alive))
        };
        for step in steps {
            let free = slots - model.len();
            match step {
                Step::Push => {
                    let item = fresh();
                    let id = item.0;
                    prop_assert_eq!(local.room(1), free.min(1));
                    match local.push(item) {
                        Ok(()) => model.push_back(id),
                        Err(back) => {
                            prop_assert_eq!(back.0, id);
                            prop_assert_eq!(free, 0);
                        }
                    }
                }
                Step::Batch(want) => {
                    let room = local.room(want);
                    prop_assert_eq!(room, want.min(free));
                    let before = stealer.len();
                    for _ in 0..room {
                        let item = fresh();
                        model.push_back(item.0);
                        prop_assert!(local.stage(item).is_ok());
                        prop_assert_eq!(stealer.len(), before, "not yet published");
                    }
                    local.publish();
                }
                Step::Pop => {
                    prop_assert_eq!(local.pop().map(|item| item.0), model.pop_front());
                }
                Step::Steal(most) => {
                    let expected = model.len().div_ceil(2).min(most);
                    steal_some(expected, &mut model, |sink| stealer.steal(most, sink))?;
                }
                Step::Drain(most) => {
                    let expected = model.len().min(most);
                    steal_some(expected, &mut model, |sink| stealer.drain(most, sink))?;
                }
                Step::Bias => local.bias(),
                Step::Share => {
                    local.share();
                    prop_assert!(!stealer.is_unshared());
                }
            }
            prop_assert_eq!(local.len(), model.len());
            prop_assert_eq!(stealer.is_empty(), model.is_empty());
            prop_assert_eq!(Arc::strong_count(&alive), 1 + model.len());
        }
        drop(local);
        prop_assert_eq!(Arc::strong_count(&alive), 1 + model.len(), "the stealer keeps the ring");
        drop(stealer);
        prop_assert_eq!(Arc::strong_count(&alive), 1);
    }
}

fn steal_some(
    expected: usize,
    model: &mut VecDeque<u32>,
    steal: impl FnOnce(&mut dyn FnMut((u32, Arc<()>))) -> Steal,
) -> Result<(), TestCaseError> {
    let mut stolen = Vec::new();
    let outcome = steal(&mut |item| stolen.push(item.0));
    let taken = if expected == 0 {
        Steal::Empty
    } else {
        Steal::Taken(expected)
    };
    prop_assert_eq!(outcome, taken);
    prop_assert!(stolen.into_iter().eq(model.drain(..expected)));
    Ok(())
}

/// crossbeam's deque as an oracle (it is for what its readers expect of a deque).
#[cfg(not(miri))]
mod differential {
    use super::*;
    use crossbeam_deque::{Steal as TheirSteal, Worker};

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_deque_behaves_like_crossbeams(
            start in prop::sample::select(&STARTS[..]),
            steps in steps(),
        ) {
            let (mut ours, our_stealer) = ring_at::<u32>(16, start);
            let theirs = Worker::new_fifo();
            let their_stealer = theirs.stealer();
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Push | Step::Batch(_) => {
                        next += 1;
                        if ours.push(next).is_ok() {
                            theirs.push(next);
                        }
                    }
                    Step::Bias => ours.bias(),
                    Step::Share => ours.share(),
                    Step::Pop => prop_assert_eq!(ours.pop(), theirs.pop()),
                    Step::Steal(most) | Step::Drain(most) if most < 7 => {
                        let mut stolen = None;
                        let _ = our_stealer.steal(1, |item| stolen = Some(item));
                        let theirs = match their_stealer.steal() {
                            TheirSteal::Success(item) => Some(item),
                            TheirSteal::Empty => None,
                            TheirSteal::Retry => unreachable!("nobody else is here"),
                        };
                        prop_assert_eq!(stolen, theirs);
                    }
                    Step::Steal(_) | Step::Drain(_) => {
                        let mut stolen = Vec::new();
                        let _ = our_stealer.steal(usize::MAX, |item| stolen.push(item));
                        let to = Worker::new_fifo();
                        let _ = their_stealer.steal_batch(&to);
                        prop_assert_eq!(stolen, std::iter::from_fn(|| to.pop()).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(ours.len(), theirs.len());
            }
        }
    }
}

#[test]
fn a_bias_begins_only_where_no_other_began() {
    let (mut local, stealer) = ring_at(4, u64::MAX);
    (0..3).for_each(|item| local.push(item).unwrap());
    for _ in 0..2 {
        local.bias();
        assert!(stealer.is_unshared());
        assert_eq!(stealer.steal(1, |_| ()), Steal::Taken(1));
        assert!(!stealer.is_unshared());
        assert!(local.pop().is_some());
        local.push(3).unwrap();
    }
    local.bias();
    local.share();
    local.bias();
    assert!(!stealer.is_unshared(), "nothing was taken in between");
    local.pop();
    local.bias();
    assert!(stealer.is_unshared());
    drop(local);
    assert!(
        !stealer.is_unshared(),
        "a ring without an owner is everybody's"
    );
}

#[test]
fn a_sink_that_panics_leaves_no_slot_taken_and_no_item_undropped() {
    let alive = Arc::new(());
    let (mut local, stealer) = ring_at(4, u64::MAX - 1);
    for _ in 0..3 {
        (0..4).for_each(|_| local.push(Arc::clone(&alive)).unwrap());
        assert!(local.push(Arc::clone(&alive)).is_err());
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut seen = 0;
            let _ = stealer.drain(4, |_| {
                seen += 1;
                if seen == 2 {
                    std::panic::resume_unwind(Box::new(()));
                }
            });
        }));
        assert!(unwound.is_err());
        assert_eq!(Arc::strong_count(&alive), 1, "all four were claimed");
        assert!(stealer.is_empty());
    }
}

/// Marks each item, and fails if it was marked before.
#[derive(Default)]
struct Seen(Vec<AtomicBool>);

impl Seen {
    fn new(items: u32) -> Self {
        Self((0..items).map(|_| AtomicBool::new(false)).collect())
    }

    fn mark(&self, item: u32) {
        let twice = self.0[item as usize].swap(true, Ordering::Relaxed);
        assert!(!twice, "{item} was taken twice");
    }

    fn all(&self) -> bool {
        self.0.iter().all(|seen| seen.load(Ordering::Relaxed))
    }
}

/// If its thread panics the others need not wait for more items.
struct EndIfPanicking<'a>(&'a AtomicU32);

impl Drop for EndIfPanicking<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(u32::MAX / 2, Ordering::Relaxed);
        }
    }
}

/// Steals into a ring of its own, as workers do.
fn thief(victim: &Stealer<Box<u32>>, seen: &Seen, taken: &AtomicU32, items: u32, most: usize) {
    let _end = EndIfPanicking(taken);
    let (mut own, _) = ring_at::<Box<u32>>(8, u64::MAX - 5);
    let mut last = None;
    while taken.load(Ordering::Relaxed) < items {
        let room = own.room(most);
        let stolen = victim.steal(room, |item| own.stage(item).expect("room was reserved"));
        own.publish();
        if stolen == Steal::Empty {
            thread::yield_now();
        }
        while let Some(item) = own.pop() {
            seen.mark(*item);
            assert!(last < Some(*item), "a thief sees items in order");
            last = Some(*item);
            taken.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn owner_against_thieves(slots: usize, start: u64, items: u32) {
    let (mut local, stealer): (Local<Box<u32>>, _) = ring_at(slots, start);
    let seen = Seen::new(items);
    let taken = AtomicU32::new(0);
    thread::scope(|scope| {
        for most in [1, 3, 8] {
            let (stealer, seen, taken) = (stealer.clone(), &seen, &taken);
            scope.spawn(move || thief(&stealer, seen, taken, items, most));
        }
        let _end = EndIfPanicking(&taken);
        let take = |item: Box<u32>| {
            seen.mark(*item);
            taken.fetch_add(1, Ordering::Relaxed);
        };
        for number in 0..items {
            let mut item = Box::new(number);
            while let Err(back) = local.push(item) {
                item = back;
                local.pop().map(take);
                thread::yield_now();
            }
            if local.len() % 3 == 0 {
                local.pop().map(take);
            }
            if number % 5 == 0 {
                local.bias();
            }
        }
        local.bias();
        while let Some(item) = local.pop() {
            take(item);
        }
    });
    assert!(seen.all());
}

#[test]
fn every_item_goes_to_the_owner_or_to_one_thief() {
    // Else the light half were a full fence, unless another test has built a pool.
    barrier::prepare();
    let items = if cfg!(miri) { 40 } else { 50_000 };
    let starts = if cfg!(miri) {
        &STARTS[2..3]
    } else {
        &STARTS[..]
    };
    for &start in starts {
        for slots in [1, 2, 16, 256] {
            owner_against_thieves(slots, start, items);
        }
    }
}
