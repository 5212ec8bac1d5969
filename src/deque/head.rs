//! The word in which a ring keeps its head: a position, and to whom it belongs.

#![forbid(unsafe_code)]

/// `position << 2 | state`, of the position's lower 62 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head(pub(super) u64);

/// Anybody claims here. The lowest bit is that of the position where the last bias ended.
const SHARED_ODD: u64 = 1;
/// Only the owner takes items, and this is where it began to.
const BIASED: u64 = 2;
/// The same, but the owner has been told to stop, and nobody has said yet where it did.
const REVOKED: u64 = 3;

const STATES: u64 = 4;

impl Head {
    /// Shared from a position on.
    pub(super) fn shared(position: u64) -> Self {
        Self(position.wrapping_mul(STATES) | position & SHARED_ODD)
    }

    #[inline]
    pub(super) fn is_shared(self) -> bool {
        self.0 & BIASED == 0
    }

    #[inline]
    pub(super) fn is_biased(self) -> bool {
        self.0 % STATES == BIASED
    }

    /// Biased from the position on where it is shared.
    pub(super) fn biased(self) -> Self {
        debug_assert!(self.is_shared(), "one bias at a time");
        Self(self.0 & !SHARED_ODD | BIASED)
    }

    pub(super) fn revoked(self) -> Self {
        Self(self.0 | REVOKED)
    }

    /// So many items were claimed.
    #[inline]
    pub(super) fn after(self, items: usize) -> Self {
        Self(self.0.wrapping_add(STATES.wrapping_mul(items as u64)))
    }

    /// Whether the last bias ended at this position; else it was the next one.
    pub(super) fn ended_at(self, position: u64) -> bool {
        debug_assert!(self.is_shared(), "the bias has ended");
        self.0 & SHARED_ODD == position & SHARED_ODD
    }

    /// How far the position is before another one that is not behind it.
    #[inline]
    pub(super) fn distance_to(self, position: u64) -> u64 {
        let distance = position
            .wrapping_mul(STATES)
            .wrapping_sub(self.0 & !REVOKED);
        debug_assert!(distance as i64 >= 0, "the position is not behind the head");
        distance / STATES
    }
}
