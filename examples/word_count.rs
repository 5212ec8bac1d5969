//! Counts the words of every file below some paths, and prints the most frequent ones.
//!
//! ```text
//! cargo run --release --example word_count -- [PATH...]
//! ```
//!
//! Each worker counts into a table of its own, which nobody else ever sees: no lock, and nothing
//! to send. `shutdown` hands the tables back, and they are merged once. A word is a run of ASCII
//! letters, in lower case. The exit code is 1 if anything could not be read.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use walkdir::WalkDir;
use workcrew::WorkerPool;

type Counts = HashMap<String, u64>;

/// How many words are printed.
const MOST_FREQUENT: usize = 20;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("word_count: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything could be read.
fn run() -> Result<bool, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
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

    let mut all_read = true;
    for outcome in pool.map(&mut results, files) {
        if let Err(message) = outcome.result? {
            eprintln!("word_count: {message}");
            all_read = false;
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
        println!("{count:>7} {word}");
    }
    Ok(all_read)
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
