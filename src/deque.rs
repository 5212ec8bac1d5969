//! One worker's bounded ring: its owner pushes and pops, anybody steals.
//!
//! **Promise.** First in, first out. Every item that was pushed leaves exactly
//! once, by [`Local::pop`] or [`Stealer::steal`], or is dropped with the ring. A
//! thread suspended inside keeps what it had claimed (for a thief up to half of
//! the ring) and, until it goes on, the slots of that claim; nobody else waits
//! for it. `push` is wait-free, `pop` and `steal` are lock-free.
//!
//! **Layout.** `tail` is the position where the next item enters, written by the
//! owner alone. `head` is the position where the next item leaves, moved by
//! compare-and-swap by the owner and the thieves alike. Position p lives in slot
//! `p % slots`. Both only grow (they may wrap at 2^64: only differences count).
//! A slot's `free_for` is the position that may be written there next.
//!
//! **Transitions.**
//!
//! * push (owner): if `free_for == tail`, write the slot, then `tail + 1`.
//! * claim (owner or thief): `head -> head + n`, for n items before `tail`. From
//!   then on these n slots are the claimant's alone: it reads each and sets
//!   `free_for` to the position of the next lap.
//!
//! Claim, then read: nothing is read before it is owned, so there is nothing to
//! tear, nothing to undo, and loom and Miri see plain exclusive access.
//!
//! **Invariants.**
//!
//! 1. `head <= tail <= head + slots`.
//! 2. The positions `head..tail` are full, and belong to nobody.
//! 3. A position below `head` belongs to the one whose compare-and-swap moved
//!    `head` over it, until it sets `free_for`.
//! 4. `free_for == p` for `p >= tail` means that the slot is empty and the owner's.
//!
//! | edge   | release side                   | acquire side                 | carries                         | loom model                    |
//! |--------|--------------------------------|------------------------------|---------------------------------|-------------------------------|
//! | `item` | [`Local::publish`], `tail`     | [`Stealer::steal`], `tail`   | the items written before        | `thief_sees_the_item`         |
//! | `lap`  | [`Ring::take`], `free_for`     | [`Local::has_room`]          | that the claimant has read      | `push_reuses_a_stolen_slot`   |
//! | `gone` | every claim, `head`            | [`Stealer::steal`], `head`   | a `tail` no older than the head | `second_thief_is_not_too_late` |
//!
//! The ring without reclamation and with lap numbers in the slots follows D.
//! Vyukov's bounded queue (2010); claims of several items by one compare-and-swap
//! follow the fixed-size run queue of Go and tokio.

use crate::probe::probe;
use crate::sync::{Arc, AtomicU64, Ordering, UnsafeCell};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::mem::MaybeUninit;

struct Slot<T> {
    free_for: AtomicU64,
    item: UnsafeCell<MaybeUninit<T>>,
}

struct Ring<T> {
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
    slots: Box<[Slot<T>]>,
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
}

/// An end for everybody else.
pub(crate) struct Stealer<T> {
    ring: Arc<Ring<T>>,
}

/// What came of [`Stealer::steal`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Steal {
    /// Nothing was there.
    Empty,
    /// Somebody else was faster; there may be more.
    Retry,
    /// So many items went to the sink, at least one.
    Taken(usize),
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
    let mask = capacity as u64 - 1;
    let slots = (0..capacity as u64)
        .map(|slot| Slot {
            // The first position at or after `start` that lives here.
            free_for: AtomicU64::new(start.wrapping_add(slot.wrapping_sub(start) & mask)),
            item: UnsafeCell::new(MaybeUninit::uninit()),
        })
        .collect();
    let ring = Arc::new(Ring {
        head: CachePadded::new(AtomicU64::new(start)),
        tail: CachePadded::new(AtomicU64::new(start)),
        slots,
    });
    let stealer = Stealer {
        ring: Arc::clone(&ring),
    };
    (Local { ring, next: start }, stealer)
}

impl<T> Ring<T> {
    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        // The number of slots is a power of two, so the mask keeps it in bounds.
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    /// Moves one item out of a claimed position and gives the slot to the next lap.
    ///
    /// # Safety
    ///
    /// * `position` is full and claimed by the caller (invariant 3), and this is
    ///   the caller's only `take` of it.
    #[inline]
    unsafe fn take(&self, position: u64) -> T {
        let slot = self.slot(position);
        let item = slot.item.with(|item| {
            // SAFETY: the claim makes the slot ours (invariant 3).
            unsafe { item.read() }
        });
        // SAFETY: the item was written before `tail` passed the position, which the
        // claim proves (invariant 2).
        let item = unsafe { item.assume_init() };
        probe!("deque: read, slot not yet free");
        let next_lap = position.wrapping_add(self.slots.len() as u64);
        // [lap] Release: the read above is over before the owner may write here.
        slot.free_for.store(next_lap, Ordering::Release);
        probe!("deque: slot free, item in hand");
        item
    }
}

