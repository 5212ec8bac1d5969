//! Pools and queues of a size that loom cannot exhaust, in many schedules that shuttle picks by
//! chance: half of them thread by thread with equal odds, half with few changes at the worst
//! places (S. Burckhardt et al., 2010). `cargo shuttle` runs them.
//!
//! A lost wakeup is a deadlock here, for no clock ever runs out; and what threads see of each
//! other is checked as a history. All orderings are as strong as `SeqCst`, so that none is
//! missed is for loom and Miri to say.
//!
//! A test that is about lost wakeups waits for its jobs before it closes anything, since closing
//! wakes everybody.

use crate::deque::{Steal, ring_at};
use crate::history::{Bag, Call, Fifo, Recorder};
use crate::injector::Injector;
use crate::pace::be_brisk;
use crate::parker::Parker;
use crate::sync::{Arc, AtomicU64, Ordering, WATCH, thread};
use crate::{ThreadPool, WorkerPool};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use std::env;

const WORKERS: usize = 4;
const JOBS: u32 = 20;

/// Jobs that are submitted, and those among them that bring one more.
const SUBMITTED: u32 = 16;
const FOLLOW_UPS: [u32; 4] = [0, 5, 10, 15];

/// A job that waits until another begins, which may lie behind it in the same worker's deque.
const WAITING: u32 = 6;
const AWAITED: u32 = 7;

/// Changes of the thread at the worst places, in the schedules that have few.
const CHANGES: usize = 4;

fn in_many_schedules(test: impl Fn() + Clone + Send + Sync + 'static) {
    let schedules: usize = match env::var("WORKCREW_SCHEDULES") {
        Ok(number) => number.parse().expect("WORKCREW_SCHEDULES is a number"),
        Err(_) => 1000,
    };
    let mut config = Config::new();
    // A worker has frames of some kilobytes in a debug build.
    config.stack_size = 1 << 18;
    config.silence_warnings = true;
    let half = schedules.div_ceil(2);
    Runner::new(RandomScheduler::new(half), config.clone()).run(test.clone());
    Runner::new(PctScheduler::new(CHANGES, half), config).run(test);
}

/// Queues so short that everybody waits for everybody: submitters for room, workers for room
/// among the results, the taker for results.
#[test]
fn each_job_of_a_worker_pool_has_its_result() {
    worker_pool_in_many_schedules(4, || {});
}

/// A queue long enough for batches, and so for deques that are biased, which thieves spare; and there may
/// be more brisk workers than cores, so that some stand aside.
#[test]
fn each_job_of_a_brisk_crew_has_its_result() {
    worker_pool_in_many_schedules(16, be_brisk);
}

fn worker_pool_in_many_schedules(job_capacity: usize, begin: fn()) {
    in_many_schedules(move || {
        let recorder = Arc::new(Recorder::default());
        let notes = Arc::clone(&recorder);
        let begun = Parker::new();
        let (pool, mut results) = WorkerPool::<u32, u32>::builder()
            .workers(WORKERS)
            .job_capacity(job_capacity)
            .result_capacity(2)
            .on_start(move |_| begin())
            .build(move |job, context| {
                if let Some(follow_up) = FOLLOW_UPS.iter().position(|parent| *parent == job) {
                    let follow_up = SUBMITTED + follow_up as u32;
                    notes.note(|| {
                        context.push(follow_up);
                        vec![Call::Push(vec![follow_up])]
                    });
                }
                if job == WAITING {
                    begun.park(WATCH);
                } else if job == AWAITED {
                    begun.unpark();
                }
                job
            })
            .unwrap();
        let (mut lane, handle) = (pool.submitter(), pool.handle());
        let notes = Arc::clone(&recorder);
        let in_lane = thread::spawn(move || {
            for job in (0..SUBMITTED).step_by(2) {
                notes.note(|| {
                    lane.submit(job).unwrap();
                    vec![Call::Push(vec![job])]
                });
            }
        });
        let notes = Arc::clone(&recorder);
        let beside = thread::spawn(move || {
            for job in (1..SUBMITTED).step_by(2) {
                notes.note(|| {
                    handle.submit(job).unwrap();
                    vec![Call::Push(vec![job])]
                });
            }
        });
        for _ in 0..JOBS {
            recorder.note(|| {
                let outcome = results.recv().unwrap();
                vec![Call::Take(vec![outcome.result.unwrap()])]
            });
        }
        in_lane.join().unwrap();
        beside.join().unwrap();
        pool.wait_idle().unwrap();
        recorder.note(|| {
            assert!(results.try_recv().is_err());
            vec![Call::Take(vec![])]
        });
        pool.join().unwrap();
        assert!(results.next().is_none());
        recorder.assert_linearizable::<Bag>();
    });
}

