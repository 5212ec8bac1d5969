//! Sorts the lines of some files, or of its input, by their bytes.
//!
//! ```text
//! cargo run --release --example merge_sort -- [FILE...]
//! ```
//!
//! A merge sort whose halves are sorted at the same time: `fork_join` calls two closures, of
//! which a worker that has nothing to do may take the second one. If none does, that costs hardly
//! more than two calls, so the program forks down to single lines. The exit code is 1 if anything
//! could not be read, and 2 for bad arguments.

mod program;

use std::error::Error;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use workcrew::{ThreadPool, ThreadPoolHandle};

const HELP: &str = "\
Usage: merge_sort [FILE...]

Sorts the lines of some files (default: its input) by their bytes.
";

fn main() -> ExitCode {
    program::exit(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some(files) = program::arguments(HELP)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut exit = ExitCode::SUCCESS;
    let mut texts = Vec::new();
    for path in files.iter().map(Path::new) {
        match fs::read(path) {
            Ok(text) => texts.push(text),
            Err(error) => {
                eprintln!("merge_sort: {}: {error}", path.display());
                exit = ExitCode::FAILURE;
            }
        }
    }
    if files.is_empty() {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        texts.push(text);
    }

    let mut lines: Vec<&[u8]> = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        lines.extend(text.split(|&byte| byte == b'\n'));
    }
    let mut merged = lines.clone();
    let pool = ThreadPool::builder().build()?;
    sort(&pool.handle(), &mut lines, &mut merged);

    let mut output = BufWriter::new(io::stdout().lock());
    for line in lines {
        output.write_all(line)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(exit)
}

/// Sorts `lines`, with room for as many lines beside them.
fn sort<'a>(pool: &ThreadPoolHandle, lines: &mut [&'a [u8]], room: &mut [&'a [u8]]) {
    if lines.len() < 2 {
        return;
    }
    let (left, right) = lines.split_at_mut(lines.len() / 2);
    let (left_room, right_room) = room.split_at_mut(left.len());
    pool.fork_join(
        || sort(pool, left, left_room),
        || sort(pool, right, right_room),
    );
    merge(left, right, room);
    lines.copy_from_slice(room);
}

fn merge<'a, 'l>(mut left: &'l [&'a [u8]], mut right: &'l [&'a [u8]], merged: &mut [&'a [u8]]) {
    for place in merged {
        let take_right = left.is_empty() || right.first().is_some_and(|line| *line < left[0]);
        let side = if take_right { &mut right } else { &mut left };
        *place = side[0];
        *side = &side[1..];
    }
}
