//! `cargo xtask ci`: all that must hold before a change is merged.

use crate::loom::{self, cargo_loom};
use crate::mutants;
use crate::process::{self, cargo, run_cargo, target_dir};
use crate::{Outcome, USAGE, instructions, tools};
use std::collections::BTreeSet;
use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A name and what to do.
type Step = (&'static str, fn() -> Outcome);

/// The steps, the cheapest first. The rules about the text of the source (layers,
/// unsafe code, `SeqCst`, no `mpsc`) are tests: see `tests/tidy.rs`.
const STEPS: &[Step] = &[
    ("fmt", fmt),
    ("channels", channels),
    ("clippy", clippy),
    (TEST, test),
    ("features", features),
    ("docs", docs),
    ("msrv", msrv),
    ("instructions", instructions::run_if_possible),
    ("examples", examples),
    ("deterministic", deterministic),
    ("loom", loom),
    ("mutants", mutants),
    ("fuzz", fuzz),
    ("miri", miri),
];

/// The step that `--after-tests` leaves out.
const TEST: &str = "test";

/// The oldest toolchain that must build the library: `rust-version` in the root
/// `Cargo.toml`, which has two parts, and a patch number.
pub(crate) const MSRV: &str = concat!(env!("CARGO_PKG_RUST_VERSION"), ".0");

/// Every example, with arguments that keep it short.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("checksum", &["--workers", "2", "src"]),
    ("fetch", &["README.md", "src/lib.rs"]),
    ("grep", &["fn [a-z]+", "src"]),
    ("limits", &["README.md", "src/lib.rs"]),
    ("merge_sort", &["CHANGELOG.md", "src/lib.rs"]),
    ("word_count", &["src"]),
    ("word_count_map", &["src"]),
    ("worker_pool", &[]),
];

/// Every seed is another schedule. Isolation would forbid the clock. A panic with a backtrace takes
/// some seconds, and the tests have thousands of panics.
pub(crate) const MIRI_FLAGS: &str =
    "-Zmiri-disable-isolation -Zmiri-strict-provenance -Zmiri-env-set=RUST_BACKTRACE=0";

/// Seconds for the mutants of files that changed since all were swept. In this time most of one
/// file's are tried; the whole run is for who has changed more.
const MUTANTS_LIMIT: &str = "60";

/// How long one example may take: a hang must not stop CI for ever.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &[&str]) -> Outcome {
    let chosen = |name: &str| match args {
        [] => true,
        ["--after-tests"] => name != TEST,
        ["--only", only] => name == *only,
        _ => false,
    };
    let steps: Vec<_> = STEPS.iter().filter(|(name, _)| chosen(name)).collect();
    if steps.is_empty() {
        return Err(format!("{USAGE}\n  STEP is one of: {}", step_names()));
    }
    for (name, step) in steps {
        println!("\n== ci: {name}");
        let start = Instant::now();
        let outcome = step();
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        let seconds = start.elapsed().as_secs_f32();
        println!("== ci: {name} {word}, {seconds:.1} s");
        outcome.map_err(|why| format!("ci: step `{name}` failed: {why}"))?;
    }
    Ok(())
}

