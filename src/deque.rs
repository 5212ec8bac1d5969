//! One worker's bounded ring: its owner pushes and pops, anybody steals.
//!
//! **Promise.** First in, first out. Every item that was pushed leaves exactly
//! once, by [`Local::pop`] or a [`Claim`], or is dropped with the ring. A thread
//! suspended inside keeps what it had claimed (for a thief up to half of the ring)
//! and, until it goes on, the slots from that claim on; nobody else waits for it.
//! `push` is wait-free, `pop` and `steal` are lock-free.
//!
//! **Layout.** `tail` is the position where the next item enters, written by the
//! owner alone. `head` is the position where the next item leaves, moved by
//! compare-and-swap by the owner and the thieves alike. Position p lives in slot
//! `p % slots`. Both only grow (they may wrap, `head` at 2^62: only differences count).
//! Beside each slot stands a *mark*: the end of the last claim that began there and
//! is over. The owner keeps `reclaimed` to itself: all claims below are over. While `head` is
//! *biased* towards the owner, `first` stands in for it, written by the owner alone.
//!
//! **Transitions.**
//!
//! * push (owner): if `tail < reclaimed + slots`, write the slot, then `tail + 1`.
//! * claim (owner or thief): `head -> head + n`, for n items before `tail`. From
//!   then on these n slots are the claimant's alone: it reads each, and when it has
//!   read all, it writes the mark of the first: one store, however many they are.
//!   (The owner remembers its own claims as long as they follow each other, and
//!   writes one mark for a run of them.)
//! * reclaim (owner, out of room): goes from claim to claim by their marks.
//! * bias (owner): `first = head`, and `head` is biased, if it has moved since the last bias
//!   began.
//! * pop (owner, biased): `first + 1`, a light barrier, and a look: if `head` still is biased,
//!   the owner has claimed one item, without a read-modify-write. Else see below.
//! * end of a bias (thief): `head` is *revoked*; a heavy barrier; `first` is read, and `head` is
//!   shared from there on. A thief that finds it revoked does the rest of that. (The owner
//!   makes it shared at its own `first` at once.)
//!
//! Claim, then read: nothing is read before it is owned, so there is nothing to
//! tear, nothing to undo, and loom and Miri see plain exclusive access.
//!
//! **The end of a bias.** The owner pops p: it stores `first = p + 1`, and then finds the bias
//! revoked. By the barriers' proof each thief that saw the bias revoked, whoever did that, and
//! passed its heavy barrier has read p + 1, or else the owner's look, which comes later, sees the
//! revocation. So only this one pop is ever in doubt: whoever ends the bias ends it at
//! p + 1 (p is the owner's) or at p (it is not). The first compare-and-swap on the revoked `head`
//! decides, and is the only one to succeed, for no two biases begin at the same position.
//! `head` goes on from there, but its lowest bit keeps whether the end was even or odd, so the
//! owner learns it however late it looks. (Should the kernel refuse the barrier later on, see
//! [`barrier::try_heavy`], only the owner ends a bias: until then nobody steals from it.)
//!
//! **Invariants.** (While it is not shared, `head` is where the bias would end: at `first`, or
//! one before it while the owner is in doubt. So it is `first` that goes back by one then.)
//!
//! 1. `reclaimed <= head <= tail <= reclaimed + slots`.
//! 2. The positions `head..tail` are full, and belong to nobody.
//! 3. A position below `head` belongs to the one who moved `head` over it (in a bias: the owner),
//!    until its claim is over.
//! 4. A position at or above `tail` and below `reclaimed + slots` has an empty slot,
//!    and is the owner's.
//! 5. A mark m that was read at position p tells of p's claim if `p < m <= p + slots`,
//!    and else of an earlier lap's, which ended at or before p.
//!
//! | edge   | release side                   | acquire side                 | carries                         | loom model                    |
//! |--------|--------------------------------|------------------------------|---------------------------------|-------------------------------|
//! | `item` | [`Local::publish`], `tail`     | [`Stealer::claim`], `tail`   | the items written before        | `thief_sees_the_item`         |
//! | `lap`  | [`Claim`]'s drop, the mark     | [`Local::reclaim`], the mark | that the claimant has read      | `push_reuses_a_stolen_slot`   |
//! | `gone` | every claim and end of a bias, `head` | [`Stealer::claim`], `Ring::ends`, `head` | a `tail` no older than the head | `second_thief_is_not_too_late` |
//! | `gone` | [`Local::pop`], [`Local::bias`], `first` | [`Stealer::end_bias`], `Ring::ends`, `first` | the same | `length_is_never_negative_after_a_bias`, `length_is_never_negative_after_two` |
//! | `bias` | [`Local::pop`], barrier        | [`Stealer::end_bias`], barrier | where the owner stopped       | `thief_ends_a_bias`, `two_thieves_end_a_bias`, `thief_of_an_earlier_bias` |
//!
//! The ring without reclamation of memory follows D. Vyukov's bounded queue (2010);
//! claims of several items by one compare-and-swap follow the fixed-size run queue of
//! Go and tokio. Marks of whole claims instead of lap numbers in the slots are this
//! crate's own, and so is the bias of a queue, after that of locks (K. Kawachiya, A. Koseki,
//! T. Onodera, *Lock reservation*, 2002).

