//! Two processes at one Redis server, of which one is killed.
//!
//! Each test has a server of its own, on a socket in a directory of its own.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/program.rs"]
mod program;

use common::{eventually, watchdog};
use program::{Ended, Running, run};
use redis::{Client, Commands, Connection};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server, and a connection to it.
struct Server {
    folder: TempDir,
    server: Child,
    redis: Connection,
}

impl Server {
    /// `None`, and a word, if there is none here.
    fn start() -> Option<Self> {
        // Among the temporary files, since the name of a socket is short.
        let folder = tempfile::tempdir().unwrap();
        let server = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--unixsocket",
                "socket",
                "--save",
                "",
                "--dir",
            ])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let server = match server {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Not captured, as `eprintln` would be.
                let word = "SKIPPED: there is no redis-server here, so nothing was tested";
                let _ = writeln!(io::stderr(), "{word}");
                return None;
            }
            server => server.unwrap(),
        };
        let client = Client::open(url(folder.path())).unwrap();
        let mut redis = None;
        eventually("the server listens", || {
            redis = client.get_connection().ok();
            redis.is_some()
        });
        Some(Self {
            folder,
            server,
            redis: redis.unwrap(),
        })
    }

    fn broker(&self, arguments: &[&str]) -> Command {
        let mut broker = Command::new(env!("CARGO_BIN_EXE_workcrew-broker"));
        broker
            .args(["--redis", &url(self.folder.path())])
            .args(arguments);
        broker.current_dir(self.folder.path());
        broker
    }

    /// A process that works, and its name.
    fn work(&self, arguments: &[&str]) -> (Running, String) {
        let mut worker = Running::start(&mut self.broker(&[&["work"], arguments].concat()));
        let line = worker.says(" is ready");
        let name = line
            .trim_start_matches("broker: ")
            .trim_end_matches(" is ready\n");
        (worker, name.into())
    }

    fn add(&self, paths: &[&str]) {
        let added = run(&mut self.broker(&[&["add"], paths].concat()));
        assert_eq!(added.code, Some(0), "{}", added.stderr);
    }

    /// Makes some files, and returns their names.
    fn files(&self, prefix: &str, files: usize) -> Vec<String> {
        let names = (0..files).map(|number| format!("{prefix}{number}"));
        let made = names.inspect(|name| fs::write(self.folder.path().join(name), name).unwrap());
        made.collect()
    }

    fn results(&mut self) -> usize {
        self.redis.hlen("files:results").unwrap()
    }

    /// How many jobs each process has done.
    fn done(&mut self) -> HashMap<String, usize> {
        self.redis.hgetall("files:done").unwrap()
    }

    /// How many messages have no result yet.
    fn left(&mut self) -> usize {
        self.redis.xlen("files").unwrap()
    }

    /// How many of those have been given to a process.
    fn pending(&mut self) -> usize {
        let reply: (usize, redis::Value, redis::Value, redis::Value) = redis::cmd("XPENDING")
            .arg("files")
            .arg("workcrew")
            .query(&mut self.redis)
            .unwrap();
        reply.0
    }

    /// The first of those: its identity, whose it is, the milliseconds since it was given away or
    /// kept, and how often it was given away.
    fn first_pending(&mut self) -> (String, String, usize, usize) {
        let mut pending = redis::cmd("XPENDING");
        pending.arg("files").arg("workcrew").arg(&["-", "+", "1"]);
        let mut reply: Vec<_> = pending.query(&mut self.redis).unwrap();
        reply.remove(0)
    }

    /// Every job has its result, and no other.
    fn assert_nothing_is_lost(&mut self, names: &[&str]) {
        assert_eq!(
            (self.results(), self.left(), self.pending()),
            (names.len(), 0, 0)
        );
        let printed = run(&mut self.broker(&["results"]));
        let mut lines: Vec<_> = printed.stdout.lines().collect();
        let mut expected: Vec<_> = names.iter().map(|name| line(name)).collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(
            printed.stderr,
            format!("broker: {} results, 0 jobs left\n", names.len())
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn url(folder: &Path) -> String {
    format!("redis+unix://{}/socket", folder.display())
}

/// The result of a file that has its name in it.
fn line(name: &str) -> String {
    let digest = Sha256::digest(name);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}  {name}")
}

/// How many jobs a process says that it has done.
fn count(ended: &Ended) -> usize {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line = ended
        .stderr
        .lines()
        .find(|line| line.contains(" jobs done, "));
    let words: Vec<_> = line
        .unwrap_or_else(|| panic!("{}", ended.stderr))
        .split(' ')
        .collect();
    words[1].parse().unwrap()
}

/// A job that lasts until [`open`]. Returns its name.
fn gate<'a>(folder: &Path, name: &'a str) -> &'a str {
    let made = Command::new("mkfifo").arg(folder.join(name)).status();
    assert!(made.unwrap().success());
    name
}

