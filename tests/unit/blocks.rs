//! Memory comes back aligned and in full, and a thread keeps as many blocks as it has needed.

use super::{BLOCK, Kept, give, rounded, take};
use std::alloc::{self, Layout};
use std::collections::BTreeSet;
use std::ptr::NonNull;

/// A block from the allocator.
fn new() -> NonNull<u8> {
    // SAFETY: a block has a size.
    NonNull::new(unsafe { alloc::alloc(BLOCK) }).unwrap()
}

/// Gives a block back. Returns whether it is kept.
fn keep(kept: &Kept, block: NonNull<u8>) -> bool {
    // SAFETY: all blocks here are from the allocator, and each is given once.
    let is_kept = unsafe { kept.keep(block) };
    if !is_kept {
        // SAFETY: as above.
        unsafe { alloc::dealloc(block.as_ptr(), BLOCK) };
    }
    is_kept
}

#[test]
fn a_thread_keeps_as_many_blocks_as_it_has_needed() {
    let kept = Kept::new(5);
    assert!(!keep(&kept, new()), "it has needed none");
    for _ in 0..3 {
        assert_eq!(kept.take(), None);
    }
    let blocks: Vec<_> = (0..4).map(|_| new()).collect();
    let are_kept: Vec<_> = blocks.iter().map(|block| keep(&kept, *block)).collect();
    assert_eq!(are_kept, [true, true, true, false]);
    // The newest first: it is the one that is in the cache.
    for block in blocks[..3].iter().rev() {
        assert_eq!(kept.take(), Some(*block));
    }
    assert_eq!(kept.take(), None);
    for block in &blocks[..3] {
        assert!(keep(&kept, *block));
    }
    // The rest is freed with `kept`: Miri looks for leaks.
}

#[test]
fn no_thread_keeps_more_than_the_most() {
    let kept = Kept::new(2);
    for _ in 0..10 {
        assert_eq!(kept.take(), None);
    }
    let are_kept = [(); 4].map(|()| keep(&kept, new()));
    assert_eq!(are_kept, [true, true, false, false]);
}

#[test]
fn memory_is_for_its_layout_and_for_nobody_else() {
    let layouts = [
        (0, 1),
        (1, 1),
        (128, 64),
        (129, 8),
        (100, 128),
        (4_096, 4_096),
    ];
    let layouts = layouts.map(|(size, align)| Layout::from_size_align(size, align).unwrap());
    for round in 0..3_u8 {
        let memory: Vec<_> = layouts.iter().map(|layout| take(*layout)).collect();
        let places: BTreeSet<_> = memory.iter().map(|memory| memory.addr()).collect();
        assert_eq!(places.len(), layouts.len(), "each is another place");
        for (memory, layout) in memory.into_iter().zip(layouts) {
            assert_eq!(memory.addr().get() % layout.align(), 0);
            // SAFETY: it is ours, and of that size.
            unsafe { memory.write_bytes(round, layout.size()) };
            // SAFETY: it was taken for that layout.
            unsafe { give(memory, layout) };
        }
    }
}

#[test]
fn what_is_not_too_large_is_a_block() {
    for (size, align, is_block) in [
        (0, 1, true),
        (128, 64, true),
        (129, 1, false),
        (8, 128, false),
    ] {
        let layout = Layout::from_size_align(size, align).unwrap();
        assert_eq!(rounded(layout) == BLOCK, is_block, "{layout:?}");
    }
}
