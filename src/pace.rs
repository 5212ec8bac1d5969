//! How somebody waits who has found nothing: by looking again soon ([`Patience`]), or
//! by a [`Nap`], before it sleeps until it is woken.
//!
//! A waiter that is much faster than the crew has a choice between bad and worse:
//! looking again at once takes the cache lines from those who have the work, and
//! sleeping until it is woken makes the crew pay for a wake (thousands of nanoseconds)
//! for each job. It does better to stay away for a *fixed* time, and find a run of jobs
//! done. That is right only if the queue does not run dry (or full) meanwhile.
//!
//! * A *short* nap gives the core away for a few nanoseconds for each place in the queue.
//! * A *long* nap is a timer's, which the system makes 100 microseconds and more. It saves
//!   the core as well, but is too long for jobs of a tenth of a microsecond, unless the queue is
//!   very long. So after some waits that on average brought little, or little of what the queue
//!   can hold, a waiter tries one ([`Pace`]); long naps go on as long as they bring something, less
//!   than half the queue, and less than what is ahead; after another one the next trial is twice
//!   as far away.
//!
//! And a worker that finds nothing while another works off a long queue of jobs that take
//! next to no time ([`Tempo`]) would only be in its way. So would more such workers than
//! there are cores, be the queue long or short; and a worker that always finds the last few jobs
//! would be in the way of who submits them.

#![forbid(unsafe_code)]

use crate::sync::{self, AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::cell::Cell;
use std::time::Instant;

/// How often a thread that found nothing gives its core away and looks again
/// before it goes to sleep. Chosen by W1b in `benches`: fewer makes threads park
/// in mid-stream, more (or spinning) starves the thread that has the work.
const YIELDS: usize = 4;

/// How often a thread that found nothing looks again at once before it yields, where
/// there is a core to spare and one event at a time. Chosen by W4 in `benches`.
const SPINS: usize = 32;

/// After so many long sleeps in a row, looking again is thought to be in vain.
const VAIN: u32 = 4;

/// A sleep shorter than this, in nanoseconds, might have been spared by looking a
/// little longer: going to sleep and being woken take a fifth of it.
const SHORT: u64 = 50_000;

/// Nanoseconds for which a thread goes on looking, at least and at most. Sleeping costs
/// the sleeper and its waker some 10,000, so looking longer would not pay.
const BUDGET: std::ops::RangeInclusive<u64> = 1_000..=20_000;

/// Waits that begin within so many nanoseconds of each other follow each other hotly. After
/// a longer pause whoever is waited for sleeps, and must be woken: then spinning would only
/// keep it from this core.
const HOT: u64 = 50_000;

/// How long one thread goes on looking before it sleeps.
#[derive(Debug)]
pub(crate) struct Patience {
    /// When the present wait began, or the last one.
    began: u64,
    /// Pauses in the present wait, and how many of them shall spin.
    pauses: usize,
    spins: usize,
    /// How long to go on yielding.
    budget: u64,
    /// Long sleeps in a row.
    vain: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self {
            began: 0,
            pauses: 0,
            spins: 0,
            budget: *BUDGET.start(),
            vain: 0,
        }
    }

    /// Pauses, and says whether to look again; else it is time to sleep.
    ///
    /// `hot` allows to spin: there is a core to spare, and one event at a time.
    #[cold]
    pub(crate) fn pause(&mut self, hot: bool) -> bool {
        if cfg!(workcrew_loom) {
            return false;
        }
        if self.pauses == 0 {
            let last = std::mem::replace(&mut self.began, sync::clock());
            let spin = hot && self.vain < VAIN && self.began - last < HOT;
            self.spins = if spin { SPINS } else { 0 };
        }
        let yields = self.pauses.checked_sub(self.spins);
        self.pauses += 1;
        let Some(yields) = yields else {
            sync::spin_loop();
            return true;
        };
        let again = if self.vain >= VAIN {
            // Once, for the thread that will take what this one has just made, if it
            // waits for the same core.
            yields == 0
        } else {
            yields < YIELDS || sync::clock() - self.began < self.budget
        };
        if again {
            sync::yield_now();
        }
        again
    }

    /// Pauses in the present wait.
    pub(crate) fn pauses(&self) -> usize {
        self.pauses
    }

    /// Sleeps, and learns from how long it took.
    pub(crate) fn sleep<T>(&mut self, sleep: impl FnOnce() -> T) -> T {
        let start = sync::clock();
        let woken = sleep();
        if sync::clock() - start < SHORT {
            self.vain = 0;
            self.budget = (self.budget * 2).min(*BUDGET.end());
        } else {
            self.vain = self.vain.saturating_add(1);
            self.budget = *BUDGET.start();
        };
        self.pauses = 0;
        woken
    }

    /// The wait is over, without sleep.
    #[inline]
    pub(crate) fn found(&mut self) {
        self.pauses = 0;
    }
}

