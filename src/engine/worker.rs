//! One worker's loop: find a job, run it, and go to sleep when there is none.

#![forbid(unsafe_code)]

use super::entry::Pocket;
use super::ledger::Ledger;
use super::{Ended, Engine, Entry, Origin, Picked, Run};
use crate::deque::{Local, Steal};
use crate::idle::Place;
use crate::nest::Stolen;
use crate::pace::{Nap, Patience, Tempo};
use crate::probe::probe;
use crate::recorder::Recorder;
use crate::sync::{self, barrier};
use crate::unwind::{self, Payload};
use std::cell::Cell;
use std::ops::ControlFlow;

/// Every so many turns a worker looks for jobs that could wait for ever otherwise. A
/// prime, so that it falls into step with nothing.
const FAIRNESS: u32 = 61;

/// Most jobs that leave the injector in one claim, which ends with a segment in any case. Each takes
/// several cache lines from the submitters. Chosen by W1 and W3 in `benches`.
const MAX_BATCH: usize = 224;

/// Most jobs that are stolen at once.
const MOST_STOLEN: usize = 64;

/// The last searcher besides the lookout goes to sleep after so many pauses in vain. They last longer than
/// many naps, so the lookout has lost its core, or is suspended.
const MOST_NEEDED: usize = if cfg!(miri) { 200 } else { 20_000 };

/// A brisk worker is stolen from when it stands where it stood so many looks before. One that has
/// merely lost its core is back soon. Chosen by W1b in `benches`, with more workers than cores.
const LOOKS: usize = 8;

sync::own! {
    /// The key of the engine whose worker this thread is, and the worker's id.
    static INSIDE: Cell<Option<(usize, usize)>> = Cell::new(None);
}

/// Whether the calling thread is a worker of the engine with this key.
#[inline]
pub(crate) fn is_inside(key: usize) -> bool {
    current_worker(key).is_some()
}

/// Which worker of the engine with this key the calling thread is.
#[inline]
pub(crate) fn current_worker(key: usize) -> Option<usize> {
    let (inside, worker) = INSIDE.with(Cell::get)?;
    (inside == key).then_some(worker)
}

/// Makes the calling thread one of the engine's workers, until it is dropped.
#[derive(Debug)]
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn new(key: usize, worker: usize) -> Self {
        INSIDE.with(|inside| inside.set(Some((key, worker))));
        Self(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.set(None));
    }
}

/// Why a worker's loop ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// All that was accepted has finished.
    Drained,
    /// It was told to leave the rest.
    Halted,
}

/// A worker, alive in its thread.
#[derive(Debug)]
pub(crate) struct Worker<'a, J> {
    engine: &'a Engine<J>,
    id: usize,
    ledger: &'a Ledger,
    local: Local<Entry<J>>,
    place: Place,
    /// Turns until the next one that is out of turn.
    in_turn: u32,
    /// Follow-ups in a row from the own deque, for fairness.
    follow_ups: u32,
    /// Counts turns out of turn, to pick the kind of job.
    turns: u32,
    /// Counts searches, to pick what to steal.
    searches: usize,
    /// Counts searches of the others' deques, to pick whose comes first.
    scans: usize,
    /// How many jobs waited in the injector at the last claim.
    backlog: usize,
    patience: Patience,
    tempo: Tempo,
    recorder: Recorder<'a>,
    /// Whether this worker counts in the crowd's `brisk`.
    brisk: bool,
    /// Whether it has left the jobs to others.
    aside: bool,
    suspect: Suspect,
    /// The job that runs: what panics meanwhile is its own code.
    running: Option<Origin>,
}

/// The brisk worker that is watched, the head of its deque when that began, and how many looks of ours
/// it has left to go on. Without a look left nobody is watched.
#[derive(Clone, Copy, Debug, Default)]
struct Suspect {
    worker: usize,
    at: u64,
    looks: usize,
}

/// What a running job may reach of its worker.
#[derive(Debug)]
pub(crate) struct Desk<'a, J> {
    engine: &'a Engine<J>,
    worker: usize,
    local: &'a mut Local<Entry<J>>,
    origin: Origin,
    backlog: usize,
}

