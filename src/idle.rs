//! Who sleeps, who searches, whom to wake.
//!
//! **Promise.** If a job is published and [`Idle::notify`] is called after it, a
//! worker that is awake will look for it, or one is woken that will. At most one
//! worker is woken for each call, and none while another is searching. Knows
//! nothing of queues: it is lent a "has work?" closure.
//!
//! **Layout.** One 64-bit word: `top` of the stack of sleepers (number plus one,
//! 16 bits), `searching` (16 bits), `called` (1 bit), `tag` (31 bits, grows with
//! every change of the stack). Each sleeper's seat holds the link to the next.
//! Count and stack share the word because a wakeup is lost if they do not: the
//! last searcher could go to sleep between a notifier's two looks.
//!
//! **Transitions.**
//!
//! * begin search (worker, awake): `searching + 1`.
//! * found (searcher): `searching - 1`. If that makes zero and `called` is set, or
//!   it knows of more work, it *hands the ticket on*: wakes the top sleeper.
//! * sleep (searcher): pushes itself, `searching - 1`, in one step, and if that makes
//!   zero takes `called` away; then a heavy barrier and a last look; if there is work,
//!   it does as a notifier does, and sets `called` in any case.
//! * notify (anybody): a light barrier, then: nobody sleeps: nothing to do; some
//!   worker searches: set `called`; else wake the top sleeper.
//! * wake: pop the sleeper and `searching + 1` in one step, then its token. So a
//!   woken worker is a searcher from the moment it was chosen.
//!
//! **No wakeup is lost.** P publishes a job, then notifies. Let w be the word as P
//! loads it after its barrier.
//!
//! 1. *No sleeper in w.* Each worker is awake, or going to sleep. One that pushes
//!    itself after w looks again after its heavy barrier; by the barrier's proof it
//!    sees the job, since P did not see its push. It becomes the job's notifier. There
//!    may be more such jobs than it, hence `called`.
//! 2. *A sleeper, no searcher.* P's compare-and-swap wakes one (or fails, and P
//!    looks again): a worker for a job. If the woken one finds another job than P's,
//!    then there was a worker for that one too, or `called` is set.
//! 3. *A sleeper and a searcher.* P sets `called` (or finds it set). Every searcher
//!    leaves by a change of the word. The last one to leave either found work: then
//!    it wakes a sleeper, a searcher again, and `called` stays; or goes to sleep:
//!    then it looks again after its push and a heavy barrier, and sees the job if it
//!    is still there, since P's load came before its push. So `called` goes away only
//!    with a look at all queues that comes after every call.
//!
//! `called` costs at most one wake in vain each time it is set.
//!
//! | edge      | release side              | acquire side             | carries                | loom model                    |
//! |-----------|---------------------------|--------------------------|------------------------|-------------------------------|
//! | `asleep`  | [`Idle::sleep`], barrier  | [`Idle::notify`], barrier | that one sleeps        | `push_races_last_sleeper`     |
//! | `link`    | [`Idle::sleep`], word     | [`Idle::wake`], word     | the sleeper's link     | `link_of_the_second_sleep`    |
//! | `walk`    | [`Idle::sleep`], link     | [`Idle::stack`], link    | that the last sleep is over | `stack_grows_under_a_walk` |
//! | `called`  | [`Idle::notify`], word    | [`Idle::found`], word    | that a wake was spared | `two_sleepers_two_jobs`       |

#![forbid(unsafe_code)]

use crate::parker::Parker;
use crate::probe::probe;
use crate::sync::{AtomicU32, AtomicU64, Ordering, WATCH, barrier};
use crossbeam_utils::CachePadded;

/// More than anybody's threads, and it leaves room for "none" in 16 bits.
pub(crate) const MAX_WORKERS: usize = (1 << 16) - 2;

/// How much longer a sleeper trusts the others if another sleeps below it, or if it has
/// been quiet for long.
const SELDOM: u32 = 16;

const SEARCHER: u64 = 1 << 16;
const CALLED: u64 = 1 << 32;
const TAG: u64 = 1 << 33;

/// A copy of the word.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Snapshot(u64);

