//! One worker's bounded stack: its owner pushes and pops at one end, anybody steals at the
//! other.
//!
//! **Promise.** The owner takes the newest item first, a thief takes the oldest. Every item that
//! was pushed leaves exactly once, by [`Owner::pop`] or [`Nest::steal`], or is dropped with the
//! nest. A thread suspended inside keeps one item at most, and its slot; nobody waits for it.
//! `push` and `pop` are wait-free, `steal` is lock-free and never loops.
//!
//! **Layout.** `bottom` is the position where the next item enters, written by the owner alone;
//! it grows and shrinks. `top` is the position of the oldest item; it only grows, by
//! compare-and-swap (both may wrap at 2^64: only differences count). Position p lives in slot
//! `p % slots`. Beside each slot stands its item's *tag*, which says whose it is, or [`FREE`].
//!
//! **Transitions.**
//!
//! * push (owner): if the slot at `bottom` is free: write it and its tag, then `bottom + 1`.
//! * pop (owner): `bottom - 1`, a light barrier, then a look at `top`. If it is below, the item
//!   is the owner's. If it is just there, this is the last item, and the owner takes it as a
//!   thief does. Then, or if a thief was faster, `bottom` goes back, to where `top` now is.
//!   The item stays in its slot until the owner frees that ([`InPlace`]).
//! * steal (anybody): reads `top`, a heavy barrier, reads `bottom`; if `top` is below it,
//!   `top + 1`. From then on the item is the thief's: it reads it, and frees the slot.
//!
//! Claim, then read: as in the [deque](crate::deque).
//!
//! **Nobody takes what another has taken.** Positions above `top` are taken by the owner, without
//! a word to the thieves. Let it take p, and a thief claim p too. So the owner saw a `top` below
//! p, and the thief `top == p` and a `bottom` above p. By the barriers' proof one of them sees
//! what the other did before its own barrier: either the owner a `top` that is no older than the
//! one that the thief has seen, whoever wrote it; or the thief the owner's `bottom == p`. (A later
//! `bottom` is above p only after the owner has pushed at p anew; and that item the thief may
//! have.) So all accesses of `top` are relaxed.
//!
//! **Should the kernel refuse the barrier later on** (see [`barrier::try_heavy`]), nobody steals
//! any more, and nothing is pushed: the owner takes what there is.
//!
//! **Invariants.**
//!
//! 1. `top <= bottom <= top + slots` but for an owner within `pop`, where `bottom` may be
//!    `top - 1`.
//! 2. The positions `top..bottom` are full, their tags are not [`FREE`], and they belong to nobody.
//! 3. A slot whose tag is [`FREE`] is empty, and is the owner's. (Or the owner is about to move the
//!    item out: see [`InPlace::leave`].)
//!
//! | edge   | release side              | acquire side             | carries                       | loom model               |
//! |--------|---------------------------|--------------------------|-------------------------------|--------------------------|
//! | `item` | [`Owner::push`], `bottom` | [`Nest::steal`], `bottom` | the items and tags below it  | `thief_of_a_nest_sees_the_item`, `thief_races_the_last_item_of_a_nest` |
//! | `item` | [`Owner::pop`], `bottom`  | [`Nest::steal`], `bottom` | the same                     | `thief_comes_after_a_pop` |
//! | `free` | [`Nest::steal`], the tag  | [`Owner::push`], the tag | that the thief has read       | `push_reuses_a_slot_that_was_stolen_from` |
//! | `pop`  | [`Owner::pop`], barrier   | [`Nest::steal`], barrier | who takes it: see above       | `two_thieves_and_an_owner_that_pops` |
//!
//! After D. Chase and Y. Lev, *Dynamic circular work-stealing deque* (2005), with the orderings
//! of N. M. Lê et al. (2013), whose fences are an asymmetric pair here. Tags are this crate's own.

use crate::probe::probe;
use crate::sync::{AtomicU64, AtomicUsize, Ordering, UnsafeCell, barrier};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};

/// The tag of no item.
pub(crate) const FREE: usize = 0;

/// What all threads see.
pub(crate) struct Nest<T> {
    top: CachePadded<AtomicU64>,
    bottom: CachePadded<AtomicU64>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    tags: Box<[AtomicUsize]>,
}

// SAFETY: an item is written by the owner and read by whoever took it, which may be another
// thread (hence `T: Send`), and never lent to two: invariants 2 and 3.
unsafe impl<T: Send> Send for Nest<T> {}
// SAFETY: as above; a shared nest hands out items by value only.
unsafe impl<T: Send> Sync for Nest<T> {}

/// The owner's end. It stays in the owner's thread.
pub(crate) struct Owner<'a, T> {
    nest: &'a Nest<T>,
    /// Not `Send`, and not `Sync`.
    thread: PhantomData<*const ()>,
}

/// What came of [`Nest::steal`].
#[derive(Debug)]
#[must_use]
pub(crate) enum Stolen<T> {
    /// Nothing was there for the thief.
    Nothing,
    /// Somebody else was faster; there may be more.
    Retry,
    Item(T),
}

