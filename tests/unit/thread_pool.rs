//! Whole pools of closures, small enough for Miri, and what only the inside can test.

use super::group::{Ran, Record};
use super::{QueuedJob, ThreadPool, ThreadPoolHandle};
use crate::engine::{hooks::Hooked, refusal};
use crate::error::BuildError;
use crate::probe::Stall;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

#[test]
fn a_small_pool_of_closures_runs_everything_and_ends() {
    for workers in [1, 2] {
        let sum = Arc::new(AtomicUsize::new(0));
        let add = |number: usize| {
            let sum = Arc::clone(&sum);
            move || {
                if number % 5 == 4 {
                    std::panic::resume_unwind(Box::new(number));
                }
                sum.fetch_add(number, Relaxed);
            }
        };
        let pool = ThreadPool::builder()
            .workers(workers)
            .job_capacity(3)
            .build()
            .unwrap();
        for number in 0..5 {
            pool.execute(add(number)).unwrap();
        }
        pool.execute_all((5..10).map(add)).unwrap();
        pool.join().unwrap();
        assert_eq!(sum.load(Relaxed), 45 - 4 - 9);
        assert_eq!(Arc::strong_count(&sum), 1);
    }
}

#[test]
fn a_pool_whose_threads_the_system_refuses_leaves_none() {
    for allowed in 0..4 {
        let hooked = Hooked::default();
        let handler = hooked.clone();
        let builder = ThreadPool::builder()
            .workers(4)
            .on_start(hooked.start())
            .on_stop(hooked.stop())
            .on_panic(move |_, _| drop(handler.clone()));
        refusal::after(allowed);
        let error = builder.build().unwrap_err();
        refusal::after(usize::MAX);
        assert!(matches!(error, BuildError::Thread(_)), "{error:?}");
        hooked.assert_balanced(allowed);
    }
}