impl Snapshot {
    fn top(self) -> Option<usize> {
        ((self.0 % SEARCHER) as usize).checked_sub(1)
    }

    fn searching(self) -> u64 {
        self.0 / SEARCHER % SEARCHER
    }

    fn called(self) -> bool {
        self.0 & CALLED != 0
    }

    /// One searcher less; the last one takes `called` with it.
    fn less_one_searcher(self) -> Self {
        debug_assert!(self.searching() > 0, "only a searcher leaves the search");
        let word = self.0 - SEARCHER;
        Self(if self.searching() == 1 {
            word & !CALLED
        } else {
            word
        })
    }

    /// Another top, and one more change of the stack.
    fn with_top(self, top: u32) -> Self {
        Self((self.0 & !(SEARCHER - 1) | u64::from(top)).wrapping_add(TAG))
    }
}

#[derive(Debug)]
struct Seat {
    parker: Parker,
    /// The next sleeper's number plus one, while this one is on the stack.
    next: AtomicU32,
}

/// The crew's sleepers and searchers.
#[derive(Debug)]
pub(crate) struct Idle {
    word: CachePadded<AtomicU64>,
    seats: Box<[CachePadded<Seat>]>,
}

/// Whether workers have nothing to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hunger {
    None,
    /// Some search.
    Awake,
    /// Some sleep, and none searches.
    Asleep,
}

/// What a worker knows of its own place in [`Idle`].
#[derive(Debug)]
pub(crate) struct Place {
    worker: usize,
    searching: bool,
    /// A waker that was suspended may still leave a token for an earlier sleep.
    token_owed: bool,
}

impl Place {
    pub(crate) fn new(worker: usize) -> Self {
        Self {
            worker,
            searching: false,
            token_owed: false,
        }
    }

    pub(crate) fn is_searching(&self) -> bool {
        self.searching
    }
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Self {
        assert!(workers <= MAX_WORKERS);
        let seat = || Seat {
            parker: Parker::new(),
            next: AtomicU32::new(0),
        };
        Self {
            word: CachePadded::new(AtomicU64::new(0)),
            seats: (0..workers).map(|_| CachePadded::new(seat())).collect(),
        }
    }

    #[inline]
    fn load(&self, ordering: Ordering) -> Snapshot {
        Snapshot(self.word.load(ordering))
    }

    /// Moves the word from `old` to `new`.
    fn change(&self, old: Snapshot, new: Snapshot) -> Result<(), Snapshot> {
        // [link] Release: our link is written before we are the top. Acquire on failure:
        // the links of the sleepers that we see. (Those of `old` were acquired with it,
        // and success means that the stack is the same.)
        self.word
            .compare_exchange_weak(old.0, new.0, Ordering::Release, Ordering::Acquire)
            .map(drop)
            .map_err(Snapshot)
    }

    /// Tells the crew that work was published. Lock-free; a light barrier and one load when nobody sleeps.
    #[inline]
    pub(crate) fn notify(&self) {
        // [asleep] the work is stored before the look for sleepers.
        barrier::light();
        // Relaxed: the barrier orders it, and `call_or_wake` looks for itself.
        if self.load(Ordering::Relaxed).top().is_some() {
            self.call_or_wake(0, false);
        }
    }

    /// Makes sure that somebody searches. `called` is [`CALLED`] if one searcher may
    /// not be enough. With `in_any_case` it wakes the top sleeper even if somebody
    /// searches: for those who watch. Returns whom it woke.
    #[cold]
    fn call_or_wake(&self, called: u64, in_any_case: bool) -> Option<usize> {
        // [link] Acquire: for the link of the top.
        let mut seen = self.load(Ordering::Acquire);
        while let Some(top) = seen.top() {
            let (woken, changed) = if in_any_case || seen.searching() == 0 {
                (Some(top), self.wake(seen, top, called))
            // Hint: spares writing what is there.
            } else if seen.called() {
                return None;
            } else {
                probe!("idle notify: searcher seen, not called");
                (None, self.change(seen, Snapshot(seen.0 | CALLED)))
            };
            match changed {
                Ok(()) => return woken,
                Err(now) => seen = now,
            }
        }
        None
    }

