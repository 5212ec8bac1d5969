//! The injector and the deque under stress: whatever the threads see of them, a sequential
//! queue could have answered so. And what the check is worth: queues that are broken.
//!
//! With reserved places the sequential queue is a bag, and what one call takes need not leave it
//! in one step: a place that the call passes over may be filled until it has done so.
//!
//! Not checked: "full". A place counts as taken from the moment that it is claimed, so a queue
//! may be full with an item that is not in yet, and that comes later if its place is poisoned.

use crate::deque::{Steal, ring_at};
use crate::history::{Bag, Call, Fifo, Recorder};
use crate::injector::{Injector, Reserve};
use crate::probe::yield_at_every;
use proptest::prelude::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const THREADS: usize = 3;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 1000 },
        failure_persistence: None,
        // What fails once need not fail again.
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    }
}

/// What one thread does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    Batch(usize),
    Take(usize),
    Close,
    /// Where places can be reserved: so many are, if none is left.
    Reserve(usize),
    Leave,
}

#[derive(Clone, Debug)]
struct Plan {
    steps: Vec<Step>,
    /// The thread gives its core away at one in so many points of the protocols.
    every: u32,
}

/// More takes than pushes: among many items that wait, whose pushes overlapped, the search for
/// an order would take for ever.
fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let step = prop_oneof![
        60 => Just(Step::Push),
        20 => (2..5_usize).prop_map(Step::Batch),
        120 => (1..5_usize).prop_map(Step::Take),
        1 => Just(Step::Close),
        30 => (1..6_usize).prop_map(Step::Reserve),
        5 => Just(Step::Leave),
    ];
    let steps = prop::collection::vec(step, 1..if cfg!(miri) { 6 } else { 16 });
    let plan = (steps, 1..8_u32).prop_map(|(steps, every)| Plan { steps, every });
    prop::collection::vec(plan, THREADS)
}

/// A queue with any number of producers and consumers.
trait Queue: Sync {
    /// Whether it went in; else the queue is closed.
    fn push(&self, item: u32) -> bool;
    /// How many went in, from the front.
    fn push_batch(&self, items: &mut [Option<u32>]) -> usize;
    fn push_reserved(&self, item: u32, ahead: usize, reserve: &mut Reserve) -> bool;
    fn leave(&self, _reserve: &mut Reserve) {}
    fn take(&self, most: usize) -> Vec<u32>;
    fn close(&self);
}

impl Queue for Injector<u32> {
    fn push(&self, item: u32) -> bool {
        self.add(item).is_ok()
    }

    fn push_batch(&self, items: &mut [Option<u32>]) -> usize {
        let _ = Injector::push_batch(self, items, |_, want| want);
        items.iter().filter(|item| item.is_none()).count()
    }

    fn push_reserved(&self, item: u32, ahead: usize, reserve: &mut Reserve) -> bool {
        if !reserve.is_empty() && Injector::push_reserved(self, reserve, item).is_ok() {
            return true;
        }
        let admits = |_, want: usize| want.min(ahead);
        self.push_and_reserve(reserve, item, admits).is_ok()
    }

    fn leave(&self, reserve: &mut Reserve) {
        Injector::leave(self, reserve);
    }

    fn take(&self, most: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        let _ = self.pop(most, |_| {}, |_, item| taken.push(item));
        taken
    }

    fn close(&self) {
        Injector::close(self);
    }
}

/// Notes what the threads see of the queue as they follow their plans, and of the rest that a
/// last one finds.
fn record(queue: &impl Queue, plans: &[Plan], reserve: bool) -> Recorder {
    let recorder = Recorder::default();
    let start = Barrier::new(plans.len());
    let numbers = AtomicU32::new(0);
    let fresh = || numbers.fetch_add(1, Ordering::Relaxed);
    let pushed = |item, accepted| match accepted {
        true => Call::Push(vec![item]),
        false => Call::Refused,
    };
    let taken = |items: Vec<u32>| match items.len() {
        2.. if reserve => items
            .into_iter()
            .map(|item| Call::Take(vec![item]))
            .collect(),
        _ => vec![Call::Take(items)],
    };
    thread::scope(|scope| {
        for plan in plans {
            let (start, recorder) = (&start, &recorder);
            scope.spawn(move || {
                let mut places = Reserve::default();
                yield_at_every(plan.every);
                start.wait();
                for step in &plan.steps {
                    match *step {
                        Step::Reserve(ahead) if reserve => recorder.note(|| {
                            let item = fresh();
                            vec![pushed(item, queue.push_reserved(item, ahead, &mut places))]
                        }),
                        Step::Push | Step::Reserve(_) => recorder.note(|| {
                            let item = fresh();
                            vec![pushed(item, queue.push(item))]
                        }),
                        // Not in one step: others may come between.
                        Step::Batch(count) => recorder.note(|| {
                            let items: Vec<_> = (0..count).map(|_| fresh()).collect();
                            let mut left: Vec<_> = items.iter().copied().map(Some).collect();
                            let done = queue.push_batch(&mut left);
                            let accepted = (0..count).map(|nth| nth < done);
                            items
                                .into_iter()
                                .zip(accepted)
                                .map(|(item, accepted)| pushed(item, accepted))
                                .collect()
                        }),
                        Step::Take(most) => recorder.note(|| taken(queue.take(most))),
                        // Reserved places outlive the close: who uses them asks first.
                        Step::Close if reserve => {}
                        Step::Close => recorder.note(|| {
                            queue.close();
                            vec![Call::Close]
                        }),
                        Step::Leave => queue.leave(&mut places),
                    }
                }
                queue.leave(&mut places);
            });
        }
    });
    let mut last = false;
    while !last {
        recorder.note(|| {
            let rest = queue.take(8);
            last = rest.is_empty();
            taken(rest)
        });
    }
    recorder
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_injectors_histories_are_those_of_a_queue(
        plans in plans(),
        // At the beginning, at the edges of a group and of a segment.
        start in prop::sample::select(&[0, 6, 55][..]),
    ) {
        record(&Injector::at(16, start), &plans, false).assert_linearizable::<Fifo>();
    }

    #[test]
    fn with_reserved_places_an_injectors_histories_are_those_of_a_bag(
        plans in plans(),
        start in prop::sample::select(&[0, 6, 55][..]),
    ) {
        record(&Injector::at(16, start), &plans, true).assert_linearizable::<Bag>();
    }

    #[test]
    fn a_deques_histories_are_those_of_a_queue(
        plans in plans(),
        start in prop::sample::select(&[0, u64::MAX - 3, u64::MAX - 9][..]),
    ) {
        record_deque(&plans, start).assert_linearizable::<Fifo>();
    }
}

