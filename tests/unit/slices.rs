//! How a slice is cut into chunks.

use super::lengths;

#[test]
fn chunks_cover_the_slice_and_get_smaller() {
    let (most_workers, step) = if cfg!(miri) { (3, 37) } else { (1000, 1) };
    for workers in [1, 2, 3, 8, most_workers] {
        let few = (0..200).step_by(step);
        for items in few.chain([4_000, usize::MAX / 2, usize::MAX]) {
            let chunks: Vec<_> = lengths(items, workers).collect();
            assert_eq!(chunks.iter().sum::<usize>(), items);
            assert!(chunks.is_sorted_by(|a, b| a >= b), "{chunks:?}");
            assert!(!chunks.contains(&0));
            let first = (items / (2 * workers)).max(1).min(items);
            assert_eq!(chunks.first().copied().unwrap_or(0), first);
            // As each is one part in `2 * workers`, a factor of e takes as many chunks.
            let most = 2 * workers * (usize::BITS as usize + 2);
            assert!(chunks.len() <= most, "{} chunks", chunks.len());
        }
    }
}
