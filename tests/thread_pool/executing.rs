//! Detached closures: `execute` and its like.

use crate::common::{Door, OpenAtEnd, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use workcrew::{SubmitError, ThreadPool, TrySubmitError};

#[test]
fn every_accepted_closure_runs_once() {
    const EACH: usize = if cfg!(miri) { 40 } else { 1000 };
    let _watchdog = watchdog();
    let runs: Arc<Vec<AtomicUsize>> =
        Arc::new((0..3 * EACH).map(|_| AtomicUsize::new(0)).collect());
    let pool = ThreadPool::builder()
        .workers(3)
        .job_capacity(7)
        .build()
        .unwrap();
    let job = |n: usize| {
        let runs = Arc::clone(&runs);
        move || {
            runs[n].fetch_add(1, Relaxed);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| (0..EACH).for_each(|n| pool.execute(job(n)).unwrap()));
        scope.spawn(|| {
            for n in EACH..2 * EACH {
                let mut again = job(n);
                while let Err(TrySubmitError::Full(back)) = pool.try_execute(again) {
                    again = back;
                    thread::yield_now();
                }
            }
        });
        assert_eq!(
            pool.execute_all((2 * EACH..3 * EACH).map(job)).unwrap(),
            EACH as u64
        );
    });
    let handle = pool.handle();
    pool.join().unwrap();
    assert!(runs.iter().all(|runs| runs.load(Relaxed) == 1));
    let stats = handle.stats();
    assert_eq!(
        (stats.accepted, stats.completed),
        (3 * EACH as u64, 3 * EACH as u64)
    );
    assert_conserved(&stats);
}

#[test]
fn the_queue_is_bounded_and_a_refused_closure_comes_back_whole() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(3, 5, &door);
    let _open = OpenAtEnd(&door);
    let (sender, receiver) = mpsc::channel();
    let job = |n: usize, burden: [u64; 10]| {
        let sender = sender.clone();
        move || sender.send((n, burden)).unwrap()
    };
    for n in 0..5 {
        pool.try_execute(job(n, [n as u64; 10])).unwrap();
    }
    // One that lies inline, and one that does not.
    let small = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&small);
    let error = pool.try_execute(move || {
        count.fetch_add(1, Relaxed);
    });
    let Err(TrySubmitError::Full(back)) = error else {
        panic!("there was room")
    };
    back();
    assert_eq!(small.load(Relaxed), 1);
    assert_eq!(Arc::strong_count(&small), 1, "it was consumed");
    pool.try_execute(job(5, [5; 10])).unwrap_err().into_job()();
    assert_eq!(receiver.recv().unwrap(), (5, [5; 10]));
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running), (5, 3));
    assert_conserved(&stats);
    door.open();
    pool.join().unwrap();
    drop(sender);
    let mut rest: Vec<_> = receiver.iter().map(|(n, _)| n).collect();
    rest.sort_unstable();
    assert_eq!(rest, [0, 1, 2, 3, 4]);
}

#[test]
fn execute_waits_for_room_and_close_wakes_it_with_the_closure() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(1, 1, &door);
    let _open = OpenAtEnd(&door);
    pool.execute(|| ()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| match pool.execute(|| ()) {
            Err(SubmitError::Closed(back)) => back(),
            other => panic!("{other:?}"),
        });
        eventually("blocked", || pool.stats().blocked_submitters == 1);
        pool.close();
        waiting.join().unwrap();
    });
    assert!(pool.is_closed());
    let rest = pool.execute_all([|| (), || ()]).unwrap_err();
    assert!(!rest.would_deadlock());
    assert_eq!(rest.into_jobs().count(), 2);
    assert!(matches!(
        pool.try_execute(|| ()),
        Err(TrySubmitError::Closed(_))
    ));
}

#[test]
fn a_job_submits_to_its_own_pool_and_is_not_made_to_wait_for_itself() {
    let _watchdog = watchdog();
    let pool = ThreadPool::builder()
        .workers(1)
        .job_capacity(1)
        .build()
        .unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let (handle, inner) = (pool.handle(), Arc::clone(&ran));
    pool.execute(move || {
        let ran = Arc::clone(&inner);
        handle.execute(move || ran.store(true, Relaxed)).unwrap();
        let full = handle.execute(|| ());
        assert!(matches!(full, Err(SubmitError::WouldDeadlock(_))));
        let full = handle.execute_all([|| ()]).unwrap_err();
        assert!(full.would_deadlock());
    })
    .unwrap();
    pool.wait_idle().unwrap();
    assert!(ran.load(Relaxed));
    assert_eq!(pool.stats().panicked, 0);
}

#[test]
fn jobs_know_their_worker_and_nobody_else_has_one() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = ThreadPool::builder()
        .workers(3)
        .thread_name("closure")
        .build()
        .unwrap();
    let other = ThreadPool::new(1).unwrap();
    assert_eq!(pool.current_worker(), None);
    let (sender, receiver) = mpsc::channel();
    for _ in 0..3 {
        let (door, sender) = (door.clone(), sender.clone());
        let (own, other) = (pool.handle(), other.handle());
        pool.execute(move || {
            door.pass();
            assert_eq!(other.current_worker(), None);
            let name = thread::current().name().unwrap().to_owned();
            sender.send((own.current_worker().unwrap(), name)).unwrap();
        })
        .unwrap();
    }
    door.wait_for(3);
    door.open();
    let mut workers: Vec<_> = receiver.iter().take(3).collect();
    workers.sort();
    for (id, (worker, name)) in workers.into_iter().enumerate() {
        assert_eq!((worker, name), (id, format!("closure-{id}")));
    }
    assert_eq!((pool.workers(), pool.stats().workers.len()), (3, 3));
}

#[test]
fn a_panicking_iterator_loses_none_of_the_closures_that_it_gave() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let jobs = (0..40).map(|n| {
        if n == 35 {
            std::panic::resume_unwind(Box::new(n));
        }
        let runs = Arc::clone(&runs);
        move || {
            runs.fetch_add(1, Relaxed);
        }
    });
    let all = std::panic::AssertUnwindSafe(|| pool.execute_all(jobs).is_ok());
    assert!(std::panic::catch_unwind(all).is_err());
    pool.join().unwrap();
    assert_eq!(runs.load(Relaxed), 35);
}