/// So long a submitter pauses whose claim of a place has lost to another's, for the first time.
/// Chosen by W2-4 in `benches`.
const PAUSES: usize = if cfg!(workcrew_loom) { 1 } else { 16 };

/// A submitter's claim of a place has lost to another's, `again` or for the first time. Returns that
/// it has.
///
/// The next one comes not at once: of two cores that claim at the same time each waits for the
/// other's cache lines, those of the cells too. Who loses again leaves the tail to the other.
#[cold]
pub(crate) fn stand_back(again: bool) -> bool {
    if again {
        sync::yield_now();
    } else {
        (0..PAUSES).for_each(|_| sync::spin_loop());
    }
    true
}

/// How long a waiter stays away before it looks again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Nap {
    None,
    /// So many nanoseconds, with the core left to others.
    Short(u64),
    /// [`sync::NAP`].
    Long,
}

/// A short nap for each place in a queue, and in all: a pool's own work for a job takes
/// some 20 nanoseconds, so a full queue does not run dry. Chosen by W1b in `benches`.
const SHORT_NAP: (u64, u64) = (10, 5_000);

impl Nap {
    /// A short one, for those who wait at a queue of so many places.
    pub(crate) fn short(places: usize) -> Self {
        let (each, most) = SHORT_NAP;
        Self::Short(most.min(each * places as u64))
    }

    pub(crate) fn take(self) {
        match self {
            Self::None => {}
            Self::Short(time) => sync::give_way(time),
            Self::Long => sync::nap(),
        }
    }
}

/// Trials of what may be in vain: the more were, the more of the following are left out.
#[derive(Clone, Copy, Debug)]
struct Trials {
    /// How many are left out in a row at most.
    most: u32,
    left_out: u32,
    /// How many were left out after the last one that was in vain.
    back_off: u32,
}

impl Trials {
    const fn new(most: u32) -> Self {
        Self {
            most,
            left_out: 0,
            back_off: 0,
        }
    }

    /// Whether it is time for one.
    fn is_due(&mut self) -> bool {
        let due = self.left_out == 0;
        self.left_out = self.left_out.saturating_sub(1);
        due
    }

    /// What came of the last one.
    fn judge(&mut self, paid: bool) {
        self.back_off = if paid {
            0
        } else {
            (2 * self.back_off + 1).min(self.most)
        };
        self.left_out = self.back_off;
    }
}

/// Naps before a wait goes on: they pay while each brings a run of events, and are [`Trials`] else.
#[derive(Clone, Copy, Debug)]
struct Naps {
    trials: Trials,
    /// Whether the last wait began with one, of which nobody has judged.
    napped: bool,
}

impl Naps {
    const fn new(most: u32) -> Self {
        Self {
            trials: Trials::new(most),
            napped: false,
        }
    }

    /// Whether a wait shall begin with a nap, if so many events came since the last wait began.
    fn begin(&mut self, events: u64) -> bool {
        if self.napped {
            self.trials.judge(events >= LITTLE);
        }
        self.napped = self.trials.is_due();
        self.napped
    }

    /// What comes next is not the last nap's merit.
    fn end_in_vain(&mut self) {
        if std::mem::take(&mut self.napped) {
            self.trials.judge(false);
        }
    }
}

/// A crew is brisk while a job takes it fewer nanoseconds than this, its own work for it
/// included.
const BRISK: u64 = 60;

