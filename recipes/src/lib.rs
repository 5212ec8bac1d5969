//! What the recipes share: how they end, how they hear Ctrl-C, and how they show progress.

#![forbid(unsafe_code)]

pub mod http;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::num::NonZero;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

/// The exit code of a program: 0 if all of its work succeeded, 1 if part of it failed, and 2 if
/// it could not be done at all, as for bad arguments. A reader of its output that has seen enough,
/// such as `head`, is no failure.
pub fn exit(name: &str, outcome: Result<bool, Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// The usual number of workers: one for each core.
pub fn cores() -> NonZero<usize> {
    thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Calls `drain` at the first Ctrl-C (on Unix at a SIGTERM too). The second one ends the program
/// at once.
///
/// # Errors
///
/// If the system refuses.
pub fn on_ctrl_c(drain: impl FnOnce() + Send + 'static) -> Result<(), ctrlc::Error> {
    let mut drain = Some(drain);
    ctrlc::set_handler(move || match drain.take() {
        Some(drain) => {
            drain();
            eprintln!("stopping: what has begun is finished first");
        }
        None => process::exit(130),
    })
}

/// A flag that the first Ctrl-C sets, see [`on_ctrl_c`].
///
/// # Errors
///
/// If the system refuses.
pub fn stop_flag() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let flag = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&flag);
    // Relaxed: the flag is all there is to say.
    on_ctrl_c(move || stop.store(true, Ordering::Relaxed))?;
    Ok(flag)
}

/// A bar on stderr, if that is a terminal.
pub fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("[{wide_bar}] {pos}/{len}, {eta} left");
    ProgressBar::new(length).with_style(style.expect("a good template"))
}
