//! The shared queue: any number of producers and consumers, strictly lock-free.
//!
//! **Promise.** First in, first out, by the order of the claims. Every item that
//! was accepted leaves exactly once. A producer or consumer that is suspended for
//! ever, wherever it stands, stops nobody: others pass its position over. It keeps
//! what it had claimed, and pins one segment of memory. Nothing is allocated once
//! the queue has seen its deepest moment.
//!
//! **Layout.** Positions are numbers that only grow. `tail` is `position << 1 |
//! closed`, `head` a position. Position p lives in segment number `p / Segments::POSITIONS`.
//! The directory maps it to memory: entry `number % entries` is
//! `tag << 24 | segment`, where the tag is the segment number plus one. Inside, the
//! cells stand in groups, each beside one word with a bit a cell, *decided*.
//!
//! **Transitions.**
//!
//! * install (producer): directory entry to a clean segment, by compare-and-swap.
//! * claim to write (producer): `tail + 1`, by compare-and-swap. The cell is its.
//! * publish (producer): write the cell, then set its bit. If the bit was clear,
//!   the item is in. If it was set, the cell is *poisoned*: a consumer was here
//!   first and has gone on. The producer keeps its item and claims again.
//! * claim to read (consumer): `head + n`, by compare-and-swap, over published
//!   cells (bit seen set). It reads them.
//! * poison (consumer): where the head cell is unpublished while a cell behind it
//!   is published, claim up to that cell, then set all these bits. Bits that were
//!   set by then are items to read; the others are poisoned.
//! * count: whoever touches a cell last (its consumer if it was full, its producer
//!   if poisoned) adds one to the segment's `drained`. The one who completes the
//!   count resets the segment and gives it back: nobody else can be inside.
//! * contest (producer that found no room, and nothing published): asks consumers to
//!   poison the head cell all the same.
//! * reserve and what follows from it (a producer's places for later): see [`reserve`].
//! * close: sets the bit in `tail`. No claim to write succeeds after it, and
//!   consumers poison what is not published, so draining waits for nobody.
//!
//! **Look before you claim.** A consumer never claims an unpublished cell unless a
//! published one lies behind it. Else a consumer and a producer could poison and
//! retry for ever; and if nothing at all is published, "empty" is the right answer.
//! The exceptions are the closed queue, where nobody retries, and the contested cell:
//! for each of these a push has ended with "full".
//!
//! **Invariants.**
//!
//! 1. `head <= tail`. A position below `tail` was claimed by one producer, a
//!    position below `head` by one consumer.
//! 2. If `tail == p` (or `head == p`) at the moment of a compare-and-swap, it has
//!    been so since the caller read p, for positions never repeat. So the
//!    directory entry with the right tag that was read in between is the live one,
//!    and its segment cannot be recycled: position p is not yet counted.
//! 3. A cell is read or written only by its producer until its bit is set, and
//!    after that only by the claiming consumer, if the producer was first. If the
//!    consumer was first, what the producer wrote there is read by nobody: it was a
//!    copy, and the item is the producer's.
//! 4. Every position of a segment is counted once. A reset segment has no visitor.
//!
//! | edge       | release side                     | acquire side                      | carries                     | loom model                      |
//! |------------|----------------------------------|-----------------------------------|-----------------------------|---------------------------------|
//! | `cell`     | [`Injector::publish`], `decided` | [`Injector::pop`], `decided`      | the item                    | `consumer_sees_the_item`        |
//! | `drained`  | [`Injector::count`], `drained`   | [`Injector::count`], `drained`    | all visits of the segment   | `recycled_segment_is_clean`     |
//! | `clean`    | [`Injector::count`], `decided`   | every look at `decided`           | that the head has moved on  | `look_that_was_overtaken_is_no_answer`, `look_behind_that_was_overtaken_is_no_answer` |
//! | `install`  | [`Injector::install`], directory | every look at the directory       | the clean segment           | `segment_made_by_another`       |
//! | `head`     | every claim to read, `head`      | [`Injector::head`], [`Injector::pop`]              | what the claimant wrote before | `announcement_is_seen_with_the_head`, `owner_leaves_after_the_last_job` |
//! | `contested` | [`Injector::contest`], then a light barrier | [`Injector::has_published`], after a heavy one | that the head is to be passed over | `contested_place_is_passed_over` |
//! | `tail`     | every claim to write, `tail`     | [`Injector::len`], `tail`         | what the claimant wrote before | `spilled_results_keep_order` |
//! | `closed`   | [`Injector::close`], `tail`      | [`Injector::is_closed`], `tail`   | what the closer did before  | `close_carries_what_was_before` |
//!
//! The design is this crate's own. Its parts follow known ones: positions by
//! compare-and-swap on two ends (M. Michael and M. Scott, 1996), cells that either
//! side may settle first (poisoning, as in A. Morrison and Y. Afek's LCRQ, 2013,
//! and C. Yang and J. Mellor-Crummey's wait-free queue, 2016), and recycling by an
//! exact count of visits.