impl<'a, J: Send> Desk<'a, J> {
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// Where the job that runs comes from.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// The index of the job that runs, or of the one it descends from.
    pub(crate) fn index(&self) -> u64 {
        self.origin.index()
    }

    /// Whether nobody wants the job that runs any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.engine.is_halted() || self.engine.recalls.covers(self.index())
    }

    /// Whether the crew leaves what is queued.
    pub(crate) fn halt(&self) -> impl Fn() -> bool + use<'a, J> {
        let engine = self.engine;
        || engine.is_halted()
    }

    /// Adds a follow-up job. Never waits.
    pub(crate) fn push(&mut self, job: J) {
        // Counted before it can be seen, so that no moment looks drained.
        let ledger = self.engine.ledgers.of(self.worker);
        ledger.push();
        probe!("engine push: counted, not queued");
        let entry = Entry::new(self.origin.follow_up(), self.engine.stamp(job));
        if let Err(entry) = self.local.push(entry) {
            probe!("engine push: overflow");
            if let Err(refused) = self.engine.overflow(ledger, entry) {
                drop(refused);
                panic!("millions of follow-up jobs wait: the overflow queue is full");
            }
        }
        probe!("engine push: queued, nobody told");
        self.engine.idle.notify();
    }

    /// How many jobs waited when this worker last went for some.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog
    }
}

impl<'a, J: Send> Worker<'a, J> {
    pub(crate) fn new(engine: &'a Engine<J>, id: usize, local: Local<Entry<J>>) -> Self {
        Self {
            engine,
            id,
            ledger: engine.ledgers.of(id),
            local,
            place: Place::new(id),
            in_turn: FAIRNESS,
            follow_ups: 0,
            turns: 0,
            searches: 0,
            scans: 0,
            backlog: 0,
            patience: Patience::default(),
            tempo: Tempo::new(engine.crowd.cores),
            recorder: engine.recorders.of(id),
            brisk: false,
            aside: false,
            suspect: Suspect::default(),
            running: None,
        }
    }

    /// Runs jobs until the engine ends.
    pub(crate) fn work(&mut self, runner: &mut impl Run<J>) -> Exit {
        let mut pocket = None;
        loop {
            // Once for all jobs that do not panic, since it keeps the compiler from looking into what is
            // called. While a job runs nothing of the worker's is half-done: a job comes to the deque
            // through its desk alone, whose only panic leaves all as it was.
            match unwind::catch(|| self.run_jobs(runner, &mut pocket)) {
                Ok(exit) => return exit,
                Err(payload) => self.fail(runner, &mut pocket, payload),
            }
        }
    }

    /// Runs jobs until the engine ends, or one panics.
    #[inline(always)]
    fn run_jobs(&mut self, runner: &mut impl Run<J>, pocket: &mut Pocket<J>) -> Exit {
        loop {
            if !self.find(pocket) {
                if let ControlFlow::Break(exit) = self.search(runner, pocket) {
                    return exit;
                }
            }
            let picked = Picked::new(pocket);
            let origin = picked.origin();
            self.recorder
                .job_begins(origin.index(), origin.is_follow_up(), picked.accepted());
            if origin.is_follow_up() {
                // [horizon] counted as started before the look.
                barrier::light();
            }
            // Since a submitted job left its queue we have told submitters of the room.
            let recalls = &self.engine.recalls;
            let ended = if recalls.are_used() && recalls.has_recalled(origin) {
                runner.cancel(picked, &self.desk(origin));
                Ended::Cancelled
            } else {
                self.running = Some(origin);
                let done = runner.run(picked, self.desk(origin));
                self.running = None;
                let ended = runner.deliver(done, &self.desk(origin));
                self.forget_recall(origin);
                ended
            };
            self.ends(ended);
        }
    }

    /// The job that ran has panicked.
    #[cold]
    fn fail(&mut self, runner: &mut impl Run<J>, pocket: &mut Pocket<J>, payload: Payload) {
        // Else it was no job.
        let Some(origin) = self.running.take() else {
            std::panic::resume_unwind(payload)
        };
        // Its worker may not have come to take it.
        unwind::drop_quietly(pocket.take());
        runner.fail(payload, &self.desk(origin));
        self.forget_recall(origin);
        self.ends(Ended::Panicked);
    }

