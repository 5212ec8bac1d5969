//! Jobs with a handle.

use crate::common::{Door, OpenAtEnd, PanicsOnDrop, eventually, watchdog};
use crate::{assert_conserved, busy};
use std::cell::RefCell;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;
use workcrew::{JobError, JobHandle, SubmitError, ThreadPool};

/// Wakes a thread, and counts.
struct Alarm(Thread, AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Relaxed);
        self.0.unpark();
    }
}

fn alarm() -> (Arc<Alarm>, Waker) {
    let alarm = Arc::new(Alarm(thread::current(), AtomicUsize::new(0)));
    (Arc::clone(&alarm), Waker::from(alarm))
}

/// Polls until it is ready.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (_alarm, waker) = alarm();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn is_cancelled<T>(result: Result<T, JobError>) -> bool {
    matches!(result, Err(JobError::Cancelled))
}

#[test]
fn each_handle_gets_its_own_result_however_it_waits() {
    const EACH: u64 = if cfg!(miri) { 30 } else { 500 };
    let _watchdog = watchdog();
    let pool = ThreadPool::builder()
        .workers(3)
        .job_capacity(7)
        .build()
        .unwrap();
    type Way = fn(JobHandle<Box<u64>>) -> u64;
    let ways: [Way; 4] = [
        |handle| *handle.join().unwrap(),
        |handle| *block_on(handle).unwrap(),
        |handle| *handle.join_timeout(Duration::MAX).unwrap().unwrap(),
        |handle| {
            eventually("finished", || handle.is_finished());
            *handle.join().unwrap()
        },
    ];
    thread::scope(|scope| {
        for way in ways {
            let pool = &pool;
            scope.spawn(move || {
                for n in 0..EACH {
                    let handle = pool.spawn(move || Box::new(n)).unwrap();
                    assert_eq!(way(handle), n);
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!(stats.accepted, 4 * EACH);
    assert_conserved(&stats);
}

#[test]
fn a_panic_comes_to_the_handle_with_its_payload_and_to_nobody_else() {
    let _watchdog = watchdog();
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let pool = ThreadPool::builder()
        .workers(1)
        .on_panic(move |_, _| {
            count.fetch_add(1, Relaxed);
        })
        .build()
        .unwrap();
    let job = pool.spawn(|| std::panic::panic_any(7_u8)).unwrap();
    let Err(JobError::Panicked(panic)) = job.join() else {
        panic!("it panicked")
    };
    assert_eq!(*panic.into_payload().downcast::<u8>().unwrap(), 7);
    let job = pool.spawn(|| -> u8 { panic!("a word") }).unwrap();
    let Err(JobError::Panicked(panic)) = block_on(job) else {
        panic!("it panicked")
    };
    assert_eq!(panic.message(), "a word");
    let handle = pool.handle();
    pool.join().unwrap();
    assert_eq!(told.load(Relaxed), 0);
    assert_eq!(handle.stats().panicked, 2);
}

#[test]
fn a_job_whose_handle_was_dropped_runs_and_its_panic_goes_to_the_handler() {
    let _watchdog = watchdog();
    let (say, hear) = mpsc::channel();
    let pool = ThreadPool::builder()
        .workers(1)
        .on_panic(move |worker, panic| say.send((worker, panic.message().to_owned())).unwrap())
        .build()
        .unwrap();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let inside = door.clone();
    drop(pool.spawn(move || inside.pass()).unwrap());
    let counted = Arc::new(());
    let held = Arc::clone(&counted);
    drop(pool.spawn(move || held).unwrap());
    drop(pool.spawn(|| -> u8 { panic!("detached") }).unwrap());
    door.open();
    assert_eq!(hear.recv().unwrap(), (0, "detached".to_owned()));
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_result_is_dropped_once_whoever_drops_it_and_a_panic_there_is_swallowed() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let counted = Arc::new(());
    let make = || {
        let counted = Arc::clone(&counted);
        move || (counted, PanicsOnDrop)
    };
    // The handle goes first, and then the result is there first.
    let door = Door::new();
    let inside = door.clone();
    pool.execute(move || inside.pass()).unwrap();
    drop(pool.spawn(make()).unwrap());
    door.open();
    let handle = pool.spawn(make()).unwrap();
    eventually("finished", || handle.is_finished());
    drop(handle);
    let handle: JobHandle<()> = pool.spawn(|| std::panic::panic_any(PanicsOnDrop)).unwrap();
    eventually("finished", || handle.is_finished());
    drop(handle);
    drop::<JobHandle<()>>(pool.spawn(|| std::panic::panic_any(PanicsOnDrop)).unwrap());
    let stats = pool.handle();
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&counted), 1);
    let stats = stats.stats();
    assert_eq!((stats.completed, stats.panicked), (3, 2));
}

#[test]
fn a_cancelled_job_is_dropped_unstarted_and_its_handle_told() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(1, 10, &door);
    let _open = OpenAtEnd(&door);
    let counted = Arc::new(());
    let held = Arc::clone(&counted);
    let bad = PanicsOnDrop;
    let job = pool
        .spawn(move || {
            let _bad = bad;
            held
        })
        .unwrap();
    assert!(!job.is_finished());
    assert!(job.cancel());
    assert_eq!(Arc::strong_count(&counted), 1, "dropped by now");
    assert!(!job.cancel(), "once");
    assert!(job.is_finished());
    assert!(is_cancelled(job.join()));
    assert_eq!(pool.stats().queued, 1, "it keeps its place");
    door.open();
    let job = pool.spawn(|| 5).unwrap();
    eventually("finished", || job.is_finished());
    assert!(!job.cancel(), "too late");
    assert_eq!(job.join().unwrap(), 5);
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.completed, stats.cancelled), (2, 1));
    assert_conserved(&stats);
}

#[test]
fn a_running_job_is_not_touched_by_cancel() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = ThreadPool::new(1).unwrap();
    let inside = door.clone();
    let job = pool.spawn(move || inside.pass()).unwrap();
    door.wait_for(1);
    assert!(!job.cancel());
    let job = job.join_timeout(Duration::from_millis(1)).unwrap_err();
    door.open();
    job.join().unwrap();
}