/// A crew's jobs are quick while the nanoseconds from job to job, times the cores, are fewer than this.
/// Chosen by W1b-64 in `benches`.
const QUICK: u64 = 800;

/// Naps that are left out in a row at most, when they are in vain.
const MOST_LEFT_OUT: u32 = 1023;

/// The same for a worker's naps before it searches: where jobs come one at a time, each of its
/// searches may hold up somebody who waits for one result.
const MOST_UNGATHERED: u32 = 8191;

/// After so many slow claims in a row a worker is not brisk; fewer may be the system's
/// fault.
const SLOW: u32 = 3;

/// With fewer jobs than this for each worker, and in all, a worker may be at the submitters'
/// heels. Chosen by W2 and W1b in `benches`.
const FEW: (usize, usize) = (16, 64);

/// So often a worker that falls behind looks whether jobs still come.
const LOOKS: u64 = 4;

/// With fewer jobs than this ahead no worker's tempo counts.
const LONG_QUEUE: usize = 128;

/// How fast one worker works off a long queue, or its whole crew a short one, and whether it is worth
/// another's while to stay away. Chosen by W1b in `benches`.
#[derive(Debug)]
pub(crate) struct Tempo {
    /// When the last claim was, and how many jobs it brought; none: not measured.
    since: u64,
    jobs: u64,
    /// Claims since the last one that showed it brisk.
    slow: u32,
    /// Naps while others get on fast.
    away: Trials,
    /// Naps before a search goes on, and how many jobs were claimed since the last search began.
    gather: Naps,
    gathered: u64,
    /// Naps before small claims.
    behind: Trials,
    /// How many jobs had left the queue when that was looked at last, and when that was.
    seen: u64,
    seen_at: u64,
    /// How many nanoseconds the crew took from job to job by then, if its jobs were quick, else 0.
    each: u64,
    /// A crew that takes less has quick jobs.
    quick: u64,
}

#[cfg(all(test, not(miri)))]
sync::own! {
    static ALWAYS_BRISK: Cell<bool> = Cell::new(false);
}

#[cfg(all(test, not(workcrew_loom)))]
sync::own! {
    static ALWAYS_QUICK: Cell<bool> = Cell::new(false);
}

/// From now on this thread's workers are brisk, however slow they are: for threads of a pool or a model.
#[cfg(all(test, not(miri)))]
pub(crate) fn be_brisk() {
    ALWAYS_BRISK.with(|always| always.set(true));
}

/// From now on this thread's workers find their crews' jobs quick.
#[cfg(all(test, not(workcrew_loom)))]
pub(crate) fn be_quick() {
    ALWAYS_QUICK.with(|always| always.set(true));
}

