//! Scenes at a nest: alone, and in a scope whose jobs make jobs; and at a scope's lazy queue.

use super::{Point, Release, demand, wait_until};
use crate::ThreadPool;
use crate::lazy::Lazy;
use crate::nest::{InPlace, Nest, Owner, Stolen};
use crate::probe::Stall;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, yield_now};

/// Who is suspended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Pushes and pops.
    Nester,
    /// Steals.
    Robber,
    /// A worker of a pool, at work for a scope.
    Member,
    /// Makes a lazy value.
    Maker,
}

const OPERATIONS: usize = 160;
const SLOTS: usize = 4;
const TAG: usize = 1;

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(point: &Point, role: Role, pass: usize) -> bool {
    match role {
        Role::Nester | Role::Robber => alone(point, role, pass),
        Role::Member => in_a_scope(point, pass),
        Role::Maker => makes(point),
    }
}

/// One has made a value, and not shown it: another makes its own, and both have that.
fn makes(point: &Point) -> bool {
    let stall = Stall::at(point.name, 0);
    let _release = Release(vec![&stall]);
    let lazy = Lazy::new();
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            stall.watch();
            *lazy.get_or(|| 1)
        });
        wait_until("the first stands", || stall.holds_one());
        demand(*lazy.get_or(|| 2) == 2, "the other goes on");
        stall.release();
        demand(first.join().unwrap() == 2, "there is one value");
    });
    stall.holds_one()
}

/// One owner and one thief, of whom one stands; the other goes on, and another thief.
fn alone(point: &Point, role: Role, pass: usize) -> bool {
    let stall = Stall::at(point.name, if point.after.is_empty() { pass } else { 0 });
    let before: Vec<_> = point.after.iter().map(|name| Stall::at(name, 0)).collect();
    let _release = Release([&stall].into_iter().chain(&before).collect());
    let watch = || {
        before.iter().for_each(Stall::watch);
        stall.watch();
    };
    let nest = Nest::new(SLOTS);
    let taken = Mutex::new(BTreeSet::new());
    let took = |item: usize| assert!(taken.lock().unwrap().insert(item), "{item} came twice");
    let (pushed, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let steal = || match nest.steal(None) {
        Stolen::Item(item) => {
            took(item);
            true
        }
        Stolen::Retry => true,
        Stolen::Nothing => false,
    };
    let own = |owner: &Owner<'_, usize>, item: usize| {
        // No room: there is another place.
        let _ = owner.push(TAG, || item).map_err(|make| took(make()));
        pushed.store(item + 1, SeqCst);
        if item % 3 != 0 {
            owner.pop(TAG).map(InPlace::take).into_iter().for_each(took);
        }
    };
    let is_owner = role == Role::Nester;
    thread::scope(|scope| {
        scope.spawn(|| {
            if is_owner {
                watch();
            }
            // SAFETY: this thread's only.
            let owner = unsafe { nest.owner() };
            let mut item = 0;
            // As long as a thief may yet come.
            while item < OPERATIONS || !is_owner && !done.load(SeqCst) {
                own(&owner, item);
                item += 1;
                yield_now();
            }
            if is_owner {
                done.store(true, SeqCst);
            }
        });
        if !is_owner {
            scope.spawn(|| {
                watch();
                for _ in 0..OPERATIONS {
                    steal();
                    yield_now();
                }
                done.store(true, SeqCst);
            });
        }
        for stall in &before {
            wait_until(
                "it stands where it is to stand first, or has finished",
                || stall.holds_one() || done.load(SeqCst),
            );
            // The other takes away what it is about to take.
            while steal() {}
            stall.release();
        }
        wait_until("somebody stands or has finished", || {
            steal();
            stall.holds_one() || done.load(SeqCst)
        });
        if stall.holds_one() {
            let from = pushed.load(SeqCst);
            if !is_owner {
                wait_until("the owner goes on", || {
                    pushed.load(SeqCst) > from + OPERATIONS
                });
            }
            let all = pushed.load(SeqCst);
            wait_until("all that was pushed is taken, but for one", || {
                steal();
                taken.lock().unwrap().range(..all).count() + 1 >= all
            });
            stall.release();
        }
        wait_until("it has finished", || done.load(SeqCst));
    });
    while steal() {}
    demand(
        taken.lock().unwrap().len() == pushed.load(SeqCst),
        "each item comes out once",
    );
    stall.holds_one()
}

/// Jobs of the scope's first job, and how many each of them spawns.
const CHILDREN: usize = 30;
const GRANDCHILDREN: usize = 2;
/// So many jobs others run while the first one goes on.
const STOLEN: usize = 10;

fn in_a_scope(point: &Point, pass: usize) -> bool {
    let stall = Stall::at(point.name, pass);
    let _release = Release(vec![&stall]);
    let watch = Arc::clone(&stall);
    let pool = ThreadPool::builder()
        .workers(3)
        .on_start(move |_| watch.watch())
        .build()
        .expect("threads can be made");
    let [spawned, ran] = [(); 2].map(|()| AtomicUsize::new(0));
    let others = Arc::new(AtomicUsize::new(0));
    let one_more = |count: &AtomicUsize| {
        count.fetch_add(1, SeqCst);
    };
    thread::scope(|threads| {
        let owner = threads.spawn(|| {
            pool.scope(|scope| {
                one_more(&spawned);
                scope.spawn(|| {
                    for _ in 0..CHILDREN {
                        one_more(&spawned);
                        scope.spawn(|| {
                            for _ in 0..GRANDCHILDREN {
                                one_more(&spawned);
                                scope.spawn(|| one_more(&ran));
                            }
                            one_more(&ran);
                        });
                    }
                    // All that is nested here, others have to steal.
                    wait_until("others run jobs", || ran.load(SeqCst) >= STOLEN);
                    one_more(&ran);
                });
            });
        });
        wait_until("somebody stands, or all is over", || {
            stall.holds_one() || owner.is_finished()
        });
        if stall.holds_one() {
            for _ in 0..CHILDREN {
                let others = Arc::clone(&others);
                let count = move || {
                    others.fetch_add(1, SeqCst);
                };
                demand(pool.execute(count).is_ok(), "the pool is open");
            }
            wait_until("others' jobs run", || others.load(SeqCst) == CHILDREN);
            // But for the job that stands, and the one that it has in its hands or came from.
            wait_until("the scope's jobs run", || {
                pool.stats().queued == 0 && ran.load(SeqCst) + 2 >= spawned.load(SeqCst)
            });
            stall.release();
        }
        owner.join().unwrap();
    });
    let all = 1 + CHILDREN * (1 + GRANDCHILDREN);
    demand(ran.load(SeqCst) == all, "each job is run");
    stall.holds_one()
}
