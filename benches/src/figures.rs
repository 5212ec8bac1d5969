//! Medians, means and percentiles.

/// The middle of `values`, or the mean of the two in the middle; `NaN` of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// The smallest and the largest of `values`; `NaN`s of none.
#[must_use]
pub fn range(values: &[f64]) -> (f64, f64) {
    (
        values.iter().copied().fold(f64::NAN, f64::min),
        values.iter().copied().fold(f64::NAN, f64::max),
    )
}

/// The geometric mean of `values`: the right mean of ratios. `NaN` of none.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> f64 {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (logarithms / values.len() as f64).exp()
}

/// The value below which `percent` of `values` lie; `NaN` of none.
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let sorted = sorted(values);
    let place = (percent / 100.0 * sorted.len() as f64) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn twice_as_fast_and_half_as_fast_make_no_difference() {
        assert!((geometric_mean(&[2.0, 0.5]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_last_percentile_is_the_largest() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(percentile(&values, 99.0), 99.0);
        assert_eq!(percentile(&values, 100.0), 99.0);
        assert_eq!(range(&values), (0.0, 99.0));
    }
}
