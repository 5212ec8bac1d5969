//! `cargo xtask bench`: the whole comparison with the peers, as a page for this machine.
//!
//! What is measured, and how, stands in `benches/src/lib.rs`.

use crate::Outcome;
use crate::process::{self, cargo, run, target_dir};
use std::env::consts::{ARCH, OS};
use std::path::{self, Path};
use std::process::Command;
use std::thread;
use std::time::Instant;

/// The pages of all machines.
const PAGES: &str = "docs/benchmarks";

pub(crate) fn run_all(args: &[&str]) -> Outcome {
    let quick = process::only_flag("--quick", args)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let machine = format!("{ARCH}-{OS}-{cores}");
    let folder = if quick {
        // No numbers to keep.
        target_dir("bench").join(machine)
    } else {
        let page = Path::new(PAGES).join(machine);
        path::absolute(page).map_err(|error| format!("{PAGES}: {error}"))?
    };
    let mut bench = cargo("bench --package workcrew-bench --bench ratios -- --report");
    bench.arg(&folder);
    bench.arg("--remark").arg(code()?);
    if quick {
        bench.arg("--quick");
    }
    let start = Instant::now();
    run(&mut bench)?;
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let page = folder.join("README.md");
    println!(
        "bench: {minutes:.1} minutes with building, see {}",
        page.display()
    );
    Ok(())
}

/// Of what code a page is. (The page itself does not count.)
fn code() -> Outcome<String> {
    let read = |line: &str| {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        process::read(command.args(words)).map(|text| text.trim().to_owned())
    };
    let commit = read("git log -1 --format=%h,%x20%cs")?;
    let changes = read("git status --porcelain -- . :!docs/benchmarks")?;
    let changed = if changes.is_empty() {
        ""
    } else {
        ", with changes"
    };
    let rustc = read("rustc --version")?;
    let go = read("go version").unwrap_or_else(|_| "no Go".to_owned());
    Ok(format!(
        "Commit {commit}{changed}; {rustc}; {go}; the other peers' versions are those of its Cargo.lock."
    ))
}
