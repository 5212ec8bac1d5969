//! What a histogram tells of what was counted.

use super::*;
use crate::durations::Durations;
use proptest::collection::vec;
use proptest::prelude::*;

fn histogram(nanos: &[u64]) -> Histogram {
    let durations = Durations::new();
    for nanos in nanos {
        durations.record(*nanos);
    }
    Histogram::new(durations.read())
}

/// Of all magnitudes up to some weeks, so that a thousand of them can be added up.
fn some_nanos() -> impl Strategy<Value = Vec<u64>> {
    vec((any::<u64>(), 14..64_u32), 1..1_000)
        .prop_map(|numbers| numbers.iter().map(|(n, bits)| n >> bits).collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_quantile_is_that_of_the_sorted_durations_or_a_32nd_more(
        mut nanos in some_nanos(),
        part in 0.0..=1.0,
    ) {
        let histogram = histogram(&nanos);
        nanos.sort_unstable();
        for part in [part, 0.0, 0.5, 1.0] {
            let rank = (part * nanos.len() as f64).ceil() as usize;
            let exact = nanos[rank.max(1) - 1];
            let told = histogram.quantile(part).unwrap().as_nanos() as u64;
            prop_assert!((exact..=exact + exact / 32).contains(&told), "{told} for {exact}");
        }
        prop_assert_eq!(histogram.max(), histogram.quantile(1.0));
    }

    #[test]
    fn count_sum_and_mean_are_exact(nanos in some_nanos()) {
        let histogram = histogram(&nanos);
        let (count, sum) = (nanos.len() as u64, nanos.iter().sum());
        prop_assert_eq!(histogram.count(), count);
        prop_assert_eq!(histogram.sum(), Duration::from_nanos(sum));
        prop_assert_eq!(histogram.mean(), Some(Duration::from_nanos(sum / count)));
    }

    #[test]
    fn what_is_merged_is_as_if_it_had_been_counted_together(
        one in some_nanos(),
        other in some_nanos(),
    ) {
        let mut merged = Histograms::default();
        merged.merge(&Histograms { queue_wait: histogram(&one), run_time: histogram(&other) });
        merged.merge(&Histograms { queue_wait: histogram(&other), run_time: Histogram::default() });
        prop_assert_eq!(merged.queue_wait, histogram(&[one, other.clone()].concat()));
        prop_assert_eq!(merged.run_time, histogram(&other));
    }
}

#[test]
fn of_nothing_there_is_no_quantile() {
    let none = Histogram::default();
    assert_eq!((none.count(), none.sum()), (0, Duration::ZERO));
    assert_eq!(
        (none.quantile(0.5), none.max(), none.mean()),
        (None, None, None)
    );
    assert_eq!(none.to_string(), "count 0");
}

/// As many as nobody has measured, but anybody can merge.
fn doubled(nanos: &[u64], times: u32) -> Histogram {
    let mut sum = histogram(nanos);
    for _ in 0..times {
        let again = sum.clone();
        sum.merge(&again);
    }
    sum
}

#[test]
fn counts_stay_at_the_greatest() {
    let many = doubled(&[1, 50], 64);
    assert_eq!(
        (many.count(), many.sum()),
        (u64::MAX, Duration::from_nanos(u64::MAX))
    );
    assert_eq!(many.quantile(0.0), Some(Duration::from_nanos(1)));
    assert!(many.max().is_some() && many.mean().is_some(), "{many}");
}

/// 2^53 + 3 becomes 2^53 + 4.
#[test]
fn a_count_that_is_rounded_up_has_a_longest_too() {
    let mut many = doubled(&[1], 53);
    many.merge(&histogram(&[1, 1, 50]));
    assert_eq!(many.max(), Some(Duration::from_nanos(50)));
}

#[test]
fn beyond_all_there_is_no_quantile() {
    let one = histogram(&[5]);
    for part in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(one.quantile(part), None, "{part}");
    }
}

#[test]
fn a_histogram_prints_as_a_line() {
    let nanos: Vec<u64> = (1..=1_000).map(|number| number * 1_000_000).collect();
    let line = histogram(&nanos).to_string();
    // Each at most a 32nd above 500 ms, 900 ms, 990 ms, 999 ms and a second.
    assert_eq!(
        line,
        "count 1000, p50 503.32ms, p90 905.97ms, p99 1.01s, p99.9 1.01s, max 1.01s"
    );
    assert_eq!(
        format!("{:?}", histogram(&nanos)),
        format!("Histogram({line})")
    );
    let both = Histograms {
        queue_wait: histogram(&nanos),
        run_time: Histogram::default(),
    };
    assert_eq!(
        both.to_string(),
        format!("queue wait  {line}\nrun time    count 0")
    );
}
