//! Reserved places: what a producer that pushes one by one claims ahead.
//!
//! **Promise.** Who reserves claims several places by one compare-and-swap on `tail`, and
//! then pushes each item by one on a word that hardly anybody else writes. Everything that
//! holds for other items holds for these. Nobody waits for a reserved place: a consumer
//! poisons it like any other, and a producer that finds no room takes it back. So a producer
//! that is suspended for ever, or forgets its [`Reserve`], costs others one segment of memory
//! and no room.
//!
//! **Layout.** The places of one reserve lie in one group. Its word has two further bits for
//! each cell, *reserved* and *void*, so a cell has these states (D: decided):
//!
//! | bits | the cell |
//! |------|----------|
//! | R    | is reserved, and free |
//! | R D  | has an item, or was poisoned by a consumer |
//! | R V  | was taken back; its owner does not know yet |
//! | V    | was taken back, and its owner is done with it |
//! | V D, R V D | was passed over by a consumer too |
//!
//! **Transitions.**
//!
//! * reserve (producer): claims places of one group, publishes an item in the first and sets R
//!   for the others, in one step.
//! * push (owner): D, if neither D nor V is set.
//! * poison (consumer): D, as ever. Where V is set it *passes over* what is void already.
//! * reclaim (a producer that found no room): V where R is set, and neither D nor V.
//! * leave (owner): R off, and V on where D is not set.
//!
//! **Counting.** A void cell has two visitors, its owner and the consumer that passes it over.
//! The later one counts it: the owner if it finds D set, the consumer if it finds R clear. (A
//! poisoned cell is counted by its producer, as ever.)
//!
//! **Why room is exact.** Reserved places count as waiting, void ones do not:
//! [`Injector::reclaim`] tells how many there are. A void place stays void until the head has
//! passed it. So `head` plus the void places behind it never falls, and a limit that was made of
//! these stays right. Each claim's first place has an item, or the head has passed it; so there
//! are at most [`GROUP`] times as many positions between head and tail as items.
//!
//! **Late visitors.** A segment is recycled when the head has passed all of it, and each cell's
//! bit D was set by then. So whoever looks at a group without a claim on it reads the head
//! afterwards, and leaves out what it has passed. A late reclaim takes back what is reserved and
//! free at that moment, wherever it lies: harmless.
//!
//! | edge   | release side                  | acquire side                  | carries                             | loom model                         |
//! |--------|-------------------------------|-------------------------------|-------------------------------------|------------------------------------|
//! | `left` | [`Injector::leave`], word     | [`Injector::settle`], word    | that the owner is done with the cell | `owner_leaves_beside_a_consumer`  |
//! | `seen` | every change of a group's word by a producer | [`Injector::vacant`], [`Injector::reclaim`], word | a head that has passed the word's last use | `late_look_at_a_recycled_group`, `reclaim_takes_back_from_a_later_use`, `reclaim_finds_a_later_use_taken_back` |

#![forbid(unsafe_code)]

use super::segments::{GROUP, Located, RESERVED, VOID, bits, locate, write};
use super::{Injector, Rejected, age, id_of};
use crate::probe::probe;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering, spin_loop};
use crossbeam_utils::CachePadded;
use std::mem::ManuallyDrop;

/// Places that one producer has claimed ahead and not used, in order.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    /// Where they lie.
    segment: Located,
    group: u32,
    cell: u32,
    left: u32,
    /// The position of the next one.
    next: u64,
}

impl Reserve {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.left as usize
    }

    /// The position of the next item.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Their bits in the group's word.
    fn bits(&self) -> u32 {
        bits(self.cell as usize, self.len())
    }

    fn use_one(&mut self) {
        self.cell += 1;
        self.left -= 1;
        self.next += 1;
    }
}

/// What a queue remembers of all reserves.
pub(super) struct Reserves {
    /// Whether a producer has ever reserved places.
    any: AtomicBool,
    /// All positions before this one are decided and not void, or the head has passed them.
    decided: CachePadded<AtomicU64>,
}

impl Reserves {
    /// Of a queue whose first position is `start`.
    pub(super) fn new(start: u64) -> Self {
        Self {
            any: AtomicBool::new(false),
            decided: CachePadded::new(AtomicU64::new(start)),
        }
    }
}

/// The bits of a group's first cell without which it is its owner's to use.
const TAKEN: u32 = 1 | 1 << VOID;

