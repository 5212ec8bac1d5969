//! Measures `workcrew` beside the ways of doing the same without it.
//!
//! The rules of the comparison, which a reader should hold the code against:
//!
//! - **One driver.** A pool is adapted by the few lines of [`Crew`]: start, submit one job, take one result, stop. The
//!   measured loops stand once, in [`drive`], and are compiled for each adapter; no adapter owns a loop over jobs, but for
//!   the one that submits in batches, which is the thing it measures. The same for pools of closures, in [`closures`].
//! - **One worker function.** [`job::work`] is never inlined: everybody runs the same machine code. The Go program
//!   (`go/main.go`) states the same function and the same loops in Go.
//! - **Warm.** Threads are started and one whole pass is made before the clock starts: no thread start, page fault or
//!   first growth of a queue is measured.
//! - **Checked.** Each pass must give the sum of results that a plain loop gives, and nothing may be left over when the
//!   pool has stopped. A lost job ends the bench, by that check or by the [`watchdog`].
//! - **Interleaved.** A round goes over all cells; within a cell all subjects are sampled one after another, in random
//!   order. Ratios are taken within a round, so a slow minute of the machine hits both sides of a ratio.
//! - **On the whole machine.** A [`gauge`] looks at two cores before and after each sample; a sample during which one
//!   was missing is taken again.
//!
//! # Workloads
//!
//! | name | what |
//! |------|------|
//! | W1a | one thread submits all jobs, then takes all results; both queues hold all of them |
//! | W1b-1024, W1b-64 | one thread submits while another takes; both queues hold 1024, or 64 |
//! | W2-1, W2-4 | one or four threads submit closures, another waits until all have run |
//! | W3 | closures with a handle, batches of 1000 |
//! | W4-hot, W4-idle | one empty job and its result, back and forth; at once, or after 1 ms of idleness |
//! | W4-hot-handle, W4-idle-handle | the same with a closure and its handle |
//! | W5 | each closure submits two, 16 levels deep |
//! | W6 | fib(27), and sums of trees, by fork and join down to the last call |
//! | W7 | as W1a, with 10,000 jobs of a heavy-tailed cost, against the ideal schedule |
//! | W8-idle, W8-trickle | CPU time of 8 workers without jobs, and with an empty job every 10 ms |
//! | W8-futex | futex calls per job of 1 µs, streaming as in W1b-1024 |
//! | W9 | heap allocations per job |
//! | W10 | as work grows, beyond the cells above: closures from up to 16 threads; W1b with up to 64 workers, with queues of 1 to 16,384, and with jobs of up to 4 KiB |
//! | W10/depth | as W1a, with up to 10,000,000 jobs; but the queue of results holds 1024, so nearly all jobs wait at the same time (not where it has no bound) |
//! | W10/heap | KiB on the heap: of a new pool, when its queue is full (as in W10/depth), and when it is empty again; not warmed up |
//!
//! Closures do nothing, and where a pool's queue has a bound it is 1024. A pool without handles of its own gets them from
//! `oneshot`. In W6 as many threads work for each subject as the column says; a program that is started outside of the pool
//! adds the thread that starts it.
//!
//! In W1 a job is empty or spins for 100 ns, 1 µs or 10 µs. From 1 µs on, the CPU time of the process is compared with
//! that of the same jobs in a plain loop: a core that spins for the sake of speed shows there.
//!
//! # How to run
//!
//! ```text
//! cargo bench -p workcrew-bench --bench ratios                 the comparison, and the bars
//! cargo bench -p workcrew-bench --bench ratios -- --help       its options
//! cargo xtask bench                                            the comparison, as a page with tables and pictures
//! cargo bench -p workcrew-bench --bench jobs_results           criterion: the pool against two channels and threads
//! cargo bench -p workcrew-bench --bench primitives             criterion: queues on one thread
//! cargo bench -p workcrew-bench --features recording --bench recording     what a trace and histograms cost
//! ```
//!
//! It runs on Unix (CPU time comes from `getrusage`). Peers from outside need their tools: `go` for the Go program,
//! `strace` for futex calls. Where a tool is missing, the bench says so and goes on.

pub mod allocations;
pub mod beekeeper_pool;
pub mod channel_pool;
pub mod closures;
pub mod crew;
mod deque_parts;
pub mod deque_pool;
pub mod drive;
pub mod figures;
pub mod gauge;
pub mod go_pool;
pub mod job;
pub mod rayon_pool;
pub mod reading;
pub mod rng;
pub mod subject;
pub mod watchdog;
pub mod workcrew_pool;

pub use crew::{Capacity, Crew, Submitter, Taker};
