//! What a program is, how one comes from a seed, and how many of them are run.

use crate::common::Dice;
use std::io::Write;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fmt, process, thread};

/// Far longer than a program takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a job ends, if it is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Returns,
    /// As an error, which only `try_map` minds.
    Fails,
    Panics,
    /// Something that it owns panics when it is dropped.
    DropPanics,
}

#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) ending: Ending,
    pub(crate) follow_ups: u64,
    /// The job panics when it is dropped unstarted, its result when it is discarded.
    pub(crate) explosive: bool,
}

/// As in `Panics+2!`: two follow-ups, explosive.
impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.explosive { "!" } else { "" };
        write!(f, "{:?}+{}{mark}", self.ending, self.follow_ups)
    }
}

impl Kind {
    /// What its follow-ups are like, which have none themselves.
    pub(crate) fn of_follow_ups(self) -> Self {
        Self {
            ending: if self.explosive {
                Ending::Panics
            } else {
                Ending::Returns
            },
            follow_ups: 0,
            explosive: self.explosive,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Half {
    /// What has not started is cancelled.
    Dropped,
    /// The jobs that were not submitted come back.
    IntoJobs,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    TrySubmit(Kind),
    SubmitInNoTime(Kind),
    Submit(Kind),
    SubmitAll {
        jobs: Vec<Kind>,
        /// The iterator does so at its end.
        panics: bool,
    },
    /// As the others, with a submitter that has its own lane.
    SubmitInLane(usize, Kind),
    SubmitAllInLane(usize, Vec<Kind>),
    /// The submitter goes away, or is forgotten.
    LeaveLane {
        lane: usize,
        forget: bool,
    },
    /// Lets a running job end.
    Release,
    TryRecv(usize),
    RecvInNoTime(usize),
    Recv(usize),
    CloneTaker(usize),
    DropTaker(usize),
    /// The job that was submitted so many jobs ago, wherever it is.
    Cancel(u64),
    CancelAll,
    Close,
    /// Takes so many outcomes from a map, in which so many jobs may be in flight.
    Map {
        ordered: bool,
        jobs: Vec<Kind>,
        take: usize,
        window: usize,
        then: Half,
    },
    TryMap(Vec<Kind>),
    InOrder {
        take: usize,
        window: usize,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Join,
    JoinTimeout,
    Shutdown,
    ShutdownNow,
    Drop,
    DropInPanic,
}

pub(crate) struct Program {
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    pub(crate) job_capacity: usize,
    pub(crate) result_capacity: usize,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "WORKCREW_PROPERTY_SEED={}: {} workers, capacities {} and {}",
            self.seed, self.workers, self.job_capacity, self.result_capacity
        )?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{number:>4} {step:?}")?;
        }
        write!(f, "     {:?}", self.end)
    }
}

impl Program {
    pub(crate) fn new(seed: u64, workers: RangeInclusive<usize>) -> Self {
        let dice = &mut Dice::new(seed.wrapping_add(1));
        for _ in 0..4 {
            dice.next();
        }
        let choices = (workers.end() - workers.start() + 1) as u64;
        let workers = workers.start() + dice.below(choices) as usize;
        let steps = dice.below(30);
        Self {
            seed,
            workers,
            job_capacity: pick(dice, &[1, 2, 3, 5, 31, 100]),
            result_capacity: pick(dice, &[1, 2, 3, 7, 100]),
            steps: (0..steps).map(|_| step(dice)).collect(),
            end: pick(
                dice,
                &[
                    End::Join,
                    End::JoinTimeout,
                    End::Shutdown,
                    End::ShutdownNow,
                    End::Drop,
                    End::DropInPanic,
                ],
            ),
        }
    }
}

fn pick<T: Copy>(dice: &mut Dice, choices: &[T]) -> T {
    choices[dice.below(choices.len() as u64) as usize]
}

fn kind(dice: &mut Dice) -> Kind {
    Kind {
        ending: match dice.below(12) {
            0 => Ending::Panics,
            1 => Ending::DropPanics,
            2 => Ending::Fails,
            _ => Ending::Returns,
        },
        follow_ups: dice.below(8).saturating_sub(5),
        explosive: dice.one_in(6),
    }
}

fn kinds(dice: &mut Dice, most: u64) -> Vec<Kind> {
    (0..dice.below(most)).map(|_| kind(dice)).collect()
}

fn step(dice: &mut Dice) -> Step {
    let taker = dice.below(3) as usize;
    let lane = dice.below(2) as usize;
    match dice.below(90) {
        0..8 => Step::TrySubmit(kind(dice)),
        8..11 => Step::SubmitInNoTime(kind(dice)),
        11..16 => Step::Submit(kind(dice)),
        16..21 => Step::SubmitAll {
            jobs: kinds(dice, 40),
            panics: dice.one_in(4),
        },
        21..37 => Step::Release,
        37..43 => Step::TryRecv(taker),
        43..46 => Step::RecvInNoTime(taker),
        46..49 => Step::Recv(taker),
        49..52 => Step::CloneTaker(taker),
        52..55 => Step::DropTaker(taker),
        55..59 => Step::Cancel(1 + dice.below(12)),
        59..62 => Step::CancelAll,
        62 => Step::Close,
        63..67 => Step::Map {
            ordered: dice.one_in(2),
            jobs: kinds(dice, 24),
            take: dice.below(30) as usize,
            window: 1 + dice.below(10) as usize,
            then: pick(dice, &[Half::Dropped, Half::IntoJobs]),
        },
        67..69 => Step::TryMap(kinds(dice, 12)),
        69..72 => Step::InOrder {
            take: dice.below(12) as usize,
            window: dice.below(10) as usize,
        },
        72..85 => Step::SubmitInLane(lane, kind(dice)),
        85..87 => Step::SubmitAllInLane(lane, kinds(dice, 40)),
        87..90 => Step::LeaveLane {
            lane,
            forget: dice.one_in(3),
        },
        _ => unreachable!("the dice has 90 sides"),
    }
}

/// Plays as many programs as the environment says.
pub(crate) fn run_all(name: &str, workers: RangeInclusive<usize>, play: fn(&Program)) {
    let number = |variable: &str| -> Option<u64> {
        let text = env::var(variable).ok()?;
        Some(text.parse().expect("the environment has a number"))
    };
    let runs = number("WORKCREW_PROPERTY_RUNS").unwrap_or(300);
    let seed = number("WORKCREW_PROPERTY_SEED");
    let start = Instant::now();
    let watch = Watch::start();
    let mut steps = 0;
    for run in 0..runs {
        let program = Arc::new(Program::new(seed.unwrap_or(run), workers.clone()));
        steps += program.steps.len();
        watch.begin(&program);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(&program))) {
            tell(&format!("FAILED, {name}:\n{program}"));
            resume_unwind(panic);
        }
    }
    tell(&format!(
        "properties, {name}: {runs} programs, {steps} steps, {:.1} s",
        start.elapsed().as_secs_f64()
    ));
}

/// Past what captures the output of tests.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Aborts the process when a program hangs.
struct Watch(Arc<Mutex<Current>>);

/// The program that is played, and since when.
type Current = Option<(Instant, Arc<Program>)>;

impl Watch {
    fn start() -> Self {
        let current = Arc::new(Mutex::new(Current::None));
        let watched = Arc::downgrade(&current);
        thread::spawn(move || {
            while let Some(current) = watched.upgrade() {
                let now = current.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((begun, program)) = &*now {
                    if begun.elapsed() > PATIENCE {
                        tell(&format!("HANG:\n{program}"));
                        if env::var_os("WORKCREW_PROPERTY_HOLD").is_some() {
                            thread::sleep(Duration::MAX);
                        }
                        process::abort();
                    }
                }
                drop(now);
                drop(current);
                thread::sleep(Duration::from_millis(100));
            }
        });
        Self(current)
    }

    fn begin(&self, program: &Arc<Program>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some((Instant::now(), Arc::clone(program)));
    }
}
