//! The project's chores, one command each. `cargo xtask` prints what there is.

mod bench;
mod ci;
mod fuzz;
mod instructions;
mod loom;
mod mutants;
mod process;
mod soak;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
Usage:
  cargo loom [FILTER] [--timeout SECONDS]
      Runs the loom models whose `file::name` contains FILTER, each in a process of its own.
      With LOOM_DEEP=1 in the environment every bound is one preemption deeper (hours).
  cargo xtask mutants [FILTER | --shard K/N | --changed SECONDS]
      Runs the models against each mutant whose text (file | function | change) contains FILTER
      (or one of several, with commas between them), `hints` against all hints left out.
      A mutant is a weaker ordering, or a line left out; of the latter those that no model misses
      are tried with the ordinary tests. Fails if one survives that is not in
      loom-tests/survivors.txt. Goes on where an earlier run was stopped. --changed takes the
      files that changed since all were swept, as many mutants as there is time for.
  cargo xtask miri [--seeds N] [--tree-borrows] [--target TRIPLE] [--tests]
      Runs the unit tests in Miri with N schedules (8), and the examples in the docs with one.
      --tests adds the integration tests, in small sizes. TRIPLE plays another machine.
  cargo shuttle [FILTER] [--schedules N]
      Runs each test whose name contains FILTER in N schedules (10000) that chance decides.
  cargo xtask deterministic
      Runs the tests of the module `deterministic`: 1,000 seeds, each twice, with one history.
  cargo xtask sanitize address|leak|thread
      Runs the unit and integration tests under a sanitizer of the compiler.
  cargo xtask fuzz --minutes N
      Plays random programs against their models, drawn by libFuzzer, and keeps those that fail.
  cargo xtask soak --minutes N [--seed S]
      Runs pools of both kinds, one after the other, under more load than the machine can bear.
  cargo xtask bench [--quick]
      Measures the crate beside its peers and writes the tables, the pictures and all samples to
      docs/benchmarks (twenty minutes); --quick: less of it, to the target folder (two minutes).
  cargo xtask instructions [--update]
      Counts the instructions of each path of one thread, beside those of the baseline. Fails if
      one has grown by more than 3 %. --update makes the numbers the baseline.
  cargo xtask ci [--after-tests] [--only STEP]
      Runs the steps of CI and stops at the first failure.
      --after-tests leaves out what `cargo test` has done already.";

/// What a chore comes to; a failure is a sentence for people.
type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = process::enter_workspace().and_then(|()| match args.split_first() {
        Some((&"bench", rest)) => bench::run_all(rest),
        Some((&"loom", rest)) => loom::run(rest),
        Some((&"mutants", rest)) => mutants::run(rest),
        Some((&"fuzz", rest)) => fuzz::run(rest),
        Some((&"instructions", rest)) => instructions::run(rest),
        Some((&"soak", rest)) => soak::run(rest),
        Some((&"miri", rest)) => tools::miri(rest),
        Some((&"sanitize", rest)) => tools::sanitize(rest),
        Some((&"shuttle", rest)) => tools::shuttle(rest),
        Some((&"deterministic", rest)) => tools::deterministic(rest),
        Some((&"ci", rest)) => ci::run(rest),
        _ => Err(format!("{USAGE}\n  STEP is one of: {}", ci::step_names())),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
