//! `cargo bench -p workcrew-bench --bench primitives`: what the queues cost on one thread, under criterion.
//!
//! One thread is not what a queue is for, but it is where a locked instruction too many shows, free of the noise of
//! caches that talk to each other. All items are 8 bytes, all queues have room for 1024 or grow.

use std::hint::black_box;
use std::iter;
use std::ops::Range;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use crossbeam_deque::{Injector, Steal, Worker};
use crossbeam_queue::{ArrayQueue, SegQueue};

/// Room in the bounded queues.
const CAPACITY: usize = 1024;

/// Items of a batch.
const BATCH: u64 = 64;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("deque, push + pop");
    deques_one_by_one(&mut group);
    #[cfg(feature = "bench-internals")]
    own::deque_one_by_one(&mut group);
    group.finish();

    let mut group = criterion.benchmark_group("deque, batches of 64");
    group.throughput(Throughput::Elements(BATCH));
    deques_in_batches(&mut group);
    #[cfg(feature = "bench-internals")]
    own::deque_in_batches(&mut group);
    group.finish();

    let mut group = criterion.benchmark_group("injector, push + pop");
    injectors_one_by_one(&mut group);
    #[cfg(feature = "bench-internals")]
    own::injector_one_by_one(&mut group);
    group.finish();

    let mut group = criterion.benchmark_group("injector, batches of 64");
    group.throughput(Throughput::Elements(BATCH));
    injectors_in_batches(&mut group);
    #[cfg(feature = "bench-internals")]
    own::injector_in_batches(&mut group);
    group.finish();

    criterion.final_summary();
}

/// Pushes one item and pops it.
fn one_by_one<Q>(
    group: &mut Group<'_>,
    name: &str,
    mut queue: Q,
    push: impl Fn(&mut Q, u64),
    pop: impl Fn(&mut Q) -> Option<u64>,
) {
    let mut next = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            next += 1;
            push(&mut queue, next);
            assert_eq!(pop(&mut queue), Some(next));
        });
    });
}

/// Pushes a batch of items, then pops them all; `pop` returns their sum. A queue that knows no batches at one end does
/// that end one by one.
fn in_batches<Q>(
    group: &mut Group<'_>,
    name: &str,
    mut queue: Q,
    push: impl Fn(&mut Q, Range<u64>),
    pop: impl Fn(&mut Q) -> u64,
) {
    let expected: u64 = (0..BATCH).sum();
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            push(&mut queue, 0..black_box(BATCH));
            assert_eq!(pop(&mut queue), expected);
        });
    });
}

fn deques_one_by_one(group: &mut Group<'_>) {
    one_by_one(
        group,
        "crossbeam fifo",
        Worker::new_fifo(),
        |deque, item| deque.push(item),
        |deque| deque.pop(),
    );
    one_by_one(
        group,
        "crossbeam lifo",
        Worker::new_lifo(),
        |deque, item| deque.push(item),
        |deque| deque.pop(),
    );
    one_by_one(
        group,
        "st3 fifo",
        st3::fifo::Worker::new(CAPACITY),
        |deque, item| deque.push(item).expect("there is room"),
        |deque| deque.pop(),
    );
    one_by_one(
        group,
        "st3 lifo",
        st3::lifo::Worker::new(CAPACITY),
        |deque, item| deque.push(item).expect("there is room"),
        |deque| deque.pop(),
    );
}

fn deques_in_batches(group: &mut Group<'_>) {
    in_batches(
        group,
        "crossbeam fifo",
        Worker::new_fifo(),
        |deque, items| items.for_each(|item| deque.push(item)),
        |deque| iter::from_fn(|| deque.pop()).sum(),
    );
    in_batches(
        group,
        "st3 fifo",
        st3::fifo::Worker::new(CAPACITY),
        |deque, items| deque.extend(items),
        |deque| deque.drain(|items| items).expect("there are items").sum(),
    );
}

fn injectors_one_by_one(group: &mut Group<'_>) {
    one_by_one(
        group,
        "crossbeam Injector",
        Injector::new(),
        |queue, item| queue.push(item),
        |queue| queue.steal().success(),
    );
    one_by_one(
        group,
        "crossbeam SegQueue",
        SegQueue::new(),
        |queue, item| queue.push(item),
        |queue| queue.pop(),
    );
    one_by_one(
        group,
        "crossbeam ArrayQueue",
        ArrayQueue::new(CAPACITY),
        |queue, item| queue.push(item).expect("there is room"),
        |queue| queue.pop(),
    );
}

fn injectors_in_batches(group: &mut Group<'_>) {
    in_batches(
        group,
        "crossbeam Injector",
        (Injector::new(), Worker::new_fifo()),
        |(queue, _), items| items.for_each(|item| queue.push(item)),
        |(queue, local)| {
            let mut sum = 0;
            // A worker's way: a batch at a time into its own deque, and from there one by one.
            while let Steal::Success(item) = queue.steal_batch_and_pop(local) {
                sum += item;
                sum += iter::from_fn(|| local.pop()).sum::<u64>();
            }
            sum
        },
    );
    in_batches(
        group,
        "crossbeam SegQueue",
        SegQueue::new(),
        |queue, items| items.for_each(|item| queue.push(item)),
        |queue| iter::from_fn(|| queue.pop()).sum(),
    );
}

/// `workcrew`'s own queues. They are private, but for the feature.
#[cfg(feature = "bench-internals")]
mod own {
    use super::{BATCH, CAPACITY, Group, in_batches, one_by_one};

    pub(super) fn deque_one_by_one(group: &mut Group<'_>) {
        for name in ["workcrew", "workcrew, biased"] {
            let (mut local, _stealer) = workcrew::__bench::ring(CAPACITY);
            if name != "workcrew" {
                local.bias();
            }
            one_by_one(
                group,
                name,
                local,
                |local, item| local.push(item).expect("there is room"),
                |local| local.pop(),
            );
        }
    }

    pub(super) fn deque_in_batches(group: &mut Group<'_>) {
        let ends = workcrew::__bench::ring(CAPACITY);
        in_batches(
            group,
            "workcrew",
            ends,
            |(local, _), items| {
                for item in items {
                    local.stage(item).expect("there is room");
                }
                local.publish();
            },
            |(_, stealer)| {
                let mut sum = 0;
                while stealer.drain(CAPACITY, |item| sum += item).is_some() {}
                sum
            },
        );
    }

    pub(super) fn injector_one_by_one(group: &mut Group<'_>) {
        one_by_one(
            group,
            "workcrew",
            workcrew::__bench::injector(CAPACITY),
            |queue, item| {
                queue.push(item).expect("there is room");
            },
            |queue| queue.pop(),
        );
    }

    pub(super) fn injector_in_batches(group: &mut Group<'_>) {
        in_batches(
            group,
            "workcrew",
            workcrew::__bench::injector(CAPACITY),
            |queue, items| {
                let mut items: [_; BATCH as usize] =
                    std::array::from_fn(|i| Some(items.start + i as u64));
                queue.push_batch(&mut items);
            },
            |queue| {
                let mut sum = 0;
                while queue.pop_batch(CAPACITY, |item| sum += item) > 0 {}
                sum
            },
        );
    }
}