mod head;

use self::head::Head;
use crate::prefetch;
use crate::probe::probe;
use crate::sync::{Arc, AtomicU64, Ordering, UnsafeCell, barrier};
use crate::words::words;
use crossbeam_utils::CachePadded;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;

/// Only [`Local`], [`Stealer`] and [`Claim`] see its inside.
pub(crate) struct Ring<T> {
    head: CachePadded<AtomicU64>,
    owners: CachePadded<Owners>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    marks: Box<[AtomicU64]>,
}

/// What only the owner writes.
struct Owners {
    tail: AtomicU64,
    /// The head, while that is not shared.
    first: AtomicU64,
}

// SAFETY: an item is written by the owner, read by one claimant, which may be
// another thread (hence `T: Send`), and never lent to two: invariants 3 and 4.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above; a shared ring hands out items by value only.
unsafe impl<T: Send> Sync for Ring<T> {}

/// The owner's end. Not `Clone`, and `&mut self` everywhere: one thread at a time.
pub(crate) struct Local<T> {
    ring: Arc<Ring<T>>,
    /// The owner's own copy of `tail`, not yet published items included.
    next: u64,
    /// `reclaimed + slots`: where the owner may not write yet.
    limit: u64,
    /// The owner's own claims since the last mark that it wrote, if they follow each
    /// other: from, to.
    popped: (u64, u64),
    /// Whether `head` was biased when we looked last, and the owner's own copy of `first`.
    biased: bool,
    first: u64,
    /// Where the last bias began.
    bias_began: Head,
}

/// An end for everybody else.
pub(crate) struct Stealer<T> {
    ring: Arc<Ring<T>>,
}

/// What came of [`Stealer::steal`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Steal<C = usize> {
    /// Nothing was there.
    Empty,
    /// Somebody else was faster; there may be more.
    Retry,
    /// So many items went to the sink, at least one; or they are in this claim.
    Taken(C),
}

/// Makes a ring for `capacity` items (rounded up to a power of two).
///
/// Memory: `capacity` times the size of `T` plus 8 bytes.
pub(crate) fn ring<T>(capacity: usize) -> (Local<T>, Stealer<T>) {
    ring_at(capacity, 0)
}

/// As [`ring`], with the first item at position `start`.
pub(crate) fn ring_at<T>(capacity: usize, start: u64) -> (Local<T>, Stealer<T>) {
    let capacity = capacity.next_power_of_two();
    let slot = |_| UnsafeCell::new(MaybeUninit::uninit());
    let ring = Arc::new(Ring {
        head: CachePadded::new(AtomicU64::new(Head::shared(start).0)),
        owners: CachePadded::new(Owners {
            tail: AtomicU64::new(start),
            first: AtomicU64::new(start),
        }),
        slots: (0..capacity).map(slot).collect(),
        // No claim ends where the ring begins (invariant 5).
        marks: words(capacity, start),
    });
    let local = Local {
        ring: Arc::clone(&ring),
        next: start,
        limit: start.wrapping_add(capacity as u64),
        popped: (start, start),
        biased: false,
        first: start,
        // None has begun.
        bias_began: Head::shared(start),
    };
    (local, Stealer { ring })
}

/// The slot of a position, among so many as a ring has.
#[inline]
fn slot<T>(slots: &[UnsafeCell<T>], position: u64) -> &UnsafeCell<T> {
    debug_assert!(slots.len().is_power_of_two());
    let slot = position as usize & (slots.len() - 1);
    // SAFETY: the number of slots is a power of two, so the mask keeps the index
    // below it.
    unsafe { slots.get_unchecked(slot) }
}