impl<T> Local<T> {
    /// Whether the next push will find its slot free.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.is_free(self.next)
    }

    /// How many items (at most `most`) can be pushed for certain.
    ///
    /// Only the owner fills slots, so the room stays until the owner uses it.
    #[inline]
    pub(crate) fn room(&self, most: usize) -> usize {
        (0..most)
            .take_while(|&ahead| self.is_free(self.next.wrapping_add(ahead as u64)))
            .count()
    }

    #[inline]
    fn is_free(&self, position: u64) -> bool {
        // [lap] Acquire: the claimant of the last lap has read before we write.
        self.ring.slot(position).free_for.load(Ordering::Acquire) == position
    }

    /// Adds one item and publishes it. Wait-free.
    ///
    /// # Errors
    ///
    /// Hands the item back if the ring is full, or if a thief that claimed the
    /// slot's last item has not read it yet.
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
        if !self.has_room() {
            return Err(item);
        }
        // SAFETY: the slot is empty and ours (invariant 4); `&mut self` keeps
        // other pushes out, and thieves stay below `tail`.
        self.ring.slot(self.next).item.with_mut(|slot| unsafe {
            slot.write(MaybeUninit::new(item));
        });
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Publishes everything that was staged, by one store.
    #[inline]
    pub(crate) fn publish(&mut self) {
        // [item] Release: the items are written before a thief may see them.
        self.ring.tail.store(self.next, Ordering::Release);
    }

    /// Takes the oldest item. Lock-free: it retries only if a thief took one.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        debug_assert_eq!(
            self.next,
            self.ring.tail.load(Ordering::Relaxed),
            "publish what was staged"
        );
        // Relaxed: a stale head fails the compare-and-swap below, and an owner
        // can read no head beyond its own tail (invariant 1).
        let mut head = self.ring.head.load(Ordering::Relaxed);
        probe!("deque pop: head read, not claimed");
        while head != self.next {
            let next = head.wrapping_add(1);
            // [gone] Release: a thief that sees this head also sees a tail that
            // lies not before it. The items are our own, so nothing to acquire.
            match self.ring.head.compare_exchange_weak(
                head,
                next,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    probe!("deque pop: claimed");
                    // SAFETY: the compare-and-swap claimed this one position,
                    // which was below `tail`.
                    return Some(unsafe { self.ring.take(head) });
                }
                Err(seen) => {
                    probe!("deque pop: lost to a thief");
                    head = seen;
                }
            }
        }
        None
    }

    /// How many items wait here.
    pub(crate) fn len(&self) -> usize {
        len_of(&self.ring)
    }
}

impl<T> Stealer<T> {
    /// Claims the older half of what is there, at least one and at most `most`,
    /// and hands it to `sink` from old to new. Lock-free, and never loops.
    pub(crate) fn steal(&self, most: usize, sink: impl FnMut(T)) -> Steal {
        self.claim(most, |len| len.div_ceil(2), sink)
    }

    /// As [`Stealer::steal`], but claims all that is there, at most `most`.
    pub(crate) fn drain(&self, most: usize, sink: impl FnMut(T)) -> Steal {
        self.claim(most, |len| len, sink)
    }

    #[inline]
    fn claim(&self, most: usize, share: impl FnOnce(usize) -> usize, sink: impl FnMut(T)) -> Steal {
        // [gone] Acquire: with this head comes a tail that is not behind it.
        let head = self.ring.head.load(Ordering::Acquire);
        probe!("deque steal: head read, tail not");
        // [item] Acquire: the items below this tail are written.
        let tail = self.ring.tail.load(Ordering::Acquire);
        let len = tail.wrapping_sub(head) as usize;
        debug_assert!(
            (len as i64) >= 0,
            "[gone] brings a tail at or after the head"
        );
        if len == 0 || most == 0 {
            return Steal::Empty;
        }
        // The head may be old by now, and then `len` is more than the ring holds:
        // the compare-and-swap fails.
        let count = share(len).min(most);
        probe!("deque steal: looked, not claimed");
        // [gone] Release, as in `pop`: passes on the tail that was acquired above.
        // The failure brings nothing that is used.
        if self
            .ring
            .head
            .compare_exchange(
                head,
                head.wrapping_add(count as u64),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_err()
        {
            probe!("deque steal: lost the race");
            return Steal::Retry;
        }
        probe!("deque steal: claimed");
        let mut claim = Claim {
            ring: &self.ring,
            next: head,
            left: count,
        };
        claim.by_ref().for_each(sink);
        Steal::Taken(count)
    }

    /// How many items wait here: exact when nobody is at work, else an estimate.
    pub(crate) fn len(&self) -> usize {
        len_of(&self.ring)
    }

    /// Whether nothing is published here.
    ///
    /// Part of "is there work?", asked after a [`heavy`](crate::sync::barrier::heavy)
    /// barrier by a thread that is about to sleep.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn len_of<T>(ring: &Ring<T>) -> usize {
    // [gone] Acquire: head first, so that the tail is not behind it.
    let head = ring.head.load(Ordering::Acquire);
    // Acquire: whoever acts on the length may rely on what was published.
    let tail = ring.tail.load(Ordering::Acquire);
    tail.wrapping_sub(head) as usize
}

/// Claimed positions that are still to be read. Dropped early (the sink
/// panicked), it drops the rest, so that no slot stays taken for ever.
struct Claim<'a, T> {
    ring: &'a Ring<T>,
    next: u64,
    left: usize,
}

impl<T> Iterator for Claim<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let position = self.next;
        self.next = position.wrapping_add(1);
        // SAFETY: a claimed position, and `next` never comes back to it.
        Some(unsafe { self.ring.take(position) })
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self`, everybody else is gone.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        let left = tail.wrapping_sub(head) as usize;
        drop(Claim {
            ring: self,
            next: head,
            left,
        });
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

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/deque.rs"]
mod tests;
