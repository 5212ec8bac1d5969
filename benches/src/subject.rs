//! Everybody who is measured.

use std::thread;

use crate::channel_pool::{ChannelPool, Crossbeam, CrossbeamUnbounded, Flume, Kanal, StdMutex};
use crate::deque_pool::DequePool;
use crate::drive::{self, Sample, Shape, Task};
use crate::go_pool;
use crate::job::sum_in_a_plain_loop;
use crate::rayon_pool::RayonPool;
use crate::reading::Reading;
use crate::workcrew_pool::{Batched, InLane, OneByOne};

/// What a subject is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `workcrew`.
    Own,
    /// Another way of doing the same, in this process.
    Peer,
    /// Another way of doing the same, in a process and a language of its own.
    Go,
    /// No threads at all: what the jobs cost by themselves.
    PlainLoop,
}

/// Where a subject can take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Everywhere,
    /// Its queue of jobs has no bound.
    NotInStreams,
    /// Other shapes say nothing about it.
    OnlyFillThenDrain,
    /// A batch of one job is no batch.
    OnlyPasses,
}

/// One way of running typed jobs.
#[derive(Debug)]
pub struct Subject {
    /// As it is called in tables and on the command line.
    pub name: &'static str,
    /// What it is to the comparison.
    pub kind: Kind,
    part: Part,
    sample: fn(&Task) -> Sample,
}

/// `workcrew`, one job per call of the shared `submit`.
pub const WORKCREW: &str = "workcrew";
/// `workcrew`, one job per call of a submitter with its own lane.
pub const WORKCREW_SUBMITTER: &str = "workcrew-submitter";
/// `workcrew`, 64 jobs per call of `submit_all`.
pub const WORKCREW_BATCHES: &str = "workcrew-batches";
/// The channel-based design, over two bounded channels of `crossbeam-channel`.
pub const CROSSBEAM_CHANNEL: &str = "crossbeam-channel";
/// The jobs in a plain loop.
pub const PLAIN_LOOP: &str = "plain-loop";

/// All subjects, in the order of the tables.
pub const SUBJECTS: &[Subject] = &[
    own(WORKCREW, drive::sample::<OneByOne>),
    own(WORKCREW_SUBMITTER, drive::sample::<InLane>),
    Subject {
        part: Part::OnlyPasses,
        ..own(WORKCREW_BATCHES, drive::sample::<Batched>)
    },
    peer(CROSSBEAM_CHANNEL, drive::sample::<ChannelPool<Crossbeam>>),
    Subject {
        part: Part::OnlyFillThenDrain,
        ..peer(
            "crossbeam-unbounded",
            drive::sample::<ChannelPool<CrossbeamUnbounded>>,
        )
    },
    peer("kanal", drive::sample::<ChannelPool<Kanal>>),
    peer("flume", drive::sample::<ChannelPool<Flume>>),
    peer("std-mutex", drive::sample::<ChannelPool<StdMutex>>),
    peer("crossbeam-deque", drive::sample::<DequePool>),
    Subject {
        part: Part::NotInStreams,
        ..peer("rayon", drive::sample::<RayonPool>)
    },
    Subject {
        kind: Kind::Go,
        ..peer("go", go_pool::sample)
    },
    Subject {
        kind: Kind::PlainLoop,
        ..peer(PLAIN_LOOP, plain_loop)
    },
];

const fn own(name: &'static str, sample: fn(&Task) -> Sample) -> Subject {
    Subject {
        name,
        kind: Kind::Own,
        part: Part::Everywhere,
        sample,
    }
}

const fn peer(name: &'static str, sample: fn(&Task) -> Sample) -> Subject {
    Subject {
        kind: Kind::Peer,
        ..own(name, sample)
    }
}

impl Subject {
    /// The subject of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        SUBJECTS.iter().find(|subject| subject.name == name)
    }

    /// Whether this subject can run tasks of this shape.
    #[must_use]
    pub fn takes_part(&self, shape: Shape) -> bool {
        let passes = matches!(shape, Shape::FillThenDrain | Shape::Stream);
        let part = match self.part {
            Part::Everywhere => true,
            Part::NotInStreams => shape != Shape::Stream,
            Part::OnlyFillThenDrain => shape == Shape::FillThenDrain,
            Part::OnlyPasses => passes,
        };
        part && match self.kind {
            Kind::Own | Kind::Peer => true,
            // Its runtime has threads of its own, so idleness and trickles are not compared.
            Kind::Go => !matches!(shape, Shape::Idle { .. }),
            Kind::PlainLoop => !matches!(shape, Shape::RoundTrips { .. }),
        }
    }

    /// Takes one sample.
    ///
    /// # Panics
    ///
    /// If a result was lost, doubled or wrong.
    #[must_use]
    pub fn sample(&self, task: &Task) -> Sample {
        (self.sample)(task)
    }
}

/// The jobs and the waiting by themselves: the ideal of a pass, and what the measuring thread costs an idle process.
fn plain_loop(task: &Task) -> Sample {
    let mut reading = Reading::start();
    let sum = sum_in_a_plain_loop(&task.jobs);
    if let Shape::Idle { time } = task.shape {
        reading = Reading::start();
        thread::sleep(time);
    }
    let cost = reading.stop();
    task.check(sum, 0);
    Sample {
        cost,
        trips: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crew::Capacity;
    use crate::job::heavy_tailed_jobs;

    /// [`Task::check`] does the asserting.
    fn every_subject_returns_every_result(shape: Shape, jobs: u32, capacity: usize) {
        for workers in [1, 3] {
            let capacity = Capacity {
                workers,
                jobs: capacity,
                results: capacity,
            };
            let task = Task::new(shape, capacity, heavy_tailed_jobs(jobs, 1, 1_000));
            for subject in SUBJECTS {
                let there = subject.kind != Kind::Go || go_pool::program().is_ok();
                if there && subject.takes_part(shape) {
                    eprintln!("{} {shape:?} {workers}", subject.name);
                    let sample = subject.sample(&task);
                    assert!(sample.cost.wall > Duration::ZERO);
                }
            }
        }
    }

    #[test]
    fn every_result_arrives_when_the_queues_hold_all_jobs() {
        every_subject_returns_every_result(Shape::FillThenDrain, 5_000, 5_000);
    }

    #[test]
    fn every_result_arrives_through_queues_of_one() {
        every_subject_returns_every_result(Shape::Stream, 5_000, 1);
    }

    #[test]
    fn every_result_arrives_through_small_queues() {
        every_subject_returns_every_result(Shape::Stream, 5_000, 64);
    }

    #[test]
    fn every_round_trip_comes_back() {
        let pause = Duration::from_micros(200);
        every_subject_returns_every_result(Shape::RoundTrips { pause }, 100, 8);
    }

    #[test]
    fn an_idle_crew_can_be_stopped() {
        let time = Duration::from_millis(5);
        every_subject_returns_every_result(Shape::Idle { time }, 10, 8);
    }
}