mod directory;
mod reserve;
mod segments;

pub(crate) use reserve::Reserve;

use crate::probe::probe;
use crate::sync::{AtomicU64, Ordering, spin_loop};
use crate::words::words;
use crate::{pace, prefetch};
use crossbeam_utils::CachePadded;
use directory::{ENTRIES_UNBOUNDED, MAX_ENTRIES, age, id_of, tag_of};
use segments::{
    GROUP, Group, ID_BITS, MOST_GROUPS, RESERVED, Segments, VOID, bits, ones, take, write,
};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;

const CLOSED: u64 = 1;
/// Looks at an unpublished cell before it is poisoned: a producer that merely
/// has not finished its two stores is spared a second round.
const PATIENCE: usize = if cfg!(workcrew_loom) { 0 } else { 64 };

/// A multi-producer, multi-consumer queue. See the module's page.
pub(crate) struct Injector<T> {
    /// `position << 1 | CLOSED`: where the next item enters.
    tail: CachePadded<AtomicU64>,
    /// Where the next item leaves.
    head: CachePadded<AtomicU64>,
    /// The last position that a refused producer asked to be passed over, plus one.
    contested: AtomicU64,
    reserves: reserve::Reserves,
    directory: Box<[AtomicU64]>,
    segments: Segments<T>,
}

// SAFETY: an item is written by one thread and read by one other (invariant 3),
// hence `T: Send`; the queue never lends an item to two threads.
unsafe impl<T: Send> Send for Injector<T> {}
// SAFETY: as above; a shared queue hands out items by value only.
unsafe impl<T: Send> Sync for Injector<T> {}

/// Why an item was not accepted. It comes back.
#[derive(Debug)]
pub(crate) enum Rejected<T> {
    /// The room test said no, and it was right at one moment during the call.
    Full(T),
    /// The queue was closed.
    Closed(T),
}

impl<T> Rejected<T> {
    /// The same of what the item was made of.
    #[inline]
    pub(crate) fn map<U>(self, unwrap: impl FnOnce(T) -> U) -> Rejected<U> {
        match self {
            Self::Full(item) => Rejected::Full(unwrap(item)),
            Self::Closed(item) => Rejected::Closed(unwrap(item)),
        }
    }
}

/// What came of [`Injector::pop`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
pub(crate) struct Popped {
    /// How many items went to the sink. None means that at one moment during the
    /// call no published item was waiting.
    pub(crate) taken: usize,
    /// How many claimed positions turned out to hold nothing: their producers were
    /// overtaken and will come again.
    pub(crate) skipped: usize,
}

impl Rejected<()> {
    /// Of this item, which is the producer's still.
    #[inline]
    fn of<T>(self, item: ManuallyDrop<T>) -> Rejected<T> {
        self.map(|()| ManuallyDrop::into_inner(item))
    }
}

enum Look {
    /// So many published cells from the head on, in this segment.
    Published(usize, u32),
    /// The position is not the head any more.
    Stale,
    /// The head cell is not published (or not even claimed).
    Unpublished,
}

impl<T> Injector<T> {
    /// A queue for at most `capacity` waiting items; the caller's room tests keep it.
    pub(crate) fn bounded(capacity: usize) -> Self {
        // Two segments more than full ones: the first and the last may be partly
        // used.
        let entries = (capacity / Self::SEGMENT + 3).next_power_of_two();
        Self::at(entries.min(MAX_ENTRIES), 0)
    }

