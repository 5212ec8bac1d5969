//! Memory that is used again, for what one thread makes and takes down job by job.
//!
//! **Promise.** [`take`] gets memory for a value, [`give`] gives it back, in any thread. What a
//! thread gives back it keeps for itself, if it is a [`BLOCK`], and if it does not keep as many
//! yet as it has had to get from the allocator, or [`MOST`]. So a thread that makes as it takes
//! down needs no allocator once warm, and one that only takes down keeps nothing. All goes back
//! when the thread ends. Nothing is shared, and nobody waits.
//!
//! **Layout.** The thread's blocks are a stack: the first word of each points to the next one.
//!
//! **Invariants.**
//!
//! 1. `first` leads through `count` blocks that are the thread's, from the allocator with the
//!    layout [`BLOCK`], and in use by nobody.
//!
//! Under loom, Miri and the sanitizers nothing is kept, but by the tests of this module: who
//! touches memory that was given back is found out.

use crate::sync;
use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ptr::NonNull;

/// What is used again: two cache lines, in which a handle's place with a small closure and a small
/// result has room.
const BLOCK: Layout = match Layout::from_size_align(128, 64) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

/// So many blocks are kept at most: half a mebibyte.
const MOST: usize = if cfg!(any(workcrew_loom, workcrew_fresh_memory, miri)) {
    0
} else {
    4_096
};

/// A block that is kept.
struct Link {
    next: Option<NonNull<Link>>,
}

/// One thread's blocks.
struct Kept {
    first: Cell<Option<NonNull<Link>>>,
    count: Cell<usize>,
    /// How many to keep at most: grows as the thread needs more.
    room: Cell<usize>,
    most: usize,
}

impl Kept {
    const fn new(most: usize) -> Self {
        Self {
            first: Cell::new(None),
            count: Cell::new(0),
            room: Cell::new(0),
            most,
        }
    }

    /// A block to be used, if one is kept. If not, there is room for one more from now on.
    #[inline]
    fn take(&self) -> Option<NonNull<u8>> {
        let Some(block) = self.first.get() else {
            self.room.set((self.room.get() + 1).min(self.most));
            return None;
        };
        // SAFETY: a block that is kept, and so a `Link` (invariant 1).
        self.first.set(unsafe { block.read() }.next);
        self.count.set(self.count.get() - 1);
        Some(block.cast())
    }

    /// Keeps a block, if there is room. Returns whether there was.
    ///
    /// # Safety
    ///
    /// * It is from the allocator, with the layout [`BLOCK`], and nobody uses it any more.
    #[inline]
    unsafe fn keep(&self, block: NonNull<u8>) -> bool {
        if self.count.get() >= self.room.get() {
            return false;
        }
        let next = self.first.get();
        // A block is aligned for any pointer.
        let block = block.cast::<Link>();
        // SAFETY: it is ours (the caller), and there is room in it for a pointer.
        unsafe { block.write(Link { next }) };
        self.first.set(Some(block));
        self.count.set(self.count.get() + 1);
        true
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        while let Some(block) = self.take() {
            // SAFETY: it is from the allocator, with this layout, and nobody uses it (invariant 1).
            unsafe { alloc::dealloc(block.as_ptr(), BLOCK) };
        }
    }
}

sync::own! {
    static KEPT: Kept = Kept::new(MOST);
}

/// What the allocator is asked for, to hold a value of this layout.
const fn rounded(layout: Layout) -> Layout {
    if layout.size() <= BLOCK.size() && layout.align() <= BLOCK.align() {
        BLOCK
    } else {
        layout
    }
}

/// Memory for a value of this layout, to be [given](give) back.
#[inline]
pub(crate) fn take(layout: Layout) -> NonNull<u8> {
    let layout = rounded(layout);
    // (When the thread ends there may be nothing to keep blocks in any more.)
    let kept = if layout == BLOCK {
        KEPT.try_with(Kept::take).ok().flatten()
    } else {
        None
    };
    kept.unwrap_or_else(|| {
        assert!(layout.size() > 0, "memory of no size cannot be had");
        // SAFETY: it has a size.
        let memory = unsafe { alloc::alloc(layout) };
        NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(layout))
    })
}

/// Gives memory back.
///
/// # Safety
///
/// * It comes from [`take`], for a value of this layout, and nobody uses it any more.
#[inline]
pub(crate) unsafe fn give(memory: NonNull<u8>, layout: Layout) {
    let layout = rounded(layout);
    // SAFETY: `take` had it from the allocator, with this layout; the rest the caller promises.
    let keep = |kept: &Kept| unsafe { kept.keep(memory) };
    if layout == BLOCK && KEPT.try_with(keep).unwrap_or(false) {
        return;
    }
    // SAFETY: as above, and it is not kept.
    unsafe { alloc::dealloc(memory.as_ptr(), layout) };
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/blocks.rs"]
mod tests;
