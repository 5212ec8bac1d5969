//! `job_queue`: nothing is lost when the program is killed.

use crate::common::{eventually, watchdog};
use crate::folder;
use crate::program::{Ended, Running, run};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

fn queue(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_job_queue"));
    command
        .args(["--db", "jobs.db"])
        .args(arguments)
        .current_dir(folder);
    command
}

fn add(folder: &Path, commands: &[String]) {
    let commands: Vec<_> = commands.iter().map(|command| &**command).collect();
    let ended = run(&mut queue(folder, &[&["add"], &commands[..]].concat()));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// How often each line is in the file `log`.
fn log(folder: &Path) -> BTreeMap<String, usize> {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let mut counts = BTreeMap::new();
    for line in log.lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

/// How many jobs of the queue are in a state.
fn count(folder: &Path, state: &str) -> u32 {
    let db = Connection::open(folder.join("jobs.db")).unwrap();
    let count = "SELECT count(*) FROM jobs WHERE state = ?1";
    db.query_row(count, [state], |row| row.get(0)).unwrap()
}

fn assert_says(ended: &Ended, words: &str) {
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

/// Twenty commands that write their numbers, of which two wait for a gate, a FIFO, afterwards.
fn gated(folder: &Path) {
    let made = Command::new("mkfifo").arg(folder.join("gate")).status();
    assert!(made.unwrap().success());
    let commands = (0..20).map(|number| match number {
        9 | 10 => format!("echo {number} >> log; read line < gate; true"),
        _ => format!("echo {number} >> log"),
    });
    add(folder, &commands.collect::<Vec<_>>());
}

/// Waits until both workers stand before the gate, and what came before is acknowledged.
fn wait_for_gate(folder: &Path) {
    eventually("two wait", || {
        count(folder, "done") == 9
            && log(folder).contains_key("9")
            && log(folder).contains_key("10")
    });
}

/// Lets two through who wait at the gate, as long as it is held.
fn open_gate(folder: &Path) -> File {
    // Waits for one of them.
    let mut gate = File::options()
        .write(true)
        .open(folder.join("gate"))
        .unwrap();
    gate.write_all(b"\n\n").unwrap();
    gate
}

#[test]
fn what_was_running_when_it_was_killed_runs_again_and_nothing_is_lost() {
    let _watchdog = watchdog();
    let folder = folder();
    let folder = folder.path();
    gated(folder);
    let mut first = Running::start(&mut queue(folder, &["run", "--workers", "2"]));
    wait_for_gate(folder);
    let locked = run(&mut queue(folder, &["run"]));
    assert_eq!(locked.code, Some(2));
    assert_says(&locked, "is being worked off");
    first.kill();
    // Two ran, as many as two waited in the pool, and one for room there.
    let drawn = count(folder, "running");
    assert!((2..=5).contains(&drawn), "{drawn}");

    // The commands that the killed program had started live on without it.
    let _gate = open_gate(folder);
    fs::remove_file(folder.join("gate")).unwrap();
    fs::write(folder.join("gate"), "open\n").unwrap();
    assert_eq!(first.end().code, None);
    let second = run(&mut queue(folder, &["run", "--workers", "2"]));
    assert_eq!(second.code, Some(0));
    assert_says(&second, "11 done, 0 failed, 0 left");
    assert_says(
        &second,
        &format!("{drawn} were found half done, {drawn} ran more than once"),
    );
    assert_eq!(count(folder, "done"), 20);
    let expected = (0..20).map(|number| {
        (
            number.to_string(),
            1 + usize::from(number == 9 || number == 10),
        )
    });
    assert_eq!(log(folder), expected.collect());
}

#[test]
fn ctrl_c_acknowledges_what_runs_and_leaves_the_rest_queued() {
    let _watchdog = watchdog();
    let folder = folder();
    let folder = folder.path();
    gated(folder);
    let mut first = Running::start(&mut queue(folder, &["run", "--workers", "2"]));
    wait_for_gate(folder);
    first.interrupt();
    first.says("stopping");
    let _gate = open_gate(folder);
    let ended = first.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(count(folder, "running"), 0);
    let (done, left) = (count(folder, "done"), count(folder, "queued"));
    assert!((11..=14).contains(&done), "{done}");
    assert_says(&ended, &format!("{done} done, 0 failed, {left} left"));
    assert_eq!(run(&mut queue(folder, &["run"])).code, Some(0));
    assert_eq!(
        log(folder),
        (0..20).map(|number| (number.to_string(), 1)).collect()
    );
}

#[test]
fn what_fails_is_told_and_what_is_printed_is_passed_on() {
    let _watchdog = watchdog();
    let folder = folder();
    let folder = folder.path();
    add(
        folder,
        &[
            "echo out".into(),
            "echo err >&2; exit 3".into(),
            "kill -9 $$".into(),
        ],
    );
    let ended = run(&mut queue(folder, &["run"]));
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stdout, "out\n");
    assert_says(&ended, "err\n");
    assert_says(&ended, "1 done, 2 failed, 0 left");
    let again = run(&mut queue(folder, &["run"]));
    assert_says(&again, "0 done, 0 failed, 0 left");
    assert_eq!(again.code, Some(0));
}

#[test]
fn a_queue_may_have_any_name() {
    let _watchdog = watchdog();
    let folder = folder();
    let folder = folder.path();
    // `queue.lock` is what `queue` is locked by.
    for name in ["queue.lock", "queue"] {
        let queue = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_job_queue"));
            let command = command.args(["--db", name]).args(arguments);
            run(command.current_dir(folder))
        };
        assert_eq!(queue(&["add", "true"]).code, Some(0));
        let ended = queue(&["run"]);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        assert_says(&ended, "1 done, 0 failed, 0 left");
    }
    let db = Connection::open(folder.join("queue.lock")).unwrap();
    let jobs: u32 = db
        .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(jobs, 1);
}
