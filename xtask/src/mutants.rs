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
//! Lines that only save time are no mutants, if they say so: see [`instrument`]. What one run
//! has found the next one knows: see [`record`].

mod instrument;
mod record;

use crate::loom::{CANARY, Failure, Test, build_and_list};
use crate::process::{for_each_at_once, target_dir};
use crate::{Outcome, USAGE};
use instrument::{ALL_HINTS, Edge, Mutant};
use record::Trials;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, mem, thread};

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

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

impl Verdict {
    /// What `Debug` has written.
    fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::Green,
            Self::Red,
            Self::TimedOut,
            Self::Slow,
            Self::Vacuous,
        ];
        all.into_iter()
            .find(|verdict| format!("{verdict:?}") == text)
    }
}

/// How close a model is to a mutant.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Distance {
    /// An edge of the mutant names it.
    Edge,
    /// Of the same module.
    Near,
    Far,
}

/// What the models, by their number, said of a mutant.
type Trial = BTreeMap<usize, Verdict>;

pub(crate) fn run(args: &[&str]) -> Outcome {
    let (filter, shard) = match args {
        [] => ("", None),
        ["--shard", shard] => ("", Some(parse_shard(shard)?)),
        ["--changed", seconds] => {
            let seconds = crate::process::number("--changed", seconds)?;
            return run_changed(Duration::from_secs(seconds));
        }
        [filter] if !filter.starts_with('-') => (*filter, None),
        _ => return Err(USAGE.into()),
    };
    let work = target_dir("mutants");
    let copy = work.join("copy");
    let (mutants, edges) = instrument::copy_to(&copy)?;
    let chosen = |mutant: &&Mutant| {
        let name = mutant.to_string();
        filter.split(',').any(|part| name.contains(part))
            && shard.is_none_or(|(number, of)| mutant.id % of == number)
    };
    let chosen: Vec<&Mutant> = mutants.iter().filter(chosen).collect();
    if chosen.is_empty() && filter != HINTS {
        return Err(format!("no mutant contains `{filter}`"));
    }
    println!("{} mutants, {} of them chosen", mutants.len(), chosen.len());
    let models = build_and_list(&copy, &work.join("target"))?;
    let models = measure(models, &work)?;
    let whole = filter.is_empty() && shard.is_none();
    if whole || filter == HINTS {
        try_without_hints(&models, &work)?;
    }
    if chosen.is_empty() {
        return Ok(());
    }

    let mut report = Report::new()?;
    let known = Trials::open(&work, &mutants, &models)?;
    let trials = try_all(&chosen, &edges, &models, &work, known, None)?;
    report.judge(&chosen, &trials);
    if whole {
        report.look_for_stale_entries();
    }
    print_edges(&edges, &chosen, &models, &trials, &work, &mut report.bad)?;
    report.print();
    report.outcome()?;
    if whole {
        record::set_swept(&mutants)?;
    }
    Ok(())
}

/// `K/N`, the K from 1 to N, as a remainder.
fn parse_shard(shard: &str) -> Outcome<(usize, usize)> {
    let parts = shard.split_once('/');
    let parts = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((k, n)) if (1..=n).contains(&k) => Ok((k - 1, n)),
        _ => Err(format!("--shard {shard}: K/N is meant, with K from 1 to N")),
    }
}

/// The mutants of the files that changed since the last whole run, until the time is over.
fn run_changed(limit: Duration) -> Outcome {
    let work = target_dir("mutants");
    let copy = work.join("copy");
    let (mutants, edges) = instrument::copy_to(&copy)?;
    let changed = record::changed(&mutants)?;
    let mut report = Report::new()?;
    // Those that may survive would take the longest.
    let is_chosen = |mutant: &&Mutant| {
        changed.contains(&*mutant.file) && !report.allowed.contains_key(&mutant.key())
    };
    let chosen: Vec<&Mutant> = mutants.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        println!("no file has changed since the last `cargo xtask mutants`");
        return Ok(());
    }
    println!("changed: {}", Vec::from_iter(changed).join(", "));
    let models = build_and_list(&copy, &work.join("target"))?;
    let models = measure(models, &work)?;
    let deadline = Instant::now() + limit;
    let known = Trials::open(&work, &mutants, &models)?;
    let trials = try_all(&chosen, &edges, &models, &work, known, Some(deadline))?;
    report.judge(&chosen, &trials);
    report.print();
    report.outcome()
}

/// What is known of the mutants already, and trials of the others, up to the deadline.
fn try_all(
    chosen: &[&Mutant],
    edges: &[Edge],
    models: &[Model],
    work: &Path,
    mut record: Trials,
    deadline: Option<Instant>,
) -> Outcome<BTreeMap<usize, Trial>> {
    let known = mem::take(&mut record.known);
    let untried = |mutant: &&Mutant| !known.contains_key(&mutant.id);
    let mut open: Vec<&Mutant> = chosen.iter().copied().filter(untried).collect();
    println!(
        "{} of them are known from an earlier run",
        chosen.len() - open.len()
    );
    // If the time is not enough, each file gets its share of it.
    open.sort_by_key(|mutant| mutant.id % 17);
    let trials = Mutex::new(known);
    let wrong = Mutex::new(Vec::new());
    let left = AtomicUsize::new(0);
    for_each_at_once(&open, |_, mutant| {
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            // Relaxed: only a count.
            left.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let trial = try_out(mutant, edges, models, work).and_then(|trial| {
            record.add(mutant.id, &trial, models)?;
            Ok(trial)
        });
        match trial {
            Ok(trial) => {
                println!("{mutant} | {}", describe(&trial, models));
                trials.lock().unwrap().insert(mutant.id, trial);
            }
            Err(why) => wrong.lock().unwrap().push(why),
        }
    });
    if let Some(why) = wrong.into_inner().unwrap().first() {
        return Err(why.clone());
    }
    match left.into_inner() {
        0 => {}
        left => println!("{left} were not tried: the time was over"),
    }
    Ok(trials.into_inner().unwrap())
}