    /// A queue without a bound of its own: it is full only with 3.6 million items or more.
    pub(crate) fn unbounded() -> Self {
        let entries = ENTRIES_UNBOUNDED * MOST_GROUPS / Segments::<T>::GROUPS;
        Self::at(entries.next_power_of_two(), 0)
    }

    /// A queue with so many directory entries whose first position is `start`.
    pub(crate) fn at(entries: usize, start: u64) -> Self {
        debug_assert!(entries.is_power_of_two());
        // Older than any tag that will be asked for.
        let never = tag_of(start / Self::SEGMENT as u64).wrapping_sub(1) << ID_BITS;
        Self {
            tail: CachePadded::new(AtomicU64::new(start << 1)),
            head: CachePadded::new(AtomicU64::new(start)),
            contested: AtomicU64::new(0),
            reserves: reserve::Reserves::new(start),
            directory: words(entries, never),
            segments: Segments::new(),
        }
    }

    /// Adds an item to a queue without a bound of its own; returns its position.
    ///
    /// # Errors
    ///
    /// Hands the item back if the queue is full all the same, or closed.
    #[inline]
    pub(crate) fn add(&self, item: T) -> Result<u64, T> {
        self.push(item, |_| true)
            .map_err(|rejected| match rejected {
                Rejected::Full(item) | Rejected::Closed(item) => item,
            })
    }

    /// Adds an item; returns its position.
    ///
    /// `admits(p)` is asked whether position p may be used at all; it must not say
    /// no for ever while the queue empties. Lock-free: a retry means that another
    /// thread's claim succeeded, or that a consumer took an item behind ours.
    ///
    /// # Errors
    ///
    /// Hands the item back when there is no room or the queue is closed.
    pub(crate) fn push(
        &self,
        item: T,
        mut admits: impl FnMut(u64) -> bool,
    ) -> Result<u64, Rejected<T>> {
        let item = ManuallyDrop::new(item);
        loop {
            let (position, segment, _) =
                match self.claim(1, |position, _| usize::from(admits(position))) {
                    Ok(claim) => claim,
                    Err(rejected) => return Err(rejected.of(item)),
                };
            probe!("injector push: claimed, not written");
            if self.publish(segment, position, &item, 0) {
                probe!("injector push: published");
                return Ok(position);
            }
            spin_loop();
        }
    }

    /// Adds as many of `items` as there is room for, from the front and in order,
    /// taking them out of their `Option`s. Returns how many went in.
    ///
    /// `admits(p, n)` says how many of the n positions from p on may be used. One
    /// compare-and-swap for up to a segment's positions. Lock-free like [`Self::push`].
    ///
    /// # Errors
    ///
    /// `Full` and `Closed` carry how many went in before; the others stay where
    /// they are.
    pub(crate) fn push_batch(
        &self,
        items: &mut [Option<T>],
        mut admits: impl FnMut(u64, usize) -> usize,
    ) -> Result<usize, Rejected<usize>> {
        let mut done = 0;
        while done < items.len() {
            let (position, segment, count) = match self.claim(items.len() - done, &mut admits) {
                Ok(claim) => claim,
                Err(Rejected::Full(())) => return Err(Rejected::Full(done)),
                Err(Rejected::Closed(())) => return Err(Rejected::Closed(done)),
            };
            probe!("injector push_batch: claimed, not written");
            let all = items.len() - done;
            done += self.publish_run(segment, position, count, &mut items[done..]);
            if count < all.min(Self::left_in_segment(position)) {
                return Err(Rejected::Full(done));
            }
        }
        Ok(done)
    }

