//! Whole pools: a submitter, a worker, a taker or a closer stands somewhere, and all
//! that others submit must still run and arrive.

use super::{Point, Release, demand, queues, wait_or_dump, wait_until};
use crate::pace::be_brisk;
use crate::probe::Stall;
use crate::worker_pool::lease;
use crate::{Context, Handle, Outcome, Results, Submitter, TrySubmitError, WorkerPool};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, yield_now};
use std::time::Duration;

/// Who may be suspended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// A thread that submits in all ways.
    Submitter,
    /// A thread that submits through a lane of its own, now and then a new one.
    LaneOwner,
    /// Worker 0 only.
    OneWorker,
    /// The first of all workers that comes by.
    AnyWorker,
    /// The same in a crew whose workers are all brisk.
    BriskWorker,
    /// The same, but one that steals from another, which stands beside.
    BriskThief,
    /// All workers but one.
    AllButOneWorker,
    /// The first worker that finds no room since another, which stands beside, has a lease. For
    /// so long nobody takes results.
    OutOfRoom,
    /// A thread that takes results, and now and then drops what it has in hand.
    Taker,
    /// The thread that closes the pool while others are blocked in `submit`.
    Closer,
    /// A thread that is blocked in `submit` when the pool is closed.
    BlockedSubmitter,
    /// A worker at the end: nothing is left to run.
    LastWorker,
    /// The last taker leaves.
    LastTaker,
}

/// The most that a thread may have claimed: 64 jobs, or 64 results.
pub(super) const CLAIM: usize = 64;

/// More than one deque holds of these jobs, so that some go to the overflow.
const FAMILY: usize = 40;

/// Large, so that a deque has few slots.
pub(super) struct Job {
    id: usize,
    children: usize,
    /// Runs until the book is opened.
    waits: bool,
    _bulk: [u64; 250],
}

/// What became of each job.
#[derive(Default)]
pub(super) struct Book {
    pages: Mutex<Vec<Page>>,
    open: AtomicBool,
    /// The index of an outcome that has arrived, plus one.
    arrived: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Page {
    pub(super) accepted: bool,
    /// Submitted when the thread was already suspended.
    pub(super) late: bool,
    pub(super) ran: u8,
    pub(super) arrived: u8,
}

impl Book {
    fn job(&self, late: bool) -> Job {
        let mut pages = self.pages.lock().unwrap();
        let id = pages.len();
        pages.push(Page {
            late,
            ..Page::default()
        });
        let children = match id % 50 {
            49 => FAMILY,
            9 | 29 => 3,
            _ => 0,
        };
        Job {
            id,
            children,
            waits: false,
            _bulk: [0; 250],
        }
    }

    fn child(&self, late: bool) -> Job {
        Job {
            children: 0,
            ..self.job(late)
        }
    }

    fn with(&self, id: usize, change: impl FnOnce(&mut Page)) {
        change(&mut self.pages.lock().unwrap()[id]);
    }

    fn arrive(&self, outcome: Outcome<usize>) {
        let id = outcome.result.expect("no job panics");
        self.with(id, |page| page.arrived += 1);
        self.arrived.store(outcome.index + 1, SeqCst);
    }

    fn accept(&self, id: usize) {
        self.with(id, |page| page.accepted = true);
    }

    fn ran(&self, id: usize) -> bool {
        self.pages.lock().unwrap()[id].ran > 0
    }

    pub(super) fn count(&self, what: impl Fn(&Page) -> bool) -> usize {
        self.pages
            .lock()
            .unwrap()
            .iter()
            .filter(|page| what(page))
            .count()
    }

    pub(super) fn dump(&self) -> String {
        let pages = self.pages.lock().unwrap();
        let stranded = pages
            .iter()
            .enumerate()
            .filter(|(_, page)| page.accepted && page.arrived == 0);
        stranded
            .take(20)
            .map(|(id, page)| format!("job {id}: {page:?}\n"))
            .collect()
    }

