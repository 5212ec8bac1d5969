//! Jobs that the jobs of a scope make: they wait in their worker's nest.

use crate::assert_conserved;
use crate::common::{Door, OpenAtEnd, PanicsOnDrop, eventually, watchdog};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use workcrew::{Scope, ThreadPool};

/// Begets itself until it is told to stop.
fn beget<'scope>(scope: &'scope Scope<'scope, '_>, stop: &'scope AtomicBool) {
    if !stop.load(Relaxed) {
        scope.spawn(move || beget(scope, stop));
    }
}

/// One worker is held up by a job that waits for what it has spawned. The jobs of the other one
/// beget jobs for ever, so it never runs out of its own.
#[test]
#[cfg_attr(miri, ignore = "it takes thousands of jobs")]
fn a_job_gets_what_it_spawned_run_while_the_jobs_of_all_others_beget_jobs() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let (begun, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    pool.scope(|scope| {
        scope.spawn(|| {
            eventually("the other worker has begun", || begun.load(Relaxed));
            scope.spawn(|| stop.store(true, Relaxed));
            eventually("the other worker steals", || stop.load(Relaxed));
        });
        scope.spawn(|| {
            begun.store(true, Relaxed);
            beget(scope, &stop);
        });
    });
}

/// A worker has taken other jobs along with one that opens a scope, whose jobs are never fewer than
/// some: what others steal from this worker is not always one of these.
#[test]
#[cfg_attr(miri, ignore = "it takes thousands of jobs")]
fn jobs_behind_one_that_opens_a_scope_run_while_its_jobs_beget_jobs() {
    const BEHIND: usize = 3;
    fn grow<'scope>(
        scope: &'scope Scope<'scope, '_>,
        [alive, ran]: [&'scope AtomicUsize; 2],
        stop: &'scope AtomicBool,
    ) {
        ran.fetch_add(1, Relaxed);
        let more = match alive.fetch_sub(1, Relaxed) {
            _ if stop.load(Relaxed) => 0,
            0..100 => 2,
            _ => 1,
        };
        alive.fetch_add(more, Relaxed);
        (0..more).for_each(|_| scope.spawn(move || grow(scope, [alive, ran], stop)));
    }
    let _watchdog = watchdog();
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(64)
        .build()
        .unwrap();
    let doors = [Door::new(), Door::new()];
    for door in &doors {
        let inside = door.clone();
        pool.execute(move || inside.pass()).unwrap();
        door.wait_for(1);
    }
    let _open = doors.each_ref().map(OpenAtEnd);
    let [ran, behind] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (handle, counted, stop) = (
        pool.handle(),
        Arc::clone(&ran),
        Arc::new(AtomicBool::new(false)),
    );
    let stopped = Arc::clone(&stop);
    let opens_a_scope = move || {
        let alive = AtomicUsize::new(1);
        handle.scope(|scope| grow(scope, [&alive, &counted], &stopped));
    };
    pool.execute(opens_a_scope).unwrap();
    // One of them is taken along.
    for _ in 0..BEHIND {
        let behind = Arc::clone(&behind);
        let count = move || {
            behind.fetch_add(1, Relaxed);
        };
        pool.execute(count).unwrap();
    }
    doors[0].open();
    eventually("there are some jobs", || ran.load(Relaxed) > 1000);
    doors[1].open();
    eventually("those behind have run", || behind.load(Relaxed) == BEHIND);
    stop.store(true, Relaxed);
}

/// A worker's job spawns into the scope around the one that it has opened.
#[test]
fn a_job_of_an_inner_scope_spawns_into_the_outer_one() {
    let _watchdog = watchdog();
    for workers in [1, 2] {
        let pool = ThreadPool::new(workers).unwrap();
        let (inner_ran, outer_ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |ran: &AtomicUsize| {
            ran.fetch_add(1, Relaxed);
        };
        pool.scope(|outer| {
            for _ in 0..10 {
                outer.spawn(|| {
                    (0..10).for_each(|_| outer.spawn(|| count(&outer_ran)));
                    pool.scope(|inner| {
                        for _ in 0..10 {
                            outer.spawn(|| count(&outer_ran));
                            inner.spawn(|| {
                                outer.spawn(|| count(&outer_ran));
                                inner.spawn(|| {
                                    outer.spawn(|| count(&outer_ran));
                                    count(&inner_ran);
                                });
                            });
                        }
                    });
                    outer.spawn(|| count(&outer_ran));
                });
            }
        });
        assert_eq!(inner_ran.into_inner(), 100);
        assert_eq!(outer_ran.into_inner(), 10 * 41);
        pool.wait_idle().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.accepted, stats.completed), (620, 620));
        assert_conserved(&stats);
    }
}

