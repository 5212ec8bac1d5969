//! The `fetch` example as a program.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

#[path = "common/example.rs"]
mod example;

use std::process::{Command, Output};
use std::{fs, str};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn fetch(names: &[&str]) -> Output {
    let mut command = Command::new(example::program("fetch"));
    let output = command.args(names).current_dir(ROOT).output();
    output.expect("the program starts")
}

fn line(name: &str) -> String {
    let size = fs::metadata(format!("{ROOT}/{name}")).unwrap().len();
    format!("{size:>9} {name}\n")
}

#[test]
fn files_come_whole_and_in_order() {
    let names = ["README.md", "src/lib.rs", "Cargo.lock", "LICENSE-MIT"].repeat(10);
    let output = fetch(&names);
    let lines: String = names.iter().map(|name| line(name)).collect();
    assert_eq!(str::from_utf8(&output.stdout), Ok(&*lines));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(str::from_utf8(&output.stderr), Ok(""));
}

#[test]
fn the_first_missing_file_stops_it_and_what_was_fetched_is_not_lost() {
    // So many that no pause of who finds it lets the others fetch them all.
    let mut names = vec!["README.md"; 3_000];
    names[20] = "no such file";
    let output = fetch(&names);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    let fetched = errors
        .strip_prefix("fetch: no such file: 404 Not Found, after ")
        .and_then(|rest| rest.strip_suffix(" of 3000 files\n")?.parse().ok())
        .unwrap_or_else(|| panic!("{errors}"));
    // Those that were begun before it have been fetched, and of the others not all.
    assert!((20..2_999).contains(&fetched), "{errors}");
    assert_eq!(output.stdout, line("README.md").repeat(fetched).as_bytes());
}

#[test]
fn only_what_is_below_the_current_directory_is_served() {
    for name in ["src/../README.md", &format!("{ROOT}/README.md")] {
        let output = fetch(&[name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
    }
    let output = fetch(&["./README.md"]);
    assert_eq!(str::from_utf8(&output.stdout), Ok(&*line("./README.md")));
}

/// It may be a device, which has no end.
#[test]
#[cfg(unix)]
fn what_lies_elsewhere_is_not_even_read() {
    use std::io::{self, Read, Write};
    let (mut reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"unread").unwrap();
    drop(writer);
    let mut command = Command::new(example::program("fetch"));
    let command = command.arg("/dev/stdin").stdin(reader.try_clone().unwrap());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    let mut left = String::new();
    reader.read_to_string(&mut left).unwrap();
    assert_eq!(left, "unread");
}

#[test]
#[cfg(unix)]
fn a_name_that_no_url_can_have_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let mut command = Command::new(example::program("fetch"));
    let output = command.arg(OsStr::from_bytes(b"no\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("is not UTF-8"), "{errors}");
}
