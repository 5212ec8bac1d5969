use super::*;

fn asymmetric() -> Modes {
    let modes = Modes::new();
    modes.decide(|| true);
    modes
}

#[test]
fn modes_follow_each_other_in_a_circle() {
    crate::sync::barrier::prepare();
    let modes = asymmetric();
    for _ in 0..3 {
        assert_eq!(modes.light(), Half::Asymmetric);
        modes.end_fences();
        assert_eq!(modes.light(), Half::Asymmetric, "there are none");
        modes.begin_fences();
        if modes.is_revoked() {
            // Nothing more can be seen where the kernel refuses.
            return;
        }
        assert_eq!(modes.light(), Half::Fenced);
        assert_eq!(modes.try_heavy().unwrap(), Half::Fenced);
        modes.begin_fences();
        assert_eq!(modes.light(), Half::Fenced, "it has begun");
        modes.end_fences();
    }
}

/// A thread that saw a mode in between, and comes back after all has gone round.
#[test]
fn a_change_is_not_finished_by_who_saw_an_earlier_one() {
    crate::sync::barrier::prepare();
    let modes = asymmetric();
    let entering = 1;
    modes.word.store(entering + MODES, Ordering::Relaxed);
    modes.advance(entering);
    assert_eq!(modes.light(), Half::Fence, "it is entering still");
}

#[test]
fn until_the_kernel_was_asked_light_halves_are_fences() {
    let modes = Modes::new();
    assert_eq!(modes.light(), Half::Fence);
    modes.begin_fences();
    modes.end_fences();
    assert_eq!(modes.light(), Half::Fence);
    assert!(!modes.obeys());
    modes.decide(|| false);
    assert_eq!(modes.light(), Half::Fence);
    assert_eq!(modes.try_heavy().unwrap(), Half::Fence);
    modes.decide(|| true);
    assert!(!modes.obeys(), "it is decided once");
}
