//! The examples as programs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::{env, process::Command};

/// The compiled example, which lies in `examples` beside the `deps` of this test. `cargo test` has
/// built it, but not `cargo test --test NAME`: then it is built here.
pub(crate) fn program(name: &str) -> PathBuf {
    let this = env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).unwrap();
    let program = profile.join("examples").join(name);
    if !program.exists() {
        let profile_name = match profile.file_name().and_then(OsStr::to_str).unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--example", name, "--profile", profile_name]);
        build
            .arg("--target-dir")
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(
            build.status().unwrap().success() && program.exists(),
            "{build:?}"
        );
    }
    program
}