impl<T> Nest<T> {
    /// A nest for so many items, rounded up to a power of two.
    ///
    /// Memory: that times the size of `T` plus 8 bytes.
    pub(crate) fn new(slots: usize) -> Self {
        Self::new_at(slots, 0)
    }

    /// As [`new`](Self::new), with the first item at position `start`.
    pub(crate) fn new_at(slots: usize, start: u64) -> Self {
        let slots = slots.next_power_of_two();
        Self {
            top: CachePadded::new(AtomicU64::new(start)),
            bottom: CachePadded::new(AtomicU64::new(start)),
            slots: (0..slots)
                .map(|_| UnsafeCell::new(MaybeUninit::uninit()))
                .collect(),
            tags: (0..slots).map(|_| AtomicUsize::new(FREE)).collect(),
        }
    }

    /// The owner's end.
    ///
    /// # Safety
    ///
    /// * All owner's ends of this nest are used in one thread, or in threads of which each has
    ///   seen all that the one before it did.
    pub(crate) unsafe fn owner(&self) -> Owner<'_, T> {
        Owner {
            nest: self,
            thread: PhantomData,
        }
    }

    /// For tests in files that forbid `unsafe`. All owners and thieves must stay in the calling thread.
    #[cfg(all(test, not(workcrew_loom)))]
    pub(crate) fn owner_in_this_thread(&self) -> Owner<'_, T> {
        // SAFETY: the tests that call it have one thread.
        unsafe { self.owner() }
    }

    #[inline]
    fn index(&self, position: u64) -> usize {
        position as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn tag(&self, position: u64) -> &AtomicUsize {
        &self.tags[self.index(position)]
    }

    /// Moves one item out.
    ///
    /// # Safety
    ///
    /// * The position is full, the caller has taken it, and this is its only `take` of it.
    #[inline]
    unsafe fn take(&self, position: u64) -> T {
        let item = self.slots[self.index(position)].with(|item| {
            // SAFETY: whoever took the position is alone with its slot until the tag is free.
            unsafe { item.read() }
        });
        // SAFETY: the position is full (the caller).
        unsafe { item.assume_init() }
    }

    /// Takes the oldest item, if it has this tag, or any.
    ///
    /// Costs a heavy barrier, unless nothing is there.
    pub(crate) fn steal(&self, tag: Option<usize>) -> Stolen<T> {
        // Relaxed: the barrier passes on that we have seen it.
        let top = self.top.load(Ordering::Relaxed);
        // Relaxed: a first look, for the price of the barrier.
        if !is_below(top, self.bottom.load(Ordering::Relaxed)) {
            return Stolen::Nothing;
        }
        probe!("nest steal: top read, bottom not");
        // [pop] `top` was read before, and `bottom` is after.
        if !barrier::try_heavy() {
            return Stolen::Nothing;
        }
        // [item] Acquire: what is below is written. (The first look may have been at an older
        // item's.)
        if !is_below(top, self.bottom.load(Ordering::Acquire)) {
            return Stolen::Nothing;
        }
        // Relaxed: [item] brought it. If it is another item's by now, `top` has moved.
        if tag.is_some_and(|tag| self.tag(top).load(Ordering::Relaxed) != tag) {
            return Stolen::Nothing;
        }
        probe!("nest steal: looked, not claimed");
        let next = top.wrapping_add(1);
        // Relaxed: it decides, and carries nothing.
        let claimed = self
            .top
            .compare_exchange(top, next, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            probe!("nest steal: lost the race");
            return Stolen::Retry;
        }
        probe!("nest steal: claimed");
        // SAFETY: the compare-and-swap took this position. It is full: see the page.
        let item = unsafe { self.take(top) };
        probe!("nest steal: read, slot not yet free");
        // [free] Release: we have read before the owner may write here.
        self.tag(top).store(FREE, Ordering::Release);
        Stolen::Item(item)
    }

    /// Whether nothing is here.
    ///
    /// Part of "is there work?", asked after a [`heavy`](barrier::heavy) barrier by a thread
    /// that is about to sleep.
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: the barrier orders it. (An owner that pops the last item may make a full one
        // look empty, but that item it takes.)
        let top = self.top.load(Ordering::Relaxed);
        !is_below(top, self.bottom.load(Ordering::Relaxed))
    }
}

/// Whether a position comes before another.
#[inline]
fn is_below(position: u64, other: u64) -> bool {
    (other.wrapping_sub(position) as i64) > 0
}