/// Waits until somebody stands at a gate, who is let in when this is dropped.
fn arrival(folder: &Path, name: &str) -> File {
    let mut gate = File::options();
    let mut gate = gate.write(true).open(folder.join(name)).unwrap();
    gate.write_all(b"gate").unwrap();
    gate
}

/// Waits until somebody stands at a gate, and lets him in.
fn open(folder: &Path, name: &str) {
    drop(arrival(folder, name));
}

#[test]
fn a_process_takes_no_more_than_it_holds_and_when_it_is_killed_another_does_that_too() {
    let _watchdog = watchdog();
    let Some(mut server) = Server::start() else {
        return;
    };
    let folder = server.folder.path().to_owned();
    let files = server.files("file", 40);
    gate(&folder, "gate");
    let mut names: Vec<_> = files.iter().map(|name| &**name).collect();
    names.insert(5, "gate");
    server.add(&names);

    let often = ["--claim-after", "1000"];
    let (mut first, first_name) =
        server.work(&[&["--workers", "1", "--capacity", "2"], &often[..]].concat());
    // One runs, two wait in the pool, one waits for room.
    eventually("the first is full", || {
        server.results() == 5 && server.pending() == 4
    });
    let (second, second_name) = server.work(&often);
    eventually("the second does the rest", || server.results() >= 41 - 4);
    first.kill();
    assert_eq!(first.end().code, None);
    open(&folder, "gate");
    eventually("the second does all", || server.left() == 0);
    server.assert_nothing_is_lost(&names);
    assert_eq!(
        server.done(),
        HashMap::from([(first_name, 5), (second_name, 36)])
    );
    second.interrupt();
    let second = second.end();
    assert_eq!(count(&second), 36);
    assert!(
        second.stderr.contains(" 0 of them again"),
        "{}",
        second.stderr
    );
}

#[test]
fn two_share_the_load_and_killing_one_in_the_middle_of_it_loses_nothing() {
    let _watchdog = watchdog();
    let Some(mut server) = Server::start() else {
        return;
    };
    let often = ["--claim-after", "500"];
    let (mut first, first_name) = server.work(&often);
    let (second, second_name) = server.work(&often);
    let files = server.files("file", 20);
    let files: Vec<_> = files.iter().map(|name| &**name).collect();
    let mut names = Vec::new();
    let mut add = |server: &Server| {
        server.add(&files);
        names.extend_from_slice(&files);
    };
    loop {
        add(&server);
        let done = server.done();
        if [&first_name, &second_name]
            .iter()
            .all(|&name| done.get(name) > Some(&50))
        {
            break;
        }
    }
    add(&server);
    first.kill();
    assert_eq!(first.end().code, None);
    add(&server);
    eventually("the second does all", || server.left() == 0);
    server.assert_nothing_is_lost(&names);
    // The one that was killed has told the server of each job.
    let killed = server.done()[&first_name];
    second.interrupt();
    let done = count(&second.end());
    assert_eq!(
        server.done(),
        HashMap::from([(first_name, killed), (second_name, done)])
    );
    assert!(
        killed + done >= names.len(),
        "{killed} and {done} of {}",
        names.len()
    );
}

