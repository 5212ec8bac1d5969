//! Which queued jobs shall not be started: a horizon, below which none shall, and a small
//! table of others. A worker asks before it starts a job.
//!
//! **Promise.** A job that still waits (by the [`ledger`](super::ledger)'s count) when
//! [`Recalls::settle`] has returned after its [`Recalls::add`], or after a
//! [`Recalls::add_below`] that covers its index, is never started. A job
//! whose worker was first, or that has ended, is not touched. As long as nobody has ever
//! recalled a job of the pool, a worker pays one load a job. Nothing here waits or
//! retries.
//!
//! **The horizon** only grows, and follow-ups are covered with the index of their
//! ancestor. One word says too whether anything was ever recalled.
//!
//! **The table.** Lines of [`WORDS`] words. A word is a job's index plus one, or 0 if it is
//! free; it stands in line `index mod lines`. The jobs that wait have nearly consecutive
//! indices, and there are more than twice as many words as places in the queue (up to
//! [`MAX_LINES`]), so all may be recalled at once. A line fills up only by words that came too late.
//!
//! **Transitions.**
//!
//! * add (anybody): 0 to the word, by compare-and-swap.
//! * remove: the word to 0, by compare-and-swap. The worker that has the job does it before the
//!   start (then the job is dropped instead), and after the end, for a word that came too late;
//!   and whoever claims the job's outcome, for one that came later still. (Those that come when
//!   the outcome has been claimed are left to the sweep, but for a map's own.)
//! * sweep (anybody who has seen the pool idle): words of jobs that were accepted before
//!   to 0, by compare-and-swap. Those are words that came after the end.
//!
//! **Invariants.**
//!
//! 1. Indices are given once. So a word means one job for ever, and one that was cleared
//!    with right is never missed.
//! 2. Whoever clears a word has the job, or has seen that it ended. Before the start it is one
//!    thread, the worker; afterwards it may be several.
//!
//! **Why a waiting job is not missed.** Let C store the word, or the horizon, pass
//! [`barrier::heavy`] and find that the job waits; let W take the job off its queue (a store
//! of `head` or `resumed`, or for a follow-up of `started`), pass [`barrier::light`] and look
//! for the word. By the proof of the pair, W sees the word or C sees the job gone. W's barrier
//! is the one in the [`Gate::notify`](crate::gate::Gate::notify) of the room that the job has
//! left; a follow-up leaves none, so there it is one of its own.
//!
//! | edge      | release side                          | acquire side         | carries                         | loom model               |
//! |-----------|---------------------------------------|----------------------|---------------------------------|--------------------------|
//! | `recall`  | [`Recalls::add`], then `settle`       | [`Recalls::has_recalled`] | what the canceller did, and see above | `cancel_races_the_start` |
//! | `horizon` | [`Recalls::add_below`], then `settle` | [`Recalls::covers`]  | the same                        | `cancel_all_races_the_start`, `cancel_all_races_a_follow_up` |
//! | `late`    | [`Recalls::add`], `unswept`           | [`Recalls::sweep`]   | a word that the sweep shall see | `late_cancel_races_the_sweep` |

#![forbid(unsafe_code)]

use super::Origin;
use crate::probe::probe;
use crate::sync::{AtomicBool, AtomicU64, Ordering, barrier};

/// Words in a line: what a cache line holds.
const WORDS: usize = if cfg!(workcrew_loom) { 2 } else { 8 };

/// Lines of the largest table: one of a mebibyte.
const MAX_LINES: usize = 1 << 14;

/// Waiting jobs for each line: the other words are for those that come too late.
const JOBS_PER_LINE: usize = WORDS / 2;

/// The line is full of other jobs. Nothing happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Crowded;

#[derive(Debug)]
#[repr(align(64))]
struct Line([AtomicU64; WORDS]);

/// The horizon and the table.
#[derive(Debug)]
pub(crate) struct Recalls {
    /// The horizon plus one, or 0 while nobody has recalled anything.
    horizon: AtomicU64,
    /// Whether there ever was a word in the table.
    used: AtomicBool,
    /// Whether there may be words that no sweep has seen.
    unswept: AtomicBool,
    /// A power of two.
    lines: Box<[Line]>,
}

