//! A fixed crew of worker threads that runs jobs and hands back results: lock-free,
//! without channels, model-checked.
//!
//! ```
//! use workcrew::WorkerPool;
//!
//! let (pool, results) = WorkerPool::<u64, u64>::builder().workers(3).build(|job, _ctx| job * 2)?;
//! pool.submit_all(1..=5)?;
//! pool.close();
//! let mut doubled: Vec<u64> = results.map(|outcome| outcome.result.unwrap()).collect();
//! doubled.sort();
//! assert_eq!(doubled, [2, 4, 6, 8, 10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`WorkerPool`] is for many jobs of one type whose results matter, [`ThreadPool`] for
//! closures of any type.

#![cfg_attr(
    not(any(test, workcrew_loom)),
    warn(clippy::disallowed_types, clippy::disallowed_methods)
)]
#![cfg_attr(
    all(test, workcrew_shuttle),
    expect(dead_code, unused_imports, reason = "the loom models' part")
)]

#[cfg(feature = "bench-internals")]
#[doc(hidden)]
#[path = "bench.rs"]
pub mod __bench;
mod deque;
#[cfg(workcrew_shuttle)]
pub mod deterministic;
mod engine;
mod error;
mod gate;
mod idle;
mod injector;
mod oneshot;
mod pace;
mod parker;
mod probe;
mod sync;
mod tally;
mod thread_pool;
mod unwind;
mod worker_pool;

#[cfg(all(test, workcrew_loom, not(workcrew_shuttle)))]
#[path = "../loom-tests/mod.rs"]
mod loom_tests;

#[cfg(all(test, workcrew_shuttle))]
#[path = "../tests/unit/schedules.rs"]
mod schedules;

#[cfg(all(test, any(not(workcrew_loom), workcrew_shuttle)))]
#[path = "../tests/unit/history.rs"]
mod history;

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/linearizability.rs"]
mod linearizability;

// Thousands of scenes: too many for Miri.
#[cfg(all(test, not(workcrew_loom), not(miri)))]
#[path = "../tests/unit/stall.rs"]
mod stall;

pub use error::{
    BroadcastError, BuildError, CancelError, Failure, GroupError, JobError, JobPanic, JoinError,
    MapError, RecvError, RecvTimeoutError, SubmitAllError, SubmitError, SubmitTimeoutError,
    TryMapError, TryRecvError, TrySubmitError, Unsubmitted, WaitError, WaitTimeoutError,
};
pub use tally::WorkerStats;
pub use thread_pool::{
    Group, JobHandle, MapIter, MapIterOrdered, QueuedJob, Scope, ThreadPool, ThreadPoolBuilder,
    ThreadPoolHandle, ThreadPoolStats,
};
pub use worker_pool::{
    Builder, Context, Handle, InOrder, Map, MapOrdered, Outcome, Results, Stats, Submitter,
    WorkerPool,
};
#[cfg(feature = "async")]
pub use worker_pool::{MapStream, ResultStream, Submission};
