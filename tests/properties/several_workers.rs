//! Several workers, whose jobs run as they please or are held: what must be true however they
//! race.
//!
//! While every worker is held in a job, nothing moves, and then the laws are exact: how many
//! jobs wait, whether there is room, and which jobs may never start after a cancellation.

use crate::common::{assert_conserved, drop_while_panicking};
use crate::program::{End, Half, Kind, Program, Step};
use crate::site::{
    Event, FreeAtEnd, Job, Pool, Site, Tried, Verdict, ancestor, build, follow_up,
    free_when_closed, giving, read, told_by_failed_map,
};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use workcrew::{
    Outcome, Results, Stats, SubmitTimeoutError, Submitter, TryRecvError, TrySubmitError,
};

#[derive(Clone, Copy, Debug)]
struct Page {
    kind: Kind,
    follow_up: bool,
    /// Where it is known.
    index: Option<u64>,
    started: bool,
    ended: bool,
    dropped: bool,
    /// It waited when it was cancelled.
    never: bool,
    fate: Option<Fate>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Outcome(Verdict),
    Returned,
}

/// What has become of each job.
#[derive(Debug, Default)]
struct Book {
    pages: BTreeMap<u64, Page>,
    /// Jobs by index.
    indices: BTreeMap<u64, u64>,
    /// Indices of outcomes that said nothing but that their job was cancelled.
    cancelled: BTreeMap<(u64, bool), u64>,
    /// Those that `try_map` kept to itself.
    kept: u64,
    /// The jobs with these indices, and those of maps, may have been cancelled.
    recalled: BTreeSet<u64>,
    map_recalled: bool,
    horizon: u64,
    outcomes: u64,
}

impl Book {
    fn open(&mut self, id: u64, kind: Kind, follow_up: bool, index: Option<u64>) {
        self.pages.entry(id).or_insert(Page {
            kind,
            follow_up,
            index,
            started: false,
            ended: false,
            dropped: false,
            never: false,
            fate: None,
        });
    }

    fn accepted(&mut self, id: u64, index: u64) {
        self.pages.get_mut(&id).unwrap().index = Some(index);
        assert_eq!(
            self.indices.insert(index, id),
            None,
            "an index is given once"
        );
    }

    fn read_log(&mut self, site: &Site) {
        for event in site.events() {
            let (Event::Started(id) | Event::Ended(id) | Event::Dropped(id)) = event;
            let page = self.pages.get_mut(&id).expect("a job that was made");
            match event {
                Event::Started(_) => {
                    assert!(!page.started && !page.dropped, "{id} {page:?}");
                    assert!(
                        !page.never,
                        "it was cancelled, and it waited: {id} {page:?}"
                    );
                    page.started = true;
                }
                Event::Ended(_) => {
                    assert!(page.started && !page.ended, "{id} {page:?}");
                    page.ended = true;
                }
                Event::Dropped(_) => {
                    assert!(!page.started && !page.dropped, "{id} {page:?}");
                    page.dropped = true;
                }
            }
        }
    }

    fn take(&mut self, outcome: Outcome<Tried>, workers: usize) {
        assert!(outcome.worker < workers);
        let (index, follow_up) = (outcome.index, outcome.follow_up);
        let (id, verdict) = read(outcome);
        self.outcomes += 1;
        let Some(id) = id else {
            *self.cancelled.entry((index, follow_up)).or_default() += 1;
            return;
        };
        if !follow_up && self.pages[&id].index.is_none() {
            self.accepted(id, index);
        }
        let page = self.pages.get_mut(&id).unwrap();
        assert_eq!(page.follow_up, follow_up);
        assert_eq!(verdict, Verdict::of(page.kind));
        assert!(follow_up || page.index == Some(index));
        self.end(id, Fate::Outcome(verdict));
    }

    fn has_ended(&self, id: u64) -> bool {
        self.pages[&id].ended
    }

    /// What has not started never will, nor will follow-ups that come later.
    fn never_below(&mut self, end: u64) {
        let below: BTreeSet<u64> = self.indices.range(..end).map(|(_, id)| *id).collect();
        for (id, page) in &mut self.pages {
            let first = if page.follow_up { ancestor(*id) } else { *id };
            page.never |= !page.started && below.contains(&first);
        }
    }

