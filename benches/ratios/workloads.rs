//! The workloads, as the library's documentation names them, and their cells.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use workcrew_bench::Capacity;
use workcrew_bench::closures::drive::{Closures, Size, Start};
use workcrew_bench::closures::program::Program;
use workcrew_bench::drive::{JobSize, Shape, Task};
use workcrew_bench::job::{Speed, equal_jobs, heavy_tailed_jobs};
use workcrew_bench::subject::{Kind, Subject};

use crate::options::Options;
use crate::record::{Filled, Value};

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// One row of the comparison.
pub(crate) struct Workload {
    /// As on the command line: the number, and what is special about it.
    pub(crate) name: String,
    /// What is printed for a sample.
    pub(crate) value: Value,
    /// Rounds beyond this one are left out, where a sample takes seconds and varies little.
    pub(crate) rounds_at_most: usize,
    shape: Shape,
    /// Size of both queues; `None`: room for all jobs.
    capacity: Option<usize>,
    /// Size of the queue of results, if it is another one.
    results: Option<usize>,
    jobs: Jobs,
    /// Numbers of workers, if not those of the command line.
    workers: Option<Vec<usize>>,
}

#[derive(Clone, Copy)]
enum Jobs {
    Equal { count: u32, time: Duration },
    HeavyTailed { count: u32 },
}

/// A workload with one number of workers.
pub(crate) struct Cell {
    pub(crate) workload: Rc<Workload>,
    pub(crate) task: Task,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.task.capacity.workers;
        write!(f, "{}, workers: {workers}", self.workload.name)
    }
}

impl Workload {
    /// Whether the CPU time of this workload is compared with that of the jobs alone.
    pub(crate) fn compares_cpu_time(&self) -> bool {
        match self.jobs {
            // Below a microsecond, the pool's own work is far more than the job's.
            Jobs::Equal { time, .. } => time >= Duration::from_micros(1),
            Jobs::HeavyTailed { .. } => true,
        }
    }

    pub(crate) fn admits(&self, subject: &Subject) -> bool {
        subject.takes_part(self.shape)
            && match subject.kind {
                Kind::Own | Kind::Peer => true,
                // Its allocations are not counted, and its runtime's own threads are in its CPU time.
                Kind::Go => matches!(self.value, Value::WallTime | Value::RoundTrip),
                Kind::PlainLoop => {
                    self.compares_cpu_time()
                        || matches!(self.value, Value::IdleCpu | Value::Program)
                }
            }
    }
}

/// The names of all workloads that are measured in this process.
pub(crate) fn names() -> Vec<String> {
    workloads(true)
        .into_iter()
        .map(|workload| workload.name)
        .collect()
}

/// All cells that the options ask for.
pub(crate) fn cells(options: &Options, speed: Speed) -> Vec<Cell> {
    let mut cells = Vec::new();
    for workload in workloads(options.quick) {
        if !options.wants_workload(&workload.name) {
            continue;
        }
        let workload = Rc::new(workload);
        let jobs = match workload.jobs {
            Jobs::Equal { count, time } => equal_jobs(count, speed.steps(time)),
            // From a quarter of a microsecond to half a millisecond, 1.2 microseconds on average.
            Jobs::HeavyTailed { count } => heavy_tailed_jobs(
                count,
                speed.steps(Duration::from_nanos(250)),
                speed.steps(Duration::from_micros(500)),
            ),
        };
        let capacity = workload.capacity.unwrap_or(jobs.len());
        for &workers in workload.workers.as_ref().unwrap_or(&options.workers) {
            let capacity = Capacity {
                workers,
                jobs: capacity,
                results: workload.results.unwrap_or(capacity),
            };
            cells.push(Cell {
                workload: workload.clone(),
                task: Task::new(workload.shape, capacity, jobs.clone()),
            });
        }
    }
    cells
}

fn equal(count: u32, time: Duration) -> Jobs {
    Jobs::Equal { count, time }
}

fn row(name: &str, value: Value, shape: Shape, capacity: Option<usize>, jobs: Jobs) -> Workload {
    Workload {
        name: name.to_owned(),
        value,
        shape,
        capacity,
        results: None,
        jobs,
        workers: None,
        rounds_at_most: usize::MAX,
    }
}

