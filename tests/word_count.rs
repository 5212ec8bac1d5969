//! The `word_count` example as a program, against `tr`, `sort` and `uniq`.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "common/example.rs"]
mod example;

use std::process::{Command, Output};

fn in_crate(command: &mut Command) -> Output {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.expect("the program starts")
}

#[test]
fn counts_are_those_of_sort_and_uniq() {
    let program = example::program("word_count");
    let ours = in_crate(Command::new(program).args(["src", "README.md"]));
    let pipeline = "find src README.md -type f -exec cat {} + | tr 'A-Z' 'a-z' | tr -cs 'a-z' '\\n' \
                    | grep . | sort | uniq -c | sort -k1,1nr -k2,2 | head -n 20";
    let theirs = in_crate(Command::new("sh").args(["-c", pipeline]).env("LC_ALL", "C"));
    assert_eq!(
        String::from_utf8_lossy(&ours.stdout),
        String::from_utf8_lossy(&theirs.stdout)
    );
    assert_eq!(ours.status.code(), Some(0));
}

#[test]
fn what_cannot_be_read_is_reported() {
    let program = example::program("word_count");
    let output = in_crate(Command::new(program).args(["no such path", "LICENSE-MIT"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such path: "));
    assert!(!output.stdout.is_empty());
}
