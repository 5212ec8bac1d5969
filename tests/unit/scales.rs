use super::*;

/// A row of heavy halves that take so long each, and is so long after the last one.
fn row(scales: &Scales, price: u64, time: u64) -> bool {
    for heavy in 1..=HEAVY_ROW {
        assert_eq!(scales.heavy_begins(), heavy == HEAVY_ROW);
    }
    let now = scales.since.load(Ordering::Relaxed) + time;
    scales.tries_fences(now - price, now)
}

/// A row of light halves.
fn light_row(scales: &Scales) -> bool {
    for _ in 1..LIGHT_ROW {
        assert!(!scales.ends_fences());
    }
    scales.ends_fences()
}

#[test]
fn fences_are_tried_where_heavy_halves_take_much_of_the_time() {
    let scales = Scales::new();
    assert!(!row(&scales, 10_000, HEAVY_ROW * 10_000 * RARE + 1));
    assert!(row(&scales, 10_000, HEAVY_ROW * 10_000 * RARE));
    assert!(!row(&scales, 500, HEAVY_ROW * 500 * RARE + 1));
    let lost_its_core = 10 * MOST;
    assert!(!row(&scales, lost_its_core, HEAVY_ROW * MOST * RARE + 1));
}

#[test]
fn fences_end_when_heavy_halves_are_few() {
    let scales = Scales::new();
    assert!(row(&scales, 10_000, 160_000));
    light_row(&scales);
    // Five of them cost more than a fence for each of a row of light ones.
    (0..5).for_each(|_| _ = scales.heavy_begins());
    assert!(!light_row(&scales));
    (0..4).for_each(|_| _ = scales.heavy_begins());
    assert!(light_row(&scales));
}

#[test]
fn the_more_trials_were_in_vain_the_more_are_left_out() {
    let scales = Scales::new();
    let trials_after = |rows: u64| (0..rows).filter(|_| row(&scales, 10_000, 160_000)).count();
    let mut left_out = 0;
    for _ in 0..10 {
        assert_eq!(trials_after(left_out), 0);
        assert_eq!(trials_after(1), 1);
        // The heavy halves since this thread's last row were in no trial.
        while !light_row(&scales) {}
        left_out = scales.left_out.load(Ordering::Relaxed);
    }
    assert_eq!(left_out, MOST_LEFT_OUT);
    // One that pays.
    assert_eq!(trials_after(left_out + 1), 1);
    (0..PAID).for_each(|_| _ = scales.heavy_begins());
    while !light_row(&scales) {}
    assert_eq!(trials_after(1), 1);
}
