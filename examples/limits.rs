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

mod program;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::{fs, num::NonZero, thread};

use lexopt::prelude::*;
use workcrew::{BuildError, ThreadPool, WorkerPool};

const HELP: &str = "\
Usage: limits [--limit N] PATH...

Counts the lines of files with a semaphore, a group and a pool.

  --limit N       files that are read at a time, at most 255 (default: 4)
  -h, --help      print this
";

const TITLE: &str = "way        threads  at once  files  lines  first error";

fn main() -> ExitCode {
    program::exit(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let (mut limit, mut paths) = (4, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                io::stdout().write_all(HELP.as_bytes())?;
                return Ok(ExitCode::SUCCESS);
            }
            Long("limit") => {
                let number = parser.value()?.parse::<NonZero<u8>>();
                let number = number.map_err(|error| program::misused(format!("--limit: {error}")));
                limit = number?.get().into();
            }
            Value(path) => paths.push(path.string()?),
            argument => return Err(argument.unexpected().into()),
        }
    }
    if paths.is_empty() {
        return Err(program::misused("there is no PATH"));
    }
    let semaphore = by_semaphore(&paths, limit);
    let rows = [semaphore, by_group(&paths, limit)?, by_pool(&paths, limit)?];
    let table: String = rows.iter().map(|(row, _)| &**row).collect();
    write!(io::stdout(), "{TITLE}\n{table}")?;
    let all_read = rows.iter().all(|(_, read)| *read);
    Ok(ExitCode::from(u8::from(!all_read)))
}

/// A row of the table, and whether all files could be read.
type Row = (String, bool);

fn by_semaphore(paths: &[String], limit: usize) -> Row {
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
        let join = |it: thread::ScopedJoinHandle<_>| it.join().expect("counting does not panic");
        threads.collect::<Vec<_>>().into_iter().map(join).collect()
    });
    gauge.report("semaphore", paths.len(), counts)
}

fn by_group(paths: &[String], limit: usize) -> Result<Row, BuildError> {
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

fn by_pool(paths: &[String], limit: usize) -> Result<Row, BuildError> {
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

    fn report(&self, way: &str, threads: usize, counts: Vec<Result<usize, String>>) -> Row {
        let (most, files) = (self.most.load(Relaxed), counts.iter().flatten().count());
        let lines: usize = counts.iter().flatten().sum();
        let error = counts.into_iter().find_map(Result::err);
        let told = error.as_deref().unwrap_or("none");
        let row = format!("{way:<9}  {threads:>7}  {most:>7}  {files:>5}  {lines:>5}  {told}\n");
        (row, error.is_none())
    }
}