    /// Wakes all that sleep now. In one step: those who find nothing go back to sleep,
    /// and one by one they would keep the caller here.
    pub(crate) fn wake_all(&self) {
        // No barrier: the word is changed in any case. Who announces its sleep after that
        // sees, by the fence of its own barrier, what came before.
        // [link] Acquire: for the links.
        let mut seen = self.load(Ordering::Acquire);
        let sleepers = loop {
            let sleepers: Vec<usize> = self.stack(seen).collect();
            probe!("idle wake_all: sleepers seen, not chosen");
            let searchers = sleepers.len() as u64 * SEARCHER;
            match self.change(seen, Snapshot(seen.with_top(0).0 + searchers)) {
                Ok(()) => break sleepers,
                Err(now) => seen = now,
            }
        };
        probe!("idle wake_all: chosen, not woken");
        for sleeper in sleepers {
            self.seats[sleeper].parker.unpark();
        }
    }

    /// The sleepers from the top down; right if the stack has not changed since `seen`.
    fn stack(&self, seen: Snapshot) -> impl Iterator<Item = usize> {
        let mut at = seen.top();
        let sleepers = std::iter::from_fn(move || {
            let sleeper = at?;
            // [walk] Acquire: who finds the link of a later sleep, and looks at the word
            // again after the walk, sees that the earlier one has ended.
            at = (self.seats[sleeper].next.load(Ordering::Acquire) as usize).checked_sub(1);
            Some(sleeper)
        });
        // A walk through links that change underfoot may go in circles.
        sleepers.take(self.seats.len())
    }

    /// Makes the sleeper `top` a searcher, and wakes it.
    fn wake(&self, seen: Snapshot, top: usize, called: u64) -> Result<(), Snapshot> {
        // Relaxed: [link] was acquired with `seen`. If the seat has been left and
        // taken again since, the tag has grown and the change fails.
        let next = self.seats[top].next.load(Ordering::Relaxed);
        probe!("idle wake: sleeper seen, not chosen");
        self.change(seen, Snapshot((seen.with_top(next).0 + SEARCHER) | called))?;
        probe!("idle wake: chosen, not woken");
        self.seats[top].parker.unpark();
        Ok(())
    }

    /// Whether anybody has nothing to do: a hint.
    pub(crate) fn hunger(&self) -> Hunger {
        // Relaxed: a hint.
        let seen = self.load(Ordering::Relaxed);
        if seen.searching() > 0 {
            Hunger::Awake
        } else if seen.top().is_some() {
            Hunger::Asleep
        } else {
            Hunger::None
        }
    }

    /// How many search: a hint.
    pub(crate) fn searchers(&self) -> u64 {
        // Relaxed: a hint.
        self.load(Ordering::Relaxed).searching()
    }

    /// The worker has found nothing at first sight and begins to search, if it does not
    /// do so already.
    pub(crate) fn begin_search(&self, place: &mut Place) {
        if !place.searching {
            place.searching = true;
            // Relaxed: being counted promises a later change of the word, by
            // `found` or `sleep`; that one orders.
            self.word.fetch_add(SEARCHER, Ordering::Relaxed);
            probe!("idle search: counted");
        }
    }