impl<T> Injector<T> {
    /// A queue for at most `capacity` waiting items, whose producers may reserve places.
    pub(crate) fn with_reserves(capacity: usize) -> Self {
        Self::bounded(capacity.saturating_mul(GROUP))
    }

    /// As [`Injector::push`], and claims places ahead into an empty `reserve`: as many as
    /// `admits` says, of the same group.
    ///
    /// # Errors
    ///
    /// As [`Injector::push`].
    pub(crate) fn push_and_reserve(
        &self,
        reserve: &mut Reserve,
        item: T,
        mut admits: impl FnMut(u64, usize) -> usize,
    ) -> Result<u64, Rejected<T>> {
        // Relaxed: [tail] the claim's release store publishes it.
        if !self.reserves.any.load(Ordering::Relaxed) {
            self.reserves.any.store(true, Ordering::Relaxed);
        }
        let item = ManuallyDrop::new(item);
        loop {
            let claim = self.claim(GROUP, |position, want| {
                admits(position, want.min(GROUP - Self::place(position).1))
            });
            let (position, segment, count) = match claim {
                Ok(claim) => claim,
                Err(rejected) => return Err(rejected.of(item)),
            };
            probe!("injector reserve: claimed, not written");
            let (group, cell) = Self::place(position);
            debug_assert!(reserve.is_empty(), "leave it first");
            *reserve = Reserve {
                segment: locate(segment),
                group: group as u32,
                cell: cell as u32,
                left: count as u32,
                next: position,
            };
            reserve.use_one();
            let ahead = reserve.bits() << RESERVED;
            if self.publish(segment, position, &item, ahead) {
                return Ok(position);
            }
            self.leave(reserve);
            spin_loop();
        }
    }

    /// Adds an item at the next reserved place; returns its position. Wait-free: a retry means
    /// that another cell of the group has changed.
    ///
    /// # Errors
    ///
    /// Hands the item back if somebody took the place away. Then the reserve is empty.
    #[inline]
    pub(crate) fn push_reserved(&self, reserve: &mut Reserve, item: T) -> Result<u64, T> {
        debug_assert!(!reserve.is_empty());
        let position = reserve.next;
        let group = &self.segments.groups_at(reserve.segment)[reserve.group as usize];
        let cell = &group.cells[reserve.cell as usize];
        // Relaxed: bits are set only once, and an old word fails the compare-and-swap.
        let mut seen = group.decided.load(Ordering::Relaxed);
        if seen & TAKEN << reserve.cell != 0 {
            self.leave(reserve);
            return Err(item);
        }
        let item = ManuallyDrop::new(item);
        write(cell, &item);
        probe!("injector reserve: written, not published");
        // [cell] Release: the item comes before its bit. Relaxed failure: only bits are
        // used.
        while let Err(now) = group.decided.compare_exchange(
            seen,
            seen | 1 << reserve.cell,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            seen = now;
            if seen & TAKEN << reserve.cell != 0 {
                // The item is ours still: who decides a reserved cell first, or makes it void,
                // leaves it as it is (invariant 3 of the injector).
                self.leave(reserve);
                return Err(ManuallyDrop::into_inner(item));
            }
        }
        reserve.use_one();
        Ok(position)
    }

    /// Gives up the places that are left in a reserve.
    #[cold]
    pub(crate) fn leave(&self, reserve: &mut Reserve) {
        let Reserve { segment, group, .. } = *reserve;
        let mine = reserve.bits();
        *reserve = Reserve::default();
        if mine == 0 {
            return;
        }
        let word = &self.segments.groups_at(segment)[group as usize].decided;
        // Relaxed: an old word fails the compare-and-swap.
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let left = seen & !(mine << RESERVED) | (mine & !seen) << VOID;
            probe!("injector leave: looked, not left");
            // [left] Release: our visit is over, for the consumer that counts the cell.
            // Relaxed failure: only bits are used.
            match word.compare_exchange_weak(seen, left, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
            spin_loop();
        }
        probe!("injector leave: left, not counted");
        self.count(segment.id(), (seen & mine).count_ones());
    }

