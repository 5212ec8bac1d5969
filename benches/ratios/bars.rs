//! The bars that the stage "core" of the crate has set itself (and one of the stage "contract", for submitters with a
//! lane), and whether they are reached.

use std::thread::available_parallelism;

use workcrew_bench::figures::{median, range};
use workcrew_bench::job::list_schedule;
use workcrew_bench::subject::{
    CROSSBEAM_CHANNEL, PLAIN_LOOP, WORKCREW, WORKCREW_BATCHES, WORKCREW_SUBMITTER,
};

use crate::futex::FutexCalls;
use crate::record::{Against, CellRecord, Record, mean_over_workers};
use crate::report::spread;

/// One line of the table.
struct Bar {
    what: String,
    bar: String,
    /// What was measured and whether that is enough; nothing if it was not measured.
    outcome: Option<(String, bool)>,
}

/// Most CPU time that a pool may take, in times of what the jobs take alone.
const CPU_TIME: f64 = 1.15;

/// Prints the table.
pub(crate) fn print(record: &Record<'_>, futex_calls: &FutexCalls) {
    println!("## Bars, stage \"core\" (ratios: geometric mean over the numbers of workers)");
    for Bar { what, bar, outcome } in bars(record, futex_calls) {
        let (measured, verdict) = match outcome {
            Some((measured, true)) => (measured, "pass"),
            Some((measured, false)) => (measured, "FAIL"),
            None => ("not measured".to_owned(), "-"),
        };
        println!("{verdict:5} {what:36} {bar:32} {measured}");
    }
    println!();
}

fn bars(record: &Record<'_>, futex_calls: &FutexCalls) -> Vec<Bar> {
    let channel = Against::Peer(CROSSBEAM_CHANNEL);
    let times = |workload: &str, own, bar, against| times(record, workload, own, bar, against);

    let mut bars = vec![
        times("W1b-1024/empty", WORKCREW, 1.4, channel),
        times("W1b-1024/empty", WORKCREW_SUBMITTER, 2.5, channel),
        times("W1b-1024/empty", WORKCREW_BATCHES, 2.0, channel),
    ];
    for shape in ["W1a", "W1b-1024", "W1b-64"] {
        for cost in ["1us", "10us"] {
            let workload = format!("{shape}/{cost}");
            bars.push(times(&workload, WORKCREW, 0.97, Against::BestPeer));
            bars.push(cpu_time(record, &workload));
        }
    }
    bars.push(part_of_ideal(record, 1));
    bars.push(part_of_ideal(record, 2));
    bars.push(overlaps_best_peer(record, "W4-hot"));
    bars.push(times("W4-idle", WORKCREW, 1.0, Against::BestRustPeer));
    bars.push(idle_cpu(record));
    bars.push(few_futex_calls(record, futex_calls));
    bars.push(times("W8-trickle", WORKCREW, 1.0, channel));
    for workload in ["W9/fill-then-drain", "W9/stream"] {
        bars.push(allocations(record, workload));
    }
    for (queue, bar) in [
        ("deque", "<= st3; batched <= 2 ns"),
        ("injector", "<= crossbeam; batched <= 4 ns"),
    ] {
        bars.push(Bar {
            what: format!("{queue} on one thread"),
            bar: bar.to_owned(),
            outcome: None,
        });
    }
    bars
}

/// A peer takes at least `bar` times as much as `own`.
fn times(record: &Record<'_>, workload: &str, own: &str, bar: f64, against: Against) -> Bar {
    let peer = match against {
        Against::Peer(name) => name,
        Against::BestPeer => "best peer",
        Against::BestRustPeer => "best Rust peer",
    };
    let cells = record.cells(workload);
    let mut peers: Vec<_> = cells.iter().filter_map(|cell| cell.peer(against)).collect();
    peers.dedup();
    let mean = mean_over_workers(cells, |cell| cell.ratios(against, own));
    Bar {
        what: format!("{workload}, {own}"),
        bar: format!(">= {bar:.2}x {peer}"),
        outcome: mean.map(|mean| (format!("{mean:.2}x ({})", peers.join(", ")), mean >= bar)),
    }
}

