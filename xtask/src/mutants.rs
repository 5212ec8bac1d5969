//! `cargo xtask mutants`: is each line of the protocols load-bearing?
//!
//! A copy of the crate is instrumented: each ordering, and each line that wakes, passes
//! a barrier or looks again, asks a variable of the environment whether it is the
//! mutant of this process. So the copy is built once, and each mutant is run against
//! the loom models until one turns red. One that survives must be in the allow-list,
//! with a reason. At the end stands a table of the edges: which mutant has turned the
//! model red that the edge table names.
//!
//! A model that never ends is as dead as a red one, but a slow machine looks the same. So
//! a timeout is believed only if it comes twice and the model is quick without the
//! mutant in between; it is called a timeout, and a red model is looked for all the same.
//!
//! Lines that only save time are no mutants, if they say so: see [`instrument`].

mod instrument;

use crate::loom::{CANARY, Failure, Test, build_and_list};
use crate::process::{for_each_at_once, target_dir};
use crate::{Outcome, USAGE};
use instrument::{ALL_HINTS, Edge, Mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The variable that names the mutant.
const VARIABLE: &str = "WORKCREW_MUTANT";

/// With this variable set to 1 a model allows one preemption less, but at least one:
/// most mutants die as well, and in a tenth of the time. The models that edge tables name
/// get their own bound where that is too low.
const SHALLOW: &str = "LOOM_SHALLOW";

/// One line each: `file | function | mutant | reason`.
const ALLOWED: &str = "loom-tests/survivors.txt";

/// Instead of a part of mutants' names: only the models without the hints.
const HINTS: &str = "hints";

/// How a reason begins that is none yet: the survivor is known, and still a fault.
const OPEN: &str = "OPEN";

/// A model that takes longer with no mutant is not used: there are smaller ones.
const SLOW: Duration = Duration::from_secs(40);

/// A model of another file is used only if it takes less than this: a file's own models
/// should be enough.
const FAR: Duration = Duration::from_millis(1000);
/// The same for the file's own models, but for those that its edge table names.
const NEAR: Duration = Duration::from_secs(20);

/// A mutant may make a model so many times slower before that counts as a livelock.
const PATIENCE: u32 = 5;
/// After so many models that timed out no red one is looked for any more.
const TIMEOUTS: usize = 2;
/// For a model at its own bound.
const THOROUGH: Duration = Duration::from_secs(60);
const LEAST: Duration = Duration::from_secs(5);

/// A model, the time it takes with no mutant, and whether it misses its rare events even
/// then, at so low a bound.
struct Model {
    test: Test,
    time: Duration,
    vacuous: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Verdict {
    Green,
    Red,
    /// Twice, and not without the mutant.
    TimedOut,
    /// It took too long, and so it did, or nearly, without the mutant.
    Slow,
    /// Green but for a rare event that was not reached.
    Vacuous,
}

/// What the models, by their number, said of a mutant.
type Trial = BTreeMap<usize, Verdict>;

pub(crate) fn run(args: &[&str]) -> Outcome {
    let filter = match args {
        [] => "",
        [filter] if !filter.starts_with('-') => filter,
        _ => return Err(USAGE.into()),
    };
    let work = target_dir("mutants");
    let copy = work.join("copy");
    let (mutants, edges) = instrument::copy_to(&copy)?;
    let chosen = |mutant: &&Mutant| {
        let name = mutant.to_string();
        filter.split(',').any(|part| name.contains(part))
    };
    let chosen: Vec<&Mutant> = mutants.iter().filter(chosen).collect();
    if chosen.is_empty() && filter != HINTS {
        return Err(format!("no mutant contains `{filter}`"));
    }
    println!("{} mutants, {} of them chosen", mutants.len(), chosen.len());

    let start = Instant::now();
    let models = measure(build_and_list(&copy, &work.join("target"))?, &work)?;
    println!(
        "built, and timed {} models: {:?}",
        models.len(),
        start.elapsed()
    );

    if filter.is_empty() || filter == HINTS {
        try_without_hints(&models, &work)?;
    }
    if chosen.is_empty() {
        return Ok(());
    }

    let start = Instant::now();
    let allowed = read_allowed()?;
    let mut used = BTreeSet::new();
    let mut bad = Vec::new();
    let trials = Mutex::new(BTreeMap::new());
    for_each_at_once(&chosen, |_, mutant| {
        let trial = try_out(mutant, &edges, &models, &work);
        let verdict = match &trial {
            Ok(trial) => describe(trial, &models),
            Err(why) => why.clone(),
        };
        let reason = allowed.get(&mutant.key()).map_or("", |reason| reason);
        println!("{mutant} | {verdict} {reason}");
        trials.lock().unwrap().insert(mutant.id, trial);
    });
    let trials: BTreeMap<usize, Trial> = trials
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|(id, trial)| Ok((id, trial?)))
        .collect::<Outcome<_>>()?;

    let (mut survivors, mut timeouts) = (0, 0);
    for mutant in &chosen {
        match killer(&trials[&mutant.id]) {
            Some((_, Verdict::TimedOut)) => timeouts += 1,
            Some(_) => {}
            None => {
                survivors += 1;
                match allowed.get(&mutant.key()) {
                    Some(reason) => {
                        used.insert(mutant.key());
                        if reason.contains(OPEN) {
                            bad.push(format!("NO REASON YET {mutant}"));
                        }
                    }
                    None => bad.push(format!("SURVIVED {mutant}")),
                }
            }
        }
    }
    let stale = allowed
        .keys()
        .filter(|key| filter.is_empty() && !used.contains(*key));
    bad.extend(stale.map(|key| format!("STALE in {ALLOWED}: {key}")));
    print_edges(&edges, &chosen, &models, &trials, &work, &mut bad)?;

    println!(
        "\n{} mutants: {} killed ({timeouts} by a timeout), {survivors} survived \
         ({} allowed); {:?}",
        chosen.len(),
        chosen.len() - survivors,
        used.len(),
        start.elapsed(),
    );
    if bad.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\nmutants: {} faults", bad.join("\n"), bad.len()))
    }
}

