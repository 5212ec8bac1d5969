//! The entries of the injector's directory: which segment serves a stretch of
//! positions.
//!
//! An entry is `tag << 24 | segment`. The tag is the number of the stretch plus one, so
//! an entry that was never made is older than any; it wraps after 2^40 stretches, of
//! which only the order of close ones counts.

#![forbid(unsafe_code)]

use super::segments::{ID_BITS, ID_MASK};

/// Entries of an injector of small items without a bound of its own.
pub(super) const ENTRIES_UNBOUNDED: usize = if cfg!(workcrew_shuttle) {
    1 << 10
} else if cfg!(workcrew_loom) {
    8
} else if cfg!(miri) {
    // Memory that Miri zeroes byte by byte.
    1 << 8
} else {
    1 << 14
};

/// Entries of any injector, at most: there are no more segments.
pub(super) const MAX_ENTRIES: usize = 1 << ID_BITS;

/// Directory tags have as many bits as the segment number leaves.
const TAG_BITS: u32 = 64 - ID_BITS;

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