impl Tempo {
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            since: 0,
            jobs: 0,
            slow: SLOW,
            away: Trials::new(MOST_LEFT_OUT),
            gather: Naps::new(MOST_UNGATHERED),
            gathered: 0,
            behind: Trials::new(MOST_UNGATHERED),
            seen: 0,
            seen_at: 0,
            each: 0,
            quick: QUICK / cores as u64,
        }
    }

    /// A claim from a queue of `len` jobs brought so many. Returns whether this worker is
    /// brisk.
    pub(crate) fn claimed(&mut self, len: usize, jobs: usize) -> bool {
        #[cfg(all(test, not(miri)))]
        if ALWAYS_BRISK.with(Cell::get) {
            return true;
        }
        if cfg!(workcrew_loom) {
            return false;
        }
        self.gathered = self.gathered.saturating_add(jobs as u64);
        let now = sync::clock();
        let brisk = len >= LONG_QUEUE && now - self.since < BRISK * self.jobs;
        self.slow = if brisk {
            0
        } else {
            self.slow.saturating_add(1)
        };
        self.since = now;
        self.jobs = jobs as u64;
        self.slow < SLOW
    }

    /// After a claim: so many jobs have left the queue by then. No more than `capacity` of them lie in
    /// deques, not started.
    pub(crate) fn see(&mut self, head: u64, capacity: usize) {
        let jobs = head.saturating_sub(self.seen);
        if capacity >= LONG_QUEUE || jobs < 4 * capacity as u64 || cfg!(workcrew_loom) {
            return;
        }
        let time = self.since.saturating_sub(self.seen_at);
        self.seen_at = self.since;
        self.seen = head;
        let each = (time / jobs).max(1);
        #[cfg(all(test, not(workcrew_loom)))]
        let each = if ALWAYS_QUICK.with(Cell::get) {
            1
        } else {
            each
        };
        self.each = if each < self.quick { each } else { 0 };
    }

    /// Whether the crew's jobs are quick, as far as this worker has seen.
    pub(crate) fn is_quick(&self) -> bool {
        self.each > 0
    }

    /// This worker comes back to the crew, of which so many jobs have left the queue.
    pub(crate) fn see_anew(&mut self, head: u64) {
        self.each = 0;
        self.seen = head;
        self.seen_at = sync::clock();
    }

    /// Whether a search that begins shall begin with a nap: it pays if jobs come one by one,
    /// faster than they can be claimed one by one.
    pub(crate) fn should_gather(&mut self) -> bool {
        if cfg!(workcrew_loom) {
            return false;
        }
        self.gather.begin(std::mem::take(&mut self.gathered))
    }

    /// One of so many `workers`, which has not searched, comes for its share of the `len` jobs that wait in a
    /// queue of so many `places`; `submitted` tells how many there ever were.
    ///
    /// If these are few, again and again, it is at the heels of submitters who wait for the cache
    /// lines that it takes from them. So it naps, if jobs come fast and go on coming; a submitter that
    /// itself waits for some of them would stop.
    #[inline]
    pub(crate) fn fall_behind(
        &mut self,
        len: usize,
        workers: usize,
        places: usize,
        submitted: impl Fn() -> u64,
    ) {
        // A queue that is an eighth full is not short of jobs, nor does it run full in the nap.
        let few = (FEW.0 * workers).min(FEW.1).min(places / 8);
        if (1..few).contains(&len) && !cfg!(workcrew_loom) && self.behind.is_due() {
            self.nap_while_jobs_come(Nap::short(places), submitted);
        }
    }

    #[cold]
    fn nap_while_jobs_come(&mut self, nap: Nap, submitted: impl Fn() -> u64) {
        let Nap::Short(time) = nap else {
            unreachable!("a short one");
        };
        let start = sync::clock();
        let (mut before, mut looked) = (submitted(), start);
        let paid = (0..LOOKS).all(|_| {
            sync::give_way(time / LOOKS);
            let (jobs, now) = (submitted(), sync::clock());
            let fast = now - looked < BRISK * (jobs - before);
            (before, looked) = (jobs, now);
            fast
        });
        // The last jobs did not take longer for that.
        self.since += sync::clock() - start;
        self.behind.judge(paid);
    }

    /// The nap did not spare the sleep.
    pub(crate) fn sleeps(&mut self) {
        self.gather.end_in_vain();
    }

    /// Naps as long as it `pays`, since others are brisk, or since this worker `looks_out` whether the
    /// others get on faster without it; `head` tells how many jobs have left the queue. The more naps were in
    /// vain the more are left out.
    #[cold]
    pub(crate) fn stay_away(
        &mut self,
        looks_out: bool,
        pays: impl Fn() -> bool,
        head: impl Fn() -> u64,
    ) {
        while pays() {
            if !self.away.is_due() {
                return;
            }
            let (before, start) = (head(), sync::clock());
            sync::nap();
            let jobs = head() - before;
            let paid = if looks_out && self.is_quick() {
                jobs > (sync::clock() - start) / self.each
            } else {
                jobs >= sync::NAP.as_nanos() as u64 / BRISK
            };
            self.away.judge(paid);
        }
    }

    /// Whether it has fallen behind in vain.
    #[cfg(all(test, not(workcrew_loom)))]
    pub(crate) fn has_fallen_behind_in_vain(&self) -> bool {
        self.behind.back_off > 0
    }

    /// Whether the last nap was in vain.
    #[cfg(all(test, not(workcrew_loom)))]
    pub(crate) fn has_napped_in_vain(&self) -> bool {
        self.away.back_off > 0
    }
}

