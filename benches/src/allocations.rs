//! An allocator that counts, when it is told to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Off outside of the workloads that count, so that peers which allocate do not pay for shared counters.
static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
/// Bytes in use. Below zero if what was allocated before counting began is freed.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// The system's allocator with counters. Counts only in a binary that makes it the global allocator.
#[derive(Debug)]
pub struct CountingAllocator;

/// Allocations so far.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Calls that allocate, growing a block included.
    pub calls: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

/// Switches counting on or off.
pub fn set_counting(on: bool) {
    // Relaxed: a sample counts from a later point, after its threads have synchronized.
    COUNTING.store(on, Ordering::Relaxed);
}

/// Reads the counters.
#[must_use]
pub fn count() -> Count {
    // Relaxed: sums, read when the threads that counted are known to be done.
    Count {
        calls: CALLS.load(Ordering::Relaxed),
        bytes: BYTES.load(Ordering::Relaxed),
    }
}

/// How many bytes are in use now, of those that were asked for since counting began.
#[must_use]
pub fn live() -> i64 {
    // Relaxed: as in `count`.
    LIVE.load(Ordering::Relaxed)
}

/// A block of `bytes` was asked for, instead of one of `before`.
fn note(bytes: usize, before: usize) {
    // Relaxed: sums that guard nothing.
    if COUNTING.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
        LIVE.fetch_add(bytes as i64 - before as i64, Ordering::Relaxed);
    }
}

fn note_freed(bytes: usize) {
    // Relaxed: as above.
    if COUNTING.load(Ordering::Relaxed) {
        LIVE.fetch_sub(bytes as i64, Ordering::Relaxed);
    }
}

// SAFETY: every method hands its arguments to `System`, which keeps the contract, and returns what `System` returns.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note_freed(layout.size());
        // SAFETY: the caller got `block` from this allocator, so from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size, layout.size());
        // SAFETY: as in `dealloc`; the caller vouches for `new_size`.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
