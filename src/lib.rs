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
//! # Which pool do I want?
//!
//! | I have | take |
//! |---|---|
//! | many jobs of one type, and want their results | [`WorkerPool`] |
//! | the same, and jobs or results borrow from the stack | [`WorkerPool`] by [`Builder::scope`] |
//! | closures of any type, whose results I do not need | [`ThreadPool::execute`] |
//! | a closure, and want its result later, here or in a future | [`ThreadPool::spawn`] |
//! | closures that borrow from the stack | [`ThreadPool::scope`] |
//! | closures that may fail, where one failure stops the rest; or at most so many at a time | [`ThreadPool::group`], [`ThreadPool::limited_group`] |
//! | a slice | [`ThreadPool::map`], [`try_map`](ThreadPool::try_map), [`for_each`](ThreadPool::for_each), [`for_each_mut`](ThreadPool::for_each_mut) |
//! | an iterator, perhaps an endless one | [`WorkerPool::map`] or [`ThreadPool::map_iter`] |
//! | a problem that falls into two halves | [`ThreadPool::fork_join`] |
//! | something to do once on each worker | [`ThreadPool::broadcast`] |
//!
//! Both stand on one engine, and share their words and rules: the queue is bounded, workers
//! start at build or none does, and all ends in the same ways.
//!
//! # Jobs and results
//!
//! The function is given once; jobs are values. Each worker may own a state. `submit` waits
//! while [`job_capacity`](Builder::job_capacity) jobs wait, [`try_submit`](Handle::try_submit)
//! does not. Each accepted job has exactly one [`Outcome`].
//!
//! ```
//! use std::collections::HashMap;
//! use workcrew::WorkerPool;
//!
//! let (pool, results) = WorkerPool::<&str, usize>::builder()
//!     .workers(2)
//!     .init(|_worker| HashMap::new()) // one for each worker
//!     .build(|word, ctx| {
//!         *ctx.state.entry(word).or_insert(0) += 1;
//!         word.len()
//!     })?;
//! pool.submit_all(["to", "be", "or", "not", "to", "be"])?;
//! pool.close();
//! assert_eq!(results.map(|outcome| outcome.result.unwrap()).sum::<usize>(), 13);
//! let words: u32 = pool.shutdown()?.iter().flat_map(HashMap::values).sum();
//! assert_eq!(words, 6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Results come as they are ready. In the order of the jobs they come from
//! [`map_ordered`](WorkerPool::map_ordered) and [`in_order`](WorkerPool::in_order).
//! [`Results`] may be cloned to take from several threads. A job makes more jobs by
//! [`Context::push`].
//!
//! # Closures
//!
//! ```
//! use workcrew::ThreadPool;
//!
//! let pool = ThreadPool::new(2)?;
//! pool.execute(|| println!("somewhere, some time"))?;
//! let sum = pool.spawn(|| (1..=10).sum::<u64>())?;
//! let mut numbers = [3, 1, 2];
//! pool.scope(|scope| scope.spawn(|| numbers.sort()));
//! assert_eq!(numbers, [1, 2, 3]);
//! assert_eq!(pool.map(&numbers, |number| number * number), [1, 4, 9]);
//! assert_eq!(sum.join()?, 55);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//!
//! No error loses anything: each hands back what it was given. [`TrySubmitError::into_job`] and its
//! like return the job, [`SubmitAllError::into_jobs`] the rest of the iterator, and
//! [`GroupError`], [`TryMapError`] and [`MapError`] bring everything that had finished.
//!
//! ```
//! use workcrew::{TrySubmitError, WorkerPool};
//!
//! let (pool, _results) = WorkerPool::<String, usize>::builder().build(|job, _ctx| job.len())?;
//! pool.close();
//! match pool.try_submit("late".to_owned()) {
//!     Err(TrySubmitError::Closed(job)) => assert_eq!(job, "late"),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Panics
//!
//! A job's panic costs that job, and no worker. In a [`WorkerPool`] it is the job's outcome,
//! and the worker's state is made again; a [`JobHandle`] returns it; a scope, a slice or a pair
//! rethrows it when all has ended; where nobody waits,
//! [`on_panic`](ThreadPoolBuilder::on_panic) is told. Panics of what is merely dropped (a job that was
//! cancelled, a result that nobody takes) are swallowed.
//!
//! ```
//! use workcrew::{JobError, WorkerPool};
//!
//! let (pool, mut results) = WorkerPool::<u32, u32>::builder().build(|job, _ctx| 10 / job)?;
//! let mut quotients = pool.map_ordered(&mut results, [5, 0, 2]);
//! assert_eq!(quotients.next().unwrap().result?, 2);
//! match quotients.next().unwrap().result {
//!     Err(JobError::Panicked(panic)) => assert!(panic.message().contains("divide by zero")),
//!     other => panic!("{other:?}"),
//! }
//! assert_eq!(quotients.next().unwrap().result?, 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Waiting
//!
//! A worker that waits for jobs of its own pool (in a scope, at a handle, in a pair) runs *these*
//! jobs meanwhile, and never others: so it meets no stranger that wants the lock it holds. What
//! would wait for itself is an error, `WouldDeadlock`, and not a hang: a worker that submits to
//! its own full queue, or waits for its own pool to end.
//!
//! Threads that are suspended by the system, for however long, keep what they have claimed and hold up
//! nobody:
//!
//! | operation | progress |
//! |---|---|
//! | submitting while there is room, running, delivering, taking what is there | lock-free |
//! | waking a sleeper | a system call |
//! | submitting when the queue is full | waits for a worker to start a job |
//! | taking when nothing is there | waits for a worker |
//! | a worker, when more than [`result_capacity`](Builder::result_capacity) results are untaken | waits for a taker |
//! | the end of a scope, a group, a slice; joining a handle | waits for the jobs in question |
//! | ending a pool | waits for its jobs and threads, or for its running jobs alone |
//!
//! README.md has the table for each single operation, and `docs/` says how that is done, and why no
//! wakeup is lost.
//!
//! # Closing and ending
//!
//! `close` is one moment: what was accepted before runs, what comes later is handed back. `join`
//! and `shutdown` wait for all of it, `join_timeout` for some time, `shutdown_now` hands back what
//! has not started. Dropping a pool closes it and waits; dropped in a panic it cancels what is queued.
//! The tables at [`WorkerPool`] and [`ThreadPool`] have each case.
//!
//! ```
//! use workcrew::ThreadPool;
//!
//! let pool = ThreadPool::new(1)?;
//! for _ in 0..100 {
//!     pool.execute(|| std::thread::sleep(std::time::Duration::from_millis(1)))?;
//! }
//! let handle = pool.handle();
//! let unstarted = pool.shutdown_now()?;
//! assert_eq!(handle.stats().completed as usize + unstarted.len(), 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Statistics
//!
//! [`WorkerPool::stats`] and [`ThreadPool::stats`] are snapshots that add up, at each moment and
//! after the end: `accepted = queued + running + completed + panicked + cancelled + returned`. They
//! tell each worker's own numbers too ([`WorkerStats`]), and print as a table. What is counted for
//! them costs a worker a plain store.
//!
//! ```
//! use workcrew::WorkerPool;
//!
//! let (pool, results) = WorkerPool::<u32, u32>::builder().workers(2).build(|job, _ctx| job)?;
//! pool.submit_all(0..100)?;
//! pool.wait_idle()?;
//! let stats = pool.stats();
//! assert_eq!((stats.accepted, stats.completed, stats.results_waiting), (100, 100, 100));
//! assert_eq!(stats.workers.iter().map(|worker| worker.executed).sum::<u64>(), 100);
//! println!("{stats}");
//! # drop(results);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `histograms` a pool measures how long its jobs wait and run, if its builder is
//! told to; the feature `metrics` publishes all that, and `trace` shows what happened when.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `async` | off | submissions that await room, results as a `Stream`, the waiting and ending of both pools as futures, under any executor |
//! | `histograms` | off | `Histograms`: how long jobs waited in the queue, and how long they ran |
//! | `trace` | off | what each worker did, and when: as data, as JSON for Perfetto, as a picture |
//! | `bench-internals` | off | the private queues, for the crate's own benches; not part of the API |
//! | `metrics` | off | `Meter`: a pool's statistics for the crate `metrics` |
//! | `tracing` | off | a job runs in the span of the crate `tracing` that was current where it was submitted; a place in the queue takes 40 bytes more |
//!
//! # Platforms
//!
//! Whatever has std's threads and 64-bit atomics. On Linux the `futex` and `membarrier` calls make waking
//! lock-free and submitting cheaper, and a forked child is noticed: its calls fail instead of
//! hanging. Elsewhere a lock and a condition variable do the sleeping.