    /// Closes the queue to producers. Idempotent. This is the one moment that
    /// separates accepted from rejected.
    pub(crate) fn close(&self) {
        // [closed] Release: what the closer did before is seen by those who find it so.
        self.tail.fetch_or(CLOSED, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        // [closed] Acquire: as in `claim`.
        self.tail.load(Ordering::Acquire) & CLOSED != 0
    }

    /// For a producer that was refused a place. If the queue holds nothing but
    /// positions whose producers have not published, consumers are asked to pass the
    /// oldest one over. Returns whether that is so; then the caller tells a consumer.
    ///
    /// Else a producer that was suspended would keep its places for ever, and where
    /// these are all there are, keep everybody out.
    #[cold]
    pub(crate) fn contest(&self) -> bool {
        let head = self.head();
        let tail = self.tail();
        if tail == head
            || !matches!(self.look(head, 1), Look::Unpublished)
            // Hint: spares the place that a consumer will pass over by itself.
            || self.published_behind(head, tail)
        {
            return false;
        }
        probe!("injector contest: looked, not asked");
        // [contested] Relaxed: the caller's light barrier orders it. The largest: a
        // late producer must not take back what another asked for.
        self.contested.fetch_max(head + 1, Ordering::Relaxed);
        probe!("injector contest: asked, crew not told");
        true
    }

    /// Whether a producer asked for this head to be passed over.
    fn is_contested(&self, head: u64) -> bool {
        // [contested] Relaxed: a sleeper asks after its heavy barrier; to others an
        // old answer means another look.
        self.contested.load(Ordering::Relaxed) == head + 1
    }

    /// Where the next item leaves: everything below was claimed by consumers.
    pub(crate) fn head(&self) -> u64 {
        // [head] Acquire: what the claimants wrote before their claims is seen.
        self.head.load(Ordering::Acquire)
    }

    /// Where the next item enters: everything below was claimed by producers.
    pub(crate) fn tail(&self) -> u64 {
        // [tail] Acquire: what the claimants wrote before their claims is seen.
        self.tail.load(Ordering::Acquire) >> 1
    }

    /// How many positions are claimed by producers and not yet by consumers.
    pub(crate) fn len(&self) -> usize {
        // Head first: the tail read later is not behind it.
        let head = self.head();
        probe!("injector len: head read, tail not");
        self.tail().wrapping_sub(head) as usize
    }

    /// Whether a published item waits, or a position that consumers shall pass over:
    /// once closed, any; else a contested one.
    ///
    /// This is "is there work?" for a thread about to sleep: a position that is
    /// claimed but not published is none, for its producer will look for sleepers
    /// after it has published.
    pub(crate) fn has_published(&self) -> bool {
        let mut head = self.head();
        loop {
            // Relaxed: a sleeper asks after its heavy barrier, to others an old answer
            // means another look. A tail behind the head shows nothing published.
            let tail = self.tail.load(Ordering::Relaxed);
            if tail >> 1 == head {
                return false;
            }
            match self.look(head, 1) {
                Look::Published(..) => return true,
                // [contested] nobody else may come to pass it over.
                Look::Unpublished if tail & CLOSED != 0 || self.is_contested(head) => return true,
                Look::Unpublished if self.published_behind(head, tail >> 1) => return true,
                Look::Unpublished | Look::Stale => {}
            }
            let now = self.head();
            if now == head {
                return false;
            }
            head = now;
        }
    }

    /// Takes the oldest item.
    #[inline]
    pub(crate) fn pop_one(&self) -> Option<T> {
        let mut oldest = None;
        let _ = self.pop(1, |_| {}, |_, item| oldest = Some(item));
        oldest
    }

    /// Takes up to `most` items, oldest first, with their positions.
    ///
    /// `announce(n)` is called before each attempt to claim n positions, and with 0 after
    /// one that brought nothing. The sink should not panic: what it has not been given by
    /// then leaks. Lock-free: a retry means that another consumer's claim succeeded.
    pub(crate) fn pop(
        &self,
        most: usize,
        mut announce: impl FnMut(usize),
        mut sink: impl FnMut(u64, T),
    ) -> Popped {
        let mut popped = Popped::default();
        let mut patience = PATIENCE;
        // [head] Acquire, here and where a claim fails: who finds that another took the oldest
        // item sees what that one saw, and so what was pushed behind it. (The tickets of a
        // scope rely on it: each finds a job, or the owner has run one.)
        let mut head = self.head.load(Ordering::Acquire);
        probe!("injector pop: head read, not looked");
        if most == 0 {
            return popped;
        }
        loop {
            let (run, id) = match self.look(head, most) {
                Look::Published(run, id) => (run, id),
                Look::Stale => {
                    // Relaxed: what has replaced the segment has brought the head.
                    head = self.head.load(Ordering::Relaxed);
                    continue;
                }
                Look::Unpublished => {
                    let Some((run, id, hopeless)) = self.worth_poisoning(head, most) else {
                        // Nothing published at or behind `head`, which is right
                        // only if `head` was still the head after that look. Relaxed: if what
                        // was there has been taken and cleared, [clean] has brought the head.
                        let now = self.head.load(Ordering::Relaxed);
                        if now == head {
                            return popped;
                        }
                        head = now;
                        continue;
                    };
                    if patience > 0 && !hopeless {
                        patience -= 1;
                        spin_loop();
                        continue;
                    }
                    announce(run);
                    match self.claim_to_read(head, run) {
                        Ok(()) => {
                            let (taken, skipped) = self.settle(id, head, run, &mut sink);
                            popped.skipped += skipped;
                            if taken > 0 {
                                popped.taken = taken;
                                return popped;
                            }
                            announce(0);
                            head += run as u64;
                        }
                        Err(now) => head = now,
                    }
                    continue;
                }
            };
            announce(run);
            match self.claim_to_read(head, run) {
                Ok(()) => {
                    probe!("injector pop: claimed, not read");
                    self.read(id, head, run, &mut sink);
                    popped.taken = run;
                    return popped;
                }
                Err(now) => {
                    probe!("injector pop: lost the race");
                    head = now;
                }
            }
        }
    }

    /// Segments in use, for tests of recycling.
    #[cfg(test)]
    pub(crate) fn segments_in_use(&self) -> usize {
        self.segments.in_use()
    }
}

/// The producer's half.
impl<T> Injector<T> {
    /// Claims up to `want` positions of one segment for the caller to write.
    #[inline]
    fn claim(
        &self,
        want: usize,
        mut admits: impl FnMut(u64, usize) -> usize,
    ) -> Result<(u64, u32, usize), Rejected<()>> {
        let mut lost = false;
        loop {
            // [closed] Acquire: closed means that the closer's writes are seen; and the
            // room test reads a head that is not ahead of this tail by more than
            // what happened since.
            let tail = self.tail.load(Ordering::Acquire);
            if tail & CLOSED != 0 {
                return Err(Rejected::Closed(()));
            }
            let position = tail >> 1;
            let count = admits(position, want.min(Self::left_in_segment(position)));
            let segment = if count == 0 {
                None
            } else {
                self.segment_for_tail(position)
            };
            let Some(segment) = segment else {
                // Full, or the tail is old. It is full if the tail has not moved:
                // then that was right at the moment when it was found.
                if self.tail.load(Ordering::Relaxed) == tail {
                    return Err(Rejected::Full(()));
                }
                spin_loop();
                continue;
            };
            probe!("injector push: looked, not claimed");
            // [tail] Release: what we wrote before, to another queue perhaps, is seen by
            // who sees that this one is longer. Relaxed failure: we start afresh.
            if self
                .tail
                .compare_exchange_weak(
                    tail,
                    tail + ((count as u64) << 1),
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                return Ok((position, segment, count));
            }
            lost = pace::stand_back(lost);
        }
    }

