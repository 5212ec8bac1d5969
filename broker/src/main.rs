//! Work that outgrows one machine: the same worker function behind a Redis stream.
//!
//! ```text
//! cargo run --release -p workcrew-broker -- [--redis URL] [--stream NAME] add PATH...
//! cargo run --release -p workcrew-broker -- [--redis URL] [--stream NAME] work [OPTION...]
//! cargo run --release -p workcrew-broker -- [--redis URL] [--stream NAME] results
//! cargo run --release -p workcrew-broker -- local PATH...
//! ```
//!
//! For the pattern's row "worker queues in background jobs", with as many processes as you like. A
//! job is a path, and its result the SHA-256 of that file. Needs a Redis server, 6.2 or later.
//!
//! One thread reads messages and submits them: while the pool is full it waits, so a process never
//! has more messages than it can hold (that is the back-pressure), and the others get the rest. The
//! main thread takes results: each is stored and its message acknowledged in one transaction. It
//! also tells the server now and then that the messages here are being worked on. Those of which
//! nobody has said so for a while belong to a process that is dead, and are claimed. So each job
//! runs at least once; a result that was there already is counted as run again.
//!
//! Ctrl-C drains: what was read is finished. The exit code is 0, or 2 if something keeps it from
//! working. (A reader of its output that has seen enough does not.)

#![forbid(unsafe_code)]

mod stream;

use std::collections::HashSet;
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::panic::catch_unwind;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, num::NonZero, thread};

use clap::{Parser, Subcommand};
use redis::{RedisError, RedisResult};
use sha2::{Digest, Sha256};
use stream::{Message, Stream};
use workcrew::{RecvTimeoutError, Results, WorkerPool};

/// Hashes files, on as many machines as read the same stream.
#[derive(Parser)]
struct Arguments {
    /// Where the server is
    #[arg(long, value_name = "URL", default_value = "redis://127.0.0.1/")]
    redis: String,
    /// The stream of jobs; the results are beside it
    #[arg(long, value_name = "NAME", default_value = "files")]
    stream: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Adds jobs
    Add {
        #[arg(required = true)]
        paths: Vec<String>,
    },
    /// Works until Ctrl-C
    Work(Work),
    /// Prints the results so far, and how many jobs are left
    Results,
    /// Does the same work here, without a broker
    Local {
        #[arg(required = true)]
        paths: Vec<String>,
    },
}

#[derive(clap::Args)]
struct Work {
    /// Jobs that run at a time
    #[arg(long, value_name = "N", default_value = "2")]
    workers: NonZero<usize>,
    /// Jobs that may wait here for a worker
    #[arg(long, value_name = "N", default_value = "8")]
    capacity: NonZero<usize>,
    /// How long a process may say nothing before its jobs are given to others
    #[arg(long, value_name = "MILLISECONDS", default_value = "30000")]
    claim_after: NonZero<u32>,
}

fn main() -> ExitCode {
    match act(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            let of_redis = if error.is::<RedisError>() {
                "Redis: "
            } else {
                ""
            };
            eprintln!("broker: {of_redis}{error}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn act(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let open = || {
        Stream::open(&arguments.redis, &arguments.stream).map_err(|error| {
            let hint = match error.is_connection_refusal() {
                true => ". Does a Redis server run there (Debian's package redis-server), or elsewhere (--redis)?",
                false => "",
            };
            format!("no connection to Redis: {error}{hint}")
        })
    };
    match arguments.action {
        Action::Add { paths } => open()?.add(&paths)?,
        Action::Work(options) => work(&options, open()?, open()?)?,
        Action::Results => {
            let (results, left) = open()?.results()?;
            let mut stdout = io::stdout().lock();
            for result in results.values() {
                writeln!(stdout, "{result}")?;
            }
            eprintln!("broker: {} results, {left} jobs left", results.len());
        }
        Action::Local { paths } => {
            let (pool, mut results) = WorkerPool::builder().build(|path: String, _| hash(&path))?;
            for outcome in pool.map_ordered(&mut results, paths) {
                writeln!(io::stdout(), "{}", outcome.result?)?;
            }
        }
    }
    Ok(())
}

/// The job, here and behind the broker: a line as that of `sha256sum`, or what went wrong.
fn hash(path: &str) -> String {
    match fs::read(path) {
        Ok(bytes) => {
            let digest = Sha256::digest(bytes);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digest}  {path}")
        }
        Err(error) => format!("{path}: {error}"),
    }
}

