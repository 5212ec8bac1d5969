//! Without the feature `histograms`, how long jobs wait and run is not measured.

#![forbid(unsafe_code)]

use crate::tally::Ended;
use quanta::Clock;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp(());

/// It makes no job larger.
const _: () = assert!(size_of::<Stamp>() == 0);

#[derive(Debug, Default)]
pub(super) struct Stamps(());

impl Stamps {
    pub(super) fn new(_clock: &Clock, _wanted: bool) -> Self {
        Self(())
    }

    #[inline(always)]
    pub(super) fn are_wanted(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn now(&self) -> Stamp {
        Stamp(())
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begun(());

impl Begun {
    #[inline(always)]
    pub(super) fn new(_accepted: Stamp, _at: u64) -> Self {
        Self(())
    }
}

/// There are none.
#[derive(Debug)]
pub(super) enum Times {}

impl Times {
    pub(super) fn new(_wanted: bool) -> Option<Self> {
        None
    }

    #[inline(always)]
    pub(super) fn record(&self, _clock: &Clock, _job: Begun, _end: u64, _ended: Ended) {
        match *self {}
    }
}