    /// The segment where `position` lives, installed if need be. `None` if there
    /// is no room for another segment, or the position is not the tail any more.
    #[inline]
    fn segment_for_tail(&self, position: u64) -> Option<u32> {
        let number = position / Self::SEGMENT as u64;
        // [install] Acquire: the segment is clean before it is ours to use.
        let entry = self.entry(number).load(Ordering::Acquire);
        match age(entry, number) {
            0 => Some(id_of(entry)),
            age if age < 0 => self.install(position, number, entry),
            _ => None,
        }
    }

    #[cold]
    fn install(&self, position: u64, number: u64, old: u64) -> Option<u32> {
        // The entry's old segment must lie wholly below the head: those who look
        // for the head must find it in the directory. (Those who have claimed
        // positions below it know their segment.)
        let waiting = position.checked_sub(self.head())? as usize;
        if waiting + Self::SEGMENT > (self.directory.len() - 1) * Self::SEGMENT {
            return None;
        }
        let id = self.segments.take()?;
        probe!("injector push: segment taken, not installed");
        let new = tag_of(number) << ID_BITS | u64::from(id);
        // [install] Release: the clean segment comes before its number. Acquire on
        // failure: then another's segment is ours to use.
        match self
            .entry(number)
            .compare_exchange(old, new, Ordering::Release, Ordering::Acquire)
        {
            Ok(_) => Some(id),
            Err(now) => {
                probe!("injector push: another installed");
                self.segments.give(id);
                // Of another age by now? Then the claim will fail: the tail moved.
                Some(id_of(now))
            }
        }
    }

