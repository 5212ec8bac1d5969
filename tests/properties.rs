//! Random sequences of operations on a pool of one worker, against a model without threads.
//!
//! The worker ends a job only when the test lets it, and after each operation the test waits
//! until the pool has come to rest, so each state is known exactly.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

mod common;

use common::{assert_conserved, eventually, watchdog};
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use workcrew::{
    CancelError, JobError, RecvTimeoutError, Results, SubmitTimeoutError, TryRecvError,
    TrySubmitError, WorkerPool,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    TrySubmit,
    SubmitInNoTime,
    /// As many as there is room for, at most so many.
    SubmitAll(usize),
    /// Lets the running job end, in a panic or well.
    Release {
        panic: bool,
    },
    TryRecv,
    RecvInNoTime,
    /// The job that was submitted so many jobs ago, wherever it is.
    Cancel(u64),
    Close,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Join,
    ShutdownNow,
    Drop,
    DropInPanic,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::TrySubmit),
        4 => Just(Step::SubmitInNoTime),
        6 => (0..50_usize).prop_map(Step::SubmitAll),
        14 => (0..8_u8).prop_map(|dice| Step::Release { panic: dice == 0 }),
        8 => Just(Step::TryRecv),
        4 => Just(Step::RecvInNoTime),
        6 => (1..12_u64).prop_map(Step::Cancel),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 0..80)
}

fn ends() -> impl Strategy<Value = End> {
    prop::sample::select(vec![
        End::Join,
        End::ShutdownNow,
        End::Drop,
        End::DropInPanic,
    ])
}

/// What the test tells the jobs.
#[derive(Debug, Default)]
struct Orders {
    /// For each job that may end whether it panics, and whether all others may end well.
    releases: Mutex<(VecDeque<bool>, bool)>,
    changed: Condvar,
}

impl Orders {
    fn give(&self, panic: bool) {
        self.releases.lock().unwrap().0.push_back(panic);
        self.changed.notify_all();
    }

