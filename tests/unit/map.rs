//! What a map keeps of its jobs in flight.

use super::{AsTheyCome, InFlight, Ordered, Spread};
use crate::Outcome;
use std::collections::{HashSet, VecDeque};
use std::hash::Hasher;

fn outcome(index: u64) -> Outcome<u64> {
    Outcome {
        index,
        follow_up: false,
        worker: 0,
        result: Ok(10 * index),
    }
}

/// What comes out as these outcomes arrive, of jobs with those indices.
fn yielded(mut in_flight: impl InFlight<u64>, jobs: &[u64], arrivals: &[u64]) -> Vec<u64> {
    jobs.iter().for_each(|&index| in_flight.submitted(index));
    let mut out = Vec::new();
    for &index in arrivals {
        let mut next = in_flight.arrived(outcome(index));
        while let Some(outcome) = next {
            assert_eq!(outcome.result.unwrap(), 10 * outcome.index);
            out.push(outcome.index);
            next = in_flight.next();
        }
    }
    assert_eq!(in_flight.len(), 0);
    out
}

/// Others submit too, and lanes leave places: the indices of one map have gaps.
#[test]
fn outcomes_come_in_order_whatever_others_submit() {
    for jobs in [[3, 4, 5, 6], [3, 4, 7, 9], [0, 5, 6, 1 << 40]] {
        let [a, b, c, d] = jobs;
        for arrivals in [[a, b, c, d], [d, c, b, a], [c, a, d, b], [b, d, a, c]] {
            let out = yielded(Ordered(VecDeque::new()), &jobs, &arrivals);
            assert_eq!(out, jobs);
            let out = yielded(AsTheyCome::default(), &jobs, &arrivals);
            assert_eq!(out, arrivals);
        }
    }
}

#[test]
fn outcomes_of_others_and_of_follow_ups_pass() {
    let mut in_flight = Ordered(VecDeque::new());
    assert_eq!(in_flight.arrived(outcome(1)).map(|o| o.index), Some(1));
    for index in [3, 5, 9] {
        InFlight::<u64>::submitted(&mut in_flight, index);
    }
    for others in [0, 2, 4, 6, 8, 10] {
        let passed = in_flight.arrived(outcome(others));
        assert_eq!(passed.map(|o| o.index), Some(others));
    }
    let follow_up = Outcome {
        follow_up: true,
        ..outcome(3)
    };
    assert!(in_flight.arrived(follow_up).is_some_and(|o| o.follow_up));
    assert_eq!(InFlight::<u64>::len(&in_flight), 3);
}

/// Batches of others lie between: then indices have a stride. The set goes by a hash's low bits, and the
/// highest seven.
#[test]
fn indices_of_any_stride_are_spread() {
    for shift in 0..32 {
        let hash = |n: u64| {
            let mut spread = Spread::default();
            spread.write_u64(n << shift);
            spread.finish()
        };
        let low: HashSet<_> = (0..1_024).map(|n| hash(n) % 1_024).collect();
        let high: HashSet<_> = (0..1_024).map(|n| hash(n) >> 57).collect();
        // By chance some 647 of the low ones would differ.
        assert!(
            low.len() > 256 && high.len() > 64,
            "{shift}: {} {}",
            low.len(),
            high.len()
        );
    }
}
