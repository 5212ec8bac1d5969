//! The recipes as programs.

#![cfg(all(unix, not(miri)))]
#![forbid(unsafe_code)]

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/program.rs"]
mod program;

mod arguments;
mod crawl;
mod job_queue;
mod server;
mod simulation;
mod thumbnails;

use tempfile::TempDir;

/// A directory that is gone at the end of its test.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