impl<T> Ring<T> {
    #[inline]
    fn slot(&self, position: u64) -> &UnsafeCell<MaybeUninit<T>> {
        slot(&self.slots, position)
    }

    #[inline]
    fn mark(&self, position: u64) -> &AtomicU64 {
        &self.marks[position as usize & (self.marks.len() - 1)]
    }

    /// Moves one item out of a claimed position.
    ///
    /// # Safety
    ///
    /// * `position` is full and claimed by the caller (invariant 3), and this is
    ///   the caller's only `take` of it.
    #[inline]
    unsafe fn take(&self, position: u64) -> T {
        let item = self.slot(position).with(|item| {
            // SAFETY: the claim makes the slot ours (invariant 3).
            unsafe { item.read() }
        });
        // SAFETY: the item was written before `tail` passed the position, which the
        // claim proves (invariant 2).
        unsafe { item.assume_init() }
    }

    /// Head and tail.
    #[inline]
    fn ends(&self) -> (u64, u64) {
        // [gone] Acquire, both: head first, so that the tail is not behind it.
        let head = Head(self.head.load(Ordering::Acquire));
        let first = (!head.is_shared()).then(|| self.owners.first.load(Ordering::Acquire));
        // Relaxed: whoever wants the items claims them, and acquires them then.
        let tail = self.owners.tail.load(Ordering::Relaxed);
        let head = first.unwrap_or_else(|| tail.wrapping_sub(head.distance_to(tail)));
        (head, tail)
    }

    #[inline]
    fn len(&self) -> usize {
        let (head, tail) = self.ends();
        tail.wrapping_sub(head) as usize
    }
}

impl<T> Local<T> {
    /// How many items (at most `most`) can be pushed for certain.
    ///
    /// Only the owner fills slots, so the room stays until the owner uses it.
    #[inline]
    pub(crate) fn room(&mut self, most: usize) -> usize {
        let mut free = self.limit.wrapping_sub(self.next) as usize;
        if free < most {
            free = self.reclaim();
        }
        free.min(most)
    }

    /// Finds out which claims are over. Returns how many slots are free.
    #[cold]
    fn reclaim(&mut self) -> usize {
        let slots = self.ring.slots.len() as u64;
        let mut reclaimed = self.limit.wrapping_sub(slots);
        loop {
            let (from, to) = self.popped;
            let end = if reclaimed == from && from != to {
                self.popped.0 = to;
                to
            } else {
                // [lap] Acquire: the claimant has read before we write.
                self.ring.mark(reclaimed).load(Ordering::Acquire)
            };
            let claimed = end.wrapping_sub(reclaimed);
            if claimed == 0 || claimed > slots {
                break;
            }
            reclaimed = end;
        }
        self.limit = reclaimed.wrapping_add(slots);
        self.limit.wrapping_sub(self.next) as usize
    }