/// A worker of one pool waits in a scope of the other's, and jobs spawn into both.
#[test]
fn scopes_of_two_pools_within_each_other_keep_apart() {
    let _watchdog = watchdog();
    let [ours, theirs] = [(); 2].map(|()| ThreadPool::new(1).unwrap());
    let ran = [(); 2].map(|()| AtomicUsize::new(0));
    let count = |of: usize| {
        // Only a worker of that pool runs it.
        let pool = [&ours, &theirs][of];
        assert_eq!(pool.current_worker(), Some(0));
        ran[of].fetch_add(1, Relaxed);
    };
    ours.scope(|ours| {
        for _ in 0..10 {
            ours.spawn(|| {
                (0..10).for_each(|_| ours.spawn(|| count(0)));
                theirs.scope(|theirs| {
                    for _ in 0..10 {
                        ours.spawn(|| count(0));
                        theirs.spawn(|| {
                            theirs.spawn(|| count(1));
                            ours.spawn(|| {
                                ours.spawn(|| count(0));
                                count(0);
                            });
                        });
                    }
                });
            });
        }
    });
    assert_eq!(ran.map(AtomicUsize::into_inner), [400, 100]);
    for (pool, jobs) in [(ours, 410), (theirs, 200)] {
        pool.wait_idle().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.accepted, stats.completed), (jobs, jobs));
        assert_conserved(&stats);
    }
}

/// Far more than a nest has places.
#[test]
fn a_job_that_spawns_thousands_runs_each_once() {
    const CHILDREN: usize = if cfg!(miri) { 200 } else { 20_000 };
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let ran: Vec<_> = (0..CHILDREN).map(|_| AtomicUsize::new(0)).collect();
    let grandchildren = AtomicUsize::new(0);
    pool.scope(|scope| {
        scope.spawn(|| {
            for ran in &ran {
                scope.spawn(|| {
                    ran.fetch_add(1, Relaxed);
                    scope.spawn(|| {
                        grandchildren.fetch_add(1, Relaxed);
                    });
                });
            }
        });
    });
    assert!(ran.into_iter().all(|ran| ran.into_inner() == 1));
    assert_eq!(grandchildren.into_inner(), CHILDREN);
    pool.wait_idle().unwrap();
    let stats = pool.stats();
    assert_eq!(stats.accepted as usize, 1 + 2 * CHILDREN);
    assert_conserved(&stats);
}

/// One worker, and each job makes the next.
#[test]
#[cfg_attr(miri, ignore = "it takes thousands of jobs")]
fn others_get_their_turn_while_a_chain_of_jobs_goes_on() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(1).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    pool.scope(|scope| {
        scope.spawn(|| beget(scope, &stop));
        let stop = Arc::clone(&stop);
        pool.execute(move || stop.store(true, Relaxed)).unwrap();
    });
    let stats = pool.stats();
    assert_conserved(&stats);
}

/// Closures that lie in the nest's slot, and such that are too large or aligned too strictly.
#[test]
fn nested_closures_of_all_sizes_and_alignments_come_out_whole() {
    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Aligned(usize);
    let _watchdog = watchdog();
    let alive = Arc::new(());
    for workers in [1, 3] {
        let pool = ThreadPool::new(workers).unwrap();
        let sum = AtomicUsize::new(0);
        pool.scope(|scope| {
            scope.spawn(|| {
                for number in 0..60 {
                    let sum = &sum;
                    let add = move |numbers: &[usize], alive: Arc<()>| {
                        drop(alive);
                        assert!(numbers.iter().all(|n| *n == number));
                        sum.fetch_add(numbers.len(), Relaxed);
                    };
                    let (one, three, four, six) =
                        ([number; 1], [number; 3], [number; 4], [number; 6]);
                    let aligned = Aligned(number);
                    let [a, b, c, d, e] = [(); 5].map(|()| Arc::clone(&alive));
                    scope.spawn(move || add(&one, a));
                    scope.spawn(move || add(&three, b));
                    scope.spawn(move || add(&four, c));
                    scope.spawn(move || add(&six, d));
                    scope.spawn(move || {
                        let aligned = aligned;
                        let address = (&raw const aligned).addr();
                        assert_eq!(address % 64, 0);
                        add(&[aligned.0], e);
                    });
                }
            });
        });
        assert_eq!(sum.into_inner(), 60 * 15);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

/// Of a tree in which many panic, each with something that panics when it is dropped.
#[test]
fn after_panics_in_nested_jobs_all_have_run_and_the_first_is_rethrown() {
    fn tree<'scope>(scope: &'scope Scope<'scope, '_>, depth: u32, ran: &'scope AtomicUsize) {
        ran.fetch_add(1, Relaxed);
        if depth > 0 {
            for _ in 0..3 {
                scope.spawn(move || tree(scope, depth - 1, ran));
            }
        }
        if depth % 2 == 1 {
            std::panic::resume_unwind(Box::new(PanicsOnDrop));
        }
    }
    let _watchdog = watchdog();
    for workers in [1, 3] {
        let pool = ThreadPool::new(workers).unwrap();
        let ran = AtomicUsize::new(0);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|scope| scope.spawn(|| tree(scope, 4, &ran)));
        }));
        let payload = unwound.expect_err("it panics");
        assert!(payload.is::<PanicsOnDrop>());
        std::mem::forget(payload);
        assert_eq!(ran.into_inner(), 121);
        pool.wait_idle().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.panicked, stats.completed), (3 + 27, 1 + 9 + 81));
        assert_conserved(&stats);
    }
}