/// The models that are fast enough, the fastest first. What was measured once is kept in
/// a file, since it only decides the order, and see `judge_again`.
fn measure(tests: Vec<Test>, work: &Path) -> Outcome<Vec<Model>> {
    let file = work.join("times");
    let known = fs::read_to_string(&file).unwrap_or_default();
    let known: BTreeMap<_, _> = known
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let mut models = Vec::new();
    let mut times = String::new();
    for test in tests {
        let name = test.to_string();
        if name.starts_with(CANARY) {
            continue;
        }
        let (time, vacuous) = match known.get(name.as_str()).and_then(|known| parse(known)) {
            Some(known) => known,
            None => {
                let start = Instant::now();
                let verdict = judge(&test, None, SLOW, work, false)?;
                if verdict == Verdict::Red {
                    return Err(format!("{name} fails without a mutant: try `cargo loom`"));
                }
                (start.elapsed(), verdict == Verdict::Vacuous)
            }
        };
        times += &format!("{name} {} {vacuous}\n", time.as_millis());
        if time < SLOW {
            models.push(Model {
                test,
                time,
                vacuous,
            });
        } else {
            println!("not used: {name} takes more than {SLOW:?}");
        }
    }
    fs::write(&file, times).map_err(|error| format!("{}: {error}", file.display()))?;
    models.sort_by_key(|model| model.time);
    Ok(models)
}

/// Milliseconds, and whether the model is vacuous.
fn parse(known: &str) -> Option<(Duration, bool)> {
    let (time, vacuous) = known.split_once(' ')?;
    let time = Duration::from_millis(time.parse().ok()?);
    Some((time, vacuous.parse().ok()?))
}