    fn end(&mut self, id: u64, fate: Fate) {
        let page = self.pages.get_mut(&id).unwrap();
        assert_eq!(page.fate, None, "{id} {page:?}");
        page.fate = Some(fate);
    }

    /// All have ended. In a panic the pool has cancelled what was queued.
    fn close(&self, stats: &Stats, in_panic: bool, no_taker: bool) {
        assert_conserved(stats);
        assert_eq!((stats.queued, stats.running), (0, 0));
        let count = |wanted: &dyn Fn(&Page) -> bool| {
            self.pages.values().filter(|page| wanted(page)).count() as u64
        };
        let dropped = count(&|page| page.dropped);
        let returned = count(&|page| page.fate == Some(Fate::Returned));
        let of = |verdicts: &[Verdict]| {
            count(&|page| page.ended && verdicts.contains(&Verdict::of(page.kind)))
        };
        assert_eq!(count(&|page| page.started), count(&|page| page.ended));
        let well = of(&[Verdict::Returned, Verdict::Failed]);
        assert_eq!(
            (stats.completed, stats.panicked),
            (well, of(&[Verdict::Panicked]))
        );
        assert_eq!(stats.returned, returned);
        if in_panic {
            assert!(stats.cancelled >= dropped);
        } else {
            assert_eq!(stats.cancelled, dropped);
        }
        assert_eq!(
            stats.accepted,
            self.outcomes + stats.results_discarded + returned
        );
        let cancelled = self.cancelled.values().sum::<u64>() + self.kept;
        for page in self.pages.values() {
            match page.fate {
                Some(Fate::Outcome(_)) => assert!(page.ended, "{page:?}"),
                Some(Fate::Returned) => assert!(!page.started && !page.dropped, "{page:?}"),
                None => {}
            }
        }
        if !no_taker {
            assert_eq!(stats.results_discarded, 0);
            assert_eq!(stats.cancelled, cancelled);
        }
        for &(index, follow_up) in self.cancelled.keys() {
            let own = !follow_up && (self.recalled.contains(&index) || self.map_recalled);
            assert!(
                index < self.horizon || own || in_panic,
                "nobody cancelled {index}"
            );
        }
    }
}

struct Play<'a> {
    site: &'a Arc<Site>,
    pool: &'a Pool,
    program: &'a Program,
    book: Book,
    takers: Vec<Results<Tried>>,
    /// And the last index that each gave.
    lanes: [(Submitter<Job, Tried>, Option<u64>); 2],
    /// Submitters that submit no more, and stay until the pool has ended.
    kept_lanes: Vec<Submitter<Job, Tried>>,
    next_id: u64,
    no_taker: bool,
}

pub(crate) fn play(program: &Program) {
    let site = &Arc::new(Site::default());
    let (pool, results) = build(program);
    let _free = FreeAtEnd(site);
    let mut play = Play {
        site,
        pool: &pool,
        program,
        book: Book::default(),
        takers: vec![results],
        lanes: [(); 2].map(|()| (pool.submitter(), None)),
        kept_lanes: Vec::new(),
        next_id: 0,
        no_taker: false,
    };
    // What takers put back when they go lies beside the bounded queue.
    let mut put_back = false;
    for step in &program.steps {
        put_back |= matches!(
            step,
            Step::DropTaker(_) | Step::Map { .. } | Step::TryMap(_) | Step::InOrder { .. }
        );
        play.step(step);
        play.book.read_log(site);
        let stats = pool.stats();
        assert_conserved(&stats);
        let most = program.result_capacity + program.workers;
        assert!(put_back || stats.results_waiting <= most as u64, "{stats}");
    }
    let Play {
        book,
        takers,
        lanes,
        kept_lanes,
        no_taker,
        ..
    } = play;
    finish(program, pool, site, book, takers, no_taker);
    drop((lanes, kept_lanes));
}

