//! Recycled, type-stable memory for the injector: segments of cells.
//!
//! A segment is made once and lives as long as its injector; between two uses it
//! waits on a free list. So a thread that comes late may look into a segment that
//! serves another stretch of positions by now: it finds atomics there, never freed
//! memory, and its compare-and-swap on `head` or `tail` then fails.
//!
//! **Free list.** A stack of segment numbers (Treiber 1986) whose top carries a
//! tag of 40 bits that grows with every change, so that a number which left and
//! came back is told apart. **Chunks.** Segment n lives in chunk `log2(n + 1)`;
//! chunk c has `2^c` segments and is allocated when first needed, so an injector
//! costs memory for its deepest moment and allocates nothing once warm. A segment is two
//! things in its chunk, a [`Header`] and its groups, each with an array of its own, for
//! how many groups there are depends on the items. Where there is no
//! memory, `Box` aborts the process, as everywhere in std: so nobody waits for room that
//! cannot come.
//!
//! | edge    | release side                   | acquire side                   | carries                    | loom model                     |
//! |---------|--------------------------------|--------------------------------|----------------------------|--------------------------------|
//! | `free`  | [`Segments::give`], `free`     | [`Segments::take`], `free`     | the clean segment          | `recycled_segment_is_clean`    |
//! | `chunk` | [`Chunks::make`], pointer      | [`Chunks::at`], pointer        | the new segments           | `chunk_made_by_another`        |

use crate::probe::probe;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, UnsafeCell, spin_loop};
use crossbeam_utils::CachePadded;
use std::mem::MaybeUninit;
use std::{ptr, slice};

/// Cells in a group: with seven, a group of words fills one cache line exactly,
/// state word included.
pub(super) const GROUP: usize = if cfg!(workcrew_loom) { 2 } else { 7 };
/// Groups in a segment, at most. A claim ends with its segment, and each new one costs some cache lines, so
/// there are many. (In unit tests fewer, which end more often.)
pub(super) const MOST_GROUPS: usize = if cfg!(workcrew_loom) {
    2
} else if cfg!(test) {
    8
} else {
    32
};
/// Bytes in a segment's groups, at most, if it has more than one: so a queue of a few large items
/// does not take the memory of hundreds. Chosen by W10/size in `benches`.
const MOST_BYTES: usize = if cfg!(test) { 1 << 15 } else { 1 << 20 };
/// In a group's word, a cell's further bits stand so far above its decided bit: its place is
/// reserved, it is void. See `reserve`.
pub(super) const RESERVED: usize = GROUP;
pub(super) const VOID: usize = 2 * GROUP;

/// A segment number has 24 bits, beside a tag of 40.
pub(super) const ID_BITS: u32 = 24;
pub(super) const ID_MASK: u64 = (1 << ID_BITS) - 1;
/// Segments that can exist at once, less one: the free list needs a "none". (Of large items, seven in each, that is
/// a hundred million. A queue that holds as many is full, though its capacity may be twice that.)
const MAX_SEGMENTS: u64 = ID_MASK;

pub(super) type Cell<T> = UnsafeCell<MaybeUninit<T>>;

/// `count` set bits from bit `from` on.
#[inline]
pub(super) fn bits(from: usize, count: usize) -> u32 {
    ((1 << count) - 1) << from
}

