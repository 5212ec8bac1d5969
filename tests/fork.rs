//! A forked child's calls fail; none of them hangs, and the parent notices nothing.

#![cfg(all(target_os = "linux", not(miri)))]

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use workcrew::{
    BroadcastError, CancelError, JobError, JoinError, RecvError, RecvTimeoutError, Results,
    SubmitError, SubmitTimeoutError, ThreadPool, TryRecvError, TrySubmitError, WaitError,
    WaitTimeoutError, WorkerPool,
};

/// Longer than a test may take.
const LONG: Duration = Duration::from_secs(600);

/// A child that hangs is killed after so many seconds.
const PATIENCE: u32 = 60;

/// Runs `child` in a forked child. Returns the number of its first false answer, or
/// `None` if all were true.
fn in_a_child(child: impl FnOnce() -> Vec<bool>) -> Option<i32> {
    // SAFETY: the child calls nothing but the functions under test, the allocator, which
    // glibc makes usable after a fork, `alarm` and `_exit`.
    let id = unsafe { libc::fork() };
    if id == 0 {
        // SAFETY: no arguments but a number.
        unsafe { libc::alarm(PATIENCE) };
        let first_lie = child().iter().position(|answer| !answer);
        let code = first_lie.map_or(0, |nth| nth as i32 + 1);
        // SAFETY: ends the process, whatever its state.
        unsafe { libc::_exit(code) };
    }
    let code = exit_code(id);
    (code != 0).then(|| code - 1)
}

/// Waits for a child. A signal's number comes back negative.
fn exit_code(id: libc::pid_t) -> i32 {
    assert!(id > 0, "the system forks");
    let mut status = 0;
    // SAFETY: writes one number to where it is told to.
    let waited = unsafe { libc::waitpid(id, &raw mut status, 0) };
    assert_eq!(waited, id);
    if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        -libc::WTERMSIG(status)
    }
}

/// A pool of two workers with five results that wait to be taken.
fn pool_with_results() -> (WorkerPool<u64, u64>, Results<u64>) {
    let (pool, results) = WorkerPool::builder()
        .workers(2)
        .build(|job, _| job)
        .unwrap();
    pool.submit_all(0..5).unwrap();
    pool.wait_idle().unwrap();
    (pool, results)
}

/// All goes on in the parent.
fn assert_unharmed(pool: WorkerPool<u64, u64>, results: Results<u64>) {
    pool.submit_all(5..100).unwrap();
    pool.join().unwrap();
    let mut seen: Vec<u64> = results.map(|outcome| outcome.result.unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..100));
}

#[test]
fn submitting_in_a_forked_child_fails() {
    let (pool, results) = pool_with_results();
    let first_lie = in_a_child(|| {
        vec![
            pool.is_closed(),
            matches!(pool.submit(7), Err(SubmitError::Closed(7))),
            matches!(pool.try_submit(7), Err(TrySubmitError::Closed(7))),
            matches!(
                pool.submit_timeout(7, LONG),
                Err(SubmitTimeoutError::Closed(7))
            ),
            pool.submit_all([7, 8]).unwrap_err().into_jobs().eq([7, 8]),
            pool.handle().submit(7).is_err(),
            pool.cancel(0) == Err(CancelError::Forked),
            pool.cancel_all() == Err(CancelError::Forked),
        ]
    });
    assert_eq!(first_lie, None);
    assert_unharmed(pool, results);
}

#[test]
fn submitting_in_a_lane_in_a_forked_child_fails() {
    let (pool, results) = pool_with_results();
    let mut lane = pool.submitter();
    // From here on it has places reserved.
    lane.submit(5).unwrap();
    let first_lie = in_a_child(|| {
        vec![
            matches!(lane.submit(7), Err(SubmitError::Closed(7))),
            matches!(lane.try_submit(7), Err(TrySubmitError::Closed(7))),
            matches!(
                lane.submit_timeout(7, LONG),
                Err(SubmitTimeoutError::Closed(7))
            ),
            lane.submit_all([7, 8]).unwrap_err().into_jobs().eq([7, 8]),
            pool.submitter().submit(7).is_err(),
        ]
    });
    assert_eq!(first_lie, None);
    lane.submit(6).unwrap();
    pool.submit_all(7..100).unwrap();
    pool.join().unwrap();
    let mut seen: Vec<u64> = results.map(|outcome| outcome.result.unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..100));
}

