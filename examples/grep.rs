//! Prints the lines that match a pattern, of every file below some paths, as `grep -anHE` does.
//!
//! ```text
//! cargo run --release --example grep -- PATTERN [PATH...]
//! ```
//!
//! Files are searched by all workers at once, and their lines come in the order of the walk:
//! `map_ordered` holds back what is early, at most a window full. So the walk is never far ahead
//! of the output, and a tree of any size takes the same memory.
//!
//! The exit code is 0 if a line matched, 1 if none did, 2 for errors, as `grep`'s.

mod program;

use std::error::Error;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use regex::bytes::Regex;
use walkdir::{DirEntry, WalkDir};
use workcrew::WorkerPool;

const HELP: &str = "\
Usage: grep PATTERN [PATH...]

Prints the lines that match PATTERN, of every file below the paths (default: the current directory).
";

fn main() -> ExitCode {
    program::exit(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some(arguments) = program::arguments(HELP)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut arguments = arguments.into_iter();
    let pattern = arguments.next();
    let pattern = pattern.ok_or_else(|| program::misused("there is no PATTERN"))?;
    let pattern = Regex::new(pattern.to_str().ok_or("the pattern is not UTF-8")?)?;
    let mut paths: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if paths.is_empty() {
        paths.push(".".into());
    }

    let (pool, mut results) = WorkerPool::<PathBuf, Result<Vec<u8>, String>>::builder()
        .thread_name("grep")
        .build(move |path, _| search(&pattern, &path))?;
    // Errors of the walk become jobs that fail in the same way when they are read.
    let files = paths.into_iter().flat_map(|path| {
        let walk = WalkDir::new(path).sort_by_file_name().into_iter();
        walk.filter_map(|entry| match entry {
            Ok(entry) => is_searched(&entry).then(|| entry.into_path()),
            Err(error) => error.path().map(Path::to_owned),
        })
    });

    // A file's lines at a time.
    let mut stdout = BufWriter::new(io::stdout().lock());
    let (mut matched, mut failed) = (false, false);
    for outcome in pool.map_ordered(&mut results, files) {
        match outcome.result? {
            Ok(lines) => {
                matched |= !lines.is_empty();
                stdout.write_all(&lines)?;
                stdout.flush()?;
            }
            Err(message) => {
                eprintln!("grep: {message}");
                failed = true;
            }
        }
    }
    Ok(match (failed, matched) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// Links are followed where they are named, as `grep -r` does.
fn is_searched(entry: &DirEntry) -> bool {
    entry.file_type().is_file() || entry.depth() == 0 && entry.path().is_file()
}

/// The matching lines of a file, with its name and their numbers.
fn search(pattern: &Regex, path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let content = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(content.split_inclusive(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if pattern.is_match(line) {
            found.extend_from_slice(format!("{name}:{number}:").as_bytes());
            found.extend_from_slice(line);
            found.push(b'\n');
        }
    }
    Ok(found)
}
