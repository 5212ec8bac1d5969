//! One worker, whose jobs end only when the program lets them: after each step the pool comes
//! to rest, and then its state is known exactly.
//!
//! Of two things the worker decides, submitted jobs and follow-ups, the model only knows that
//! each kind keeps its order; what it chose, the jobs themselves write down.

use crate::common::{assert_conserved, drop_while_panicking};
use crate::program::{End, Half, Kind, Program, Step};
use crate::site::{
    Event, FreeAtEnd, Job, Pool, Site, Tried, Verdict, build, follow_up, free_when_closed, giving,
    read, told_by_failed_map, until,
};
use std::cell::Cell;
use std::collections::vec_deque::Drain;
use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use workcrew::{
    CancelError, Outcome, Results, SubmitError, SubmitTimeoutError, TryRecvError, TrySubmitError,
};

/// As many outcomes as a taker claims at once.
const MOST_CLAIMED: usize = 64;

/// Outcomes in a segment of a queue.
const SEGMENT: usize = 224;

/// From this capacity on lanes reserve places, and indices are not known before.
const RESERVES: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Known {
    id: u64,
    index: u64,
    follow_up: bool,
    kind: Kind,
}

type Done = (Known, Verdict);

/// What must be true of the pool.
#[derive(Debug, Default)]
struct Model {
    job_capacity: usize,
    result_capacity: usize,
    closed: bool,
    next_index: u64,
    next_id: u64,
    /// Jobs that wait, each kind in its order.
    submitted: VecDeque<Known>,
    follow_ups: VecDeque<Known>,
    /// Follow-ups that were ever pushed.
    pushed: u64,
    horizon: u64,
    /// Indices that were cancelled while they waited.
    recalled: BTreeSet<u64>,
    /// From this index on a map may have cancelled jobs that wait.
    perhaps_recalled: Option<u64>,
    running: Option<Known>,
    /// It was delivered, and its worker may wait for room: then it has not ended.
    delivered: Option<Verdict>,
    strays: VecDeque<Done>,
    /// Failures, and what comes behind them while they are untaken, lie apart from the others.
    untaken: VecDeque<Done>,
    /// Those in front that do not.
    in_ring: usize,
    discarded: u64,
    /// How many were taken of those that were put back, and of those that lie apart. (How many
    /// of the latter a map took nobody knows: then the next border tells.)
    strays_taken: usize,
    apart_taken: Option<usize>,
    /// Of each verdict.
    ended: [u64; 4],
    /// Jobs that may have been accepted: a map's, or that of a thread in `submit`.
    drawn: VecDeque<(u64, Kind)>,
    /// The index of the last that were.
    drawn_index: u64,
    /// Since the state was made.
    started: u64,
}

impl Model {
    fn room(&self) -> usize {
        if self.closed {
            0
        } else {
            self.job_capacity - self.submitted.len()
        }
    }

    fn accept(&mut self, id: u64, kind: Kind) -> u64 {
        let index = self.next_index;
        self.next_index += 1;
        self.submitted.push_back(Known {
            id,
            index,
            follow_up: false,
            kind,
        });
        index
    }

    fn is_cancelled(&self, job: Known) -> bool {
        job.index < self.horizon || !job.follow_up && self.recalled.contains(&job.index)
    }

    fn take_waiting(&mut self, id: u64) -> Known {
        let accepted = |jobs: &VecDeque<Known>| jobs.iter().any(|job| job.id == id);
        while !accepted(&self.submitted) && !accepted(&self.follow_ups) {
            let (id, kind) = self.drawn.pop_front().expect("nobody has submitted it");
            self.drawn_index = self.accept(id, kind);
        }
        for kind in [&mut self.submitted, &mut self.follow_ups] {
            if kind.front().is_some_and(|job| job.id == id) {
                return kind.pop_front().unwrap();
            }
        }
        panic!("job {id} is out of turn: {self:?}");
    }

