//! How the results queue keeps its bound without a count for each result.
//!
//! **Promise.** A worker that holds a lease delivers without looking at the others. The
//! results that lie in the rings and the places that are leased never exceed the
//! capacity, but for one result of each worker that has delivered without a lease and
//! not looked yet. A lease keeps nobody waiting: who finds no room takes the others'
//! unused places away, and counts what lies there.
//!
//! **Layout.** One word for each worker, beside its ring: the position of the ring up to
//! which it may deliver. Behind the ring's tail it says nothing: there is no lease.
//!
//! **Transitions.**
//!
//! * announce (owner, its last lease used up): a new end; then a full fence, then it
//!   counts. If the count exceeds the capacity it gives the lease back at once.
//! * give back (owner, who has no job, or counted too much): the end is the tail.
//! * revoke (who counted too much because of leases): the end is the tail that it sees.
//!
//! **No place is given twice.** Two owners that announce at once: of their fences one is
//! the first, so the other sees the first one's lease when it counts, or its tail; if the
//! count is within the capacity there is room for both. **No revoked lease is used** for
//! more than the one result whose owner is about to look. Whoever revokes passes a heavy
//! barrier before it counts, and the owner, between storing its tail and loading the end,
//! a light one: so the tails that are counted are all there are, but for owners that will
//! find no lease, and count in their turn.
//!
//! | edge    | release side               | acquire side              | carries                     | loom model                      |
//! |---------|----------------------------|---------------------------|-----------------------------|---------------------------------|
//! | `lease` | [`Lease::announce`], fence | [`Lease::places`]         | that the places are taken   | `leases_never_exceed_the_capacity` |
//! | `revoked` | [`Lease::revoke`] and others' tails | [`Lease::covers`]     | that the places are given away | `revoked_lease_is_not_used`, `lease_is_revoked_at_its_last_use` |

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering, barrier};
use crossbeam_utils::CachePadded;

/// Most places in a lease. Chosen by W1b, with pinned threads: each lease costs a count of all workers'
/// results, which takes as long as all else for a job with eight, and far more while they are at work.
const MOST: usize = 128;

/// All leases together are at most the capacity divided by this.
const PART: usize = if cfg!(workcrew_loom) { 1 } else { 4 };

/// A lease of fewer places, where more would be allowed, is not worth the second count.
const LEAST: u64 = 32;

/// Most places in a lease, of so many workers in a queue of so many places. None in a short
/// queue: there each result is counted.
pub(crate) fn size(workers: usize, capacity: usize) -> u64 {
    (capacity / workers / PART).min(MOST) as u64
}

/// Places in a lease where so many are free: up to `most`, but with more than [`LEAST`] no more than
/// half of the room, so that others need not take them away at once.
pub(crate) fn of(most: u64, room: u64) -> Option<u64> {
    let least = most.min(LEAST);
    (least > 0 && room >= least).then(|| most.min(least.max(room / 2)))
}

/// One worker's lease.
#[derive(Debug)]
pub(crate) struct Lease {
    end: CachePadded<AtomicU64>,
}

impl Lease {
    pub(crate) fn new() -> Self {
        Self {
            end: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// Whether the owner, whose ring ends at `tail`, has not delivered beyond its lease.
    #[inline]
    pub(crate) fn covers(&self, tail: u64) -> bool {
        // [revoked] Relaxed: who revokes it passes a heavy barrier before it counts.
        self.end.load(Ordering::Relaxed).wrapping_sub(tail) as i64 >= 0
    }

    /// The owner takes the places up to `end`, if the count that follows allows it.
    pub(crate) fn announce(&self, end: u64) {
        // Hint: without a lease each result is counted. Relaxed: the fence orders it.
        self.end.store(end, Ordering::Relaxed);
        // [lease] our places are visible before we count.
        barrier::full();
    }

    /// The owner has no lease any more.
    pub(crate) fn give_back(&self, tail: u64) {
        // Relaxed: others who see the old end see a place less for a moment.
        self.end.store(tail, Ordering::Relaxed);
    }

    /// Takes the places beyond `tail` away from the owner. Lock-free: a retry means that
    /// the owner has another lease.
    pub(crate) fn revoke(&self, tail: u64) {
        // [revoked] Relaxed, all: see the page.
        let mut end = self.end.load(Ordering::Relaxed);
        while end.wrapping_sub(tail) as i64 > 0 {
            match self
                .end
                .compare_exchange_weak(end, tail, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => end = now,
            }
        }
    }

    /// Places of a ring with these ends that are full or leased.
    #[inline]
    pub(crate) fn places(&self, head: u64, tail: u64) -> usize {
        // [lease] Relaxed: the counting owner's fence.
        let end = self.end.load(Ordering::Relaxed);
        let full = tail.wrapping_sub(head) as i64;
        full.max(end.wrapping_sub(head) as i64) as usize
    }
}