    /// Copies an item into a claimed cell and sets its bit, and with it those in `also`. Returns
    /// whose the item is now: the queue's, or the caller's still, if a consumer has poisoned the
    /// cell. (Else it is a call for some compilers, and `submit` takes a fifth more instructions.)
    #[inline(always)]
    fn publish(&self, id: u32, position: u64, item: &ManuallyDrop<T>, also: u32) -> bool {
        let groups = self.segments.groups(id);
        let (group, cell) = Self::place(position);
        if cell == 0 && group + 1 < Segments::<T>::GROUPS {
            prefetch::to_write(&groups[group + 1], 1);
        }
        let group = &groups[group];
        write(&group.cells[cell], item);
        probe!("injector push: written, not published");
        // [cell] Release: the item comes before its bit. If the consumer was first it
        // has nothing for us: it leaves the cell as it is, and nobody reads the copy there.
        if group.decided.fetch_or(1 << cell | also, Ordering::Release) & (1 << cell) == 0 {
            return true;
        }
        probe!("injector push: poisoned");
        self.count(id, 1);
        probe!("injector push: poisoned and counted, not claimed again");
        false
    }

    /// Writes and publishes a claimed run, group by group. Where a consumer has
    /// poisoned a cell, the next items move up, so that their order stays. Returns
    /// how many items went in.
    fn publish_run(&self, id: u32, from: u64, count: usize, items: &mut [Option<T>]) -> usize {
        let (group, mut cell) = Self::place(from);
        let groups = &self.segments.groups(id)[group..];
        let mut left = count;
        let (mut done, mut lost) = (0, 0);
        prefetch::to_write(groups.as_ptr(), (cell + count).div_ceil(GROUP));
        for Group { decided, cells } in groups {
            let in_group = (GROUP - cell).min(left);
            let mine = bits(cell, in_group);
            // Relaxed: a bit that we miss here fails the compare-and-swap.
            let mut seen = decided.load(Ordering::Relaxed);
            loop {
                let good = mine & !seen;
                let mut written = 0;
                for (item, offset) in items[done..].iter().zip(ones(good)) {
                    let item = item.as_ref().expect("it has not gone in yet");
                    write(&cells[offset], item);
                    written += 1;
                }
                probe!("injector push_batch: written, not published");
                // [cell] Release: as in `publish`. Relaxed failure: only bits are used.
                match decided.compare_exchange(
                    seen,
                    seen | good,
                    Ordering::Release,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        probe!("injector push_batch: group published");
                        for item in &mut items[done..done + written] {
                            // Not even moved: a box says that nobody else has what is in it.
                            // SAFETY: a place that is lent to us; what was there is the queue's.
                            unsafe { ptr::from_mut(item).write(None) };
                        }
                        done += written;
                        lost += in_group - written;
                        break;
                    }
                    Err(now) => {
                        // They may have to move up.
                        probe!("injector push_batch: group changed");
                        seen = now;
                    }
                }
            }
            left -= in_group;
            if left == 0 {
                break;
            }
            cell = 0;
        }
        debug_assert_eq!(left, 0, "a claim ends with its segment");
        self.count(id, lost as u32);
        done
    }
}

