//! SHA-256 of every file below a path, printed as `sha256sum` prints it.
//!
//! ```text
//! cargo run --release --example checksum -- [--workers N] [--capacity N] [PATH]
//! cargo run --release --features trace --example checksum -- --trace FILE [PATH]
//! ```
//!
//! Stdout is that of `find PATH -xtype f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`. Stderr
//! has a progress bar (where it is no terminal, a plain line each second), whatever could not be
//! read, and at the end, above the statistics of the pool,
//!
//! ```text
//! checksum: 1234 files, 56789012 bytes, 0.142 s, 399.9 MB/s, 0 unreadable
//! ```
//!
//! With `--trace` it also draws what each worker did, when.
//!
//! Ctrl-C drains: nothing more is begun, the files that are being hashed are finished, and what is
//! done by then is printed and reported as usual, with the word "interrupted". A second Ctrl-C ends
//! it at once, and nothing is printed.
//!
//! The exit code is 0, or 1 if anything could not be read or written, or 2 for bad arguments, or 130
//! after Ctrl-C.
//!
//! Every file means hidden ones, `.git` and `target` too. Links to directories are not followed, so
//! that no walk goes round in circles; FIFOs and devices are passed over, as they may never end.
//!
//! One thread walks and submits, and waits while the pool is full; each worker reads into a buffer
//! of its own; the main thread takes the results. Only the lines to be sorted grow with the tree.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{error::Error, fmt::Display, thread};

use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};
use workcrew::{JobError, Results, WorkerPool};

const HELP: &str = "\
Usage: checksum [--workers N] [--capacity N] [--trace FILE] [PATH]

Prints the SHA-256 of every file below PATH as sha256sum does, sorted by path.

  PATH            a directory or a file (default: the directory of this crate)
  --workers N     threads that read and hash (default: one per core)
  --capacity N    jobs, and results, that may wait in the pool (default: 1024)
  --trace FILE    writes what the workers did: a picture (SVG), or, if FILE ends in .json,
                  JSON for Perfetto; only where it was built with --features trace
  -h, --help      print this

After Ctrl-C it prints what is done, and ends; after a second one it ends at once.
";
const BAR: &str = "[{wide_bar}] {decimal_bytes}/{decimal_total_bytes} at {decimal_bytes_per_sec}";
/// Bytes read at once: system calls become rare, and the buffer still fits a core's cache.
const BUFFER: usize = 128 * 1024;
/// The exit code after Ctrl-C, as shells have it for a program that SIGINT ends.
const INTERRUPTED: u8 = 130;
/// Of each worker, as far as they are drawn.
#[cfg(feature = "trace")]
const EVENTS: usize = 100_000;

/// What a worker makes of an entry of the walk: a line, or `None` for what is no file, or the
/// reason why there is no line.
type Hashed = Result<Option<Line>, String>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    name: Vec<u8>,
    sha256: [u8; 32],
}

struct Arguments {
    path: PathBuf,
    workers: usize,
    capacity: usize,
    timeline: Option<PathBuf>,
}

fn main() -> ExitCode {
    let code = run().unwrap_or_else(|error| {
        say(format_args!("{error}\nTry 'checksum --help'."));
        2
    });
    code.into()
}

/// The exit code; the error is that of the arguments.
fn run() -> Result<u8, Box<dyn Error>> {
    let Some(arguments) = arguments()? else {
        return Ok((!written(io::stdout().write_all(HELP.as_bytes()))).into());
    };
    let Arguments {
        path,
        workers,
        capacity,
        timeline,
    } = arguments;
    let started = Instant::now();
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(BAR)?);

    let read = bar.clone();
    let builder = WorkerPool::builder()
        .workers(workers)
        .job_capacity(capacity)
        .result_capacity(capacity)
        .init(|_worker| vec![0; BUFFER]);
    #[cfg(feature = "trace")]
    let builder = builder.trace(timeline.as_ref().map_or(0, |_| EVENTS));
    let (pool, results) = builder.build(move |entry, ctx| hash(entry, ctx.state, &read))?;

    let stop = Arc::new(AtomicBool::new(false));
    let (stopping, queue, above) = (Arc::clone(&stop), pool.handle(), bar.clone());
    // Relaxed, as everywhere here: the flag is all there is to say.
    ctrlc::set_handler(move || {
        if stopping.swap(true, Relaxed) {
            process::exit(INTERRUPTED.into());
        }
        queue.close();
        let _ = queue.cancel_all();
        above.suspend(|| say("stopping: the files that were begun are finished first"));
    })?;

    // A walk of its own for the length of the bar, since the other one waits for the workers.
    let (top, length, stopped) = (path.clone(), bar.clone(), Arc::clone(&stop));
    let measurer = thread::spawn(move || {
        let entries = WalkDir::new(top).into_iter().flatten();
        let entries = entries.take_while(|_| !stopped.load(Relaxed));
        let found = entries.flat_map(|entry| fs::metadata(entry.path()));
        length.set_length(found.filter(|it| it.is_file()).map(|it| it.len()).sum());
    });
    let walker = thread::spawn(move || {
        // If Ctrl-C has closed the pool, the rest is left out.
        let _ = pool.submit_all(WalkDir::new(path));
        pool.close();
        pool
    });
    let (mut lines, failures) = take(results, &bar);
    let (files, bytes, seconds) = (lines.len(), bar.position(), started.elapsed().as_secs_f64());
    measurer.join().expect("adding up does not panic");
    let pool = walker.join().expect("walking does not panic");
    bar.finish_and_clear();

    lines.sort_unstable();
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = lines.iter().try_for_each(|line| line.print(&mut out));
    let written = written(printed.and_then(|()| out.flush()));
    let drawn = timeline.is_none_or(|file| draw(&pool, &file));

    let rate = bytes as f64 / 1e6 / seconds;
    let interrupted = stop.load(Relaxed);
    let end = if interrupted { ", interrupted" } else { "" };
    say(format_args!(
        "{files} files, {bytes} bytes, {seconds:.3} s, {rate:.1} MB/s, {failures} unreadable{end}\n{}",
        pool.stats()
    ));
    let failed = !written || !drawn || failures > 0;
    Ok(if interrupted {
        INTERRUPTED
    } else {
        failed.into()
    })
}