    fn check_verdict(&mut self, job: Known, dropped: bool) {
        let perhaps = self
            .perhaps_recalled
            .is_some_and(|first| job.index >= first);
        if job.follow_up || !perhaps || self.is_cancelled(job) {
            assert_eq!(self.is_cancelled(job), dropped, "{job:?}");
        }
    }

    fn apply(&mut self, event: Event, takers: usize, free: bool) {
        match event {
            Event::Started(id) | Event::Dropped(id) => {
                assert!(self.running.is_none());
                // The worker waits no more.
                if let Some(verdict) = self.delivered.take() {
                    assert!(free || takers == 0 || self.untaken.len() <= self.result_capacity);
                    self.ended[verdict as usize] += 1;
                }
                let job = self.take_waiting(id);
                self.check_verdict(job, matches!(event, Event::Dropped(_)));
                if let Event::Started(_) = event {
                    self.running = Some(job);
                    self.started += 1;
                } else {
                    self.deliver((job, Verdict::Cancelled), takers);
                }
            }
            Event::Ended(id) => {
                let job = self.running.take().expect("it runs");
                assert_eq!(job.id, id);
                for number in 0..job.kind.follow_ups {
                    self.pushed += 1;
                    self.follow_ups.push_back(Known {
                        id: follow_up(id, number),
                        follow_up: true,
                        kind: job.kind.of_follow_ups(),
                        ..job
                    });
                }
                let verdict = Verdict::of(job.kind);
                if verdict == Verdict::Panicked {
                    self.started = 0;
                }
                self.deliver((job, verdict), takers);
            }
        }
    }

    fn deliver(&mut self, done: Done, takers: usize) {
        self.delivered = Some(done.1);
        if takers == 0 {
            self.discarded += 1;
        } else {
            if self.untaken.is_empty() {
                self.in_ring = 0;
            }
            let failed = matches!(done.1, Verdict::Panicked | Verdict::Cancelled);
            if !failed && self.in_ring == self.untaken.len() {
                self.in_ring += 1;
            }
            self.untaken.push_back(done);
        }
    }

    fn waiting(&self) -> usize {
        self.submitted.len() + self.follow_ups.len()
    }

    /// What one of so many takers claims, which has found so many: its share of a ring; of what was
    /// put back all, and of what lies apart its share, but not beyond a segment.
    fn claim(&mut self, claimed: usize, takers: usize) -> Drain<'_, Done> {
        let share = |together: usize| together.div_ceil(takers).min(MOST_CLAIMED);
        let to_border = |taken: usize| SEGMENT - taken % SEGMENT;
        if !self.strays.is_empty() {
            let wanted = self.strays.len().min(to_border(self.strays_taken));
            assert_eq!(claimed, wanted, "{self:?}");
            self.strays_taken += claimed;
            return self.strays.drain(..claimed);
        }
        let in_ring = self.in_ring.min(self.untaken.len());
        if in_ring > 0 {
            assert_eq!(claimed, share(in_ring), "{self:?}");
            self.in_ring -= claimed;
            return self.untaken.drain(..claimed);
        }
        let share = share(self.untaken.len());
        if let Some(taken) = self.apart_taken {
            assert_eq!(claimed, share.min(to_border(taken)), "{self:?}");
            self.apart_taken = Some(taken + claimed);
        } else if claimed < share {
            self.apart_taken = Some(0);
        } else {
            assert_eq!(claimed, share, "{self:?}");
        }
        self.untaken.drain(..claimed)
    }
}

/// A taker, and what it has in hand.
type Taker = (Results<Tried>, VecDeque<Done>);

struct Play<'a> {
    site: &'a Arc<Site>,
    pool: &'a Pool,
    model: Model,
    takers: Vec<Taker>,
    /// A thread that waits in `submit`.
    blocked: Option<JoinHandle<Result<u64, SubmitError<Job>>>>,
}