    /// Adds one item and publishes it. Wait-free.
    ///
    /// # Errors
    ///
    /// Hands the item back if the ring is full, or if a thief that claimed the
    /// slot's last item, or one before it, has not read it yet.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        self.stage(item)?;
        probe!("deque push: written, not published");
        self.publish();
        Ok(())
    }

    /// Adds one item that stays invisible until [`Local::publish`].
    ///
    /// # Errors
    ///
    /// As [`Local::push`].
    #[inline]
    pub(crate) fn stage(&mut self, item: T) -> Result<(), T> {
        if self.next == self.limit {
            self.reclaim();
        }
        self.staging().add(item)
    }

    /// For staging several items within the [`room`](Local::room) that was asked for.
    #[inline]
    pub(crate) fn staging(&mut self) -> Staging<'_, T> {
        Staging {
            slots: &self.ring.slots,
            next: self.next,
            limit: self.limit,
            staged: &mut self.next,
        }
    }

    /// Publishes everything that was staged, by one store.
    #[inline]
    pub(crate) fn publish(&mut self) {
        // [item] Release: the items are written before a thief may see them.
        self.ring.owners.tail.store(self.next, Ordering::Release);
    }

    /// Takes the oldest item. Lock-free: it retries only if a thief took one.
    // Always: a worker's hottest call, with one caller there.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<T> {
        debug_assert_eq!(
            self.next,
            self.ring.owners.tail.load(Ordering::Relaxed),
            "publish what was staged"
        );
        let position = if self.biased {
            self.claim_biased()
        } else {
            self.claim_shared()
        }?;
        probe!("deque pop: claimed");
        // Before we read: only we ask for room, and not before the item is out.
        self.note_popped(position);
        // SAFETY: this one position is claimed, and it was below `tail`.
        let item = Some(unsafe { self.ring.take(position) });
        probe!("deque pop: read, item in hand");
        item
    }

    #[inline]
    fn claim_shared(&mut self) -> Option<u64> {
        // Relaxed: a stale head fails the compare-and-swap below, and an owner
        // can read no head beyond its own tail (invariant 1).
        let mut head = Head(self.ring.head.load(Ordering::Relaxed));
        probe!("deque pop: head read, not claimed");
        loop {
            let distance = head.distance_to(self.next);
            if distance == 0 {
                return None;
            }
            // [gone] Release: a thief that sees this head also sees a tail that
            // lies not before it. The items are our own, so nothing to acquire.
            match self.ring.head.compare_exchange_weak(
                head.0,
                head.after(1).0,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(self.next.wrapping_sub(distance)),
                Err(seen) => {
                    probe!("deque pop: lost to a thief");
                    head = Head(seen);
                }
            }
        }
    }

    #[inline]
    fn claim_biased(&mut self) -> Option<u64> {
        let position = self.first;
        if position == self.next {
            return None;
        }
        self.first = position.wrapping_add(1);
        // [gone] Release: as in `claim_shared`.
        self.ring.owners.first.store(self.first, Ordering::Release);
        probe!("deque pop: announced, not claimed");
        // [bias] `first` is stored before the look.
        barrier::light();
        // Relaxed: the barrier orders it.
        let head = Head(self.ring.head.load(Ordering::Relaxed));
        if head.is_biased() || self.keeps(head, position) {
            Some(position)
        } else {
            self.claim_shared()
        }
    }

    /// The bias has been revoked. Whether it ended after this position.
    #[cold]
    fn keeps(&mut self, head: Head, position: u64) -> bool {
        self.biased = false;
        probe!("deque pop: bias revoked, not ended");
        let ended = if head.is_shared() {
            head
        } else {
            match self.end_bias_here(head) {
                Ok(()) => return true,
                Err(now) => now,
            }
        };
        !ended.ended_at(position)
    }

    /// Ends the bias at our own `first`, unless somebody else has ended it.
    fn end_bias_here(&self, head: Head) -> Result<(), Head> {
        let shared = Head::shared(self.first);
        // [gone] Release, as in `claim_shared`. Relaxed on failure: it only tells whose the item is.
        self.ring
            .head
            .compare_exchange(head.0, shared.0, Ordering::Release, Ordering::Relaxed)
            .map(drop)
            .map_err(Head)
    }

    /// From now on [`pop`](Self::pop) needs no read-modify-write, until a thief comes. Pays if many
    /// items are popped before that: the thief has to use a heavy barrier.
    /// (Where the kernel has refused that, nothing begins, and what had begun before ends.)
    #[inline]
    pub(crate) fn bias(&mut self) {
        if barrier::is_revoked() {
            self.share();
        } else if !self.biased {
            self.begin_bias();
        }
    }

    #[cold]
    fn begin_bias(&mut self) {
        // Relaxed: a stale head fails the compare-and-swap below.
        let head = Head(self.ring.head.load(Ordering::Relaxed));
        let biased = head.biased();
        if biased == self.bias_began {
            return;
        }
        let first = self.next.wrapping_sub(head.distance_to(self.next));
        // [gone] Release: who still believes in an earlier bias may read it, too.
        self.ring.owners.first.store(first, Ordering::Release);
        // [gone] Release: with the bias comes its `first`, and a tail not behind that.
        let begun =
            self.ring
                .head
                .compare_exchange(head.0, biased.0, Ordering::Release, Ordering::Relaxed);
        if begun.is_ok() {
            probe!("deque bias: begun");
            self.biased = true;
            self.first = first;
            self.bias_began = biased;
        }
    }

    /// Ends what [`bias`](Self::bias) began.
    #[inline]
    pub(crate) fn share(&mut self) {
        if self.biased {
            self.stop_bias();
        }
    }

    #[cold]
    fn stop_bias(&mut self) {
        self.biased = false;
        // All we claimed is announced, and others end the bias at the same place.
        let mut head = self.bias_began;
        while let Err(now) = self.end_bias_here(head) {
            if now.is_shared() {
                break;
            }
            head = now;
        }
    }

    /// Our own claim of one position is over.
    #[inline]
    fn note_popped(&mut self, position: u64) {
        let (from, to) = self.popped;
        if position != to {
            if from != to {
                // Relaxed: for ourselves.
                self.ring.mark(from).store(to, Ordering::Relaxed);
            }
            self.popped.0 = position;
        }
        self.popped.1 = position.wrapping_add(1);
    }

    /// The position where the next item enters.
    #[inline]
    pub(crate) fn tail(&self) -> u64 {
        self.next
    }

    /// How many items wait here.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }
}