impl Play<'_> {
    fn jobs(&mut self, kinds: &[Kind]) -> u64 {
        let first = self.next_id + 1;
        self.next_id += kinds.len() as u64;
        for (id, kind) in (first..).zip(kinds) {
            self.book.open(id, *kind, false, None);
            for number in 0..kind.follow_ups {
                let child = follow_up(id, number);
                self.book.open(child, kind.of_follow_ups(), true, None);
            }
        }
        first
    }

    /// How many submitted jobs wait, if nothing moves: every worker is held in a job.
    fn still(&mut self) -> Option<u64> {
        // Nobody but this thread lets them go.
        if self.site.held() < self.program.workers {
            return None;
        }
        self.book.read_log(self.site);
        let stats = self.pool.stats();
        assert_eq!(stats.running, self.program.workers as u64);
        // Those that were pushed have no part in the capacity.
        let pushed = self.book.pages.iter().filter(|(id, page)| {
            page.follow_up && !page.started && !page.dropped && self.book.has_ended(ancestor(**id))
        });
        Some(stats.queued - pushed.count() as u64)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::TrySubmit(kind) | Step::Submit(kind) | Step::SubmitInLane(_, kind) => {
                let id = self.jobs(&[kind]);
                let room = self
                    .still()
                    .map(|waiting| waiting < self.program.job_capacity as u64);
                let job = Job::new(id, kind, self.site);
                let tried = if let Step::SubmitInLane(lane, _) = *step {
                    let (lane, last) = &mut self.lanes[lane];
                    let tried = lane.try_submit(job);
                    if let Ok(index) = tried {
                        assert!(index >= self.book.horizon && last.is_none_or(|last| last < index));
                        *last = Some(index);
                    }
                    tried
                } else {
                    self.pool.try_submit(job)
                };
                match tried {
                    Ok(index) => {
                        assert_ne!(room, Some(false));
                        self.book.accepted(id, index);
                    }
                    Err(TrySubmitError::Closed(job)) => {
                        assert!(self.pool.is_closed() && job.into_id() == id);
                    }
                    Err(TrySubmitError::Full(job)) => {
                        assert_ne!(room, Some(true));
                        assert_eq!(job.into_id(), id);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Step::SubmitInNoTime(kind) => {
                let id = self.jobs(&[kind]);
                let job = Job::new(id, kind, self.site);
                match self.pool.submit_timeout(job, Duration::from_micros(1)) {
                    Ok(index) => self.book.accepted(id, index),
                    Err(error) => {
                        let closed = matches!(error, SubmitTimeoutError::Closed(_));
                        assert_eq!(closed, self.pool.is_closed());
                        assert_eq!(error.into_job().into_id(), id);
                    }
                }
            }
            Step::SubmitAll { ref jobs, panics } => self.submit_all(jobs, panics, None),
            Step::SubmitAllInLane(lane, ref jobs) => self.submit_all(jobs, false, Some(lane)),
            Step::LeaveLane { lane, keep } => {
                let next = (self.pool.submitter(), None);
                let (last, _) = std::mem::replace(&mut self.lanes[lane], next);
                if keep {
                    self.kept_lanes.push(last);
                }
            }
            Step::Release => self.site.release(),
            Step::TryRecv(taker) | Step::RecvInNoTime(taker) | Step::Recv(taker) => {
                let Some(results) = self.takers.get_mut(taker) else {
                    return;
                };
                let timeout = Duration::from_micros(1);
                let taken = if let Step::TryRecv(_) = step {
                    results.try_recv().ok()
                } else {
                    results.recv_timeout(timeout).ok()
                };
                if let Some(outcome) = taken {
                    self.book.take(outcome, self.program.workers);
                }
            }
            Step::CloneTaker(taker) => {
                if let (Some(results), true) = (self.takers.get(taker), self.takers.len() < 3) {
                    let further = results.clone();
                    self.takers.push(further);
                }
            }
            Step::DropTaker(taker) => {
                if taker < self.takers.len() {
                    drop(self.takers.remove(taker));
                    self.no_taker = self.takers.is_empty();
                }
            }
            Step::Cancel(back) => {
                let last = self.book.indices.last_key_value();
                let Some(index) = last.and_then(|(last, _)| (last + 1).checked_sub(back)) else {
                    return;
                };
                let still = self.still().is_some();
                if self.pool.cancel(index).is_ok() {
                    self.book.recalled.insert(index);
                    let id = self.book.indices.get(&index);
                    if let (true, Some(page)) =
                        (still, id.and_then(|id| self.book.pages.get_mut(id)))
                    {
                        page.never |= !page.started;
                    }
                }
            }
            Step::CancelAll => {
                let still = self.still().is_some();
                let end = self.pool.cancel_all().unwrap();
                assert!(end >= self.book.horizon);
                self.book.horizon = end;
                if still {
                    self.book.never_below(end);
                }
            }
            Step::Close => self.pool.close(),
            Step::Map { .. } | Step::TryMap(_) | Step::InOrder { .. } => self.interlude(step),
        }
    }

    fn submit_all(&mut self, jobs: &[Kind], panics: bool, lane: Option<usize>) {
        let first = self.jobs(jobs);
        let end = first + jobs.len() as u64;
        self.site.set_free(true);
        let (site, pool, workers) = (self.site, self.pool, self.program.workers);
        let mut lane = lane.map(|lane| &mut self.lanes[lane].0);
        let submitted = thread::scope(|scope| {
            let submitter = scope.spawn(|| {
                let given = Cell::new(0);
                let jobs = giving(jobs, first, panics, site, &given);
                let mut submit_all = |jobs| match &mut lane {
                    Some(lane) => lane.submit_all(jobs),
                    None => pool.submit_all(jobs),
                };
                let submitted = catch_unwind(AssertUnwindSafe(|| match submit_all(jobs) {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        let accepted = error.accepted();
                        let back = catch_unwind(AssertUnwindSafe(|| {
                            let ids = error.into_jobs().map(Job::into_id);
                            assert!(ids.eq(first + accepted..end));
                        }));
                        // The iterator may do so now.
                        assert!(back.is_ok() || panics);
                        accepted
                    }
                }));
                assert!(submitted.is_ok() || panics);
            });
            while !submitter.is_finished() {
                if let Some(Ok(outcome)) = self.takers.first_mut().map(Results::try_recv) {
                    self.book.take(outcome, workers);
                }
                // Who else has results in hand keeps nobody from going on.
                thread::yield_now();
            }
            submitter.join()
        });
        submitted.unwrap();
        self.site.set_free(false);
    }

    fn interlude(&mut self, step: &Step) {
        if self.takers.len() != 1 {
            return;
        }
        self.site.set_free(true);
        let mut results = self.takers.pop().unwrap();
        let workers = self.program.workers;
        match step {
            Step::Map {
                ordered,
                jobs,
                take,
                window,
                then,
            } => {
                let (first, given) = (self.jobs(jobs), &Cell::new(0));
                let end = first + jobs.len() as u64;
                let iterator = giving(jobs, first, false, self.site, given);
                let own = |outcome: &Outcome<Tried>| match &outcome.result {
                    Ok(Ok(result)) => Some(result.id),
                    Ok(Err(id)) => Some(*id),
                    Err(_) => None,
                };
                let ids = |jobs: &mut dyn Iterator<Item = Job>| -> Vec<u64> {
                    jobs.map(Job::into_id).collect()
                };
                let into_jobs = *then == Half::IntoJobs;
                let (outcomes, back): (Vec<_>, _) = if *ordered {
                    let mut map = self
                        .pool
                        .map_ordered(&mut results, iterator)
                        .window(*window);
                    let outcomes: Vec<_> = map.by_ref().take(*take).collect();
                    let mine = outcomes.iter().filter(|outcome| !outcome.follow_up);
                    let mine = mine.filter_map(own).filter(|id| (first..end).contains(id));
                    assert!(mine.is_sorted());
                    (outcomes, into_jobs.then(|| ids(&mut map.into_jobs())))
                } else {
                    let mut map = self.pool.map(&mut results, iterator).window(*window);
                    let outcomes = map.by_ref().take(*take).collect();
                    (outcomes, into_jobs.then(|| ids(&mut map.into_jobs())))
                };
                self.book.map_recalled |= !into_jobs;
                if let Some(back) = back {
                    assert!(back.is_empty() || back.iter().copied().eq(back[0]..end));
                }
                for outcome in outcomes {
                    self.book.take(outcome, workers);
                }
            }
            Step::TryMap(jobs) => self.try_map(&mut results, jobs),
            Step::InOrder { take, window } => {
                // As many as have been started and not taken. (Among what is queued may be places
                // that a lane has left.)
                let stats = self.pool.stats();
                let started = stats.accepted - stats.queued;
                let sure = started - self.book.outcomes - stats.results_discarded;
                let most = (*take).min(sure as usize);
                let outcomes: Vec<_> = self
                    .pool
                    .in_order(&mut results, *window)
                    .take(most)
                    .collect();
                assert_eq!(outcomes.len(), most);
                for outcome in outcomes {
                    self.book.take(outcome, workers);
                }
            }
            _ => unreachable!("the others are steps of their own"),
        }
        self.takers.push(results);
        self.site.set_free(false);
    }

    fn try_map(&mut self, results: &mut Results<Tried>, jobs: &[Kind]) {
        let (first, given) = (self.jobs(jobs), &Cell::new(0));
        let iterator = giving(jobs, first, false, self.site, given);
        let tried = self.pool.try_map(results, iterator);
        self.book.read_log(self.site);
        let mut told = Vec::new();
        match tried {
            Ok(results) => {
                let ids: Vec<_> = results.into_iter().map(|result| result.into_id()).collect();
                assert!(ids.iter().copied().eq(first..first + jobs.len() as u64));
                told.extend(ids.into_iter().map(|id| (id, Verdict::Returned)));
            }
            Err(error) => {
                self.book.map_recalled = true;
                let failures = error.failures.into_iter();
                let failures = failures.chain([(error.position, error.failure)]);
                let closed = self.pool.is_closed();
                told.extend(told_by_failed_map(first, error.finished, failures, closed));
                let back: Vec<_> = error.jobs.map(Job::into_id).collect();
                let end = first + jobs.len() as u64;
                assert!(back.is_empty() || back.iter().copied().eq(back[0]..end));
            }
        }
        for (id, verdict) in told {
            assert_eq!(Verdict::of(self.book.pages[&id].kind), verdict);
            self.book.outcomes += 1;
            self.book.end(id, Fate::Outcome(verdict));
        }
        let mine = self.book.pages.range(first..first + jobs.len() as u64);
        let dropped = mine.filter(|(_, page)| page.dropped).count() as u64;
        self.book.outcomes += dropped;
        self.book.kept += dropped;
    }
}

