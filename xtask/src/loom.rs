//! `cargo loom`: the loom models, one process each.
//!
//! One process each, since loom aborts the process when a model deadlocks, and two
//! models at a time on two cores, since a model uses one core. Every model reports
//! one line (see `loom-tests/explore.rs`); what was explored is printed as a table. A test
//! that reports none has proved nothing, and fails.

use crate::process::{cargo, for_each_at_once, read, target_dir, wait_at_most};
use crate::{Outcome, USAGE};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fmt};

/// Seconds one model may take; a deep run gets as much as it needs.
const TIMEOUT: u64 = 1200;
const TIMEOUT_DEEP: u64 = 6 * 3600;

/// The module that the models are in.
const MODELS: &str = "loom_tests::";

/// The models that are about the tools, not about the library: these need not report.
pub(crate) const CANARY: &str = "canary::";

/// How `loom-tests/explore.rs` says that a model has held, and proved nothing.
const VACUOUS: &str = "vacuous: ";

const HEADINGS: [&str; 5] = ["model", "executions", "bound", "ms", "events"];

/// What one model reports, column by column.
pub(crate) type Report = [String; HEADINGS.len()];

pub(crate) struct Test {
    program: PathBuf,
    name: String,
}

/// Why a test has proved nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The model failed; with what it printed.
    Red(String),
    /// It took longer than it may.
    TimedOut(String),
    /// It held, and was too small or missed an event.
    Vacuous(String),
    /// Nothing is known of the model: it was not run, or not to its end.
    NotRun(String),
}

/// A cargo command that builds for loom, in a target directory of its own.
pub(crate) fn cargo_loom(args: &str) -> Command {
    let mut command = cargo(args);
    command
        .env("RUSTFLAGS", "--cfg workcrew_loom -C debug-assertions")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", target_dir("loom"));
    command
}

pub(crate) fn run(mut args: &[&str]) -> Outcome {
    let deep = env::var_os("LOOM_DEEP").is_some_and(|value| value == "1");
    let mut limit = Duration::from_secs(if deep { TIMEOUT_DEEP } else { TIMEOUT });
    let mut filter = "";
    while let [first, rest @ ..] = args {
        args = match (*first, rest) {
            ("--timeout", [seconds, rest @ ..]) => {
                let seconds = seconds
                    .parse()
                    .map_err(|error| format!("--timeout {seconds}: {error}"))?;
                limit = Duration::from_secs(seconds);
                rest
            }
            (word, rest) if filter.is_empty() && !word.starts_with('-') => {
                filter = word;
                rest
            }
            _ => return Err(USAGE.into()),
        };
    }

    let mut tests = build_and_list(Path::new("."), &target_dir("loom"))?;
    tests.retain(|test| test.to_string().contains(filter));
    if tests.is_empty() {
        return Err(format!("no loom model is called `{filter}`"));
    }
    let verdicts = run_all(&tests, limit)?;

    let failed = verdicts.iter().filter(|verdict| verdict.is_err()).count();
    for (test, verdict) in tests.iter().zip(&verdicts) {
        if let Err(why) = verdict {
            println!("\n==== {test} failed\n{why}");
        }
    }
    print_table(verdicts.into_iter().flatten().flatten().collect());
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("loom: {failed} of {} tests failed", tests.len()))
    }
}

/// Builds the models of the workspace at `root`, in `target`. (To cargo two copies of a
/// workspace are the same, so they must not share it.)
pub(crate) fn build_and_list(root: &Path, target: &Path) -> Outcome<Vec<Test>> {
    let mut build = cargo_loom("test --package workcrew --lib --release");
    build.current_dir(root).env("CARGO_TARGET_DIR", target);
    let mut tests = list(&mut build)?;
    tests.retain(Test::is_model);
    Ok(tests)
}