#![cfg_attr(
    not(any(test, workcrew_loom)),
    warn(clippy::disallowed_types, clippy::disallowed_methods)
)]
#![cfg_attr(
    all(test, workcrew_shuttle),
    expect(dead_code, reason = "the loom models' part")
)]

#[cfg(feature = "bench-internals")]
#[doc(hidden)]
#[path = "bench.rs"]
pub mod __bench;
mod blocks;
mod carried;
mod dangling;
mod deque;
#[cfg(workcrew_shuttle)]
pub mod deterministic;
#[cfg(any(feature = "histograms", test))]
mod durations;
mod engine;
mod error;
mod gate;
mod half;
#[cfg(feature = "histograms")]
mod histogram;
mod idle;
mod injector;
mod lazy;
#[cfg(feature = "metrics")]
mod meter;
mod nest;
mod oneshot;
mod pace;
mod parker;
mod prefetch;
mod probe;
mod recorder;
mod sync;
mod tally;
mod thread_pool;
#[cfg(feature = "trace")]
mod trace;
#[cfg(any(feature = "trace", test))]
mod track;
mod unwind;
mod words;
mod worker_pool;

/// The examples of `docs/migrating.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/migrating.md")]
mod migrating {}

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
#[cfg(feature = "histograms")]
pub use histogram::{Histogram, Histograms};
#[cfg(feature = "metrics")]
pub use meter::Meter;
#[cfg(feature = "trace")]
pub use tally::Ended;
pub use tally::WorkerStats;
pub use thread_pool::{
    Group, JobHandle, MapIter, MapIterOrdered, QueuedJob, Scope, ThreadPool, ThreadPoolBuilder,
    ThreadPoolHandle, ThreadPoolStats,
};
#[cfg(feature = "trace")]
pub use trace::{Trace, TraceEvent, TraceKind};
pub use worker_pool::{
    Builder, Context, Handle, InOrder, Map, MapOrdered, Outcome, Results, Stats, Submitter,
    WorkerPool,
};
#[cfg(feature = "async")]
pub use worker_pool::{MapStream, ResultStream, Submission};
