//! Signals whose handlers interrupt system calls (there is no `SA_RESTART`): whoever sleeps looks
//! and sleeps again, nobody returns before its time, and nobody misses what it waits for.
//!
//! How a test knows that a thread sleeps: the system says so. How it knows that the sleep was
//! interrupted: the handler has run, in that thread, and a handler runs when the call has been
//! given up.

#![cfg(all(target_os = "linux", not(miri)))]

mod common;

use common::{
    Choices, Dice, Door, OpenAtEnd, Task, assert_conserved, behind, crew, eventually, value,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, mpsc};
use std::thread;
use std::time::Duration;
use workcrew::{RecvTimeoutError, ThreadPool, WorkerPool};

/// Longer than a test may take.
const LONG: Duration = Duration::from_secs(600);

/// Interruptions of one sleep.
const TIMES: usize = 20;

/// Handlers that have run.
static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: libc::c_int) {
    HANDLED.fetch_add(1, SeqCst);
}

/// One test at a time counts handlers.
fn alone() -> (common::Watchdog, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    static INSTALLED: Once = Once::new();
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    INSTALLED.call_once(|| {
        // SAFETY: all zero is a valid `sigaction`: no flags, no signals blocked.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        // SAFETY: the handler does nothing but change an atomic.
        let installed =
            unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
        assert_eq!(installed, 0);
    });
    (common::watchdog(), guard)
}

/// The calling thread, as the system calls it.
fn this_thread() -> libc::pid_t {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// Sends the signal. Returns whether there was such a thread.
fn signal(thread: libc::pid_t) -> bool {
    let process = std::process::id();
    // SAFETY: three numbers; the handler is installed.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
    sent == 0
}

fn sleeps(thread: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // Behind the name, which is in brackets.
    stat.is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" S "))
}

/// Interrupts a sleeping thread, again and again, as long as it comes back to sleep.
fn interrupt(thread: libc::pid_t, times: usize, ended: impl Fn() -> bool) {
    for _ in 0..times {
        eventually("it sleeps, or has ended", || sleeps(thread) || ended());
        let before = HANDLED.load(SeqCst);
        if ended() || !signal(thread) {
            return;
        }
        eventually("the handler runs", || {
            HANDLED.load(SeqCst) > before || ended()
        });
    }
}

/// A thread calls `wait`, and when it `waits` it is interrupted, and still there. Then `make_true`
/// is called, and what `wait` returns is returned.
fn interrupted<T: Send>(
    wait: impl FnOnce() -> T + Send,
    waits: impl Fn() -> bool,
    make_true: impl FnOnce(),
) -> T {
    thread::scope(|scope| {
        let (say, hear) = mpsc::channel();
        let waiter = scope.spawn(move || {
            say.send(this_thread()).unwrap();
            wait()
        });
        let thread = hear.recv().unwrap();
        eventually("it waits", || waits() && sleeps(thread));
        interrupt(thread, TIMES, || waiter.is_finished());
        let early = waiter.is_finished();
        make_true();
        let returned = waiter.join().unwrap();
        assert!(!early, "it returned before it was time");
        returned
    })
}

#[test]
fn submitters_that_are_interrupted_go_on_waiting_for_room() {
    let _alone = alone();
    for way in 0..4 {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let (pool, results) = crew(1, 1, 100);
        pool.submit(behind(&door, 0)).unwrap();
        door.wait_for(1);
        pool.submit(value(1)).unwrap();
        let submit = || match way {
            0 => pool.submit(value(2)).is_ok(),
            1 => pool.submit_timeout(value(2), LONG).is_ok(),
            2 => pool.submit_all([value(2)]).is_ok(),
            _ => pool.submitter().submit(value(2)).is_ok(),
        };
        let blocked = || pool.stats().blocked_submitters == 1;
        assert!(interrupted(submit, blocked, || door.open()));
        pool.close();
        let mut values: Vec<_> = results.map(|outcome| outcome.result.unwrap()).collect();
        values.sort_unstable();
        assert_eq!(values, [0, 1, 2]);
    }
}

#[test]
fn takers_that_are_interrupted_go_on_waiting_for_results() {
    let _alone = alone();
    for way in 0..4 {
        let (pool, results) = crew(1, 10, 10);
        let mut taker = results.clone();
        let mut take = || match way {
            0 => taker.recv().unwrap().result.unwrap(),
            1 => taker.recv_timeout(LONG).unwrap().result.unwrap(),
            2 => taker.next().unwrap().result.unwrap(),
            // Until an end for which nobody submits anything.
            _ => 7 + taker.by_ref().count() as u64,
        };
        let make_true = || match way {
            0..3 => drop(pool.submit(value(7)).unwrap()),
            _ => pool.close(),
        };
        assert_eq!(interrupted(&mut take, || true, make_true), 7);
    }
}

#[test]
fn whoever_waits_for_the_end_goes_on_waiting_when_interrupted() {
    let _alone = alone();
    for way in 0..4 {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let (mut pool, results) = crew(1, 1, 100);
        pool.submit(behind(&door, 0)).unwrap();
        door.wait_for(1);
        let wait = || match way {
            0 => pool.wait_idle().is_ok(),
            1 => pool.wait_idle_timeout(LONG).is_ok(),
            2 => pool.join_timeout(LONG).is_ok(),
            _ => pool.join().is_ok(),
        };
        assert!(interrupted(wait, || true, || door.open()));
        drop(results);
    }
}

