//! Counts the words of every file below some paths, and prints the most frequent ones.
//!
//! ```text
//! cargo run --release --example word_count_map -- [PATH...]
//! ```
//!
//! The program of `word_count.rs` with a pool of closures: `map` counts the words of each file,
//! and hands the tables back in the order of the files. Files differ in size, so the chunks that
//! `map` makes get smaller. A word is a run of ASCII letters, in lower case. The exit code is 1
//! if anything could not be read, and 2 for bad arguments.

mod program;

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use walkdir::WalkDir;
use workcrew::ThreadPool;

type Counts = HashMap<String, u64>;

const HELP: &str = "\
Usage: word_count_map [PATH...]

Counts the words of every file below some paths (default: the current directory).
";

/// How many words are printed.
const MOST_FREQUENT: usize = 20;

fn main() -> ExitCode {
    program::exit(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some(roots) = program::arguments(HELP)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut roots: Vec<PathBuf> = roots.into_iter().map(PathBuf::from).collect();
    if roots.is_empty() {
        roots.push(".".into());
    }
    let mut files = Vec::new();
    let mut exit = ExitCode::SUCCESS;
    for entry in roots.into_iter().flat_map(WalkDir::new) {
        match entry {
            Ok(entry) if entry.path().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => {
                eprintln!("word_count_map: {error}");
                exit = ExitCode::FAILURE;
            }
        }
    }

    let pool = ThreadPool::builder().build()?;
    let mut total = Counts::new();
    for (path, counts) in files.iter().zip(pool.map(&files, |path| count(path))) {
        match counts {
            Ok(counts) => {
                for (word, count) in counts {
                    *total.entry(word).or_default() += count;
                }
            }
            Err(error) => {
                eprintln!("word_count_map: {}: {error}", path.display());
                exit = ExitCode::FAILURE;
            }
        }
    }
    let mut total: Vec<_> = total.into_iter().collect();
    total.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    for (word, count) in total.iter().take(MOST_FREQUENT) {
        writeln!(io::stdout(), "{count:>7} {word}")?;
    }
    Ok(exit)
}

fn count(path: &Path) -> io::Result<Counts> {
    let mut counts = Counts::new();
    let text = fs::read(path)?;
    let words = text.split(|byte| !byte.is_ascii_alphabetic());
    for word in words.filter(|word| !word.is_empty()) {
        let word = String::from_utf8_lossy(word).to_ascii_lowercase();
        *counts.entry(word).or_default() += 1;
    }
    Ok(counts)
}