/// What the trials come to.
struct Report {
    /// Mutants that may survive, and reasons.
    allowed: BTreeMap<String, String>,
    used: BTreeSet<String>,
    /// By file: killed, of these by a timeout, and survivors.
    files: BTreeMap<String, [usize; 3]>,
    bad: Vec<String>,
}

impl Report {
    fn new() -> Outcome<Self> {
        Ok(Self {
            allowed: read_allowed()?,
            used: BTreeSet::new(),
            files: BTreeMap::new(),
            bad: Vec::new(),
        })
    }

    fn judge(&mut self, mutants: &[&Mutant], trials: &BTreeMap<usize, Trial>) {
        for mutant in mutants {
            let Some(trial) = trials.get(&mutant.id) else {
                continue;
            };
            let [killed, timeouts, survivors] = self.files.entry(mutant.file.clone()).or_default();
            match killer(trial) {
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

    fn look_for_stale_entries(&mut self) {
        let stale = self.allowed.keys().filter(|key| !self.used.contains(*key));
        let stale = stale.map(|key| format!("STALE in {ALLOWED}: {key}"));
        self.bad.extend(stale);
    }

    fn print(&self) {
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

    fn outcome(&self) -> Outcome {
        if self.bad.is_empty() {
            return Ok(());
        }
        let (bad, count) = (self.bad.join("\n"), self.bad.len());
        Err(format!("{bad}\nmutants: {count} faults"))
    }
}

/// The models that are fast enough, the fastest first. What was measured once is kept in
/// a file, since it only decides the order, and see `judge_again`.
fn measure(mut tests: Vec<Test>, work: &Path) -> Outcome<Vec<Model>> {
    let file = work.join("times");
    let known = fs::read_to_string(&file).unwrap_or_default();
    let known: BTreeMap<_, _> = known
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    tests.retain(|test| !test.to_string().starts_with(CANARY));
    let measured = Mutex::new(BTreeMap::new());
    for_each_at_once(&tests, |number, test| {
        let known = known.get(test.to_string().as_str());
        let time = match known.and_then(|known| parse(known)) {
            Some(known) => Ok(known),
            None => time(test, work),
        };
        measured.lock().unwrap().insert(number, time);
    });
    let mut models = Vec::new();
    let mut times = String::new();
    for (test, time) in tests
        .into_iter()
        .zip(measured.into_inner().unwrap().into_values())
    {
        let (time, vacuous) = time?;
        times += &format!("{test} {} {vacuous}\n", time.as_millis());
        if time < SLOW {
            models.push(Model {
                test,
                time,
                vacuous,
            });
        } else {
            println!("not used: {test} takes more than {SLOW:?}");
        }
    }
    fs::write(&file, times).map_err(|error| format!("{}: {error}", file.display()))?;
    models.sort_by_key(|model| model.time);
    Ok(models)
}

/// How long a model takes with no mutant, and whether it is vacuous.
fn time(test: &Test, work: &Path) -> Outcome<(Duration, bool)> {
    let start = Instant::now();
    match judge(test, None, SLOW, work, false)? {
        Verdict::Red => Err(format!("{test} fails without a mutant: try `cargo loom`")),
        verdict => Ok((start.elapsed(), verdict == Verdict::Vacuous)),
    }
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
    let distance = |number: &usize| distance(mutant, edges, &models[*number].test.to_string());
    let mut order: Vec<usize> = (0..models.len())
        .filter(|number| {
            let limit = match distance(number) {
                Distance::Edge => SLOW,
                Distance::Near => NEAR,
                Distance::Far => FAR,
            };
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
        if distance(&number) == Distance::Edge
            && judge(&model.test, Some(mutant), THOROUGH, work, true)? == Verdict::Red
        {
            trial.insert(number, Verdict::Red);
            break;
        }
    }
    Ok(trial)
}

/// From a mutant to the model `file::name`.
fn distance(mutant: &Mutant, edges: &[Edge], model: &str) -> Distance {
    let (file, name) = model.split_once("::").unwrap_or(("", model));
    let mut own = edges.iter().filter(|edge| mutant.is_on(edge));
    if own.any(|edge| edge.models.iter().any(|model| model == name)) {
        Distance::Edge
    } else if mutant.file.contains(file) {
        Distance::Near
    } else {
        Distance::Far
    }
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
            Some((key, reason)) => Ok((key.to_owned(), reason.to_owned())),
            None => Err(format!("{ALLOWED}: no reason in `{line}`")),
        })
        .collect()
}
