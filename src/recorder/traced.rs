//! What a worker does, event by event, if the builder was asked to remember it.

#![forbid(unsafe_code)]

use crate::tally::Ended;
use crate::trace::encode;
use crate::track::{Reading, Track};

/// One worker's last events.
#[derive(Debug)]
pub(super) struct Events(Track);

impl Events {
    /// At least the last `wanted`.
    pub(super) fn new(wanted: usize) -> Option<Self> {
        (wanted > 0).then(|| Self(Track::new(wanted)))
    }

    #[inline]
    pub(super) fn job_begins(&self, now: u64, index: u64, is_follow_up: bool) {
        self.0.begin(encode::job(index, is_follow_up), now);
    }

    #[inline]
    pub(super) fn job_ends(&self, now: u64, ended: Ended) {
        self.0.end(encode::job_end(now, ended));
    }

    pub(super) fn takes_batch(&self, now: u64, jobs: usize) {
        self.note(now, encode::batch(jobs));
    }

    pub(super) fn steals(&self, now: u64, jobs: usize, victim: usize) {
        self.note(now, encode::steal(jobs, victim));
    }

    pub(super) fn parks(&self, now: u64) {
        self.0.begin(encode::PARK, now);
    }

    pub(super) fn wakes(&self, now: u64, by_another: bool) {
        self.0.end(encode::park_end(now, by_another));
    }

    /// Something that takes no time.
    fn note(&self, now: u64, what: u64) {
        self.0.begin(what, now);
        self.0.end(encode::end(now));
    }

    pub(super) fn read(&self) -> Reading {
        self.0.read()
    }
}
