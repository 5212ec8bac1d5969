//! What must not compile does not, for the reason that is expected, and its twin does.
//!
//! The expected messages are those of rustc 1.95; another compiler words them in its own way, so
//! with it only the twins are compiled. After a change of a signature in `src`, look at the new
//! messages and accept them by `TRYBUILD=overwrite cargo test --test compile_fail`.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn what_threads_may_not_share_or_outlive_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile_fail/twin_*.rs");
    let rustc = Command::new("rustc")
        .arg("--version")
        .output()
        .expect("rustc is in the path");
    if String::from_utf8_lossy(&rustc.stdout).starts_with("rustc 1.95.") {
        cases.compile_fail("tests/compile_fail/bad_*.rs");
    } else {
        eprintln!("SKIPPED: the messages are those of rustc 1.95");
    }
}

/// `bad_x.rs` differs from `twin_x.rs` in one line, so that it fails for no other reason.
#[test]
fn each_bad_program_differs_from_its_twin_in_one_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let mut pairs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(case) = name
            .strip_prefix("bad_")
            .filter(|name| name.ends_with(".rs"))
        else {
            continue;
        };
        let read = |name: String| fs::read_to_string(folder.join(name)).unwrap();
        let (bad, twin) = (read(name.clone()), read(format!("twin_{case}")));
        let (bad, twin): (Vec<_>, Vec<_>) = (bad.lines().collect(), twin.lines().collect());
        assert_eq!(bad.len(), twin.len(), "{name}");
        let differing = bad
            .iter()
            .zip(&twin)
            .filter(|(bad, twin)| bad != twin)
            .count();
        assert_eq!(differing, 1, "{name}");
        pairs += 1;
    }
    assert_eq!(pairs, 32);
}
