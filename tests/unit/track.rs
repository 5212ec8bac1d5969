use super::{OPEN, Track};

#[test]
fn a_track_shows_the_last_events_and_says_how_many_came_before() {
    let track = Track::new(3);
    assert_eq!(track.read().events.len(), 0);
    for event in 0..10 {
        track.begin(event, 100 + event);
        track.end(200 + event);
    }
    track.begin(10, 110);
    let reading = track.read();
    assert_eq!(reading.overwritten, 8);
    assert_eq!(
        reading.events,
        [[8, 108, 208], [9, 109, 209], [10, 110, OPEN]]
    );
}

#[test]
fn a_track_shows_at_least_as_many_events_as_were_asked_for() {
    for asked in 0..20 {
        let track = Track::new(asked);
        for event in 0..100 {
            track.begin(event, 1);
        }
        assert!(track.read().events.len() >= asked);
    }
}
