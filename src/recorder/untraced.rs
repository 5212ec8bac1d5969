//! Without the feature `trace`, what a worker does is not remembered.

#![forbid(unsafe_code)]

use crate::tally::Ended;

/// There are none.
#[derive(Debug)]
pub(super) enum Events {}

impl Events {
    pub(super) fn new(_wanted: usize) -> Option<Self> {
        None
    }

    pub(super) fn job_begins(&self, _now: u64, _index: u64, _is_follow_up: bool) {
        match *self {}
    }

    pub(super) fn job_ends(&self, _now: u64, _ended: Ended) {
        match *self {}
    }

    pub(super) fn takes_batch(&self, _now: u64, _jobs: usize) {
        match *self {}
    }

    pub(super) fn steals(&self, _now: u64, _jobs: usize, _victim: usize) {
        match *self {}
    }

    pub(super) fn parks(&self, _now: u64) {
        match *self {}
    }

    pub(super) fn wakes(&self, _now: u64, _by_another: bool) {
        match *self {}
    }
}
