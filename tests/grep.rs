//! The `grep` example as a program, on this crate's own files, against `grep`.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "common/example.rs"]
mod example;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use walkdir::WalkDir;

/// Runs the example in this crate's folder.
fn grep(args: &[&str]) -> Output {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| example::program("grep"));
    in_crate(Command::new(program).args(args))
}

fn in_crate(command: &mut Command) -> Output {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.expect("the program starts")
}

/// What `grep` prints for the files below `path` in the order of a sorted walk.
fn reference(pattern: &str, path: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = WalkDir::new(root.join(path)).sort_by_file_name();
    let files = files.into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let files = files.map(|entry| entry.path().strip_prefix(root).unwrap().to_owned());
    in_crate(
        Command::new("grep")
            .args(["-anHE", "--", pattern])
            .args(files)
            .env("LC_ALL", "C"),
    )
}

#[test]
fn lines_come_in_the_order_of_the_walk_as_grep_prints_them() {
    for pattern in ["fn [a-z_]+\\(", "^use ", "zebra crossing", "^$"] {
        for path in ["src", "tests", "README.md"] {
            let (ours, theirs) = (grep(&[pattern, path]), reference(pattern, path));
            assert_eq!(
                String::from_utf8_lossy(&ours.stdout),
                String::from_utf8_lossy(&theirs.stdout),
                "{pattern} {path}"
            );
            assert_eq!(ours.status.code(), theirs.status.code(), "{pattern} {path}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_the_rest_is_searched() {
    let output = grep(&["workcrew", "no such path", "README.md"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such path: "));
    assert!(output.stdout.starts_with(b"README.md:1:# workcrew\n"));
}

/// As in `grep | head`: no complaint, whoever closes the pipe when.
#[test]
fn a_closed_pipe_is_no_error() {
    let program = example::program("grep");
    let line = format!("{} fn src | head -n 1", program.display());
    let output = in_crate(Command::new("sh").args(["-c", &line]));
    assert_eq!(
        output.stdout.iter().filter(|&&byte| byte == b'\n').count(),
        1
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_bad_pattern_gets_a_clear_error() {
    let output = grep(&["("]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("regex"));
    assert!(output.stdout.is_empty());
}
