//! The examples as programs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::{env, process::Command};

/// The compiled example, which lies in `examples` beside the `deps` of this test. `cargo test` has
/// built it, but not `cargo test --test NAME`: so it is built here, as far as it is not up to date.
pub(crate) fn program(name: &str) -> PathBuf {
    let this = env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).unwrap();
    let profile_name = match profile.file_name().and_then(OsStr::to_str).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--example", name])
        .args(["--profile", profile_name, "--target-dir"])
        .arg(profile.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().unwrap().success(), "{build:?}");
    profile.join("examples").join(name)
}
