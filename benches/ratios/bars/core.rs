//! The bars of the stage "core", and one of the stage "contract", for submitters with a lane.

use std::thread::available_parallelism;

use workcrew_bench::figures::median;
use workcrew_bench::job::list_schedule;
use workcrew_bench::subject::{
    CROSSBEAM_CHANNEL, PLAIN_LOOP, WORKCREW, WORKCREW_BATCHES, WORKCREW_SUBMITTER,
};

use super::{Bar, allocations, cpu_time, mean_cpu_time, overlaps_best_peer, times};
use crate::futex::FutexCalls;
use crate::record::{Against, Record};

/// Most CPU time that a pool may take, in times of what the jobs take alone.
const CPU_TIME: f64 = 1.15;

pub(super) fn bars(record: &Record<'_>, futex_calls: &FutexCalls) -> Vec<Bar> {
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
            bars.push(cpu_time(record, &workload, CPU_TIME));
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
        bars.push(allocations(record, workload, 0));
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
