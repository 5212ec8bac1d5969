//! The Go program beside this file, run as a process of its own.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::drive::{Sample, Shape, Task};
use crate::reading::Cost;

const SOURCE: &str = include_str!("go/main.go");

/// Why there are no rows of Go, if there are none.
///
/// # Errors
///
/// If `go` is not installed or does not build the program; the text says which.
pub fn program() -> Result<&'static Path, &'static str> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM
        .get_or_init(build)
        .as_deref()
        .map_err(String::as_str)
}

/// Builds the program beside this binary, in Cargo's own target folder.
fn build() -> Result<PathBuf, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let folder = this.with_extension("go");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let source = folder.join("main.go");
    std::fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
    let program = folder.join("main");
    let built = Command::new("go")
        .arg("build")
        .arg("-o")
        .args([&program, &source])
        .output()
        .map_err(|error| format!("`go` is not installed ({error})"))?;
    if built.status.success() {
        Ok(program)
    } else {
        let said = String::from_utf8_lossy(&built.stderr);
        Err(format!("`go build` failed: {}", said.trim()))
    }
}

/// One sample of the Go program: as [`crate::drive::sample`], but the program makes both passes itself.
///
/// # Panics
///
/// If the program is not there (see [`program`]), fails, or returns other results than the jobs have.
#[must_use]
pub fn sample(task: &Task) -> Sample {
    let program = program().expect("subjects without a program are left out");
    let (shape, pause) = match task.shape {
        Shape::FillThenDrain | Shape::Deep => ("fill-then-drain", Duration::ZERO),
        Shape::Stream => ("stream", Duration::ZERO),
        Shape::RoundTrips { pause } => ("round-trips", pause),
        Shape::Wide(_) | Shape::Pile | Shape::Idle { .. } | Shape::Closures(_) => {
            unreachable!("the Go program has no such shape")
        }
    };
    let mut child = Command::new(program)
        .arg(shape)
        .arg(task.capacity.workers.to_string())
        .arg(task.capacity.jobs.to_string())
        .arg(task.capacity.results.to_string())
        .arg(pause.as_nanos().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Go program starts");
    let words: Vec<u8> = task
        .jobs
        .iter()
        .flat_map(|job| job.to_bits().to_le_bytes())
        .collect();
    let mut stdin = child.stdin.take().expect("asked for");
    stdin.write_all(&words).expect("the Go program reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the Go program runs");
    assert!(output.status.success(), "the Go program failed");

    let text = String::from_utf8(output.stdout).expect("the Go program prints numbers");
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default();
    let numbers: Vec<u64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let &[wall, cpu, sum] = numbers.as_slice() else {
        panic!("the Go program printed {line:?}");
    };
    task.check(sum, 0);
    Sample {
        cost: Cost {
            wall: Duration::from_nanos(wall),
            cpu: Duration::from_nanos(cpu),
            ..Cost::default()
        },
        trips: lines
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
        ..Sample::default()
    }
}
