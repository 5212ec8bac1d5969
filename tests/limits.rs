//! The `limits` example as a program.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

#[path = "common/example.rs"]
mod example;

use std::fs;
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn limits(arguments: &[&str]) -> Output {
    let mut command = Command::new(example::program("limits"));
    let output = command.args(arguments).current_dir(ROOT).output();
    output.expect("the program starts")
}

/// A row of the table: its first five columns, and the error.
fn rows(output: &Output) -> Vec<(&str, [usize; 4], String)> {
    let table = std::str::from_utf8(&output.stdout).unwrap();
    let rows = table.lines().skip(1).map(|line| {
        let mut words = line.split_whitespace();
        let way = words.next().unwrap();
        let numbers = [(); 4].map(|()| words.next().unwrap().parse().unwrap());
        (way, numbers, words.collect::<Vec<_>>().join(" "))
    });
    rows.collect()
}

fn lines(name: &str) -> usize {
    fs::read_to_string(format!("{ROOT}/{name}"))
        .unwrap()
        .lines()
        .count()
}

#[test]
fn all_ways_do_the_same_work_within_the_limit() {
    let names = ["README.md", "src/lib.rs", "Cargo.lock", "LICENSE-MIT"];
    let all: usize = names.iter().map(|name| lines(name)).sum();
    for (limit, number) in [("1", 1), ("3", 3)] {
        let output = limits(&[&["--limit", limit], &names.repeat(50)[..]].concat());
        let rows = rows(&output);
        let ways = [("semaphore", 200), ("group", number * 2), ("pool", number)];
        assert_eq!(rows.len(), ways.len(), "{output:?}");
        for ((way, [threads, most, files, lines], error), expected) in rows.into_iter().zip(ways) {
            assert_eq!((way, threads), expected);
            assert_eq!((files, lines), (200, all * 50), "{way}");
            assert!((1..=number).contains(&most), "{way}: {most} at once");
            assert_eq!(error, "none", "{way}");
        }
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn only_the_group_stops_at_an_error() {
    let mut names = vec!["README.md"; 1_000];
    names[3] = "no such file";
    let output = limits(&names);
    let rows = rows(&output);
    for (way, [_, _, files, lines_of_all], error) in &rows {
        assert!(error.starts_with("no such file: "), "{way}: {error}");
        assert_eq!(*lines_of_all, files * lines("README.md"), "{way}");
    }
    let files: Vec<_> = rows.iter().map(|(_, [_, _, files, _], _)| *files).collect();
    assert_eq!((files[0], files[2]), (999, 999));
    // Those that were begun before it were read, and of the others not all.
    assert!((3..999).contains(&files[1]), "{files:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn bad_arguments_are_explained_and_exit_with_2() {
    let bad: [(&[&str], &str); 4] = [
        (&[], "PATH"),
        (&["--limit", "0", "README.md"], "--limit"),
        (&["--limit"], "--limit"),
        (&["--quick"], "--quick"),
    ];
    for (arguments, mentioned) in bad {
        let output = limits(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(mentioned), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let help = limits(&["--help"]);
    assert!(help.stdout.starts_with(b"Usage: limits ") && help.stderr.is_empty());
    assert_eq!(help.status.code(), Some(0));
}