/// The identities of the messages that are in this process.
type Here = Mutex<HashSet<String>>;

/// A message's identity, and the result of its job.
type Answer = (String, String);

/// Two connections, since reading blocks.
fn work(options: &Work, mut inbox: Stream, mut outbox: Stream) -> Result<(), Box<dyn Error>> {
    let claim_after = Duration::from_millis(options.claim_after.get().into());
    let (pool, results) = WorkerPool::builder()
        .workers(options.workers.get())
        .job_capacity(options.capacity.get())
        .build(|Message { id, path }, _| {
            // Without a result it would stay unacknowledged, and panic elsewhere too.
            let result = catch_unwind(|| hash(&path));
            (id, result.unwrap_or_else(|_| format!("{path}: panicked")))
        })?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    // Relaxed, as everywhere here: the flag is all there is to say.
    ctrlc::set_handler(move || {
        if stopping.swap(true, Relaxed) {
            process::exit(130);
        }
        eprintln!("broker: stopping when what was read is finished");
    })?;

    inbox.join(&outbox);
    eprintln!("broker: {} is ready", outbox.consumer());
    let here = Here::default();
    let (done, read) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let read = read(
                &mut inbox,
                &pool,
                &here,
                claim_after,
                options.workers.get(),
                &stop,
            );
            pool.close();
            read
        });
        let done = answer(&mut outbox, results, &here, claim_after / 3);
        // If that failed, nobody takes results any more: the reader must not wait for room.
        stop.store(true, Relaxed);
        pool.close();
        (done, reader.join().expect("reading does not panic"))
    });
    let (done, again) = done?;
    read?;
    eprintln!("broker: {done} jobs done, {again} of them again");
    Ok(())
}

/// Submits messages until it is told to stop, or the pool is closed.
fn read(
    inbox: &mut Stream,
    pool: &WorkerPool<Message, Answer>,
    here: &Here,
    claim_after: Duration,
    most: usize,
    stop: &AtomicBool,
) -> RedisResult<()> {
    let mut looked = Instant::now();
    while !stop.load(Relaxed) {
        let messages = if looked.elapsed() < claim_after {
            inbox.read(most)?
        } else {
            // If this process was suspended for long, its own messages are among them.
            let own = here.lock().unwrap().clone();
            let mut messages = inbox.claim(most, claim_after)?;
            messages.retain(|message| !own.contains(&message.id));
            if messages.is_empty() {
                looked = Instant::now();
            }
            messages
        };
        for message in messages {
            here.lock().unwrap().insert(message.id.clone());
            if pool.submit(message).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Takes all results, and counts the jobs, and those of them that others had done too.
fn answer(
    outbox: &mut Stream,
    mut results: Results<Answer>,
    here: &Here,
    beat: Duration,
) -> RedisResult<(u64, u64)> {
    let (mut done, mut again, mut told) = (0, 0, Instant::now());
    loop {
        match results.recv_timeout(beat.saturating_sub(told.elapsed())) {
            Ok(outcome) => {
                let (id, result) = outcome
                    .result
                    .expect("panics are caught, nothing is cancelled");
                done += 1;
                again += u64::from(!outbox.acknowledge(&id, &result)?);
                here.lock().unwrap().remove(&id);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(_) => return Ok((done, again)),
        }
        if told.elapsed() >= beat {
            told = Instant::now();
            let ids: Vec<_> = here.lock().unwrap().iter().cloned().collect();
            outbox.keep(&ids)?;
        }
    }
}
