//! Three ways to have only so many of many jobs run at a time, side by side, on the same work.
//!
//! ```text
//! cargo run --release --example limits -- [--limit N] PATH...
//! ```
//!
//! For the pattern's row "rate-limiting goroutines" and its two alternatives. All count the lines of
//! the files. A *semaphore* needs a thread for each file, and no more of them than it has permits are
//! there at a time; what fails is for the caller to sort out. A *group* stops at the first error, and
//! leaves the pool's other threads to others. A *pool* has as many threads as may run, and an outcome
//! for each job.
//!
//! ```text
//! way        threads  at once  files  lines  first error
//! semaphore      100        4    100  12345  none
//! group            8        4    100  12345  none
//! pool             4        4    100  12345  none
//! ```
//!
//! The exit code is 0, or 1 if a file could not be read, or 2 for bad arguments.

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::{fs, num::NonZero, thread};

use lexopt::prelude::*;
use workcrew::{ThreadPool, WorkerPool};

const HELP: &str = "\
Usage: limits [--limit N] PATH...

Counts the lines of files with a semaphore, a group and a pool.

  --limit N       files that are read at a time (default: 4)
  -h, --help      print this
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("limits: {error}\nTry 'limits --help'.");
            ExitCode::from(2)
        }
    }
}

/// Whether all files could be read.
fn run() -> Result<bool, Box<dyn Error>> {
    let (mut limit, mut paths) = (4, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(true);
            }
            Long("limit") => {
                let number = parser.value()?.parse::<NonZero<usize>>();
                limit = number.map_err(|error| format!("--limit: {error}"))?.get();
            }
            Value(path) => paths.push(path.string()?),
            argument => return Err(argument.unexpected().into()),
        }
    }
    if paths.is_empty() {
        return Err("there is no PATH".into());
    }
    println!("way        threads  at once  files  lines  first error");
    let semaphore = by_semaphore(&paths, limit);
    Ok(by_group(&paths, limit)? & by_pool(&paths, limit)? & semaphore)
}

fn by_semaphore(paths: &[String], limit: usize) -> bool {
    let (gauge, permits, returned) = (Gauge::default(), Mutex::new(limit), Condvar::new());
    let counts = thread::scope(|scope| {
        let threads = paths.iter().map(|path| {
            let free = permits.lock().unwrap();
            *returned.wait_while(free, |free| *free == 0).unwrap() -= 1;
            scope.spawn(|| {
                let count = gauge.count(path);
                *permits.lock().unwrap() += 1;
                returned.notify_one();
                count
            })
        });
        let threads: Vec<_> = threads.collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.expect("counting does not panic"))
            .collect()
    });
    gauge.report("semaphore", paths.len(), counts)
}

fn by_group(paths: &[String], limit: usize) -> Result<bool, Box<dyn Error>> {
    let (gauge, pool) = (Gauge::default(), ThreadPool::new(limit * 2)?);
    let outcome = pool.limited_group(limit, |group| {
        for path in paths {
            group.spawn(|| gauge.count(path));
        }
    });
    let counts = match outcome {
        Ok(counts) => counts.into_iter().map(Ok).collect(),
        Err(stopped) => {
            let finished = stopped.finished.into_iter().map(|(_, count)| Ok(count));
            finished.chain([Err(stopped.failure.to_string())]).collect()
        }
    };
    Ok(gauge.report("group", pool.workers(), counts))
}

fn by_pool(paths: &[String], limit: usize) -> Result<bool, Box<dyn Error>> {
    let gauge = Gauge::default();
    let builder = WorkerPool::builder().workers(limit);
    let counts = builder.scope(
        |path: &String, _| gauge.count(path),
        |pool, mut results| {
            let outcomes = pool.map_ordered(&mut results, paths);
            outcomes
                .map(|outcome| outcome.result.map_err(|panic| panic.to_string())?)
                .collect()
        },
    )?;
    Ok(gauge.report("pool", limit, counts))
}

/// How many files are being read, and how many were at most.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    /// The work: the lines of a file.
    fn count(&self, path: &str) -> Result<usize, String> {
        // Relaxed: only the numbers matter, and each change sees the one before it.
        self.most
            .fetch_max(self.now.fetch_add(1, Relaxed) + 1, Relaxed);
        let text = fs::read(path).map_err(|error| format!("{path}: {error}"));
        let lines = text.map(|text| text.iter().filter(|&&byte| byte == b'\n').count());
        self.now.fetch_sub(1, Relaxed);
        lines
    }

    /// Prints a row of the table. Returns whether there is no error.
    fn report(&self, way: &str, threads: usize, counts: Vec<Result<usize, String>>) -> bool {
        let (most, files) = (self.most.load(Relaxed), counts.iter().flatten().count());
        let lines: usize = counts.iter().flatten().sum();
        let error = counts.into_iter().find_map(Result::err);
        let told = error.as_deref().unwrap_or("none");
        println!("{way:<9}  {threads:>7}  {most:>7}  {files:>5}  {lines:>5}  {told}");
        error.is_none()
    }
}
