//! Everybody who is measured.

use std::thread;

use crate::beekeeper_pool::BeekeeperPool;
use crate::channel_pool::{ChannelPool, Crossbeam, CrossbeamUnbounded, Flume, Kanal, StdMutex};
use crate::closures::chili::ChiliPairs;
use crate::closures::crossbeam_deque::DequeClosures;
use crate::closures::drive::{self as closures, Closures};
use crate::closures::one_channel::OneChannel;
use crate::closures::one_shot::OneShot;
use crate::closures::parkring::ParkringClosures;
use crate::closures::plain::Plain;
use crate::closures::rayon::{RayonClosures, RayonSpawn};
use crate::closures::threadpool::ThreadpoolClosures;
use crate::closures::tokio::TokioClosures;
use crate::closures::{Execute, ForkJoin, Nest, Spawn, workcrew};
use crate::crew::{Crew, Widen};
use crate::deque_pool::DequePool;
use crate::drive::{self, JobSize, Sample, Shape, Task};
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

/// Where a subject can take part with typed jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Everywhere,
    /// Its queue of jobs has no bound.
    NotInStreams,
    /// Neither has that of results.
    WithoutBounds,
    /// Other shapes say nothing about it.
    OnlyFillThenDrain,
    /// A batch of one job is no batch.
    OnlyPasses,
}

/// Takes a sample.
type Run = fn(&Task) -> Sample;

/// One way of running jobs: typed ones, closures, or both.
#[derive(Debug)]
pub struct Subject {
    /// As it is called in tables and on the command line.
    pub name: &'static str,
    /// What it is to the comparison.
    pub kind: Kind,
    typed: Option<(Part, Run)>,
    /// One for each [`JobSize`].
    wide: Option<fn(JobSize) -> Run>,
    heap: Option<Run>,
    execute: Option<Run>,
    spawn: Option<Run>,
    nest: Option<Run>,
    fork_join: Option<Run>,
}

/// `workcrew`, one job per call of the shared `submit`, one closure per call.
pub const WORKCREW: &str = "workcrew";
/// `workcrew`, one job per call of a submitter with its own lane.
pub const WORKCREW_SUBMITTER: &str = "workcrew-submitter";
/// `workcrew`, 64 jobs per call of `submit_all`, all closures in one call of `execute_all`.
pub const WORKCREW_BATCHES: &str = "workcrew-batches";
/// The channel-based design, over two bounded channels of `crossbeam-channel`; for closures, over one.
pub const CROSSBEAM_CHANNEL: &str = "crossbeam-channel";
/// Rayon; jobs that submit jobs do so in a scope.
pub const RAYON: &str = "rayon";
/// Chili.
pub const CHILI: &str = "chili";
/// The jobs in a plain loop, pairs as two calls.
pub const PLAIN_LOOP: &str = "plain-loop";

