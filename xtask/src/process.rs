//! Starting other programs.

use crate::{Outcome, USAGE};
use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::path::{self, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

/// Makes the workspace's root the current directory, wherever we were called from.
pub(crate) fn enter_workspace() -> Outcome {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    env::set_current_dir(root).map_err(|error| format!("cannot enter {root}: {error}"))
}

/// Whether the one flag that a command has is there, and nothing else.
pub(crate) fn only_flag(flag: &str, args: &[&str]) -> Outcome<bool> {
    match args {
        [] => Ok(false),
        [arg] if *arg == flag => Ok(true),
        _ => Err(USAGE.into()),
    }
}

/// Where cargo builds, `part` of it; absolute, since commands run in other folders too.
pub(crate) fn target_dir(part: &str) -> PathBuf {
    let dir = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from("target"), PathBuf::from)
        .join(part);
    path::absolute(&dir).unwrap_or(dir)
}

/// `cargo` with arguments that contain no spaces.
pub(crate) fn cargo(args: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(args.split_whitespace());
    command
}

/// Runs `cargo`, see [`cargo`], to its end.
pub(crate) fn run_cargo(args: &str) -> Outcome {
    run(&mut cargo(args))
}

/// Runs `command` to its end, with its output on ours.
pub(crate) fn run(command: &mut Command) -> Outcome {
    println!("$ {}", show(command));
    let status = command
        .status()
        .map_err(|error| format!("cannot start `{}`: {error}", show(command)))?;
    check(command, status)
}

fn check(command: &Command, status: ExitStatus) -> Outcome {
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` failed ({status})", show(command)))
    }
}

/// As [`run`], for one of several commands at once: the output is printed at the end. Returns
/// what went to stdout.
pub(crate) fn run_aside(command: &mut Command) -> Outcome<String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", show(command)))?;
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    println!("$ {}\n{stdout}{stderr}", show(command));
    check(command, output.status)?;
    Ok(stdout)
}

/// Runs `command` to its end; what it prints to stdout goes to `hear` and on ours, line by
/// line.
pub(crate) fn run_and_hear(command: &mut Command, mut hear: impl FnMut(&str)) -> Outcome {
    let shown = show(command);
    println!("$ {shown}");
    let failed = |error| format!("cannot run `{shown}`: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.map_err(failed)?;
        println!("{line}");
        hear(&line);
    }
    check(command, child.wait().map_err(failed)?)
}

/// Runs `command` to its end and returns what it prints to stdout.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", show(command)))?;
    if !output.status.success() {
        return Err(format!("`{}` failed ({})", show(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("`{}`: {error}", show(command)))
}

/// Whether `command` can be run at all; says nothing.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether `cargo` can do `check`, if need be after `install`.
pub(crate) fn have(check: &str, install: &mut Command) -> bool {
    let works = || works(&mut cargo(check));
    if !works() {
        // Whether it helped is what the second look tells.
        let _ = run(install);
    }
    works()
}

/// What stands behind `option` on the command line.
pub(crate) fn number<T: FromStr<Err: Display>>(option: &str, text: &str) -> Outcome<T> {
    text.parse()
        .map_err(|error| format!("{option} {text}: {error}"))
}

/// The seconds of `--minutes`: at least one, or nothing would be looked at.
pub(crate) fn seconds(minutes: &str) -> Outcome<u64> {
    let seconds = number::<f64>("--minutes", minutes)? * 60.0;
    if seconds >= 1.0 {
        Ok(seconds as u64)
    } else {
        Err(format!("--minutes {minutes}: less than a second"))
    }
}

/// Waits for `child`, which is killed when it takes longer than `limit`: then there is no status.
pub(crate) fn wait_at_most(child: &mut Child, limit: Duration) -> Outcome<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) if start.elapsed() < limit => thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot wait for a process: {error}")),
        }
    }
}

/// The command as one would type it.
fn show(command: &Command) -> String {
    let mut text = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            text += &format!("{}={value:?} ", name.to_string_lossy());
        }
    }
    text += &command.get_program().to_string_lossy();
    for arg in command.get_args() {
        text += &format!(" {}", arg.to_string_lossy());
    }
    text
}

/// As many at once as there are cores; `act` gets the number of the item too.
pub(crate) fn for_each_at_once<T: Sync>(items: &[T], act: impl Fn(usize, &T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    // Relaxed: the number is all there is to share.
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { break };
                    act(number, item);
                }
            });
        }
    });
}
