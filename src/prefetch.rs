//! Hints to the processor: which memory will be used soon.
//!
//! A cache line that another core has used last comes from there, which takes 40 to 400
//! nanoseconds, by where the two cores are. A store does not wait for its line, but every
//! locked instruction waits for all stores before it: so a worker's next claim of a job
//! pays in full for the line of its last result. Who knows which lines come next asks for
//! them ahead. It costs an instruction a line, and nothing relies on it.
//!
//! On x86-64 alone, and neither in a model nor under Miri.

/// Bytes in a line, and most lines in one hint: more would push out what is in use.
const LINE: usize = 64;
const MOST_LINES: usize = 32;

/// So far ahead, in bytes, somebody asks who goes from item to item.
const AHEAD: usize = 8 * LINE;

/// So many items of this size ahead.
pub(crate) const fn ahead<T>() -> u64 {
    if size_of::<T>() == 0 {
        1
    } else {
        AHEAD.div_ceil(size_of::<T>()) as u64
    }
}

/// Gives the processor one hint a line, by this instruction.
macro_rules! hint {
    ($instruction:literal, $place:ident, $items:ident) => {
        each_line($place, $items, |line| {
            #[cfg(all(target_arch = "x86_64", not(any(workcrew_loom, miri))))]
            // SAFETY: changes neither memory nor registers, whatever the address is.
            // (Processors without the instruction take it for none.)
            unsafe {
                std::arch::asm!(
                    concat!($instruction, " [{line}]"),
                    line = in(reg) line,
                    options(nostack, preserves_flags, readonly),
                );
            }
            let _ = line;
        })
    };
}

/// So many items from this place on will be written. The place may be any.
#[inline(always)]
pub(crate) fn to_write<T>(place: *const T, items: usize) {
    hint!("prefetchw", place, items);
}

/// So many items from this place on will be read. The place may be any.
#[inline(always)]
pub(crate) fn to_read<T>(place: *const T, items: usize) {
    hint!("prefetcht0", place, items);
}

#[inline(always)]
fn each_line<T>(place: *const T, items: usize, mut hint: impl FnMut(*const u8)) {
    let lines = (items * size_of::<T>()).div_ceil(LINE).min(MOST_LINES);
    for line in 0..lines {
        hint(place.cast::<u8>().wrapping_add(line * LINE));
    }
}

#[cfg(all(test, not(workcrew_loom)))]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn each_line_of_aligned_items_is_asked_for_once() {
        let lines = |items: usize| {
            let mut lines = Vec::new();
            each_line(ptr::without_provenance::<[u64; 5]>(4096), items, |line| {
                lines.push(line.addr());
            });
            lines
        };
        assert!(lines(0).is_empty());
        assert_eq!(lines(1), [4096]);
        assert_eq!(lines(3), [4096, 4096 + LINE]);
        assert_eq!(lines(1000).len(), MOST_LINES);
    }

    #[test]
    fn a_hint_may_name_any_address() {
        for address in [0, 1, 4096, usize::MAX] {
            let place = ptr::without_provenance::<u64>(address);
            to_read(place, 100);
            to_write(place, 100);
        }
        let words = [7_u64; 100];
        to_write(&words, 1);
        assert_eq!(words, [7; 100]);
    }

    #[test]
    fn the_distance_is_the_same_in_bytes() {
        assert_eq!(ahead::<[u64; 2]>(), 32);
        assert_eq!(ahead::<[u8; 100]>(), 6);
        assert_eq!(ahead::<[u8; 5000]>(), 1);
        assert_eq!(ahead::<()>(), 1);
    }
}
