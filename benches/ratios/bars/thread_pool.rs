//! The bars of the stage "thread-pool": closures.

use workcrew_bench::subject::{CHILI, RAYON, WORKCREW};

use super::{Bar, Workers, allocations, overlaps_best_peer, times, times_with};
use crate::record::{Against, Record};

pub(super) fn bars(record: &Record<'_>) -> Vec<Bar> {
    let times = |workload, bar, against| times(record, workload, WORKCREW, bar, against);
    let mut bars = vec![
        times("W2-1", 1.5, Against::BestPeer),
        times("W2-4", 1.5, Against::BestPeer),
        times("W3", 1.5, Against::BestPeer),
        overlaps_best_peer(record, "W4-hot-handle"),
        times("W4-idle-handle", 1.0, Against::BestRustPeer),
        times("W5", 1.2, Against::Peer(RAYON)),
    ];
    for program in [
        "W6/fib-27",
        "W6/tree-1M",
        "W6/tree-1023-inside",
        "W6/tree-1023-outside",
    ] {
        let chili = Against::Peer(CHILI);
        bars.push(times(program, 2.5, Against::Peer(RAYON)));
        bars.push(times_with(
            record,
            program,
            Workers::One,
            WORKCREW,
            0.85,
            chili,
        ));
        bars.push(times_with(
            record,
            program,
            Workers::Several,
            WORKCREW,
            1.0,
            chili,
        ));
    }
    bars.push(allocations(record, "W9/closures-48B", 0));
    bars.push(allocations(record, "W9/closures-64B", 1));
    bars.push(allocations(record, "W9/handles", 1));
    bars
}
