//! Everything at once: four submitters, three takers, one to eight workers, small queues, panics,
//! follow-ups, and an end that comes at any moment in any way. Then the books are checked.
//!
//! `WORKCREW_STRESS_RUNS` says how many pools are stressed, `WORKCREW_STRESS_SEED` with which
//! seed the first one. A run that hangs aborts and prints its seed and the pool's numbers.

#![forbid(unsafe_code)]

mod common;

use common::{Dice, PATIENCE, assert_conserved, drop_while_panicking, eventually, watchdog_with};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use workcrew::{Context, Handle, JobError, Results, TryRecvError, WorkerPool};

const SUBMITTERS: u64 = 4;
const TAKERS: u64 = 3;
/// Jobs of one run, follow-ups included.
const MOST_JOBS: usize = 1 << 13;

#[test]
fn every_accepted_job_has_exactly_one_outcome() {
    let number = |name, default| match std::env::var(name) {
        Ok(value) => value.parse().expect(name),
        Err(_) => default,
    };
    let runs = number("WORKCREW_STRESS_RUNS", if cfg!(miri) { 3 } else { 200 });
    let first = number("WORKCREW_STRESS_SEED", 1);
    let start = Instant::now();
    let (mut slow, mut jobs) = (0, 0);
    for seed in first..first + runs {
        let start = Instant::now();
        jobs += run(seed);
        // A lost wakeup that a sleeper's clock repaired would show here.
        if start.elapsed() > Duration::from_millis(900) {
            slow += 1;
            println!("seed {seed} took {:?}", start.elapsed());
        }
    }
    println!(
        "{runs} runs, {jobs} jobs, {:?}, {slow} runs took long",
        start.elapsed()
    );
}

/// What became of each job, by its number.
#[derive(Debug)]
struct Books {
    next: AtomicU32,
    pages: Vec<Page>,
    /// Jobs, results and panics that exist.
    alive: AtomicI64,
}

#[derive(Debug, Default)]
struct Page {
    accepted: AtomicU8,
    /// Handed back by a submission, or dropped by one that panicked.
    rejected: AtomicU8,
    ran: AtomicU8,
    returned: AtomicU8,
    /// Results and panics that bear its number and were dropped, by whomever.
    ended: AtomicU8,
    /// Dropped without having run and without having been given back to us.
    cancelled: AtomicU8,
}

fn mark(mark: &AtomicU8) {
    mark.fetch_add(1, Ordering::Relaxed);
}

/// A job, which writes down where it ends.
#[derive(Debug)]
struct Job {
    id: u32,
    depth: u8,
    end: Option<End>,
    books: Arc<Books>,
    settled: bool,
}

/// A result or a panic's payload.
#[derive(Debug)]
struct Receipt {
    id: u32,
    books: Arc<Books>,
}

impl Books {
    fn job(self: &Arc<Self>, depth: u8) -> Job {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.alive.fetch_add(1, Ordering::Relaxed);
        Job {
            id,
            depth,
            end: None,
            books: Arc::clone(self),
            settled: false,
        }
    }
}

impl Job {
    fn page(&self) -> &Page {
        &self.books.pages[self.id as usize]
    }

