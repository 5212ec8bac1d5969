//! `cargo xtask bench`: the whole comparison with the peers, as a page for this machine.
//!
//! What is measured, and how, stands in `benches/src/lib.rs`.

use crate::process::{cargo, run};
use crate::{Outcome, USAGE};
use std::env::consts::{ARCH, OS};
use std::path;
use std::thread;
use std::time::Instant;

/// The pages of all machines.
const PAGES: &str = "docs/benchmarks";

pub(crate) fn run_all(args: &[&str]) -> Outcome {
    let quick = match args {
        [] => false,
        ["--quick"] => true,
        _ => return Err(USAGE.into()),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let page = format!("{PAGES}/{ARCH}-{OS}-{cores}");
    let folder = path::absolute(&page).map_err(|error| format!("{page}: {error}"))?;
    let mut bench = cargo("bench --package workcrew-bench --bench ratios -- --report");
    bench.arg(folder);
    if quick {
        bench.arg("--quick");
    }
    let start = Instant::now();
    run(&mut bench)?;
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    println!("bench: {minutes:.1} minutes with building, see {page}/README.md");
    Ok(())
}