    /// The worker has work. If it was searching it stops, and wakes another if one
    /// was called for or there is `more`.
    pub(crate) fn found(&self, place: &mut Place, more: bool) {
        if !std::mem::take(&mut place.searching) {
            return;
        }
        probe!("idle found: still counted");
        // [link] Acquire: for the link of the top.
        let mut seen = self.load(Ordering::Acquire);
        loop {
            let last = seen.searching() == 1;
            let changed = match seen.top() {
                // [called] hand the ticket on: one searcher less, one sleeper woken.
                Some(top) if last && (more || seen.called()) => {
                    probe!("idle found: hands on");
                    self.wake_instead(seen, top)
                }
                _ => self.change(seen, seen.less_one_searcher()),
            };
            match changed {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// As [`Idle::wake`], with the caller's own ticket for the sleeper. `called` stays:
    /// several may have called, and only a look that finds nothing proves that all of
    /// their jobs have been taken.
    fn wake_instead(&self, seen: Snapshot, top: usize) -> Result<(), Snapshot> {
        // Relaxed: as in `wake`.
        let next = self.seats[top].next.load(Ordering::Relaxed);
        self.change(seen, seen.with_top(next))?;
        probe!("idle found: chosen, not woken");
        self.seats[top].parker.unpark();
        Ok(())
    }

    /// The searcher goes to sleep, unless `has_work` says otherwise at the last
    /// moment, until it is woken. It returns as a searcher, and says whether another
    /// thread woke it. (Else it did so itself: at the last look, or by the clock.)
    pub(crate) fn sleep(&self, place: &mut Place, mut has_work: impl FnMut() -> bool) -> bool {
        debug_assert!(place.searching, "only a searcher goes to sleep");
        let seat = &self.seats[place.worker];
        let mut seen = self.load(Ordering::Relaxed);
        let mut limit = loop {
            let below = (seen.0 % SEARCHER) as u32;
            // [walk] Release: our last sleep ended before. ([link] is released by the
            // change below.)
            seat.next.store(below, Ordering::Release);
            probe!("idle sleep: linked, not announced");
            let me = place.worker as u32 + 1;
            match self.change(seen, seen.less_one_searcher().with_top(me)) {
                // The bottom sleeper is woken last, so it keeps the closest watch.
                Ok(()) if below == 0 => break WATCH,
                Ok(()) => break WATCH * SELDOM,
                Err(now) => seen = now,
            }
        };
        probe!("idle sleep: announced, not looked");
        // [asleep] our place on the stack is visible before the last look.
        barrier::heavy();
        let mut woke = None;
        if has_work() {
            probe!("idle sleep: work at the last look");
            // Perhaps it is ourselves whom this wakes. And perhaps this is not the only
            // job for which nobody was woken, since nobody slept.
            woke = self.call_or_wake(CALLED, false);
        }
        loop {
            probe!("idle sleep: looked, not parked");
            let token = seat.parker.park(limit);
            probe!("idle sleep: woken, still searching");
            if token && !place.token_owed {
                return woke != Some(place.worker);
            }
            // The clock, or a token that may be an old one: see who we are.
            if !self.is_asleep(place.worker) {
                // Chosen, but perhaps the waker has not come to leave the token yet.
                probe!("idle sleep: chosen, token owed");
                place.token_owed |= !token;
                return woke != Some(place.worker);
            }
            if token {
                probe!("idle sleep: an old token");
                place.token_owed = false;
            } else if has_work() {
                // Nobody should have let us sleep; see `WATCH`.
                woke = self.call_or_wake(0, true);
            } else {
                limit = (limit * 2).min(WATCH * SELDOM);
            }
        }
    }

    /// Whether the worker is on the stack, by a walk that no change interrupted.
    #[cold]
    fn is_asleep(&self, worker: usize) -> bool {
        loop {
            // [link] Acquire: the links below are those of this moment.
            let seen = self.load(Ordering::Acquire);
            let on_stack = self.stack(seen).any(|sleeper| sleeper == worker);
            // Relaxed: [walk] orders it. With the same tag no sleep has ended since, and
            // all links are those of `seen`.
            let now = self.load(Ordering::Relaxed);
            if now.0 / TAG == seen.0 / TAG {
                return on_stack;
            }
        }
    }
}

#[cfg(all(test, workcrew_loom))]
impl Idle {
    /// Plays a clock that runs out; see [`Parker::disturb`].
    pub(crate) fn disturb(&self, worker: usize) {
        self.seats[worker].parker.disturb();
    }

    /// As [`Idle::is_asleep`], for an onlooker.
    pub(crate) fn shows_asleep(&self, worker: usize) -> bool {
        self.is_asleep(worker)
    }

    /// Plays a waker that chooses the top sleeper, if there is one, and is then suspended
    /// for ever.
    pub(crate) fn choose_and_leave(&self) -> bool {
        let mut seen = self.load(Ordering::Acquire);
        while let Some(top) = seen.top() {
            let next = self.seats[top].next.load(Ordering::Relaxed);
            match self.change(seen, Snapshot(seen.with_top(next).0 + SEARCHER)) {
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/idle.rs"]
mod tests;
