//! Scenes around a broadcast: a worker stands on the way of an errand, and jobs still run.

use super::{Point, Release, demand, wait_or_dump, wait_until};
use crate::ThreadPool;
use crate::probe::Stall;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Who is suspended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// The first of all workers that comes by.
    Errander,
}

const ROUNDS: usize = 50;
const JOBS: usize = 40;

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(point: &Point, workers: usize, pass: usize) -> bool {
    let stall = Stall::at(point.name, pass);
    let before: Vec<_> = point.after.iter().map(|name| Stall::at(name, 0)).collect();
    let _release = Release(before.iter().chain([&stall]).collect());
    let watch = {
        let (stall, before) = (Arc::clone(&stall), before.clone());
        move |worker| {
            stall.watch();
            if worker == 0 {
                before.iter().for_each(Stall::watch);
            }
        }
    };
    let pool = ThreadPool::builder()
        .workers(workers)
        .job_capacity(3)
        .on_start(watch)
        .build()
        .expect("threads can be made");
    let (rounds, called, ended) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let ran = Arc::new(AtomicUsize::new(0));
    let wait = |what: &str, condition: &mut dyn FnMut() -> bool| {
        wait_or_dump(what, || pool.stats().to_string(), condition);
    };
    thread::scope(|scope| {
        for before in &before {
            wait("worker 0 stands before the point", &mut || {
                before.holds_one()
            });
        }
        scope.spawn(|| {
            while rounds.load(SeqCst) < ROUNDS && !stall.holds_one() {
                let ids = pool.broadcast(|worker| {
                    called.fetch_add(1, SeqCst);
                    worker
                });
                assert!(ids.expect("it is open").into_iter().eq(0..workers));
                rounds.fetch_add(1, SeqCst);
                // So that the crew may fall asleep; nothing depends on it.
                thread::yield_now();
            }
            ended.store(true, SeqCst);
        });
        for before in &before {
            wait("all others have called", &mut || {
                called.load(SeqCst) >= workers - 1
            });
            before.release();
        }
        wait("somebody stands, or all is done", &mut || {
            stall.holds_one() || ended.load(SeqCst)
        });
        if stall.holds_one() {
            for _ in 0..JOBS {
                let ran = Arc::clone(&ran);
                let job = move || {
                    ran.fetch_add(1, SeqCst);
                };
                pool.execute(job).expect("it is open");
            }
            wait("what others submit has run", &mut || {
                ran.load(SeqCst) == JOBS
            });
        }
        stall.release();
    });
    let rounds = rounds.load(SeqCst);
    assert_eq!(called.load(SeqCst), rounds * workers, "each worker once");
    pool.join().expect("not in a worker");
    stall.holds_one()
}

/// While a herald stands half-way, no call of another broadcast begins.
#[test]
fn broadcasts_take_turns() {
    let stall = Stall::at("errand send: in its slot, not shown", 0);
    let _release = Release(vec![&stall]);
    let watch = Arc::clone(&stall);
    let builder = ThreadPool::builder().workers(3);
    let pool = builder.on_start(move |_| watch.watch()).build().unwrap();
    let (comes, called) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let first = scope.spawn(|| pool.broadcast(|worker| worker));
        wait_until("the herald stands", || stall.holds_one());
        let second = scope.spawn(|| {
            comes.store(true, SeqCst);
            pool.broadcast(|_| called.fetch_add(1, SeqCst))
        });
        wait_until("the second comes", || comes.load(SeqCst));
        for _ in 0..5_000 {
            demand(called.load(SeqCst) == 0, "it waits for the first");
            thread::yield_now();
        }
        stall.release();
        assert_eq!(first.join().unwrap().unwrap(), [0, 1, 2]);
        second.join().unwrap().unwrap();
    });
    assert_eq!(called.load(SeqCst), 3);
}
