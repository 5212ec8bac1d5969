//! `cargo xtask mutants`: is each line of the protocols load-bearing?
//!
//! A copy of the crate is instrumented: each ordering, and each line that wakes, passes
//! a barrier or looks again, asks a variable of the environment whether it is the
//! mutant of this process. So the copy is built once, and each mutant is run against
//! the loom models until one turns red: see [`jury`]. A line left out that no model
//! misses, since it is one thread's own doing or in a place that models do not reach, is
//! tried with the ordinary tests. One that survives must be in the allow-list, with a
//! reason. At the end stands a table of the edges: which mutant has turned the model red
//! that the edge table names.
//!
//! Lines that only save time are no mutants, if they say so: see [`instrument`]. What one run
//! has found the next one knows: see [`record`].

mod instrument;
mod jury;
mod record;
mod report;

use crate::process::{for_each_at_once, number, target_dir};
use crate::{Outcome, USAGE};
use instrument::Mutant;
use jury::{Jury, Trial};
use record::{Entries, Trials};
use report::Report;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The variable that names the mutant.
const VARIABLE: &str = "WORKCREW_MUTANT";

/// Instead of a part of mutants' names: only the models without the hints.
const HINTS: &str = "hints";

/// Which mutants are tried.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Choice<'a> {
    All,
    /// None: only the models without the hints.
    Hints,
    /// Those whose text contains one of these, with commas between them.
    Containing(&'a str),
    /// Those whose number has this remainder.
    Shard {
        remainder: usize,
        of: usize,
    },
    /// Those of the files that changed since the last whole run, until the time is over.
    Changed(Duration),
}

impl<'a> Choice<'a> {
    fn parse(args: &[&'a str]) -> Outcome<Self> {
        match args {
            [] => Ok(Self::All),
            [HINTS] => Ok(Self::Hints),
            ["--shard", shard] => Self::parse_shard(shard),
            ["--changed", seconds] => {
                let seconds = number("--changed", seconds)?;
                Ok(Self::Changed(Duration::from_secs(seconds)))
            }
            [part] if !part.starts_with('-') => Ok(Self::Containing(part)),
            _ => Err(USAGE.into()),
        }
    }

    /// `K/N`, the K from 1 to N, as a remainder.
    fn parse_shard(shard: &str) -> Outcome<Self> {
        let parts = shard.split_once('/');
        let parts = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((k, of)) if (1..=of).contains(&k) => Ok(Self::Shard {
                remainder: k - 1,
                of,
            }),
            _ => Err(format!("--shard {shard}: K/N is meant, with K from 1 to N")),
        }
    }

    fn choose<'m>(
        self,
        mutants: &'m [Mutant],
        entries: &Entries,
        report: &Report,
    ) -> Outcome<Vec<&'m Mutant>> {
        let choose = |is_chosen: &dyn Fn(&Mutant) -> bool| {
            let chosen = mutants.iter().filter(|mutant| is_chosen(mutant));
            chosen.collect::<Vec<_>>()
        };
        Ok(match self {
            Self::All => choose(&|_| true),
            Self::Hints => Vec::new(),
            Self::Containing(parts) => {
                let chosen = choose(&|mutant| {
                    let name = mutant.to_string();
                    parts.split(',').any(|part| name.contains(part))
                });
                if chosen.is_empty() {
                    return Err(format!("no mutant contains `{parts}`"));
                }
                chosen
            }
            Self::Shard { remainder, of } => choose(&|mutant| mutant.id % of == remainder),
            Self::Changed(_) => {
                let changed = record::changed(entries)?;
                println!("changed: {}", Vec::from_iter(changed.clone()).join(", "));
                // Those that may survive would take the longest.
                choose(&|mutant| changed.contains(&*mutant.file) && !report.allows(mutant))
            }
        })
    }
}

pub(crate) fn run(args: &[&str]) -> Outcome {
    let choice = Choice::parse(args)?;
    let work = target_dir("mutants");
    let copy = work.join("copy");
    let (mutants, edges) = instrument::copy_to(&copy)?;
    // At once: the run may take an hour, in which files are edited.
    let entries = record::entries(&mutants)?;
    let mut report = Report::new()?;
    let chosen = choice.choose(&mutants, &entries, &report)?;
    println!("{} mutants, {} of them chosen", mutants.len(), chosen.len());
    if chosen.is_empty() && choice != Choice::Hints {
        return Ok(());
    }
    let jury = Jury::new(edges, copy, work.clone())?;
    if matches!(choice, Choice::All | Choice::Hints) {
        jury.try_without_hints()?;
    }

    let known = Trials::open(&work, &mutants, &entries, &jury)?;
    let deadline = match choice {
        Choice::Changed(limit) => Some(Instant::now() + limit),
        _ => None,
    };
    let trials = try_all(&chosen, &jury, &known, deadline)?;
    report.judge(&chosen, &trials);
    if choice == Choice::All {
        report.look_for_stale_entries();
    }
    if deadline.is_none() {
        report.print_edges(&mutants, &chosen, &trials, &jury)?;
    }
    report.print();
    report.outcome()?;
    if choice == Choice::All {
        record::set_swept(&entries)?;
    }
    Ok(())
}

/// What comes of the mutants that there is time for, up to the deadline; known trials of models
/// are not repeated. With a deadline there is no time for the ordinary tests, and so for lines left
/// out that no model misses.
fn try_all(
    chosen: &[&Mutant],
    jury: &Jury,
    record: &Trials,
    deadline: Option<Instant>,
) -> Outcome<BTreeMap<usize, Trial>> {
    let is_known = |mutant: &&Mutant| record.known.contains_key(&mutant.id);
    // If the time is not enough, each file gets its share of it.
    let mut order = chosen.to_vec();
    order.sort_by_key(|mutant| (!is_known(mutant), mutant.id % 17));
    let known = order.iter().copied().filter(is_known).count();
    println!("{known} of them are known from an earlier run");
    let is_over = || deadline.is_some_and(|deadline| Instant::now() > deadline);
    // `None` if the time is over.
    let try_out = |mutant: &Mutant| -> Outcome<Option<Trial>> {
        let mut trial = match record.known.get(&mutant.id) {
            Some(known) => known.clone(),
            None if is_over() => return Ok(None),
            None => {
                let trial = jury.try_models(mutant)?;
                record.add(mutant.id, &trial)?;
                trial
            }
        };
        if trial.killer().is_none() && mutant.is_left_out() {
            if deadline.is_some() {
                return Ok(None);
            }
            jury.try_ordinary(mutant, &mut trial)?;
        }
        println!("{mutant} | {trial}");
        Ok(Some(trial))
    };
    let outcomes = Mutex::new(BTreeMap::new());
    for_each_at_once(&order, |_, mutant| {
        let outcome = try_out(mutant);
        outcomes.lock().unwrap().insert(mutant.id, outcome);
    });
    let mut trials = BTreeMap::new();
    for (id, outcome) in outcomes.into_inner().unwrap() {
        if let Some(trial) = outcome? {
            trials.insert(id, trial);
        }
    }
    match order.len() - trials.len() {
        0 => {}
        left => println!("{left} were not tried to the end: that is for a run of all"),
    }
    Ok(trials)
}
