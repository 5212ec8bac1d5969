//! One worker's durations, counted in buckets: a histogram that one thread writes.
//!
//! **Promise.** [`Durations::record`] is two loads and two stores. [`Durations::read`] may be called
//! at any time, and finds each count as it was at some moment during the call.
//!
//! **Buckets.** Up to 2 * [`EACH`] nanoseconds each number has a bucket of its own. Above, each
//! power of two has [`EACH`] of them, all of one width. So a bucket is narrower than a
//! [`EACH`]th of what is in it, and all of `u64` is in some bucket.
//!
//! **Invariants.**
//!
//! 1. One thread writes, and counts the job as ended after that.
//!
//! **Orderings.** Nothing hangs on these numbers but what is shown, so all accesses are relaxed.
//! The edge `finished` of the engine's ledgers carries them: who finds a job counted as ended finds
//! its durations here (model `durations_of_a_job_are_there_when_it_counts_as_ended`).

#![forbid(unsafe_code)]

use crate::sync::{AtomicU64, Ordering};

/// As a power of two: in so many parts an octave is divided.
const PRECISION: u32 = if cfg!(workcrew_loom) { 0 } else { 5 };

/// Buckets of one octave.
const EACH: usize = 1 << PRECISION;

/// The first two octaves' worth of numbers have one bucket each.
pub(crate) const BUCKETS: usize = (u64::BITS - PRECISION + 1) as usize * EACH;

/// Where a number of nanoseconds is counted.
#[inline]
pub(crate) fn bucket(nanos: u64) -> usize {
    let octave = (nanos | EACH as u64).ilog2() - PRECISION;
    ((octave as usize) << PRECISION) + (nanos >> octave) as usize
}

/// The longest that is counted there, in nanoseconds.
pub(crate) fn longest(bucket: usize) -> u64 {
    let octave = (bucket >> PRECISION).saturating_sub(1);
    let shortest = ((bucket - (octave << PRECISION)) as u64) << octave;
    shortest | ((1 << octave) - 1)
}

/// What [`Durations`] hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reading {
    /// How many are in each bucket.
    pub(crate) counts: Box<[u64]>,
    /// In nanoseconds.
    pub(crate) sum: u64,
}

#[derive(Debug)]
pub(crate) struct Durations {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Durations {
    pub(crate) fn new() -> Self {
        Self {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts one. Called by the one writer.
    #[inline]
    pub(crate) fn record(&self, nanos: u64) {
        // Relaxed, all: our own values, carried by the ledger (see the page).
        add(&self.counts[bucket(nanos)], 1);
        add(&self.sum, nanos);
    }

    /// All up to now.
    pub(crate) fn read(&self) -> Reading {
        // Relaxed, all: see the page.
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Reading {
            counts: self.counts.iter().map(get).collect(),
            sum: get(&self.sum),
        }
    }
}

/// Adds to a number that only the calling thread writes, up to the greatest.
#[inline]
fn add(number: &AtomicU64, amount: u64) {
    let sum = number.load(Ordering::Relaxed).saturating_add(amount);
    number.store(sum, Ordering::Relaxed);
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../tests/unit/durations.rs"]
mod tests;