/// All subjects, in the order of the tables.
pub const SUBJECTS: &[Subject] = &[
    own(WORKCREW)
        .typed::<OneByOne>(Part::Everywhere)
        .widens::<OneByOne>()
        .executes::<workcrew::OneByOne>()
        .spawns::<workcrew::OneByOne>()
        .nests::<workcrew::OneByOne>()
        .forks_and_joins::<workcrew::OneByOne>(),
    own(WORKCREW_SUBMITTER)
        .typed::<InLane>(Part::Everywhere)
        .widens::<InLane>(),
    own(WORKCREW_BATCHES)
        .typed::<Batched>(Part::OnlyPasses)
        .widens::<Batched>()
        .executes::<workcrew::Batched>(),
    peer(CROSSBEAM_CHANNEL)
        .typed::<ChannelPool<Crossbeam>>(Part::Everywhere)
        .widens::<ChannelPool<Crossbeam>>()
        .executes::<OneChannel<Crossbeam>>()
        .spawns::<OneShot<OneChannel<Crossbeam>>>(),
    peer("crossbeam-unbounded")
        .typed::<ChannelPool<CrossbeamUnbounded>>(Part::OnlyFillThenDrain)
        .executes::<OneChannel<CrossbeamUnbounded>>(),
    peer("kanal")
        .typed::<ChannelPool<Kanal>>(Part::Everywhere)
        .widens::<ChannelPool<Kanal>>()
        .executes::<OneChannel<Kanal>>()
        .spawns::<OneShot<OneChannel<Kanal>>>(),
    peer("flume")
        .typed::<ChannelPool<Flume>>(Part::Everywhere)
        .widens::<ChannelPool<Flume>>()
        .executes::<OneChannel<Flume>>()
        .spawns::<OneShot<OneChannel<Flume>>>(),
    peer("std-mutex")
        .typed::<ChannelPool<StdMutex>>(Part::Everywhere)
        .widens::<ChannelPool<StdMutex>>()
        .executes::<OneChannel<StdMutex>>()
        .spawns::<OneShot<OneChannel<StdMutex>>>(),
    peer("crossbeam-deque")
        .typed::<DequePool>(Part::Everywhere)
        .widens::<DequePool>()
        .executes::<DequeClosures>()
        .spawns::<OneShot<DequeClosures>>()
        .nests::<DequeClosures>(),
    peer(RAYON)
        .typed::<RayonPool>(Part::NotInStreams)
        .executes::<RayonClosures>()
        .spawns::<OneShot<RayonClosures>>()
        .nests::<RayonClosures>()
        .forks_and_joins::<RayonClosures>(),
    peer("rayon-spawn").nests::<RayonSpawn>(),
    peer("threadpool")
        .executes::<ThreadpoolClosures>()
        .spawns::<OneShot<ThreadpoolClosures>>(),
    peer("tokio")
        .executes::<TokioClosures>()
        .spawns::<TokioClosures>()
        .nests::<TokioClosures>(),
    peer("parkring")
        .executes::<ParkringClosures>()
        .spawns::<OneShot<ParkringClosures>>()
        .forks_and_joins::<ParkringClosures>(),
    peer("beekeeper").typed::<BeekeeperPool>(Part::WithoutBounds),
    peer(CHILI).forks_and_joins::<ChiliPairs>(),
    subject("go", Kind::Go).typed_by(Part::Everywhere, go_pool::sample),
    subject(PLAIN_LOOP, Kind::PlainLoop)
        .typed_by(Part::Everywhere, plain_loop)
        .forks_and_joins::<Plain>(),
];

const fn subject(name: &'static str, kind: Kind) -> Subject {
    Subject {
        name,
        kind,
        typed: None,
        wide: None,
        heap: None,
        execute: None,
        spawn: None,
        nest: None,
        fork_join: None,
    }
}

const fn own(name: &'static str) -> Subject {
    subject(name, Kind::Own)
}

const fn peer(name: &'static str) -> Subject {
    subject(name, Kind::Peer)
}

impl Subject {
    const fn typed<C: Crew>(self, part: Part) -> Self {
        let typed = self.typed_by(part, drive::sample::<C>);
        Self {
            heap: Some(drive::heap::<C>),
            ..typed
        }
    }

    const fn widens<C: Widen>(mut self) -> Self {
        self.wide = Some(|size| match size {
            JobSize::Bytes64 => drive::sample::<C::Wide<8>>,
            JobSize::Bytes256 => drive::sample::<C::Wide<32>>,
            JobSize::Bytes1024 => drive::sample::<C::Wide<128>>,
            JobSize::Bytes4096 => drive::sample::<C::Wide<512>>,
        });
        self
    }

    const fn typed_by(mut self, part: Part, run: Run) -> Self {
        self.typed = Some((part, run));
        self
    }

    const fn executes<P: Execute>(mut self) -> Self {
        self.execute = Some(closures::execute::<P>);
        self
    }

    const fn spawns<P: Spawn>(mut self) -> Self {
        self.spawn = Some(closures::spawn::<P>);
        self
    }

    const fn nests<P: Nest>(mut self) -> Self {
        self.nest = Some(closures::nest::<P>);
        self
    }

    const fn forks_and_joins<P: ForkJoin>(mut self) -> Self {
        self.fork_join = Some(closures::fork_join::<P>);
        self
    }

