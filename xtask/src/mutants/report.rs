//! What the trials come to: survivors against the allow-list, tables by file and by edge.

use super::instrument::Mutant;
use super::jury::{Jury, Trial, Verdict};
use crate::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// One line each: `file | function | mutant | reason`.
const ALLOWED: &str = "loom-tests/survivors.txt";

/// How a reason begins that is none yet: the survivor is known, and still a fault.
const OPEN: &str = "OPEN";

pub(super) struct Report {
    /// Mutants that may survive, and reasons.
    allowed: BTreeMap<String, String>,
    used: BTreeSet<String>,
    /// By file: killed, of these by a timeout, and survivors.
    files: BTreeMap<String, [usize; 3]>,
    bad: Vec<String>,
}

impl Report {
    pub(super) fn new() -> Outcome<Self> {
        Ok(Self {
            allowed: read_allowed()?,
            used: BTreeSet::new(),
            files: BTreeMap::new(),
            bad: Vec::new(),
        })
    }

    pub(super) fn allows(&self, mutant: &Mutant) -> bool {
        self.allowed.contains_key(&mutant.key())
    }

    pub(super) fn judge(&mut self, mutants: &[&Mutant], trials: &BTreeMap<usize, Trial>) {
        for mutant in mutants {
            let Some(trial) = trials.get(&mutant.id) else {
                continue;
            };
            let [killed, timeouts, survivors] = self.files.entry(mutant.file.clone()).or_default();
            match trial.killer() {
                Some((_, verdict)) => {
                    *killed += 1;
                    *timeouts += usize::from(verdict == Verdict::TimedOut);
                }
                None => {
                    *survivors += 1;
                    match self.allowed.get(&mutant.key()) {
                        Some(reason) => {
                            self.used.insert(mutant.key());
                            if reason.starts_with(OPEN) {
                                self.bad.push(format!("NO REASON YET {mutant}"));
                            }
                        }
                        None => self.bad.push(format!("SURVIVED {mutant}")),
                    }
                }
            }
        }
    }

    pub(super) fn look_for_stale_entries(&mut self) {
        let stale = self.allowed.keys().filter(|key| !self.used.contains(*key));
        let stale = stale.map(|key| format!("STALE in {ALLOWED}: {key}"));
        self.bad.extend(stale);
    }

    /// For each model of each edge a mutant of the edge that turns it red.
    pub(super) fn print_edges(
        &mut self,
        all: &[Mutant],
        mutants: &[&Mutant],
        trials: &BTreeMap<usize, Trial>,
        jury: &Jury,
    ) -> Outcome {
        println!("\nedge | model | mutant that turns it red");
        for edge in &jury.edges {
            let own = mutants.iter().copied();
            let own: Vec<_> = own.filter(|mutant| mutant.is_on(edge)).collect();
            if !all.iter().any(|mutant| mutant.is_on(edge)) {
                self.bad.push(format!("NO MUTANT: {edge}"));
            }
            // None of them was chosen.
            if own.is_empty() {
                continue;
            }
            for name in &edge.models {
                let Some(model) = jury.model(name) else {
                    self.bad.push(format!("TOO SLOW TO TRY: {edge} | {name}"));
                    continue;
                };
                match jury.victim(model, &own, trials)? {
                    Some((mutant, Verdict::TimedOut)) => {
                        println!("{edge} | {name} | TIMED OUT: {mutant}");
                    }
                    Some((mutant, _)) => println!("{edge} | {name} | {mutant}"),
                    None => self.bad.push(format!("NEVER RED: {edge} | {name}")),
                }
            }
        }
        Ok(())
    }

    pub(super) fn print(&self) {
        println!("\nfile | killed | of these by a timeout | survived");
        let mut sums = [0; 3];
        for (file, counts) in &self.files {
            let [killed, timeouts, survivors] = counts;
            println!("{file} | {killed} | {timeouts} | {survivors}");
            sums = std::array::from_fn(|column| sums[column] + counts[column]);
        }
        let [killed, timeouts, survivors] = sums;
        println!(
            "\n{} mutants: {killed} killed ({timeouts} by a timeout), {survivors} survived \
             ({} allowed)",
            killed + survivors,
            self.used.len(),
        );
    }

    pub(super) fn outcome(&self) -> Outcome {
        if self.bad.is_empty() {
            return Ok(());
        }
        let (bad, count) = (self.bad.join("\n"), self.bad.len());
        Err(format!("{bad}\nmutants: {count} faults"))
    }
}

/// Mutants and reasons.
fn read_allowed() -> Outcome<BTreeMap<String, String>> {
    let text = fs::read_to_string(ALLOWED).map_err(|error| format!("{ALLOWED}: {error}"))?;
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.rsplit_once(" | ") {
            Some((key, reason)) => Ok((key.to_owned(), reason.to_owned())),
            None => Err(format!("{ALLOWED}: no reason in `{line}`")),
        })
        .collect()
}