/// `None` if help is asked for.
fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    let (mut path, mut timeline) = (None, None);
    let mut workers = thread::available_parallelism().map_or(1, usize::from);
    let mut capacity = 1024;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("workers") => workers = number(&mut parser, "--workers")?,
            Long("capacity") => capacity = number(&mut parser, "--capacity")?,
            Long("trace") if cfg!(feature = "trace") => timeline = Some(parser.value()?.into()),
            Long("trace") => return Err("--trace needs a build with --features trace".into()),
            Value(value) if path.is_none() => path = Some(value.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    let path = path.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Ok(Some(Arguments {
        path,
        workers,
        capacity,
        timeline,
    }))
}

fn number(parser: &mut lexopt::Parser, option: &str) -> Result<usize, lexopt::Error> {
    let number = parser.value()?.parse();
    number.map_err(|error| format!("{option}: {error}").into())
}

/// The job: hashes what an entry of the walk is or links to, if that is a file.
fn hash(entry: walkdir::Result<DirEntry>, buffer: &mut [u8], bar: &ProgressBar) -> Hashed {
    let path = entry.map_err(|error| error.to_string())?.into_path();
    let mut read = || -> io::Result<_> {
        if !fs::metadata(&path)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(&path)?;
        let mut sha256 = Sha256::new();
        loop {
            match file.read(buffer)? {
                0 => return Ok(Some(sha256.finalize().into())),
                filled => {
                    sha256.update(&buffer[..filled]);
                    bar.inc(filled as u64);
                }
            }
        }
    };
    let sha256 = read().map_err(|error| format!("{path:?}: {error}"))?;
    let name = path.into_os_string().into_encoded_bytes();
    Ok(sha256.map(|sha256| Line { name, sha256 }))
}

/// Takes all results: the lines, in no order, and how many entries failed, each of them reported.
fn take(results: Results<Hashed>, bar: &ProgressBar) -> (Vec<Line>, u64) {
    let (mut lines, mut failures) = (Vec::new(), 0);
    let mut shown = Instant::now();
    for outcome in results {
        let hashed = outcome.result.unwrap_or_else(|error| match error {
            // By Ctrl-C.
            JobError::Cancelled => Ok(None),
            panic => Err(format!("entry {} of the walk: {panic}", outcome.index)),
        });
        match hashed {
            Ok(line) => lines.extend(line),
            Err(reason) => {
                failures += 1;
                bar.suspend(|| say(reason));
            }
        }
        if shown.elapsed() >= Duration::from_secs(1) && bar.is_hidden() {
            shown = Instant::now();
            let (files, bytes) = (lines.len(), bar.position());
            say(format_args!("{files} files, {bytes} bytes so far"));
        }
    }
    (lines, failures)
}

impl Line {
    /// A name that would break the line is escaped, and a backslash before the digest says so.
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        if self.name.iter().any(|byte| b"\\\n\r".contains(byte)) {
            out.write_all(br"\")?;
        }
        for byte in self.sha256 {
            write!(out, "{byte:02x}")?;
        }
        out.write_all(b"  ")?;
        for &byte in &self.name {
            match byte {
                b'\\' => out.write_all(br"\\")?,
                b'\n' => out.write_all(br"\n")?,
                b'\r' => out.write_all(br"\r")?,
                _ => out.write_all(&[byte])?,
            }
        }
        out.write_all(b"\n")
    }
}

/// Whether stdout took all it was meant to; a reader that has seen enough, such as `head`, is fine.
fn written(printed: io::Result<()>) -> bool {
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(format_args!("stdout: {error}"));
            false
        }
        _ => true,
    }
}

/// Draws what the workers did. Returns whether that could be written.
#[cfg(feature = "trace")]
fn draw<J: Send, R: Send, S: Send>(pool: &WorkerPool<J, R, S>, file: &Path) -> bool {
    let is_json = file.extension().is_some_and(|end| end == "json");
    let drawn = File::create(file).and_then(|out| match is_json {
        true => pool.trace().write_chrome_json(out),
        false => pool.trace().write_svg(out),
    });
    drawn
        .inspect_err(|error| say(format_args!("{file:?}: {error}")))
        .is_ok()
}

#[cfg(not(feature = "trace"))]
fn draw<J: Send, R: Send, S: Send>(_pool: &WorkerPool<J, R, S>, _file: &Path) -> bool {
    unreachable!("the arguments have been refused")
}

/// A line on stderr. Unlike with `eprintln!`, nobody needs to be there to read it.
fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "checksum: {line}");
}
