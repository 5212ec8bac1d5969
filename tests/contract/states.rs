//! Workers own their states, and nobody else ever sees them.

use crate::common::{Door, watchdog};
use std::cell::Cell;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use workcrew::WorkerPool;

#[test]
fn shutdown_returns_the_states_in_order_of_the_workers() {
    let _watchdog = watchdog();
    let (pool, _results) = WorkerPool::<u64, ()>::builder()
        .workers(4)
        .init(|worker| (worker, 0))
        .build(|job, ctx| ctx.state.1 += job)
        .unwrap();
    pool.submit_all(0..1000).unwrap();
    let states = pool.shutdown().unwrap();
    assert!(states.iter().map(|(worker, _)| *worker).eq(0..4));
    assert_eq!(states.iter().map(|(_, sum)| sum).sum::<u64>(), 499_500);
}

#[test]
fn a_state_stays_in_its_workers_thread_until_the_end() {
    let _watchdog = watchdog();
    /// Neither `Sync` nor used by two threads.
    struct State(Cell<u64>, ThreadId);
    let (pool, results) = WorkerPool::<(), ThreadId>::builder()
        .workers(3)
        .init(|_| State(Cell::new(0), thread::current().id()))
        .build(|(), ctx| {
            ctx.state.0.set(ctx.state.0.get() + 1);
            assert_eq!(ctx.state.1, thread::current().id());
            ctx.state.1
        })
        .unwrap();
    pool.submit_all(
        [(); 3000]
            .into_iter()
            .take(if cfg!(miri) { 30 } else { 900 }),
    )
    .unwrap();
    pool.close();
    let mut runs = [0; 3];
    for outcome in results {
        outcome.result.unwrap();
        runs[outcome.worker] += 1;
    }
    let counted: Vec<u64> = pool
        .shutdown()
        .unwrap()
        .into_iter()
        .map(|state| state.0.get())
        .collect();
    assert_eq!(counted, runs);
}

#[test]
fn the_context_tells_the_worker_the_index_and_that_nothing_is_cancelled() {
    let _watchdog = watchdog();
    let door = Door::new();
    let inside = door.clone();
    let (pool, results) = WorkerPool::<(), (usize, u64)>::builder()
        .workers(3)
        .init(|worker| worker)
        .build(move |(), ctx| {
            inside.pass();
            assert!(!ctx.is_cancelled());
            assert_eq!(*ctx.state, ctx.worker());
            (ctx.worker(), ctx.index())
        })
        .unwrap();
    for job in 0..3 {
        assert_eq!(pool.submit(()).unwrap(), job);
    }
    // All three run at once, so each on its own worker.
    door.wait_for(3);
    door.open();
    pool.close();
    let mut workers = Vec::new();
    for outcome in results {
        assert_eq!(outcome.result.unwrap(), (outcome.worker, outcome.index));
        workers.push(outcome.worker);
    }
    workers.sort_unstable();
    assert_eq!(workers, [0, 1, 2]);
}

#[test]
fn nothing_of_the_pool_is_left_when_pool_and_results_are_gone() {
    let _watchdog = watchdog();
    let held = Arc::new(());
    let (function, state, hook) = (Arc::clone(&held), Arc::clone(&held), Arc::clone(&held));
    let (pool, results) = WorkerPool::<Arc<()>, Arc<()>>::builder()
        .workers(2)
        .on_stop(move |_| drop(Arc::clone(&hook)))
        .init(move |_| Arc::clone(&state))
        .build(move |job, _| {
            let _ = &function;
            job
        })
        .unwrap();
    for _ in 0..20 {
        pool.submit(Arc::clone(&held)).unwrap();
    }
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&held), 21, "20 results wait");
    drop(results);
    assert_eq!(Arc::strong_count(&held), 1);
}