    /// The subject of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        SUBJECTS.iter().find(|subject| subject.name == name)
    }

    /// Whether this subject can run tasks of this shape.
    #[must_use]
    pub fn takes_part(&self, shape: Shape) -> bool {
        self.run(shape).is_some()
    }

    /// What takes a sample of this shape.
    fn run(&self, shape: Shape) -> Option<Run> {
        match shape {
            Shape::Closures(shape) => match shape {
                Closures::Execute { .. } => self.execute,
                Closures::Spawn { .. } | Closures::RoundTrips { .. } => self.spawn,
                Closures::Nest => self.nest,
                Closures::ForkJoin { .. } => self.fork_join,
            },
            Shape::Wide(size) => self.wide.map(|wide| wide(size)),
            shape => {
                let (_, run) = self
                    .typed
                    .filter(|&(part, _)| self.runs_typed(part, shape))?;
                match shape {
                    Shape::Pile => self.heap,
                    _ => Some(run),
                }
            }
        }
    }

    fn runs_typed(&self, part: Part, shape: Shape) -> bool {
        let deep = matches!(shape, Shape::Deep | Shape::Pile);
        let passes = deep || matches!(shape, Shape::FillThenDrain | Shape::Stream);
        let part = match part {
            Part::Everywhere => true,
            Part::NotInStreams => shape != Shape::Stream,
            Part::WithoutBounds => shape != Shape::Stream && !deep,
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
    /// If a result was lost, doubled or wrong, or if this subject does not take part in this shape.
    #[must_use]
    pub fn sample(&self, task: &Task) -> Sample {
        let run = self.run(task.shape).expect("it takes part");
        run(task)
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
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::*;
    use crate::allocations::{self, CountingAllocator};
    use crate::closures::drive::{Size, Start};
    use crate::closures::program::Program;
    use crate::crew::Capacity;
    use crate::job::{Job, equal_jobs, heavy_tailed_jobs};

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    /// All pools of closures count in one place.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// [`Task::check`] does the asserting.
    fn every_subject_returns_every_result(shape: Shape, jobs: Vec<Job>, capacity: usize) {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        for workers in [1, 3] {
            let capacity = Capacity {
                workers,
                jobs: capacity,
                results: capacity,
            };
            let task = Task::new(shape, capacity, jobs.clone());
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

    fn jobs(count: u32) -> Vec<Job> {
        heavy_tailed_jobs(count, 1, 1_000)
    }

    #[test]
    fn every_result_arrives_when_the_queues_hold_all_jobs() {
        every_subject_returns_every_result(Shape::FillThenDrain, jobs(5_000), 5_000);
    }

    #[test]
    fn every_result_arrives_through_queues_of_one() {
        every_subject_returns_every_result(Shape::Stream, jobs(5_000), 1);
    }

    #[test]
    fn every_result_arrives_through_small_queues() {
        every_subject_returns_every_result(Shape::Stream, jobs(5_000), 64);
    }

    #[test]
    fn every_result_of_a_large_job_arrives() {
        for size in JobSize::ALL {
            every_subject_returns_every_result(Shape::Wide(size), jobs(2_000), 64);
        }
    }

    #[test]
    fn the_heap_holds_what_waits() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let capacity = Capacity {
            workers: 2,
            jobs: 50_000,
            results: 16,
        };
        let task = Task::new(Shape::Pile, capacity, jobs(50_000));
        allocations::set_counting(true);
        let heaps = SUBJECTS
            .iter()
            .filter(|subject| subject.takes_part(Shape::Pile))
            .map(|subject| (subject.name, subject.sample(&task).heap));
        let heaps: Vec<_> = heaps.collect();
        allocations::set_counting(false);
        assert!(heaps.len() > 5);
        for (name, heap) in heaps {
            // Eight bytes a job, but for the few that have left, and what other tests free.
            assert!(heap.at_peak > 380_000, "{name}: {heap:?}");
            assert!(heap.at_rest > 0, "{name}: {heap:?}");
        }
    }

    #[test]
    fn every_round_trip_comes_back() {
        let pause = Duration::from_micros(200);
        every_subject_returns_every_result(Shape::RoundTrips { pause }, jobs(100), 8);
    }

    #[test]
    fn every_closure_runs_whoever_submits_it() {
        for producers in [1, 4] {
            for size in [Size::Job, Size::Inline, Size::Large] {
                let shape = Closures::Execute { producers, size };
                every_subject_returns_every_result(Shape::Closures(shape), jobs(5_000), 64);
            }
        }
    }

    #[test]
    fn every_handle_has_its_result() {
        let pause = Duration::from_micros(200);
        for shape in [
            Closures::Spawn { batch: 100 },
            Closures::RoundTrips { pause },
        ] {
            every_subject_returns_every_result(Shape::Closures(shape), jobs(300), 64);
        }
    }

    #[test]
    fn every_job_that_a_job_submits_runs() {
        every_subject_returns_every_result(
            Shape::Closures(Closures::Nest),
            equal_jobs(1_023, 0),
            64,
        );
    }

    #[test]
    fn every_program_gives_what_it_gives_alone() {
        for program in [Program::Fib(15), Program::SumTree(1_023)] {
            for start in [Start::Inside, Start::Outside] {
                let shape = Closures::ForkJoin { program, start };
                every_subject_returns_every_result(Shape::Closures(shape), jobs(20), 64);
            }
        }
    }

    #[test]
    fn an_idle_crew_can_be_stopped() {
        let time = Duration::from_millis(5);
        every_subject_returns_every_result(Shape::Idle { time }, jobs(10), 8);
    }
}
