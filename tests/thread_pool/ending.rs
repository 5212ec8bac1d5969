//! How a pool of closures ends: the words and rules of `WorkerPool`.

use crate::common::{Door, OpenAtEnd, PATIENCE, drop_while_panicking, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed},
    fence,
};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;
use workcrew::{JoinError, ThreadPool, ThreadPoolHandle, WaitError, WaitTimeoutError};

/// A closure that counts its runs, and whose `counted` counts itself.
fn counting(counted: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static + use<> {
    let counted = Arc::clone(counted);
    move || {
        counted.fetch_add(1, Relaxed);
    }
}

#[test]
fn join_shutdown_and_drop_run_everything_that_was_accepted() {
    let _watchdog = watchdog();
    let ends: [fn(ThreadPool); 3] = [
        |pool| pool.join().unwrap(),
        |pool| pool.shutdown().unwrap(),
        drop,
    ];
    for end in ends {
        let pool = ThreadPool::new(2).unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        pool.execute_all((0..100).map(|_| counting(&runs))).unwrap();
        let handle = pool.handle();
        end(pool);
        assert_eq!(runs.load(Relaxed), 100);
        assert_eq!(Arc::strong_count(&runs), 1);
        assert!(handle.execute(|| ()).is_err());
    }
}

#[test]
fn waiting_with_a_time_leaves_the_pool() {
    let _watchdog = watchdog();
    let door = Door::new();
    let mut pool = busy(1, 5, &door);
    let _open = OpenAtEnd(&door);
    let soon = Duration::from_millis(1);
    assert_eq!(pool.wait_idle_timeout(soon), Err(WaitTimeoutError::Timeout));
    assert!(!pool.is_closed());
    assert_eq!(pool.join_timeout(soon), Err(WaitTimeoutError::Timeout));
    assert_eq!(pool.shutdown_timeout(soon), Err(WaitTimeoutError::Timeout));
    assert!(pool.is_closed());
    door.open();
    pool.wait_idle().unwrap();
    pool.shutdown_timeout(Duration::MAX).unwrap();
    pool.join().unwrap();
}

#[test]
fn shutdown_now_returns_exactly_the_queued_closures_in_order() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(2, 20, &door);
    let (sender, order) = mpsc::channel();
    let job = |n: u32| {
        let sender = sender.clone();
        move || sender.send(n).unwrap()
    };
    pool.execute_all((0..20).map(job)).unwrap();
    let handle = pool.handle();
    let opener = thread::spawn(move || {
        eventually("closed", || handle.is_closed());
        door.open();
        handle
    });
    let mut queued = pool.shutdown_now().unwrap();
    let stats = opener.join().unwrap().stats();
    assert_eq!((stats.completed, stats.returned), (2, 20));
    assert_conserved(&stats);
    // What is dropped does not run.
    drop(queued.pop());
    queued.into_iter().for_each(|job| job.run());
    drop(sender);
    assert!(order.iter().eq(0..19));
}

#[test]
fn a_pool_dropped_in_a_panic_drops_the_queued_closures_unrun() {
    let _watchdog = watchdog();
    let door = Door::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let pool = busy(1, 20, &door);
    pool.execute_all((0..9).map(|_| counting(&runs))).unwrap();
    let bad = crate::common::PanicsOnDrop;
    pool.execute(move || drop(bad)).unwrap();
    let handle = pool.handle();
    let opener = thread::spawn({
        let handle = handle.clone();
        move || {
            eventually("closed", || handle.is_closed());
            door.open();
        }
    });
    drop_while_panicking(|| pool);
    opener.join().unwrap();
    assert_eq!(runs.load(Relaxed), 0);
    assert_eq!(Arc::strong_count(&runs), 1);
    let stats = handle.stats();
    assert_eq!((stats.completed, stats.cancelled), (1, 10));
    assert_conserved(&stats);
}

/// What a job does with its own pool.
type Deed = fn(ThreadPool) -> Result<(), JoinError>;

