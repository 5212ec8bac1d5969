//! What all recipes do with their arguments.

use crate::program::run;
use std::process::Command;

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
    let bad: [(&str, &[&str], &str); 15] = [
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
