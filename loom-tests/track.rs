//! Models of [`crate::track`].

use super::explore::{Bound, Plan, explore};
use crate::probe::visit;
use crate::sync::{Arc, thread};
use crate::track::Track;

/// Each event has the same number in all its words.
#[test]
fn reader_of_a_track_sees_whole_events() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 100,
        events: &[
            "model: none",
            "model: one",
            "model: overtaken",
            "model: overwritten",
        ],
    };
    explore("reader_of_a_track_sees_whole_events", plan, || {
        let track = Arc::new(Track::new(1));
        let reader = {
            let track = Arc::clone(&track);
            thread::spawn(move || track.read())
        };
        for number in 1..=3 {
            track.begin(number, number);
            track.end(number);
        }
        let reading = reader.join().unwrap();
        for (event, &[what, start, end]) in (reading.overwritten..).zip(&reading.events) {
            assert_eq!(what, event + 1);
            assert_eq!(start, what);
            assert!(
                end == 0 || end == what,
                "{end} is the end of another event than {what}"
            );
        }
        match (reading.overwritten, reading.events.len()) {
            (0, 0) => visit("model: none"),
            (_, 0) => visit("model: overtaken"),
            (0, _) => visit("model: one"),
            (_, _) => visit("model: overwritten"),
        }
        let last = track.read();
        assert_eq!((last.overwritten, &last.events[..]), (2, &[[3, 3, 3]][..]));
    });
}
