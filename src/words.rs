//! Many atomic words that begin alike.

use crate::sync::AtomicU64;
#[cfg(not(workcrew_loom))]
use std::{
    alloc::{self, Layout},
    ptr,
};

/// So many words with this value, at least one. For zero it is memory as the system gives it, which
/// costs nothing until it is used: what is made for the worst case is seldom used to its end.
pub(crate) fn words(count: usize, value: u64) -> Box<[AtomicU64]> {
    #[cfg(not(workcrew_loom))]
    if value == 0 {
        assert!(count > 0, "memory of no size cannot be had");
        let layout = Layout::array::<AtomicU64>(count).expect("capacities are limited");
        // SAFETY: there is at least one word, so the layout has a size.
        let memory = unsafe { alloc::alloc_zeroed(layout) }.cast::<AtomicU64>();
        if memory.is_null() {
            alloc::handle_alloc_error(layout);
        }
        // SAFETY: allocated by the global allocator with the layout of this slice, and
        // zero is an `AtomicU64`.
        return unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(memory, count)) };
    }
    (0..count).map(|_| AtomicU64::new(value)).collect()
}