/// Nobody need end the bias of an owner that is gone.
impl<T> Drop for Local<T> {
    fn drop(&mut self) {
        self.share();
    }
}

/// Items on their way into a ring. They are staged when this is dropped.
pub(crate) struct Staging<'a, T> {
    slots: &'a [UnsafeCell<MaybeUninit<T>>],
    next: u64,
    limit: u64,
    staged: &'a mut u64,
}

impl<T> Staging<'_, T> {
    /// Adds one item.
    ///
    /// # Errors
    ///
    /// Hands the item back if there is no room that is known of.
    #[inline]
    pub(crate) fn add(&mut self, item: T) -> Result<(), T> {
        if self.next == self.limit {
            return Err(item);
        }
        // SAFETY: the slot is empty and ours (invariant 4); the owner's end is lent to
        // us, which keeps other pushes out, and thieves stay below `tail`.
        slot(self.slots, self.next).with_mut(|slot| unsafe {
            slot.write(MaybeUninit::new(item));
        });
        let later = self.next.wrapping_add(const { prefetch::ahead::<T>() });
        prefetch::to_write(slot(self.slots, later), 1);
        self.next = self.next.wrapping_add(1);
        Ok(())
    }
}

impl<T> Drop for Staging<'_, T> {
    #[inline]
    fn drop(&mut self) {
        *self.staged = self.next;
    }
}

impl<T> Stealer<T> {
    /// Claims the older half of what is there, at least one and at most `most`,
    /// and hands it to `sink` from old to new. Lock-free, and never loops.
    pub(crate) fn steal(&self, most: usize, sink: impl FnMut(T)) -> Steal {
        self.read(|len| len.div_ceil(2).min(most), sink)
    }

    /// As [`Stealer::steal`], but claims all that is there, at most `most`.
    pub(crate) fn drain(&self, most: usize, sink: impl FnMut(T)) -> Steal {
        self.read(|len| len.min(most), sink)
    }

    fn read(&self, share: impl FnOnce(usize) -> usize, sink: impl FnMut(T)) -> Steal {
        self.claim(share).map(|range| {
            let count = range.len();
            range.of(&*self.ring).for_each(sink);
            count
        })
    }

    /// Claims `share(len)` of the `len` items that are there, to be read one by one.
    /// Lock-free, and never loops. Until the claim is dropped its slots stay taken.
    #[inline]
    pub(crate) fn take(&self, share: impl FnOnce(usize) -> usize) -> Steal<Claim<T>> {
        self.claim(share)
            .map(|range| range.of(Arc::clone(&self.ring)))
    }