/// How one thread waits for outcomes that each have a place of their own. It does not know how
/// many of them are about to come, so it tries a short nap, and goes on napping as long as that
/// brings a run of them. Chosen by W3 and W4 in `benches`.
pub(crate) struct Waits {
    /// Lent while the thread waits.
    patience: Cell<Patience>,
    /// Outcomes that were there at once since the last wait.
    ready: Cell<u64>,
    naps: Cell<Naps>,
}

impl Waits {
    pub(crate) const fn new() -> Self {
        Self {
            patience: Cell::new(Patience::new()),
            ready: Cell::new(0),
            naps: Cell::new(Naps::new(MOST_LEFT_OUT)),
        }
    }

    /// Looks; if that finds nothing looks again for a while, and in the end sleeps.
    #[inline]
    pub(crate) fn wait<T>(
        &self,
        look: impl Fn() -> Option<T>,
        sleep: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let found = look();
        if found.is_some() {
            self.ready.set(self.ready.get() + 1);
            return found;
        }
        self.wait_longer(look, sleep)
    }

    #[cold]
    fn wait_longer<T>(
        &self,
        look: impl Fn() -> Option<T>,
        sleep: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let nap = self.should_nap();
        let mut patience = self.patience.take();
        if nap {
            Nap::Short(SHORT_NAP.1).take();
        }
        let mut found = if nap { look() } else { None };
        // If naps are in vain one outcome comes at a time.
        while found.is_none() && patience.pause(!nap) {
            found = look();
        }
        if found.is_some() {
            // Hint: how long it looks next time.
            patience.found();
        } else {
            found = patience.sleep(sleep);
        }
        self.patience.set(patience);
        found
    }

    /// Whether this wait begins with a nap.
    fn should_nap(&self) -> bool {
        if cfg!(workcrew_loom) {
            return false;
        }
        let mut naps = self.naps.get();
        let nap = naps.begin(self.ready.take());
        self.naps.set(naps);
        nap
    }
}

/// Nanoseconds between two pieces of work that a thread gives to others, if they have to be
/// woken and if they are awake: so what that costs the giver is less than a tenth. While those who
/// are woken come too late the first becomes longer, up to the end: then it is less than a
/// hundredth.
const WAKE_EVERY: std::ops::RangeInclusive<u64> = 100_000..=1_600_000;
const FEED_EVERY: u64 = 10_000;

/// How often the clock is asked: about once in so many nanoseconds, but after so many
/// questions at the latest.
const ASK_EVERY: std::ops::RangeInclusive<u64> = 5_000..=20_000;
const MOST_UNASKED: u32 = 16;

/// How often one thread asks others to help it.
#[derive(Debug)]
pub(crate) struct Pulse {
    fed: Cell<u64>,
    /// When the clock was asked last, and of how many questions one asks it.
    asked: Cell<u64>,
    every: Cell<u32>,
    /// Questions until it is asked again.
    left: Cell<u32>,
    wake_every: Cell<u64>,
    /// Whether somebody was woken for what was given last, and nobody knows yet who ran that.
    woken: Cell<bool>,
}

impl Pulse {
    pub(crate) const fn new() -> Self {
        Self {
            fed: Cell::new(0),
            asked: Cell::new(0),
            every: Cell::new(1),
            left: Cell::new(1),
            wake_every: Cell::new(*WAKE_EVERY.start()),
            woken: Cell::new(false),
        }
    }

    /// New work: the next question asks the clock.
    pub(crate) fn begin(&self) {
        self.left.set(1);
    }

    /// Whether to give work to somebody now, who may be asleep. If so, the caller does.
    pub(crate) fn may_feed(&self, asleep: bool) -> bool {
        let left = self.left.get() - 1;
        if left > 0 {
            self.left.set(left);
            return false;
        }
        let now = sync::clock();
        let past = now - self.asked.replace(now);
        let every = self.every.get();
        let every = if past < *ASK_EVERY.start() {
            every * 2
        } else if past > *ASK_EVERY.end() {
            every / 2
        } else {
            every
        };
        let every = every.clamp(1, MOST_UNASKED);
        self.every.set(every);
        self.left.set(every);
        let pause = if asleep {
            self.wake_every.get()
        } else {
            FEED_EVERY
        };
        let may = self.fed.get() == 0 || now - self.fed.get() >= pause;
        if may {
            self.fed.set(now);
            self.woken.set(asleep);
        }
        may
    }