fn workloads(quick: bool) -> Vec<Workload> {
    let part = if quick { 4 } else { 1 };
    // Of workloads that take seconds and have no bar.
    let slow = if quick { 1 } else { 3 };
    let mut all = Vec::new();
    // A sample of about 20 ms, whatever a job costs.
    for (cost, time, count) in [
        ("empty", Duration::ZERO, 200_000),
        ("100ns", Duration::from_nanos(100), 100_000),
        ("1us", Duration::from_micros(1), 20_000),
        ("10us", Duration::from_micros(10), 3_000),
    ] {
        let jobs = equal(count / part, time);
        for (name, shape, capacity) in [
            ("W1a", Shape::FillThenDrain, None),
            ("W1b-1024", Shape::Stream, Some(1024)),
            ("W1b-64", Shape::Stream, Some(64)),
        ] {
            let name = format!("{name}/{cost}");
            all.push(row(&name, Value::WallTime, shape, capacity, jobs));
        }
    }
    for (name, pause, count) in [
        ("W4-hot", Duration::ZERO, 4_000),
        ("W4-idle", MILLISECOND, 100),
    ] {
        let shape = Shape::RoundTrips { pause };
        let jobs = equal(count / part, Duration::ZERO);
        all.push(row(name, Value::RoundTrip, shape, Some(1024), jobs));
    }
    all.push(row(
        "W7",
        Value::WallTime,
        // As in W1a, so that rayon can take part, whose queue of jobs has no bound.
        Shape::FillThenDrain,
        None,
        // Not shortened: the tail is in the long list.
        Jobs::HeavyTailed { count: 10_000 },
    ));
    let time = Duration::from_secs(2) / part;
    all.push(Workload {
        workers: Some(vec![8]),
        rounds_at_most: slow,
        ..row(
            "W8-idle",
            Value::IdleCpu,
            Shape::Idle { time },
            Some(1024),
            equal(250, Duration::ZERO),
        )
    });
    let pause = Duration::from_millis(10);
    all.push(Workload {
        workers: Some(vec![8]),
        rounds_at_most: slow,
        ..row(
            "W8-trickle",
            Value::CpuPerJob,
            Shape::RoundTrips { pause },
            Some(1024),
            equal(200 / part, Duration::ZERO),
        )
    });
    all.extend(closures(part));
    all.extend(growth(part, slow));
    // Not shortened: what is allocated once must not look like much per job.
    let jobs = equal(100_000, Duration::ZERO);
    for (name, shape, capacity) in [
        ("W9/fill-then-drain", Shape::FillThenDrain, None),
        ("W9/stream", Shape::Stream, Some(1024)),
    ] {
        all.push(Workload {
            workers: Some(vec![2]),
            ..row(name, Value::Allocations, shape, capacity, jobs)
        });
    }
    let allocations = |name, shape, jobs| Workload {
        workers: Some(vec![2]),
        ..closures_row(name, Value::Allocations, shape, jobs)
    };
    for (name, size) in [
        ("W9/closures-48B", Size::Inline),
        ("W9/closures-64B", Size::Large),
    ] {
        let producers = 1;
        let shape = Closures::Execute { producers, size };
        all.push(allocations(name, shape, 100_000));
    }
    let batches = Closures::Spawn { batch: BATCH };
    all.push(allocations("W9/handles", batches, 100_000));
    all
}

/// W10: how the cost of an empty job grows. What W1b and W2 measure is not measured again.
fn growth(part: u32, slow: usize) -> Vec<Workload> {
    let jobs = |count| equal(count / part, Duration::ZERO);
    let typed = |shape, capacity, count| row("", Value::WallTime, shape, capacity, jobs(count));
    let workload = |axis| match axis {
        Axis::Submitters(producers) => {
            let size = Size::Job;
            let shape = Closures::Execute { producers, size };
            closures_row("", Value::WallTime, shape, 100_000 / part)
        }
        Axis::Workers(_) => typed(Shape::Stream, Some(1024), 100_000),
        Axis::Capacity(capacity) => {
            // In a queue of one each job is a handover.
            let count = if capacity < 16 { 10_000 } else { 100_000 };
            typed(Shape::Stream, Some(capacity), count)
        }
        Axis::Size(size) => {
            let shape = size.map_or(Shape::Stream, Shape::Wide);
            typed(shape, Some(1024), 50_000)
        }
        Axis::Depth(depth) => Workload {
            results: Some(1024),
            // The longest takes half a minute a round.
            rounds_at_most: if depth < 10_000_000 { slow } else { 1 },
            ..typed(Shape::Deep, None, depth)
        },
    };
    let points = Axis::lines().concat();
    let new = points.into_iter().filter(|axis| axis.is_new());
    let mut all: Vec<_> = new
        .map(|axis| {
            let workload = workload(axis);
            Workload {
                name: axis.workload(),
                workers: Some(vec![axis.workers()]),
                // No bar hangs on them.
                rounds_at_most: workload.rounds_at_most.min(5),
                ..workload
            }
        })
        .collect();
    // What is on the heap does not vary.
    for (name, when) in [
        ("at-rest", Filled::NotYet),
        ("full", Filled::Full),
        ("afterwards", Filled::NoMore),
    ] {
        for count in [1_024, 1_000_000] {
            let name = format!("W10/heap-{count}-{name}");
            let jobs = equal(count, Duration::ZERO);
            all.push(Workload {
                workers: Some(vec![2]),
                results: Some(1024),
                rounds_at_most: 1,
                ..row(&name, Value::Heap(when), Shape::Pile, None, jobs)
            });
        }
    }
    all
}