/// The numbers of the set bits, from low to high.
pub(super) fn ones(mut word: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

/// Moves the item out of a cell.
///
/// # Safety
///
/// * The cell holds an item, which is the caller's alone and not taken again.
#[inline]
pub(super) unsafe fn take<T>(cell: &Cell<T>) -> T {
    let item = cell.with(|item| {
        // SAFETY: the item is the caller's alone, so nobody writes meanwhile.
        unsafe { item.read() }
    });
    // SAFETY: the cell held an item.
    unsafe { item.assume_init() }
}

/// Copies an item into a cell that its producer has claimed. One of the two will be used: the copy, if
/// the producer is the first to set the cell's bit (then it forgets the item), else the item.
#[inline]
pub(super) fn write<T>(cell: &Cell<T>, item: &T) {
    cell.with_mut(|place| {
        // SAFETY: the producer's claim makes the cell its own until its bit is set
        // (invariant 3 of the injector), and an empty cell needs no drop.
        unsafe { ptr::copy_nonoverlapping(item, place.cast(), 1) };
    });
}

/// Cells that share a cache line with the word that says whose they are.
#[repr(align(64))]
pub(super) struct Group<T> {
    /// One bit a cell, and two further ones; see the injector and its `reserve`.
    pub(super) decided: AtomicU32,
    pub(super) cells: [Cell<T>; GROUP],
}

/// What a segment has besides its groups.
pub(super) struct Header {
    /// How many of the positions are done with for good.
    pub(super) drained: AtomicU32,
    /// The next free segment's number plus one, while on the free list.
    next_free: AtomicU32,
}

/// What a segment is made of.
///
/// # Safety
///
/// * [`init`](Self::init) leaves its place initialized.
unsafe trait Part: Sized {
    /// So many of these, at least one.
    const EACH: usize;

    /// Makes a clean one where it stays: a group of large items would be too much for a stack.
    fn init(place: &mut MaybeUninit<Self>);
}

// SAFETY: it writes a whole one.
unsafe impl Part for CachePadded<Header> {
    const EACH: usize = 1;

    fn init(place: &mut MaybeUninit<Self>) {
        place.write(CachePadded::new(Header {
            drained: AtomicU32::new(0),
            next_free: AtomicU32::new(0),
        }));
    }
}

// SAFETY: it writes the word and each cell, and there is nothing else.
unsafe impl<T> Part for Group<T> {
    const EACH: usize = {
        let affordable = MOST_BYTES / size_of::<Self>();
        if affordable == 0 {
            1
        } else if affordable < MOST_GROUPS {
            affordable
        } else {
            MOST_GROUPS
        }
    };

    fn init(place: &mut MaybeUninit<Self>) {
        let group = place.as_mut_ptr();
        // SAFETY: in bounds of the group that is lent to us, here and below; no
        // reference is made to what is not yet initialized.
        let decided = unsafe { &raw mut (*group).decided };
        // SAFETY: valid for writes, as a part of a group that is lent to us.
        unsafe { decided.write(AtomicU32::new(0)) };
        for cell in 0..GROUP {
            // SAFETY: in bounds, as above.
            let cell = unsafe { &raw mut (*group).cells[cell] };
            // SAFETY: valid for writes, as above.
            unsafe { cell.write(UnsafeCell::new(MaybeUninit::uninit())) };
        }
    }
}

/// One part of all segments, in chunks.
struct Chunks<P: Part>([AtomicPtr<P>; ID_BITS as usize]);

impl<P: Part> Chunks<P> {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())))
    }

    /// This part of the segment there, whose number some [`Segments::take`] has returned.
    #[inline]
    fn at(&self, Located { chunk, index }: Located) -> &[P] {
        // [chunk] Acquire: the segments are made before their pointer, perhaps not by
        // the thread that the number comes from.
        let first = self.0[chunk as usize].load(Ordering::Acquire);
        debug_assert!(
            !first.is_null(),
            "numbers are handed out after their chunk is made"
        );
        // SAFETY: before `take` returned the number it saw the chunk made, the number
        // reached us through an acquire load, so the pointer is there, acquired with its
        // segments, and `index` lies in that chunk.
        let first = unsafe { first.add(index as usize * P::EACH) };
        // SAFETY: as above, and chunks live as long as `self`.
        unsafe { slice::from_raw_parts(first, P::EACH) }
    }

    /// Where that lies, for a hint: perhaps nowhere yet.
    #[inline]
    fn address(&self, Located { chunk, index }: Located) -> *const P {
        // Relaxed: nothing is read there.
        let first = self.0[chunk as usize].load(Ordering::Relaxed);
        first.wrapping_add(index as usize * P::EACH)
    }

    /// Makes a chunk, unless it is made.
    fn make(&self, chunk: usize) {
        // Relaxed: `at` acquires.
        if !self.0[chunk].load(Ordering::Relaxed).is_null() {
            return;
        }
        let mut parts = Box::new_uninit_slice(P::EACH << chunk);
        parts.iter_mut().for_each(P::init);
        // SAFETY: `init`, as its trait promises, has initialized each part.
        let made = Box::into_raw(unsafe { parts.assume_init() });
        probe!("segments take: chunk made, not installed");
        // [chunk] Release publishes the segments. Relaxed failure: `at` acquires
        // those of a thread that was faster.
        let installed = self.0[chunk].compare_exchange(
            ptr::null_mut(),
            made.cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if installed.is_err() {
            // SAFETY: ours from `into_raw` above, and shown to nobody.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

impl<P: Part> Drop for Chunks<P> {
    fn drop(&mut self) {
        for (chunk, first) in self.0.iter().enumerate() {
            // Relaxed: `&mut self`, everybody else is gone.
            let first = first.load(Ordering::Relaxed);
            if !first.is_null() {
                let all = ptr::slice_from_raw_parts_mut(first, P::EACH << chunk);
                // SAFETY: made by `Box::into_raw` in `make`, with this length.
                // The cells do not drop what they hold; the injector did that.
                drop(unsafe { Box::from_raw(all) });
            }
        }
    }
}

pub(super) struct Segments<T> {
    /// `tag << 24 | (number + 1)`, with 0 for "none".
    free: CachePadded<AtomicU64>,
    /// How many segments were ever taken fresh.
    fresh: AtomicU32,
    headers: Chunks<CachePadded<Header>>,
    groups: Chunks<Group<T>>,
}

impl<T> Segments<T> {
    /// Groups in a segment.
    pub(super) const GROUPS: usize = Group::<T>::EACH;
    /// Positions in a segment.
    pub(super) const POSITIONS: usize = GROUP * Self::GROUPS;

    pub(super) fn new() -> Self {
        Self {
            free: CachePadded::new(AtomicU64::new(0)),
            fresh: AtomicU32::new(0),
            headers: Chunks::new(),
            groups: Chunks::new(),
        }
    }

    /// The header of the segment with this number, which some [`Segments::take`] has returned.
    #[inline]
    pub(super) fn header(&self, id: u32) -> &Header {
        &self.headers.at(locate(id))[0]
    }

    /// The groups of the segment with this number, which some [`Segments::take`] has returned.
    #[inline]
    pub(super) fn groups(&self, id: u32) -> &[Group<T>] {
        self.groups_at(locate(id))
    }

    /// The groups of the segment there, whose number some [`Segments::take`] has returned.
    #[inline]
    pub(super) fn groups_at(&self, at: Located) -> &[Group<T>] {
        self.groups.at(at)
    }

    /// Where this segment's groups lie, for a hint: perhaps nowhere yet.
    #[inline]
    pub(super) fn address(&self, id: u32) -> *const Group<T> {
        self.groups.address(locate(id))
    }

    /// A clean segment: all words zero, nobody inside. `None` when there are
    /// 2^24 already.
    pub(super) fn take(&self) -> Option<u32> {
        // [free] Acquire: the segment's last user cleaned it before giving it.
        let mut free = self.free.load(Ordering::Acquire);
        while let Some(id) = (free & ID_MASK).checked_sub(1) {
            let id = id as u32;
            // Relaxed: may be old if another thread takes `id` meanwhile; then the
            // tag has grown and the compare-and-swap fails.
            let next = u64::from(self.header(id).next_free.load(Ordering::Relaxed));
            probe!("segments take: looked, not taken");
            // Relaxed on success: the tag tells that it is the value acquired before,
            // and we publish nothing by leaving. [free] Acquire on failure, as above.
            match self.free.compare_exchange_weak(
                free,
                next_tag(free) | next,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    probe!("segments take: recycled");
                    return Some(id);
                }
                Err(seen) => free = seen,
            }
            spin_loop();
        }
        self.grow()
    }

    #[cold]
    fn grow(&self) -> Option<u32> {
        // Relaxed: only the number counts, and it is handed out once.
        let id = self.fresh.fetch_add(1, Ordering::Relaxed);
        if u64::from(id) >= MAX_SEGMENTS {
            self.fresh.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let chunk = locate(id).chunk as usize;
        probe!("segments take: number drawn, chunk not made");
        self.headers.make(chunk);
        self.groups.make(chunk);
        Some(id)
    }

    /// Puts a clean segment back.
    pub(super) fn give(&self, id: u32) {
        let header = self.header(id);
        // Relaxed: a stale top fails the compare-and-swap.
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            // Relaxed: published with the segment by the compare-and-swap below.
            header
                .next_free
                .store((free & ID_MASK) as u32, Ordering::Relaxed);
            probe!("segments give: linked, not given");
            // [free] Release: the cleaning comes before the next user. (Later
            // changes of `free` are read-modify-writes and carry this on.)
            match self.free.compare_exchange_weak(
                free,
                next_tag(free) | u64::from(id + 1),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(seen) => free = seen,
            }
            spin_loop();
        }
    }

    /// How many segments are in use, for tests: none on the free list is.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        let mut used = self.fresh.load(Ordering::Acquire) as usize;
        let mut free = (self.free.load(Ordering::Acquire) & ID_MASK) as u32;
        while free != 0 {
            used -= 1;
            free = self.header(free - 1).next_free.load(Ordering::Acquire);
        }
        used
    }
}

/// Chunk and index of a segment: 0 | 1 2 | 3 4 5 6 | ...
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Located {
    chunk: u32,
    index: u32,
}

impl Located {
    /// The segment's number.
    pub(super) fn id(self) -> u32 {
        self.index + (1 << self.chunk) - 1
    }
}

#[inline]
pub(super) fn locate(id: u32) -> Located {
    let chunk = (id + 1).ilog2();
    let index = id + 1 - (1 << chunk);
    Located { chunk, index }
}

/// The tag part of the next value of `free`; it wraps after 2^40 changes.
#[inline]
fn next_tag(free: u64) -> u64 {
    (free & !ID_MASK).wrapping_add(1 << ID_BITS)
}

#[cfg(all(test, not(workcrew_loom)))]
mod tests {
    use super::*;

    #[test]
    fn segments_are_numbered_chunk_by_chunk() {
        let places = (0..7).map(locate).map(|at| (at.chunk, at.index));
        assert!(places.eq([(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)]));
        let last = MAX_SEGMENTS as u32 - 1;
        let Located { chunk, index } = locate(last);
        assert_eq!((chunk, index), (ID_BITS - 1, (1 << (ID_BITS - 1)) - 1));
        assert!((0..7).chain([last]).all(|id| locate(id).id() == id));
    }

    #[test]
    fn segments_of_large_items_have_fewer_groups() {
        assert_eq!(Segments::<()>::GROUPS, MOST_GROUPS);
        assert_eq!(Segments::<[u64; 8]>::GROUPS, MOST_GROUPS);
        // Seven items and a word of 64 bytes, in four groups.
        assert_eq!(Segments::<[u8; 1024]>::GROUPS, 4);
        assert_eq!(Segments::<[u8; 1 << 16]>::GROUPS, 1);
        assert_eq!(Segments::<[u8; 1 << 16]>::POSITIONS, GROUP);
    }

    #[test]
    fn the_tag_wraps_without_touching_the_number() {
        assert_eq!(next_tag(u64::MAX), 0);
        assert_eq!(next_tag(5), 1 << ID_BITS);
    }
}
