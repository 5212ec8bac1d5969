//! Scenes in a group with a limit of two.

use super::{Point, Release, demand, wait_until};
use crate::ThreadPool;
use crate::probe::Stall;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, yield_now};

/// Who is suspended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// A worker at the end of its job: it keeps one of the two permits.
    Member,
    /// The thread of the body.
    Spawner,
}

const PERMIT_IN_HAND: &str = "group: job ended, permit not passed on";

const JOBS: usize = 30;
/// How many jobs each of them spawns.
const CHILDREN: usize = 2;
/// How many the spawner has spawned before it stands.
const BEFORE: usize = 3;

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(point: &Point, role: Role, pass: usize) -> bool {
    let fails = point.operation == "a failure";
    let pass = match role {
        Role::Spawner => BEFORE,
        // Only one is the first.
        Role::Member if fails => 0,
        Role::Member => pass,
    };
    let stall = Stall::at(point.name, pass);
    let _release = Release(vec![&stall]);
    let watch = Arc::clone(&stall);
    let pool = ThreadPool::builder()
        .workers(3)
        .on_start(move |_| {
            if role == Role::Member {
                watch.watch();
            }
        })
        .build()
        .expect("threads can be made");
    let (ran, others) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (held, all_spawned) = (Arc::new(()), AtomicBool::new(role == Role::Spawner));
    let work = |held: Arc<()>| {
        drop(held);
        while !all_spawned.load(SeqCst) {
            yield_now();
        }
        ran.fetch_add(1, SeqCst)
    };
    thread::scope(|scope| {
        let owner = scope.spawn(|| {
            if role == Role::Spawner {
                stall.watch();
            }
            pool.limited_group(2, |group| {
                for n in 0..JOBS {
                    let (held, work) = (Arc::clone(&held), &work);
                    group.spawn(move || {
                        for _ in 0..CHILDREN {
                            let held = Arc::clone(&held);
                            group.spawn(move || Ok(work(held)));
                        }
                        work(held);
                        if fails && n == BEFORE { Err(n) } else { Ok(n) }
                    });
                }
                all_spawned.store(true, SeqCst);
            })
        });
        wait_until("somebody stands", || stall.holds_one());
        for _ in 0..JOBS {
            let others = Arc::clone(&others);
            let count = move || {
                others.fetch_add(1, SeqCst);
            };
            demand(pool.execute(count).is_ok(), "the pool is open");
        }
        wait_until("others' jobs run", || others.load(SeqCst) == JOBS);
        if fails {
            wait_until("what has not started is dropped", || {
                Arc::strong_count(&held) == 1
            });
        } else {
            let spawned = if role == Role::Member { JOBS } else { BEFORE };
            // Who stands with a permit in hand has claimed a job for it.
            let claimed = usize::from(point.name == PERMIT_IN_HAND);
            let all = spawned * (1 + CHILDREN) - claimed;
            wait_until("the group's jobs run", || ran.load(SeqCst) >= all);
        }
        stall.release();
        let outcome = owner.join().unwrap();
        match outcome {
            Ok(values) => demand(
                !fails && values.len() == JOBS * (1 + CHILDREN),
                "all values come",
            ),
            Err(error) => demand(fails && error.index >= BEFORE, "the failure comes"),
        }
    });
    demand(
        Arc::strong_count(&held) == 1,
        "each job is run, or dropped unrun",
    );
    stall.holds_one()
}