impl<'a, T> Owner<'a, T> {
    /// Whether [`push`](Self::push) has room. Thieves only make more.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        // Relaxed: `push` acquires.
        let bottom = self.nest.bottom.load(Ordering::Relaxed);
        self.nest.tag(bottom).load(Ordering::Relaxed) == FREE
    }

    /// Adds an item, made where it stays: see [`InPlace`]. `make` does not panic, and does not touch
    /// this nest. Wait-free.
    ///
    /// # Errors
    ///
    /// Hands `make` back, not called, if there is no room, or who is to free the slot has not yet
    /// done so, or nobody could steal the item.
    #[inline(always)]
    pub(crate) fn push<F: FnOnce() -> T>(&self, tag: usize, make: F) -> Result<(), F> {
        debug_assert_ne!(tag, FREE);
        let nest = self.nest;
        // Relaxed: our own.
        let bottom = nest.bottom.load(Ordering::Relaxed);
        let its_tag = nest.tag(bottom);
        // [free] Acquire: the thief has read.
        if its_tag.load(Ordering::Acquire) != FREE || barrier::is_revoked() {
            return Err(make);
        }
        // Leaks where the assertion fails: a drop there would need it in memory here.
        let item = ManuallyDrop::new(make());
        // Relaxed: our own.
        assert!(nest.bottom.load(Ordering::Relaxed) == bottom, "not touched");
        // SAFETY: the slot is empty and ours (invariant 3), and has been since we looked.
        nest.slots[nest.index(bottom)].with_mut(|slot| unsafe {
            slot.write(MaybeUninit::new(ManuallyDrop::into_inner(item)));
        });
        // Relaxed: [item] carries it.
        its_tag.store(tag, Ordering::Relaxed);
        probe!("nest push: written, not published");
        // [item] Release: the item is written before a thief may see it.
        nest.bottom.store(bottom.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Takes the newest item, if it has this tag. Wait-free.
    #[inline]
    pub(crate) fn pop(&self, tag: usize) -> Option<InPlace<'a, T>> {
        let nest = self.nest;
        // Relaxed: our own.
        let bottom = nest.bottom.load(Ordering::Relaxed);
        let last = bottom.wrapping_sub(1);
        // Relaxed: what we wrote, or a thief has freed it. (Then the tag of a full slot is not
        // to be found here. Or it is the last item's, which we have popped and not left: then `top` tells.)
        let its_tag = nest.tag(last);
        if its_tag.load(Ordering::Relaxed) != tag {
            return None;
        }
        probe!("nest pop: seen, bottom not lowered");
        // [item] Release: the items below are written.
        nest.bottom.store(last, Ordering::Release);
        // [pop] `bottom` is lowered before, and `top` is read after.
        barrier::light();
        // Relaxed: the barrier orders it.
        let top = nest.top.load(Ordering::Relaxed);
        probe!("nest pop: bottom lowered, item not ours yet");
        if !is_below(top, last) {
            // Relaxed: as a thief's.
            let is_ours = top == last
                && nest
                    .top
                    .compare_exchange(top, bottom, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            // Relaxed: nothing is below that is not somebody's.
            nest.bottom.store(bottom, Ordering::Relaxed);
            if !is_ours {
                probe!("nest pop: lost the last one to a thief");
                return None;
            }
        }
        // It is full, and no thief gets it: see the page.
        Some(InPlace {
            slot: &nest.slots[nest.index(last)],
            tag: its_tag,
        })
    }
}

/// An item that its owner has taken, where it lies. Until [`leave`](Self::leave) nothing is pushed there;
/// so if this is dropped or forgotten, the item and its slot are lost.
///
/// Items go in and come out one after another, so moving one means to read by wide loads what
/// narrow stores have just written, and these wait until all of the stores are done. That would be
/// most of what a small job costs.
#[must_use]
pub(crate) struct InPlace<'a, T> {
    slot: &'a UnsafeCell<MaybeUninit<T>>,
    tag: &'a AtomicUsize,
}

impl<T> InPlace<'_, T> {
    #[inline]
    fn place(&self) -> *mut T {
        self.slot.with_mut(|item| item.cast())
    }

    pub(crate) fn get(&self) -> &T {
        // SAFETY: the item is ours, and lies there for as long as we do.
        unsafe { &*self.place() }
    }

    /// The place, for the caller to move the item out.
    ///
    /// # Safety
    ///
    /// * The caller, in this thread, does so before it pushes anything into the nest, and before
    ///   that ends. (What it does not move out leaks.)
    #[inline]
    pub(crate) unsafe fn leave(self) -> *mut T {
        // Relaxed: for ourselves.
        self.tag.store(FREE, Ordering::Relaxed);
        self.place()
    }
}

#[cfg(test)]
impl<T> InPlace<'_, T> {
    /// Moves the item out.
    pub(crate) fn take(self) -> T {
        // SAFETY: nothing is pushed in between.
        let place = unsafe { self.leave() };
        // SAFETY: it lies there still, and is read once.
        unsafe { place.read() }
    }
}

impl<T> Drop for Nest<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self`, everybody else is gone.
        let mut top = self.top.load(Ordering::Relaxed);
        let bottom = self.bottom.load(Ordering::Relaxed);
        while is_below(top, bottom) {
            // SAFETY: it is full (invariant 2), and nobody else is here.
            drop(unsafe { self.take(top) });
            top = top.wrapping_add(1);
        }
    }
}

impl<T> fmt::Debug for Nest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nest").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for InPlace<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InPlace").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Owner<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/nest.rs"]
mod tests;