/// The consumer's half.
impl<T> Injector<T> {
    /// Looks for published cells from `head` on, in one segment.
    #[inline]
    fn look(&self, head: u64, most: usize) -> Look {
        let number = head / Self::SEGMENT as u64;
        // [install] Acquire: a clean segment, so old bits are not taken for new.
        let entry = self.entry(number).load(Ordering::Acquire);
        match age(entry, number) {
            0 => {}
            age if age < 0 => return Look::Unpublished,
            _ => return Look::Stale,
        }
        let groups = self.segments.groups(id_of(entry));
        let (mut group, mut cell) = Self::place(head);
        let mut run = 0;
        while run < most && group < Segments::<T>::GROUPS {
            // [cell] Acquire: a set bit brings the item. [clean] A clear one may bring the head.
            let decided = groups[group].decided.load(Ordering::Acquire);
            let ahead = ((decided >> cell).trailing_ones() as usize).min(GROUP - cell);
            run += ahead;
            if ahead < GROUP - cell {
                break;
            }
            (group, cell) = (group + 1, 0);
        }
        if run == 0 {
            Look::Unpublished
        } else {
            Look::Published(run.min(most), id_of(entry))
        }
    }

    /// How many positions from the unpublished `head` on are to be poisoned, if any,
    /// their segment, and whether nobody will publish the first.
    #[cold]
    fn worth_poisoning(&self, head: u64, most: usize) -> Option<(usize, u32, bool)> {
        // [tail] Acquire: brings the segments of all claimed positions.
        let tail = self.tail.load(Ordering::Acquire);
        let (closed, tail) = (tail & CLOSED != 0, tail >> 1);
        let claimed = tail.saturating_sub(head) as usize;
        if claimed == 0 || !(closed || self.is_contested(head) || self.published_behind(head, tail))
        {
            return None;
        }
        let number = head / Self::SEGMENT as u64;
        // Relaxed: the tail has brought it, with the clean segment.
        let entry = self.entry(number).load(Ordering::Relaxed);
        probe!("injector pop: worth poisoning, segment not looked at");
        if age(entry, number) != 0 {
            // Claimed positions have a segment, so the head has moved on: the
            // caller will find out.
            return None;
        }
        let (group, cell) = Self::place(head);
        let in_group = (GROUP - cell).min(claimed).min(most);
        // Relaxed: `settle` brings the items.
        let decided = self.segments.groups(id_of(entry))[group]
            .decided
            .load(Ordering::Relaxed);
        let first_full = (decided >> cell).trailing_zeros() as usize;
        let hopeless = decided & bits(VOID + cell, 1) != 0;
        Some(((first_full + 1).min(in_group), id_of(entry), hopeless))
    }

    /// Whether a published cell lies between `head` and `tail`.
    #[cold]
    fn published_behind(&self, head: u64, tail: u64) -> bool {
        let mut position = head;
        while position < tail {
            let number = position / Self::SEGMENT as u64;
            // [install] Acquire: as in `look`.
            let entry = self.entry(number).load(Ordering::Acquire);
            let (group, cell) = Self::place(position);
            let in_group = (GROUP - cell).min((tail - position) as usize);
            if age(entry, number) == 0 {
                // [clean] Acquire: as in `look`.
                let decided = self.segments.groups(id_of(entry))[group]
                    .decided
                    .load(Ordering::Acquire);
                if decided & bits(cell, in_group) != 0 {
                    return true;
                }
            }
            position += in_group as u64;
        }
        false
    }

    #[inline]
    fn claim_to_read(&self, head: u64, count: usize) -> Result<(), u64> {
        probe!("injector pop: looked, not claimed");
        // [head] Release: whoever sees the new head sees what we wrote before
        // (our announcement), and a tail not behind it. Acquire on failure: as in `pop`.
        self.head
            .compare_exchange(
                head,
                head + count as u64,
                Ordering::Release,
                Ordering::Acquire,
            )
            .map(drop)
    }

    /// Reads a claimed run of published cells of one segment.
    #[inline]
    fn read(&self, id: u32, from: u64, count: usize, sink: &mut impl FnMut(u64, T)) {
        let groups = self.segments.groups(id);
        let (mut group, mut cell) = Self::place(from);
        let (mut position, end) = (from, from + count as u64);
        if end % Self::SEGMENT as u64 == 0 {
            self.prefetch_next(end / Self::SEGMENT as u64);
        }
        while position < end {
            let in_group = (GROUP - cell).min((end - position) as usize);
            for cell in &groups[group].cells[cell..cell + in_group] {
                // SAFETY: published, claimed by us, and visited once (invariant 3).
                let item = unsafe { take(cell) };
                sink(position, item);
                position += 1;
            }
            (group, cell) = (group + 1, 0);
        }
        probe!("injector pop: read, not counted");
        self.count(id, count as u32);
    }

