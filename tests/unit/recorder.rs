//! What is not asked for takes no room.

use super::{Recorder, Recorders, Stamp, Wishes};

#[test]
fn without_its_features_a_recorder_is_nothing() {
    let (trace, histograms) = (cfg!(feature = "trace"), cfg!(feature = "histograms"));
    let is_on = [
        size_of::<Recorders>() > 0,
        size_of::<Recorder<'_>>() > 0,
        size_of::<Wishes>() > 0,
    ];
    assert_eq!(is_on, [trace || histograms; 3]);
    assert_eq!(size_of::<Stamp>() > 0, histograms);
}
