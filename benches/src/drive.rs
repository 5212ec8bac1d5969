//! The measured loops: the same for each pool that runs in this process. `go/main.go` has its own, in the same words.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::allocations;
use crate::closures::drive::Closures;
use crate::crew::{Capacity, Crew, Submitter, Taker};
use crate::job::{Job, sum_in_a_plain_loop};
use crate::reading::{Cost, Reading};

/// Who submits and who takes, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One thread submits everything, then takes everything. Both queues must hold all jobs.
    FillThenDrain,
    /// The same, but the queue of results is much smaller: nearly all jobs wait at the same time.
    Deep,
    /// A second thread submits while this one takes; the queues may be much smaller than the list of jobs.
    Stream,
    /// The same with larger jobs.
    Wide(JobSize),
    /// As [`Deep`](Self::Deep), but the heap is looked at: before, when all is submitted, and after.
    Pile,
    /// One thread submits a job, takes its result, pauses, and again.
    RoundTrips {
        /// Sleep before each trip; none if zero.
        pause: Duration,
    },
    /// After a few round trips, nothing is submitted for a while.
    Idle {
        /// How long.
        time: Duration,
    },
    /// Closures instead of typed jobs.
    Closures(Closures),
}

/// How large a job is that is not of the usual eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say it")]
pub enum JobSize {
    Bytes64,
    Bytes256,
    Bytes1024,
    Bytes4096,
}

impl JobSize {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [
        Self::Bytes64,
        Self::Bytes256,
        Self::Bytes1024,
        Self::Bytes4096,
    ];

    /// The number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bytes64 => 64,
            Self::Bytes256 => 256,
            Self::Bytes1024 => 1024,
            Self::Bytes4096 => 4096,
        }
    }
}

impl Shape {
    /// The same, for a pass that only warms up.
    fn without_waiting(self) -> Self {
        let (pause, time) = (Duration::ZERO, Duration::ZERO);
        match self {
            Self::FillThenDrain | Self::Deep | Self::Stream | Self::Wide(_) | Self::Pile => self,
            Self::RoundTrips { .. } => Self::RoundTrips { pause },
            Self::Idle { .. } => Self::Idle { time },
            Self::Closures(shape) => Self::Closures(shape.without_waiting()),
        }
    }
}

/// What is measured: a shape, a capacity and a list of jobs.
#[derive(Debug)]
pub struct Task {
    /// Who submits and who takes.
    pub shape: Shape,
    /// Worker threads and sizes of the queues.
    pub capacity: Capacity,
    /// The jobs, in the order in which they are submitted.
    pub jobs: Vec<Job>,
    /// What all of it gives.
    sum: u64,
}

/// What one sample showed.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// What the measured pass cost.
    pub cost: Cost,
    /// Nanoseconds of each round trip; empty in the other shapes.
    pub trips: Vec<f64>,
    /// What the pool had on the heap; only [`Shape::Pile`] looks.
    pub heap: Heap,
}

/// Bytes that a pool has asked for and not given back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap {
    /// Before the first job.
    pub at_rest: i64,
    /// When all jobs were submitted and no result was taken.
    pub at_peak: i64,
    /// When all results were taken.
    pub after: i64,
}

impl Task {
    /// States a task, and runs its jobs once in a plain loop to know what should come out.
    #[must_use]
    pub fn new(shape: Shape, capacity: Capacity, jobs: Vec<Job>) -> Self {
        let by_shape = match shape {
            Shape::Closures(shape) => shape.sum(&jobs),
            _ => None,
        };
        let sum = by_shape.unwrap_or_else(|| sum_in_a_plain_loop(&jobs));
        Self {
            shape,
            capacity,
            jobs,
            sum,
        }
    }

    /// Checks what came out.
    ///
    /// # Panics
    ///
    /// If a result was lost, doubled or wrong.
    pub fn check(&self, sum: u64, left_over: usize) {
        assert_eq!(sum, self.sum, "the results are not those of the jobs");
        assert_eq!(left_over, 0, "more results than jobs");
    }
}

/// One sample of a pool: starts it, makes a pass that is not measured and one that is, stops it, and checks all of it.
#[must_use]
pub fn sample<C: Crew>(task: &Task) -> Sample {
    let mut crew = C::start(task.capacity);
    let (_, sum) = pass(&mut crew, task.shape.without_waiting(), &task.jobs, |_| ());
    task.check(sum, 0);
    let mut trips = Vec::with_capacity(task.jobs.len());
    let (cost, sum) = pass(&mut crew, task.shape, &task.jobs, |trip| {
        trips.push(trip.as_nanos() as f64);
    });
    task.check(sum, crew.stop());
    Sample {
        cost,
        trips,
        ..Sample::default()
    }
}

