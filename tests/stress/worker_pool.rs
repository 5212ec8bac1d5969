//! One `WorkerPool`'s life: one to four submitters, three takers or a mapper, small queues, panics,
//! follow-ups, cancellations, and an end that comes at any moment in any way. Then the books are
//! checked.

use crate::common::{
    Choices, Dice, LONGEST, assert_conserved, drop_while_panicking, eventually, progress_watchdog,
    take_time,
};
use crate::{Scale, Tally};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use workcrew::{
    CancelError, Context, Failure, Handle, JobError, Outcome, Results, Submitter, TryRecvError,
    WorkerPool,
};

const SUBMITTERS: [u64; 4] = [1, 2, 4, 4];
const TAKERS: u64 = 3;

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
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
    /// It panics when it is dropped unrun, its result when it is discarded.
    explosive: bool,
    end: Option<End>,
    books: Arc<Books>,
    settled: bool,
}

/// A result or a panic's payload.
#[derive(Debug)]
struct Receipt {
    id: u32,
    armed: bool,
    books: Arc<Books>,
}

/// Jobs may fail, which only `try_map` minds.
type Tried = Result<Receipt, Receipt>;

impl Books {
    fn job(self: &Arc<Self>, depth: u8, explosive: bool) -> Job {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.alive.fetch_add(1, Ordering::Relaxed);
        Job {
            id,
            depth,
            explosive,
            end: None,
            books: Arc::clone(self),
            settled: false,
        }
    }

    /// Whether so much of the paper is used that nothing new should be begun.
    fn are_nearly_full(&self) -> bool {
        self.next.load(Ordering::Relaxed) as usize > self.pages.len() / 2
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
        // Elsewhere it was not submitted, or its pool is being dropped in a panic.
        if !self.settled && self.explosive && IS_WORKER.get() {
            resume_unwind(Box::new("a job's drop"));
        }
    }
}

