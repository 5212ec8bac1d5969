//! Where durations are counted.

use super::*;
use proptest::prelude::*;

/// The shortest duration that is counted there.
fn shortest(bucket: usize) -> u64 {
    bucket.checked_sub(1).map_or(0, |last| longest(last) + 1)
}

#[test]
fn buckets_cover_all_numbers_without_a_gap() {
    assert_eq!(longest(BUCKETS - 1), u64::MAX);
    for number in 0..BUCKETS {
        let (first, last) = (shortest(number), longest(number));
        assert!(first <= last, "bucket {number}");
        assert_eq!((bucket(first), bucket(last)), (number, number));
    }
}

#[test]
fn a_bucket_is_narrower_than_a_32nd_of_what_is_in_it() {
    for number in 0..BUCKETS {
        let (first, last) = (shortest(number), longest(number));
        assert!((last - first) < (first / 32).max(1), "bucket {number}");
    }
}

#[test]
fn up_to_63_nanoseconds_each_has_a_bucket_of_its_own() {
    for nanos in 0..64 {
        assert_eq!(longest(bucket(nanos)), nanos);
    }
    assert_ne!(longest(bucket(64)), 64);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_number_is_counted_in_the_bucket_that_it_is_in(number: u64, bits in 0..64_u32) {
        let number = number >> bits;
        let place = bucket(number);
        prop_assert!((shortest(place)..=longest(place)).contains(&number));
    }
}

#[test]
fn what_is_recorded_is_counted_once_and_added_up() {
    let durations = Durations::new();
    for nanos in [7, 7, 1_000_000, u64::MAX] {
        durations.record(nanos);
    }
    let reading = durations.read();
    for (number, count) in reading.counts.iter().enumerate() {
        let expected = match number {
            7 => 2,
            _ if number == bucket(1_000_000) || number == BUCKETS - 1 => 1,
            _ => 0,
        };
        assert_eq!(*count, expected, "bucket {number}");
    }
    assert_eq!(reading.sum, u64::MAX, "it does not wrap");
}