#[test]
fn handles_of_a_small_pool_join_cancel_and_leave_in_any_order() {
    let counted = Arc::new(());
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(3)
        .build()
        .unwrap();
    for n in 0..40 {
        let held = (Arc::clone(&counted), Box::new(n), [0_u64; 3]);
        let inner = pool.handle();
        let job = pool
            .spawn(move || {
                if n % 7 == 6 {
                    std::panic::resume_unwind(Box::new(n));
                }
                if n % 5 == 0 {
                    if let Ok(own) = inner.spawn(move || Box::new(n)) {
                        return (held, *own.join().unwrap());
                    }
                }
                (held, n)
            })
            .unwrap();
        for _ in 0..n % 8 {
            std::thread::yield_now();
        }
        match n % 4 {
            0 => drop(job),
            1 => drop(job.cancel()),
            2 => drop(job.cancel().then(|| job.join())),
            _ => match job.join() {
                Ok(((_, boxed, _), own)) => assert_eq!((*boxed, own), (n, n)),
                Err(_) => assert_eq!(n % 7, 6),
            },
        }
    }
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn scopes_of_a_small_pool_borrow_whatever_becomes_of_them() {
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(2)
        .build()
        .unwrap();
    for round in 0..6 {
        let mut numbers: Vec<Box<usize>> = (0..8).map(Box::new).collect();
        let scope = crate::unwind::catch(|| {
            pool.scope(|outer| {
                for pair in numbers.chunks_mut(2) {
                    let pool = &pool;
                    outer.spawn(move || {
                        pool.scope(|inner| {
                            for number in pair {
                                inner.spawn(move || **number += 1);
                            }
                        });
                        if round == 4 {
                            std::panic::resume_unwind(Box::new("a job's"));
                        }
                    });
                }
                if round == 5 {
                    std::panic::resume_unwind(Box::new("the body's"));
                }
            });
        });
        assert_eq!(scope.is_ok(), round < 4);
        assert!(numbers.into_iter().map(|number| *number).eq(1..=8));
    }
}

/// Borrowed by jobs, which call it.
type Borrowed = dyn Fn() + Send + Sync;

/// Runs jobs in a scope of a pool of two workers, which ends in the thread.
type Way = fn(ThreadPool, &Borrowed) -> JoinHandle<()>;

fn end(pool: ThreadPool) -> JoinHandle<()> {
    thread::spawn(move || pool.join().unwrap())
}

fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// However a job comes to the thread that runs it, and whatever it comes in.
const WAYS: &[(&str, Way)] = &[
    ("through the pool's queue", |pool, job| {
        pool.scope(|scope| scope.spawn(job));
        end(pool)
    }),
    ("in a box", |pool, job| {
        let load = [1_u64; 100];
        pool.scope(|scope| scope.spawn(move || (0..load[99]).for_each(|_| job())));
        end(pool)
    }),
    ("in a chunk", |pool, job| {
        pool.for_each(&[(); 2], |()| job());
        end(pool)
    }),
    ("at a limit", |pool, job| {
        let group = pool.limited_group(1, |group| {
            for _ in 0..3 {
                group.spawn(|| {
                    job();
                    Ok::<(), ()>(())
                });
            }
        });
        assert!(group.is_ok());
        end(pool)
    }),
    ("out of another's nest", |pool, job| {
        let is_stolen = AtomicBool::new(false);
        pool.scope(|scope| {
            scope.spawn(|| {
                scope.spawn(|| {
                    job();
                    is_stolen.store(true, Relaxed);
                });
                job();
                wait_until(|| is_stolen.load(Relaxed));
            });
        });
        end(pool)
    }),
    ("by a ticket, while the owner waits", |pool, job| {
        let is_taken = AtomicBool::new(false);
        pool.scope(|scope| {
            scope.spawn(|| {
                let group = pool.group(|group| {
                    group.spawn(|| {
                        job();
                        is_taken.store(true, Relaxed);
                        Ok::<(), ()>(())
                    });
                    wait_until(|| is_taken.load(Relaxed));
                });
                assert!(group.is_ok());
            });
        });
        end(pool)
    }),
    ("handed back", |pool, job| {
        let (handle, busy) = (pool.handle(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            let (handle, busy) = (pool.handle(), Arc::clone(&busy));
            let until_the_end = move || {
                busy.fetch_add(1, Relaxed);
                wait_until(|| handle.engine.is_halted());
            };
            pool.execute(until_the_end).unwrap();
        }
        wait_until(|| busy.load(Relaxed) == 2);
        handle.scope(|scope| {
            scope.spawn(job);
            thread::spawn(move || {
                let jobs = pool.shutdown_now().unwrap();
                assert_eq!(jobs.len(), 1);
                jobs.into_iter().for_each(QueuedJob::run);
            })
        })
    }),
];

#[test]
fn what_a_job_borrowed_may_go_before_its_worker_is_back() {
    for (name, way) in WAYS {
        println!("{name}");
        let stall = Stall::at("scope: owner told, not back", 0);
        let watched = Arc::clone(&stall);
        let borrowed: Box<Borrowed> = Box::new(move || watched.watch());
        // What is in the box, which is freed below.
        let ended = way(ThreadPool::new(2).unwrap(), &*borrowed);
        wait_until(|| stall.holds_one());
        // Miri sees it if the thread that is held still has a reference.
        drop(borrowed);
        stall.release();
        ended.join().unwrap();
    }
}

#[cfg(feature = "histograms")]
#[test]
fn a_job_is_measured_before_it_counts_as_ended() {
    let pool = ThreadPool::builder().workers(1).histograms(true);
    let pool = pool.build().unwrap();
    let stall = Stall::at("engine: job ended, not counted", 0);
    let watched = Arc::clone(&stall);
    pool.execute(move || watched.watch()).unwrap();
    wait_until(|| stall.holds_one());
    let (ended, measured) = (pool.stats().completed, pool.histograms());
    stall.release();
    pool.join().unwrap();
    let (waits, runs) = (measured.queue_wait.count(), measured.run_time.count());
    assert_eq!((ended, waits, runs), (0, 1, 1));
}

#[test]
fn slices_are_mapped_in_a_small_pool_whatever_the_calls_do() {
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(2)
        .build()
        .unwrap();
    let mut words: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    pool.for_each_mut(&mut words, |word| word.push('!'));
    assert_eq!(pool.map(&words, |word| Box::new(word.len())).len(), 12);
    for bad in (0..12).step_by(if cfg!(miri) { 6 } else { 1 }) {
        let error = pool.try_map(&words, |word| {
            if *word == words[bad] {
                Err(word.clone())
            } else {
                Ok(Box::new(word))
            }
        });
        assert_eq!(error.unwrap_err().error, words[bad]);
        let unwound = crate::unwind::catch(|| {
            pool.map(&words, |word| {
                if *word == words[bad] {
                    std::panic::resume_unwind(Box::new(bad));
                }
                word.clone()
            })
        });
        assert_eq!(*unwound.unwrap_err().downcast::<usize>().unwrap(), bad);
    }
}

#[test]
fn iterators_and_broadcasts_of_a_small_pool_give_each_outcome_once() {
    let counted = Arc::new(());
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(2)
        .build()
        .unwrap();
    let parts: &[_] = if cfg!(miri) { &[3, 9] } else { &[0, 1, 3, 9] };
    for taken in parts.iter().copied() {
        let items = (0..8).map(|n| (n, Arc::clone(&counted)));
        let call = |(n, held): (usize, Arc<()>)| {
            if n == 5 {
                std::panic::resume_unwind(Box::new(held));
            }
            Box::new((n, held))
        };
        let outcomes = pool.map_iter(items.clone(), call).window(3).take(taken);
        let some = outcomes.collect::<Vec<_>>().len();
        assert_eq!(some, taken.min(8));
        let outcomes = pool.map_iter_ordered(items, call).window(3).take(taken);
        for (place, outcome) in outcomes.enumerate() {
            assert_eq!(outcome.map_or(5, |made| made.0), place);
        }
        let called = pool.broadcast(|worker| (Box::new(worker), Arc::clone(&counted)));
        assert!(called.unwrap().iter().map(|(id, _)| **id).eq(0..2));
    }
    pool.join().unwrap();
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn groups_of_a_small_pool_borrow_whatever_becomes_of_them() {
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(2)
        .build()
        .unwrap();
    // Each way to end, with each limit.
    let (pairs, rounds): (_, &[_]) = if cfg!(miri) {
        (2, &[0, 4, 8, 9])
    } else {
        (4, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    };
    for round in rounds.iter().copied() {
        let mut numbers: Vec<Box<usize>> = (0..2 * pairs).map(Box::new).collect();
        let limit = [1, 2, 9][round % 3];
        let group = crate::unwind::catch(|| {
            pool.limited_group(limit, |outer| {
                for pair in numbers.chunks_mut(2) {
                    let pool = &pool;
                    outer.spawn(move || {
                        let inner = pool.limited_group(limit, |inner| {
                            for number in pair {
                                inner.spawn(move || {
                                    **number += 1;
                                    Ok::<_, std::fmt::Error>(number)
                                });
                            }
                        });
                        let inner = inner.map_err(|error| error.to_string())?;
                        let sum = inner.into_iter().map(|number| **number).sum::<usize>();
                        match (round / 3, sum) {
                            (1, 7) => Err("seven".to_owned()),
                            (2, 7) => std::panic::resume_unwind(Box::new("a job's")),
                            _ => Ok(Box::new(sum)),
                        }
                    });
                }
                if round / 3 == 3 {
                    std::panic::resume_unwind(Box::new("the body's"));
                }
            })
        });
        match group {
            Ok(Ok(sums)) => {
                let expected = (0..pairs).map(|pair| 4 * pair + 3);
                assert!(round < 3 && sums.into_iter().map(|sum| *sum).eq(expected));
                assert!(numbers.into_iter().map(|number| *number).eq(1..=2 * pairs));
            }
            Ok(Err(error)) => {
                assert_eq!((error.index, round / 3 % 3 > 0), (1, true));
                assert!(error.failures.is_empty());
                assert_eq!(1 + error.finished.len() + error.cancelled, pairs);
            }
            Err(_) => assert_eq!(round / 3, 3),
        }
    }
}

/// More than the queue of outcomes holds.
#[test]
fn a_record_holds_any_number_of_outcomes() {
    let record = Record::<usize, ()>::short();
    let count = 1_000;
    for _ in 0..count {
        let index = record.next_index();
        assert!(matches!(record.run(index, || Ok(index)), Ran::Ended(_)));
    }
    let values = record.conclude().unwrap();
    assert!(values.into_iter().eq(0..count));
}

#[test]
fn pairs_of_a_small_pool_borrow_and_go_to_workers() {
    fn sum(pool: &ThreadPoolHandle, numbers: &mut [Box<u64>], bad: u64) -> u64 {
        if let [number] = numbers {
            if **number == bad {
                std::panic::resume_unwind(Box::new(bad));
            }
            **number += 1;
            return **number;
        }
        let (left, right) = numbers.split_at_mut(numbers.len() / 2);
        let (left, right) = pool.fork_join(|| sum(pool, left, bad), || sum(pool, right, bad));
        left + right
    }
    let pool = ThreadPool::new(2).unwrap();
    let handle = pool.handle();
    let numbers = || (0..12).map(Box::new).collect::<Vec<_>>();
    assert_eq!(sum(&handle, &mut numbers(), 99), 78);
    for bad in [0, 5, 11] {
        let unwound = crate::unwind::catch(|| sum(&handle, &mut numbers(), bad));
        assert_eq!(*unwound.unwrap_err().downcast::<u64>().unwrap(), bad);
    }
    // One whose second half is taken, and waits for a part that its owner takes.
    let [taken, fed] = [(); 2].map(|()| AtomicUsize::new(0));
    let until = |flag: &AtomicUsize| {
        while flag.load(Relaxed) == 0 {
            handle.fork_join(|| (), || ());
            std::thread::yield_now();
        }
    };
    let job = || {
        let deep = || {
            taken.store(1, Relaxed);
            handle.fork_join(|| until(&fed), || fed.store(1, Relaxed));
        };
        handle.fork_join(|| until(&taken), deep);
    };
    pool.scope(|scope| scope.spawn(job));
}