    /// It came back to us.
    fn settle(mut self, place: fn(&Page) -> &AtomicU8) {
        self.settled = true;
        mark(place(self.page()));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.settled {
            mark(&self.page().cancelled);
        }
        self.books.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        mark(&self.books.pages[self.id as usize].ended);
        self.books.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the pool is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Join,
    Shutdown,
    ShutdownNow,
    Drop,
    DropInPanic,
    CloseThenDrop,
}

const ENDS: [End; 6] = [
    End::Join,
    End::Shutdown,
    End::ShutdownNow,
    End::Drop,
    End::DropInPanic,
    End::CloseThenDrop,
];

type Pool = WorkerPool<Job, Receipt, Dice>;

/// Ends the pool from outside or, in one of its jobs, from inside.
fn end_it(end: End, pool: Pool, inside: bool) {
    match end {
        End::Join => assert_eq!(pool.join().is_err(), inside),
        End::Shutdown => assert_eq!(pool.shutdown().is_err(), inside),
        End::ShutdownNow => match pool.shutdown_now() {
            Ok(jobs) => {
                assert!(!inside);
                jobs.into_iter()
                    .for_each(|job| job.settle(|page| &page.returned));
            }
            Err(_) => assert!(inside),
        },
        End::Drop => drop(pool),
        End::DropInPanic => drop_while_panicking(|| pool),
        End::CloseThenDrop => {
            pool.close();
            pool.close();
        }
    }
}

/// The worker function.
fn work(mut job: Job, ctx: &mut Context<'_, Job, Dice>, own: &Mutex<Option<Pool>>) -> Receipt {
    job.settled = true;
    mark(&job.page().ran);
    for _ in 0..ctx.state.below(4) {
        thread::yield_now();
    }
    if job.depth > 0 && ctx.state.one_in(4) {
        let many = if ctx.state.one_in(50) {
            300
        } else {
            1 + ctx.state.below(3)
        };
        for _ in 0..many {
            if (job.books.next.load(Ordering::Relaxed) as usize) < MOST_JOBS / 2 {
                let follow_up = job.books.job(job.depth - 1);
                mark(&follow_up.page().accepted);
                ctx.push(follow_up);
            }
        }
    }
    if let Some(end) = job.end {
        let pool = own.lock().unwrap().take().expect("the pool was put there");
        end_it(end, pool, true);
    }
    job.books.alive.fetch_add(1, Ordering::Relaxed);
    let receipt = Receipt {
        id: job.id,
        books: Arc::clone(&job.books),
    };
    if ctx.state.one_in(10) {
        resume_unwind(Box::new(receipt));
    }
    receipt
}

/// Submits until its quota is reached or the pool is closed.
fn submitter(handle: &Handle<Job, Receipt>, books: &Arc<Books>, mut dice: Dice) {
    let mut quota = dice.below(150);
    while quota > 0 {
        quota -= 1;
        let job = || {
            let job = books.job(3);
            let id = job.id as usize;
            (job, &books.pages[id].accepted)
        };
        match dice.below(8) {
            0..3 => {
                let (job, accepted) = job();
                match handle.submit(job) {
                    Ok(_) => mark(accepted),
                    Err(error) => return error.into_job().settle(|page| &page.rejected),
                }
            }
            3 => {
                let (job, accepted) = job();
                match handle.try_submit(job) {
                    Ok(_) => mark(accepted),
                    Err(error) => error.into_job().settle(|page| &page.rejected),
                }
            }
            4 => {
                let (job, accepted) = job();
                let timeout = Duration::from_micros(dice.below(60));
                match handle.submit_timeout(job, timeout) {
                    Ok(_) => mark(accepted),
                    Err(error) => error.into_job().settle(|page| &page.rejected),
                }
            }
            5..7 => {
                let jobs: Vec<_> = (0..dice.below(45)).map(|_| job()).collect();
                let (jobs, marks): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
                let mut accepted = jobs.len();
                let mut closed = false;
                if let Err(error) = handle.submit_all(jobs) {
                    closed = true;
                    accepted = error.accepted() as usize;
                    let mut back = 0;
                    for job in error.into_jobs() {
                        job.settle(|page| &page.rejected);
                        back += 1;
                    }
                    assert_eq!(accepted + back, marks.len());
                }
                marks[..accepted].iter().for_each(|accepted| mark(accepted));
                if closed {
                    return;
                }
            }
            _ => {
                // An iterator that panics. If the pool is closed at the same time its jobs are
                // dropped with the panic; the books tell by what became of them.
                let jobs: Vec<_> = (0..dice.below(40)).map(|_| job().0).collect();
                let jobs = jobs
                    .into_iter()
                    .chain(std::iter::once_with(|| resume_unwind(Box::new(()))));
                let unwound = catch_unwind(AssertUnwindSafe(|| drop(handle.submit_all(jobs))));
                assert!(unwound.is_err() || handle.is_closed());
            }
        }
    }
}

/// Takes until the end, or until it has had enough. Returns how many outcomes it was given.
fn taker(mut results: Results<Receipt>, mut dice: Dice, patience: u64) -> u64 {
    let mut taken = 0;
    while taken < patience {
        if dice.one_in(20) {
            results = results.clone();
        }
        let outcome = match dice.below(4) {
            0 => match results.try_recv() {
                Ok(outcome) => Some(outcome),
                Err(TryRecvError::Empty) => {
                    thread::yield_now();
                    continue;
                }
                Err(_) => None,
            },
            1 => match results.recv_timeout(Duration::from_micros(dice.below(60))) {
                Ok(outcome) => Some(outcome),
                Err(workcrew::RecvTimeoutError::Timeout) => continue,
                Err(_) => None,
            },
            2 => results.next(),
            _ => results.recv().ok(),
        };
        let Some(outcome) = outcome else { break };
        taken += 1;
        match outcome.result {
            Ok(_) | Err(JobError::Cancelled) => {}
            Err(JobError::Panicked(panic)) => {
                assert!(
                    panic.into_payload().is::<Receipt>(),
                    "no other panic in a job"
                );
            }
            Err(other) => panic!("{other}"),
        }
    }
    taken
}

/// One pool's life. Returns how many jobs it accepted.
fn run(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let mut size = || [1, 1, 2, 3, 5, 8, 17, 64, 300][dice.below(9) as usize];
    let (job_capacity, result_capacity) = (size(), size());
    let workers = 1 + dice.below(8) as usize;
    let books = Arc::new(Books {
        next: AtomicU32::new(0),
        pages: (0..MOST_JOBS * 4).map(|_| Page::default()).collect(),
        alive: AtomicI64::new(0),
    });
    let own = Arc::new(Mutex::new(None));
    let inside = Arc::clone(&own);
    let (pool, results) = WorkerPool::<Job, Receipt>::builder()
        .workers(workers)
        .job_capacity(job_capacity)
        .result_capacity(result_capacity)
        .init(move |worker| Dice::new(seed << 8 | worker as u64))
        .build(move |job, ctx| work(job, ctx, &inside))
        .unwrap();
    let handle = pool.handle();
    let _watchdog = watchdog_with(PATIENCE, {
        let (handle, books) = (handle.clone(), Arc::clone(&books));
        move || {
            let next = books.next.load(Ordering::Relaxed);
            format!(
                "seed {seed}: {workers} workers, capacities {job_capacity} and {result_capacity}, \
                 {next} jobs made, closed: {}\n{}",
                handle.is_closed(),
                handle.stats()
            )
        }
    });

    let submitters: Vec<_> = (0..SUBMITTERS)
        .map(|n| {
            let (handle, books) = (handle.clone(), Arc::clone(&books));
            let dice = Dice::new(seed << 8 | 64 | n);
            thread::spawn(move || submitter(&handle, &books, dice))
        })
        .collect();
    // In one run of four all takers leave early.
    let impatient = dice.one_in(4);
    let takers: Vec<_> = (0..TAKERS)
        .map(|n| {
            let leaves = impatient || dice.one_in(4);
            let patience = if leaves && (impatient || n > 0) {
                dice.below(100)
            } else {
                u64::MAX
            };
            let (results, dice) = (results.clone(), Dice::new(seed << 8 | 128 | n));
            thread::spawn(move || taker(results, dice, patience))
        })
        .collect();
    drop(results);

    // The end comes after so many jobs, or when nobody submits any more.
    let threshold = dice.below(400);
    eventually("the end comes", || {
        assert_conserved(&handle.stats());
        handle.stats().accepted >= threshold || submitters.iter().all(|thread| thread.is_finished())
    });
    let end = ENDS[dice.below(6) as usize];
    let from_inside = dice.one_in(4);
    let mut from_outside = Some(pool);
    if from_inside {
        *own.lock().unwrap() = from_outside.take();
        let mut job = books.job(0);
        job.end = Some(end);
        let accepted = &books.pages[job.id as usize].accepted;
        handle.submit(job).expect("nobody else closes it");
        mark(accepted);
    }
    if let Some(pool) = from_outside {
        end_it(end, pool, false);
    }
    submitters
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let taken: u64 = takers
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    eventually("all jobs have their outcomes", || {
        let stats = handle.stats();
        handle.is_closed() && stats.queued == 0 && stats.running == 0 && stats.results_waiting == 0
    });
    // A pool that ends by itself may still be dropping what it cancelled.
    eventually("nothing is left", || {
        books.alive.load(Ordering::Relaxed) == 0
    });
    eventually("all outcomes were taken or discarded", || {
        let stats = handle.stats();
        let outcomes = stats.completed + stats.panicked + stats.cancelled;
        taken + stats.results_discarded == outcomes
    });

    let stats = handle.stats();
    assert_conserved(&stats);
    let (mut accepted, mut ended, mut cancelled, mut returned) = (0, 0, 0, 0);
    for (id, page) in books
        .pages
        .iter()
        .enumerate()
        .take(books.next.load(Ordering::Relaxed) as usize)
    {
        let get = |mark: &AtomicU8| u64::from(mark.load(Ordering::Relaxed));
        let ran = get(&page.ran);
        assert_eq!(ran, get(&page.ended), "seed {seed}: job {id}: {page:?}");
        let fates = ran + get(&page.returned) + get(&page.cancelled) + get(&page.rejected);
        assert_eq!(fates, 1, "seed {seed}: job {id}: {page:?}");
        assert!(
            get(&page.accepted) + get(&page.rejected) <= 1,
            "seed {seed}: job {id}: {page:?}"
        );
        // Neither accepted nor rejected to our knowledge: it came from the panicking iterator.
        accepted += ran + get(&page.returned) + get(&page.accepted) * get(&page.cancelled);
        ended += ran;
        cancelled += get(&page.cancelled);
        returned += get(&page.returned);
    }
    assert_eq!(
        stats.completed + stats.panicked,
        ended,
        "seed {seed}\n{stats}"
    );
    assert_eq!(stats.returned, returned, "seed {seed}\n{stats}");
    assert!(stats.cancelled <= cancelled, "seed {seed}\n{stats}");
    assert!(stats.accepted >= accepted, "seed {seed}\n{stats}");
    stats.accepted
}
