//! `cargo bench -p workcrew-bench --bench jobs_results`: the jobs/results contract against the channel-based design
//! (two bounded channels and threads), under criterion. Empty jobs, so all of the time is the pool's.
//!
//! Criterion measures one subject after the other, so minutes lie between the two sides of a comparison: good for
//! following one subject from change to change, while `ratios` says who is faster.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use workcrew_bench::channel_pool::{ChannelPool, Crossbeam};
use workcrew_bench::drive::{self, Shape};
use workcrew_bench::job::{equal_jobs, sum_in_a_plain_loop};
use workcrew_bench::workcrew_pool::{Batched, OneByOne};
use workcrew_bench::{Capacity, Crew};

/// Jobs of a pass; enough for its start not to count.
const JOBS: u32 = 100_000;

/// Round trips of a pass.
const TRIPS: u32 = 1_000;

fn main() {
    let round_trips = Shape::RoundTrips {
        pause: Duration::ZERO,
    };
    let mut criterion = Criterion::default().configure_from_args();
    for (name, shape, jobs, capacity) in [
        ("W1a", Shape::FillThenDrain, JOBS, JOBS as usize),
        ("W1b-1024", Shape::Stream, JOBS, 1024),
        ("W1b-64", Shape::Stream, JOBS, 64),
        ("W4-hot", round_trips, TRIPS, 1024),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(jobs.into()));
        group.sample_size(20);
        for workers in [1, 2, 4, 8] {
            let capacity = Capacity {
                workers,
                jobs: capacity,
                results: capacity,
            };
            measure::<OneByOne>(&mut group, "workcrew", shape, jobs, capacity);
            if shape != round_trips {
                measure::<Batched>(&mut group, "workcrew-batches", shape, jobs, capacity);
            }
            measure::<ChannelPool<Crossbeam>>(
                &mut group,
                "crossbeam-channel",
                shape,
                jobs,
                capacity,
            );
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Measures passes of one subject; the threads start once and are warm by criterion's own warm-up.
fn measure<C: Crew>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    subject: &str,
    shape: Shape,
    jobs: u32,
    capacity: Capacity,
) {
    let jobs = equal_jobs(jobs, 0);
    let expected = sum_in_a_plain_loop(&jobs);
    let id = BenchmarkId::new(subject, capacity.workers);
    group.bench_function(id, |bencher| {
        let mut crew = C::start(capacity);
        bencher.iter_custom(|passes| {
            let pass = |_| {
                let (cost, sum) = drive::pass(&mut crew, shape, &jobs, |_| ());
                assert_eq!(sum, expected, "the results are not those of the jobs");
                cost.wall
            };
            (0..passes).map(pass).sum()
        });
        assert_eq!(crew.stop(), 0, "more results than jobs");
    });
}