/// A point on one of the lines along which W10 lets the work grow.
#[derive(Clone, Copy)]
pub(crate) enum Axis {
    /// Threads that submit closures.
    Submitters(usize),
    Workers(usize),
    /// The size of both queues.
    Capacity(usize),
    /// The size of a job; none: eight bytes.
    Size(Option<JobSize>),
    /// Jobs that wait at the same time.
    Depth(u32),
}

impl Axis {
    /// The lines.
    pub(crate) fn lines() -> [Vec<Self>; 5] {
        let sizes = JobSize::ALL.map(Some);
        [
            [1, 2, 4, 8, 16].map(Self::Submitters).to_vec(),
            [1, 2, 4, 8, 16, 32, 64].map(Self::Workers).to_vec(),
            [1, 4, 16, 64, 1024, 16_384].map(Self::Capacity).to_vec(),
            [&[None], &sizes[..]]
                .concat()
                .into_iter()
                .map(Self::Size)
                .collect(),
            [10_000, 100_000, 1_000_000, 10_000_000]
                .map(Self::Depth)
                .to_vec(),
        ]
    }

    /// What the line is called.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Submitters(_) => "threads that submit closures, 2 workers",
            Self::Workers(_) => "workers, a stream of typed jobs",
            Self::Capacity(_) => "size of both queues, 2 workers",
            Self::Size(_) => "bytes of a job, 2 workers",
            Self::Depth(_) => "jobs that wait at the same time, 2 workers",
        }
    }

    /// What the point is called.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Submitters(number) | Self::Workers(number) | Self::Capacity(number) => {
                number.to_string()
            }
            Self::Size(size) => size.map_or(8, JobSize::bytes).to_string(),
            Self::Depth(depth) => depth.to_string(),
        }
    }

    /// The workload that measures it.
    pub(crate) fn workload(self) -> String {
        let name = match self {
            Self::Submitters(1) => return "W2-1".to_owned(),
            Self::Submitters(4) => return "W2-4".to_owned(),
            Self::Workers(1 | 2 | 4 | 8) | Self::Capacity(1024) | Self::Size(None) => {
                return "W1b-1024/empty".to_owned();
            }
            Self::Capacity(64) => return "W1b-64/empty".to_owned(),
            Self::Submitters(_) => "submitters",
            Self::Workers(_) => "workers",
            Self::Capacity(_) => "capacity",
            Self::Size(_) => "size",
            Self::Depth(_) => "depth",
        };
        format!("W10/{name}-{}", self.label())
    }

    /// The number of workers there.
    pub(crate) fn workers(self) -> usize {
        match self {
            Self::Workers(workers) => workers,
            _ => 2,
        }
    }

    /// Whether W10 has to measure it.
    fn is_new(self) -> bool {
        self.workload().starts_with("W10")
    }
}

/// Handles that are waited for together, in W3.
const BATCH: usize = 1_000;

/// A row about closures. They do nothing, and a queue that has a bound holds 1024 of them.
fn closures_row(name: &str, value: Value, shape: Closures, jobs: u32) -> Workload {
    let jobs = equal(jobs, Duration::ZERO);
    row(name, value, Shape::Closures(shape), Some(1024), jobs)
}

fn closures(part: u32) -> Vec<Workload> {
    let mut all = Vec::new();
    for (name, producers) in [("W2-1", 1), ("W2-4", 4)] {
        let size = Size::Job;
        let shape = Closures::Execute { producers, size };
        all.push(closures_row(name, Value::WallTime, shape, 200_000 / part));
    }
    let batches = Closures::Spawn { batch: BATCH };
    all.push(closures_row("W3", Value::WallTime, batches, 100_000 / part));
    for (name, pause, count) in [
        ("W4-hot-handle", Duration::ZERO, 4_000),
        ("W4-idle-handle", MILLISECOND, 100),
    ] {
        let shape = Closures::RoundTrips { pause };
        all.push(closures_row(name, Value::RoundTrip, shape, count / part));
    }
    // All nodes of a tree whose leaves are 16 below the root.
    let nodes = (1 << 17) - 1;
    all.push(closures_row("W5", Value::WallTime, Closures::Nest, nodes));
    for (name, program, start, count) in [
        ("W6/fib-27", Program::Fib(27), Start::Inside, 10),
        (
            "W6/tree-1M",
            Program::SumTree((1 << 20) - 1),
            Start::Inside,
            2,
        ),
        (
            "W6/tree-1023-inside",
            Program::SumTree(1_023),
            Start::Inside,
            4_000,
        ),
        (
            "W6/tree-1023-outside",
            Program::SumTree(1_023),
            Start::Outside,
            2_000,
        ),
    ] {
        let shape = Closures::ForkJoin { program, start };
        let count = (count / part).max(1);
        all.push(closures_row(name, Value::Program, shape, count));
    }
    all
}
