//! How fast a worker or its crew gets on, and what another worker makes of it.
//!
//! A worker that finds nothing while another works off a long queue of jobs that take next to no time
//! would only be in its way. So would more such workers than there are cores, be the queue long or short;
//! and a worker that always finds the last few jobs would be in the way of who submits them.

#![forbid(unsafe_code)]

use super::Nap;
use super::trials::{MOST_LEFT_OUT, Naps, Trials};
use crate::sync;
#[cfg(test)]
use std::cell::Cell;

/// A crew is brisk while a job takes it fewer nanoseconds than this, its own work for it
/// included.
const BRISK: u64 = 60;

/// A crew's jobs are quick while the nanoseconds from job to job, times the cores, are fewer than this.
/// Chosen by W1b-64 in `benches`.
const QUICK: u64 = 800;

/// A worker's naps before it searches that are left out in a row at most: where jobs come one at a time, each of its
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
        self.behind.were_in_vain()
    }

    /// Whether the last nap was in vain.
    #[cfg(all(test, not(workcrew_loom)))]
    pub(crate) fn has_napped_in_vain(&self) -> bool {
        self.away.were_in_vain()
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/tempo.rs"]
mod tests;