    /// A cancellation of this job comes too late from now on.
    #[inline(always)]
    fn forget_recall(&self, origin: Origin) {
        // Relaxed in there: a hint, here.
        if self.engine.recalls.are_used() {
            self.engine.recalls.forget(origin);
        }
    }

    /// A job has ended, and was delivered.
    #[inline(always)]
    fn ends(&mut self, ended: Ended) {
        self.recorder.job_ends(ended);
        probe!("engine: job ended, not counted");
        self.ledger.finish(ended);
    }

    #[inline(always)]
    fn desk(&mut self, origin: Origin) -> Desk<'_, J> {
        Desk {
            engine: self.engine,
            worker: self.id,
            local: &mut self.local,
            origin,
            backlog: self.backlog,
        }
    }

    /// The next job, when there was none at first sight, after as much sleep as it takes; or it is
    /// time to leave.
    #[cold]
    fn search(&mut self, runner: &mut impl Run<J>, pocket: &mut Pocket<J>) -> ControlFlow<Exit> {
        loop {
            self.set_brisk(false);
            if self.engine.is_halted() {
                // Not searching any more, and nobody need be woken: all are.
                self.engine.idle.found(&mut self.place, false);
                return ControlFlow::Break(Exit::Halted);
            }
            let begins = !self.place.is_searching();
            if begins {
                runner.rest();
                // Perhaps that was the last job. Who waits for that looks for itself.
                self.engine.ended.notify(usize::MAX);
                if self.engine.recalls.want_sweep() {
                    self.engine.forget_recalls();
                }
            }
            if self.engine.is_drained() {
                self.engine.idle.found(&mut self.place, false);
                probe!("engine: drained, crew not told");
                self.engine.idle.wake_all();
                return ControlFlow::Break(Exit::Drained);
            }
            self.engine.idle.begin_search(&mut self.place);
            // One of those who stand aside is the lookout; the rest sleep behind it.
            let aside = std::mem::take(&mut self.aside);
            let looks_out = aside && self.engine.crowd.post_lookout();
            let sleeps = if aside {
                !looks_out
            } else {
                self.waits_long_enough(begins)
            };
            if sleeps {
                self.sleep(aside);
            }
            self.stay_away(looks_out);
            if sleeps || aside {
                self.tempo.see_anew(self.engine.injector.head());
            }
            if self.find(pocket) {
                // Hint: only tunes how long to be patient.
                self.patience.found();
                return ControlFlow::Continue(());
            }
        }
    }

    /// Waits for a moment. Returns whether it is time to sleep.
    fn waits_long_enough(&mut self, begins: bool) -> bool {
        let Engine { crowd, idle, .. } = self.engine;
        if begins && self.tempo.should_gather() {
            Nap::short(self.engine.capacity()).take();
            return false;
        }
        if self.patience.pause(crowd.cores > 1 && self.backlog <= 1) {
            return false;
        }
        // Else the next jobs would wait until the lookout's nap is over, for it counts as searching. It may
        // be suspended: not for ever.
        let is_needed =
            crowd.has_lookout() && idle.searchers() <= 2 && self.patience.pauses() < MOST_NEEDED;
        if is_needed {
            sync::yield_now();
        }
        !is_needed
    }

    /// Sleeps until somebody calls.
    fn sleep(&mut self, aside: bool) {
        let Self {
            engine, id, place, ..
        } = self;
        self.tempo.sleeps();
        self.ledger.park();
        self.recorder.parks();
        if !aside {
            engine.crowd.leave();
        }
        let has_work = || engine.has_work_for(*id);
        let woken = self.patience.sleep(|| engine.idle.sleep(place, has_work));
        engine.crowd.come_back();
        self.recorder.wakes(woken);
        if woken {
            self.ledger.wake();
        }
    }

    /// Naps as long as others get on so fast that this worker would be in their way.
    fn stay_away(&mut self, looks_out: bool) {
        let Engine {
            crowd,
            errands,
            injector,
            ..
        } = self.engine;
        // Nobody else can run this worker's errand.
        let stays = || (looks_out || crowd.brisk() > 0) && !errands.wait_for(self.id);
        self.tempo.stay_away(looks_out, stays, || injector.head());
        if looks_out {
            crowd.recall_lookout();
            crowd.come_back();
        }
    }

    /// A job from anywhere, unless the engine is halted; stops the search if there is one.
    #[inline(always)]
    fn find(&mut self, pocket: &mut Pocket<J>) -> bool {
        if self.engine.is_halted() {
            return false;
        }
        debug_assert!(pocket.is_none(), "the last job was taken");
        self.in_turn -= 1;
        (self.in_turn > 0 && self.own(pocket)) || self.find_elsewhere(pocket)
    }

    /// A job of which others know too, or it is time for one that is out of turn.
    #[inline(never)]
    fn find_elsewhere(&mut self, pocket: &mut Pocket<J>) -> bool {
        self.recorder.looks_elsewhere();
        if self.engine.errands.wait_for(self.id) {
            // What is out of turn comes next.
            self.in_turn = self.in_turn.max(1);
            return self.errand(pocket);
        }
        if self.in_turn == 0 {
            self.in_turn = FAIRNESS;
            if self.out_of_turn(pocket) {
                return true;
            }
        }
        if self.own(pocket) {
            return true;
        }
        if self.stands_aside() {
            return false;
        }
        self.fall_behind();
        self.claim(pocket) || self.overflowed(pocket) || self.steal(pocket)
    }

    /// Lets the submitters get ahead, if this worker is always at their heels. (Who searches has napped.)
    fn fall_behind(&mut self) {
        let Engine { injector, .. } = self.engine;
        if !self.place.is_searching() && !injector.is_closed() {
            let (workers, places) = (self.engine.workers(), self.engine.capacity());
            let submitted = || injector.tail();
            self.tempo
                .fall_behind(injector.len(), workers, places, submitted);
        }
    }

    /// One of the jobs that could wait for ever: behind follow-ups that beget follow-ups, in our
    /// own deque or in the overflow; behind submitters that never pause; behind a job that holds
    /// up its worker. Each kind comes first now and then, for another may never run out.
    fn out_of_turn(&mut self, pocket: &mut Pocket<J>) -> bool {
        self.turns = self.turns.wrapping_add(1);
        (0..3).any(|next| match self.turns.wrapping_add(next) % 3 {
            0 => self.overflowed(pocket),
            1 => self.steal(pocket),
            // What was submitted runs in its order, unless only follow-ups do.
            _ if self.follow_ups < FAIRNESS => false,
            _ => {
                self.follow_ups = 0;
                self.claim(pocket)
            }
        })
    }

    /// Whether this worker leaves the jobs to others, since with as many as there are cores they get on
    /// fast.
    fn stands_aside(&mut self) -> bool {
        let crowd = &self.engine.crowd;
        let too_many = if self.brisk {
            crowd.brisk() > crowd.cores
        } else {
            self.tempo.is_quick()
        };
        self.aside |= too_many && crowd.step_aside();
        self.aside
    }

    /// Tells the others whether to stay away.
    #[inline]
    fn set_brisk(&mut self, brisk: bool) {
        if brisk != self.brisk {
            self.brisk = brisk;
            self.engine.crowd.set_brisk(brisk);
            if !brisk {
                self.local.share();
            }
        }
    }

    /// The oldest job of our own deque.
    #[inline(always)]
    fn own(&mut self, pocket: &mut Pocket<J>) -> bool {
        let Some(entry) = self.local.pop() else {
            return false;
        };
        let counts = pocket.insert(entry).counts_against_capacity();
        debug_assert!(!self.place.is_searching(), "nobody else fills our deque");
        if counts {
            // Submitted jobs run out by themselves, and keep their order.
            self.follow_ups = 0;
        } else {
            self.follow_ups += 1;
        }
        self.resume(counts);
        true
    }

    /// A job leaves a deque to be started: that may make room for a submitter.
    #[inline]
    fn resume(&self, counts_against_capacity: bool) {
        probe!("engine: job found, not counted as started");
        self.ledger.start();
        if counts_against_capacity {
            probe!("engine: taken from a deque, room not yet counted");
            self.ledger.resume();
            probe!("engine: room counted, submitters not told");
            self.engine.room.notify(1);
        }
    }

    /// A fair share of the injector: one job to start, the others into our deque.
    #[inline]
    fn claim(&mut self, pocket: &mut Pocket<J>) -> bool {
        let Self { engine, ledger, .. } = *self;
        // A head that was read before a suspension makes the length too long. More than
        // the capacity never waits, and whoever announces more than his share of it and
        // is then suspended keeps everybody out.
        let len = engine.injector.len().min(engine.capacity());
        self.backlog = len;
        // Rounded down: while fewer than two jobs wait for each worker they start in
        // the order of their submission.
        let share = (len / engine.workers()).clamp(1, MAX_BATCH);
        // Room first: what is claimed must have a place.
        let share = 1 + self.local.room(share - 1);
        let deferred = ledger.deferred();
        let mut announced = 0;
        let mut staging = self.local.staging();
        let popped = engine.injector.pop(
            share,
            |claim| {
                let more = claim.saturating_sub(1);
                announced = announced.max(more);
                ledger.set_deferred(deferred + more as u64);
            },
            |position, job| {
                let entry = Entry::new(Origin::submitted(position), job);
                if pocket.is_none() {
                    *pocket = Some(entry);
                } else {
                    let staged = staging.add(entry);
                    assert!(staged.is_ok(), "room was reserved");
                }
            },
        );
        drop(staging);
        probe!("engine claim: claimed, deferral not corrected");
        let kept = popped.taken.saturating_sub(1);
        ledger.set_deferred(deferred + kept as u64);
        if popped.skipped > 0 {
            ledger.skip(popped.skipped);
            // Who waits for the end may have counted these places as jobs.
            engine.ended.notify(usize::MAX);
        }
        // Room that was announced to be taken, or claimed by a producer that was
        // overtaken, and is free after all.
        let freed = popped.skipped + announced.saturating_sub(kept);
        if freed > 0 {
            engine.room.notify(freed);
        }
        if pocket.is_none() {
            // All of these places are claimed or reserved, and empty, or others were faster.
            self.backlog = 0;
            return false;
        }
        let mut more = len > 1;
        if more && self.place.is_searching() && engine.injector.reserves() {
            // Most of the others may be places that a submitter has reserved.
            more = engine.injector.has_published();
            self.backlog = if more { len } else { popped.taken };
        }
        let brisk = self.tempo.claimed(len, popped.taken);
        self.tempo.see(engine.injector.head(), engine.capacity());
        self.set_brisk(brisk);
        probe!("engine claim: claimed, batch not published");
        if kept > 0 {
            self.local.publish();
            if brisk {
                self.local.bias();
            }
            ledger.batch();
            self.recorder.takes_batch(popped.taken);
        }
        probe!("engine claim: batch published, crew not told");
        engine.idle.found(&mut self.place, more);
        if kept > 0 {
            // Others may help with the batch.
            engine.idle.notify();
        }
        probe!("engine claim: crew told, submitters not");
        ledger.start();
        engine.room.notify(1);
        true
    }

    /// The job that only this worker may run.
    #[cold]
    fn errand(&mut self, pocket: &mut Pocket<J>) -> bool {
        *pocket = self.engine.errands.take(self.id);
        if pocket.is_none() {
            return false;
        }
        self.ledger.start();
        // We may have been woken for another job.
        let more = self.engine.has_work();
        self.engine.idle.found(&mut self.place, more);
        true
    }

    /// The oldest follow-up that found its worker's deque full.
    fn overflowed(&mut self, pocket: &mut Pocket<J>) -> bool {
        let Some(overflow) = self.engine.overflow.get() else {
            return false;
        };
        *pocket = overflow.pop_one();
        if pocket.is_none() {
            return false;
        }
        self.ledger.start();
        let more = overflow.len() > 0;
        self.engine.idle.found(&mut self.place, more);
        true
    }

    /// A job of another worker. One kind never runs out while a scope goes on, or follow-ups do: so
    /// each is the first now and then.
    fn steal(&mut self, pocket: &mut Pocket<J>) -> bool {
        self.searches = self.searches.wrapping_add(1);
        let kinds = [Self::steal_nested, Self::steal_queued];
        (0..2).any(|next| kinds[(self.searches + next) % 2](self, pocket))
    }

    /// The other workers, from another one on each turn.
    fn victims(&self, turn: usize) -> impl Iterator<Item = usize> + use<J> {
        let (workers, own) = (self.engine.workers(), self.id);
        let first = own + turn % workers;
        let all = (0..workers).map(move |step| (first + step) % workers);
        all.filter(move |victim| *victim != own)
    }

    /// Watches one of the brisk workers after the other. Returns one that something keeps from its
    /// jobs.
    fn watch_the_brisk(&mut self) -> Option<usize> {
        let (deques, workers) = (&self.engine.deques, self.engine.workers());
        let is_spared = |worker: usize| deques[worker].is_unshared() && !deques[worker].is_empty();
        let Suspect { worker, at, looks } = self.suspect;
        self.suspect.looks = looks.saturating_sub(1);
        if looks > 1 {
            return None;
        }
        let is_kept = looks == 1 && is_spared(worker) && deques[worker].ends().0 == at;
        let mut others = (1..=workers).map(|step| (worker + step) % workers);
        if let Some(next) = others.find(|&next| next != self.id && is_spared(next)) {
            self.suspect = Suspect {
                worker: next,
                at: deques[next].ends().0,
                looks: LOOKS,
            };
        }
        is_kept.then_some(worker)
    }

    /// Jobs of another worker's deque. A brisk one is spared, since it is through with its jobs before
    /// a steal pays, unless something keeps it from them.
    fn steal_queued(&mut self, pocket: &mut Pocket<J>) -> bool {
        if let Some(kept) = self.watch_the_brisk() {
            if self.steal_from(kept, pocket) {
                return true;
            }
        }
        self.scans = self.scans.wrapping_add(1);
        self.victims(self.scans).any(|worker| {
            !self.engine.deques[worker].is_unshared() && self.steal_from(worker, pocket)
        })
    }

    /// Half of another worker's deque: one job to start, the others into ours.
    fn steal_from(&mut self, number: usize, pocket: &mut Pocket<J>) -> bool {
        let victim = &self.engine.deques[number];
        let share = victim.len().div_ceil(2).min(MOST_STOLEN);
        if share == 0 {
            return false;
        }
        let share = 1 + self.local.room(share - 1);
        let mut staging = self.local.staging();
        let stolen = victim.steal(share, |entry| {
            if pocket.is_none() {
                *pocket = Some(entry);
            } else {
                let staged = staging.add(entry);
                assert!(staged.is_ok(), "room was reserved");
            }
        });
        drop(staging);
        let (Some(first), Steal::Taken(jobs)) = (&*pocket, stolen) else {
            // Empty by now, or somebody was faster: there are other victims,
            // and the last look before the sleep.
            return false;
        };
        let counts = first.counts_against_capacity();
        self.ledger.steal(jobs);
        self.recorder.steals(jobs, number);
        probe!("engine steal: claimed, not published");
        let more = jobs > 1 || !victim.is_empty();
        if jobs > 1 {
            self.local.publish();
        }
        probe!("engine steal: published, crew not told");
        self.engine.idle.found(&mut self.place, more);
        self.resume(counts);
        true
    }

    /// The oldest job of another worker's nest.
    fn steal_nested(&mut self, pocket: &mut Pocket<J>) -> bool {
        // Nests come first in every second search.
        for victim in self.victims(self.searches / 2) {
            let Some(nest) = self.engine.nest(victim) else {
                return false;
            };
            // If somebody was faster, there are other victims, and the last look before the sleep.
            let Stolen::Item(job) = nest.steal(None) else {
                continue;
            };
            self.ledger.steal(1);
            self.recorder.steals(1, victim);
            self.ledger.start();
            probe!("engine steal: out of a nest, crew not told");
            self.engine.idle.found(&mut self.place, !nest.is_empty());
            *pocket = Some(Entry::orphan(job));
            return true;
        }
        false
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/worker.rs"]
mod tests;
