//! The measured loops for pools of closures.

use std::iter;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::program::Program;
use super::tally::{self, Total};
use super::{Execute, ForkJoin, Nest, Pool, Spawn};
use crate::crew::Capacity;
use crate::drive::{Sample, Shape, Task};
use crate::job::{Job, work};
use crate::reading::{Cost, Reading};

/// What is asked of a pool of closures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closures {
    /// Some threads submit closures without a handle, and one waits until all have run.
    Execute {
        /// How many threads.
        producers: usize,
        /// How large a closure is.
        size: Size,
    },
    /// One thread spawns some closures, waits for their results, and again.
    Spawn {
        /// How many at a time.
        batch: usize,
    },
    /// One thread spawns a closure, waits for its result, pauses, and again.
    RoundTrips {
        /// Sleep before each trip; none if zero.
        pause: Duration,
    },
    /// Each closure submits two others, down to a number of them; it is waited until all have run.
    Nest,
    /// A program of forks and joins, once for each job of the task.
    ForkJoin {
        /// Which one.
        program: Program,
        /// Where it is started.
        start: Start,
    },
}

/// Bytes that a closure captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Its job: 8 bytes.
    Job,
    /// 48 bytes: the most that `workcrew` keeps in the queue itself.
    Inline,
    /// 64 bytes.
    Large,
}

/// Where the programs of a sample are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In one of the pool's threads, one after the other.
    Inside,
    /// Each one anew by a thread that is none of the pool's.
    Outside,
}

impl Closures {
    /// The same, for a pass that only warms up.
    pub(crate) fn without_waiting(self) -> Self {
        match self {
            Self::RoundTrips { .. } => Self::RoundTrips {
                pause: Duration::ZERO,
            },
            other => other,
        }
    }

    /// How much the jobs of one pass give in all, in a plain loop or program.
    pub(crate) fn sum(self, jobs: &[Job]) -> Option<u64> {
        match self {
            Self::ForkJoin { program, .. } => {
                let once = program.load().run::<super::plain::Plain>(&mut ());
                Some(once.wrapping_mul(jobs.len() as u64))
            }
            _ => None,
        }
    }
}

/// A sample of [`Closures::Execute`].
#[must_use]
pub fn execute<P: Execute>(task: &Task) -> Sample {
    let Closures::Execute { producers, size } = shape(task) else {
        unreachable!("another shape");
    };
    let pass = match size {
        Size::Job => execute_all::<P, 1>,
        Size::Inline => execute_all::<P, 6>,
        Size::Large => execute_all::<P, 8>,
    };
    sample(task, task.capacity, |pool: &P, _, _| {
        pass(pool, &task.jobs, producers)
    })
}

/// A sample of [`Closures::Spawn`] or [`Closures::RoundTrips`].
#[must_use]
pub fn spawn<P: Spawn>(task: &Task) -> Sample {
    sample(task, task.capacity, |pool: &P, shape, trips| match shape {
        Closures::Spawn { batch } => spawn_all(pool, &task.jobs, batch),
        Closures::RoundTrips { pause } => round_trips(pool, &task.jobs, pause, trips),
        _ => unreachable!("another shape"),
    })
}

/// A sample of [`Closures::Nest`].
#[must_use]
pub fn nest<P: Nest>(task: &Task) -> Sample {
    sample(task, task.capacity, |pool: &P, _, _| {
        let before = Total::now();
        let reading = Reading::start();
        pool.nest(task.jobs.len() as u32);
        let sum = before.wait_for(task.jobs.len());
        (reading.stop(), sum)
    })
}

/// A sample of [`Closures::ForkJoin`].
#[must_use]
pub fn fork_join<P: ForkJoin>(task: &Task) -> Sample {
    let Closures::ForkJoin { program, start } = shape(task) else {
        unreachable!("another shape");
    };
    let program = program.load();
    let run = |site: &mut P::Site<'_>| program.run::<P>(site);
    match start {
        Start::Inside => sample(task, task.capacity, |pool: &P, _, _| {
            pool.inside(|site| repeat(task, || run(site)))
        }),
        Start::Outside => sample(task, beside_a_waiter::<P>(task), |pool: &P, _, _| {
            repeat(task, || pool.outside(run))
        }),
    }
}

