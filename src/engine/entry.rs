//! What a job brings along on its way to a worker: where it comes from, and when it was accepted.

#![forbid(unsafe_code)]

use super::Engine;
use crate::recorder::Stamp;
use std::mem::offset_of;

/// Which submission a job comes from: `index << 1 | follow-up`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Origin(u64);

impl Origin {
    pub(crate) fn submitted(index: u64) -> Self {
        Self(index << 1)
    }

    pub(super) fn follow_up(self) -> Self {
        Self(self.0 | 1)
    }

    /// The index that the job, or the one it descends from, was given on submission.
    pub(crate) fn index(self) -> u64 {
        self.0 >> 1
    }

    pub(crate) fn is_follow_up(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A job on its way to a worker.
#[derive(Debug)]
pub(crate) struct Entry<J> {
    pub(crate) job: J,
    pub(crate) origin: Origin,
    pub(super) accepted: Stamp,
}

impl<J> Entry<J> {
    pub(super) fn new(origin: Origin, stamped: Stamped<J>) -> Self {
        let Stamped { job, accepted } = stamped;
        Self {
            job,
            origin,
            accepted,
        }
    }

    /// A follow-up, of a job that does not matter.
    pub(super) fn orphan(stamped: Stamped<J>) -> Self {
        Self::new(Origin::submitted(0).follow_up(), stamped)
    }

    pub(super) fn counts_against_capacity(&self) -> bool {
        !self.origin.is_follow_up()
    }
}

/// Where a worker's next job lies until it runs, so that it moves no more often than it has to: some are
/// large. Who looks for a job gets it empty, fills it and says so, or leaves it empty.
pub(super) type Pocket<J> = Option<Entry<J>>;

/// A job that was found, and lies in its worker's pocket.
#[must_use = "a job is taken, and runs or is dropped"]
pub(crate) struct Picked<'a, J> {
    pocket: &'a mut Pocket<J>,
    origin: Origin,
    accepted: Stamp,
}

impl<'a, J> Picked<'a, J> {
    /// What lies in a pocket that is full.
    #[inline]
    pub(super) fn new(pocket: &'a mut Pocket<J>) -> Self {
        let &mut Some(Entry {
            origin, accepted, ..
        }) = pocket
        else {
            unreachable!("a job was found");
        };
        Self {
            pocket,
            origin,
            accepted,
        }
    }

    #[inline]
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    #[inline]
    pub(super) fn accepted(&self) -> Stamp {
        self.accepted
    }

    /// The job itself.
    #[inline(always)]
    pub(crate) fn take(self) -> J {
        self.pocket.take().expect("it was full").job
    }
}

/// A job that waits, and when it was accepted.
#[derive(Debug)]
pub(crate) struct Stamped<J> {
    pub(super) job: J,
    pub(super) accepted: Stamp,
}

/// One that is not accepted yet.
impl<J> From<J> for Stamped<J> {
    #[inline(always)]
    fn from(job: J) -> Self {
        let accepted = Stamp::default();
        Self { job, accepted }
    }
}

impl<J> Stamped<J> {
    /// The job alone.
    #[inline(always)]
    pub(crate) fn into_inner(self) -> J {
        self.job
    }

    /// Where the job lies in one that lies there.
    #[inline(always)]
    pub(crate) fn job_in(place: *mut Self) -> *mut J {
        place.wrapping_byte_add(offset_of!(Self, job)).cast()
    }
}

impl<J> Engine<J> {
    /// A job that is accepted now, if at all.
    #[inline(always)]
    pub(super) fn stamp(&self, job: J) -> Stamped<J> {
        let accepted = self.recorders.stamp();
        Stamped { job, accepted }
    }

    /// The same for many.
    #[inline(always)]
    pub(super) fn stamp_each(&self, jobs: &mut [Option<Stamped<J>>]) {
        if self.recorders.want_stamps() {
            let now = self.recorders.stamp();
            for job in jobs.iter_mut().flatten() {
                job.accepted = now;
            }
        }
    }
}
