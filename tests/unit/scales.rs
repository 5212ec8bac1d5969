use super::*;

/// A row of heavy halves that take so long each, and is so long after the last one.
fn row(scales: &Scales, price: u64, time: u64) -> bool {
    for heavy in 1..=HEAVY_ROW {
        assert_eq!(scales.heavy_begins(), heavy == HEAVY_ROW);
    }
    let now = scales.since.load(Ordering::Relaxed) + time;
    scales.begins_trial(now - price, now)
}

/// A row of light halves.
fn light_row(scales: &Scales) -> bool {
    for _ in 1..LIGHT_ROW {
        assert!(!scales.ends_trial());
    }
    scales.ends_trial()
}

/// The last row ended some seconds after the clock began.
fn scales() -> Scales {
    let scales = Scales::new();
    scales.since.store(1 << 32, Ordering::Relaxed);
    scales
}

/// So long a row takes of which heavy halves of this price are just not rare.
fn time_of(price: u64) -> u64 {
    HEAVY_ROW * RARE * price
}

#[test]
fn a_trial_begins_where_heavy_halves_take_much_of_the_time() {
    let price = 10_000;
    let new = Scales::new();
    assert!(!row(&new, price, time_of(price)), "nobody knows since when");
    assert!(row(&new, price, time_of(price)));
    let scales = scales();
    assert!(!row(&scales, price, time_of(price) + 1));
    assert!(row(&scales, price, time_of(price)));
    assert!(!row(&scales, 500, time_of(500) + 1));
    assert!(row(&scales, 500, time_of(500)));
    // Held up, it counts twice at most.
    assert!(!row(&scales, 50 * price, time_of(1_000) + 1));
    let before = scales.since.load(Ordering::Relaxed) - 1;
    assert!(
        !scales.begins_trial(before, before),
        "two rows overtook each other"
    );
}

#[test]
fn a_trial_ends_when_heavy_halves_are_few() {
    let scales = scales();
    assert!(row(&scales, 10_000, time_of(10_000)));
    // Five of them cost more than a fence for each of a row of light ones.
    for heavy in [5, 4] {
        assert!(!scales.ends_trial(), "a row begins");
        (0..heavy).for_each(|_| _ = scales.heavy_begins());
        assert!((2..LIGHT_ROW).all(|_| !scales.ends_trial()));
        assert_eq!(scales.ends_trial(), heavy < 5);
    }
    scales.before.store(u64::MAX, Ordering::Relaxed);
    assert!(light_row(&scales), "a trial that began meanwhile");
}

#[test]
fn a_trial_ends_though_it_pays_for_the_price_may_have_changed() {
    let scales = scales();
    assert!(row(&scales, 10_000, time_of(10_000)));
    scales.heavy.fetch_add(LONG, Ordering::Relaxed);
    assert!(light_row(&scales));
    assert_eq!(scales.left_out.load(Ordering::Relaxed), 0);
}

#[test]
fn the_more_trials_were_in_vain_the_more_are_left_out() {
    let scales = scales();
    let price = 10_000;
    let trials_in = |rows: u64| (0..rows).filter(|_| row(&scales, price, 0)).count();
    let mut left_out = 0;
    for _ in 0..10 {
        assert_eq!(trials_in(left_out), 0);
        assert_eq!(trials_in(1), 1);
        assert!(light_row(&scales));
        left_out = scales.left_out.load(Ordering::Relaxed);
    }
    assert_eq!(left_out, MOST_LEFT_OUT);
    // One that pays.
    assert_eq!(trials_in(left_out + 1), 1);
    let spared = PAID.div_ceil(price).next_multiple_of(HEAVY_ROW);
    (0..spared).for_each(|_| _ = scales.heavy_begins());
    assert!(light_row(&scales));
    assert_eq!(trials_in(1), 1);
}
