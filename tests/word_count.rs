//! The `word_count` and `word_count_map` examples as programs, against `tr`, `sort` and `uniq`.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "common/example.rs"]
mod example;

use std::process::{Command, Output};

fn in_crate(command: &mut Command) -> Output {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.expect("the program starts")
}

const EXAMPLES: [&str; 2] = ["word_count", "word_count_map"];

#[test]
fn counts_are_those_of_sort_and_uniq() {
    let pipeline = "find src README.md -type f -exec cat {} + | tr 'A-Z' 'a-z' | tr -cs 'a-z' '\\n' \
                    | grep . | sort | uniq -c | sort -k1,1nr -k2,2 | head -n 20";
    let theirs = in_crate(Command::new("sh").args(["-c", pipeline]).env("LC_ALL", "C"));
    for name in EXAMPLES {
        let ours = in_crate(Command::new(example::program(name)).args(["src", "README.md"]));
        assert_eq!(
            String::from_utf8_lossy(&ours.stdout),
            String::from_utf8_lossy(&theirs.stdout),
            "{name}"
        );
        assert_eq!(ours.status.code(), Some(0));
    }
}

#[test]
fn what_cannot_be_read_is_reported() {
    for name in EXAMPLES {
        let program = example::program(name);
        let output = in_crate(Command::new(program).args(["no such path", "LICENSE-MIT"]));
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("no such path"), "{told}");
        assert!(!output.stdout.is_empty());
    }
}
