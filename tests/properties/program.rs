//! What a program for a `WorkerPool` is, and how one is drawn.

use crate::common::Choices;
use std::fmt;
use std::ops::RangeInclusive;

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
    /// The submitter goes away, or is kept until the pool has ended.
    LeaveLane {
        lane: usize,
        keep: bool,
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

pub(crate) const ENDS: [End; 6] = [
    End::Join,
    End::JoinTimeout,
    End::Shutdown,
    End::ShutdownNow,
    End::Drop,
    End::DropInPanic,
];

pub(crate) struct Program {
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
            "{} workers, capacities {} and {}",
            self.workers, self.job_capacity, self.result_capacity
        )?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{number:>4} {step:?}")?;
        }
        write!(f, "     {:?}", self.end)
    }
}

impl Program {
    pub(crate) fn draw(dice: &mut impl Choices, workers: RangeInclusive<usize>) -> Self {
        let choices = (workers.end() - workers.start() + 1) as u64;
        let workers = workers.start() + dice.below(choices) as usize;
        Self {
            workers,
            job_capacity: dice.pick(&[1, 2, 3, 5, 31, 100]),
            result_capacity: dice.pick(&[1, 2, 3, 7, 100]),
            steps: dice.some(30, step),
            end: dice.pick(&ENDS),
        }
    }
}

fn kind(dice: &mut impl Choices) -> Kind {
    Kind {
        ending: match dice.below(12) {
            9 => Ending::Fails,
            10 => Ending::Panics,
            11 => Ending::DropPanics,
            _ => Ending::Returns,
        },
        follow_ups: dice.below(8).saturating_sub(5),
        explosive: dice.one_in(6),
    }
}

fn kinds(dice: &mut impl Choices, most: usize) -> Vec<Kind> {
    dice.some(most, kind)
}

fn step(dice: &mut impl Choices) -> Step {
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
            then: dice.pick(&[Half::Dropped, Half::IntoJobs]),
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
            keep: dice.one_in(3),
        },
        _ => unreachable!("the dice has 90 sides"),
    }
}
