//! Who stands aside.

use super::Crowd;

/// A crowd on so many cores.
fn crowd(workers: usize, cores: usize) -> Crowd {
    Crowd {
        cores,
        ..Crowd::new(workers)
    }
}

/// How many can step aside.
fn surplus(crowd: &Crowd) -> usize {
    std::iter::repeat_with(|| crowd.step_aside())
        .take_while(|steps| *steps)
        .count()
}

#[test]
fn as_many_as_there_are_cores_stay() {
    assert_eq!(surplus(&crowd(8, 2)), 6);
    assert_eq!(surplus(&crowd(2, 2)), 0);
    assert_eq!(surplus(&crowd(1, 2)), 0);
}

#[test]
fn who_sleeps_is_not_at_work() {
    let crowd = crowd(8, 2);
    for _ in 0..3 {
        crowd.leave();
    }
    assert_eq!(surplus(&crowd), 3);
    for _ in 0..4 {
        crowd.come_back();
    }
    assert_eq!(surplus(&crowd), 4);
}

#[test]
fn there_is_one_lookout_at_a_time() {
    let crowd = crowd(8, 2);
    for _ in 0..2 {
        assert!(!crowd.has_lookout());
        assert!(crowd.post_lookout());
        assert!(crowd.has_lookout());
        assert!(!crowd.post_lookout());
        crowd.recall_lookout();
    }
}
