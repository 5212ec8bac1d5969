use super::*;
use crate::sync::barrier::prepare;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

/// What a light half was.
#[derive(Debug, PartialEq)]
enum Light {
    None,
    FenceForNow,
    FenceForEver,
}

fn light(modes: &Modes) -> Light {
    if modes.light_is_none() {
        Light::None
    } else if modes.light_fence() {
        Light::FenceForNow
    } else {
        Light::FenceForEver
    }
}

/// Asymmetric, if this process may interrupt its cores.
fn asymmetric() -> Option<Modes> {
    prepare();
    let modes = Modes::new();
    modes.decide(interrupt_all);
    modes.obeys().then_some(modes)
}

#[test]
fn modes_follow_each_other_in_a_circle() {
    let Some(modes) = asymmetric() else { return };
    for _ in 0..3 {
        assert_eq!(light(&modes), Light::None);
        assert_eq!(modes.try_heavy().unwrap(), Half::Asymmetric);
        modes.end_fences();
        assert_eq!(light(&modes), Light::None, "there are none");
        modes.begin_fences();
        assert_eq!(light(&modes), Light::FenceForNow);
        assert_eq!(modes.try_heavy().unwrap(), Half::Fence);
        modes.begin_fences();
        assert_eq!(light(&modes), Light::FenceForNow, "they have begun");
        modes.end_fences();
    }
}

/// Who began it is suspended.
#[test]
fn a_change_is_finished_by_whoever_comes() {
    let Some(modes) = asymmetric() else { return };
    let left = || {
        let word = modes.load();
        assert!(modes.change(word, word.next(), Ordering::Relaxed));
    };
    left();
    assert_eq!(light(&modes), Light::FenceForNow);
    assert_eq!(
        modes.try_heavy().unwrap(),
        Half::Asymmetric,
        "it interrupts"
    );
    assert_eq!(modes.load().mode(), Mode::Fenced);
    left();
    assert_eq!(light(&modes), Light::FenceForNow);
    modes.end_fences();
    assert_eq!(light(&modes), Light::None);
}

/// A thread that saw a mode in between, and comes back after all have gone round.
#[test]
fn a_change_is_not_finished_by_who_saw_an_earlier_one() {
    let Some(modes) = asymmetric() else { return };
    let entering = modes.load().next();
    let again = entering.0 + ROUND;
    modes.word.store(again, Ordering::Relaxed);
    let _ = modes.advance(entering);
    assert_eq!(modes.load(), Snapshot(again));
}

#[test]
fn until_the_kernel_was_asked_light_halves_are_fences() {
    let modes = Modes::new();
    assert_eq!(light(&modes), Light::FenceForEver);
    modes.begin_fences();
    modes.end_fences();
    assert_eq!(light(&modes), Light::FenceForEver);
    assert!(!modes.obeys());
    modes.decide(|| false);
    assert_eq!(light(&modes), Light::FenceForEver);
    assert_eq!(modes.try_heavy().unwrap(), Half::Fence);
    modes.decide(|| true);
    assert!(!modes.obeys(), "it is decided once");
}

/// On the real processor: two threads store and then look, again and again, while a third one changes
/// the mode.
#[test]
fn no_two_halves_pass_each_other_while_the_mode_changes() {
    const ROUNDS: usize = 100_000;
    /// A round's store is its number, in a cache line of its own.
    type Words = [CachePadded<AtomicUsize>; 2];
    let Some(modes) = asymmetric() else { return };
    let [here, stores, seen] = [(); 3].map(|()| Words::default());
    let ended = AtomicBool::new(false);
    let meet = |me: usize, round: usize| {
        here[me].fetch_add(1, Ordering::AcqRel);
        let mut looks = 0;
        while here[1 - me].load(Ordering::Acquire) < round {
            looks += 1;
            if looks % 256 == 0 {
                thread::yield_now();
            }
        }
    };
    let play = |me: usize, half: &dyn Fn()| {
        for round in 1..ROUNDS {
            meet(me, 2 * round - 1);
            stores[me].store(round, Ordering::Relaxed);
            half();
            let sees = stores[1 - me].load(Ordering::Relaxed);
            seen[me].store(sees, Ordering::Relaxed);
            meet(me, 2 * round);
            let saw = seen
                .iter()
                .any(|seen| seen.load(Ordering::Relaxed) == round);
            if !saw {
                // Both know, and neither waits for the other.
                return Some(round);
            }
        }
        None
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                modes.begin_fences();
                thread::yield_now();
                modes.end_fences();
                thread::yield_now();
            }
        });
        let other = scope.spawn(|| play(0, &|| _ = light(&modes)));
        let passed = play(1, &|| _ = modes.try_heavy().unwrap());
        let as_well = other.join().unwrap();
        ended.store(true, Ordering::Relaxed);
        assert_eq!((passed, as_well), (None, None));
    });
}
