//! The worker pool of the textbook: five jobs of one second each, three workers.
//!
//! ```text
//! cargo run --example worker_pool
//! ```
//!
//! prints ten lines in about two seconds; who takes which job, and when, differs from run to run:
//!
//! ```text
//! worker 1 started  job 1
//! worker 3 started  job 2
//! worker 2 started  job 3
//! worker 1 finished job 1
//! worker 1 started  job 4
//! ...
//! ```

use std::{error::Error, thread, time::Duration};

use workcrew::WorkerPool;

const JOBS: u32 = 5;
const WORKERS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    // Room for every job and every result: nobody waits for room, neither here nor in a worker.
    let (pool, results) = WorkerPool::<u32, u32>::builder()
        .workers(WORKERS)
        .job_capacity(JOBS as usize)
        .result_capacity(JOBS as usize)
        .build(|job, ctx| {
            let worker = ctx.worker() + 1;
            println!("worker {worker} started  job {job}");
            thread::sleep(Duration::from_secs(1));
            println!("worker {worker} finished job {job}");
            job * 2
        })?;

    for job in 1..=JOBS {
        pool.submit(job)?;
    }
    pool.close();

    // Ends when the last result has been taken, since no job can follow `close`.
    for outcome in results {
        outcome.result?;
    }
    Ok(())
}
