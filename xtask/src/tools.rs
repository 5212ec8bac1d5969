//! `cargo xtask miri`, `cargo xtask sanitize` and `cargo shuttle`: the tests under tools that
//! watch every access to memory, or decide which thread goes on. What each of them cannot see
//! is in VERIFICATION.md.

use crate::ci::{MIRI_FLAGS, have, need_miri};
use crate::process::{self, cargo, target_dir};
use crate::{Outcome, USAGE};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The integration tests that have a size for Miri. The others start programs, fork or count
/// allocations, or their programs are too many.
const TESTS: &str = "--test capacity --test contract --test stress --test thread_pool";

/// What the sanitizers are fast enough for, too.
const MORE_TESTS: &str = "--test properties";

/// Schedules of each test, where nothing else is said: in Miri, and in shuttle.
const SEEDS: &str = "8";
const SCHEDULES: &str = "10000";

/// Miri over the unit tests and the examples in the docs.
pub(crate) fn miri(mut args: &[&str]) -> Outcome {
    let mut seeds = SEEDS;
    let mut flags = MIRI_FLAGS.to_owned();
    let mut target = String::new();
    let mut tests = "";
    while let [first, rest @ ..] = args {
        args = match (*first, rest) {
            ("--seeds", [number, rest @ ..]) if number.parse::<u32>().is_ok() => {
                seeds = number;
                rest
            }
            ("--target", [name, rest @ ..]) => {
                target = format!(" --target {name}");
                rest
            }
            ("--tree-borrows", rest) => {
                flags += " -Zmiri-tree-borrows";
                rest
            }
            ("--tests", rest) => {
                tests = TESTS;
                rest
            }
            _ => return Err(USAGE.into()),
        };
    }
    need_miri()?;
    let start = Instant::now();
    let test = format!("+nightly miri test --package workcrew{target}");
    let all = format!("{flags} -Zmiri-many-seeds=0..{seeds}");
    let passed = count(cargo(&format!("{test} --lib {tests}")).env("MIRIFLAGS", all))?;
    // Once each: they are examples, and each is a program of its own.
    let examples = count(cargo(&format!("{test} --doc")).env("MIRIFLAGS", &flags))?;
    println!(
        "miri{target}: {passed} tests passed in {seeds} schedules, {examples} examples, {} s ({flags})",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// The unit tests and the integration tests, under a sanitizer.
pub(crate) fn sanitize(args: &[&str]) -> Outcome {
    let [name @ ("address" | "leak" | "thread")] = args else {
        return Err(USAGE.into());
    };
    let install = "toolchain install nightly --profile minimal -c rust-src";
    if !have("+nightly --version", install) {
        return Err("the nightly toolchain cannot be had here".into());
    }
    let version = process::read(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("rustc does not tell its host")?;
    let start = Instant::now();
    // The thread sanitizer takes what std does to order threads for no order at all, unless
    // it watches std too.
    let std = if *name == "thread" { "-Zbuild-std" } else { "" };
    let leaks = Path::new(env!("CARGO_MANIFEST_DIR")).join("leaks-on-purpose.txt");
    // With a target build scripts and macros, which run here, are not watched.
    let test = format!(
        "+nightly test --package workcrew --lib {TESTS} {MORE_TESTS} --target {host} {std}"
    );
    let passed = count(
        cargo(&test)
            // With frame pointers reports name all functions: the tests that leak on purpose too.
            .env(
                "RUSTFLAGS",
                format!("-Zsanitizer={name} -Cforce-frame-pointers=yes"),
            )
            // Some tests leak on purpose: only `leak` looks for leaks, and knows these.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .env("LSAN_OPTIONS", format!("suppressions={}", leaks.display()))
            // Much faster than none, and soon compiled.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("CARGO_TARGET_DIR", target_dir("sanitize").join(name)),
    )?;
    println!(
        "sanitize {name}: {passed} tests passed, nothing reported, {} s",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// The tests that shuttle runs, each in many schedules.
pub(crate) fn shuttle(mut args: &[&str]) -> Outcome {
    let mut schedules = SCHEDULES;
    let mut filter = "";
    while let [first, rest @ ..] = args {
        args = match (*first, rest) {
            ("--schedules", [number, rest @ ..]) if number.parse::<u32>().is_ok() => {
                schedules = number;
                rest
            }
            (word, rest) if filter.is_empty() && !word.starts_with('-') => {
                filter = word;
                rest
            }
            _ => return Err(USAGE.into()),
        };
    }
    let start = Instant::now();
    let test = format!("test --package workcrew --lib --release schedules::{filter}");
    let passed = count(cargo_shuttle(&test).env("WORKCREW_SCHEDULES", schedules))?;
    println!(
        "shuttle: {passed} tests passed in {schedules} schedules each, {} s",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// A cargo command that builds for shuttle, in a target directory of its own.
fn cargo_shuttle(args: &str) -> Command {
    let mut command = cargo(args);
    command
        .env(
            "RUSTFLAGS",
            "--cfg workcrew_loom --cfg workcrew_shuttle -C debug-assertions",
        )
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", target_dir("shuttle"));
    command
}

/// The tests of `workcrew::deterministic`: each of 1,000 seeds has one history, and
/// the example on its page holds.
pub(crate) fn deterministic(args: &[&str]) -> Outcome {
    if !args.is_empty() {
        return Err(USAGE.into());
    }
    let start = Instant::now();
    let test = "test --package workcrew --release --test deterministic";
    let passed = count(&mut cargo_shuttle(test))?;
    let example = "test --package workcrew --release --doc deterministic";
    let flags = "--cfg workcrew_loom --cfg workcrew_shuttle";
    let examples = count(cargo_shuttle(example).env("RUSTDOCFLAGS", flags))?;
    println!(
        "deterministic: {passed} tests and {examples} example passed, {} s",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// Runs tests to their end, with their output on ours. Returns how many passed.
///
/// # Errors
///
/// Nothing has passed: then nothing was looked at.
fn count(command: &mut Command) -> Outcome<usize> {
    let mut passed = 0;
    process::run_and_hear(command, |line| {
        // "test result: ok. 46 passed; 0 failed; ..."
        let result = line.split_once("test result: ok. ");
        let number = result.and_then(|(_, result)| result.split(' ').next()?.parse().ok());
        passed += number.unwrap_or(0);
    })?;
    if passed == 0 {
        return Err("no test was run".into());
    }
    Ok(passed)
}