/// What the dead one had lies behind what a living one has, and one look does not see that far.
#[test]
fn a_dead_process_is_found_behind_a_living_one() {
    let _watchdog = watchdog();
    let Some(mut server) = Server::start() else {
        return;
    };
    let folder = server.folder.path().to_owned();
    let files = server.files("file", 31);
    let mut files: Vec<_> = files.iter().map(|name| &**name).collect();
    let full = |server: &mut Server, claim_after, pending| {
        let options = [
            "--workers",
            "1",
            "--capacity",
            "30",
            "--claim-after",
            claim_after,
        ];
        let (worker, _) = server.work(&options);
        eventually("it is full", || server.pending() == pending);
        worker
    };
    files.insert(0, gate(&folder, "living"));
    server.add(&files);
    let living = full(&mut server, "500", 32);
    files[0] = gate(&folder, "dead");
    server.add(&files);
    // Claims nothing itself.
    full(&mut server, "60000", 64).kill();
    let (other, _) = server.work(&["--claim-after", "500"]);
    open(&folder, "dead");
    eventually("what the dead one had is done", || server.left() <= 32);
    open(&folder, "living");
    eventually("all is done", || server.left() == 0);
    let done: usize = [living, other]
        .map(|worker| {
            worker.interrupt();
            count(&worker.end())
        })
        .iter()
        .sum();
    assert!(done >= 64, "{done}");
    assert_eq!((server.results(), server.pending()), (64, 0));
}

/// Otherwise others would think that its process is dead.
#[test]
fn a_job_that_takes_long_is_kept() {
    let _watchdog = watchdog();
    let Some(mut server) = Server::start() else {
        return;
    };
    let folder = server.folder.path().to_owned();
    gate(&folder, "gate");
    let files = server.files("file", 3);
    let mut names: Vec<_> = files.iter().map(|name| &**name).collect();
    names.insert(0, "gate");
    server.add(&names);
    let options = ["--workers", "1", "--capacity", "2", "--claim-after", "300"];
    let (worker, _) = server.work(&options);
    eventually("it is full", || server.pending() == 4);
    // Nobody reads or claims now, so the time can only grow.
    let mut longest = 0;
    eventually("it says that it lives", || {
        let (_, _, idle, _) = server.first_pending();
        longest = idle.max(longest);
        idle < longest
    });
    open(&folder, "gate");
    eventually("all is done", || server.left() == 0);
    worker.interrupt();
    assert_eq!(count(&worker.end()), 4);
}

#[test]
fn a_process_that_claims_its_own_job_does_not_run_it_twice() {
    let _watchdog = watchdog();
    let Some(mut server) = Server::start() else {
        return;
    };
    let folder = server.folder.path().to_owned();
    server.add(&[gate(&folder, "gate")]);
    let (worker, _) = server.work(&["--claim-after", "300"]);
    let gate = arrival(&folder, "gate");
    // Who does the job again does not wait.
    fs::remove_file(folder.join("gate")).unwrap();
    fs::write(folder.join("gate"), "gate").unwrap();
    eventually("the job is claimed", || {
        let (id, name, _, times) = server.first_pending();
        // As if it had been suspended for an hour.
        let mut age = redis::cmd("XCLAIM");
        age.arg("files").arg("workcrew").arg(name).arg(0).arg(id);
        age.arg("IDLE").arg(3_600_000).arg("JUSTID");
        age.exec(&mut server.redis).unwrap();
        times > 1
    });
    drop(gate);
    eventually("it is done", || server.left() == 0);
    worker.interrupt();
    assert_eq!(count(&worker.end()), 1);
}

