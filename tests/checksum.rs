//! The `checksum` example as a program, on trees made for it, against `sha256sum`.
//!
//! Unix only, where names are bytes and links, FIFOs and pipes are at hand; not under Miri, which
//! starts no programs.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "common/mod.rs"]
mod common;
#[path = "common/example.rs"]
mod example;
#[path = "common/program.rs"]
mod program;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, thread};

use common::watchdog;
use program::Running;
use sha2::{Digest, Sha256};

/// Longer than any run below takes on a busy machine: one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes that one worker hashes in a second, on a fast machine.
const SECOND: u64 = if cfg!(debug_assertions) {
    8 << 20
} else {
    2 << 30
};

#[test]
fn lines_are_those_of_sha256sum_with_any_number_of_workers() {
    let mut tree = Tree::new("names");
    // The last four are about the size of a worker's buffer, and more than twice that.
    for size in [0, 1, 64, 131_071, 131_072, 131_073, 300_000] {
        let content: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
        tree.file(format!("sizes/{size}"), &content);
    }
    let names: [&[u8]; 14] = [
        b"with space",
        b" around ",
        b"new\nline",
        b"back\\slash",
        b"both\\\n\\n",
        b"-dash",
        b"*?[glob]$(echo)",
        b".hidden/.file",
        "\u{e4}\u{1f980}".as_bytes(),
        b"a/b/c/d/e/f/g/h/i/j",
        b"a/b/c/d/empty",
        // A walk finds `sub/x` among the others; in the order of bytes it is the last.
        b"sub/x",
        b"sub-x",
        b"sub.x",
    ];
    for name in names {
        tree.file(OsStr::from_bytes(name), name);
    }
    if cfg!(target_os = "linux") {
        tree.file(
            OsStr::from_bytes(b"no\xff\xfeutf-8"),
            b"other systems refuse such a name",
        );
    }
    tree.link("with space", "link to a file");
    tree.files.push(tree.root.join("link to a file"));
    tree.link("a", "link to a directory");
    tree.link("..", "a/loop");
    fs::create_dir(tree.root.join("no files")).unwrap();

    let expected = sha256sum(&tree.files);
    for (workers, capacity) in [
        ("1", "1"),
        ("1", "1000"),
        ("2", "1"),
        ("2", "3"),
        ("16", "1"),
        ("16", "1000"),
    ] {
        let options = ["--workers", workers, "--capacity", capacity];
        let run = run(checksum().args(options).arg(&tree.root));
        assert_eq!(run.lines(), expected, "{options:?}");
        assert_eq!(run.status.code(), Some(0), "{options:?}: {}", run.stderr);
    }
}

/// Apart from the other names, since `sha256sum` of GNU coreutils escapes this one only since 9.0.
#[test]
fn carriage_return_is_escaped() {
    let mut tree = Tree::new("carriage-return");
    let path = tree.file("a\rb", b"");
    let run = run(checksum().arg(&tree.root));
    assert_eq!(run.stdout, line(&path));
    assert!(run.stdout.starts_with(b"\\") && run.stdout.ends_with(b"/a\\rb\n"));
}