    /// Asks for a segment's cells, which will be read next, if producers have left it already.
    #[inline]
    fn prefetch_next(&self, number: u64) {
        // Relaxed, both: hints.
        let entry = self.entry(number).load(Ordering::Relaxed);
        let after = self.entry(number + 1).load(Ordering::Relaxed);
        if age(entry, number) == 0 && age(after, number + 1) == 0 {
            prefetch::to_read(self.segments.address(id_of(entry)), Segments::<T>::GROUPS);
        }
    }

    /// Settles a claimed run of cells in one group of which some are unpublished:
    /// reads the full ones, leaves the others to their producers.
    #[cold]
    fn settle(
        &self,
        id: u32,
        from: u64,
        count: usize,
        sink: &mut impl FnMut(u64, T),
    ) -> (usize, usize) {
        let groups = self.segments.groups(id);
        let (group, cell) = Self::place(from);
        let mine = bits(cell, count);
        probe!("injector pop: claimed, not poisoned");
        // [cell] Acquire: bits that are set bring their items. A poisoned cell brings
        // nothing and takes nothing. [left] Acquire: who left a void cell is done with it.
        let seen = groups[group].decided.fetch_or(mine, Ordering::Acquire);
        probe!("injector pop: poisoned");
        let full = seen & mine;
        let left = seen >> VOID & !(seen >> RESERVED) & mine;
        let taken = full.count_ones() as usize;
        for offset in ones(full) {
            // SAFETY: the producer was first, so the cell is ours (invariant 3).
            let item = unsafe { take(&groups[group].cells[offset]) };
            sink(from + (offset - cell) as u64, item);
        }
        self.count(id, taken as u32 + left.count_ones());
        (taken, count - taken)
    }
}

/// Both halves.
impl<T> Injector<T> {
    /// Positions in a segment.
    const SEGMENT: usize = Segments::<T>::POSITIONS;

    /// Group and cell of a position in its segment.
    #[inline]
    fn place(position: u64) -> (usize, usize) {
        let offset = (position % Self::SEGMENT as u64) as usize;
        (offset / GROUP, offset % GROUP)
    }

    /// How many positions of its segment lie at and behind this one.
    fn left_in_segment(position: u64) -> usize {
        Self::SEGMENT - (position % Self::SEGMENT as u64) as usize
    }

    #[inline]
    fn entry(&self, number: u64) -> &AtomicU64 {
        &self.directory[number as usize & (self.directory.len() - 1)]
    }

    /// Counts positions that nobody will touch any more; the last one recycles.
    #[inline]
    fn count(&self, id: u32, positions: u32) {
        if positions == 0 {
            return;
        }
        let header = self.segments.header(id);
        // [drained] Release: our visit is over. Acquire: so are all the others, if
        // we are the last.
        let before = header.drained.fetch_add(positions, Ordering::AcqRel);
        if before + positions == Self::SEGMENT as u32 {
            probe!("injector: last visitor, not recycled");
            for group in self.segments.groups(id) {
                // [clean] Release: who still looks here for an older position shall see that
                // the head has left it behind. Its next users learn of it by [install].
                group.decided.store(0, Ordering::Release);
            }
            header.drained.store(0, Ordering::Relaxed);
            probe!("injector: segment clean, not given back");
            self.segments.give(id);
        }
    }
}

impl<T> Drop for Injector<T> {
    fn drop(&mut self) {
        // No producer is left: a place that is claimed and not published holds no item.
        while self.pop(Self::SEGMENT, |_| {}, |_, item| drop(item)) != Popped::default() {}
    }
}

impl<T> fmt::Debug for Injector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector")
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, workcrew_loom))]
impl<T> Injector<T> {
    /// Plays a producer that claims a place and is then suspended for ever.
    pub(crate) fn claim_and_leave(&self) {
        assert!(self.claim(1, |_, want| want).is_ok());
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/injector.rs"]
mod tests;
