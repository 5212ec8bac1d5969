//! The queues, and a gate, alone: one thread stands somewhere in an operation, another goes on.

use super::{Point, Release, demand, wait_until};
use crate::deque::{self, Local, Steal, Stealer};
use crate::injector::{Injector, Rejected};
use crate::probe::Stall;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, yield_now};

/// Operations of the thread that may be suspended: enough for the ring to go round
/// and for the injector to recycle segments.
const OPERATIONS: usize = 160;

/// Items that the other thread pushes and takes while the first one is suspended.
const MEANWHILE: usize = 130;

/// Who may be suspended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Of a deque: pushes and pops.
    Owner,
    /// Of a deque: steals half.
    Thief,
    /// Of an injector: pushes one by one.
    Producer,
    /// Of an injector: pushes in batches.
    Batcher,
    /// Of an injector: pops, one or several.
    Consumer,
}

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(point: &Point, role: Role, capacity: usize, pass: usize) -> bool {
    match role {
        Role::Owner => owner_stands(point, None, capacity, pass),
        Role::Thief => thief_stands(point, None, capacity, pass),
        Role::Producer | Role::Batcher | Role::Consumer => {
            let helper = point.beside.map(|name| (name, Role::Producer));
            on_injector(point, role, helper, capacity, pass)
        }
    }
}

