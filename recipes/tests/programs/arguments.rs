//! What all recipes do with their arguments, and with an output that takes nothing.

use crate::folder;
use crate::program::run;
use std::fs::File;
use std::io;
use std::process::{Command, Output, Stdio};

const CRAWL: &str = env!("CARGO_BIN_EXE_crawl");
const JOB_QUEUE: &str = env!("CARGO_BIN_EXE_job_queue");
const SERVER: &str = env!("CARGO_BIN_EXE_server");
const SIMULATION: &str = env!("CARGO_BIN_EXE_simulation");
const THUMBNAILS: &str = env!("CARGO_BIN_EXE_thumbnails");

#[test]
fn help_goes_to_stdout() {
    for program in [CRAWL, JOB_QUEUE, SERVER, SIMULATION, THUMBNAILS] {
        let help = run(Command::new(program).arg("--help"));
        assert_eq!(help.code, Some(0), "{program}");
        assert!(
            help.stdout.contains("Usage: "),
            "{program}: {}",
            help.stdout
        );
        assert_eq!(help.stderr, "", "{program}");
    }
}

#[test]
fn bad_arguments_are_explained_and_exit_with_2() {
    let bad: [(&str, &[&str], &str); 17] = [
        (CRAWL, &["--in-flight", "0"], "--in-flight"),
        (CRAWL, &["--in-flight", "1000000"], "worker"),
        (CRAWL, &["no such directory"], "no such directory"),
        (CRAWL, &["one", "two"], "two"),
        (JOB_QUEUE, &[], "Usage"),
        (JOB_QUEUE, &["add"], "COMMANDS"),
        (
            JOB_QUEUE,
            &["--db", "/no such directory/jobs", "run"],
            "no such directory",
        ),
        (JOB_QUEUE, &["run", "--workers", "two"], "two"),
        (SERVER, &["--workers", "-1"], "-1"),
        (SERVER, &["--queue", "0"], "--queue"),
        (SERVER, &["localhost"], "localhost"),
        (SIMULATION, &["--steps", "0"], "--steps"),
        (SIMULATION, &["--sweeps", "1", "--steps", "256"], "--steps"),
        (SIMULATION, &["--sweeps", "1", "--seeds", "256"], "--seeds"),
        (SIMULATION, &["--side", "300"], "--side"),
        (THUMBNAILS, &["--size", "0"], "--size"),
        (THUMBNAILS, &["--quick"], "--quick"),
    ];
    for (program, arguments, mentioned) in bad {
        let ended = run(Command::new(program).args(arguments));
        assert_eq!(
            ended.code,
            Some(2),
            "{program} {arguments:?}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains(mentioned),
            "{program} {arguments:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "{program} {arguments:?}");
    }
}

/// Runs all that print (`server` serves on, `job_queue` leaves that to its commands).
fn print_to(stdout: impl Fn() -> Stdio) -> [Output; 3] {
    let folder = folder();
    let out = folder.path().to_str().unwrap();
    let programs: [(&str, &[&str]); 3] = [
        (CRAWL, &["src"]),
        (
            SIMULATION,
            &["--steps", "1", "--seeds", "1", "--sweeps", "1"],
        ),
        (THUMBNAILS, &["--out", out]),
    ];
    programs.map(|(program, arguments)| {
        let mut program = Command::new(program);
        let program = program.args(arguments).stdout(stdout());
        program.output().unwrap()
    })
}

/// As `head`, only sooner.
#[test]
fn a_reader_that_has_left_is_no_error() {
    let outputs = print_to(|| {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        writer.into()
    });
    for output in outputs {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_is_an_error() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for output in print_to(|| full().into()) {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("No space left"), "{told}");
    }
}
