//! The entries of the injector's directory: which segment serves a stretch of
//! positions.
//!
//! An entry is `tag << 24 | segment`. The tag is the number of the stretch plus one, so
//! an entry that was never made is older than any; it wraps after 2^40 stretches, of
//! which only the order of close ones counts.

use super::segments::{ID_BITS, ID_MASK};
use crate::sync::AtomicU64;
#[cfg(not(workcrew_loom))]
use std::{
    alloc::{self, Layout},
    ptr,
};

/// Directory tags have as many bits as the segment number leaves.
const TAG_BITS: u32 = 64 - ID_BITS;

/// A directory whose entries are all `entry`. For zero it is memory as the system gives
/// it, which costs nothing until it is used: most injectors never use most of it.
pub(super) fn directory(entries: usize, entry: u64) -> Box<[AtomicU64]> {
    #[cfg(not(workcrew_loom))]
    if entry == 0 {
        let layout = Layout::array::<AtomicU64>(entries).expect("capacities are limited");
        // SAFETY: there is at least one entry, so the layout has a size.
        let memory = unsafe { alloc::alloc_zeroed(layout) }.cast::<AtomicU64>();
        if memory.is_null() {
            alloc::handle_alloc_error(layout);
        }
        // SAFETY: allocated by the global allocator with the layout of this slice, and
        // zero is an `AtomicU64`.
        return unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(memory, entries)) };
    }
    (0..entries).map(|_| AtomicU64::new(entry)).collect()
}

/// The tag of a segment number; it wraps after 2^40 segments.
#[inline]
pub(super) fn tag_of(number: u64) -> u64 {
    (number + 1) & ((1 << TAG_BITS) - 1)
}

#[inline]
pub(super) fn id_of(entry: u64) -> u32 {
    (entry & ID_MASK) as u32
}

/// Zero if the entry is for this segment number, negative if for an older one.
#[inline]
pub(super) fn age(entry: u64, number: u64) -> i64 {
    let difference = (entry >> ID_BITS).wrapping_sub(tag_of(number));
    // Sign-extend from the tag's width.
    ((difference << ID_BITS) as i64) >> ID_BITS
}