/// The CPU time is hardly more than that of the jobs alone.
fn cpu_time(record: &Record<'_>, workload: &str) -> Bar {
    let mean = mean_cpu_time(record, workload);
    Bar {
        what: format!("{workload}, {WORKCREW}, CPU time"),
        bar: format!("<= {CPU_TIME:.2}x the jobs alone"),
        outcome: mean.map(|mean| (format!("{mean:.2}x"), mean <= CPU_TIME)),
    }
}

fn mean_cpu_time(record: &Record<'_>, workload: &str) -> Option<f64> {
    mean_over_workers(record.cells(workload), |cell| cell.cpu_ratios(WORKCREW))
}

/// The time of a pool without costs, as a part of ours: list scheduling, with the jobs' time in the plain loop of the
/// same round.
fn part_of_ideal(record: &Record<'_>, workers: usize) -> Bar {
    const PART: f64 = 0.95;
    let cores = available_parallelism().map_or(1, usize::from);
    let cells = record.cells("W7");
    let parts = cells
        .iter()
        .find(|cell| cell.workers() == workers)
        .and_then(|cell| {
            let ideal = list_schedule(&cell.cell.task.jobs, workers.min(cores));
            let alone_by_own = cell.ratios(Against::Peer(PLAIN_LOOP), WORKCREW)?;
            Some(alone_by_own.iter().map(|ratio| ratio * ideal).collect())
        });
    Bar {
        what: format!("W7, {WORKCREW}, workers: {workers}"),
        bar: format!(">= {PART:.2} of the ideal"),
        outcome: parts
            .map(|parts: Vec<f64>| (format!("{:.3}", median(&parts)), median(&parts) >= PART)),
    }
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
    let own_p99 = cell.all(WORKCREW, |figures| figures.p99)?;
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

/// An idle pool takes no CPU time beyond what the measuring thread takes by itself.
fn idle_cpu(record: &Record<'_>) -> Bar {
    /// Microseconds a second: about one wake of one thread.
    const NOTHING: f64 = 20.0;
    let both = record.cells("W8-idle").first().and_then(|cell| {
        let own = median(&cell.all(WORKCREW, |figures| figures.value)?);
        let thread_alone = median(&cell.all(PLAIN_LOOP, |figures| figures.value)?);
        Some((own, thread_alone))
    });
    Bar {
        what: format!("W8-idle, {WORKCREW}"),
        bar: format!("0 (+ {NOTHING} µs/s)"),
        outcome: both.map(|(own, thread_alone)| {
            (
                format!("{own:.0} µs/s; without a pool {thread_alone:.0} µs/s"),
                own <= thread_alone + NOTHING,
            )
        }),
    }
}

/// No allocation per job.
fn allocations(record: &Record<'_>, workload: &str) -> Bar {
    /// One in so many jobs is one that does not come with the jobs: a thread's first sleep, say.
    const JOBS: f64 = 10_000.0;
    let cell = record.cells(workload).first();
    let values = cell.and_then(|cell| cell.all(WORKCREW, |figures| figures.value));
    Bar {
        what: format!("{workload}, {WORKCREW}"),
        bar: format!("0 (< 1 in {JOBS} jobs)"),
        outcome: values.map(|values| (spread(&values), median(&values) * JOBS < 1.0)),
    }
}

/// Hardly any call at one microsecond a job, without a core that spins instead.
fn few_futex_calls(record: &Record<'_>, futex_calls: &FutexCalls) -> Bar {
    const CALLS: f64 = 0.02;
    let worst = futex_calls.worst(WORKCREW);
    let cpu_time = mean_cpu_time(record, "W1b-1024/1us");
    Bar {
        what: format!("W8-futex, {WORKCREW}"),
        bar: format!("<= {CALLS} per job, CPU <= {CPU_TIME}x"),
        outcome: worst.zip(cpu_time).map(|(worst, cpu_time)| {
            (
                format!("{worst:.3} at worst, CPU {cpu_time:.2}x"),
                worst <= CALLS && cpu_time <= CPU_TIME,
            )
        }),
    }
}