/// Starts a pool, makes a pass that is not measured and one that is, stops it, and checks both.
fn sample<P: Pool>(
    task: &Task,
    capacity: Capacity,
    mut pass: impl FnMut(&P, Closures, &mut Vec<f64>) -> (Cost, u64),
) -> Sample {
    let pool = P::start(capacity);
    let (_, sum) = pass(&pool, shape(task).without_waiting(), &mut Vec::new());
    task.check(sum, 0);
    let mut trips = Vec::with_capacity(task.jobs.len());
    let (cost, sum) = pass(&pool, shape(task), &mut trips);
    task.check(sum, 0);
    pool.stop();
    Sample {
        cost,
        trips,
        ..Sample::default()
    }
}

fn shape(task: &Task) -> Closures {
    match task.shape {
        Shape::Closures(shape) => shape,
        other => unreachable!("{other:?} is no shape of closures"),
    }
}

/// The capacity where all others have a thread besides the pool's.
fn beside_a_waiter<P: Pool>(task: &Task) -> Capacity {
    Capacity {
        workers: task.capacity.workers + usize::from(P::WAITER_WORKS),
        ..task.capacity
    }
}

fn execute_all<P: Execute, const WORDS: usize>(
    pool: &P,
    jobs: &[Job],
    producers: usize,
) -> (Cost, u64) {
    let (ready, go) = (Barrier::new(producers + 1), Barrier::new(producers + 1));
    let before = Total::now();
    thread::scope(|scope| {
        for part in 0..producers {
            let place = |part| jobs.len() * part / producers;
            let jobs = &jobs[place(part)..place(part + 1)];
            let (ready, go) = (&ready, &go);
            scope.spawn(move || {
                ready.wait();
                go.wait();
                pool.execute_each(jobs.iter().map(closure::<WORDS>));
            });
        }
        ready.wait();
        let reading = Reading::start();
        go.wait();
        let sum = before.wait_for(jobs.len());
        (reading.stop(), sum)
    })
}

/// A closure that captures so many words.
fn closure<const WORDS: usize>(job: &Job) -> impl FnOnce() + Send + 'static {
    let words = [*job; WORDS];
    let closure = move || tally::note(work(words[0]));
    assert_eq!(size_of_val(&closure), size_of_val(&words));
    closure
}

fn spawn_all<P: Spawn>(pool: &P, jobs: &[Job], batch: usize) -> (Cost, u64) {
    let mut handles = Vec::with_capacity(batch);
    let mut sum = 0_u64;
    let reading = Reading::start();
    for jobs in jobs.chunks(batch) {
        handles.extend(jobs.iter().map(|&job| pool.spawn(move || work(job))));
        sum = sum.wrapping_add(pool.join(handles.drain(..)));
    }
    (reading.stop(), sum)
}

fn round_trips<P: Spawn>(
    pool: &P,
    jobs: &[Job],
    pause: Duration,
    trips: &mut Vec<f64>,
) -> (Cost, u64) {
    let mut sum = 0_u64;
    let reading = Reading::start();
    for &job in jobs {
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let start = Instant::now();
        let handle = pool.spawn(move || work(job));
        sum = sum.wrapping_add(pool.join(iter::once(handle)));
        trips.push(start.elapsed().as_nanos() as f64);
    }
    (reading.stop(), sum)
}

/// Runs a program once for each job.
fn repeat(task: &Task, mut run: impl FnMut() -> u64) -> (Cost, u64) {
    let reading = Reading::start();
    let sum = task
        .jobs
        .iter()
        .fold(0_u64, |sum, _| sum.wrapping_add(run()));
    (reading.stop(), sum)
}