    pub(super) fn run(&self, job: Job, ctx: &mut Context<'_, Job>) -> usize {
        let mut late = false;
        self.with(job.id, |page| {
            page.ran += 1;
            late = page.late;
        });
        while job.waits && !self.open.load(SeqCst) {
            yield_now();
        }
        for _ in 0..job.children {
            let child = self.child(late);
            self.accept(child.id);
            ctx.push(child);
        }
        job.id
    }
}

/// Submits in all ways until `stop`, for at most so many rounds.
pub(super) fn submit_mix(
    handle: &Handle<Job, usize>,
    book: &Book,
    rounds: usize,
    stop: &dyn Fn() -> bool,
) {
    for round in 0..rounds {
        if stop() {
            return;
        }
        match round % 6 {
            0 => submit_singles(handle, book, 5, false),
            1 => submit_batch(handle, book, 7, false),
            2 => {
                for _ in 0..5 {
                    try_submit(handle, book);
                }
            }
            3 => submit_batch(handle, book, 40, false),
            4 => {
                let job = book.job(false);
                let id = job.id;
                if handle.submit_timeout(job, Duration::from_secs(600)).is_ok() {
                    book.accept(id);
                }
            }
            _ => {
                // Too late: it has started.
                if let Some(index) = book.arrived.load(SeqCst).checked_sub(1) {
                    let _ = handle.cancel(index);
                }
                for _ in 0..2 {
                    // So that the crew may fall asleep; nothing depends on it.
                    thread::sleep(Duration::from_micros(200));
                    submit_singles(handle, book, 1, false);
                }
            }
        }
    }
}

/// Submits through lanes, and beside them, until `stop`, for at most so many rounds.
pub(super) fn lane_mix(
    handle: &Handle<Job, usize>,
    book: &Book,
    rounds: usize,
    stop: &dyn Fn() -> bool,
) {
    let mut lane = handle.submitter();
    for round in 0..rounds {
        if stop() {
            return;
        }
        match round % 4 {
            0 => submit_in(&mut lane, book, 17),
            // More than the queue holds, while places are reserved.
            1 => submit_batch(handle, book, 80, false),
            2 => {
                submit_in(&mut lane, book, 2);
                handle.stats();
                lane = handle.submitter();
            }
            _ => {
                submit_in(&mut lane, book, 1);
                submit_singles(handle, book, 3, false);
            }
        }
    }
}

fn submit_in(lane: &mut Submitter<Job, usize>, book: &Book, jobs: usize) {
    for _ in 0..jobs {
        let job = book.job(false);
        let id = job.id;
        if lane.submit(job).is_ok() {
            book.accept(id);
        }
    }
}

pub(super) fn submit_singles(handle: &Handle<Job, usize>, book: &Book, jobs: usize, late: bool) {
    for _ in 0..jobs {
        let job = book.job(late);
        let id = job.id;
        if handle.submit(job).is_ok() {
            book.accept(id);
        }
    }
}

pub(super) fn submit_batch(handle: &Handle<Job, usize>, book: &Book, jobs: usize, late: bool) {
    let jobs: Vec<_> = (0..jobs).map(|_| book.job(late)).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let accepted = match handle.submit_all(jobs) {
        Ok(all) => all,
        Err(error) => error.accepted,
    };
    ids[..accepted as usize]
        .iter()
        .for_each(|&id| book.accept(id));
}

fn try_submit(handle: &Handle<Job, usize>, book: &Book) -> bool {
    let job = book.job(false);
    let id = job.id;
    match handle.try_submit(job) {
        Ok(_) => book.accept(id),
        Err(TrySubmitError::Full(_) | TrySubmitError::Closed(_)) => return false,
    }
    true
}

/// Takes until the end.
pub(super) fn take_all(results: Results<usize>, book: &Book) {
    for outcome in results {
        book.arrive(outcome);
    }
}

/// Takes in all ways, leaves now and then and comes back, until the end.
pub(super) fn take_mix(mut results: Results<usize>, book: &Book) {
    for turn in 1_usize.. {
        let outcome = match turn % 5 {
            0 => results
                .try_recv()
                .map_err(|error| error == crate::TryRecvError::Ended),
            1 => results
                .recv_timeout(Duration::from_millis(1))
                .map_err(|error| error == crate::RecvTimeoutError::Ended),
            _ => results.recv().map_err(|_| true),
        };
        match outcome {
            Ok(outcome) => {
                book.arrive(outcome);
            }
            Err(true) => return,
            Err(false) => yield_now(),
        }
        if turn % 7 == 0 {
            // What it has in hand goes back.
            results = results.clone();
        }
    }
}

/// Submits a job that runs until the book is opened, and waits until it runs.
fn keep_one_busy(handle: &Handle<Job, usize>, book: &Book) {
    let job = Job {
        waits: true,
        ..book.child(false)
    };
    let id = job.id;
    book.accept(id);
    if handle.submit(job).is_err() {
        unreachable!("nobody closes the pool before");
    }
    wait_until("the job runs", || book.ran(id));
}

/// Gives each worker a job that runs until the book is opened, and fills the queue.
fn keep_all_busy(handle: &Handle<Job, usize>, book: &Book, workers: usize) {
    (0..workers).for_each(|_| keep_one_busy(handle, book));
    while try_submit(handle, book) {}
}

/// Each accepted job has run once, and its result has arrived once, or if the last taker left,
/// perhaps been discarded.
pub(super) fn assert_settled(handle: &Handle<Job, usize>, book: &Book, discards: bool) {
    let stats = handle.stats();
    let accepted = book.count(|page| page.accepted);
    assert_eq!(stats.accepted, accepted as u64, "{stats}");
    assert_eq!(stats.completed, accepted as u64, "{stats}");
    assert_eq!(
        (
            stats.queued,
            stats.running,
            stats.panicked,
            stats.cancelled,
            stats.returned
        ),
        (0, 0, 0, 0, 0),
        "{stats}"
    );
    assert_eq!(
        book.count(|page| page.ran != u8::from(page.accepted)),
        0,
        "each accepted job runs once"
    );
    let arrived = book.count(|page| page.arrived == 1);
    assert_eq!(
        book.count(|page| page.arrived > 1),
        0,
        "each result arrives once"
    );
    assert_eq!(
        arrived as u64 + stats.results_discarded,
        accepted as u64,
        "{stats}"
    );
    if !discards {
        assert_eq!(stats.results_discarded, 0, "{stats}");
    }
}

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(
    point: &Point,
    role: Role,
    workers: usize,
    capacity: usize,
    pass: usize,
) -> bool {
    let no_room = role == Role::OutOfRoom;
    let worker_helps = no_room || role == Role::BriskThief;
    if no_room && (pass > 0 || lease::size(workers, capacity) == 0) {
        // In a short queue there are no leases, and each is taken away once.
        return false;
    }
    let suspended = if role == Role::AllButOneWorker {
        workers - 1
    } else {
        1
    };
    let (stall, before) = queues::stalls(point, pass);
    let pass = if before.is_empty() { pass } else { 0 };
    let more = (1..suspended).map(|_| Stall::at(point.name, pass));
    let stalls: Vec<_> = std::iter::once(stall).chain(more).collect();
    let beside = point.beside.map(|name| Stall::at(name, 0));
    let _release = Release(stalls.iter().chain(&before).chain(&beside).collect());
    let watch = {
        let (stalls, before) = (stalls.clone(), before.clone());
        move |nth: usize| {
            before.iter().for_each(Stall::watch);
            stalls[nth].watch();
        }
    };
    let book = Arc::new(Book::default());
    let (pool, results) = {
        let (book, watch) = (Arc::clone(&book), watch.clone());
        let helps = beside.clone().filter(|_| worker_helps);
        WorkerPool::<Job, usize>::builder()
            .workers(workers)
            .job_capacity(capacity)
            .result_capacity(capacity)
            .on_start(move |worker| match role {
                Role::OneWorker if worker == 0 => watch(0),
                Role::AnyWorker | Role::LastWorker => watch(0),
                Role::BriskWorker | Role::BriskThief => {
                    be_brisk();
                    helps.iter().for_each(Stall::watch);
                    watch(0);
                }
                Role::OutOfRoom => {
                    helps.iter().for_each(Stall::watch);
                    watch(0);
                }
                Role::AllButOneWorker if worker > 0 => watch(worker - 1),
                _ => {}
            })
            .build(move |job, ctx| book.run(job, ctx))
            .expect("threads can be made")
    };
    let handle = &pool.handle();
    let (book, watch) = (&*book, &watch);
    let wait = |what: &str, condition: &mut dyn FnMut() -> bool| {
        wait_or_dump(
            what,
            || format!("{}\n{}", handle.stats(), book.dump()),
            condition,
        );
    };
    let holds = || stalls.iter().any(|stall| stall.holds_one());
    let holds_all = &|| stalls.iter().all(|stall| stall.holds_one());
    // Who stands at the end, and not while jobs are submitted.
    let ends = matches!(
        role,
        Role::Closer | Role::BlockedSubmitter | Role::LastWorker
    );
    let submitting = &AtomicUsize::new(1);
    let late = AtomicUsize::new(2);
    let (ended, closed) = (AtomicBool::new(false), AtomicBool::new(false));
    let blocked = AtomicUsize::new(2);
    let (helped, full) = (AtomicBool::new(false), AtomicBool::new(false));

    thread::scope(|scope| {
        let discards = role == Role::LastTaker;
        if let (Some(beside), true) = (&beside, point.beside_takes()) {
            let results = results.clone();
            scope.spawn(move || {
                beside.watch();
                take_all(results, book);
            });
            submit_singles(handle, book, 3, false);
            wait("the helper stands", &mut || beside.holds_one());
        }
        let second = (role == Role::Taker).then(|| results.clone());
        if discards {
            scope.spawn(move || {
                watch(0);
                // Takes a few, so that some are in its hand, and leaves.
                let mut results = results;
                for _ in 0..3 {
                    if let Ok(outcome) = results.recv() {
                        book.arrive(outcome);
                    }
                }
            });
        } else {
            let (ended, full) = (&ended, &full);
            scope.spawn(move || {
                if no_room {
                    wait_until("takers are let in", || full.load(SeqCst));
                }
                take_all(results, book);
                ended.store(true, SeqCst);
            });
        }

        if let (Some(beside), false, false) = (&beside, point.beside_takes(), ends || worker_helps)
        {
            scope.spawn(|| {
                beside.watch();
                submit_mix(handle, book, 4, &|| false);
                helped.store(true, SeqCst);
            });
            wait("the helper stands", &mut || {
                beside.holds_one() || helped.load(SeqCst)
            });
        }
        // The thread that is watched, if it is none of the crew.
        match role {
            Role::Taker => {
                scope.spawn(|| {
                    watch(0);
                    take_mix(second.expect("made for this role"), book);
                });
            }
            Role::Submitter | Role::LaneOwner => {
                let mix = if role == Role::LaneOwner {
                    lane_mix
                } else {
                    submit_mix
                };
                submitting.fetch_add(1, SeqCst);
                scope.spawn(move || {
                    watch(0);
                    mix(handle, book, 18, holds_all);
                    submitting.fetch_sub(1, SeqCst);
                });
            }
            _ => {}
        }

        // First act: until somebody stands.
        scope.spawn(|| {
            if !ends {
                submit_mix(handle, book, 18, holds_all);
            }
            submitting.fetch_sub(1, SeqCst);
        });
        let idle = || submitting.load(SeqCst) == 0;
        for before in &before {
            // Or at the point already: what is rare may come true by itself.
            wait("a thread stands before the point", &mut || {
                before.holds_one() || idle() || holds_all()
            });
            if before.holds_one() {
                // Others surprise it, as far as they can.
                for _ in 0..60 {
                    try_submit(handle, book);
                    yield_now();
                }
            }
            before.release();
        }
        if ends {
            submit_singles(handle, book, 3, false);
        } else {
            wait("somebody stands, or all is submitted", &mut || {
                holds_all() || idle()
            });
            full.store(true, SeqCst);
            if worker_helps && workers == 2 {
                // Somebody must work.
                beside.iter().for_each(|beside| beside.release());
            }
            if let Some(beside) = &beside
                && !holds()
            {
                // What the helper does when it comes late may be the rare event.
                beside.release();
                submit_mix(handle, book, 6, holds_all);
            }
        }

        // Second act: the others go on, and nobody joins those who stand.
        if !ends {
            stalls
                .iter()
                .filter(|stall| !stall.holds_one())
                .for_each(|stall| stall.release());
        }
        if holds() {
            scope.spawn(|| {
                submit_singles(handle, book, 12, true);
                late.fetch_sub(1, SeqCst);
            });
            scope.spawn(|| {
                submit_batch(handle, book, 20, true);
                submit_singles(handle, book, 3, true);
                late.fetch_sub(1, SeqCst);
            });
            wait(
                "what the others submitted has run, and arrived",
                &mut || {
                    let stranded = |page: &Page| {
                        page.late && (page.ran == 0 || !discards && page.arrived == 0)
                    };
                    late.load(SeqCst) == 0 && book.count(stranded) == 0
                },
            );
            let lost =
                |page: &Page| page.accepted && (page.ran == 0 || !discards && page.arrived == 0);
            let claimants = suspended + usize::from(beside.is_some());
            wait("no more is missing than what was claimed", &mut || {
                book.count(lost) <= claimants * CLAIM
            });
        }

        // Third act: the end, which may be where somebody stands.
        if matches!(role, Role::Closer | Role::BlockedSubmitter) {
            keep_all_busy(handle, book, workers);
            for batch in [false, true] {
                let blocked = &blocked;
                scope.spawn(move || {
                    if batch {
                        submit_batch(handle, book, 3, false);
                    } else {
                        if role == Role::BlockedSubmitter {
                            watch(0);
                        }
                        submit_singles(handle, book, 1, false);
                    }
                    blocked.fetch_sub(1, SeqCst);
                });
            }
            wait("both are blocked", &mut || {
                handle.stats().blocked_submitters == 2
            });
            scope.spawn(|| {
                if role == Role::Closer {
                    watch(0);
                }
                beside.iter().for_each(Stall::watch);
                handle.close();
                closed.store(true, SeqCst);
            });
            let closer_stands = || {
                role == Role::Closer && holds()
                    || beside.as_ref().is_some_and(|beside| beside.holds_one())
            };
            wait("the closer stands or has closed", &mut || {
                closer_stands() || closed.load(SeqCst)
            });
            wait("blocked submitters learn that it is closed", &mut || {
                let standing = usize::from(role == Role::BlockedSubmitter && holds());
                blocked.load(SeqCst) == standing
            });
            book.open.store(true, SeqCst);
        } else if role == Role::LastWorker {
            // One worker is busy until the others sleep again, so that it has somebody
            // to wake at the end.
            keep_one_busy(handle, book);
            let parked = || {
                handle
                    .stats()
                    .workers
                    .iter()
                    .map(|worker| worker.parked)
                    .sum::<u64>()
            };
            let before = parked();
            handle.close();
            wait("the others sleep again, or somebody stands", &mut || {
                parked() >= before + workers as u64 - 1 || holds()
            });
            book.open.store(true, SeqCst);
        } else {
            handle.close();
        }
        if ends {
            wait(
                "a worker stands at the end, or takers have ended",
                &mut || holds() || ended.load(SeqCst),
            );
            if holds() {
                wait("takers end", &mut || ended.load(SeqCst));
            }
        }
        stalls.iter().for_each(|stall| stall.release());
        beside.iter().for_each(|beside| beside.release());
    });
    pool.join().expect("not in a worker");

    assert_settled(handle, book, role == Role::LastTaker);
    stalls.iter().any(|stall| stall.holds_one())
}

/// One worker stands where it has passed over what a lane had reserved, and has not said so: to
/// whoever looks, these places are jobs. Who waits for the end then must be told by that worker,
/// which has no job itself, and not only by the clock.
#[test]
fn who_waits_for_idleness_is_told_of_places_passed_over() {
    let passing = Stall::at("injector pop: poisoned", 0);
    let waiting = Stall::at("gate wait: looked, not asleep", 0);
    let clock = Stall::at("gate wait: found by the clock", 0);
    let _release = Release(vec![&passing, &waiting, &clock]);
    let (watch, open) = (Arc::clone(&passing), Arc::new(AtomicBool::new(false)));
    let (inside, busy) = (Arc::clone(&open), Arc::new(AtomicUsize::new(usize::MAX)));
    let in_it = Arc::clone(&busy);
    let (pool, results) = WorkerPool::<bool, ()>::builder()
        .workers(2)
        .job_capacity(64)
        .on_start(move |_| watch.watch())
        .build(move |waits, ctx| {
            if waits {
                in_it.store(ctx.worker(), SeqCst);
                wait_until("the first may end", || inside.load(SeqCst));
            }
        })
        .expect("threads can be made");
    drop(results);
    let parked = |worker: usize| pool.stats().workers[worker].parked;
    let mut lane = pool.submitter();
    lane.submit(true).expect("it is open");
    wait_until("it runs", || busy.load(SeqCst) < 2);
    let busy = busy.load(SeqCst);
    let other = 1 - busy;
    wait_until("the other has nothing to do", || parked(other) > 0);
    // Behind the places that the lane has reserved.
    pool.submit(false).expect("it is open");
    wait_until("the other passes them over", || passing.holds_one());
    let before = [parked(0), parked(1)];
    open.store(true, SeqCst);
    wait_until("all jobs have ended, and their worker sleeps", || {
        pool.stats().completed == 2 && parked(busy) > before[busy]
    });
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            waiting.watch();
            clock.watch();
            pool.wait_idle()
        });
        wait_until("somebody waits for the end", || waiting.holds_one());
        passing.release();
        wait_until("the other sleeps again", || parked(other) > before[other]);
        waiting.release();
        wait_until("who waits has been told", || {
            demand(!clock.holds_one(), "it is told before the clock runs out");
            waiter.is_finished()
        });
        waiter.join().unwrap().expect("not in a worker");
    });
    drop(lane);
    pool.join().expect("not in a worker");
}
