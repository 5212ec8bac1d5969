//! Who judges a mutant: the loom models, and after them the ordinary tests.
//!
//! The models that the mutant's edges name come first, then those of its file, then small ones
//! of others; the fastest first. If none of them misses a line that was left out, each of the
//! ordinary tests is run without it. (A weaker ordering would hardly ever show there.)
//!
//! A test that never ends is as dead as a red one, but a slow machine looks the same; and what an
//! ordinary test does is left to chance. So a timeout, and an ordinary test's failure, are
//! believed only if they come twice, and the test is green and quick without the mutant in
//! between. A timeout is called one, and a red model is looked for all the same.

use super::VARIABLE;
use super::instrument::{ALL_HINTS, Edge, Mutant};
use super::record::{append, checksum};
use crate::Outcome;
use crate::loom::{self, CANARY, Failure, Test};
use crate::process::{cargo, for_each_at_once};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

/// With this variable set to 1 a model allows one preemption less, but at least one:
/// most mutants die as well, and in a tenth of the time. The models that edge tables name
/// get their own bound where that is too low.
const SHALLOW: &str = "LOOM_SHALLOW";

/// The ordinary tests that are run.
const ORDINARY: &str =
    "test --package workcrew --lib --test awaiting --test contract --test thread_pool";

/// A test that takes longer with no mutant is not used: there are smaller ones.
const SLOW: Duration = Duration::from_secs(40);

/// A model of another file is used only if it takes less than this: a file's own models
/// should be enough.
const FAR: Duration = Duration::from_millis(1000);
/// The same for the file's own models, but for those that its edge table names, and for
/// ordinary tests.
const NEAR: Duration = Duration::from_secs(20);

/// A mutant may make a test so many times slower before that counts as a livelock.
const PATIENCE: u32 = 5;
/// After so many models that timed out no red one is looked for any more.
const TIMEOUTS: usize = 2;
/// For a model at its own bound.
const THOROUGH: Duration = Duration::from_secs(60);
const LEAST: Duration = Duration::from_secs(5);

/// A test, the time it takes with no mutant, and whether it is a model that misses its rare
/// events even then, at so low a bound.
pub(super) struct Judge {
    test: Test,
    time: Duration,
    vacuous: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
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

/// What the tests, by their names, said of a mutant.
#[derive(Clone, Debug, Default)]
pub(super) struct Trial(BTreeMap<String, Verdict>);

impl Trial {
    /// What [`Trial::to_line`] has written.
    pub(super) fn parse(line: &str, is_judge: impl Fn(&str) -> bool) -> Option<Self> {
        let parts = line.split_whitespace().map(|part| {
            let (name, verdict) = part.split_once('=')?;
            Some((
                is_judge(name).then(|| name.to_owned())?,
                Verdict::parse(verdict)?,
            ))
        });
        parts.collect::<Option<_>>().map(Self)
    }