#[test]
fn taking_in_a_forked_child_finds_the_end() {
    let (pool, mut results) = pool_with_results();
    let first_lie = in_a_child(|| {
        vec![
            matches!(results.try_recv(), Err(TryRecvError::Ended)),
            matches!(results.recv(), Err(RecvError::Ended)),
            matches!(results.recv_timeout(LONG), Err(RecvTimeoutError::Ended)),
            results.clone().next().is_none(),
            {
                let mut ordered = pool.in_order(&mut results, 3);
                ordered.next().is_none()
            },
            pool.map(&mut results, [1, 2, 3]).next().is_none(),
        ]
    });
    assert_eq!(first_lie, None);
    assert_unharmed(pool, results);
}

/// What waited in line before the fork does not touch the line in the child.
#[test]
fn awaiting_in_a_forked_child_fails() {
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = Mutex::new(may_go);
    let (pool, mut results) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .job_capacity(1)
        .build(move |job, _ctx| {
            let _ = may_go.lock().unwrap().recv();
            job
        })
        .unwrap();
    pool.submit(0).unwrap();
    pool.submit(1).unwrap();
    let mut other = results.clone();
    let mut context = Context::from_waker(Waker::noop());
    let mut submission = pin!(pool.submit_async(7));
    let mut taken = pin!(results.recv_async());
    let mut idle = pin!(pool.wait_idle_async());
    assert!(submission.as_mut().poll(&mut context).is_pending());
    assert!(taken.as_mut().poll(&mut context).is_pending());
    assert!(idle.as_mut().poll(&mut context).is_pending());
    let first_lie = in_a_child(|| {
        let mut context = Context::from_waker(Waker::noop());
        vec![
            matches!(
                submission.as_mut().poll(&mut context),
                Poll::Ready(Err(SubmitError::Closed(7)))
            ),
            matches!(
                taken.as_mut().poll(&mut context),
                Poll::Ready(Err(RecvError::Ended))
            ),
            idle.as_mut().poll(&mut context) == Poll::Ready(Err(WaitError::Forked)),
            matches!(
                pin!(pool.submit_async(8)).poll(&mut context),
                Poll::Ready(Err(SubmitError::Closed(8)))
            ),
            matches!(
                pin!(other.recv_async()).poll(&mut context),
                Poll::Ready(Err(RecvError::Ended))
            ),
        ]
    });
    assert_eq!(first_lie, None);
    drop(go);
    smol::block_on(async {
        submission.await.unwrap();
        taken.await.unwrap();
    });
}

