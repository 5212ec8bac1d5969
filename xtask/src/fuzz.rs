//! `cargo xtask fuzz`: random programs, drawn by libFuzzer (see `fuzz/fuzz_targets/programs.rs`).
//!
//! What reaches new code is kept in `fuzz/corpus`, and where the next run begins. An input that
//! fails is kept in `fuzz/artifacts`, played again and made smaller, and its program is printed. A
//! race need not come again: then the program is all there is.

use crate::ci;
use crate::process::{self, cargo, target_dir};
use crate::{Outcome, USAGE};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program takes milliseconds. A machine may be suspended for a while.
const SECONDS_FOR_ONE: u64 = 120;

/// Bytes enough for 30 steps of 40 jobs each to differ.
const LONGEST_INPUT: u64 = 1024;

/// How often an input that failed is played again, and how often a smaller one is tried.
const AGAIN: u64 = 200;

const ARTIFACTS: &str = "fuzz/artifacts/programs";

pub(crate) fn run(args: &[&str]) -> Outcome {
    let ["--minutes", minutes] = args else {
        return Err(USAGE.into());
    };
    let seconds = process::seconds(minutes)?;
    install()?;
    process::run(&mut cargo_fuzz("build"))?;

    let before = artifacts();
    let log = target_dir("fuzz").join("log");
    let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut fuzzer = cargo_fuzz("run");
    fuzzer
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={SECONDS_FOR_ONE}"))
        .arg(format!("-max_len={LONGEST_INPUT}"))
        // Longer inputs soon.
        .arg("-len_control=10")
        .arg("-print_final_stats=1")
        .stderr(Stdio::from(file));
    println!("The fuzzer's own words are in {}.", log.display());
    let start = Instant::now();
    let ended = process::run(&mut fuzzer);
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let text = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let stat = |name: &str| -> String {
        let line = text.lines().rev().find_map(|line| line.split_once(name));
        let number = line.and_then(|(_, rest)| rest.split_whitespace().next());
        number.unwrap_or("?").to_owned()
    };
    println!(
        "fuzz: {minutes:.1} minutes, {} programs, {} new in the corpus, {} edges reached: {}",
        stat("stat::number_of_executed_units:"),
        stat("stat::new_units_added:"),
        stat(" cov: "),
        if ended.is_ok() {
            "none failed"
        } else {
            "FAILED"
        }
    );
    let Err(why) = ended else { return Ok(()) };
    let last: Vec<_> = text.lines().filter(|line| !is_progress(line)).collect();
    println!("{}", last[last.len().saturating_sub(100)..].join("\n"));
    for input in artifacts()
        .into_iter()
        .filter(|input| !before.contains(input))
    {
        look_closer(&input);
    }
    Err(why)
}

/// Nightly Rust, whose compiler counts edges, and cargo-fuzz.
fn install() -> Outcome {
    let nightly = "toolchain install nightly --profile minimal";
    if !ci::have("+nightly --version", nightly) {
        return Err("nightly Rust cannot be had here, and libFuzzer needs it".into());
    }
    if !process::have("fuzz --version", &mut cargo("install cargo-fuzz --locked")) {
        return Err("cargo-fuzz cannot be had here".into());
    }
    Ok(())
}

fn cargo_fuzz(what: &str) -> Command {
    let mut command = cargo(&format!("+nightly fuzz {what} --target-dir"));
    command.arg(target_dir("fuzz")).arg("programs");
    command
}

/// Whether libFuzzer only says that it goes on.
fn is_progress(line: &str) -> bool {
    line.starts_with('#') && line.contains("cov: ") || line.trim_start().starts_with("NEW_FUNC")
}

fn artifacts() -> Vec<PathBuf> {
    let entries = fs::read_dir(ARTIFACTS).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Plays it again, and if it fails again, makes it smaller.
fn look_closer(input: &Path) {
    let mut again = cargo_fuzz("run");
    again.arg(input).arg("--").arg(format!("-runs={AGAIN}"));
    if process::run(&mut again).is_ok() {
        println!(
            "It does not fail again in {AGAIN} runs: it was a race, or the machine stood still."
        );
        return;
    }
    let mut smaller = cargo_fuzz("tmin");
    smaller.arg(format!("--runs={AGAIN}")).arg(input);
    if let Err(why) = process::run(&mut smaller) {
        println!("It cannot be made smaller: {why}");
    }
}