    /// From now on all jobs end well.
    fn let_all_go(&self) {
        self.releases.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    /// Waits until the job may end; returns whether it panics.
    fn wait(&self) -> bool {
        let mut releases = self.releases.lock().unwrap();
        loop {
            if let Some(release) = releases.0.pop_front() {
                return release;
            }
            if releases.1 {
                return false;
            }
            releases = self.changed.wait(releases).unwrap();
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Ended {
    Well,
    Panicked,
    Cancelled,
}

/// What must be true of the pool.
#[derive(Debug, Default)]
struct Model {
    job_capacity: usize,
    result_capacity: usize,
    closed: bool,
    next_index: u64,
    /// Submitted jobs that wait.
    queue: VecDeque<u64>,
    /// Those that are cancelled, of all that were ever queued.
    recalled: BTreeSet<u64>,
    running: Option<u64>,
    /// Ended jobs, by index.
    untaken: VecDeque<(u64, Ended)>,
    in_hand: VecDeque<(u64, Ended)>,
    completed: u64,
    panicked: u64,
    cancelled: u64,
    /// The last result lies there and its worker waits, so the job has not ended.
    blocked: Option<Ended>,
}

impl Model {
    fn room(&self) -> usize {
        if self.closed {
            0
        } else {
            self.job_capacity - self.queue.len()
        }
    }

    fn accept(&mut self) -> u64 {
        self.queue.push_back(self.next_index);
        self.next_index += 1;
        self.next_index - 1
    }

    /// What the worker does until it has to wait for the test.
    fn settle(&mut self) {
        if let Some(ended) = self.blocked {
            if self.untaken.len() > self.result_capacity {
                return;
            }
            self.count(ended);
        }
        while self.running.is_none() {
            self.running = self.queue.pop_front();
            match self.running {
                Some(index) if self.recalled.contains(&index) => self.end(Ended::Cancelled),
                _ => return,
            }
        }
    }

    fn count(&mut self, ended: Ended) {
        self.blocked = None;
        self.running = None;
        *match ended {
            Ended::Well => &mut self.completed,
            Ended::Panicked => &mut self.panicked,
            Ended::Cancelled => &mut self.cancelled,
        } += 1;
    }

    fn end(&mut self, ended: Ended) {
        let index = self.running.expect("a job runs");
        self.untaken.push_back((index, ended));
        if self.untaken.len() > self.result_capacity {
            self.blocked = Some(ended);
        } else {
            self.count(ended);
        }
    }

    fn cancel(&mut self, index: u64) {
        if self.queue.contains(&index) {
            self.recalled.insert(index);
        }
    }

    fn take(&mut self) -> Option<(u64, Ended)> {
        if self.in_hand.is_empty() {
            // Failures, and what comes behind untaken ones, lie apart from the others.
            let failure = self
                .untaken
                .iter()
                .position(|(_, ended)| *ended != Ended::Well);
            let share = match failure {
                None | Some(0) => self.untaken.len(),
                Some(well) => well,
            };
            let share = share.min(64);
            self.in_hand.extend(self.untaken.drain(..share));
        }
        self.in_hand.pop_front()
    }

    fn ended(&self) -> bool {
        self.closed && self.queue.is_empty() && self.running.is_none() && self.untaken.is_empty()
    }

    #[track_caller]
    fn expect(&self, pool: &WorkerPool<u64, u64>) {
        let mut last = pool.stats();
        eventually(&format!("the pool is as the model: {self:?}"), || {
            last = pool.stats();
            assert_conserved(&last);
            (last.queued, last.running)
                == (self.queue.len() as u64, u64::from(self.running.is_some()))
                && (last.completed, last.panicked) == (self.completed, self.panicked)
                && last.cancelled == self.cancelled
                && last.results_waiting == self.untaken.len() as u64
                && last.blocked_workers == u64::from(self.blocked.is_some())
        });
        assert_eq!(pool.is_closed(), self.closed);
        assert_eq!(last.accepted, self.next_index);
    }
}

fn play(job_capacity: usize, result_capacity: usize, steps: Vec<Step>, end: End) {
    let _watchdog = watchdog();
    let orders = Arc::new(Orders::default());
    let inside = Arc::clone(&orders);
    let (pool, mut results) = WorkerPool::<u64, u64>::builder()
        .workers(1)
        .job_capacity(job_capacity)
        .result_capacity(result_capacity)
        .build(move |job, _| {
            if inside.wait() {
                std::panic::resume_unwind(Box::new(job));
            }
            job
        })
        .unwrap();
    let mut model = Model {
        job_capacity,
        result_capacity,
        ..Model::default()
    };
    for step in steps {
        match step {
            Step::TrySubmit => match pool.try_submit(model.next_index) {
                Ok(index) => {
                    assert!(model.room() > 0);
                    assert_eq!(index, model.accept());
                }
                Err(TrySubmitError::Closed(back)) => {
                    assert!(model.closed && back == model.next_index)
                }
                Err(error) => {
                    assert!(matches!(error, TrySubmitError::Full(_)));
                    assert!(!model.closed && model.room() == 0);
                }
            },
            Step::SubmitInNoTime => match pool.submit_timeout(model.next_index, Duration::ZERO) {
                Ok(index) => {
                    assert!(model.room() > 0);
                    assert_eq!(index, model.accept());
                }
                Err(SubmitTimeoutError::Closed(_)) => assert!(model.closed),
                Err(error) => {
                    assert!(matches!(error, SubmitTimeoutError::Timeout(_)));
                    assert!(!model.closed && model.room() == 0);
                    assert_eq!(error.into_job(), model.next_index);
                }
            },
            Step::SubmitAll(most) => {
                let many = if model.closed {
                    most
                } else {
                    most.min(model.room())
                } as u64;
                let jobs = model.next_index..model.next_index + many;
                match pool.submit_all(jobs.clone()) {
                    Ok(accepted) => {
                        assert_eq!(accepted, many);
                        for _ in 0..many {
                            let _ = model.accept();
                        }
                    }
                    Err(error) => {
                        assert!(model.closed && error.accepted() == 0);
                        assert!(error.into_jobs().eq(jobs));
                    }
                }
            }
            Step::Release { panic } => {
                if model.running.is_some() && model.blocked.is_none() {
                    orders.give(panic);
                    model.end(if panic { Ended::Panicked } else { Ended::Well });
                }
            }
            Step::TryRecv => expect_taken(results.try_recv().ok(), &mut model),
            Step::RecvInNoTime => {
                expect_taken(results.recv_timeout(Duration::ZERO).ok(), &mut model)
            }
            Step::Cancel(back) => match model.next_index.checked_sub(back) {
                // One may find no place, since those that ended stay there for a while.
                Some(index) => match pool.cancel(index) {
                    Ok(()) => model.cancel(index),
                    Err(error) => assert_eq!(error, CancelError::Crowded),
                },
                None => {
                    let error = pool.cancel(model.next_index).unwrap_err();
                    assert_eq!(error, CancelError::NotSubmitted);
                }
            },
            Step::Close => {
                pool.close();
                model.closed = true;
            }
        }
        model.settle();
        model.expect(&pool);
    }
    finish(pool, results, &orders, model, end);
}

fn expect_taken(outcome: Option<workcrew::Outcome<u64>>, model: &mut Model) {
    let expected = model.take();
    assert_eq!(
        outcome.as_ref().map(|outcome| outcome.index),
        expected.map(|(index, _)| index)
    );
    if let (Some(outcome), Some((index, ended))) = (outcome, expected) {
        match outcome.result {
            Ok(job) => assert!(ended == Ended::Well && job == index),
            Err(JobError::Cancelled) => assert_eq!(ended, Ended::Cancelled),
            Err(JobError::Panicked(panic)) => {
                assert_eq!(ended, Ended::Panicked);
                assert_eq!(panic.into_payload().downcast_ref(), Some(&index));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

fn finish(
    pool: WorkerPool<u64, u64>,
    mut results: Results<u64>,
    orders: &Orders,
    mut model: Model,
    end: End,
) {
    // When the jobs of a pool that is closed already are left queued cannot be seen from
    // outside, so what runs before that cannot be foretold.
    let end = if model.closed { End::Join } else { end };
    if model.ended() && model.in_hand.is_empty() {
        eventually("it has ended", || {
            matches!(results.try_recv(), Err(TryRecvError::Ended))
        });
        assert_eq!(
            results.recv_timeout(Duration::MAX).unwrap_err(),
            RecvTimeoutError::Ended
        );
    }
    let handle = pool.handle();
    // All that is not untaken yet, in order; the running job comes first.
    let mut waiting: VecDeque<u64> = model
        .running
        .filter(|_| model.blocked.is_none())
        .into_iter()
        .collect();
    let queued = std::mem::take(&mut model.queue);
    let mut expected: Vec<_> = model
        .in_hand
        .iter()
        .chain(&model.untaken)
        .copied()
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A running job must not take the others along before they are handed back.
            eventually("it is closed", || handle.is_closed());
            orders.let_all_go();
        });
        let taker = scope.spawn(|| {
            // Nor must a worker that waits for room among the results.
            eventually("it is closed", || handle.is_closed());
            results
                .map(|outcome| (outcome.index, outcome.result))
                .collect::<Vec<_>>()
        });
        match end {
            End::Join => {
                waiting.extend(&queued);
                pool.join().unwrap();
            }
            End::Drop => {
                waiting.extend(&queued);
                drop(pool);
            }
            End::ShutdownNow => {
                let returned = pool.shutdown_now().unwrap();
                assert!(returned.into_iter().eq(queued.iter().copied()));
            }
            End::DropInPanic => common::drop_while_panicking(|| pool),
        }
        expected.extend(waiting.into_iter().map(|index| {
            let recalled = model.recalled.contains(&index);
            (
                index,
                if recalled {
                    Ended::Cancelled
                } else {
                    Ended::Well
                },
            )
        }));
        if let End::DropInPanic = end {
            expected.extend(queued.iter().map(|index| (*index, Ended::Cancelled)));
        }
        let mut got: Vec<_> = taker
            .join()
            .unwrap()
            .into_iter()
            .map(|(index, result)| match result {
                Ok(_) => (index, Ended::Well),
                Err(JobError::Panicked(_)) => (index, Ended::Panicked),
                Err(_) => (index, Ended::Cancelled),
            })
            .collect();
        // A cancelled job's outcome may overtake.
        got.sort_unstable();
        assert_eq!(got, expected);
    });
    assert_conserved(&handle.stats());
    assert_eq!(handle.stats().accepted, model.next_index);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 250,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_pool_of_one_worker_behaves_like_its_model(
        job_capacity in prop::sample::select(vec![1_usize, 2, 3, 5, 31, 100]),
        result_capacity in prop::sample::select(vec![1_usize, 2, 3, 7, 100]),
        steps in steps(),
        end in ends(),
    ) {
        play(job_capacity, result_capacity, steps, end);
    }
}