/// What a taker had in hand before the fork is the parent's, like what lies in the queue.
#[test]
fn a_forked_child_gets_and_drops_nothing_of_the_parents() {
    /// Counts its drops in another process than its own, in memory that both share.
    struct Mine(&'static AtomicUsize, u32);
    impl Drop for Mine {
        fn drop(&mut self) {
            if std::process::id() != self.1 {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    // SAFETY: new memory, which nobody else knows.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size_of::<AtomicUsize>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: zeroed, aligned, and never unmapped.
    let drops: &'static AtomicUsize = unsafe { &*page.cast() };
    let id = std::process::id();
    let (pool, mut results) = WorkerPool::<u64, Mine>::builder()
        .workers(1)
        .build(move |_, _| Mine(drops, id))
        .unwrap();
    pool.submit_all(0..20).unwrap();
    pool.wait_idle().unwrap();
    // Some in hand, some not.
    results.recv().unwrap();
    let mut both = Some((pool, results));
    let first_lie = in_a_child(|| {
        let (pool, mut results) = both.take().unwrap();
        let ended = matches!(results.try_recv(), Err(TryRecvError::Ended));
        drop(results);
        drop(pool);
        vec![ended]
    });
    assert_eq!(first_lie, None);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    let (pool, results) = both.unwrap();
    pool.close();
    assert_eq!(results.count(), 19);
}

#[test]
fn waiting_in_a_forked_child_fails() {
    let (mut pool, results) = pool_with_results();
    let first_lie = in_a_child(|| {
        vec![
            pool.wait_idle() == Err(WaitError::Forked),
            pool.wait_idle_timeout(LONG) == Err(WaitTimeoutError::Forked),
            pool.join_timeout(LONG) == Err(WaitTimeoutError::Forked),
            pool.stats().completed == 5,
        ]
    });
    assert_eq!(first_lie, None);
    assert_unharmed(pool, results);
}

#[test]
fn ending_a_pool_in_a_forked_child_ends_nothing() {
    type End = fn(WorkerPool<u64, u64>) -> bool;
    let ends: [End; 4] = [
        |pool| pool.join() == Err(JoinError::Forked),
        |pool| pool.shutdown() == Err(JoinError::Forked),
        |pool| pool.shutdown_now() == Err(JoinError::Forked),
        |pool| {
            drop(pool);
            true
        },
    ];
    for end in ends {
        let (pool, results) = pool_with_results();
        let mut pool = Some(pool);
        let first_lie = in_a_child(|| vec![end(pool.take().unwrap())]);
        assert_eq!(first_lie, None);
        assert_unharmed(pool.unwrap(), results);
    }
}

#[test]
fn a_child_makes_pools_of_its_own() {
    let (pool, results) = pool_with_results();
    let first_lie = in_a_child(|| {
        let (own, results) = pool_with_results();
        own.close();
        vec![results.count() == 5, own.join().is_ok()]
    });
    assert_eq!(first_lie, None);
    assert_unharmed(pool, results);
}

/// The child comes back from the job like the parent, and must not run the others.
#[test]
fn a_job_that_forks_leaves_the_other_jobs_to_the_parent() {
    let child = Arc::new(AtomicI32::new(0));
    let ran = Arc::new(AtomicUsize::new(0));
    let (id, count) = (Arc::clone(&child), Arc::clone(&ran));
    let parent = std::process::id();
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .build(move |job, _| {
            if job == 0 {
                // SAFETY: see `in_a_child`; the worker's thread ends by itself.
                let forked = unsafe { libc::fork() };
                if forked == 0 {
                    // SAFETY: no arguments but a number.
                    unsafe { libc::alarm(PATIENCE) };
                } else {
                    id.store(forked, Ordering::Relaxed);
                }
            } else if std::process::id() != parent {
                // SAFETY: ends the process.
                unsafe { libc::_exit(9) };
            }
            count.fetch_add(1, Ordering::Relaxed);
            job
        })
        .unwrap();
    pool.submit_all(0..100).unwrap();
    pool.close();
    assert_eq!(results.count(), 100);
    assert_eq!(ran.load(Ordering::Relaxed), 100);
    pool.join().unwrap();
    // Its only thread was the worker's, and with that it ends.
    assert_eq!(exit_code(child.load(Ordering::Relaxed)), 0);
}

#[test]
fn a_child_may_use_what_a_scope_lent_and_leaves_no_mark() {
    let numbers: Vec<u64> = (0..100).collect();
    WorkerPool::<&u64, &u64>::builder()
        .workers(2)
        .scope(
            |job, _| job,
            |mut pool, mut results| {
                pool.submit_all(&numbers[..5]).unwrap();
                pool.wait_idle().unwrap();
                let first_lie = in_a_child(|| {
                    vec![
                        pool.submit(&7).is_err(),
                        pool.join_timeout(LONG) == Err(WaitTimeoutError::Forked),
                        matches!(results.recv(), Err(RecvError::Ended)),
                    ]
                });
                assert_eq!(first_lie, None);
                pool.submit_all(&numbers[5..]).unwrap();
                pool.join().unwrap();
                let sum: u64 = results.map(|outcome| outcome.result.unwrap()).sum();
                assert_eq!(sum, 4950);
            },
        )
        .unwrap();
}

/// The scope's threads are the parent's: std would wait for them without an end.
#[test]
fn a_child_that_leaves_the_body_of_a_scope_aborts() {
    for panics in [false, true] {
        let numbers = [1_u64, 2, 3];
        let parent = std::process::id();
        let id = WorkerPool::<&u64, u64>::builder()
            .workers(2)
            .scope(
                |job, _| *job,
                |pool, _results| {
                    pool.submit_all(&numbers).unwrap();
                    pool.wait_idle().unwrap();
                    // SAFETY: see `in_a_child`.
                    let id = unsafe { libc::fork() };
                    if id == 0 {
                        // SAFETY: no arguments but a number.
                        unsafe { libc::alarm(PATIENCE) };
                        if panics {
                            std::panic::resume_unwind(Box::new(()));
                        }
                    }
                    id
                },
            )
            .unwrap();
        if std::process::id() != parent {
            // SAFETY: ends the process.
            unsafe { libc::_exit(9) };
        }
        assert_eq!(exit_code(id), -libc::SIGABRT);
    }
}

#[test]
fn a_pool_of_closures_is_closed_and_ended_in_a_forked_child() {
    type End = fn(ThreadPool) -> bool;
    let ends: [End; 3] = [
        |pool| pool.join() == Err(JoinError::Forked),
        |pool| matches!(pool.shutdown_now(), Err(JoinError::Forked)),
        |pool| {
            drop(pool);
            true
        },
    ];
    for end in ends {
        let runs = Arc::new(AtomicUsize::new(0));
        let job = || {
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Ordering::Relaxed);
            }
        };
        let mut pool = Some(ThreadPool::new(2).unwrap());
        let first_lie = in_a_child(|| {
            let mut pool = pool.take().unwrap();
            let refused = matches!(pool.execute(job()), Err(SubmitError::Closed(_)))
                && matches!(pool.try_execute(job()), Err(TrySubmitError::Closed(_)))
                && pool.execute_all([job()]).is_err();
            vec![
                refused,
                pool.is_closed(),
                pool.wait_idle() == Err(WaitError::Forked),
                pool.join_timeout(LONG) == Err(WaitTimeoutError::Forked),
                end(pool),
                Arc::strong_count(&runs) == 1,
            ]
        });
        assert_eq!(first_lie, None);
        let pool = pool.unwrap();
        pool.execute_all((0..100).map(|_| job())).unwrap();
        pool.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 100);
    }
}

/// The jobs are the parent's, queued, running and finished.
#[test]
fn a_handle_in_a_forked_child_says_so() {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    let pool = ThreadPool::new(1).unwrap();
    let (open, door) = std::sync::mpsc::channel();
    let finished = pool.spawn(|| Arc::new(0)).unwrap();
    pool.wait_idle().unwrap();
    let running = pool.spawn(move || Arc::new(door.recv().unwrap())).unwrap();
    let queued = pool.spawn(|| Arc::new(2)).unwrap();
    let mut jobs = [finished, running, queued].map(Some);
    let first_lie = in_a_child(|| {
        let says_so = |result| matches!(result, Err(JobError::Forked));
        let [finished, running, queued] = jobs.each_mut().map(|job| job.take().unwrap());
        let cancelled = finished.cancel() || running.cancel() || queued.cancel();
        let mut queued = pin!(queued);
        let mut context = Context::from_waker(Waker::noop());
        let polled = match queued.as_mut().poll(&mut context) {
            Poll::Ready(result) => says_so(result),
            Poll::Pending => false,
        };
        vec![
            !cancelled,
            polled,
            says_so(finished.join()),
            running.join_timeout(LONG).is_ok_and(says_so),
        ]
    });
    assert_eq!(first_lie, None);
    open.send(1).unwrap();
    let results = jobs.map(|job| *job.unwrap().join().unwrap());
    assert_eq!(results, [0, 1, 2]);
    pool.join().unwrap();
}

#[test]
fn a_child_that_leaves_the_body_of_a_scope_of_a_pool_with_its_jobs_aborts() {
    for running in [false, true] {
        let pool = ThreadPool::new(1).unwrap();
        let (open, door) = std::sync::mpsc::channel::<()>();
        let parent = std::process::id();
        let id = pool.scope(|scope| {
            if running {
                scope.spawn(move || door.recv().unwrap());
            }
            // SAFETY: see `in_a_child`.
            let id = unsafe { libc::fork() };
            if id == 0 {
                // SAFETY: no arguments but a number.
                unsafe { libc::alarm(PATIENCE) };
            } else if running {
                open.send(()).unwrap();
            }
            id
        });
        if std::process::id() != parent {
            // SAFETY: ends the process.
            unsafe { libc::_exit(9) };
        }
        // Without jobs it leaves.
        assert_eq!(exit_code(id), if running { -libc::SIGABRT } else { 9 });
    }
}

/// Who maps there does it all itself.
#[test]
fn a_child_opens_scopes_maps_and_pairs_of_its_own() {
    let pool = ThreadPool::new(2).unwrap();
    let numbers: Vec<u64> = (0..100).collect();
    let mut stream = pool.map_iter_ordered(0..100, |n| n);
    assert!(matches!(stream.next(), Some(Ok(0))));
    let first_lie = in_a_child(|| {
        let mut sum = 0;
        pool.scope(|scope| scope.spawn(|| sum += 7));
        let mapped = pool.map(&numbers, |n| n + 1);
        let pair = pool.fork_join(|| 1, || 2);
        let broadcast = pool.broadcast(|_| ());
        let (first, rest) = (stream.next(), pool.map_iter(0..3, |n| n).next());
        vec![
            sum == 7,
            pair == (1, 2),
            mapped.into_iter().eq(1..=100),
            matches!(broadcast, Err(BroadcastError::Closed)),
            first.is_none() && rest.is_none(),
        ]
    });
    assert_eq!(first_lie, None);
    assert!(stream.map(Result::unwrap).eq(1..100));
    assert!(pool.map(&numbers, |n| n + 1).into_iter().eq(1..=100));
}

#[test]
fn a_child_that_leaves_the_body_of_a_group_with_its_jobs_aborts() {
    let pool = ThreadPool::new(1).unwrap();
    let (open, door) = std::sync::mpsc::channel::<()>();
    let mut id = None;
    let outcome = pool.limited_group(1, |group| {
        group.spawn(move || door.recv());
        group.spawn(|| Ok(()));
        // SAFETY: see `in_a_child`.
        let forked = unsafe { libc::fork() };
        if forked == 0 {
            // SAFETY: no arguments but a number.
            unsafe { libc::alarm(PATIENCE) };
        } else {
            open.send(()).unwrap();
            id = Some(forked);
        }
    });
    let Some(id) = id else {
        // SAFETY: ends the process.
        unsafe { libc::_exit(9) };
    };
    assert_eq!(exit_code(id), -libc::SIGABRT);
    assert_eq!(outcome.unwrap().len(), 2);
}

#[test]
fn a_child_that_would_wait_for_its_parents_worker_in_a_pair_aborts() {
    let pool = ThreadPool::new(1).unwrap();
    let parent = std::process::id();
    let (open, door) = std::sync::mpsc::channel::<()>();
    let taken = AtomicBool::new(false);
    let first = || {
        while !taken.load(Ordering::SeqCst) {
            pool.fork_join(|| (), || ());
        }
        // SAFETY: see `in_a_child`.
        let id = unsafe { libc::fork() };
        if id == 0 {
            // SAFETY: no arguments but a number.
            unsafe { libc::alarm(PATIENCE) };
        } else {
            open.send(()).unwrap();
        }
        id
    };
    let taken = &taken;
    let second = move || {
        taken.store(true, Ordering::SeqCst);
        door.recv().unwrap();
    };
    let (id, ()) = pool.fork_join(first, second);
    if std::process::id() != parent {
        // SAFETY: ends the process.
        unsafe { libc::_exit(9) };
    }
    assert_eq!(exit_code(id), -libc::SIGABRT);
}

/// One of its jobs forks in the worker that waits for the scope: the rest is the parent's.
#[test]
fn a_child_of_a_job_that_the_owner_of_its_scope_runs_aborts_unless_that_was_the_last() {
    for rest in ["none", "queued", "running"] {
        let pool = ThreadPool::new(if rest == "running" { 2 } else { 1 }).unwrap();
        let handle = pool.handle();
        let (open, door) = std::sync::mpsc::channel::<()>();
        let child = Arc::new(AtomicI32::new(0));
        let id = Arc::clone(&child);
        let job = pool.spawn(move || {
            let running = AtomicBool::new(false);
            handle.scope(|scope| {
                if rest == "running" {
                    let running = &running;
                    scope.spawn(move || {
                        running.store(true, Ordering::SeqCst);
                        door.recv().unwrap();
                    });
                    while !running.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                }
                // Before and after: one of them comes later, in whichever order they run.
                let queue = || {
                    if rest == "queued" {
                        scope.spawn(|| ());
                    }
                };
                queue();
                scope.spawn(|| {
                    // SAFETY: see `in_a_child`.
                    let forked = unsafe { libc::fork() };
                    if forked == 0 {
                        // SAFETY: no arguments but a number.
                        unsafe { libc::alarm(PATIENCE) };
                    } else {
                        id.store(forked, Ordering::SeqCst);
                    }
                });
                queue();
            });
        });
        while child.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let code = exit_code(child.load(Ordering::SeqCst));
        assert_eq!(
            code,
            if rest == "none" { 0 } else { -libc::SIGABRT },
            "{rest}"
        );
        let _ = open.send(());
        job.unwrap().join().unwrap();
    }
}

/// While it waits it runs a part that forks: then it would wait for the worker in the child too.
#[test]
fn a_child_of_a_part_that_the_waiting_owner_runs_aborts() {
    let pool = ThreadPool::new(2).unwrap();
    let (taken, child) = (AtomicBool::new(false), AtomicI32::new(0));
    let pairs_until = |done: &(dyn Fn() -> bool + Sync)| {
        while !done() {
            pool.fork_join(|| (), || ());
            std::thread::yield_now();
        }
    };
    let forks = || {
        // SAFETY: see `in_a_child`.
        let id = unsafe { libc::fork() };
        if id == 0 {
            // SAFETY: no arguments but a number.
            unsafe { libc::alarm(PATIENCE) };
        } else {
            child.store(id, Ordering::SeqCst);
        }
    };
    let second = || {
        taken.store(true, Ordering::SeqCst);
        // Nobody but the owner is there to run it.
        pool.fork_join(|| pairs_until(&|| child.load(Ordering::SeqCst) != 0), forks);
    };
    // Only a worker helps.
    let first = || pairs_until(&|| taken.load(Ordering::SeqCst));
    pool.scope(|scope| scope.spawn(|| _ = pool.fork_join(first, second)));
    assert_eq!(exit_code(child.into_inner()), -libc::SIGABRT);
}

/// The turn that another thread has there never ends in the child.
#[test]
fn a_child_of_a_process_that_broadcasts_is_told_that_the_pool_is_closed() {
    let pool = ThreadPool::new(1).unwrap();
    let (open, door) = std::sync::mpsc::channel::<()>();
    pool.execute(move || door.recv().unwrap()).unwrap();
    std::thread::scope(|scope| {
        let broadcast = scope.spawn(|| pool.broadcast(|worker| worker));
        while (pool.stats().running, pool.stats().queued) != (1, 1) {
            std::thread::yield_now();
        }
        let first_lie = in_a_child(|| {
            let broadcast = pool.broadcast(|worker| worker);
            vec![matches!(broadcast, Err(BroadcastError::Closed))]
        });
        open.send(()).unwrap();
        assert_eq!(first_lie, None);
        assert_eq!(broadcast.join().unwrap().unwrap(), [0]);
    });
}
