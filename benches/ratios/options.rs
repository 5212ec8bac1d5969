//! The command line.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use lexopt::prelude::{Long, ValueExt};
use workcrew_bench::subject::{Kind, SUBJECTS, Subject};

use crate::futex::FutexChild;

pub(crate) const HELP: &str = "\
cargo bench -p workcrew-bench --bench ratios -- [options]
Takes twenty minutes on a quiet machine, two minutes with --quick; longer beside other load, since samples are taken again.

  --rounds N          rounds over all cells (9)
  --quick             3 rounds, 1 and 4 workers, a quarter of the jobs, short idle times
  --only A,B          workloads whose name begins so: W1 or W1b-64 or W1b-1024/empty or W8-futex
  --workers 1,2,4,8   numbers of worker threads
  --subjects A,B      these subjects alone (and the plain loop, where one is needed)
  --csv FILE          writes every sample (a relative path begins in the folder benches)
  --report FOLDER     writes a page with tables and pictures, and samples.csv, there (relative: as for --csv)
  --remark TEXT       a line for the page: of what code it is, say
  --seed N            seed of the order of subjects (the clock)";

/// What the command line asks for.
pub(crate) enum Command {
    Measure(Options),
    /// This process is the one that `strace` watches.
    FutexChild(FutexChild),
    Help,
    /// Started by `cargo test`, which runs benches too: there is nothing to test here.
    Nothing,
}

pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    pub(crate) workers: Vec<usize>,
    pub(crate) csv: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) remark: Option<String>,
    pub(crate) seed: u64,
    only: Vec<String>,
    subjects: Vec<String>,
}

impl Options {
    pub(crate) fn wants_workload(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|start| name.starts_with(start))
    }

    pub(crate) fn wants_subject(&self, subject: &Subject) -> bool {
        self.subjects.is_empty()
            || subject.kind == Kind::PlainLoop
            || self.subjects.iter().any(|name| name == subject.name)
    }
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut options = Options {
        rounds: 0,
        quick: false,
        workers: Vec::new(),
        csv: None,
        report: None,
        remark: None,
        seed: clock.map_or(1, |time| time.as_secs()),
        only: Vec::new(),
        subjects: Vec::new(),
    };
    let mut under_cargo_bench = false;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bench") => under_cargo_bench = true,
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("quick") => options.quick = true,
            Long("only") => options.only = list(&parser.value()?.string()?),
            Long("workers") => {
                options.workers = list(&parser.value()?.string()?)
                    .iter()
                    .map(|number| match number.parse() {
                        Ok(0) | Err(_) => Err(format!("no number of workers: {number:?}")),
                        Ok(number) => Ok(number),
                    })
                    .collect::<Result<_, _>>()?;
            }
            Long("subjects") => {
                options.subjects = list(&parser.value()?.string()?);
                if let Some(name) = options
                    .subjects
                    .iter()
                    .find(|name| Subject::by_name(name).is_none())
                {
                    let names: Vec<_> = SUBJECTS.iter().map(|subject| subject.name).collect();
                    return Err(format!("no subject {name:?}; there are {names:?}").into());
                }
            }
            Long("csv") => options.csv = Some(parser.value()?.into()),
            Long("report") => options.report = Some(parser.value()?.into()),
            Long("remark") => options.remark = Some(parser.value()?.string()?),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("help") => return Ok(Command::Help),
            Long(FutexChild::FLAG) => return Ok(Command::FutexChild(FutexChild::parse(parser)?)),
            _ => return Err(argument.unexpected()),
        }
    }
    if !under_cargo_bench {
        return Ok(Command::Nothing);
    }
    if options.rounds == 0 {
        options.rounds = if options.quick { 3 } else { 9 };
    }
    if options.workers.is_empty() {
        options.workers = if options.quick {
            vec![1, 4]
        } else {
            vec![1, 2, 4, 8]
        };
    }
    Ok(Command::Measure(options))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}