/// What the last pool left to be freed later is freed now: by the ends of its threads, and by crossbeam's epochs.
fn collect_garbage() {
    thread::sleep(SETTLE);
    // A few bags each time, and an epoch further.
    for _ in 0..256 {
        crossbeam_epoch::pin().flush();
    }
}

/// One sample of what a pool that is new, full, and empty again has on the heap, if allocations are counted.
#[must_use]
pub fn heap<C: Crew>(task: &Task) -> Sample {
    collect_garbage();
    let before = allocations::live();
    let mut crew = C::start(task.capacity);
    thread::sleep(SETTLE);
    let at_rest = allocations::live() - before;
    let (mut submitter, mut taker) = crew.ends();
    submitter.submit_each(&task.jobs);
    thread::sleep(SETTLE);
    let at_peak = allocations::live() - before;
    let sum = take_each(&mut taker, task.jobs.len());
    drop((submitter, taker));
    thread::sleep(SETTLE);
    let after = allocations::live() - before;
    task.check(sum, crew.stop());
    Sample {
        heap: Heap {
            at_rest,
            at_peak,
            after,
        },
        ..Sample::default()
    }
}

/// Makes one pass. Returns its cost and the sum of the results; `note` gets the time of each round trip.
pub fn pass<C: Crew>(
    crew: &mut C,
    shape: Shape,
    jobs: &[Job],
    note: impl FnMut(Duration),
) -> (Cost, u64) {
    match shape {
        Shape::FillThenDrain | Shape::Deep => fill_then_drain(crew, jobs),
        Shape::Stream | Shape::Wide(_) => stream(crew, jobs),
        Shape::RoundTrips { pause } => round_trips(crew, jobs, pause, note),
        Shape::Idle { time } => idle(crew, jobs, time),
        Shape::Pile => unreachable!("the heap is looked at on the way"),
        Shape::Closures(_) => unreachable!("a crew runs typed jobs"),
    }
}

fn fill_then_drain<C: Crew>(crew: &mut C, jobs: &[Job]) -> (Cost, u64) {
    let (mut submitter, mut taker) = crew.ends();
    let reading = Reading::start();
    submitter.submit_each(jobs);
    let sum = take_each(&mut taker, jobs.len());
    (reading.stop(), sum)
}

fn stream<C: Crew>(crew: &mut C, jobs: &[Job]) -> (Cost, u64) {
    let (mut submitter, mut taker) = crew.ends();
    let (ready, go) = (Barrier::new(2), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            ready.wait();
            // Spins: a thread that had to be woken here would start at another time for each subject.
            while !go.load(Ordering::Acquire) {
                spin_loop();
            }
            submitter.submit_each(jobs);
        });
        ready.wait();
        let reading = Reading::start();
        go.store(true, Ordering::Release);
        let sum = take_each(&mut taker, jobs.len());
        (reading.stop(), sum)
    })
}

fn round_trips<C: Crew>(
    crew: &mut C,
    jobs: &[Job],
    pause: Duration,
    mut note: impl FnMut(Duration),
) -> (Cost, u64) {
    let (mut submitter, mut taker) = crew.ends();
    let reading = Reading::start();
    let mut sum = 0_u64;
    for &job in jobs {
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let start = Instant::now();
        submitter.submit(job);
        sum = sum.wrapping_add(taker.take());
        note(start.elapsed());
    }
    (reading.stop(), sum)
}

/// After this, everybody's idle workers have given up looking for work and sleep.
const SETTLE: Duration = Duration::from_millis(100);

/// Only the waiting is measured; the jobs before it show that the crew runs.
fn idle<C: Crew>(crew: &mut C, jobs: &[Job], time: Duration) -> (Cost, u64) {
    let (_, sum) = round_trips(crew, jobs, Duration::ZERO, |_| ());
    thread::sleep(SETTLE);
    let reading = Reading::start();
    thread::sleep(time);
    (reading.stop(), sum)
}

fn take_each(taker: &mut impl Taker, count: usize) -> u64 {
    (0..count).fold(0, |sum, _| sum.wrapping_add(taker.take()))
}