/// Two threads stand, the second one wherever it comes to first. Returns whether both did; `None`
/// if that is no pair.
pub(super) fn play_pair(
    point: &Point,
    role: Role,
    (second, helper): (&'static str, Role),
    capacity: usize,
    pass: usize,
) -> Option<bool> {
    match (role, helper) {
        (Role::Owner, Role::Thief) => Some(owner_stands(point, Some(second), capacity, pass)),
        (Role::Thief, Role::Thief) => Some(thief_stands(point, Some(second), capacity, pass)),
        (Role::Owner, _) | (Role::Thief, _) | (_, Role::Owner) | (_, Role::Thief) => None,
        _ => Some(on_injector(
            point,
            role,
            Some((second, helper)),
            capacity,
            0,
        )),
    }
}

/// Counts how often each item came out, whoever took it.
struct Tally(Mutex<Vec<u8>>);

impl Tally {
    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn took(&self, item: usize) {
        let mut seen = self.0.lock().unwrap();
        if seen.len() <= item {
            seen.resize(item + 1, 0);
        }
        seen[item] += 1;
    }

    fn count(&self, item: usize) -> u8 {
        self.0.lock().unwrap().get(item).copied().unwrap_or(0)
    }

    fn assert_each_once(&self, items: std::ops::Range<usize>) {
        for item in items {
            assert_eq!(self.count(item), 1, "item {item}");
        }
    }

    fn missing(&self, items: std::ops::Range<usize>) -> usize {
        items.filter(|&item| self.count(item) == 0).count()
    }
}

/// Lets the suspended thread go on from the points before the one in question, each
/// time after `others` have done something to surprise it.
fn pass_through(before: &[Arc<Stall>], stall: &Stall, done: &AtomicBool, mut others: impl FnMut()) {
    for before in before {
        wait_until("a thread stands before the point", || {
            others();
            before.holds_one() || stall.holds_one() || done.load(SeqCst)
        });
        others();
        before.release();
    }
}

/// The stall at the point, and those on the way to it.
pub(super) fn stalls(point: &Point, pass: usize) -> (Arc<Stall>, Vec<Arc<Stall>>) {
    let first = |nth| if nth == 0 { pass } else { 0 };
    let before = point
        .after
        .iter()
        .enumerate()
        .map(|(nth, name)| Stall::at(name, first(nth)));
    (
        Stall::at(point.name, first(point.after.len())),
        before.collect(),
    )
}

/// Another thief that may be suspended, until it is stopped.
fn thieve(stall: &Arc<Stall>, stealer: &Stealer<usize>, tally: &Tally, stop: &AtomicBool) {
    stall.watch();
    while !stop.load(SeqCst) {
        if stealer.steal(3, |item| tally.took(item)) == Steal::Empty {
            yield_now();
        }
    }
}

/// The owner stands, and beside it perhaps a thief; others must get all that was published.
fn owner_stands(point: &Point, thief: Option<&'static str>, capacity: usize, pass: usize) -> bool {
    let (stall, before) = stalls(point, pass);
    let thief = thief.map(|name| Stall::at(name, 0));
    let _release = Release([&stall].into_iter().chain(&before).chain(&thief).collect());
    let (mut local, stealer) = deque::ring(capacity.max(2));
    let (tally, pushed, done) = (Tally::new(), AtomicUsize::new(0), AtomicBool::new(false));
    let (stealer, tally, stop) = (&stealer, &tally, &AtomicBool::new(false));
    let (mut both, beside_thief) = (true, thief.is_some());
    thread::scope(|scope| {
        if let Some(thief) = &thief {
            scope.spawn(move || thieve(thief, stealer, tally, stop));
        }
        scope.spawn(|| {
            before.iter().for_each(Stall::watch);
            stall.watch();
            for item in 0..OPERATIONS {
                let mut item = item;
                while let Err(back) = local.push(item) {
                    item = back;
                    match local.pop() {
                        Some(old) => tally.took(old),
                        // A thief sits in the slot, for ever perhaps: there is another place.
                        None if beside_thief => {
                            tally.took(item);
                            break;
                        }
                        None => yield_now(),
                    }
                }
                pushed.fetch_add(1, SeqCst);
                switch_bias(&mut local, item);
                if item % 3 == 0 {
                    local.pop().into_iter().for_each(|old| tally.took(old));
                }
            }
            done.store(true, SeqCst);
        });
        let steal = || {
            let _ = stealer.steal(1, |item| tally.took(item));
        };
        pass_through(&before, &stall, &done, steal);
        let mut turn = 0;
        wait_until("the owner stands or has finished", || {
            turn += 1;
            if turn % 4 == 0 {
                steal();
            }
            stall.holds_one() || done.load(SeqCst)
        });
        if stall.holds_one() {
            if let Some(thief) = &thief {
                wait_until("the thief stands, or has nothing to take", || {
                    thief.holds_one() || stealer.is_empty()
                });
                both = thief.holds_one();
            }
            steal_all(stealer, tally);
            // One item is in its hand, and one may be on the way in.
            let claims = thief.as_ref().map_or(0, |_| capacity.max(2));
            demand(
                tally.missing(0..pushed.load(SeqCst)) <= 1 + claims,
                "thieves do not wait for the owner, nor for each other",
            );
            stall.release();
        }
        wait_until("the owner has finished", || {
            steal();
            done.load(SeqCst)
        });
        stop.store(true, SeqCst);
        thief.iter().for_each(|thief| thief.release());
    });
    steal_all(stealer, tally);
    tally.assert_each_once(0..OPERATIONS);
    stall.holds_one() && both
}

/// Some of the time the deque is biased.
fn switch_bias(local: &mut Local<usize>, turn: usize) {
    if turn % 8 < 4 {
        local.bias();
    } else {
        local.share();
    }
}

fn steal_all(stealer: &Stealer<usize>, tally: &Tally) {
    wait_until("the deque is empty", || {
        stealer.steal(64, |item| tally.took(item)) == Steal::Empty
    });
}

/// A thief stands, or two; the owner must go on, and another thief too.
fn thief_stands(point: &Point, second: Option<&'static str>, capacity: usize, pass: usize) -> bool {
    let (stall, before) = stalls(point, pass);
    let second = second.map(|name| Stall::at(name, 0));
    let _release = Release([&stall].into_iter().chain(&before).chain(&second).collect());
    let (mut local, stealer) = deque::ring(capacity.max(2));
    let (tally, done, stop) = (Tally::new(), AtomicBool::new(false), AtomicBool::new(false));
    let (stealer, tally, stop) = (&stealer, &tally, &stop);
    let mut both = true;
    let mut next = 0;
    let mut owner_works = |turns: usize| {
        for _ in 0..turns {
            if let Err(back) = local.push(next) {
                // Full, or a thief still sits in the slot: it has another place to go.
                tally.took(back);
            }
            next += 1;
            switch_bias(&mut local, next);
            if next % 2 == 0 {
                local.pop().into_iter().for_each(|item| tally.took(item));
            }
        }
        next
    };
    thread::scope(|scope| {
        if let Some(second) = &second {
            scope.spawn(move || thieve(second, stealer, tally, stop));
        }
        scope.spawn(|| {
            before.iter().for_each(Stall::watch);
            stall.watch();
            for turn in 0..OPERATIONS {
                if stop.load(SeqCst) {
                    break;
                }
                let sink = |item| tally.took(item);
                let stolen = if turn % 2 == 0 {
                    stealer.steal(3, sink)
                } else {
                    stealer.drain(64, sink)
                };
                if stolen == Steal::Empty {
                    yield_now();
                }
            }
            done.store(true, SeqCst);
        });
        pass_through(&before, &stall, &done, || {
            owner_works(1);
        });
        wait_until("the thief stands or has finished", || {
            owner_works(1);
            stall.holds_one() || done.load(SeqCst)
        });
        if stall.holds_one() {
            if let Some(second) = &second {
                let mut turns = OPERATIONS;
                wait_until("the second stands, or time after time has not", || {
                    owner_works(1);
                    yield_now();
                    turns = turns.saturating_sub(1);
                    second.holds_one() || turns == 0
                });
                both = second.holds_one();
                // From here on it is another thief that goes on.
                if !both {
                    second.release();
                }
            }
            let from = owner_works(0);
            let to = owner_works(MEANWHILE);
            wait_until("the other thief has got the rest", || {
                stealer.steal(64, |item| tally.took(item)) == Steal::Empty
            });
            demand(
                tally.missing(from..to) == 0,
                "all that came meanwhile went past the thief",
            );
            let claim = capacity.max(2).next_power_of_two();
            demand(
                tally.missing(0..from) <= claim,
                "thieves hold no more than they claimed",
            );
        }
        stop.store(true, SeqCst);
        stall.release();
        second.iter().for_each(|second| second.release());
    });
    steal_all(stealer, tally);
    tally.assert_each_once(0..owner_works(0));
    stall.holds_one() && both
}

/// An injector with a bound, as the engine uses it.
struct Bounded {
    queue: Injector<usize>,
    capacity: u64,
}

impl Bounded {
    fn push(&self, item: usize) -> Result<(), usize> {
        let room = |position| position < self.queue.head() + self.capacity;
        match self.queue.push(item, room) {
            Ok(_) => Ok(()),
            Err(Rejected::Full(back)) => Err(back),
            Err(Rejected::Closed(_)) => unreachable!("nobody closes"),
        }
    }

    fn push_batch(&self, items: &mut [Option<usize>]) -> usize {
        let room = |position, want: usize| {
            (self.queue.head() + self.capacity)
                .saturating_sub(position)
                .min(want as u64) as usize
        };
        match self.queue.push_batch(items, room) {
            Ok(all) => all,
            Err(Rejected::Full(some)) => some,
            Err(Rejected::Closed(_)) => unreachable!("nobody closes"),
        }
    }

    fn pop(&self, most: usize, tally: &Tally) -> usize {
        self.queue
            .pop(most, |_| {}, |_, item| tally.took(item))
            .taken
    }
}

/// Somebody stands in an injector, and perhaps a helper somewhere else; pushes and pops of others
/// must go through.
fn on_injector(
    point: &Point,
    role: Role,
    helper: Option<(&'static str, Role)>,
    capacity: usize,
    pass: usize,
) -> bool {
    let (stall, before) = stalls(point, pass);
    let beside = helper.map(|(name, _)| Stall::at(name, 0));
    let helper = helper.map_or(Role::Producer, |(_, role)| role);
    let _release = Release([&stall].into_iter().chain(&before).chain(&beside).collect());
    let entries = (capacity / 56 + 3).next_power_of_two();
    let bounded = Bounded {
        queue: Injector::at(entries, 0),
        capacity: capacity as u64,
    };
    let (tally, given) = (Tally::new(), AtomicUsize::new(0));
    let (done, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let (helper_done, stop_helper) = (AtomicBool::new(beside.is_none()), AtomicBool::new(false));
    let fresh = || given.fetch_add(1, SeqCst);

    let produce = |stop: &AtomicBool| {
        for _ in 0..OPERATIONS {
            let mut item = fresh();
            while let Err(back) = bounded.push(item) {
                item = back;
                if stop.load(SeqCst) {
                    // Not accepted: it is ours.
                    return tally.took(item);
                }
                yield_now();
            }
            if stop.load(SeqCst) {
                return;
            }
        }
    };
    let batch = |stop: &AtomicBool| {
        for turn in 0..OPERATIONS / 10 {
            let mut items: Vec<_> = (0..3 + turn % 11).map(|_| Some(fresh())).collect();
            let mut done = 0;
            while done < items.len() {
                done += bounded.push_batch(&mut items[done..]);
                if stop.load(SeqCst) {
                    return items
                        .into_iter()
                        .flatten()
                        .for_each(|item| tally.took(item));
                }
                yield_now();
            }
        }
    };
    let consume = |stop: &AtomicBool| {
        for turn in 0..OPERATIONS {
            while bounded.pop([1, 5, 64][turn % 3], &tally) == 0 && !stop.load(SeqCst) {
                yield_now();
            }
            if stop.load(SeqCst) {
                return;
            }
        }
    };
    let act = |role: Role, stop: &AtomicBool| match role {
        Role::Producer => produce(stop),
        Role::Batcher => batch(stop),
        _ => consume(stop),
    };
    // The other thread: as long as somebody is there, it pushes and pops.
    let mut turn = 0;
    let mut others = || {
        turn += 1;
        let item = fresh();
        if let Err(item) = bounded.push(item) {
            bounded.queue.contest();
            tally.took(item);
        }
        // A consumer that is watched needs something to take.
        if ![role, helper].contains(&Role::Consumer) || turn % 3 == 0 {
            bounded.pop(1, &tally);
        }
    };

    thread::scope(|scope| {
        if let Some(beside) = &beside {
            scope.spawn(|| {
                beside.watch();
                act(helper, &stop_helper);
                helper_done.store(true, SeqCst);
            });
            wait_until("the helper stands", || {
                // What stands at its first push needs no others.
                if point.beside.is_none() {
                    others();
                }
                beside.holds_one() || helper_done.load(SeqCst)
            });
        }
        scope.spawn(|| {
            before.iter().for_each(Stall::watch);
            stall.watch();
            act(role, &stop);
            done.store(true, SeqCst);
        });
        pass_through(&before, &stall, &done, &mut others);
        wait_until("the thread stands or has finished", || {
            others();
            stall.holds_one() || done.load(SeqCst)
        });
        if stall.holds_one() {
            let from = given.load(SeqCst);
            let mut to = from;
            while to < from + MEANWHILE {
                let mut item = to;
                wait_until("a push goes through", || match bounded.push(item) {
                    Ok(()) => true,
                    Err(back) => {
                        item = back;
                        bounded.queue.contest();
                        bounded.pop(1, &tally);
                        false
                    }
                });
                to += 1;
                if to % 3 == 0 {
                    bounded.pop(2, &tally);
                }
            }
            given.store(to, SeqCst);
            wait_until("all that was pushed meanwhile has arrived", || {
                bounded.pop(64, &tally);
                tally.missing(from..to) == 0
            });
        }
        for flag in [&stop, &stop_helper] {
            flag.store(true, SeqCst);
        }
        stall.release();
        beside.iter().for_each(|beside| beside.release());
        wait_until("everybody has finished", || {
            bounded.pop(64, &tally);
            done.load(SeqCst) && helper_done.load(SeqCst)
        });
    });
    while bounded.pop(64, &tally) > 0 {}
    tally.assert_each_once(0..given.load(SeqCst));
    assert!(bounded.queue.segments_in_use() <= 1, "segments leak");
    stall.holds_one() && beside.iter().all(|beside| beside.holds_one())
}