#[test]
fn whoever_waits_for_closures_goes_on_waiting_when_interrupted() {
    let _alone = alone();
    for way in 0..6 {
        let door = Door::new();
        let _open = OpenAtEnd(&door);
        let pool = ThreadPool::new(1).unwrap();
        let inside = door.clone();
        let job = move || {
            inside.pass();
            7
        };
        let wait = || match way {
            0 => pool.spawn(job).unwrap().join().unwrap(),
            1 => pool
                .spawn(job)
                .unwrap()
                .join_timeout(LONG)
                .unwrap()
                .unwrap(),
            2 => {
                let mut made = 0;
                pool.scope(|scope| scope.spawn(|| made = job()));
                made
            }
            3 => pool
                .map_iter([()], move |()| job())
                .next()
                .unwrap()
                .unwrap(),
            4 => pool.broadcast(|_| job()).unwrap()[0],
            _ => pool.map(&[()], |()| job())[0],
        };
        assert_eq!(interrupted(wait, || door.came() == 1, || door.open()), 7);
    }
}

/// However often it is interrupted: each time less is left.
#[test]
fn a_time_that_is_up_is_up_though_its_sleeper_was_interrupted() {
    let _alone = alone();
    let soon = Duration::from_millis(20);
    let (_pool, mut results) = crew(1, 1, 1);
    let (say, hear) = mpsc::channel();
    let waiter = thread::spawn(move || {
        say.send(this_thread()).unwrap();
        results.recv_timeout(soon).map(drop)
    });
    let thread = hear.recv().unwrap();
    interrupt(thread, usize::MAX, || waiter.is_finished());
    assert_eq!(waiter.join().unwrap(), Err(RecvTimeoutError::Timeout));
}

/// The worker's numbers say that nobody has woken it, and that it has not slept anew.
#[test]
fn idle_workers_that_are_interrupted_sleep_on_and_are_woken_by_jobs() {
    let _alone = alone();
    let (say, hear) = mpsc::channel();
    let say = Mutex::new(say);
    let (pool, mut results) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .on_start(move |_| say.lock().unwrap().send(this_thread()).unwrap())
        .build(|job, _| job)
        .unwrap();
    let workers: Vec<_> = hear.iter().take(3).collect();
    let asleep = || {
        let stats = pool.stats();
        let asleep = stats
            .workers
            .iter()
            .all(|worker| worker.parked == worker.woken + 1);
        (asleep && workers.iter().all(|worker| sleeps(*worker))).then(|| {
            let parked: Vec<_> = stats.workers.iter().map(|worker| worker.parked).collect();
            parked
        })
    };
    for job in 0..10 {
        let mut before = None;
        eventually("all sleep", || {
            before = asleep();
            before.is_some()
        });
        for worker in &workers {
            interrupt(*worker, TIMES, || false);
        }
        eventually("all sleep on", || asleep() == before);
        pool.submit(job).unwrap();
        assert_eq!(results.recv().unwrap().result.unwrap(), job);
    }
    pool.join().unwrap();
}

#[test]
fn a_worker_that_waits_for_room_among_the_results_goes_on_when_interrupted() {
    let _alone = alone();
    let (say, hear) = mpsc::channel();
    let say = Mutex::new(say);
    let (pool, mut results) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .result_capacity(1)
        .on_start(move |_| say.lock().unwrap().send(this_thread()).unwrap())
        .build(|job, _| job)
        .unwrap();
    let worker = hear.recv().unwrap();
    pool.submit_all(0..5).unwrap();
    eventually("it waits", || {
        pool.stats().blocked_workers == 1 && sleeps(worker)
    });
    let before = pool.stats();
    interrupt(worker, TIMES, || false);
    let after = pool.stats();
    assert_eq!(
        (after.blocked_workers, after.completed, after.queued),
        (1, before.completed, before.queued)
    );
    for job in 0..5 {
        assert_eq!(results.recv().unwrap().result.unwrap(), job);
    }
    pool.join().unwrap();
}

/// All threads are interrupted all the time, whatever they are at.
#[test]
fn under_a_storm_of_signals_each_job_has_one_outcome() {
    const JOBS: u64 = 4_000;
    let _alone = alone();
    let threads = Mutex::new(Vec::new());
    let enrol = || threads.lock().unwrap().push(this_thread());
    let over = AtomicBool::new(false);
    let handled = HANDLED.load(SeqCst);
    let seen = Mutex::new(Vec::new());
    let stats = thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice::new(7);
            while !over.load(SeqCst) {
                let threads = threads.lock().unwrap().clone();
                if !threads.is_empty() {
                    signal(threads[dice.below(threads.len() as u64) as usize]);
                }
                thread::yield_now();
            }
        });
        let stats = WorkerPool::<Task, u64>::builder()
            .workers(3)
            .job_capacity(4)
            .result_capacity(4)
            .on_start(|_| enrol())
            .scope(
                |task, _| task(),
                |pool, results| {
                    thread::scope(|scope| {
                        for first in 0..2 {
                            let pool = &pool;
                            scope.spawn(move || {
                                enrol();
                                let mut lane = pool.submitter();
                                for job in (first..JOBS).step_by(2) {
                                    if job % 3 == 0 {
                                        lane.submit(value(job)).unwrap();
                                    } else {
                                        pool.submit(value(job)).unwrap();
                                    }
                                }
                            });
                        }
                        for taker in [results.clone(), results] {
                            scope.spawn(|| {
                                enrol();
                                let took = taker.map(|outcome| outcome.result.unwrap());
                                let took: Vec<_> = took.take(JOBS as usize / 2).collect();
                                seen.lock().unwrap().extend(took);
                            });
                        }
                    });
                    let stats = pool.handle();
                    pool.join().unwrap();
                    stats.stats()
                },
            )
            .unwrap();
        over.store(true, SeqCst);
        stats
    });
    assert_conserved(&stats);
    assert_eq!(stats.completed, JOBS);
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..JOBS));
    assert!(HANDLED.load(SeqCst) - handled > 100, "there was a storm");
}