    /// For a producer that finds no room: takes back the reserved places from `head` to `tail`.
    /// Returns how many of these are void, but for those that the head has passed.
    ///
    /// A place that is decided and not void stays so until the head has passed it. So no walk begins
    /// before the first position that an earlier one saw otherwise: where nothing is void, and every
    /// push is finished, all of them together look at each group once. (A void place counts until
    /// the caller sees a head beyond it, decided or not.)
    #[cold]
    pub(crate) fn reclaim(&self, head: u64, tail: u64) -> u64 {
        // Relaxed: what it says stays true, so an old one costs looks.
        let from = self.reserves.decided.load(Ordering::Relaxed).max(head);
        let mut decided = from;
        let mut in_row = true;
        let void = self.walk(from, tail, |word, mine| {
            // [seen] Acquire: see `vacant`.
            let mut seen = word.load(Ordering::Acquire);
            loop {
                let free = seen >> RESERVED & !(seen >> VOID) & !seen & mine;
                if free == 0 {
                    break;
                }
                probe!("injector reclaim: looked, not taken back");
                // [seen] Acquire on failure, and on success too: the word of a later use may
                // look like the one that was seen. No release: the owner learns that the place
                // is not its own any more, and the cell is as it left it. (A read-modify-write,
                // so it carries on what others have released.)
                match word.compare_exchange_weak(
                    seen,
                    seen | free << VOID,
                    Ordering::Acquire,
                    Ordering::Acquire,
                ) {
                    Ok(_) => seen |= free << VOID,
                    Err(now) => seen = now,
                }
            }
            if in_row {
                // (Groups that the head has passed are left out: so this is no further than it
                // might be.)
                let open = mine & (!seen | seen >> VOID);
                let end = open.trailing_zeros().min(u32::BITS - mine.leading_zeros());
                decided += u64::from(end - mine.trailing_zeros());
                in_row = open == 0;
            }
            seen >> VOID & mine
        });
        if decided > from {
            // Hint: spares the next walk what this one has seen.
            self.reserves.decided.store(decided, Ordering::Relaxed);
        }
        void
    }

    /// How many positions from `from` to `to`, and not passed by the head, are reserved or void:
    /// no item was ever pushed there.
    ///
    /// Each was without an item at the beginning of the call, and a void one has none for ever.
    #[cold]
    pub(crate) fn vacant(&self, from: u64, to: u64) -> u64 {
        self.walk(from, to, |word, mine| {
            // [seen] Acquire: if the word tells of a later use of its memory, we see a head
            // beyond all positions of this one.
            let seen = word.load(Ordering::Acquire);
            (seen >> RESERVED | seen >> VOID) & !seen & mine
        })
    }

    /// Whether no item was ever pushed at this position below the tail, nor has the head
    /// passed it.
    pub(crate) fn is_vacant(&self, position: u64) -> bool {
        self.reserves() && self.vacant(position, position + 1) > 0
    }

    /// How many positions were given to items, or are claimed for some.
    pub(crate) fn given(&self) -> u64 {
        let tail = self.tail();
        if self.reserves() {
            tail - self.vacant(self.head(), tail)
        } else {
            tail
        }
    }

    /// Whether a producer has ever reserved places. Asked by who has seen the tail.
    #[inline]
    pub(crate) fn reserves(&self) -> bool {
        // Relaxed: [tail] has brought it, if there are any below that tail.
        self.reserves.any.load(Ordering::Relaxed)
    }

    /// Lets `look` tell, group by group, which of these cells count. Returns how many that are,
    /// but for those that the head has passed. The caller has seen a tail that is not before `to`.
    fn walk(&self, from: u64, to: u64, mut look: impl FnMut(&AtomicU32, u32) -> u32) -> u64 {
        let mut sum = 0;
        let mut position = if self.reserves() { from } else { to };
        while position < to {
            let number = position / Self::SEGMENT as u64;
            // Relaxed: the tail has brought it, with the clean segment.
            let entry = self.entry(number).load(Ordering::Relaxed);
            let (group, cell) = Self::place(position);
            let in_group = (GROUP - cell).min((to - position) as usize);
            // Of another age: the head has passed it.
            if age(entry, number) == 0 {
                let word = &self.segments.groups(id_of(entry))[group].decided;
                let counted = look(word, bits(cell, in_group));
                probe!("injector walk: looked, head not read");
                let passed = self.head().saturating_sub(position).min(in_group as u64);
                let there = counted & !bits(cell, passed as usize);
                sum += u64::from(there.count_ones());
            }
            position += in_group as u64;
        }
        sum
    }
}
