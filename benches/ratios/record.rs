//! What was measured, and the ratios.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use workcrew_bench::drive::{Heap, Sample};
use workcrew_bench::figures::{geometric_mean, median, percentile};
use workcrew_bench::subject::{Kind, PLAIN_LOOP, SUBJECTS, Subject};

use crate::workloads::{Cell, Workload};

/// What a workload is about. Smaller is better in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nanoseconds of wall-clock time per job.
    WallTime,
    /// Microseconds of wall-clock time for a whole program.
    Program,
    /// The median round trip of a sample, in microseconds.
    RoundTrip,
    /// Microseconds of CPU time per second.
    IdleCpu,
    /// Microseconds of CPU time per job.
    CpuPerJob,
    /// Heap allocations per job.
    Allocations,
    /// KiB on the heap.
    Heap(Filled),
}

/// When the heap is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    NotYet,
    Full,
    NoMore,
}

impl Value {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::WallTime => "ns per job",
            Self::Program => "µs per program",
            Self::RoundTrip => "µs per round trip, median of a sample",
            Self::IdleCpu => "µs of CPU per second",
            Self::CpuPerJob => "µs of CPU per job",
            Self::Allocations => "heap allocations per job",
            Self::Heap(Filled::NotYet) => "KiB on the heap at rest",
            Self::Heap(Filled::Full) => "KiB on the heap when full",
            Self::Heap(Filled::NoMore) => "KiB on the heap afterwards",
        }
    }

    /// Whether it is about how long something takes.
    pub(crate) fn is_time(self) -> bool {
        match self {
            Self::WallTime | Self::Program | Self::RoundTrip => true,
            Self::IdleCpu | Self::CpuPerJob | Self::Allocations | Self::Heap(_) => false,
        }
    }

    /// Whether the allocator counts meanwhile.
    pub(crate) fn needs_counts(self) -> bool {
        matches!(self, Self::Allocations | Self::Heap(_))
    }
}

/// Which percentiles of a sample's round trips are kept.
pub(crate) const PERCENTILES: [u8; 8] = [1, 10, 25, 50, 75, 90, 95, 99];

/// One sample in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// What the workload is about, in its unit.
    pub(crate) value: f64,
    /// CPU time of the process, nanoseconds per job.
    pub(crate) cpu: f64,
    /// Wall-clock time, nanoseconds per job.
    pub(crate) wall: f64,
    /// Bytes allocated per job.
    pub(crate) bytes: f64,
    /// The [`PERCENTILES`] of the round trips, in microseconds; `NaN`s where there are none.
    pub(crate) trips: [f64; PERCENTILES.len()],
    /// How many nanoseconds a cache line took to the other core and back, before.
    pub(crate) distance: f64,
}

impl Figures {
    fn new(value: Value, cell: &Cell, sample: &Sample, distance: f64) -> Self {
        let jobs = cell.task.jobs.len() as f64;
        let cost = &sample.cost;
        let (mut wall, mut cpu) = (cost.wall.as_nanos() as f64, cost.cpu.as_nanos() as f64);
        if matches!(value, Value::Heap(_)) {
            // Nobody looked at the clock.
            (wall, cpu) = (f64::NAN, f64::NAN);
        }
        Self {
            value: match value {
                Value::WallTime => wall / jobs,
                Value::Program => wall / jobs / 1e3,
                Value::RoundTrip => median(&sample.trips) / 1e3,
                Value::IdleCpu => cpu / 1e3 / cost.wall.as_secs_f64(),
                Value::CpuPerJob => cpu / 1e3 / jobs,
                Value::Allocations => cost.allocations as f64 / jobs,
                Value::Heap(when) => kib(sample.heap, when),
            },
            cpu: cpu / jobs,
            wall: wall / jobs,
            bytes: cost.allocated_bytes as f64 / jobs,
            trips: PERCENTILES.map(|percent| percentile(&sample.trips, percent.into()) / 1e3),
            distance,
        }
    }

    /// The 99th percentile of the round trips, in microseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.trips[PERCENTILES.len() - 1]
    }
}

fn kib(heap: Heap, when: Filled) -> f64 {
    let bytes = match when {
        Filled::NotYet => heap.at_rest,
        Filled::Full => heap.at_peak,
        Filled::NoMore => heap.after,
    };
    bytes as f64 / 1024.0
}

/// Against whom a ratio is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Against {
    /// One peer.
    Peer(&'static str),
    /// In each cell the peer with the smallest median.
    BestPeer,
    /// The same, without Go.
    BestRustPeer,
}

/// All samples of one cell.
pub(crate) struct CellRecord<'a> {
    pub(crate) cell: &'a Cell,
    /// By subject; the place in the list is the round, for all subjects alike.
    samples: BTreeMap<&'static str, Vec<Figures>>,
}