#[test]
fn jobs_that_the_pool_drops_or_hands_back_unrun_are_cancelled() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(1, 10, &door);
    let jobs: Vec<_> = (0..3).map(|n| pool.spawn(move || n).unwrap()).collect();
    let handle = pool.handle();
    let opener = thread::spawn(move || {
        eventually("closed", || handle.is_closed());
        door.open();
    });
    let mut queued = pool.shutdown_now().unwrap();
    opener.join().unwrap();
    let mut jobs = jobs.into_iter();
    queued.remove(0).run();
    assert_eq!(jobs.next().unwrap().join().unwrap(), 0);
    drop(queued);
    assert!(jobs.all(|job| is_cancelled(job.join())));
}

#[test]
fn spawn_hands_the_closure_back() {
    let _watchdog = watchdog();
    let door = Door::new();
    let pool = busy(1, 1, &door);
    let _open = OpenAtEnd(&door);
    pool.execute(|| ()).unwrap();
    pool.close();
    let counted = Arc::new([1_u64; 20]);
    let held = Arc::clone(&counted);
    match pool.spawn(move || held.iter().sum::<u64>()) {
        Err(SubmitError::Closed(back)) => assert_eq!(back(), 20),
        other => panic!("{other:?}"),
    }
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// All workers wait for jobs that are queued behind them.
#[test]
fn workers_that_wait_for_queued_jobs_run_them() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    fn fibonacci(pool: &workcrew::ThreadPoolHandle, n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let own = pool.clone();
        let other = pool.spawn(move || fibonacci(&own, n - 2)).unwrap();
        fibonacci(pool, n - 1) + other.join().unwrap()
    }
    let handle = pool.handle();
    let job = pool.spawn(move || fibonacci(&handle, 14)).unwrap();
    assert_eq!(job.join().unwrap(), 377);
    pool.wait_idle().unwrap();
    assert_conserved(&pool.stats());
}