#[test]
fn a_process_that_was_thought_dead_tells_what_it_did_again() {
    let _watchdog = watchdog();
    let Some(mut server) = Server::start() else {
        return;
    };
    let folder = server.folder.path().to_owned();
    gate(&folder, "gate");
    let files = server.files("file", 9);
    let mut names: Vec<_> = files.iter().map(|name| &**name).collect();
    names.insert(0, "gate");
    server.add(&names);
    // It says every twenty seconds that it lives.
    let rarely = ["--claim-after", "60000"];
    let (first, first_name) =
        server.work(&[&["--workers", "1", "--capacity", "2"], &rarely[..]].concat());
    eventually("the first is full", || server.pending() == 4);
    let gate = arrival(&folder, "gate");
    // Whoever comes later does not wait there.
    fs::remove_file(folder.join("gate")).unwrap();
    fs::write(folder.join("gate"), "gate").unwrap();
    let (second, _) = server.work(&["--claim-after", "500"]);
    eventually("the second does all", || server.left() == 0);
    server.assert_nothing_is_lost(&names);
    drop(gate);
    eventually("the first goes on", || {
        server.done().get(&first_name) == Some(&4)
    });
    server.assert_nothing_is_lost(&names);
    for (process, words) in [(first, "4 jobs done, 4 of"), (second, "10 jobs done, 0 of")] {
        process.interrupt();
        let ended = process.end();
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn ctrl_c_finishes_what_was_read_and_leaves_the_rest() {
    let _watchdog = watchdog();
    let Some(mut server) = Server::start() else {
        return;
    };
    let folder = server.folder.path().to_owned();
    gate(&folder, "gate");
    let files = server.files("file", 10);
    let mut names: Vec<_> = files.iter().map(|name| &**name).collect();
    names.insert(0, "gate");
    names.push("no such file");
    server.add(&names);
    let (mut worker, _) = server.work(&["--workers", "1", "--capacity", "2"]);
    eventually("it is full", || server.pending() == 4);
    worker.interrupt();
    worker.says("stopping");
    open(&folder, "gate");
    assert_eq!(count(&worker.end()), 4);
    assert_eq!(
        (server.results(), server.left(), server.pending()),
        (4, 8, 0)
    );

    // A file that is missing is a result too.
    let (worker, _) = server.work(&[]);
    eventually("the rest is done", || server.left() == 0);
    worker.interrupt();
    assert_eq!(count(&worker.end()), 8);
    let results = run(&mut server.broker(&["results"])).stdout;
    assert!(
        results.contains("\nno such file: No such file"),
        "{results}"
    );
    assert_eq!(results.lines().count(), 12);
}

#[test]
fn a_server_that_dies_ends_the_work_and_that_is_told() {
    let _watchdog = watchdog();
    let Some(server) = Server::start() else {
        return;
    };
    let (worker, _) = server.work(&[]);
    drop(server);
    let ended = worker.end();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("broker: Redis: "), "{}", ended.stderr);
}

#[test]
fn the_same_work_is_done_without_a_broker() {
    let _watchdog = watchdog();
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    for name in names {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let mut broker = Command::new(env!("CARGO_BIN_EXE_workcrew-broker"));
    let local = run(broker.arg("local").args(names).current_dir(folder.path()));
    assert_eq!(local.stdout, names.map(|name| line(name) + "\n").concat());
    assert_eq!(local.code, Some(0));
}

/// As `head`, only sooner.
#[test]
fn a_reader_that_has_left_is_no_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut broker = Command::new(env!("CARGO_BIN_EXE_workcrew-broker"));
    let broker = broker.args(["local", "Cargo.toml"]).stdout(writer);
    let output = broker.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn bad_arguments_are_explained_and_exit_with_2() {
    let bad: [(&[&str], &str); 6] = [
        (&[], "Usage"),
        (&["add"], "PATHS"),
        (&["work", "--workers", "0"], "--workers"),
        (&["work", "--claim-after", "soon"], "soon"),
        (&["--redis", "nonsense", "results"], "URL"),
        (
            &["--redis", "redis+unix:///no/such/socket", "results"],
            "Does a Redis server run there",
        ),
    ];
    for (arguments, mentioned) in bad {
        let ended = run(Command::new(env!("CARGO_BIN_EXE_workcrew-broker")).args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(mentioned),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
    let help = run(Command::new(env!("CARGO_BIN_EXE_workcrew-broker")).arg("--help"));
    assert!(
        help.code == Some(0) && help.stdout.contains("Usage: "),
        "{}",
        help.stderr
    );
}
