//! What `ThreadPool` promises, promise by promise.

#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;

mod broadcasting;
mod ending;
mod executing;
mod grouping;
mod nesting;
mod pairing;
mod panics;
mod scoping;
mod slicing;
mod spawning;
mod streaming;
mod types;

use common::Door;
use workcrew::ThreadPool;

/// A pool whose workers all stand at the door.
fn busy(workers: usize, job_capacity: usize, door: &Door) -> ThreadPool {
    let pool = ThreadPool::builder()
        .workers(workers)
        .job_capacity(job_capacity)
        .build()
        .unwrap();
    for _ in 0..workers {
        let door = door.clone();
        pool.execute(move || door.pass()).unwrap();
    }
    door.wait_for(workers);
    pool
}

/// Holds the law of conservation against a snapshot.
#[track_caller]
fn assert_conserved(stats: &workcrew::ThreadPoolStats) {
    let parts = stats.queued
        + stats.running
        + stats.completed
        + stats.panicked
        + stats.cancelled
        + stats.returned;
    assert_eq!(stats.accepted, parts, "{stats}");
}