/// All models with no hint: what is called a hint must be one.
fn try_without_hints(models: &[Model], work: &Path) -> Outcome {
    let red = Mutex::new(Vec::new());
    for_each_at_once(models, |_, model| {
        // Without hints it may be slower, or miss its rare event.
        let limit = (model.time * PATIENCE).max(LEAST);
        match judge_value(&model.test, ALL_HINTS, limit, work, false) {
            Ok(Verdict::Red) => red.lock().unwrap().push(model.test.to_string()),
            Ok(_) => {}
            Err(why) => red.lock().unwrap().push(why),
        }
    });
    let red = red.into_inner().unwrap();
    if red.is_empty() {
        println!(
            "{} models, none of them red without the hints",
            models.len()
        );
        Ok(())
    } else {
        Err(format!("without the hints: {}", red.join(", ")))
    }
}

/// Runs one model with a mutant, or with none.
fn judge(
    test: &Test,
    mutant: Option<&Mutant>,
    limit: Duration,
    work: &Path,
    thorough: bool,
) -> Outcome<Verdict> {
    let value = mutant.map_or(String::new(), Mutant::value);
    judge_value(test, &value, limit, work, thorough)
}

fn judge_value(
    test: &Test,
    value: &str,
    limit: Duration,
    work: &Path,
    thorough: bool,
) -> Outcome<Verdict> {
    // A log for each thread that judges.
    let log = work.join(format!("{:?}.log", thread::current().id()));
    let depth = if thorough { "0" } else { "1" };
    match test.run(&log, limit, &[(VARIABLE, value), (SHALLOW, depth)]) {
        Ok(_) => Ok(Verdict::Green),
        Err(Failure::Red(_)) => Ok(Verdict::Red),
        Err(Failure::TimedOut(_)) => Ok(Verdict::TimedOut),
        Err(Failure::Vacuous(_)) => Ok(Verdict::Vacuous),
        Err(Failure::NotRun(why)) => Err(format!("{test}: {why}")),
    }
}

/// Runs the models until one is red: first those that the mutant's edges name, then
/// those of its file, then small ones of others.
fn try_out(mutant: &Mutant, edges: &[Edge], models: &[Model], work: &Path) -> Outcome<Trial> {
    let of_edge: Vec<&String> = edges
        .iter()
        .filter(|edge| mutant.is_on(edge))
        .flat_map(|edge| &edge.models)
        .collect();
    let distance = |number: &usize| {
        let name = models[*number].test.to_string();
        let (file, model) = name.split_once("::").unwrap_or(("", &name));
        if of_edge.iter().any(|named| *named == model) {
            0
        } else if mutant.file.contains(file) {
            1
        } else {
            2
        }
    };
    let mut order: Vec<usize> = (0..models.len())
        .filter(|number| {
            let limit = [SLOW, NEAR, FAR][distance(number)];
            models[*number].time < limit
        })
        .collect();
    order.sort_by_key(distance);
    let mut trial = Trial::new();
    for number in order {
        let verdict = judge_again(number, mutant, models, work)?;
        trial.insert(number, verdict);
        let timeouts = trial.values().filter(|one| **one == Verdict::TimedOut);
        if verdict == Verdict::Red || timeouts.count() == TIMEOUTS {
            return Ok(trial);
        }
    }
    if killer(&trial).is_some() {
        return Ok(trial);
    }
    // Some need as many preemptions as the model of their edge allows.
    for (number, model) in models.iter().enumerate() {
        if distance(&number) == 0
            && judge(&model.test, Some(mutant), THOROUGH, work, true)? == Verdict::Red
        {
            trial.insert(number, Verdict::Red);
            break;
        }
    }
    Ok(trial)
}

/// As [`judge`], but does not believe a first timeout.
fn judge_again(number: usize, mutant: &Mutant, models: &[Model], work: &Path) -> Outcome<Verdict> {
    let model = &models[number];
    let limit = (model.time * PATIENCE).max(LEAST);
    let judge = |mutant| judge(&model.test, mutant, limit, work, false);
    let mut verdict = judge(Some(mutant))?;
    if verdict == Verdict::TimedOut {
        // Is it the mutant that takes so long, or the machine?
        let start = Instant::now();
        if judge(None)? == Verdict::TimedOut || start.elapsed() > limit / 2 {
            return Ok(Verdict::Slow);
        }
        verdict = judge(Some(mutant))?;
    }
    Ok(match verdict {
        Verdict::Vacuous if model.vacuous => Verdict::Green,
        verdict => verdict,
    })
}