/// Builds the tests that `cargo_test` would run, and lists them by their names.
pub(crate) fn list(cargo_test: &mut Command) -> Outcome<Vec<Test>> {
    cargo_test.args(["--no-run", "--message-format=json-render-diagnostics"]);
    let messages = read(cargo_test)?;
    // One JSON object a line; where a test program was built, it has "executable":"PATH".
    let programs = messages
        .lines()
        .filter_map(|line| line.split_once(r#""executable":""#)?.1.split('"').next());

    let mut tests = Vec::new();
    for program in programs.map(|path| PathBuf::from(path.replace(r"\\", r"\"))) {
        let list = read(Command::new(&program).args(["--list", "--format", "terse"]))?;
        for name in list.lines().filter_map(|line| line.strip_suffix(": test")) {
            tests.push(Test {
                program: program.clone(),
                name: name.to_owned(),
            });
        }
    }
    tests.sort_by_key(Test::to_string);
    Ok(tests)
}

/// The verdicts are in the order of the tests.
fn run_all(tests: &[Test], limit: Duration) -> Outcome<Vec<Result<Vec<Report>, Failure>>> {
    let logs = target_dir("loom").join("logs");
    fs::create_dir_all(&logs)
        .map_err(|error| format!("cannot create {}: {error}", logs.display()))?;
    let verdicts = Mutex::new(BTreeMap::new());
    for_each_at_once(tests, |index, test| {
        let start = Instant::now();
        let verdict = test.run(&logs.join(format!("{index}.log")), limit, &[]);
        let word = if verdict.is_ok() { "ok" } else { "FAILED" };
        let seconds = start.elapsed().as_secs_f32();
        println!("{word:<6} {test} ({seconds:.1} s)");
        verdicts.lock().unwrap().insert(index, verdict);
    });
    Ok(verdicts.into_inner().unwrap().into_values().collect())
}

impl Test {
    /// Whether loom explores it. Else it is one of those that `cargo test` runs.
    pub(crate) fn is_model(&self) -> bool {
        self.name.starts_with(MODELS)
    }

    /// Runs the test with additions to its environment; its output goes to a file, so
    /// that no full pipe can hold it up.
    pub(crate) fn run(
        &self,
        log: &Path,
        limit: Duration,
        environment: &[(&str, &str)],
    ) -> Result<Vec<Report>, Failure> {
        let (status, output) = self
            .run_to_log(log, limit, environment)
            .map_err(Failure::NotRun)?;
        let reports: Vec<Report> = output.lines().filter_map(parse_report).collect();
        match status {
            None => Err(Failure::TimedOut(format!(
                "{output}\nkilled after {} s",
                limit.as_secs()
            ))),
            Some(status) if was_killed(status) => {
                Err(Failure::NotRun(format!("{output}\n{status}")))
            }
            Some(status) if !status.success() && output.contains(VACUOUS) => {
                Err(Failure::Vacuous(output))
            }
            Some(status) if !status.success() => Err(Failure::Red(format!("{output}\n{status}"))),
            // What the canary explores is of no interest.
            Some(_) if self.to_string().starts_with(CANARY) => Ok(Vec::new()),
            Some(_) if self.is_model() && reports.is_empty() => Err(Failure::NotRun(format!(
                "{output}\nit passed, but no model was explored"
            ))),
            Some(_) => Ok(reports),
        }
    }

    /// How it ended, if it was in time, and what it printed.
    fn run_to_log(
        &self,
        log: &Path,
        limit: Duration,
        environment: &[(&str, &str)],
    ) -> Outcome<(Option<ExitStatus>, String)> {
        let file = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) =
            file.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let mut child = Command::new(&self.program)
            .args(["--exact", &self.name, "--nocapture"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        let status = wait_at_most(&mut child, limit)?;
        let output =
            fs::read(log).map_err(|error| format!("cannot read {}: {error}", log.display()))?;
        Ok((status, String::from_utf8_lossy(&output).into_owned()))
    }
}

/// Whether somebody else ended the process. (A model that deadlocks aborts itself.)
fn was_killed(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        // SIGINT, SIGKILL, SIGTERM.
        matches!(status.signal(), Some(2 | 9 | 15))
    }
    #[cfg(not(unix))]
    {
        let _ = status;
        false
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Red(why) | Self::TimedOut(why) | Self::Vacuous(why) | Self::NotRun(why)) = self;
        f.write_str(why)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(model) = self.name.strip_prefix(MODELS) {
            return f.write_str(model);
        }
        // Cargo adds a checksum to the program's name.
        let program = self.program.file_stem().unwrap_or_default();
        let program = program.to_string_lossy();
        let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
        write!(f, "{program}/{}", self.name)
    }
}

/// The test runner may have begun the line with words of its own.
fn parse_report(line: &str) -> Option<Report> {
    let (_, report) = line.split_once("loom-model | ")?;
    let columns: Vec<_> = report
        .splitn(HEADINGS.len(), '|')
        .map(|column| column.trim().to_owned())
        .collect();
    columns.try_into().ok()
}

fn print_table(mut rows: Vec<Report>) {
    rows.insert(0, HEADINGS.map(str::to_owned));
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let [model, executions, bound, ms, _] = std::array::from_fn(width);
    println!();
    for [a, b, c, d, e] in &rows {
        let line = format!("{a:<model$}  {b:>executions$}  {c:<bound$}  {d:>ms$}  {e}");
        println!("{}", line.trim_end());
    }
}
