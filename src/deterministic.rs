//! Programs that use pools, run by a seed: for the tests of who uses this crate.
//!
//! Only with `--cfg workcrew_loom --cfg workcrew_shuttle` in `RUSTFLAGS`. Then the crate is the
//! same, but its threads take turns, and a seed decides whose turn is next: at each step of the
//! engine, not only between jobs. So the order of jobs and results, steals, full queues, late
//! results and timeouts are those that the real engine can have, and with the same seed they are
//! the same again.
//!
//! It is no feature, since cargo unifies features: one crate's tests would turn it on for a whole
//! program, where pools outside of [`check`] panic. A cfg is set for one build, in a target
//! directory of its own.
//!
//! # Examples
//!
//! ```
//! use workcrew::{WorkerPool, deterministic};
//!
//! deterministic::check(0..100, || {
//!     let (pool, results) = WorkerPool::<u64, u64>::builder().workers(2).build(|job, _ctx| job)?;
//!     pool.submit_all(0..5)?;
//!     pool.close();
//!     assert_eq!(results.filter_map(|outcome| outcome.result.ok()).sum::<u64>(), 10);
//!     # Ok::<(), Box<dyn std::error::Error>>(())
//! });
//! ```
//!
//! # What the program must keep to
//!
//! * Whatever its threads share comes from [`sync`] and [`thread`] here, not from std: a std lock
//!   that one thread holds while another one's turn comes blocks all.
//! * Nothing else differs from run to run: no clock, no addresses, no order of a `HashMap` with
//!   std's hasher.
//! * Timeouts of this crate's calls run by steps, 50 microseconds each. One of more than an hour
//!   never runs out, and one of seconds makes a long schedule.
//! * All orderings are as strong as `SeqCst`. What weaker ones allow, and data races, this does
//!   not show.
//! * `build` does not wait for the start hooks and `init`, and the borrowed form of a `WorkerPool`
//!   (`Builder::scope`) is not there.

#![forbid(unsafe_code)]

use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, Runner};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

pub use shuttle::{sync, thread};

/// Bytes of a thread's stack. A worker has frames of some kilobytes in a debug build, and the
/// program's own.
const STACK: usize = 1 << 18;

/// Runs the program once for each seed.
///
/// # Panics
///
/// If a run panics, or all its threads wait for each other. Its seed is printed, and how to
/// [`replay`] it.
pub fn check<T>(seeds: Range<u64>, program: impl Fn() -> T + Send + Sync + 'static) {
    let program = Arc::new(program);
    for seed in seeds {
        let program = Arc::clone(&program);
        // What the program leaves half-done is gone with its run.
        let run = catch_unwind(AssertUnwindSafe(|| replay(seed, move || program())));
        if let Err(panic) = run {
            eprintln!(
                "seed {seed} fails. This run again: workcrew::deterministic::replay({seed}, ...)"
            );
            resume_unwind(panic);
        }
    }
}

/// Runs the program in the schedule of this seed.
///
/// # Panics
///
/// If the program does, or all its threads wait for each other.
pub fn replay<T>(seed: u64, program: impl Fn() -> T + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.silence_warnings = true;
    // A seed is enough.
    config.failure_persistence = FailurePersistence::None;
    let program = move || {
        program();
    };
    Runner::new(RandomScheduler::new_from_seed(seed, 1), config).run(program);
}
