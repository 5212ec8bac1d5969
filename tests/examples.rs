//! What all examples do with bad arguments, and with an output that takes nothing.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "common/example.rs"]
mod example;

use std::fs::File;
use std::io;
use std::process::{Command, Output, Stdio};

/// Each with arguments with which it prints, and its exit code if that fails. (`worker_pool` is the
/// program of the pattern, which has no arguments.)
const EXAMPLES: [(&str, &[&str], i32); 7] = [
    ("checksum", &["src"], 1),
    ("fetch", &["README.md"], 2),
    ("grep", &["fn", "src"], 2),
    ("limits", &["README.md"], 2),
    ("merge_sort", &["README.md"], 2),
    ("word_count", &["src"], 2),
    ("word_count_map", &["src"], 2),
];

fn run(name: &str, arguments: &[&str], stdout: Stdio) -> (Output, String) {
    let mut example = Command::new(example::program(name));
    let example = example.args(arguments).stdin(Stdio::null()).stdout(stdout);
    let example = example.current_dir(env!("CARGO_MANIFEST_DIR"));
    let child = example.stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, told)
}

#[test]
fn help_goes_to_stdout() {
    for (name, ..) in EXAMPLES {
        let (output, told) = run(name, &["--help"], Stdio::piped());
        assert_eq!((output.status.code(), &*told), (Some(0), ""), "{name}");
        let usage = format!("Usage: {name} ");
        assert!(output.stdout.starts_with(usage.as_bytes()), "{output:?}");
    }
}

#[test]
fn bad_arguments_are_explained_and_exit_with_2() {
    let every = EXAMPLES.map(|(name, ..)| (name, &["--quick"][..], "--quick"));
    let some: [(_, &[_], _); 3] = [
        ("fetch", &[], "FILE"),
        ("grep", &[], "PATTERN"),
        ("limits", &["--limit", "256", "README.md"], "--limit"),
    ];
    for (name, arguments, mentioned) in every.into_iter().chain(some) {
        let (output, told) = run(name, arguments, Stdio::piped());
        assert_eq!(
            output.status.code(),
            Some(2),
            "{name} {arguments:?}: {told}"
        );
        let hint = format!("Try '{name} --help'.\n");
        assert!(told.contains(mentioned) && told.ends_with(&hint), "{told}");
        assert!(output.stdout.is_empty(), "{name} {arguments:?}");
    }
}

/// As `head`, only sooner.
#[test]
fn a_reader_that_has_left_is_no_error() {
    for (name, arguments, _) in EXAMPLES {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (output, told) = run(name, arguments, writer.into());
        assert_eq!(output.status.code(), Some(0), "{name}: {told}");
        // The totals of `checksum` are no complaint.
        assert!(told.is_empty() || name == "checksum", "{name}: {told}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_is_an_error() {
    for (name, arguments, code) in EXAMPLES {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (output, told) = run(name, arguments, full.into());
        assert_eq!(output.status.code(), Some(code), "{name}: {told}");
        assert!(told.contains("No space left"), "{name}: {told}");
    }
}