impl Recalls {
    /// A table for a queue of so many jobs.
    pub(crate) fn new(capacity: usize) -> Self {
        let lines = capacity.div_ceil(JOBS_PER_LINE).min(MAX_LINES);
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            horizon: AtomicU64::new(0),
            used: AtomicBool::new(false),
            unswept: AtomicBool::new(false),
            lines: (0..lines.next_power_of_two()).map(|_| line()).collect(),
        }
    }

    fn line(&self, index: u64) -> &[AtomicU64; WORDS] {
        &self.lines[index as usize & (self.lines.len() - 1)].0
    }

    /// Recalls a job, once [`Recalls::settle`] has been called.
    ///
    /// # Errors
    ///
    /// If there is no free word for it.
    pub(crate) fn add(&self, index: u64) -> Result<(), Crowded> {
        let word = index + 1;
        // Relaxed, all: `settle` orders it. Workers read this line at each job, so it is
        // not written without need.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
            self.horizon.fetch_max(1, Ordering::Relaxed);
        }
        let added = self.line(index).iter().any(|place| {
            // [recall] Release: what was done before is seen by who drops the job.
            // Relaxed on failure: of a word that is in the way only the value counts.
            let was = place.compare_exchange(0, word, Ordering::Release, Ordering::Relaxed);
            was.is_ok() || was == Err(word)
        });
        probe!("recall add: word stored, not announced");
        // [late] Release: the word comes before its announcement. A swap, so that the sweep
        // sees the words of all who announced.
        self.unswept.swap(true, Ordering::Release);
        if added { Ok(()) } else { Err(Crowded) }
    }

    /// Recalls all jobs with indices below `end`, once [`Recalls::settle`] has been called.
    pub(crate) fn add_below(&self, end: u64) {
        // [horizon] Release: what was done before is seen by who drops a job, or asks. By
        // read-modify-writes only, so that whoever sees a later horizon sees it too.
        self.horizon.fetch_max(end + 1, Ordering::Release);
    }

    /// Whether all jobs with this index are recalled, with all below some end.
    #[inline]
    pub(crate) fn covers(&self, index: u64) -> bool {
        // [horizon] Acquire: what the canceller did before.
        index + 1 < self.horizon.load(Ordering::Acquire)
    }

    /// Makes sure that workers see what was added before.
    pub(crate) fn settle(&self) {
        probe!("recall settle: added, not certain to be seen");
        // [recall] [horizon] they are visible before whatever tells that their jobs wait.
        barrier::heavy();
    }

    /// Whether anything was ever recalled. Asked by a worker that has taken a job and
    /// passed a light barrier since.
    #[inline]
    pub(crate) fn are_used(&self) -> bool {
        // Relaxed: [recall] [horizon] the barriers order it, like the word itself.
        self.horizon.load(Ordering::Relaxed) != 0
    }

    /// Whether there ever was a word in the table. A hint for takers, for whom a later look will do.
    pub(crate) fn has_words(&self) -> bool {
        // Relaxed: as above.
        self.used.load(Ordering::Relaxed)
    }

    /// Whether the job from this origin, which the caller is about to start, was recalled, if
    /// [`Recalls::are_used`].
    #[cold]
    #[must_use]
    pub(crate) fn has_recalled(&self, origin: Origin) -> bool {
        // The word goes in any case: nobody else will see it in time.
        self.remove_of(origin) || self.covers(origin.index())
    }

    /// The job from this origin has ended: a word that came too late goes. (One that comes later still goes in
    /// a sweep, or by the job's taker.)
    #[cold]
    pub(crate) fn forget(&self, origin: Origin) {
        self.remove_of(origin);
    }

    /// As [`remove`](Self::remove). Follow-ups have no words.
    fn remove_of(&self, origin: Origin) -> bool {
        !origin.is_follow_up() && self.has_words() && self.remove(origin.index())
    }

    /// Takes out the word of a job that the calling worker has, or that has ended. Returns whether
    /// there was one.
    #[cold]
    pub(crate) fn remove(&self, index: u64) -> bool {
        let mut found = false;
        // All of the line: two cancellers may have added the job side by side.
        for place in self.line(index) {
            // [recall] Acquire: what the canceller did before.
            if place.load(Ordering::Acquire) == index + 1 {
                // Relaxed, both: the place becomes free, and nothing comes with it. If it fails,
                // another has cleared it, since the job has ended, and the place may bear the word
                // of one that waits.
                let _ = place.compare_exchange(index + 1, 0, Ordering::Relaxed, Ordering::Relaxed);
                found = true;
            }
        }
        found
    }

    /// Whether a sweep would be of use.
    pub(crate) fn want_sweep(&self) -> bool {
        // Relaxed: a later look will do.
        self.unswept.load(Ordering::Relaxed)
    }

    /// Clears the words of jobs below `end`, which have all ended.
    #[cold]
    pub(crate) fn sweep(&self, end: u64) {
        // [late] Acquire: a word that was announced before is seen; one that was not will
        // be. A swap, so that no announcement is overwritten unseen.
        self.unswept.swap(false, Ordering::Acquire);
        let mut left = false;
        for place in self.lines.iter().flat_map(|line| &line.0) {
            // Relaxed: the job has ended, whatever its word carried.
            let word = place.load(Ordering::Relaxed);
            if word > end {
                left = true;
            } else if word != 0 {
                // Relaxed, both: as above. If it fails, another has swept it, and the
                // place may bear the word of a job that waits.
                let _ = place.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
        if left {
            // Relaxed: we add nothing. A swap, as in `add`.
            self.unswept.swap(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl Recalls {
    /// Whether the job has a word.
    pub(crate) fn has(&self, index: u64) -> bool {
        let mut places = self.line(index).iter();
        places.any(|place| place.load(Ordering::Acquire) == index + 1)
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/recall.rs"]
mod tests;
