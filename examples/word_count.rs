//! Counts the words of every file below some paths, and prints the most frequent ones.
//!
//! ```text
//! cargo run --release --example word_count -- [PATH...]
//! ```
//!
//! Each worker counts into a table of its own, which nobody else ever sees: no lock, and nothing
//! to send. `shutdown` hands the tables back, and they are merged once. A word is a run of ASCII
//! letters, in lower case. The exit code is 1 if anything could not be read, and 2 for bad arguments.

mod program;

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use walkdir::WalkDir;
use workcrew::WorkerPool;

type Counts = HashMap<String, u64>;

const HELP: &str = "\
Usage: word_count [PATH...]

Counts the words of every file below some paths (default: the current directory).
";

/// How many words are printed.
const MOST_FREQUENT: usize = 20;

fn main() -> ExitCode {
    program::exit(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some(paths) = program::arguments(HELP)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
    if paths.is_empty() {
        paths.push(".".into());
    }
    let (pool, mut results) = WorkerPool::<PathBuf, Result<(), String>>::builder()
        .init(|_worker| Counts::new())
        .build(|path, ctx| count(&path, ctx.state))?;
    let files = paths.into_iter().flat_map(|path| {
        let walk = WalkDir::new(path).into_iter();
        walk.filter_map(|entry| match entry {
            Ok(entry) => {
                let named = entry.depth() == 0 && entry.path().is_file();
                (named || entry.file_type().is_file()).then(|| entry.into_path())
            }
            // Fails in the same way when it is read.
            Err(error) => error.path().map(Path::to_owned),
        })
    });

    let mut exit = ExitCode::SUCCESS;
    for outcome in pool.map(&mut results, files) {
        if let Err(message) = outcome.result? {
            eprintln!("word_count: {message}");
            exit = ExitCode::FAILURE;
        }
    }
    let mut total = Counts::new();
    for counts in pool.shutdown()? {
        for (word, count) in counts {
            *total.entry(word).or_default() += count;
        }
    }
    let mut total: Vec<_> = total.into_iter().collect();
    total.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    for (word, count) in total.iter().take(MOST_FREQUENT) {
        writeln!(io::stdout(), "{count:>7} {word}")?;
    }
    Ok(exit)
}

fn count(path: &Path, counts: &mut Counts) -> Result<(), String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let words = text.split(|byte| !byte.is_ascii_alphabetic());
    for word in words.filter(|word| !word.is_empty()) {
        let word = String::from_utf8_lossy(word).to_ascii_lowercase();
        *counts.entry(word).or_default() += 1;
    }
    Ok(())
}