#[test]
fn thousands_of_files_go_through_a_pool_of_any_capacity() {
    let mut tree = Tree::new("many");
    for number in 0..3000 {
        tree.file(
            format!("{}/{number}", number % 7),
            number.to_string().as_bytes(),
        );
    }
    let expected = sha256sum(&tree.files);
    for capacity in ["1", "16", "1024"] {
        let run = run(checksum()
            .args(["--workers=3", "--capacity", capacity])
            .arg(&tree.root));
        assert_eq!(run.lines(), expected, "capacity {capacity}");
        assert!(
            run.stderr.contains("3000 files, 10890 bytes, "),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn unreadable_files_are_reported_and_counted_and_the_rest_is_hashed() {
    let mut tree = Tree::new("unreadable");
    tree.file("a", b"a");
    tree.file("z/z", b"z");
    tree.link("nowhere", "dangling");
    tree.link("itself", "itself");
    let mut unreadable = vec!["dangling", "itself"];
    // Root may read everything.
    let locked = tree.root.join("locked");
    fs::write(&locked, "").unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    match File::open(&locked) {
        Ok(_) => tree.files.push(locked),
        Err(_) => unreadable.push("locked"),
    }

    let run = run(checksum().arg(&tree.root));
    assert_eq!(run.lines(), sha256sum(&tree.files));
    for name in &unreadable {
        let reports = run
            .stderr
            .lines()
            .filter(|line| line.contains(&format!("/{name}\"")));
        assert_eq!(reports.count(), 1, "{name}: {}", run.stderr);
    }
    assert!(
        run.stderr
            .contains(&format!(", {} unreadable", unreadable.len())),
        "{}",
        run.stderr
    );
    assert_eq!(run.status.code(), Some(1));
}

#[test]
fn fifo_is_passed_over() {
    let mut tree = Tree::new("fifo");
    let fifo = tree.root.join("fifo");
    match Command::new("mkfifo").arg(&fifo).status() {
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        made => assert!(made.unwrap().success()),
    }
    tree.file("regular", b"file");
    tree.link("fifo", "link");
    for path in [&tree.root, &fifo] {
        let run = run(checksum().arg(path));
        let files = if *path == fifo { &[] } else { &tree.files[..] };
        assert_eq!(run.lines(), sha256sum(files));
        assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    }
}

#[test]
fn names_start_with_the_path_as_it_was_given() {
    let mut tree = Tree::new("prefix");
    tree.file("sub/file", b"content");
    tree.file("-", b"dash");
    tree.link("sub", "link");
    let given = [
        (".", "./sub/file"),
        ("sub", "sub/file"),
        ("sub/", "sub/file"),
        ("sub/file", "sub/file"),
        ("link", "link/file"),
        ("-", "-"),
    ];
    for (path, name) in given {
        let run = run(checksum().arg(path).current_dir(&tree.root));
        assert!(
            run.lines()
                .iter()
                .any(|line| line.ends_with(&format!("  {name}\\n"))),
            "{path}: {:?}",
            run.lines()
        );
        assert_eq!(run.status.code(), Some(0), "{path}");
    }
}

#[test]
fn missing_path_is_reported_like_an_unreadable_file() {
    let tree = Tree::new("missing");
    let run = run(checksum().arg(tree.root.join("no such file")));
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stdout.is_empty());
    assert!(run.stderr.contains("no such file"), "{}", run.stderr);
    assert!(run.stderr.contains("0 files, 0 bytes, "), "{}", run.stderr);
    assert!(run.stderr.contains("1 unreadable"), "{}", run.stderr);
}

#[test]
fn bad_arguments_are_explained_and_exit_with_2() {
    let bad: [(&[&str], &str); 13] = [
        (&["--workers"], "--workers"),
        (&["--workers", "two"], "two"),
        (&["--workers", "-1"], "-1"),
        (&["--workers", "1.5"], "1.5"),
        (&["--workers", ""], "--workers"),
        (&["--workers", "0"], "worker"),
        (&["--capacity", "0"], "capacity"),
        (&["--capacity=many"], "many"),
        (&["--capacity", "99999999999999999999999"], "--capacity"),
        (&["--workers", "1000000"], "worker"),
        (&["--capacity", "9999999999"], "capacity"),
        (&["--quick"], "--quick"),
        (&["one", "two"], "two"),
    ];
    for (arguments, mentioned) in bad {
        let run = run(checksum().args(arguments));
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {}", run.stderr);
        assert!(
            run.stderr.to_lowercase().contains(mentioned),
            "{arguments:?}: {}",
            run.stderr
        );
        assert!(run.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_goes_to_stdout() {
    for flag in ["-h", "--help"] {
        let run = run(checksum().args(["--workers", "3", flag]));
        assert_eq!(run.status.code(), Some(0));
        assert!(run.stdout.starts_with(b"Usage: checksum ") && run.stderr.is_empty());
        for option in ["PATH", "--workers", "--capacity"] {
            assert!(
                run.lines()
                    .iter()
                    .any(|line| line.trim_start().starts_with(option)),
                "{option}"
            );
        }
    }
}

#[test]
fn readers_that_leave_early_cause_no_panic() {
    let mut tree = Tree::new("head");
    // More than a pipe holds.
    for number in 0..2000 {
        tree.file(format!("{number:0>100}"), b"");
    }

    let mut child = spawn(checksum().arg(&tree.root));
    // Reads a line and drops the pipe, like `head -n 1`.
    let first = BufReader::new(child.stdout.take().unwrap())
        .split(b'\n')
        .next();
    assert!(first.unwrap().unwrap().ends_with(b"00"));
    let stderr = read(child.stderr.take());
    assert_eq!(wait(&mut child).code(), Some(0));
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(
        !stderr.contains("panicked at") && stderr.contains("2000 files, "),
        "{stderr}"
    );

    // Nobody listens at all; the link makes something to report.
    tree.link("nowhere", "dangling");
    let mut child = spawn(checksum().arg(&tree.root));
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(wait(&mut child).code(), Some(1));
}

#[test]
fn ctrl_c_prints_what_is_done_and_says_so() {
    let _watchdog = watchdog();
    let mut tree = Tree::new("interrupted");
    // All of it takes half a minute or more, and no space.
    let file = tree.file("file", b"");
    let size = SECOND / 10;
    File::create(&file).unwrap().set_len(size).unwrap();
    for number in 100..400 {
        let name = number.to_string();
        tree.link("file", &name);
        tree.files.push(tree.root.join(name));
    }
    let of_file = sha256sum(&[file]).remove(0);
    let (digest, _) = of_file.split_once(' ').unwrap();
    let line = |path: &PathBuf| format!("{digest}  {}\\n", path.display());
    let mut all: Vec<_> = tree.files.iter().map(line).collect();
    all.sort();
    // Most of the walk lies before it, or most of it is queued already.
    for capacity in ["--capacity=1", "--capacity=10000"] {
        let mut running =
            Running::start(checksum().args(["--workers=1", capacity]).arg(&tree.root));
        while running.says(" so far").contains(" 0 files") {}
        running.interrupt();
        running.says("stopping");
        let ended = running.end();

        let printed = lines(ended.stdout.as_bytes());
        let some: Vec<_> = all.iter().filter(|line| printed.contains(line)).collect();
        assert!((1..all.len() / 2).contains(&some.len()), "{}", some.len());
        assert!(printed.iter().eq(some), "{capacity}: {printed:?}");
        let report = ended.stderr.lines().find(|line| line.contains(" MB/s, "));
        let report = report.expect("the totals");
        let files = format!("checksum: {} files, ", printed.len());
        assert!(report.starts_with(&files), "{report}");
        assert!(report.ends_with(", 0 unreadable, interrupted"), "{report}");
        assert_eq!(ended.code, Some(130), "{capacity}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_second_ctrl_c_ends_it_at_once() {
    let _watchdog = watchdog();
    let tree = Tree::new("twice");
    // It takes a minute or more, and no space.
    let endless = tree.root.join("endless");
    let size = 60 * SECOND;
    File::create(&endless).unwrap().set_len(size).unwrap();
    let mut running = Running::start(checksum().arg(&endless));
    // Ctrl-C is listened to before.
    let open_files = format!("/proc/{}/fd", running.id());
    common::eventually("the file is being read", || {
        let open = fs::read_dir(&open_files).unwrap().flatten();
        open.flat_map(|file| fs::read_link(file.path()))
            .any(|file| file.ends_with("endless"))
    });
    running.interrupt();
    running.says("stopping");
    running.interrupt();
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stdout), (Some(130), ""));
    assert!(!ended.stderr.contains("interrupted"), "{}", ended.stderr);
}

/// A directory of its own for each test, gone at its end.
struct Tree {
    root: PathBuf,
    /// What has a line in the output.
    files: Vec<PathBuf>,
}

impl Tree {
    fn new(test: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("checksum-{test}-{}", process::id()));
        fs::create_dir_all(&root).unwrap();
        Self {
            root,
            files: Vec::new(),
        }
    }

    fn file(&mut self, name: impl AsRef<Path>, content: &[u8]) -> PathBuf {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        self.files.push(path.clone());
        path
    }

    /// Not in `files`: only a link to a file has a line.
    fn link(&self, target: &str, name: &str) {
        symlink(target, self.root.join(name)).unwrap();
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// How a run of the program ended.
struct Run {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: String,
}

impl Run {
    fn lines(&self) -> Vec<String> {
        lines(&self.stdout)
    }
}

/// Lines to compare, legible where they differ, and different wherever the bytes are.
fn lines(output: &[u8]) -> Vec<String> {
    output
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| line.escape_ascii().to_string())
        .collect()
}

fn run(command: &mut Command) -> Run {
    let mut child = spawn(command);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let stdout = scope.spawn(|| read(stdout));
        let stderr = scope.spawn(|| read(stderr));
        let status = wait(&mut child);
        let stderr = String::from_utf8(stderr.join().unwrap()).unwrap();
        assert!(!stderr.contains("panicked at"), "{stderr}");
        Run {
            status,
            stdout: stdout.join().unwrap(),
            stderr,
        }
    })
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn read(pipe: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    pipe.unwrap().read_to_end(&mut all).unwrap();
    all
}

fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("still running after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn checksum() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(|| example::program("checksum")))
}

/// The lines for these files in order, worked out here and by `sha256sum` where there is one.
fn sha256sum(files: &[PathBuf]) -> Vec<String> {
    let mut files = files.to_vec();
    files.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let expected = lines(
        &files
            .iter()
            .flat_map(|path| line(path))
            .collect::<Vec<u8>>(),
    );
    if !files.is_empty() {
        match Command::new("sha256sum").arg("--").args(&files).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            output => assert_eq!(lines(&output.unwrap().stdout), expected, "sha256sum"),
        }
    }
    expected
}

fn line(path: &Path) -> Vec<u8> {
    let name = path.as_os_str().as_bytes();
    let mut line = Vec::new();
    if name
        .iter()
        .any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'))
    {
        line.push(b'\\');
    }
    for byte in Sha256::digest(fs::read(path).unwrap()) {
        line.extend(format!("{byte:02x}").bytes());
    }
    line.extend(b"  ");
    for &byte in name {
        match byte {
            b'\\' => line.extend(b"\\\\"),
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            _ => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}
