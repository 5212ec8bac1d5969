//! The `merge_sort` example as a program, against `sort`.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "common/example.rs"]
mod example;

use std::fs::File;
use std::process::{Command, Output, Stdio};

fn in_crate(command: &mut Command) -> Output {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.expect("the program starts")
}

#[test]
fn lines_are_in_the_order_of_sort() {
    let files = ["CHANGELOG.md", "src/engine/mod.rs", "LICENSE-MIT"];
    let ours = in_crate(Command::new(example::program("merge_sort")).args(files));
    let theirs = in_crate(Command::new("sort").args(files).env("LC_ALL", "C"));
    assert!(theirs.stdout.len() > 10_000);
    assert_eq!(
        String::from_utf8_lossy(&ours.stdout),
        String::from_utf8_lossy(&theirs.stdout)
    );
    assert_eq!(ours.status.code(), Some(0));
}

#[test]
fn without_files_it_sorts_its_input() {
    let text = |path| File::open(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
    let program = example::program("merge_sort");
    let mut ours = Command::new(&program);
    let ours = in_crate(ours.stdin(text("README.md").expect("it is there")));
    let theirs = in_crate(Command::new("sort").arg("README.md").env("LC_ALL", "C"));
    assert_eq!(ours.stdout, theirs.stdout);

    let empty = in_crate(Command::new(&program).stdin(Stdio::null()));
    assert!(empty.stdout.is_empty());
}

#[test]
fn what_cannot_be_read_is_reported() {
    let program = example::program("merge_sort");
    let output = in_crate(Command::new(program).args(["no such path", "LICENSE-MIT"]));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("no such path"), "{told}");
    assert!(!output.stdout.is_empty());
}
