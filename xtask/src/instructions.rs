//! `cargo xtask instructions`: how many instructions each path of one thread takes, beside what
//! it took before.
//!
//! Counted by callgrind, of a build by the oldest compiler that the crate allows: so the numbers
//! are the same on any machine of one kind, whatever else that does. The paths are walked by
//! `benches/instructions`.

use crate::ci::MSRV;
use crate::process::{self, cargo, target_dir};
use crate::{Outcome, ci};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};

/// What each path took when it was last looked at.
const BASELINE: &str = "benches/instructions/baseline.txt";

const HEAD: &str = "\
# Written by `cargo xtask instructions --update`: instructions each time that a path is walked.
";

/// So much more is too much, in percent.
const GROWTH: f64 = 3.0;

const PACKAGE: &str = "workcrew-instructions";

pub(crate) fn run(args: &[&str]) -> Outcome {
    let update = process::only_flag("--update", args)?;
    have_tools()?;
    let counts = count_all()?;
    let baseline = read_baseline()?;
    let mut text = HEAD.to_owned();
    let mut grown = Vec::new();
    println!("path | instructions | before | change");
    for (path, count) in &counts {
        // Writing to a string succeeds.
        let _ = writeln!(text, "{path}: {count:.1}");
        let Some(before) = baseline.get(path) else {
            println!("{path} | {count:.1} | |");
            grown.push(format!("{path} is new"));
            continue;
        };
        let change = (count / before - 1.0) * 100.0;
        println!("{path} | {count:.1} | {before:.1} | {change:+.1} %");
        if change > GROWTH {
            grown.push(format!("{path}: {before:.1} -> {count:.1}"));
        } else if change < -GROWTH {
            println!("better: `cargo xtask instructions --update` keeps it so");
        }
    }
    if update {
        return fs::write(BASELINE, text).map_err(|error| format!("{BASELINE}: {error}"));
    }
    let gone = baseline.keys().filter(|path| !counts.contains_key(*path));
    grown.extend(gone.map(|path| format!("{path} is gone")));
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nmore than {GROWTH} % above {BASELINE}. On purpose? `cargo xtask instructions --update`",
        grown.join("\n")
    ))
}

/// As [`run`], or a word where there are no tools for it.
pub(crate) fn run_if_possible() -> Outcome {
    if let Err(why) = have_tools() {
        println!("!!! NOT COUNTED: {why}");
        return Ok(());
    }
    run(&[])
}

fn have_tools() -> Outcome {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("the baseline is of x86-64 Linux".into());
    }
    let install = format!("toolchain install {MSRV} --profile minimal");
    if !ci::have(&format!("+{MSRV} --version"), &install) {
        return Err(format!("Rust {MSRV} cannot be had here"));
    }
    let mut valgrind = Command::new("valgrind");
    if !process::works(valgrind.arg("--version")) {
        return Err("there is no valgrind (the package of that name)".into());
    }
    Ok(())
}

/// Each path, and the instructions each time that it is walked.
fn count_all() -> Outcome<BTreeMap<String, f64>> {
    let target = target_dir("instructions");
    let mut build = cargo(&format!("+{MSRV} build --release --package {PACKAGE}"));
    build
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    process::run(&mut build)?;
    let program = target.join("release").join(PACKAGE);
    let paths = process::read(&mut Command::new(&program))?;
    let mut lines = paths.lines();
    let times: f64 = process::number("paths", lines.next().unwrap_or_default())?;
    let mut counts = BTreeMap::new();
    for path in lines {
        let mut walk = Command::new("valgrind");
        walk.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg("--toggle-collect=*workcrew_instructions::counted*")
            .arg(&program)
            .arg(path)
            .stdin(Stdio::null());
        let failed = |error| format!("cannot run valgrind: {error}");
        let output = walk.output().map_err(failed)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let collected = said.lines().find_map(|line| line.split_once("Collected :"));
        let count = collected.and_then(|(_, count)| count.trim().parse::<f64>().ok());
        match count {
            Some(count) if output.status.success() && count > 0.0 => {
                counts.insert(path.to_owned(), count / times);
            }
            _ => return Err(format!("the path `{path}` was not counted:\n{said}")),
        }
    }
    Ok(counts)
}

fn read_baseline() -> Outcome<BTreeMap<String, f64>> {
    let text = fs::read_to_string(BASELINE).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (path, count) = line
                .rsplit_once(": ")
                .ok_or(format!("{BASELINE}: no count in `{line}`"))?;
            Ok((path.to_owned(), process::number(BASELINE, count)?))
        })
        .collect()
}
