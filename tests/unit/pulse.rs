//! How often others are woken to help.

use super::*;

/// Those who are woken and come too late are woken more seldom, until one comes in time.
#[test]
fn wakes_in_vain_become_rare() {
    let pulse = Pulse::new();
    let judge = |asleep: bool, helped: bool| {
        pulse.woken.set(asleep);
        pulse.judge(helped);
        pulse.wake_every.get()
    };
    assert_eq!(judge(true, false), 2 * WAKE_EVERY.start());
    // Nobody was woken for it.
    assert_eq!(judge(false, false), 2 * WAKE_EVERY.start());
    for _ in 0..10 {
        judge(true, false);
    }
    assert_eq!(judge(true, false), *WAKE_EVERY.end());
    assert_eq!(judge(true, true), *WAKE_EVERY.start());
    // An older one comes back, for which nobody was woken.
    pulse.judge(false);
    assert_eq!(pulse.wake_every.get(), *WAKE_EVERY.start());
    // One wake is judged once: the others that came back by it were given to the same.
    judge(true, false);
    pulse.judge(false);
    assert_eq!(pulse.wake_every.get(), 2 * WAKE_EVERY.start());
}

#[test]
fn what_is_given_says_whether_somebody_was_woken() {
    for asleep in [false, true] {
        let pulse = Pulse::new();
        assert!(pulse.may_feed(asleep), "nothing was given before");
        assert_eq!(pulse.woken.get(), asleep);
    }
}