/// The complaint is rayon's issue 592: the waiter steals a job that wants its lock.
#[test]
fn a_job_that_holds_a_mutex_while_it_joins_meets_no_job_that_wants_it() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let lock = Arc::new(Mutex::new(0));
    let (handle, own) = (pool.handle(), Arc::clone(&lock));
    let job = pool
        .spawn(move || {
            let mut number = own.lock().unwrap();
            let strangers: Vec<_> = (0..10)
                .map(|_| {
                    let lock = Arc::clone(&own);
                    handle.spawn(move || *lock.lock().unwrap() += 1).unwrap()
                })
                .collect();
            // Queued behind them.
            *number += handle.spawn(|| 100).unwrap().join().unwrap();
            strangers
        })
        .unwrap();
    for stranger in job.join().unwrap() {
        stranger.join().unwrap();
    }
    assert_eq!(*lock.lock().unwrap(), 110);
}

#[test]
fn a_cell_in_thread_local_state_is_not_re_entered_by_an_unrelated_job() {
    thread_local! {
        static BUSY: RefCell<u32> = const { RefCell::new(0) };
    }
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let handle = pool.handle();
    let job = pool
        .spawn(move || {
            BUSY.with_borrow_mut(|_mine| {
                for _ in 0..10 {
                    handle
                        .execute(|| BUSY.with_borrow_mut(|n| *n += 1))
                        .unwrap();
                }
                handle.spawn(|| 3).unwrap().join().unwrap()
            })
        })
        .unwrap();
    assert_eq!(job.join().unwrap(), 3);
    pool.wait_idle().unwrap();
    assert_eq!(pool.stats().panicked, 0);
}

#[test]
fn the_last_waker_is_woken_once() {
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = ThreadPool::new(1).unwrap();
    let inside = door.clone();
    let job = pool.spawn(move || inside.pass()).unwrap();
    let mut job = pin!(job);
    let (first, second) = (alarm(), alarm());
    for (_, waker) in [&first, &second] {
        let poll = job.as_mut().poll(&mut Context::from_waker(waker));
        assert!(poll.is_pending());
    }
    door.open();
    eventually("woken", || second.0.1.load(Relaxed) == 1);
    assert_eq!(first.0.1.load(Relaxed), 0);
    let mut context = Context::from_waker(&second.1);
    assert!(job.as_mut().poll(&mut context).is_ready());
    let again = std::panic::AssertUnwindSafe(|| job.as_mut().poll(&mut context).is_ready());
    assert!(std::panic::catch_unwind(again).is_err());
}

#[test]
fn a_handle_that_has_been_ready_panics_when_it_is_joined() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let waker = alarm().1;
    for timed in [false, true] {
        let mut job = pool.spawn(|| 1).unwrap();
        pool.wait_idle().unwrap();
        let poll = pin!(&mut job).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_ready());
        let join = std::panic::AssertUnwindSafe(|| {
            if timed {
                job.join_timeout(Duration::ZERO).is_ok()
            } else {
                job.join().is_ok()
            }
        });
        assert!(std::panic::catch_unwind(join).is_err());
    }
}

#[test]
fn a_waker_that_panics_does_no_harm() {
    struct Bad(Arc<()>);
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(Arc::clone(&self.0));
        }
    }
    let _watchdog = watchdog();
    let door = Door::new();
    let _open = OpenAtEnd(&door);
    let pool = ThreadPool::new(1).unwrap();
    let inside = door.clone();
    let mut job = pool.spawn(move || inside.pass()).unwrap();
    let carried = Arc::new(());
    let waker = Waker::from(Arc::new(Bad(Arc::clone(&carried))));
    let poll = pin!(&mut job).poll(&mut Context::from_waker(&waker));
    assert!(poll.is_pending());
    drop(waker);
    door.open();
    pool.wait_idle().unwrap();
    assert_eq!(Arc::strong_count(&carried), 1, "what it carried is dropped");
    job.join().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.completed, stats.panicked), (1, 0));
}
