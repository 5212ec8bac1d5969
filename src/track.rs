//! One worker's last events: a ring that overwrites the oldest.
//!
//! **Promise.** [`Track::begin`] and [`Track::end`] are a few stores; they never wait. Neither
//! does [`Track::read`], which may be called at any time: it returns whole events, one after
//! the other without a gap, up to the last one. What is overwritten meanwhile it leaves out.
//!
//! **Layout.** Three words for an event: what it is, when it began, and when and how it
//! ended ([`OPEN`]: it has not). `begun` counts events, and event `n` lies in slot
//! `n % slots.len()`.
//!
//! **Invariants.**
//!
//! 1. One thread writes.
//! 2. `begun` is at least `n` before a word of event `n` is written. So a reader that has met
//!    such a word where it looked for event `n - slots.len()` finds that out by a second look
//!    at `begun`.
//!
//! | edge    | release side              | acquire side                | carries                       | loom model                          |
//! |---------|---------------------------|-----------------------------|-------------------------------|-------------------------------------|
//! | `begun` | [`Track::begin`], `begun` | [`Track::read`], first look | the events before             | `reader_of_a_track_sees_whole_events` |
//! | `word`  | each store of a word      | [`Track::read`], each word  | `begun` as it was before      | `reader_of_a_track_sees_whole_events` |

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};

/// The third word of an event that has not ended.
pub(crate) const OPEN: u64 = 0;

/// What it is, its beginning, its end.
pub(crate) type Words = [u64; 3];

/// What a [`Track`] holds.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) events: Vec<Words>,
    /// How many came before these.
    pub(crate) overwritten: u64,
}

#[derive(Debug)]
pub(crate) struct Track {
    begun: AtomicU64,
    slots: Box<[[AtomicU64; 3]]>,
}

impl Track {
    /// A track that shows at least the last `events`.
    pub(crate) fn new(events: usize) -> Self {
        // One slot is always about to be overwritten.
        let slots = (events + 1).next_power_of_two();
        let slot = || [OPEN; 3].map(AtomicU64::new);
        Self {
            begun: AtomicU64::new(0),
            slots: (0..slots).map(|_| slot()).collect(),
        }
    }

    fn slot(&self, event: u64) -> &[AtomicU64; 3] {
        &self.slots[event as usize & (self.slots.len() - 1)]
    }

    /// An event begins. The last one has ended.
    #[inline]
    pub(crate) fn begin(&self, what: u64, start: u64) {
        // Relaxed: only we write it.
        let event = self.begun.load(Ordering::Relaxed);
        for (slot, word) in self.slot(event).iter().zip([what, start, OPEN]) {
            // [word] Release: after the last store of `begun`.
            slot.store(word, Ordering::Release);
        }
        // [begun] Release: after these words.
        self.begun.store(event + 1, Ordering::Release);
    }

    /// The last event to begin ends.
    #[inline]
    pub(crate) fn end(&self, end: u64) {
        // Relaxed: only we write it.
        let event = self.begun.load(Ordering::Relaxed) - 1;
        // [word] Release: as in `begin`.
        self.slot(event)[2].store(end, Ordering::Release);
    }

    /// The last events.
    pub(crate) fn read(&self) -> Reading {
        let slots = self.slots.len() as u64;
        // [begun] Acquire: the words of all before are there.
        let begun = self.begun.load(Ordering::Acquire);
        let first = (begun + 1).saturating_sub(slots);
        let mut events: Vec<Words> = (first..begun)
            // [word] Acquire: before the second look.
            .map(|event| {
                self.slot(event)
                    .each_ref()
                    .map(|word| word.load(Ordering::Acquire))
            })
            .collect();
        // Relaxed: [word] if a word was that of a later event, this is at least its number.
        let now = self.begun.load(Ordering::Relaxed);
        // Event `now` may be half written: what it overwrites, and all before, is lost.
        let overwritten = (now + 1).saturating_sub(slots).max(first);
        events.drain(..events.len().min((overwritten - first) as usize));
        Reading {
            overwritten,
            events,
        }
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/track.rs"]
mod tests;