pub(crate) fn step_names() -> String {
    let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn fmt() -> Outcome {
    run_cargo("fmt --all --check")
}

/// The crate promises to contain no channel, not even inside a dependency.
fn channels() -> Outcome {
    let tree = "tree --package workcrew --all-features --edges normal --target all --prefix none";
    let tree = process::read(&mut cargo(tree))?;
    let names: BTreeSet<_> = tree.split_whitespace().collect();
    for part in ["channel", "flume", "kanal"] {
        if let Some(name) = names.iter().find(|name| name.contains(part)) {
            return Err(format!("the library depends on {name}"));
        }
    }
    Ok(())
}

fn clippy() -> Outcome {
    run_cargo("clippy --workspace --all-targets -- -D warnings")?;
    run_cargo("clippy --package workcrew --all-targets --all-features -- -D warnings")?;
    // The models: the library as its unit tests see it.
    let clippy = "clippy --package workcrew --lib --profile test -- -D warnings";
    process::run(&mut cargo_loom(clippy))
}

fn test() -> Outcome {
    run_cargo("test")
}

/// What the features add, and the tests that a feature could break.
fn features() -> Outcome {
    // Each without the other, since they share a clock.
    for alone in ["trace", "histograms"] {
        run_cargo(&format!(
            "clippy --package workcrew --lib --features {alone} -- -D warnings"
        ))?;
    }
    let test = "test --all-features --lib --test trace --test histograms --test tracing \
                --test metrics --test allocations -- --skip stall";
    run_cargo(test)
}

/// Private items too, since the protocols are explained there.
fn docs() -> Outcome {
    let doc = "doc --no-deps --package workcrew --all-features --document-private-items";
    process::run(cargo(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    run_cargo("test --doc --all-features")
}

fn msrv() -> Outcome {
    let install = format!("toolchain install {MSRV} --profile minimal");
    if !have(&format!("+{MSRV} --version"), &install) {
        println!("!!! NOT CHECKED: Rust {MSRV} cannot be had here.");
        println!("!!! Only clippy's `incompatible_msrv` has looked, and that for std alone.");
        return Ok(());
    }
    run_cargo(&format!("+{MSRV} check --package workcrew --lib"))?;
    run_cargo(&format!(
        "+{MSRV} check --package workcrew --lib --all-features"
    ))
}

/// Runs each example to its end, and leaves none out.
fn examples() -> Outcome {
    let files = fs::read_dir("examples").map_err(|error| format!("examples: {error}"))?;
    let files = files.flatten().map(|file| file.path());
    // What they share is in a folder.
    let files: BTreeSet<_> = files
        .filter(|path| path.is_file())
        .filter_map(|path| Some(path.file_stem()?.to_owned()))
        .collect();
    let listed: BTreeSet<_> = EXAMPLES.iter().map(|(name, _)| name.into()).collect();
    if files != listed {
        return Err(format!("there are {files:?}, but EXAMPLES has {listed:?}"));
    }
    run_cargo("build --examples")?;
    for (name, args) in EXAMPLES {
        println!("$ {name} {}", args.join(" "));
        // Not by `cargo run`: if that were killed, the example would live on.
        let program = target_dir("debug/examples").join(format!("{name}{EXE_SUFFIX}"));
        let mut example = Command::new(program);
        example
            .args(*args)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = example
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        match process::wait_at_most(&mut child, EXAMPLE_LIMIT)? {
            Some(status) if status.success() => {}
            Some(status) => return Err(format!("{name}: {status}")),
            None => {
                return Err(format!(
                    "{name}: killed after {} s",
                    EXAMPLE_LIMIT.as_secs()
                ));
            }
        }
    }
    // Their tests run them on small input. Those of the broker say so if there is no server.
    run_cargo("test --package workcrew-recipes --package workcrew-broker --test *")
}

fn loom() -> Outcome {
    loom::run(&[])
}

fn mutants() -> Outcome {
    mutants::run(&["--changed", MUTANTS_LIMIT])
}

/// Whether the fuzzer's program would build. It is no part of the workspace.
fn fuzz() -> Outcome {
    let check = "check --manifest-path fuzz/Cargo.toml --locked";
    let mut check = cargo(check);
    check
        .env("CARGO_TARGET_DIR", target_dir("fuzz-check"))
        .env("RUSTFLAGS", "-D warnings")
        // Nothing is linked, so libFuzzer, which needs a C++ compiler, is not built.
        .env("CUSTOM_LIBFUZZER_PATH", "none/libfuzzer.a");
    process::run(&mut check)
}

fn deterministic() -> Outcome {
    tools::deterministic(&[])
}

/// The unit tests in Miri, which uses one core: so in as many processes as there are parts.
fn miri() -> Outcome {
    need_miri()?;
    let test = |rest: &str| {
        let mut test = cargo("+nightly miri test --package workcrew --lib");
        test.args(rest.split_whitespace())
            .env("MIRIFLAGS", MIRI_FLAGS);
        test
    };
    process::run(&mut test("--no-run"))?;
    // Of about the same length.
    let parts = [
        "-- deque thread_pool worker_pool",
        "-- --skip deque --skip thread_pool --skip worker_pool",
    ];
    let outcomes = Mutex::new(Vec::new());
    process::for_each_at_once(&parts, |_, part| {
        let outcome = process::run_aside(&mut test(part));
        outcomes.lock().unwrap().push(outcome.map(drop));
    });
    outcomes.into_inner().unwrap().into_iter().collect()
}

/// Installs Miri if it is not there.
pub(crate) fn need_miri() -> Outcome {
    let install = "toolchain install nightly --profile minimal -c miri -c rust-src";
    if have("+nightly miri --version", install) {
        Ok(())
    } else {
        Err("Miri cannot be had here. Nothing else looks for undefined behaviour".into())
    }
}

/// Whether `cargo` can do `check`, if need be after `rustup` did `install`.
pub(crate) fn have(check: &str, install: &str) -> bool {
    process::have(
        check,
        Command::new("rustup").args(install.split_whitespace()),
    )
}
