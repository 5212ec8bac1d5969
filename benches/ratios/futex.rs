//! W8: how often a pool asks the kernel to put a thread to sleep or to wake one, per job of one microsecond.
//!
//! The jobs stream through queues of 1024 in a process of its own, watched by `strace -f -c`. Two runs of different
//! length are subtracted, so that the calls of starting and stopping do not count. Under `strace` a call takes many
//! times longer, so these numbers say how often, not how long.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::{self, Command};
use std::time::Duration;

use lexopt::prelude::ValueExt;
use workcrew_bench::Capacity;
use workcrew_bench::drive::{Shape, Task};
use workcrew_bench::job::{Speed, equal_jobs};
use workcrew_bench::subject::{Kind, Subject};
use workcrew_bench::watchdog;

use crate::options::Options;

/// The name under which the command line and the tables know this workload.
pub(crate) const NAME: &str = "W8-futex";

/// Jobs of the two runs; each makes two passes, one to warm up.
const JOBS: [u32; 2] = [5_000, 25_000];

/// Calls per job, by subject and number of workers.
pub(crate) struct FutexCalls {
    workers: Vec<usize>,
    /// A subject's numbers stand in the order of `workers`.
    rows: Vec<(&'static str, Vec<f64>)>,
}

impl FutexCalls {
    /// Calls per job of `subject`, the worst over the numbers of workers.
    pub(crate) fn worst(&self, subject: &str) -> Option<f64> {
        let (_, calls) = self.rows.iter().find(|(name, _)| *name == subject)?;
        calls.iter().copied().reduce(f64::max)
    }

    pub(crate) fn print(&self) {
        if self.rows.is_empty() {
            return;
        }
        println!("## {NAME}: futex calls per job of 1 µs, streaming through 1024");
        print!("{:22}", "");
        for workers in &self.workers {
            print!("{workers:>8}");
        }
        println!("  workers");
        for (name, calls) in &self.rows {
            print!("{name:22}");
            for calls in calls {
                print!("{calls:>8.3}");
            }
            println!();
        }
        println!();
    }
}

/// Counts for all subjects of this process that can stream.
pub(crate) fn count(options: &Options, subjects: &[&'static Subject], speed: Speed) -> FutexCalls {
    let mut counted = FutexCalls {
        workers: options.workers.clone(),
        rows: Vec::new(),
    };
    if !options.wants_workload(NAME) {
        return counted;
    }
    for subject in subjects {
        let in_this_process = matches!(subject.kind, Kind::Own | Kind::Peer);
        if !in_this_process || !subject.takes_part(Shape::Stream) {
            continue;
        }
        eprint!("\r\x1b[K{NAME}: {}", subject.name);
        let row: io::Result<Vec<f64>> = options
            .workers
            .iter()
            .map(|&workers| calls_per_job(subject, workers, speed.steps(Duration::from_micros(1))))
            .collect();
        match row {
            Ok(row) => counted.rows.push((subject.name, row)),
            Err(error) => {
                println!("SKIPPED: {NAME}; {error}");
                break;
            }
        }
    }
    eprint!("\r\x1b[K");
    counted
}

fn calls_per_job(subject: &'static Subject, workers: usize, steps: u32) -> io::Result<f64> {
    let mut calls = [0.0; 2];
    for (calls, jobs) in calls.iter_mut().zip(JOBS) {
        let child = FutexChild {
            subject,
            workers,
            jobs,
            steps,
        };
        *calls = child.count_calls()?;
    }
    // A short run can have more calls than a long one where both have next to none.
    let difference = (calls[1] - calls[0]).max(0.0);
    Ok(difference / f64::from(2 * (JOBS[1] - JOBS[0])))
}

/// What the watched process does.
pub(crate) struct FutexChild {
    subject: &'static Subject,
    workers: usize,
    jobs: u32,
    steps: u32,
}

impl FutexChild {
    /// The option of the command line that starts it, followed by its four numbers and names.
    pub(crate) const FLAG: &str = "futex-child";

    pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let name = parser.value()?.string()?;
        Ok(Self {
            subject: Subject::by_name(&name).ok_or("no such subject")?,
            workers: parser.value()?.parse()?,
            jobs: parser.value()?.parse()?,
            steps: parser.value()?.parse()?,
        })
    }

    pub(crate) fn run(&self) {
        let capacity = Capacity {
            workers: self.workers,
            jobs: 1024,
            results: 1024,
        };
        let task = Task::new(Shape::Stream, capacity, equal_jobs(self.jobs, self.steps));
        let label = format!("{} under strace", self.subject.name);
        let _sample = watchdog::watch(label, || self.subject.sample(&task));
    }

    fn arguments(&self) -> [OsString; 5] {
        [
            format!("--{}", Self::FLAG).into(),
            self.subject.name.into(),
            self.workers.to_string().into(),
            self.jobs.to_string().into(),
            self.steps.to_string().into(),
        ]
    }

    /// Runs this under `strace` and reads the number of calls out of its summary.
    fn count_calls(&self) -> io::Result<f64> {
        let summary = env::temp_dir().join(format!("workcrew-bench-{}.strace", process::id()));
        let status = Command::new("strace")
            .args(["-f", "-c", "-e", "trace=futex", "-o"])
            .arg(&summary)
            .arg(env::current_exe()?)
            .args(self.arguments())
            .status()
            .map_err(|error| io::Error::other(format!("`strace` does not start ({error})")))?;
        let text = fs::read_to_string(&summary).unwrap_or_default();
        // It is there or not; either way nothing is left behind.
        let _ = fs::remove_file(&summary);
        if !status.success() {
            return Err(io::Error::other(format!("`strace` failed: {status}")));
        }
        Ok(calls_in_summary(&text))
    }
}

/// The fourth column of the line that ends with the call's name: share, seconds, time per call, calls.
fn calls_in_summary(summary: &str) -> f64 {
    summary
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|words| words.last() == Some(&"futex"))
        .and_then(|words| words.get(3)?.parse().ok())
        .unwrap_or(0.0)
}