/// The model that kills the mutant: better a red one than one that timed out.
fn killer(trial: &Trial) -> Option<(usize, Verdict)> {
    let first = |wanted| trial.iter().find(|(_, verdict)| **verdict == wanted);
    first(Verdict::Red)
        .or_else(|| first(Verdict::TimedOut))
        .map(|(number, verdict)| (*number, *verdict))
}

fn describe(trial: &Trial, models: &[Model]) -> String {
    let doubtful = |wanted, word: &str| {
        let such = trial.iter().filter(|(_, verdict)| **verdict == wanted);
        let names: Vec<_> = such
            .map(|(number, _)| models[*number].test.to_string())
            .collect();
        match names.as_slice() {
            [] => String::new(),
            names => format!(" ({word}: {})", names.join(", ")),
        }
    };
    match killer(trial) {
        Some((number, Verdict::TimedOut)) => format!("TIMED OUT in {}", models[number].test),
        Some((number, _)) => format!("killed by {}", models[number].test),
        None => format!(
            "SURVIVED{}{}",
            doubtful(Verdict::Vacuous, "vacuous"),
            doubtful(Verdict::Slow, "too slow to tell"),
        ),
    }
}

/// For each model of each edge a mutant of the edge that turns it red.
fn print_edges(
    edges: &[Edge],
    mutants: &[&Mutant],
    models: &[Model],
    trials: &BTreeMap<usize, Trial>,
    work: &Path,
    bad: &mut Vec<String>,
) -> Outcome {
    println!("\nedge | model | mutant that turns it red");
    for edge in edges {
        let own: Vec<_> = mutants.iter().filter(|mutant| mutant.is_on(edge)).collect();
        if own.is_empty() {
            continue;
        }
        for name in &edge.models {
            let suffix = format!("::{name}");
            let number = models
                .iter()
                .position(|model| model.test.to_string().ends_with(&suffix));
            let mut red = None;
            let mut timed_out = None;
            'found: for thorough in [false, true] {
                for mutant in &own {
                    let Some(number) = number else { break 'found };
                    if thorough && timed_out.is_some() {
                        break 'found;
                    }
                    let known = trials.get(&mutant.id).and_then(|trial| trial.get(&number));
                    let verdict = match known {
                        _ if thorough => {
                            judge(&models[number].test, Some(mutant), THOROUGH, work, true)?
                        }
                        Some(verdict) => *verdict,
                        None => judge_again(number, mutant, models, work)?,
                    };
                    match verdict {
                        Verdict::Red => {
                            red = Some(mutant);
                            break 'found;
                        }
                        // At the model's own bound, slow is not dead.
                        Verdict::TimedOut if !thorough => timed_out = Some(mutant),
                        _ => {}
                    }
                }
            }
            match (red, timed_out, number) {
                (Some(mutant), _, _) => println!("{edge} | {name} | {mutant}"),
                (None, Some(mutant), _) => println!("{edge} | {name} | TIMED OUT: {mutant}"),
                (None, None, Some(_)) => bad.push(format!("NEVER RED: {edge} | {name}")),
                (None, None, None) => bad.push(format!("TOO SLOW TO TRY: {edge} | {name}")),
            }
        }
    }
    Ok(())
}

/// Mutants and reasons.
fn read_allowed() -> Outcome<BTreeMap<String, String>> {
    let text = fs::read_to_string(ALLOWED).map_err(|error| format!("{ALLOWED}: {error}"))?;
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.rsplit_once(" | ") {
            Some((key, reason)) => Ok((key.to_owned(), format!("(allowed: {reason})"))),
            None => Err(format!("{ALLOWED}: no reason in `{line}`")),
        })
        .collect()
}