    /// What was given has been run, or else came back before anybody had begun it.
    pub(crate) fn judge(&self, helped: bool) {
        let woken = self.woken.replace(false);
        if helped {
            self.wake_every.set(*WAKE_EVERY.start());
        } else if woken {
            let longer = self.wake_every.get() * 2;
            self.wake_every.set(longer.min(*WAKE_EVERY.end()));
        }
    }
}

/// Waits that on average brought fewer events than this brought little: a wait costs some
/// microseconds, so the events are hundreds of nanoseconds apart.
const LITTLE: u64 = 8;

/// So many short naps, the longest ones, are one long nap, with what the system adds.
const SHORT_IN_LONG: u64 = sync::NAP.as_nanos() as u64 * 3 / 2 / SHORT_NAP.1;

/// Trials come after this many waits, at first and at last.
const TRIAL_AFTER: std::ops::RangeInclusive<u32> = 8..=8192;

/// What a waiter, or several that wait for the same, remember of earlier waits. All
/// of it is a hint, so they may race.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Events when the waits were last judged, and how many waits there were since.
    events: AtomicU64,
    waits: AtomicU32,
    trial_after: AtomicU32,
    napped: AtomicBool,
    /// The budget of the last waiter's [`Patience`].
    budget: AtomicU64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            events: AtomicU64::new(0),
            waits: AtomicU32::new(0),
            trial_after: AtomicU32::new(*TRIAL_AFTER.start()),
            napped: AtomicBool::new(false),
            budget: AtomicU64::new(*BUDGET.start()),
        }
    }

    /// The patience of a waiter that keeps none of its own, lent for one wait.
    pub(crate) fn with_patience<T>(&self, wait: impl FnOnce(&mut Patience) -> T) -> T {
        let budget = self.budget.load(Ordering::Relaxed);
        let mut patience = Patience {
            budget,
            ..Patience::default()
        };
        let waited = wait(&mut patience);
        if patience.budget != budget {
            // Hint: how long the next one looks.
            self.budget.store(patience.budget, Ordering::Relaxed);
        }
        waited
    }

    /// The nap before a wait: `events` happened so far, at most `most` can have happened when it ends, and
    /// some `ahead` are to come, so far as is known. Who waits until a `deadline` takes no long one.
    #[cold]
    pub(crate) fn nap(
        &self,
        events: u64,
        most: usize,
        ahead: usize,
        deadline: Option<Instant>,
    ) -> Nap {
        // Asked only when it counts, for the answer will be judged.
        if deadline.is_none() && self.should_nap(events, most, ahead) {
            Nap::Long
        } else {
            Nap::short(most)
        }
    }

    /// Whether the nap is a long one.
    fn should_nap(&self, events: u64, most: usize, ahead: usize) -> bool {
        if cfg!(workcrew_loom) {
            return false;
        }
        // Relaxed, all: a wrong hint costs a nap, or a few yields.
        let napped = self.napped.load(Ordering::Relaxed);
        let waits = self.waits.load(Ordering::Relaxed) + 1;
        let trial_after = self.trial_after.load(Ordering::Relaxed);
        if !napped && waits < trial_after {
            // Hint: when a nap is tried.
            self.waits.store(waits, Ordering::Relaxed);
            return false;
        }
        // Hint: as above.
        self.waits.store(0, Ordering::Relaxed);
        let gain = events.saturating_sub(self.events.swap(events, Ordering::Relaxed));
        let enough = ahead.min(most / 2) as u64;
        let nap = if napped {
            let well_placed = gain > 0 && gain < enough;
            let next = if well_placed {
                trial_after / 2
            } else {
                trial_after * 2
            };
            let next = next.clamp(*TRIAL_AFTER.start(), *TRIAL_AFTER.end());
            // Hint: as above.
            self.trial_after.store(next, Ordering::Relaxed);
            well_placed
        } else {
            gain < LITTLE.max(enough / SHORT_IN_LONG) * u64::from(waits)
        };
        // Hint: as above.
        self.napped.store(nap, Ordering::Relaxed);
        nap
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/pace.rs"]
mod tests;