impl Receipt {
    /// It was taken.
    fn sign(mut self) {
        self.armed = false;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        mark(&self.books.pages[self.id as usize].ended);
        self.books.alive.fetch_sub(1, Ordering::Relaxed);
        if self.armed && !thread::panicking() {
            resume_unwind(Box::new("a result's drop"));
        }
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

type Pool = WorkerPool<Job, Tried, Dice>;

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
fn work(mut job: Job, ctx: &mut Context<'_, Job, Dice>, own: &Mutex<Option<Pool>>) -> Tried {
    job.settled = true;
    mark(&job.page().ran);
    take_time(ctx.state.below(LONGEST));
    if job.depth > 0 && ctx.state.one_in(4) {
        let many = if ctx.state.one_in(50) {
            300
        } else {
            1 + ctx.state.below(3)
        };
        for _ in 0..many {
            if !job.books.are_nearly_full() {
                let follow_up = job.books.job(job.depth - 1, ctx.state.one_in(8));
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
    let mut receipt = Receipt {
        id: job.id,
        armed: false,
        books: Arc::clone(&job.books),
    };
    if ctx.state.one_in(10) {
        resume_unwind(Box::new(receipt));
    }
    receipt.armed = job.explosive;
    if ctx.state.one_in(20) {
        return Err(receipt);
    }
    Ok(receipt)
}

/// Where jobs are submitted.
enum Entrance {
    Shared(Handle<Job, Tried>),
    Lane(Submitter<Job, Tried>),
}

impl Entrance {
    fn new(handle: &Handle<Job, Tried>, dice: &mut Dice) -> Self {
        if dice.one_in(2) {
            Self::Lane(handle.submitter())
        } else {
            Self::Shared(handle.clone())
        }
    }
}

/// Both have the same methods.
macro_rules! at {
    ($entrance:ident.$method:ident($($argument:expr),*)) => {
        match &mut $entrance {
            Entrance::Shared(handle) => handle.$method($($argument),*),
            Entrance::Lane(submitter) => submitter.$method($($argument),*),
        }
    };
}

/// Submits until its quota is reached or the pool is closed, and cancels now and then.
fn submitter(handle: &Handle<Job, Tried>, books: &Arc<Books>, quota: u64, mut dice: Dice) {
    let mut entrance = Entrance::new(handle, &mut dice);
    let mut last = None;
    for _ in 0..dice.below(quota) {
        if books.are_nearly_full() {
            return;
        }
        let explosive = dice.one_in(8);
        let job = || {
            let job = books.job(3, explosive);
            let id = job.id as usize;
            (job, &books.pages[id].accepted)
        };
        match dice.below(40) {
            0..14 => {
                let (job, accepted) = job();
                match at!(entrance.submit(job)) {
                    Ok(index) => {
                        mark(accepted);
                        last = Some(index);
                    }
                    Err(error) => return error.into_job().settle(|page| &page.rejected),
                }
            }
            14..19 => {
                let (job, accepted) = job();
                match at!(entrance.try_submit(job)) {
                    Ok(_) => mark(accepted),
                    Err(error) => error.into_job().settle(|page| &page.rejected),
                }
            }
            19..23 => {
                let (job, accepted) = job();
                let timeout = Duration::from_micros(dice.below(60));
                match at!(entrance.submit_timeout(job, timeout)) {
                    Ok(_) => mark(accepted),
                    Err(error) => error.into_job().settle(|page| &page.rejected),
                }
            }
            23..31 => {
                let jobs: Vec<_> = (0..dice.below(45)).map(|_| job()).collect();
                let (jobs, marks): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
                let mut accepted = jobs.len();
                let mut closed = false;
                if let Err(error) = at!(entrance.submit_all(jobs)) {
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
            31..35 => {
                // An iterator that panics. If the pool is closed at the same time its jobs are
                // dropped with the panic; the books tell by what became of them.
                let jobs: Vec<_> = (0..dice.below(40)).map(|_| job().0).collect();
                let jobs = jobs
                    .into_iter()
                    .chain(std::iter::once_with(|| resume_unwind(Box::new(()))));
                let submit_all = || drop(at!(entrance.submit_all(jobs)));
                let unwound = catch_unwind(AssertUnwindSafe(submit_all));
                assert!(unwound.is_err() || handle.is_closed());
            }
            35..38 => {
                // Wherever it is by now. Of others' indices one may be only reserved.
                if let Some(last) = last {
                    let back = dice.below(100);
                    let cancelled = handle.cancel(u64::saturating_sub(last, back));
                    assert!(back > 0 || cancelled != Err(CancelError::NotSubmitted));
                }
            }
            38 => entrance = Entrance::new(handle, &mut dice),
            _ => {
                if dice.one_in(5) {
                    let horizon = handle.cancel_all().unwrap();
                    assert!(last.is_none_or(|last| last < horizon));
                }
            }
        }
    }
}

/// What a taker was given.
fn take(outcome: Outcome<Tried>) {
    match outcome.result {
        Ok(Ok(receipt) | Err(receipt)) => receipt.sign(),
        Err(JobError::Cancelled) => {}
        Err(JobError::Panicked(panic)) => {
            let payload = panic.into_payload();
            assert!(payload.is::<Receipt>(), "no other panic in a job");
        }
        Err(other) => panic!("{other}"),
    }
}

/// Maps now and then, while others submit: the only taker. Returns how many outcomes it used up.
fn mapper(pool: &Pool, results: &mut Results<Tried>, books: &Arc<Books>, dice: &mut Dice) -> u64 {
    let mut taken = 0;
    for _ in 0..1 + dice.below(6) {
        if books.are_nearly_full() {
            break;
        }
        let explosive = dice.one_in(8);
        let many = dice.below(200);
        let jobs = (0..many).map(|_| books.job(2, explosive));
        let some = dice.below(250) as usize;
        let window = 1 + dice.below(70) as usize;
        let hands_back = dice.one_in(3);
        let back = |jobs: &mut dyn Iterator<Item = Job>| {
            jobs.map(|job| job.settle(|page| &page.rejected)).count() as u64
        };
        match dice.below(5) {
            0..2 => {
                let mut map = pool.map(results, jobs).window(window);
                let outcomes = map.by_ref().take(some);
                taken += outcomes.map(take).count() as u64;
                if hands_back {
                    back(&mut map.into_jobs());
                }
            }
            2 => {
                let mut map = pool.map_ordered(results, jobs).window(window);
                let outcomes = map.by_ref().take(some);
                taken += outcomes.map(take).count() as u64;
                if hands_back {
                    back(&mut map.into_jobs());
                }
            }
            3 => {
                taken += many;
                match pool.try_map(results, jobs) {
                    Ok(receipts) => {
                        assert_eq!(receipts.len() as u64, many);
                        receipts.into_iter().for_each(Receipt::sign);
                    }
                    Err(mut error) => {
                        taken -= back(&mut error.jobs);
                        for (_, receipt) in error.finished {
                            receipt.sign();
                        }
                        let failures = error.failures.into_iter().map(|(_, failure)| failure);
                        for failure in failures.chain([error.failure]) {
                            if let Failure::Job(receipt) = failure {
                                receipt.sign();
                            }
                        }
                    }
                }
            }
            _ => {
                // Those that are there. (A job counts as ended after its outcome has come.)
                let stats = pool.stats();
                let ended = stats.completed + stats.panicked + stats.cancelled;
                let sure = ended.saturating_sub(taken).min(some as u64);
                let outcomes = pool.in_order(results, window).take(sure as usize);
                taken += outcomes.map(take).count() as u64;
            }
        }
    }
    taken
}

/// Takes until the end, or until it has had enough. Returns how many outcomes it was given.
fn taker(mut results: Results<Tried>, mut dice: Dice, patience: u64) -> u64 {
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
        take(outcome);
    }
    taken
}

/// One pool's life.
pub(crate) fn run(seed: u64, scale: &Scale) -> Tally {
    let mut dice = Dice::new(seed);
    let mut size = || [1, 1, 2, 3, 5, 8, 17, 64, 300][dice.below(9) as usize];
    let (job_capacity, result_capacity) = (size(), size());
    let workers = dice.pick(scale.workers);
    let books = Arc::new(Books {
        next: AtomicU32::new(0),
        pages: (0..scale.jobs * 4).map(|_| Page::default()).collect(),
        alive: AtomicI64::new(0),
    });
    let own = Arc::new(Mutex::new(None));
    let inside = Arc::clone(&own);
    let (pool, mut results) = WorkerPool::<Job, Tried>::builder()
        .workers(workers)
        .job_capacity(job_capacity)
        .result_capacity(result_capacity)
        .on_start(|_| IS_WORKER.set(true))
        .init(move |worker| Dice::new(seed << 8 | worker as u64))
        .build(move |job, ctx| work(job, ctx, &inside))
        .unwrap();
    let handle = pool.handle();
    let progress = {
        let handle = handle.clone();
        move || {
            let stats = handle.stats();
            stats.completed + stats.panicked + stats.cancelled + stats.returned
        }
    };
    let watchdog = progress_watchdog(scale.patience, progress, {
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

    let submitters: Vec<_> = (0..dice.pick(&SUBMITTERS))
        .map(|n| {
            let (handle, books) = (handle.clone(), Arc::clone(&books));
            let dice = Dice::new(seed << 8 | 64 | n);
            let quota = scale.jobs as u64 / 50;
            thread::spawn(move || submitter(&handle, &books, quota, dice))
        })
        .collect();
    let mut taken = if dice.one_in(3) {
        mapper(&pool, &mut results, &books, &mut dice)
    } else {
        0
    };
    // In one run of four all takers leave early.
    let impatient = dice.one_in(4);
    let takers: Vec<_> = (0..TAKERS)
        .map(|n| {
            let leaves = impatient || dice.one_in(4);
            let patience = if leaves && (impatient || n > 0) {
                dice.below(scale.jobs as u64 / 80)
            } else {
                u64::MAX
            };
            let (results, dice) = (results.clone(), Dice::new(seed << 8 | 128 | n));
            thread::spawn(move || taker(results, dice, patience))
        })
        .collect();
    drop(results);

    // The end comes after so many jobs, or when nobody submits any more.
    let threshold = dice.below(scale.jobs as u64 / 20);
    eventually("the end comes", || {
        assert_conserved(&handle.stats());
        handle.stats().accepted >= threshold || submitters.iter().all(|thread| thread.is_finished())
    });
    let end = ENDS[dice.below(6) as usize];
    let from_inside = dice.one_in(4);
    let mut from_outside = Some(pool);
    if from_inside {
        *own.lock().unwrap() = from_outside.take();
        eventually("a job that ends the pool is not cancelled", || {
            let mut job = books.job(0, false);
            job.end = Some(end);
            let page = &books.pages[job.id as usize];
            handle.submit(job).expect("nobody else closes it");
            mark(&page.accepted);
            let [ran, cancelled] = [&page.ran, &page.cancelled];
            eventually("it runs or is cancelled", || {
                ran.load(Ordering::Relaxed) + cancelled.load(Ordering::Relaxed) > 0
            });
            ran.load(Ordering::Relaxed) > 0
        });
    }
    if let Some(pool) = from_outside {
        end_it(end, pool, false);
    }
    submitters
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    taken += takers
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum::<u64>();
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
    Tally {
        jobs: stats.accepted,
        panics: stats.panicked,
        gap: watchdog.longest(),
    }
}