impl CellRecord<'_> {
    pub(crate) fn workers(&self) -> usize {
        self.cell.task.capacity.workers
    }

    /// The samples of `subject`, if it took part.
    pub(crate) fn samples(&self, subject: &str) -> Option<&[Figures]> {
        self.samples.get(subject).map(Vec::as_slice)
    }

    /// One number of each sample of `subject`.
    pub(crate) fn all(&self, subject: &str, pick: impl Fn(&Figures) -> f64) -> Option<Vec<f64>> {
        Some(self.samples(subject)?.iter().map(pick).collect())
    }

    /// The median value of `subject`.
    pub(crate) fn median(&self, subject: &str) -> Option<f64> {
        let values = self.all(subject, |figures| figures.value)?;
        Some(median(&values))
    }

    /// Who is meant by `against` in this cell.
    pub(crate) fn peer(&self, against: Against) -> Option<&'static str> {
        let go_counts = match against {
            Against::Peer(name) => return self.samples.contains_key(name).then_some(name),
            Against::BestPeer => true,
            Against::BestRustPeer => false,
        };
        SUBJECTS
            .iter()
            .filter(|subject| match subject.kind {
                Kind::Peer => true,
                Kind::Go => go_counts,
                Kind::Own | Kind::PlainLoop => false,
            })
            .filter_map(|subject| Some((subject.name, self.median(subject.name)?)))
            .min_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(name, _)| name)
    }

    /// The peer's value divided by our own, round by round.
    pub(crate) fn ratios(&self, against: Against, own: &str) -> Option<Vec<f64>> {
        let peer = self.samples(self.peer(against)?)?;
        let own = self.samples(own)?;
        Some(quotients(peer, own, |figures| figures.value))
    }

    /// The CPU time of the process divided by that of the jobs in a plain loop, round by round.
    pub(crate) fn cpu_ratios(&self, subject: &str) -> Option<Vec<f64>> {
        let subject = self.samples(subject)?;
        let jobs_alone = self.samples(PLAIN_LOOP)?;
        Some(quotients(subject, jobs_alone, |figures| figures.cpu))
    }
}

fn quotients(above: &[Figures], below: &[Figures], pick: impl Fn(&Figures) -> f64) -> Vec<f64> {
    above
        .iter()
        .zip(below)
        .map(|(above, below)| pick(above) / pick(below))
        .collect()
}

/// All samples.
pub(crate) struct Record<'a> {
    cells: Vec<CellRecord<'a>>,
}

impl<'a> Record<'a> {
    pub(crate) fn new(cells: &'a [Cell]) -> Self {
        let cells = cells
            .iter()
            .map(|cell| CellRecord {
                cell,
                samples: BTreeMap::new(),
            })
            .collect();
        Self { cells }
    }

    /// Adds a sample of the cell with this number, taken when the cores were so far apart.
    pub(crate) fn add(
        &mut self,
        cell: usize,
        subject: &'static Subject,
        (sample, distance): &(Sample, f64),
    ) {
        let record = &mut self.cells[cell];
        let value = record.cell.workload.value;
        let figures = Figures::new(value, record.cell, sample, *distance);
        record
            .samples
            .entry(subject.name)
            .or_default()
            .push(figures);
    }

    /// The workloads in order, each with its cells.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = (&Workload, &[CellRecord<'a>])> {
        self.cells
            .chunk_by(|one, other| one.cell.workload.name == other.cell.workload.name)
            .map(|cells| (&*cells[0].cell.workload, cells))
    }

    /// A cell, if it was measured.
    pub(crate) fn cell(&self, workload: &str, workers: usize) -> Option<&CellRecord<'a>> {
        let mut cells = self.cells(workload).iter();
        cells.find(|cell| cell.workers() == workers)
    }

    /// The cells of one workload; none if it was not measured.
    pub(crate) fn cells(&self, workload: &str) -> &[CellRecord<'a>] {
        self.workloads()
            .find(|(found, _)| found.name == workload)
            .map_or(&[], |(_, cells)| cells)
    }

    /// The distances of the cores before all samples.
    pub(crate) fn distances(&self) -> Vec<f64> {
        let samples = self.cells.iter().flat_map(|cell| cell.samples.values());
        samples.flatten().map(|sample| sample.distance).collect()
    }

    pub(crate) fn write_csv(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let percentiles = PERCENTILES
            .map(|percent| format!(",p{percent}_us"))
            .concat();
        writeln!(
            file,
            "workload,workers,subject,round,value,unit,wall_ns_per_job,cpu_ns_per_job,bytes_per_job,core_distance_ns{percentiles}"
        )?;
        for record in &self.cells {
            let workload = &record.cell.workload;
            for (subject, samples) in &record.samples {
                for (round, sample) in samples.iter().enumerate() {
                    let trips = sample.trips.map(|trip| format!(",{trip:.4}")).concat();
                    let line = format!(
                        "{},{},{subject},{round},{:.4},\"{}\",{:.2},{:.2},{:.2},{:.1}{trips}",
                        workload.name,
                        record.workers(),
                        sample.value,
                        workload.value.unit(),
                        sample.wall,
                        sample.cpu,
                        sample.bytes,
                        sample.distance
                    );
                    // What a sample does not have is left out.
                    writeln!(file, "{}", line.replace("NaN", ""))?;
                }
            }
        }
        file.flush()
    }
}

/// The geometric mean over `cells` of the median over rounds; nothing unless every cell has it.
pub(crate) fn mean_over_workers<'a: 'r, 'r>(
    cells: impl IntoIterator<Item = &'r CellRecord<'a>>,
    ratios: impl Fn(&CellRecord<'a>) -> Option<Vec<f64>>,
) -> Option<f64> {
    let medians: Option<Vec<f64>> = cells
        .into_iter()
        .map(|cell| ratios(cell).map(|ratios| median(&ratios)))
        .collect();
    medians
        .filter(|medians| !medians.is_empty())
        .map(|medians| geometric_mean(&medians))
}