/// The first thread has the owner's end; the others steal whatever their plans say.
fn record_deque(plans: &[Plan], start: u64) -> Recorder {
    let (mut local, stealer) = ring_at(8, start);
    let recorder = Recorder::default();
    let barrier = Barrier::new(plans.len());
    thread::scope(|scope| {
        for plan in &plans[1..] {
            let (barrier, recorder, stealer) = (&barrier, &recorder, &stealer);
            scope.spawn(move || {
                yield_at_every(plan.every);
                barrier.wait();
                for step in &plan.steps {
                    recorder.note(|| {
                        let mut taken = Vec::new();
                        let sink = |item| taken.push(item);
                        let outcome = match *step {
                            Step::Take(most) => stealer.steal(most, sink),
                            Step::Batch(most) => stealer.drain(most, sink),
                            _ => stealer.steal(1, sink),
                        };
                        match outcome {
                            // Another was faster: that says nothing.
                            Steal::Retry => vec![],
                            Steal::Empty | Steal::Taken(_) => vec![Call::Take(taken)],
                        }
                    });
                }
            });
        }
        yield_at_every(plans[0].every);
        barrier.wait();
        let mut next = 0;
        for step in plans[0]
            .steps
            .iter()
            .cycle()
            .take(if cfg!(miri) { 6 } else { 16 })
        {
            recorder.note(|| match *step {
                Step::Take(_) | Step::Close | Step::Leave => {
                    vec![Call::Take(local.pop().into_iter().collect())]
                }
                Step::Batch(most) | Step::Reserve(most) => {
                    let items: Vec<_> = (next..next + local.room(most) as u32).collect();
                    next += items.len() as u32;
                    let mut staged = items.iter().map(|item| local.stage(*item));
                    assert!(staged.all(|staged| staged.is_ok()));
                    local.publish();
                    vec![Call::Push(items)]
                }
                Step::Push => match local.push(next) {
                    Ok(()) => {
                        next += 1;
                        vec![Call::Push(vec![next - 1])]
                    }
                    // A thief may still be reading.
                    Err(_) => vec![],
                },
            });
        }
        yield_at_every(0);
    });
    while let Some(item) = local.pop() {
        recorder.note(|| vec![Call::Take(vec![item])]);
    }
    recorder
}

/// An injector that now and then does what no queue may.
struct Broken {
    inner: Injector<u32>,
    pushes: AtomicU32,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// Says that an item is in which is not.
    Loses,
    Doubles,
    /// Two items change places.
    Swaps,
    /// Says that it is empty, though it is not.
    LooksAway,
}

impl Queue for Broken {
    fn push(&self, item: u32) -> bool {
        let odd = self.pushes.fetch_add(1, Ordering::Relaxed) % 8 == 5;
        match self.fault {
            Fault::Loses if odd => true,
            Fault::Doubles if odd => self.inner.add(item).is_ok() && self.inner.add(item).is_ok(),
            Fault::Swaps if odd => {
                let before = self.inner.take(1);
                let pushed = self.inner.add(item).is_ok();
                before
                    .into_iter()
                    .for_each(|item| assert!(self.inner.add(item).is_ok()));
                pushed
            }
            _ => self.inner.add(item).is_ok(),
        }
    }

    fn push_batch(&self, items: &mut [Option<u32>]) -> usize {
        Queue::push_batch(&self.inner, items)
    }

    fn push_reserved(&self, item: u32, _: usize, _: &mut Reserve) -> bool {
        self.push(item)
    }

    fn take(&self, most: usize) -> Vec<u32> {
        if self.fault == Fault::LooksAway && self.pushes.load(Ordering::Relaxed) % 8 == 5 {
            return Vec::new();
        }
        self.inner.take(most)
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// Plays fixed plans until a history is found wrong; says how many it took.
fn rounds_until_found(fault: Fault) -> Option<usize> {
    let plan = |every| Plan {
        steps: [
            Step::Push,
            Step::Push,
            Step::Take(1),
            Step::Batch(2),
            Step::Take(3),
        ]
        .repeat(3),
        every,
    };
    let plans = [plan(2), plan(3), plan(5)];
    (1..=50).find(|_| {
        let queue = Broken {
            inner: Injector::at(16, 0),
            pushes: AtomicU32::new(0),
            fault,
        };
        record(&queue, &plans, false)
            .linearizable::<Fifo>()
            .is_err()
    })
}

#[test]
#[cfg_attr(miri, ignore = "about the check, not about memory")]
fn queues_that_are_broken_are_found_out() {
    assert_eq!(rounds_until_found(Fault::None), None);
    for fault in [Fault::Loses, Fault::Doubles, Fault::Swaps, Fault::LooksAway] {
        assert!(rounds_until_found(fault).is_some(), "{fault:?}");
    }
}
