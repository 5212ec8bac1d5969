//! The bars that the stages of the crate have set themselves, and whether they are reached.

mod bench;

mod core;
mod thread_pool;

use workcrew_bench::figures::{median, range};
use workcrew_bench::subject::WORKCREW;

use crate::futex::FutexCalls;
use crate::record::{Against, CellRecord, Figures, Record, mean_over_workers};
use crate::report::spread;

/// One line of the table.
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) bar: String,
    /// What was measured and whether that is enough; nothing if it was not measured.
    outcome: Option<(String, bool)>,
}

/// Over which of a row's cells a ratio is taken.
#[derive(Clone, Copy)]
enum Workers {
    All,
    One,
    Several,
}

impl Workers {
    fn include(self, cell: &CellRecord<'_>) -> bool {
        match self {
            Self::All => true,
            Self::One => cell.workers() == 1,
            Self::Several => cell.workers() > 1,
        }
    }

    /// What is added to the name of a row.
    fn suffix(self) -> &'static str {
        match self {
            Self::All => "",
            Self::One => ", 1 worker",
            Self::Several => ", 2 or more",
        }
    }
}

/// The bars of one stage.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) bars: Vec<Bar>,
}

/// The stages of which something was measured.
pub(crate) fn stages(record: &Record<'_>, futex_calls: &FutexCalls) -> Vec<Stage> {
    let stages = [
        ("core", core::bars(record, futex_calls)),
        ("thread-pool", thread_pool::bars(record)),
        ("bench", bench::bars(record)),
    ];
    let stages = stages.into_iter().map(|(name, bars)| Stage { name, bars });
    stages
        .filter(|stage| stage.bars.iter().any(|bar| bar.outcome.is_some()))
        .collect()
}

impl Bar {
    /// What was measured, and what that comes to.
    pub(crate) fn verdict(&self) -> (&str, &'static str) {
        match &self.outcome {
            Some((measured, true)) => (measured, "pass"),
            Some((measured, false)) => (measured, "FAIL"),
            None => ("not measured", "-"),
        }
    }
}

pub(crate) fn print(stages: &[Stage]) {
    for Stage { name, bars } in stages {
        println!("## Bars, stage \"{name}\" (ratios: geometric mean over the numbers of workers)");
        for bar in bars {
            let (measured, verdict) = bar.verdict();
            println!("{verdict:5} {:42} {:32} {measured}", bar.what, bar.bar);
        }
        println!();
    }
}

/// A peer takes at least `bar` times as much as `own`.
fn times(record: &Record<'_>, workload: &str, own: &str, bar: f64, against: Against) -> Bar {
    times_with(record, workload, Workers::All, own, bar, against)
}

/// The same, over some numbers of workers.
fn times_with(
    record: &Record<'_>,
    workload: &str,
    workers: Workers,
    own: &str,
    bar: f64,
    against: Against,
) -> Bar {
    let peer = match against {
        Against::Peer(name) => name,
        Against::BestPeer => "best peer",
        Against::BestRustPeer => "best Rust peer",
    };
    let cells = record.cells(workload).iter();
    let cells = cells.filter(|cell| workers.include(cell));
    let mut peers: Vec<_> = cells
        .clone()
        .filter_map(|cell| cell.peer(against))
        .collect();
    peers.dedup();
    let mean = mean_over_workers(cells, |cell| cell.ratios(against, own));
    Bar {
        what: format!("{workload}, {own}{}", workers.suffix()),
        bar: format!(">= {bar:.2}x {peer}"),
        outcome: mean.map(|mean| (format!("{mean:.2}x ({})", peers.join(", ")), mean >= bar)),
    }
}

/// The CPU time is hardly more than that of the jobs alone.
fn cpu_time(record: &Record<'_>, workload: &str, most: f64) -> Bar {
    let mean = mean_cpu_time(record, workload);
    Bar {
        what: format!("{workload}, {WORKCREW}, CPU time"),
        bar: format!("<= {most:.2}x the jobs alone"),
        outcome: mean.map(|mean| (format!("{mean:.2}x"), mean <= most)),
    }
}

fn mean_cpu_time(record: &Record<'_>, workload: &str) -> Option<f64> {
    mean_over_workers(record.cells(workload), |cell| cell.cpu_ratios(WORKCREW))
}

/// For each number of workers, our range overlaps the best peer's or lies below it.
fn overlaps_best_peer(record: &Record<'_>, workload: &str) -> Bar {
    let outcomes: Option<Vec<_>> = record.cells(workload).iter().map(overlap).collect();
    Bar {
        what: format!("{workload}, {WORKCREW}"),
        bar: "range overlaps the best peer's".to_owned(),
        outcome: outcomes
            .filter(|outcomes| !outcomes.is_empty())
            .map(|outcomes| {
                let (texts, overlaps): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
                (texts.join("; "), overlaps.into_iter().all(|yes| yes))
            }),
    }
}

fn overlap(cell: &CellRecord<'_>) -> Option<(String, bool)> {
    let peer = cell.peer(Against::BestPeer)?;
    let own_values = cell.all(WORKCREW, |figures| figures.value)?;
    let own_p99 = cell.all(WORKCREW, Figures::p99)?;
    let peer_values = cell.all(peer, |figures| figures.value)?;
    let (own_min, _) = range(&own_values);
    let (_, peer_max) = range(&peer_values);
    let text = format!(
        "{} against {peer} {}, p99 {}",
        spread(&own_values),
        spread(&peer_values),
        spread(&own_p99)
    );
    Some((text, own_min <= peer_max))
}

/// At most so many allocations per job.
fn allocations(record: &Record<'_>, workload: &str, most: u32) -> Bar {
    /// One in so many jobs is one that does not come with the jobs: a thread's first sleep, say.
    const JOBS: f64 = 10_000.0;
    let cell = record.cells(workload).first();
    let values = cell.and_then(|cell| cell.all(WORKCREW, |figures| figures.value));
    Bar {
        what: format!("{workload}, {WORKCREW}"),
        bar: format!("{most} (+ < 1 in {JOBS} jobs)"),
        outcome: values.map(|values| {
            let beyond = median(&values) - f64::from(most);
            (spread(&values), beyond * JOBS < 1.0)
        }),
    }
}