/// By all ways in: alone, in a batch, with a handle, in a scope.
#[test]
fn each_closure_of_a_thread_pool_runs_once() {
    in_many_schedules(|| {
        let pool = ThreadPool::builder()
            .workers(WORKERS)
            .job_capacity(3)
            .build()
            .unwrap();
        let runs: Arc<Vec<_>> = Arc::new((0..JOBS).map(|_| AtomicU64::new(0)).collect());
        let run = |job: u32| {
            let runs = Arc::clone(&runs);
            // Relaxed: a number.
            move || {
                runs[job as usize].fetch_add(1, Ordering::Relaxed);
            }
        };
        (0..5).for_each(|job| pool.execute(run(job)).unwrap());
        let handles: Vec<_> = (5..10).map(|job| pool.spawn(run(job)).unwrap()).collect();
        pool.scope(|scope| (10..15).for_each(|job| scope.spawn(run(job))));
        for handle in handles {
            handle.join().unwrap();
        }
        pool.execute_all((15..JOBS).map(run)).unwrap();
        pool.wait_idle().unwrap();
        assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
        pool.join().unwrap();
    });
}

#[test]
fn an_injectors_histories_are_those_of_a_queue() {
    in_many_schedules(|| {
        let queue = Arc::new(Injector::at(8, 1));
        let recorder = Arc::new(Recorder::default());
        let threads: Vec<_> = (0..WORKERS as u32)
            .map(|thread| {
                let (queue, recorder) = (Arc::clone(&queue), Arc::clone(&recorder));
                thread::spawn(move || {
                    for item in 5 * thread..5 * thread + 5 {
                        recorder.note(|| match queue.add(item) {
                            Ok(_) => vec![Call::Push(vec![item])],
                            Err(_) => vec![Call::Refused],
                        });
                        if item % 5 != 0 {
                            take_some(&queue, &recorder, item as usize % 3 + 1);
                        }
                        // Who is about to sleep asks so.
                        recorder.note(|| match queue.has_published() {
                            true => vec![],
                            false => vec![Call::Take(vec![])],
                        });
                    }
                    if thread == 0 {
                        recorder.note(|| {
                            queue.close();
                            vec![Call::Close]
                        });
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        while take_some(&queue, &recorder, 8) > 0 {}
        recorder.assert_linearizable::<Fifo>();
    });
}

fn take_some(queue: &Injector<u32>, recorder: &Recorder, most: usize) -> usize {
    let mut taken = Vec::new();
    recorder.note(|| {
        let _ = queue.pop(most, |_| {}, |_, item| taken.push(item));
        vec![Call::Take(taken.clone())]
    });
    taken.len()
}

#[test]
fn a_deques_histories_are_those_of_a_queue() {
    in_many_schedules(|| {
        let (mut local, stealer) = ring_at(4, u64::MAX - 5);
        let recorder = Arc::new(Recorder::default());
        let thieves: Vec<_> = (1..WORKERS)
            .map(|thief| {
                let (stealer, recorder) = (stealer.clone(), Arc::clone(&recorder));
                thread::spawn(move || {
                    for _ in 0..5 {
                        recorder.note(|| {
                            let mut taken = Vec::new();
                            match stealer.steal(thief, |item| taken.push(item)) {
                                Steal::Retry => vec![],
                                Steal::Empty | Steal::Taken(_) => vec![Call::Take(taken)],
                            }
                        });
                    }
                })
            })
            .collect();
        for item in 0..JOBS {
            // Full says nothing: a thief may still be reading.
            recorder.note(|| match local.push(item) {
                Ok(()) => vec![Call::Push(vec![item])],
                Err(_) => vec![],
            });
            if item % 3 == 0 {
                recorder.note(|| vec![Call::Take(local.pop().into_iter().collect())]);
            }
        }
        for thief in thieves {
            thief.join().unwrap();
        }
        let rest = std::iter::from_fn(|| local.pop()).map(|item| Call::Take(vec![item]));
        recorder.note(|| rest.collect());
        recorder.assert_linearizable::<Fifo>();
    });
}