    pub(super) fn to_line(&self) -> String {
        let parts = self.0.iter();
        let parts = parts.map(|(name, verdict)| format!("{name}={verdict:?}"));
        parts.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn of(&self, name: &str) -> Option<Verdict> {
        self.0.get(name).copied()
    }

    /// Those who said so.
    fn who_said(&self, wanted: Verdict) -> Vec<&str> {
        let such = self.0.iter().filter(|(_, verdict)| **verdict == wanted);
        such.map(|(name, _)| &**name).collect()
    }

    /// The test that kills the mutant: better a red one than one that timed out.
    pub(super) fn killer(&self) -> Option<(&str, Verdict)> {
        let first = |verdict| Some((*self.who_said(verdict).first()?, verdict));
        first(Verdict::Red).or_else(|| first(Verdict::TimedOut))
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.killer() {
            Some((name, Verdict::TimedOut)) => return write!(f, "TIMED OUT in {name}"),
            Some((name, _)) => return write!(f, "killed by {name}"),
            None => f.write_str("SURVIVED")?,
        }
        let doubts = [
            (Verdict::Vacuous, "vacuous"),
            (Verdict::Slow, "too slow to tell"),
        ];
        for (verdict, word) in doubts {
            match self.who_said(verdict).as_slice() {
                [] => {}
                names => write!(f, " ({word}: {})", names.join(", "))?,
            }
        }
        Ok(())
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

/// The copy's tests.
pub(super) struct Jury {
    /// The fastest first.
    models: Vec<Judge>,
    /// Built when they are needed; the fastest first.
    ordinary: OnceLock<Outcome<Vec<Judge>>>,
    pub(super) edges: Vec<Edge>,
    copy: PathBuf,
    work: PathBuf,
}

impl Jury {
    pub(super) fn new(edges: Vec<Edge>, copy: PathBuf, work: PathBuf) -> Outcome<Self> {
        let mut jury = Self {
            models: Vec::new(),
            ordinary: OnceLock::new(),
            edges,
            copy,
            work,
        };
        let mut models = loom::build_and_list(&jury.copy, &jury.work.join("target"))?;
        models.retain(|test| !test.to_string().starts_with(CANARY));
        jury.models = jury.measure(models, "times")?;
        Ok(jury)
    }

    pub(super) fn has_model(&self, name: &str) -> bool {
        let mut models = self.models.iter();
        models.any(|model| model.test.to_string() == name)
    }

    fn ordinary(&self) -> Outcome<&[Judge]> {
        let ordinary = self.ordinary.get_or_init(|| {
            let mut build = cargo(ORDINARY);
            build
                .current_dir(&self.copy)
                .env("CARGO_TARGET_DIR", self.work.join("target"));
            let mut tests = self.measure(loom::list(&mut build)?, "times of ordinary tests")?;
            tests.retain(|test| test.time < NEAR);
            Ok(tests)
        });
        ordinary.as_deref().map_err(Clone::clone)
    }

    /// Those that are fast enough, the fastest first. All have passed without a mutant: what was
    /// measured is kept in a file, but for this very code.
    fn measure(&self, tests: Vec<Test>, file: &str) -> Outcome<Vec<Judge>> {
        let code = ["src", "loom-tests", "tests"].map(|folder| self.copy.join(folder));
        let code = checksum(&code)?;
        let file = self.work.join(format!("{file} {code:016x}"));
        let known = fs::read_to_string(&file).unwrap_or_default();
        let known: BTreeMap<_, _> = known
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        let measured = Mutex::new(BTreeMap::new());
        for_each_at_once(&tests, |number, test| {
            let known = known.get(test.to_string().as_str());
            let time = match known.and_then(|known| parse(known)) {
                Some(known) => Ok(known),
                None => self.time(test).and_then(|(time, vacuous)| {
                    append(&file, &format!("{test} {} {vacuous}", time.as_millis()))?;
                    Ok((time, vacuous))
                }),
            };
            measured.lock().unwrap().insert(number, time);
        });
        let mut judges = Vec::new();
        for (test, time) in tests
            .into_iter()
            .zip(measured.into_inner().unwrap().into_values())
        {
            let (time, vacuous) = time?;
            if time < SLOW {
                judges.push(Judge {
                    test,
                    time,
                    vacuous,
                });
            } else {
                println!("not used: {test} takes more than {SLOW:?}");
            }
        }
        judges.sort_by_key(|judge| judge.time);
        Ok(judges)
    }

    /// How long a test takes with no mutant, and whether it is vacuous.
    fn time(&self, test: &Test) -> Outcome<(Duration, bool)> {
        let start = Instant::now();
        let verdict = self.judge_value(test, "", SLOW, false)?;
        no_fault(test, verdict)?;
        Ok((start.elapsed(), verdict == Verdict::Vacuous))
    }

    /// All models with no hint: what is called a hint must be one.
    pub(super) fn try_without_hints(&self) -> Outcome {
        let (red, slow) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        for_each_at_once(&self.models, |_, model| {
            // Without hints it may be slower, or miss its rare event.
            let limit = (model.time * PATIENCE).max(LEAST);
            let name = model.test.to_string();
            match self.judge_value(&model.test, ALL_HINTS, limit, false) {
                Ok(Verdict::Red) => red.lock().unwrap().push(name),
                Ok(Verdict::TimedOut) => slow.lock().unwrap().push(name),
                Ok(_) => {}
                Err(why) => red.lock().unwrap().push(why),
            }
        });
        let (red, slow) = (red.into_inner().unwrap(), slow.into_inner().unwrap());
        if red.is_empty() {
            println!(
                "{} models, none of them red without the hints; too slow to tell: {}",
                self.models.len(),
                if slow.is_empty() {
                    "none".into()
                } else {
                    slow.join(", ")
                }
            );
            Ok(())
        } else {
            Err(format!("without the hints: {}", red.join(", ")))
        }
    }

    fn judge_value(
        &self,
        test: &Test,
        value: &str,
        limit: Duration,
        thorough: bool,
    ) -> Outcome<Verdict> {
        // A log for each thread that judges.
        let log = self.work.join(format!("{:?}.log", thread::current().id()));
        let depth = if thorough { "0" } else { "1" };
        match test.run(&log, limit, &[(VARIABLE, value), (SHALLOW, depth)]) {
            Ok(_) => Ok(Verdict::Green),
            Err(Failure::Red(_)) => Ok(Verdict::Red),
            Err(Failure::TimedOut(_)) => Ok(Verdict::TimedOut),
            Err(Failure::Vacuous(_)) => Ok(Verdict::Vacuous),
            Err(Failure::NotRun(why)) => Err(format!("{test}: {why}")),
        }
    }

    /// Runs the ordinary tests without a line that no model has missed, until one is red.
    pub(super) fn try_ordinary(&self, mutant: &Mutant, trial: &mut Trial) -> Outcome {
        for test in self.ordinary()? {
            let verdict = self.judge_again(test, mutant)?;
            trial.0.insert(test.test.to_string(), verdict);
            if trial.killer().is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Runs the models until one is red.
    pub(super) fn try_models(&self, mutant: &Mutant) -> Outcome<Trial> {
        let with_distance = self.models.iter().map(|model| {
            let distance = self.distance(mutant, &model.test.to_string());
            (distance, model)
        });
        let mut order: Vec<_> = with_distance
            .filter(|(distance, model)| {
                let limit = match distance {
                    Distance::Edge => SLOW,
                    Distance::Near => NEAR,
                    Distance::Far => FAR,
                };
                model.time < limit
            })
            .collect();
        order.sort_by_key(|(distance, _)| *distance);
        let mut trial = Trial::default();
        for (_, model) in &order {
            let verdict = self.judge_again(model, mutant)?;
            trial.0.insert(model.test.to_string(), verdict);
            let timeouts = trial.who_said(Verdict::TimedOut).len();
            if verdict == Verdict::Red || timeouts == TIMEOUTS {
                return Ok(trial);
            }
        }
        if trial.killer().is_some() {
            return Ok(trial);
        }
        // Some need as many preemptions as the model of their edge allows.
        for (distance, model) in order {
            if distance == Distance::Edge && self.judge_thoroughly(model, mutant)? == Verdict::Red {
                trial.0.insert(model.test.to_string(), Verdict::Red);
                break;
            }
        }
        Ok(trial)
    }

    /// From a mutant to the model `file::name`.
    fn distance(&self, mutant: &Mutant, model: &str) -> Distance {
        let (file, name) = model.split_once("::").unwrap_or(("", model));
        let mut own = self.edges.iter().filter(|edge| mutant.is_on(edge));
        if own.any(|edge| edge.models.iter().any(|model| model == name)) {
            Distance::Edge
        } else if mutant.file.contains(file) {
            Distance::Near
        } else {
            Distance::Far
        }
    }

    /// Runs a test, and does not believe at once what may be chance.
    fn judge_again(&self, judge: &Judge, mutant: &Mutant) -> Outcome<Verdict> {
        let limit = (judge.time * PATIENCE).max(LEAST);
        let judge_value = |value: &str| self.judge_value(&judge.test, value, limit, false);
        let mut verdict = judge_value(&mutant.value())?;
        let is_certain = match verdict {
            Verdict::TimedOut => false,
            Verdict::Red => judge.test.is_model(),
            _ => true,
        };
        if !is_certain {
            // Is it the mutant, or the machine?
            let start = Instant::now();
            let without = judge_value("")?;
            if without == Verdict::TimedOut || start.elapsed() > limit / 2 {
                return Ok(Verdict::Slow);
            }
            no_fault(&judge.test, without)?;
            verdict = judge_value(&mutant.value())?;
        }
        Ok(match verdict {
            Verdict::Vacuous if judge.vacuous => Verdict::Green,
            verdict => verdict,
        })
    }

    /// At the model's own bound. Slow is not dead there.
    fn judge_thoroughly(&self, model: &Judge, mutant: &Mutant) -> Outcome<Verdict> {
        self.judge_value(&model.test, &mutant.value(), THOROUGH, true)
    }

    /// The model that an edge calls so, if it is fast enough.
    pub(super) fn model(&self, name: &str) -> Option<&Judge> {
        let suffix = format!("::{name}");
        let mut models = self.models.iter();
        models.find(|model| model.test.to_string().ends_with(&suffix))
    }

    /// A mutant that turns the model red, or else one under which it timed out.
    pub(super) fn victim<'a>(
        &self,
        model: &Judge,
        mutants: &[&'a Mutant],
        trials: &BTreeMap<usize, Trial>,
    ) -> Outcome<Option<(&'a Mutant, Verdict)>> {
        let mut timed_out = None;
        for mutant in mutants {
            let known = trials.get(&mutant.id);
            let verdict = match known.and_then(|trial| trial.of(&model.test.to_string())) {
                Some(verdict) => verdict,
                None => self.judge_again(model, mutant)?,
            };
            match verdict {
                Verdict::Red => return Ok(Some((mutant, verdict))),
                Verdict::TimedOut => timed_out = Some((*mutant, verdict)),
                _ => {}
            }
        }
        if timed_out.is_some() {
            return Ok(timed_out);
        }
        for mutant in mutants {
            let verdict = self.judge_thoroughly(model, mutant)?;
            if verdict == Verdict::Red {
                return Ok(Some((mutant, verdict)));
            }
        }
        Ok(None)
    }
}

/// Complains of a test that fails without a mutant.
fn no_fault(test: &Test, verdict: Verdict) -> Outcome {
    if verdict == Verdict::Red {
        Err(format!("{test} fails without a mutant"))
    } else {
        Ok(())
    }
}

/// Milliseconds, and whether the model is vacuous.
fn parse(known: &str) -> Option<(Duration, bool)> {
    let (time, vacuous) = known.split_once(' ')?;
    let time = Duration::from_millis(time.parse().ok()?);
    Some((time, vacuous.parse().ok()?))
}