fn finish(
    program: &Program,
    mut pool: Pool,
    site: &Arc<Site>,
    mut book: Book,
    mut takers: Vec<Results<Tried>>,
    no_taker: bool,
) {
    let handle = pool.handle();
    // The others put back what they have.
    takers.truncate(1);
    let mut in_panic = false;
    let mut take_all = |book: &mut Book| {
        for outcome in takers.iter_mut().flatten() {
            book.take(outcome, program.workers);
        }
    };
    match program.end {
        End::ShutdownNow | End::DropInPanic => {
            let returned = free_when_closed(site, &handle, || {
                if program.end == End::ShutdownNow {
                    return pool.shutdown_now().unwrap();
                }
                in_panic = true;
                drop_while_panicking(|| pool);
                Vec::new()
            });
            for id in returned.into_iter().map(Job::into_id) {
                book.end(id, Fate::Returned);
            }
            take_all(&mut book);
        }
        end => {
            pool.close();
            site.set_free(true);
            take_all(&mut book);
            match end {
                End::JoinTimeout => pool.join_timeout(Duration::from_secs(3600)).unwrap(),
                End::Shutdown => {
                    let states = pool.shutdown().unwrap();
                    assert_eq!(states.len(), program.workers);
                    book.read_log(site);
                    let panicked = book.pages.values().filter(|page| page.started);
                    let panicked =
                        panicked.filter(|page| Verdict::of(page.kind) == Verdict::Panicked);
                    let started = book.pages.values().filter(|page| page.started).count() as u64;
                    let known: u64 = states.iter().sum();
                    assert!(known <= started && (known == started || panicked.count() > 0));
                }
                End::Join => pool.join().unwrap(),
                _ => drop(pool),
            }
        }
    }
    book.read_log(site);
    book.close(&handle.stats(), in_panic, no_taker);
    if let Some(results) = takers.first_mut() {
        assert_eq!(results.try_recv().unwrap_err(), TryRecvError::Ended);
    }
}