/// What becomes of the pool does not matter to a scope, even if one of its jobs does it.
#[test]
fn nested_jobs_that_end_their_pool_are_told_and_the_scope_ends() {
    let _watchdog = watchdog();
    let endings: [fn(ThreadPool); 4] = [
        |pool| {
            pool.close();
            drop(pool);
        },
        drop,
        |pool| assert!(pool.shutdown_now().is_err()),
        |pool| assert!(pool.join().is_err()),
    ];
    // In all more than a nest holds.
    const EACH: usize = if cfg!(miri) { 60 } else { 200 };
    for end in endings {
        for workers in [1, 2] {
            let pool = ThreadPool::new(workers).unwrap();
            let handle = pool.handle();
            let (pool, ran) = (Mutex::new(Some(pool)), AtomicUsize::new(0));
            let count = || {
                ran.fetch_add(1, Relaxed);
            };
            handle.scope(|scope| {
                scope.spawn(|| {
                    // Some of them find no room in the nest.
                    (0..EACH).for_each(|_| scope.spawn(count));
                    scope.spawn(|| {
                        (0..EACH).for_each(|_| scope.spawn(count));
                        end(pool.lock().unwrap().take().unwrap());
                        (0..EACH).for_each(|_| scope.spawn(count));
                        handle.scope(|inner| (0..EACH).for_each(|_| inner.spawn(count)));
                    });
                    (0..EACH).for_each(|_| scope.spawn(count));
                });
            });
            assert_eq!(ran.into_inner(), 5 * EACH);
        }
    }
}

/// All other workers wait, or are busy.
#[test]
fn a_waiting_owner_runs_what_a_held_up_job_spawned() {
    let _watchdog = watchdog();
    let pool = ThreadPool::new(2).unwrap();
    let handle = pool.handle();
    let job = pool.spawn(move || {
        let ran = AtomicUsize::new(0);
        let (owner, elsewhere) = (thread::current().id(), AtomicBool::new(false));
        handle.scope(|scope| {
            scope.spawn(|| {
                elsewhere.store(true, Relaxed);
                assert_ne!(thread::current().id(), owner);
                for _ in 0..300 {
                    scope.spawn(|| {
                        ran.fetch_add(1, Relaxed);
                    });
                }
                eventually("the owner runs them", || ran.load(Relaxed) == 300);
            });
            eventually("the other one has come", || elsewhere.load(Relaxed));
        });
        ran.into_inner()
    });
    assert_eq!(job.unwrap().join().unwrap(), 300);
}

/// Jobs of a scope use all else that a pool has.
#[test]
fn nested_jobs_wait_for_pairs_groups_slices_iterators_and_handles() {
    let _watchdog = watchdog();
    for workers in [1, 2] {
        let pool = ThreadPool::new(workers).unwrap();
        let other = ThreadPool::new(1).unwrap();
        let ran = AtomicUsize::new(0);
        let count = || {
            ran.fetch_add(1, Relaxed);
        };
        const JOBS: usize = if cfg!(miri) { 3 } else { 50 };
        pool.scope(|scope| {
            for _ in 0..JOBS {
                scope.spawn(|| {
                    scope.spawn(|| {
                        let spawn = || scope.spawn(count);
                        pool.fork_join(spawn, || pool.fork_join(spawn, spawn));
                        let group = pool.group(|group| {
                            (0..3).for_each(|n| {
                                group.spawn(move || {
                                    spawn();
                                    Ok::<_, ()>(n)
                                });
                            });
                        });
                        assert_eq!(group.unwrap(), [0, 1, 2]);
                        assert_eq!(
                            pool.map(&[1, 2, 3], |n| {
                                spawn();
                                n * 2
                            }),
                            [2, 4, 6]
                        );
                        let handle = pool.handle();
                        let job = pool.handle().spawn(move || {
                            handle.scope(|scope| {
                                scope.spawn(|| ());
                                7
                            })
                        });
                        if let Ok(job) = job {
                            assert_eq!(job.join().unwrap(), 7);
                        }
                        assert!(pool.broadcast(|_| ()).is_err());
                        let called = other.broadcast(|_| spawn()).unwrap();
                        assert_eq!(called.len(), 1);
                        other.scope(|theirs| theirs.spawn(spawn));
                    });
                });
            }
        });
        assert_eq!(ran.into_inner(), JOBS * 11);
        pool.wait_idle().unwrap();
        assert_conserved(&pool.stats());
    }
}
