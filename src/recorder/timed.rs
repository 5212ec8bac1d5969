//! How long jobs wait and run is measured, if the builder was asked for it.
//!
//! A wait begins in one thread and ends in another, whose clock may be some nanoseconds behind:
//! what would be less than nothing is nothing ([`Clock::delta_as_nanos`]).

#![forbid(unsafe_code)]

use crate::durations::Durations;
use crate::histogram::{Histogram, Histograms};
use crate::tally::Ended;
use quanta::Clock;

/// When a job was accepted, by the clock; nothing, if that is not measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(u64);

/// Stamps jobs.
#[derive(Debug, Default)]
pub(super) struct Stamps(Option<Clock>);

impl Stamps {
    pub(super) fn new(clock: &Clock, wanted: bool) -> Self {
        Self(wanted.then(|| clock.clone()))
    }

    #[inline(always)]
    pub(super) fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    #[inline(always)]
    pub(super) fn now(&self) -> Stamp {
        match &self.0 {
            Some(clock) => Stamp(clock.raw()),
            None => Stamp::default(),
        }
    }
}

/// A job that has begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begun {
    accepted: Stamp,
    at: u64,
}

impl Begun {
    pub(super) fn new(accepted: Stamp, at: u64) -> Self {
        Self { accepted, at }
    }
}

/// One worker's durations.
#[derive(Debug)]
pub(super) struct Times {
    waits: Durations,
    runs: Durations,
}

impl Times {
    pub(super) fn new(wanted: bool) -> Option<Self> {
        wanted.then(|| Self {
            waits: Durations::new(),
            runs: Durations::new(),
        })
    }

    /// A job has ended, before it is counted so.
    #[inline]
    pub(super) fn record(&self, clock: &Clock, job: Begun, end: u64, ended: Ended) {
        if ended != Ended::Cancelled {
            self.waits
                .record(clock.delta_as_nanos(job.accepted.0, job.at));
            self.runs.record(clock.delta_as_nanos(job.at, end));
        }
    }

    pub(super) fn read(&self) -> Histograms {
        Histograms {
            queue_wait: Histogram::new(self.waits.read()),
            run_time: Histogram::new(self.runs.read()),
        }
    }
}
