//! Threads that wait at a gate.

use super::{Gate, WAITER};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Takes one of what is there.
fn take(stock: &AtomicUsize) -> Option<()> {
    stock
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |stock| {
            stock.checked_sub(1)
        })
        .map(drop)
        .ok()
}

#[test]
fn who_finds_something_does_not_wait() {
    let gate = Gate::new();
    assert_eq!(gate.wait(None, || Some(5)), Some(5));
    assert_eq!(gate.wait(Some(Instant::now()), || Some(5)), Some(5));
    assert_eq!(gate.waiting(), 0);
}

#[test]
fn who_has_no_time_looks_and_leaves() {
    let gate = Gate::new();
    let mut looks = 0;
    let found: Option<()> = gate.wait(Some(Instant::now()), || {
        looks += 1;
        None
    });
    assert_eq!(found, None);
    assert!(looks > 0);
    let soon = Instant::now() + Duration::from_millis(3);
    assert_eq!(gate.wait(Some(soon), || None::<()>), None);
    assert_eq!(gate.waiting(), 0);
    // Nobody is there to be told.
    gate.notify(3);
    gate.notify_all();
    assert_eq!(gate.waiting(), 0);
}

#[test]
fn every_event_is_found_by_somebody() {
    let rounds = if cfg!(miri) { 20 } else { 5000 };
    let (gate, stock) = (Gate::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..rounds).for_each(|_| gate.wait(None, || take(&stock)).unwrap()));
        }
        for batch in 0..rounds {
            let events = 1 + batch % 5;
            let events = events.min(3 * rounds - stock_given(batch));
            stock.fetch_add(events, Ordering::AcqRel);
            gate.notify(events);
        }
    });
    assert_eq!(gate.waiting(), 0);
    assert_eq!(stock.load(Ordering::Relaxed), 0);

    /// How many the batches before this one had: 1 + 2 + 3 + 4 + 5 in each five.
    fn stock_given(batch: usize) -> usize {
        batch / 5 * 15 + (0..batch % 5).map(|n| n + 1).sum::<usize>()
    }
}

#[test]
fn impatient_waiters_eat_nobodys_event() {
    let rounds = if cfg!(miri) { 10 } else { 1000 };
    let (gate, stock) = (Gate::new(), AtomicUsize::new(0));
    let found = AtomicUsize::new(0);
    let all = rounds * 2;
    thread::scope(|scope| {
        for patient in [true, false, true, false] {
            let (gate, stock, found) = (&gate, &stock, &found);
            scope.spawn(move || {
                while found.load(Ordering::Relaxed) < all {
                    let deadline = (!patient).then(|| Instant::now() + Duration::from_micros(20));
                    let done = || found.load(Ordering::Relaxed) >= all;
                    let looked = gate.wait(deadline, || match take(stock) {
                        Some(()) => Some(true),
                        None => done().then_some(false),
                    });
                    if looked == Some(true) && found.fetch_add(1, Ordering::Relaxed) + 1 == all {
                        gate.notify_all();
                    }
                }
            });
        }
        for _ in 0..all {
            stock.fetch_add(1, Ordering::AcqRel);
            gate.notify(1);
            thread::yield_now();
        }
    });
    assert_eq!(gate.waiting(), 0);
}

#[test]
fn notify_all_makes_everybody_look_again() {
    let (gate, open) = (Gate::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| gate.wait(None, || (open.load(Ordering::Acquire) > 0).then_some(())));
        }
        while gate.waiting() < 4 {
            thread::yield_now();
        }
        open.store(1, Ordering::Release);
        gate.notify_all();
    });
    assert_eq!(gate.waiting(), 0);
}

#[test]
fn who_finds_no_place_looks_again_by_itself() {
    let (gate, stock, looks) = (Gate::new(), AtomicUsize::new(0), AtomicUsize::new(0));
    let all = u32::from(u16::MAX);
    gate.word.word.store(all * WAITER, Ordering::Relaxed);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            gate.wait(None, || {
                looks.fetch_add(1, Ordering::Relaxed);
                take(&stock)
            })
        });
        while looks.load(Ordering::Relaxed) < 3 && !waiter.is_finished() {
            thread::yield_now();
        }
        // Nobody is told.
        stock.store(1, Ordering::Release);
        assert_eq!(waiter.join().unwrap(), Some(()));
    });
    assert_eq!(gate.wait(Some(Instant::now()), || None::<()>), None);
    assert_eq!(gate.waiting(), all as usize);
    // The others get their permits, and one of them leaves its place to a late comer.
    gate.notify_all();
    assert_eq!(gate.word.word.load(Ordering::Relaxed), u32::MAX);
    gate.leave();
    assert_eq!(gate.wait(None, || Some(5)), Some(5));
    assert_eq!(gate.waiting(), all as usize - 1);
}