#[test]
fn a_job_that_ends_its_own_pool_is_told_and_the_pool_ends_by_itself() {
    let _watchdog = watchdog();
    // With whether the jobs that are queued still run.
    let deeds: [(Deed, bool); 4] = [
        (ThreadPool::join, true),
        (|pool| pool.shutdown_now().map(drop), false),
        (
            |pool| {
                drop(pool);
                Err(JoinError::WouldDeadlock)
            },
            true,
        ),
        (
            |pool| {
                drop_while_panicking(|| pool);
                Err(JoinError::WouldDeadlock)
            },
            false,
        ),
    ];
    for (deed, run) in deeds {
        let runs = Arc::new(AtomicUsize::new(0));
        let pool = ThreadPool::new(1).unwrap();
        let handle = pool.handle();
        let (give, take) = mpsc::channel::<ThreadPool>();
        let (say, hear) = mpsc::channel();
        pool.execute(move || {
            let mut pool = take.recv().unwrap();
            assert_eq!(pool.wait_idle(), Err(WaitError::WouldDeadlock));
            assert_eq!(
                pool.join_timeout(Duration::ZERO),
                Err(WaitTimeoutError::WouldDeadlock)
            );
            say.send(deed(pool)).unwrap();
        })
        .unwrap();
        pool.execute_all((0..10).map(|_| counting(&runs))).unwrap();
        give.send(pool).unwrap();
        assert_eq!(hear.recv().unwrap(), Err(JoinError::WouldDeadlock));
        eventually("all closures are gone", || Arc::strong_count(&runs) == 1);
        // The count alone brings nothing of what they did.
        fence(Acquire);
        assert_eq!(runs.load(Relaxed), if run { 10 } else { 0 });
        eventually("it adds up", || {
            let stats = handle.stats();
            assert_conserved(&stats);
            stats.queued == 0 && stats.running == 0
        });
    }
}

/// Whose workers, in their last hook, spread out so many calls of `count` each.
fn spreads_out_in_its_stop_hooks(
    workers: usize,
    count: impl Fn() + Send + Sync + 'static,
) -> (ThreadPool, usize) {
    let own = Arc::new(OnceLock::<ThreadPoolHandle>::new());
    let hook = Arc::clone(&own);
    let pool = ThreadPool::builder()
        .workers(workers)
        .on_stop(move |_| {
            let pool = hook.get().unwrap();
            let fallible = || {
                count();
                Ok::<(), ()>(())
            };
            pool.scope(|scope| (0..3).for_each(|_| scope.spawn(&count)));
            pool.for_each(&[(); 5], |()| count());
            pool.fork_join(&count, &count);
            let group = pool.group(|group| {
                (0..3).for_each(|_| _ = group.spawn(fallible));
            });
            let limited = pool.limited_group(1, |group| {
                (0..3).for_each(|_| _ = group.spawn(fallible));
            });
            assert!(group.is_ok() && limited.is_ok());
            // Each item is a job, and for these it is too late.
            let mut items = pool.map_iter(0..3, |n| n);
            assert!(items.next().is_none());
            assert!(items.into_items().eq(0..3));
            // Nobody hears of a panic in a hook, but this is counted.
            count();
        })
        .build()
        .unwrap();
    own.set(pool.handle()).unwrap();
    (pool, 3 + 5 + 2 + 3 + 3 + 1)
}

/// There may be no other worker any more, and tickets would lie in the queue for ever.
#[test]
fn what_a_stop_hook_spreads_out_it_runs_itself_and_leaves_nothing_queued() {
    let _watchdog = watchdog();
    for workers in [1, 3] {
        for now in [false, true] {
            let ran = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&ran);
            let (mut pool, each) = spreads_out_in_its_stop_hooks(workers, move || {
                count.fetch_add(1, Relaxed);
            });
            let handle = pool.handle();
            if now {
                assert!(pool.shutdown_now().unwrap().is_empty());
            } else {
                pool.join_timeout(PATIENCE).unwrap();
                // No time is needed: nothing is there to be waited for.
                pool.wait_idle_timeout(Duration::ZERO).unwrap();
            }
            assert_eq!(ran.load(Relaxed), workers * each);
            assert_eq!(handle.stats().accepted, 0);
        }
    }
}
