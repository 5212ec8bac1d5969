//! `cargo xtask miri`, `cargo xtask sanitize` and `cargo shuttle`: the tests under tools that
//! watch every access to memory, or decide which thread goes on. What each of them cannot see
//! is in VERIFICATION.md.

use crate::ci::{MIRI_FLAGS, have, need_miri};
use crate::process::{self, cargo, target_dir};
use crate::{Outcome, USAGE};
use std::fs;
use std::num::NonZero;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

/// The integration tests that have a size for Miri. The others start programs, fork, count
/// allocations, need a feature, or their programs are too many.
const TESTS: [&str; 5] = ["contract", "thread_pool", "awaiting", "capacity", "stress"];

/// What leaks on purpose: a line for each, with a part of a function's name behind `leak:`.
const LEAKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/leaks-on-purpose.txt");

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
    let mut programs: &[&str] = &[];
    while let [first, rest @ ..] = args {
        args = match (*first, rest) {
            ("--seeds", [number, rest @ ..]) if number.parse::<NonZero<u32>>().is_ok() => {
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
                programs = &TESTS;
                rest
            }
            _ => return Err(USAGE.into()),
        };
    }
    need_miri()?;
    let start = Instant::now();
    let test = format!("+nightly miri test --package workcrew{target}");
    let all = format!("{flags} -Zmiri-many-seeds=0..{seeds}");
    let mut passed = count(cargo(&format!("{test} --lib")).env("MIRIFLAGS", &all))?;
    if !programs.is_empty() {
        let names = programs.iter().map(|name| format!(" --test {name}"));
        let build = format!("{test} --no-run{}", names.collect::<String>());
        process::run(cargo(&build).env("MIRIFLAGS", &flags))?;
        let parts = apart_from_leaks(&test, &all, programs)?;
        passed += count_each(&parts)?;
    }
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
    let programs: String = TESTS.map(|name| format!(" --test {name}")).concat();
    // With a target build scripts and macros, which run here, are not watched.
    let test = format!(
        "+nightly test --package workcrew --lib{programs} {MORE_TESTS} --target {host} {std}"
    );
    let passed = count(
        cargo(&test)
            // With frame pointers reports name all functions: the tests that leak on purpose too.
            .env(
                "RUSTFLAGS",
                format!(
                    "-Zsanitizer={name} -Cforce-frame-pointers=yes --cfg workcrew_fresh_memory"
                ),
            )
            // Some tests leak on purpose: only `leak` looks for leaks, and knows these.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .env("LSAN_OPTIONS", format!("suppressions={LEAKS}"))
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
            ("--schedules", [number, rest @ ..]) if number.parse::<NonZero<u32>>().is_ok() => {
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

/// For each of these programs a command and its `MIRIFLAGS`, and another for those of its tests
/// that leak on purpose.
fn apart_from_leaks(test: &str, flags: &str, programs: &[&str]) -> Outcome<Vec<(String, String)>> {
    let leaks = leaks_on_purpose()?;
    let mut commands = Vec::new();
    for program in programs {
        let own = |name: &str| Some(name.strip_prefix(program)?.strip_prefix("::")?.to_owned());
        let leaks: Vec<String> = leaks.iter().filter_map(|name| own(name)).collect();
        let others: String = leaks.iter().map(|name| format!(" --skip {name}")).collect();
        let test = format!("{test} --test {program} --");
        commands.push((format!("{test}{others}"), flags.to_owned()));
        if !leaks.is_empty() {
            let flags = format!("{flags} -Zmiri-ignore-leaks");
            commands.push((format!("{test} {}", leaks.join(" ")), flags));
        }
    }
    Ok(commands)
}

/// The names in [`LEAKS`].
fn leaks_on_purpose() -> Outcome<Vec<String>> {
    let text = fs::read_to_string(LEAKS).map_err(|error| format!("{LEAKS}: {error}"))?;
    let names = text.lines().filter_map(|line| line.strip_prefix("leak:"));
    Ok(names.map(str::to_owned).collect())
}

/// Runs tests to their end, with their output on ours. Returns how many passed.
///
/// # Errors
///
/// Nothing has passed: then nothing was looked at.
pub(crate) fn count(command: &mut Command) -> Outcome<usize> {
    let mut passed = 0;
    process::run_and_hear(command, |line| passed += passed_in(line))?;
    at_least_one(passed)
}

/// As [`count`], for several commands with their `MIRIFLAGS`, as many at once as there are cores.
fn count_each(commands: &[(String, String)]) -> Outcome<usize> {
    let outcomes = Mutex::new(Vec::new());
    process::for_each_at_once(commands, |_, (args, flags)| {
        let run = process::run_aside(cargo(args).env("MIRIFLAGS", flags));
        let passed = run.map(|output| output.lines().map(passed_in).sum());
        let passed = passed.and_then(at_least_one);
        outcomes.lock().unwrap().push(passed);
    });
    outcomes.into_inner().unwrap().into_iter().sum()
}

/// How many passed, in a line such as "test result: ok. 46 passed; 0 failed; ...".
fn passed_in(line: &str) -> usize {
    let result = line.split_once("test result: ok. ");
    let number = result.and_then(|(_, result)| result.split(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

fn at_least_one(passed: usize) -> Outcome<usize> {
    if passed == 0 {
        return Err("no test was run".into());
    }
    Ok(passed)
}
