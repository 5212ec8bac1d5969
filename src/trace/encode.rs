//! An event in three words: see [`Track`](crate::track::Track).
//!
//! | event | first word, above two bits that tell which | two bits below the time of its end |
//! |---|---|---|
//! | job | index, a bit for follow-ups | how it ended |
//! | batch | jobs | |
//! | steal | jobs, 16 bits for the victim | |
//! | park | | whether another thread woke the worker |

#![forbid(unsafe_code)]

use super::TraceKind;
use crate::tally::Ended;
use crate::track::{OPEN, Words};

const KINDS: u64 = 0b11;
const JOB: u64 = 0;
const BATCH: u64 = 1;
const STEAL: u64 = 2;
pub(crate) const PARK: u64 = 3;

#[inline]
pub(crate) fn job(index: u64, is_follow_up: bool) -> u64 {
    (index << 1 | u64::from(is_follow_up)) << 2 | JOB
}

pub(crate) fn batch(jobs: usize) -> u64 {
    (jobs as u64) << 2 | BATCH
}

pub(crate) fn steal(jobs: usize, victim: usize) -> u64 {
    ((jobs as u64) << 16 | victim as u64) << 2 | STEAL
}

/// The end of what has but one. No clock shows 0, so it is not [`OPEN`].
#[inline]
pub(crate) fn end(time: u64) -> u64 {
    time << 2
}

#[inline]
pub(crate) fn job_end(time: u64, ended: Ended) -> u64 {
    let how = match ended {
        Ended::Completed => 0,
        Ended::Panicked => 1,
        Ended::Cancelled => 2,
    };
    end(time) | how
}

pub(crate) fn park_end(time: u64, by_another: bool) -> u64 {
    end(time) | u64::from(by_another)
}

/// What it was, and by the clock when it began and ended.
pub(crate) fn decode([what, start, end]: Words) -> (TraceKind, u64, Option<u64>) {
    let (detail, how) = (what >> 2, end & KINDS);
    let kind = match what & KINDS {
        JOB => TraceKind::Job {
            index: detail >> 1,
            follow_up: detail & 1 == 1,
            ended: (end != OPEN).then_some(match how {
                0 => Ended::Completed,
                1 => Ended::Panicked,
                _ => Ended::Cancelled,
            }),
        },
        BATCH => TraceKind::Batch { jobs: detail },
        STEAL => TraceKind::Steal {
            jobs: detail >> 16,
            victim: detail as usize & 0xffff,
        },
        _ => TraceKind::Park { woken: how == 1 },
    };
    (kind, start, (end != OPEN).then_some(end >> 2))
}