pub(crate) fn play(program: &Program) {
    let site = &Arc::new(Site::default());
    let (pool, results) = build(program);
    let _free = FreeAtEnd(site);
    let mut play = Play {
        site,
        pool: &pool,
        model: Model {
            job_capacity: program.job_capacity,
            result_capacity: program.result_capacity,
            apart_taken: Some(0),
            ..Model::default()
        },
        takers: vec![(results, VecDeque::new())],
        blocked: None,
    };
    for step in &program.steps {
        play.step(step);
        play.settle();
    }
    // Its job would be accepted, or not, at a time that nobody knows.
    if play.blocked.is_some() {
        pool.close();
        play.model.closed = true;
        play.settle();
    }
    let Play { model, takers, .. } = play;
    finish(program.end, pool, site, model, takers);
}

impl Play<'_> {
    fn job(&mut self, kind: Kind) -> Job {
        self.model.next_id += 1;
        Job::new(self.model.next_id, kind, self.site)
    }

    /// Waits until the pool has come to rest, as the model says.
    fn settle(&mut self) {
        until(|| {
            let takers = self.takers.len();
            for event in self.site.events() {
                self.model.apply(event, takers, false);
            }
            self.let_the_blocked_submitter_in();
            let model = &mut self.model;
            if takers == 0 || model.untaken.len() <= model.result_capacity {
                if let Some(verdict) = model.delivered.take() {
                    model.ended[verdict as usize] += 1;
                }
            }
            let busy = model.running.is_some() || model.delivered.is_some();
            (busy || model.waiting() == 0) && self.is_as_the_model()
        });
    }

    fn let_the_blocked_submitter_in(&mut self) {
        let model = &mut self.model;
        if self.blocked.is_none() || !model.closed && model.room() == 0 {
            return;
        }
        let submitted = self.blocked.take().unwrap().join().unwrap();
        match (submitted, model.drawn.pop_front()) {
            (Ok(index), Some((id, kind))) => assert_eq!(index, model.accept(id, kind)),
            // It has started by now.
            (Ok(index), None) => assert_eq!(index, model.drawn_index),
            (Err(SubmitError::Closed(job)), Some((id, _))) => {
                assert!(model.closed && job.into_id() == id);
            }
            (submitted, drawn) => panic!("{submitted:?}, {drawn:?}"),
        }
    }

    fn is_as_the_model(&self) -> bool {
        let (model, stats) = (&self.model, self.pool.stats());
        assert_conserved(&stats);
        let busy = model.running.is_some() || model.delivered.is_some();
        let [returned, failed, panicked, cancelled] = model.ended;
        (stats.queued, stats.running) == (model.waiting() as u64, u64::from(busy))
            && (stats.completed, stats.panicked) == (returned + failed, panicked)
            && stats.cancelled == cancelled
            && stats.accepted == model.next_index + model.pushed
            && stats.results_waiting == (model.untaken.len() + model.strays.len()) as u64
            && stats.results_discarded == model.discarded
            && stats.blocked_workers == u64::from(model.delivered.is_some())
            && self.pool.is_closed() == model.closed
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::TrySubmit(kind) | Step::SubmitInLane(_, kind) => {
                let job = self.job(kind);
                let (id, model) = (job.id, &mut self.model);
                let lane = matches!(step, Step::SubmitInLane(..));
                let tried = if lane && model.job_capacity < RESERVES {
                    self.pool.submitter().try_submit(job)
                } else {
                    self.pool.try_submit(job)
                };
                match tried {
                    Ok(index) => {
                        assert!(model.room() > 0);
                        assert_eq!(index, model.accept(id, kind));
                    }
                    Err(TrySubmitError::Closed(job)) => {
                        assert!(model.closed && job.into_id() == id)
                    }
                    Err(TrySubmitError::Full(job)) => {
                        assert!(!model.closed && model.room() == 0);
                        assert_eq!(job.into_id(), id);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Step::SubmitInNoTime(kind) => {
                let job = self.job(kind);
                let (id, model) = (job.id, &mut self.model);
                match self.pool.submit_timeout(job, Duration::ZERO) {
                    Ok(index) => {
                        assert!(model.room() > 0);
                        assert_eq!(index, model.accept(id, kind));
                    }
                    Err(error) => {
                        assert!(if model.closed {
                            matches!(error, SubmitTimeoutError::Closed(_))
                        } else {
                            matches!(error, SubmitTimeoutError::Timeout(_)) && model.room() == 0
                        });
                        assert_eq!(error.into_job().into_id(), id);
                    }
                }
            }
            Step::Submit(kind) => {
                if self.blocked.is_some() {
                    return;
                }
                let job = self.job(kind);
                self.model.drawn.push_back((job.id, kind));
                let handle = self.pool.handle();
                self.blocked = Some(thread::spawn(move || handle.submit(job)));
            }
            Step::SubmitAll { ref jobs, panics } => self.submit_all(jobs, panics),
            Step::SubmitAllInLane(_, ref jobs) => self.submit_all(jobs, false),
            Step::LeaveLane { .. } => {}
            Step::Release => {
                if self.model.running.is_some() {
                    self.site.release();
                    let site = self.site;
                    let running = self.model.running.unwrap();
                    // Until then the pool would look as if it had come to rest.
                    let takers = self.takers.len();
                    until(|| {
                        for event in site.events() {
                            self.model.apply(event, takers, false);
                        }
                        self.model.running.map(|job| job.id) != Some(running.id)
                    });
                }
            }
            Step::TryRecv(taker) => self.take(taker, |results| results.try_recv().ok()),
            Step::RecvInNoTime(taker) => {
                self.take(taker, |results| results.recv_timeout(Duration::ZERO).ok())
            }
            Step::Recv(taker) => {
                let model = &self.model;
                let Some((_, hand)) = self.takers.get(taker) else {
                    return;
                };
                let there = hand.len() + model.strays.len() + model.untaken.len() > 0;
                if there || model.closed && model.waiting() == 0 && model.running.is_none() {
                    self.take(taker, |results| results.recv().ok());
                }
            }
            Step::CloneTaker(taker) => {
                if let (Some((results, _)), true) = (self.takers.get(taker), self.takers.len() < 3)
                {
                    let further = results.clone();
                    self.takers.push((further, VecDeque::new()));
                }
            }
            Step::DropTaker(taker) => self.drop_taker(taker),
            Step::Cancel(back) => match self.model.next_index.checked_sub(back) {
                // One may find no place, since those that ended stay there for a while.
                Some(index) => match self.pool.cancel(index) {
                    Ok(()) => {
                        let mut waiting = self.model.submitted.iter();
                        if waiting.any(|job| job.index == index) {
                            self.model.recalled.insert(index);
                        }
                    }
                    Err(error) => assert_eq!(error, CancelError::Crowded),
                },
                None => {
                    let error = self.pool.cancel(self.model.next_index).unwrap_err();
                    assert_eq!(error, CancelError::NotSubmitted);
                }
            },
            Step::CancelAll => {
                assert_eq!(self.pool.cancel_all(), Ok(self.model.next_index));
                self.model.horizon = self.model.next_index;
            }
            Step::Close => {
                self.pool.close();
                self.model.closed = true;
            }
            Step::Map { .. } | Step::TryMap(_) | Step::InOrder { .. } => self.interlude(step),
        }
    }

    /// As many as there is room for.
    fn submit_all(&mut self, jobs: &[Kind], panics: bool) {
        let model = &mut self.model;
        let jobs = if model.closed {
            jobs
        } else {
            &jobs[..jobs.len().min(model.room())]
        };
        let (first, given) = (model.next_id + 1, &Cell::new(0));
        let iterator = giving(jobs, first, panics, self.site, given);
        match catch_unwind(AssertUnwindSafe(|| self.pool.submit_all(iterator))) {
            Ok(Ok(accepted)) => assert_eq!(accepted, jobs.len() as u64),
            Ok(Err(error)) => {
                assert!(model.closed && error.accepted() == 0);
                // An iterator that panics does it now.
                let back = catch_unwind(AssertUnwindSafe(|| {
                    let ids = error.into_jobs().map(Job::into_id);
                    assert!(ids.eq(first..first + jobs.len() as u64));
                }));
                assert_eq!(back.is_err(), panics);
            }
            Err(_) => assert!(panics && given.get() == jobs.len() as u64),
        }
        if !model.closed {
            for (id, kind) in (first..).zip(jobs) {
                let _ = model.accept(id, *kind);
            }
        }
        model.next_id += jobs.len() as u64;
    }

    fn take(
        &mut self,
        taker: usize,
        take: impl FnOnce(&mut Results<Tried>) -> Option<Outcome<Tried>>,
    ) {
        let takers = self.takers.len();
        let Some((results, hand)) = self.takers.get_mut(taker) else {
            return;
        };
        let model = &mut self.model;
        let claims = hand.is_empty();
        let outcome = take(results);
        if claims && outcome.is_some() {
            let claimed = 1 + in_hand(results);
            let claimed = model.claim(claimed, takers);
            hand.extend(claimed);
        }
        match (outcome, hand.pop_front()) {
            (Some(outcome), Some(done)) => check(outcome, done),
            (None, None) => assert!(model.strays.is_empty() && model.untaken.is_empty()),
            (outcome, done) => panic!("{outcome:?} instead of {done:?}"),
        }
        assert_eq!(in_hand(results), hand.len());
    }

    fn drop_taker(&mut self, taker: usize) {
        let model = &mut self.model;
        if taker >= self.takers.len() {
            return;
        }
        let (results, hand) = self.takers.remove(taker);
        drop(results);
        model.strays.extend(hand);
        if self.takers.is_empty() {
            model.discarded += (model.strays.len() + model.untaken.len()) as u64;
            model.strays.clear();
            model.untaken.clear();
        }
    }

    /// Jobs end by themselves while the only taker maps, and until all are taken.
    fn interlude(&mut self, step: &Step) {
        if self.takers.len() != 1 || self.blocked.is_some() {
            return;
        }
        self.site.set_free(true);
        let (mut results, hand) = self.takers.pop().unwrap();
        // In any order from here on.
        self.model.untaken.extend(hand);
        let strays = std::mem::take(&mut self.model.strays);
        self.model.strays_taken += strays.len();
        self.model.apart_taken = None;
        self.model.untaken.extend(strays);
        let back = match step {
            Step::Map {
                ordered,
                jobs,
                take,
                window,
                then,
            } => self.map(&mut results, (*ordered, *take, *window, *then), jobs),
            Step::TryMap(jobs) => self.try_map(&mut results, jobs),
            Step::InOrder { take, window } => {
                let model = &self.model;
                let running = usize::from(model.running.is_some());
                let sure = model.untaken.len() + model.waiting() + running;
                let outcomes = self.pool.in_order(&mut results, *window);
                let outcomes: Vec<_> = outcomes.take((*take).min(sure)).collect();
                assert_eq!(outcomes.len(), (*take).min(sure));
                outcomes.into_iter().for_each(|outcome| self.taken(outcome));
                None
            }
            _ => unreachable!("the others are steps of their own"),
        };
        until(|| {
            while let Ok(outcome) = results.try_recv() {
                self.taken(outcome);
            }
            self.catch_up();
            let stats = self.pool.stats();
            stats.queued + stats.running == 0 && stats.results_waiting == 0
        });
        while let Ok(outcome) = results.try_recv() {
            self.taken(outcome);
        }
        self.catch_up();
        let model = &mut self.model;
        assert!(
            model.untaken.is_empty() && model.waiting() == 0,
            "{model:?}"
        );
        model.perhaps_recalled = None;
        let rest = std::mem::take(&mut model.drawn);
        if let Some(back) = back {
            assert!(rest.into_iter().map(|(id, _)| id).eq(back));
        }
        self.takers.push((results, VecDeque::new()));
        self.site.set_free(false);
    }

    fn catch_up(&mut self) {
        for event in self.site.events() {
            self.model.apply(event, 1, true);
        }
    }

    /// An outcome that was taken out of turn.
    fn taken(&mut self, outcome: Outcome<Tried>) {
        self.catch_up();
        let (index, follow_up) = (outcome.index, outcome.follow_up);
        let (id, verdict) = read(outcome);
        let untaken = &mut self.model.untaken;
        let at = untaken.iter().position(|(job, expected)| {
            (job.index, job.follow_up, *expected) == (index, follow_up, verdict)
                && id.is_none_or(|id| id == job.id)
        });
        untaken
            .remove(at.expect("it was delivered and not taken"))
            .unwrap();
    }

    /// Runs a map and returns the numbers of the jobs that came back.
    fn map(
        &mut self,
        results: &mut Results<Tried>,
        (ordered, take, window, then): (bool, usize, usize, Half),
        jobs: &[Kind],
    ) -> Option<Vec<u64>> {
        let (first, given) = (self.begin_map(jobs), &Cell::new(0));
        let next = self.model.next_index;
        let jobs = giving(jobs, first, false, self.site, given);
        let ids = |jobs: &mut dyn Iterator<Item = Job>| jobs.map(Job::into_id).collect();
        let (outcomes, back): (Vec<_>, Option<Vec<u64>>) = if ordered {
            let mut map = self.pool.map_ordered(results, jobs).window(window);
            let outcomes = map.by_ref().take(take).collect();
            let back = (then == Half::IntoJobs).then(|| ids(&mut map.into_jobs()));
            (outcomes, back)
        } else {
            let mut map = self.pool.map(results, jobs).window(window);
            let outcomes = map.by_ref().take(take).collect();
            let back = (then == Half::IntoJobs).then(|| ids(&mut map.into_jobs()));
            (outcomes, back)
        };
        let own = outcomes
            .iter()
            .filter(|outcome| !outcome.follow_up && outcome.index >= next);
        assert!(!ordered || own.map(|outcome| outcome.index).is_sorted());
        outcomes.into_iter().for_each(|outcome| self.taken(outcome));
        back
    }

    fn begin_map(&mut self, jobs: &[Kind]) -> u64 {
        let model = &mut self.model;
        let first = model.next_id + 1;
        model.next_id += jobs.len() as u64;
        model.drawn = (first..).zip(jobs.iter().copied()).collect();
        model.perhaps_recalled = Some(model.next_index);
        first
    }

    fn try_map(&mut self, results: &mut Results<Tried>, jobs: &[Kind]) -> Option<Vec<u64>> {
        let (first, given) = (self.begin_map(jobs), &Cell::new(0));
        let iterator = giving(jobs, first, false, self.site, given);
        let tried = self.pool.try_map(results, iterator);
        // All that were submitted have ended.
        self.catch_up();
        let own = |done: &Done| !done.0.follow_up && done.0.id >= first;
        let (mine, others) = self.model.untaken.drain(..).partition::<Vec<_>, _>(own);
        self.model.untaken.extend(others);
        let mut told = Vec::new();
        let back = match tried {
            Ok(results) => {
                let ids = results.into_iter().map(|result| result.into_id());
                told.extend(ids.map(|id| (id, Verdict::Returned)));
                assert_eq!(told.len(), jobs.len());
                assert!(told.is_sorted());
                None
            }
            Err(error) => {
                let failures = error.failures.into_iter();
                let failures = failures.chain([(error.position, error.failure)]);
                let closed = self.model.closed;
                told.extend(told_by_failed_map(first, error.finished, failures, closed));
                Some(error.jobs.map(Job::into_id).collect())
            }
        };
        told.sort_unstable();
        let cancelled = |done: &Done| done.1 == Verdict::Cancelled;
        assert!(back.is_some() || !mine.iter().any(cancelled));
        let mut mine: Vec<_> = mine
            .iter()
            .filter(|done| !cancelled(done))
            .map(|(job, verdict)| (job.id, *verdict))
            .collect();
        mine.sort_unstable();
        assert_eq!(told, mine);
        back
    }
}

/// How many outcomes a taker has claimed and not handed out, as it says itself.
fn in_hand(results: &Results<Tried>) -> usize {
    let text = format!("{results:?}");
    let number = text.strip_prefix("Results { in_hand: ");
    let number = number.and_then(|rest| rest.strip_suffix(", .. }"));
    number.and_then(|number| number.parse().ok()).expect(&text)
}

fn check(outcome: Outcome<Tried>, (job, verdict): Done) {
    assert_eq!(
        (outcome.index, outcome.follow_up),
        (job.index, job.follow_up)
    );
    assert_eq!(outcome.worker, 0);
    let (id, said) = read(outcome);
    assert_eq!(said, verdict, "{job:?}");
    assert!(id.is_none_or(|id| id == job.id));
}

fn finish(end: End, mut pool: Pool, site: &Arc<Site>, mut model: Model, takers: Vec<Taker>) {
    // When the jobs of a pool that is closed already are left queued cannot be seen from
    // outside, so what runs before that cannot be foretold.
    let leaves_jobs = matches!(end, End::ShutdownNow | End::DropInPanic) && !model.closed;
    let handle = pool.handle();
    let mut takers: Vec<_> = takers
        .into_iter()
        .map(|(results, hand)| {
            model.untaken.extend(hand);
            results
        })
        .collect();
    let strays = std::mem::take(&mut model.strays);
    model.untaken.extend(strays);
    // The others put back what they have.
    takers.truncate(1);
    let keep = takers.len();
    let take_all = |takers: &mut Vec<Results<Tried>>| -> Vec<_> {
        let outcomes = takers.iter_mut().flat_map(|results| results.by_ref());
        outcomes
            .map(|outcome| {
                let (index, follow_up) = (outcome.index, outcome.follow_up);
                let (id, verdict) = read(outcome);
                (index, follow_up, verdict, id)
            })
            .collect()
    };
    let mut returned = Vec::new();
    let got = if leaves_jobs {
        free_when_closed(site, &handle, || {
            if end == End::ShutdownNow {
                let jobs = pool.shutdown_now().unwrap();
                returned = jobs.into_iter().map(Job::into_id).collect();
            } else {
                drop_while_panicking(|| pool);
            }
        });
        take_all(&mut takers)
    } else {
        pool.close();
        site.set_free(true);
        let got = take_all(&mut takers);
        match end {
            End::JoinTimeout => {
                pool.join_timeout(Duration::from_secs(3600)).unwrap();
                drop(pool);
            }
            End::Shutdown => {
                let states = pool.shutdown().unwrap();
                for event in site.events() {
                    model.apply(event, keep, true);
                }
                assert_eq!(states, [model.started]);
            }
            End::Join | End::ShutdownNow => pool.join().unwrap(),
            End::Drop | End::DropInPanic => drop(pool),
        }
        got
    };
    for event in site.events() {
        model.apply(event, keep, true);
    }
    assert!(model.running.is_none());
    let mut left: Vec<Known> = model
        .submitted
        .iter()
        .chain(&model.follow_ups)
        .copied()
        .collect();
    left.sort_by_key(|job| (job.index, job.follow_up));
    if end == End::ShutdownNow {
        assert!(returned.into_iter().eq(left.into_iter().map(|job| job.id)));
    } else if leaves_jobs {
        let takers = keep;
        left.into_iter()
            .for_each(|job| model.deliver((job, Verdict::Cancelled), takers));
    } else {
        assert!(left.is_empty());
    }
    let mut expected: Vec<_> = model
        .untaken
        .iter()
        .map(|(job, verdict)| {
            let id = (*verdict != Verdict::Cancelled).then_some(job.id);
            (job.index, job.follow_up, *verdict, id)
        })
        .collect();
    let mut got = got;
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected);
    let stats = handle.stats();
    assert_conserved(&stats);
    assert_eq!(stats.accepted, model.next_index + model.pushed);
    assert_eq!((stats.queued, stats.running), (0, 0));
    if let Some(results) = takers.first_mut() {
        assert_eq!(results.try_recv().unwrap_err(), TryRecvError::Ended);
    } else {
        assert_eq!(stats.results_discarded, model.discarded);
    }
}
