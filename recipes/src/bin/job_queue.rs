//! A queue of background jobs that survives a restart: shell commands in an SQLite file.
//!
//! ```text
//! cargo run --release -p workcrew-recipes --bin job_queue -- [--db FILE] add COMMAND...
//! cargo run --release -p workcrew-recipes --bin job_queue -- [--db FILE] run [--workers N]
//! ```
//!
//! For the pattern's row "worker queues in background jobs". The main thread alone talks to the
//! database: `map` draws a job from it when there is room (and it is marked as running), and when the
//! result comes, the job is acknowledged. What was running when the program died was not, and runs
//! again (its command may still be at it): each job runs at least once, and the program tells how
//! many ran more than once.
//!
//! `run` ends when no job is left. Stderr has a progress bar, the commands that failed, and the
//! totals, besides what the commands print. Ctrl-C finishes what runs, and the rest stays in the queue.
//! The exit code is 0, or 1 if a command has failed, or 2 for bad arguments.

use std::error::Error;
use std::fs::File;
use std::iter;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::Relaxed;

use clap::{Parser, Subcommand};
use rusqlite::{Connection, OptionalExtension};
use workcrew::WorkerPool;

/// A queue of shell commands that survives a restart.
#[derive(Parser)]
struct Arguments {
    /// Where the queue is
    #[arg(long, value_name = "FILE", default_value = "jobs.db")]
    db: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Adds commands, each of them one argument
    Add {
        #[arg(required = true)]
        commands: Vec<String>,
    },
    /// Runs all commands
    Run {
        /// Commands that run at a time
        #[arg(long, value_name = "N", default_value = "2")]
        workers: NonZero<usize>,
    },
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS jobs (
        id INTEGER PRIMARY KEY,
        command TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'queued',
        runs INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX IF NOT EXISTS states ON jobs (state);
";
const RECOVER: &str = "UPDATE jobs SET state = 'queued' WHERE state = 'running'";
const DRAW: &str = "
    UPDATE jobs SET state = 'running', runs = runs + 1
    WHERE id = (SELECT min(id) FROM jobs WHERE state = 'queued') RETURNING id, command
";
const ACKNOWLEDGE: &str = "UPDATE jobs SET state = ?2 WHERE id = ?1";

/// A job's number and its command.
type Job = rusqlite::Result<(i64, String)>;

fn main() -> ExitCode {
    recipes::exit("job_queue", act(Arguments::parse()))
}

fn act(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let path = arguments.db;
    let db = Connection::open(&path)?;
    db.execute_batch(SCHEMA)?;
    match arguments.action {
        Action::Add { commands } => {
            for command in commands {
                db.execute("INSERT INTO jobs (command) VALUES (?1)", [command])?;
            }
            Ok(true)
        }
        Action::Run { workers } => {
            // The system unlocks it, however this process ends.
            let mut beside = path.clone().into_os_string();
            beside.push(".lock");
            let lock = File::options().create(true).append(true).open(beside)?;
            let locked = lock.try_lock();
            locked.map_err(|_| format!("{path:?} is being worked off"))?;
            run(&db, workers.get())
        }
    }
}

fn run(db: &Connection, workers: usize) -> Result<bool, Box<dyn Error>> {
    let lost = db.execute(RECOVER, [])?;
    let count = |rows: &str| -> rusqlite::Result<u32> {
        let count = format!("SELECT count(*) FROM jobs WHERE {rows}");
        db.query_row(&count, [], |row| row.get(0))
    };
    let bar = recipes::progress(count("state = 'queued'")?.into());
    let (pool, mut results) = WorkerPool::builder()
        .workers(workers)
        .job_capacity(workers)
        .build(|job: Job, _| job.map(|(number, command)| (number, shell(&command))))?;

    let stop = recipes::stop_flag()?;
    let jobs = iter::from_fn(|| {
        let job = || db.query_row(DRAW, [], |row| Ok((row.get(0)?, row.get(1)?)));
        (!stop.load(Relaxed)).then(|| job().optional().transpose())?
    });
    let (mut done, mut failed) = (0, 0);
    for outcome in pool.map(&mut results, jobs) {
        // What the database says ends the loop, what a command says does not.
        let (number, ended) = outcome.result??;
        if let Err(why) = &ended {
            bar.suspend(|| eprintln!("job_queue: job {number}: {why}"));
            db.execute(ACKNOWLEDGE, (number, "failed"))?;
            failed += 1;
        } else {
            db.execute(ACKNOWLEDGE, (number, "done"))?;
            done += 1;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (again, left) = (count("runs > 1")?, count("state = 'queued'")?);
    eprintln!("job_queue: {done} done, {failed} failed, {left} left");
    eprintln!("job_queue: {lost} were found half done, {again} ran more than once");
    Ok(failed == 0)
}

/// The job. Ctrl-C is not for the command, which is let finish.
fn shell(command: &str) -> Result<(), String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    match shell.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
