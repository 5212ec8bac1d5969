//! The bars of the stage "bench": the rows of the other stages, set higher.

use workcrew_bench::subject::{
    CROSSBEAM_CHANNEL, RAYON, WORKCREW, WORKCREW_BATCHES, WORKCREW_SUBMITTER,
};

use super::{Bar, Workers, cpu_time, times, times_with};
use crate::record::{Against, Record};

pub(super) fn bars(record: &Record<'_>) -> Vec<Bar> {
    /// Most CPU time that a pool may take, in times of what the jobs take alone.
    const CPU_TIME: f64 = 1.08;

    let best = Against::BestPeer;
    let mut bars: Vec<_> = [
        (
            "W1b-1024/empty",
            WORKCREW,
            2.0,
            Against::Peer(CROSSBEAM_CHANNEL),
        ),
        ("W1b-1024/empty", WORKCREW, 1.5, best),
        ("W1b-1024/empty", WORKCREW_SUBMITTER, 2.5, best),
        ("W1b-1024/empty", WORKCREW_BATCHES, 3.0, best),
        ("W1a/empty", WORKCREW_SUBMITTER, 1.5, best),
        ("W1a/empty", WORKCREW_BATCHES, 2.5, best),
        ("W1b-64/empty", WORKCREW, 1.5, best),
        ("W2-1", WORKCREW, 2.5, best),
        ("W2-4", WORKCREW, 2.5, best),
        ("W3", WORKCREW, 2.5, best),
        ("W5", WORKCREW, 2.0, Against::Peer(RAYON)),
    ]
    .into_iter()
    .map(|(workload, own, bar, against)| times(record, workload, own, bar, against))
    .collect();
    bars.push(times_with(
        record,
        "W1a/100ns",
        Workers::Several,
        WORKCREW,
        1.5,
        best,
    ));
    for workload in ["W1a/1us", "W1a/10us", "W1b-1024/1us", "W1b-1024/10us"] {
        bars.push(cpu_time(record, workload, CPU_TIME));
    }
    bars
}