    #[inline]
    fn claim(&self, share: impl FnOnce(usize) -> usize) -> Steal<Range> {
        let ring = &self.ring;
        // [gone] Acquire: with this head comes a tail that is not behind it.
        let mut head = Head(ring.head.load(Ordering::Acquire));
        if !head.is_shared() {
            match self.end_bias(head) {
                Steal::Taken(shared) => head = shared,
                Steal::Empty => return Steal::Empty,
                Steal::Retry => return Steal::Retry,
            }
        }
        probe!("deque steal: head read, tail not");
        // [item] Acquire: the items below this tail are written.
        let tail = ring.owners.tail.load(Ordering::Acquire);
        let len = head.distance_to(tail);
        // The head may be old by now, and then `len` is more than the ring holds:
        // the compare-and-swap fails.
        let count = share(len as usize);
        if count == 0 {
            return Steal::Empty;
        }
        probe!("deque steal: looked, not claimed");
        // [gone] Release, as in `pop`: passes on the tail that was acquired above.
        // The failure brings nothing that is used.
        if ring
            .head
            .compare_exchange(
                head.0,
                head.after(count).0,
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_err()
        {
            probe!("deque steal: lost the race");
            return Steal::Retry;
        }
        probe!("deque steal: claimed");
        let start = tail.wrapping_sub(len);
        let end = start.wrapping_add(count as u64);
        Steal::Taken(Range { start, end })
    }

    /// Makes a head shared that is not. Returns it.
    #[cold]
    fn end_bias(&self, head: Head) -> Steal<Head> {
        // Hint: spares a bias that is in nobody's way.
        if self.is_empty() {
            return Steal::Empty;
        }
        let ring = &self.ring;
        let revoked = head.revoked();
        if head.is_biased() {
            probe!("deque steal: bias seen, not revoked");
            // Relaxed, both: the barrier orders it.
            let told =
                ring.head
                    .compare_exchange(head.0, revoked.0, Ordering::Relaxed, Ordering::Relaxed);
            if told.is_err() {
                probe!("deque steal: lost the race for a bias");
                return Steal::Retry;
            }
        }
        probe!("deque steal: bias revoked, not ended");
        // [bias] the owner is told before we look where it is.
        if !barrier::try_heavy() {
            return Steal::Empty;
        }
        // [gone] Acquire: a tail not behind it.
        let shared = Head::shared(ring.owners.first.load(Ordering::Acquire));
        probe!("deque steal: end of a bias seen, not said");
        // [gone] Release: passes on that tail. The failure brings nothing that is used.
        let ended =
            ring.head
                .compare_exchange(revoked.0, shared.0, Ordering::Release, Ordering::Relaxed);
        if ended.is_err() {
            probe!("deque steal: lost the end of a bias");
            return Steal::Retry;
        }
        probe!("deque steal: bias ended");
        Steal::Taken(shared)
    }

    /// How many items wait here: exact when nobody is at work, else an estimate.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// The positions where the next item leaves and where the next one enters.
    #[inline]
    pub(crate) fn ends(&self) -> (u64, u64) {
        self.ring.ends()
    }

    /// Whether a thief has to end a bias first.
    pub(crate) fn is_unshared(&self) -> bool {
        // Relaxed: a hint.
        !Head(self.ring.head.load(Ordering::Relaxed)).is_shared()
    }

    /// Whether nothing is published here.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something is here that can be stolen.
    ///
    /// Part of "is there work?", asked after a [`heavy`](crate::sync::barrier::heavy)
    /// barrier by a thread that is about to sleep.
    pub(crate) fn has_items(&self) -> bool {
        !(self.is_empty() || barrier::is_revoked() && self.is_unshared())
    }
}

impl<C> Steal<C> {
    fn map<D>(self, taken: impl FnOnce(C) -> D) -> Steal<D> {
        match self {
            Steal::Empty => Steal::Empty,
            Steal::Retry => Steal::Retry,
            Steal::Taken(claim) => Steal::Taken(taken(claim)),
        }
    }
}

/// Positions that were claimed.
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    fn len(&self) -> usize {
        self.end.wrapping_sub(self.start) as usize
    }

    fn of<T, R: Deref<Target = Ring<T>>>(self, ring: R) -> Claim<T, R> {
        Claim {
            ring,
            start: self.start,
            next: self.start,
            end: self.end,
        }
    }
}

/// Claimed positions, and the items there that are still to be read. Dropped early
/// (the sink panicked), it drops the rest, so that no slot stays taken for ever.
pub(crate) struct Claim<T, R: Deref<Target = Ring<T>> = Arc<Ring<T>>> {
    ring: R,
    start: u64,
    next: u64,
    end: u64,
}

impl<T, R: Deref<Target = Ring<T>>> Claim<T, R> {
    /// How many items are still to be read.
    pub(crate) fn len(&self) -> usize {
        self.end.wrapping_sub(self.next) as usize
    }
}

impl<T, R: Deref<Target = Ring<T>>> Iterator for Claim<T, R> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        let position = self.next;
        self.next = position.wrapping_add(1);
        // SAFETY: a claimed position, and `next` never comes back to it.
        Some(unsafe { self.ring.take(position) })
    }
}

impl<T, R: Deref<Target = Ring<T>>> Drop for Claim<T, R> {
    fn drop(&mut self) {
        self.for_each(drop);
        probe!("deque: read, slots not yet free");
        // [lap] Release: all is read before the owner may write here.
        self.ring
            .mark(self.start)
            .store(self.end, Ordering::Release);
        probe!("deque: slots free");
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Everybody else is gone.
        let (start, end) = self.ends();
        let left = Range { start, end };
        drop(left.of(&*self));
    }
}

impl<T> Clone for Stealer<T> {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
        }
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Stealer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stealer")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T, R: Deref<Target = Ring<T>>> fmt::Debug for Claim<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/deque.rs"]
mod tests;
