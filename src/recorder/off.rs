//! Nothing is recorded.

#![forbid(unsafe_code)]

use crate::tally::Ended;
use std::marker::PhantomData;

/// What a builder was asked to record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes(());

impl Wishes {
    pub(crate) fn exceed(self, _capacity: usize) -> bool {
        false
    }
}

/// When a job was accepted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(());

/// A crew's recorders.
#[derive(Debug, Default)]
pub(crate) struct Recorders(());

impl Recorders {
    pub(crate) fn new(_workers: usize, _wishes: Wishes) -> Self {
        Self(())
    }

    pub(crate) fn of(&self, _worker: usize) -> Recorder<'_> {
        Recorder(PhantomData)
    }

    #[inline(always)]
    pub(crate) fn want_stamps(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(())
    }

    #[inline(always)]
    pub(crate) fn nest(
        &self,
        _worker: usize,
        _accepted: Stamp,
        run: impl FnOnce() -> Ended,
    ) -> Ended {
        run()
    }
}

/// One worker's recorder.
#[derive(Debug)]
pub(crate) struct Recorder<'a>(PhantomData<&'a Recorders>);

impl Recorder<'_> {
    #[inline(always)]
    pub(crate) fn job_begins(&mut self, _index: u64, _is_follow_up: bool, _accepted: Stamp) {}

    #[inline(always)]
    pub(crate) fn job_ends(&mut self, _ended: Ended) {}

    #[inline(always)]
    pub(crate) fn looks_elsewhere(&mut self) {}

    #[inline(always)]
    pub(crate) fn takes_batch(&mut self, _jobs: usize) {}

    #[inline(always)]
    pub(crate) fn steals(&mut self, _jobs: usize, _victim: usize) {}

    #[inline(always)]
    pub(crate) fn parks(&mut self) {}

    #[inline(always)]
    pub(crate) fn wakes(&mut self, _by_another: bool) {}
}
