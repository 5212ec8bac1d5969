//! A submitter's lane: places that one submitter has reserved in the queue.
//!
//! It is no second queue. A lane's jobs lie in the injector like all others, so workers find
//! them, capacity counts them, and closing, cancelling and handing back reach them as ever. All
//! that a lane has of its own is a [`Reserve`] (see there for the protocol), which
//! makes the next few submissions cheaper.
//!
//! **What is between reserving and using a place.** A submission into a reserved place comes
//! after that moment only: it asks whether the queue has been closed, and whether
//! [`Engine::cancel_all`] has passed the index by, in which case the place is left. If either
//! comes after it has asked, it was under way, and both hold for it as for any other: a
//! closed queue's consumers take the job or poison its place, and [`Engine::is_drained`] waits
//! for one of these.

#![forbid(unsafe_code)]

use super::{Engine, Refused, Stamped};
use crate::injector::{Rejected, Reserve};
use crate::probe::probe;
use std::time::Instant;

/// At most one place in so many is reserved by one lane beside the one that it fills, so that
/// a submitter which is suspended on the way there keeps others from few places.
const SHARE: usize = if cfg!(workcrew_loom) { 1 } else { 8 };

/// So many submissions go without a reserve after one that was taken away: either there is
/// little room, or the crew is at this submitter's heels.
const MODEST: u32 = if cfg!(workcrew_loom) { 0 } else { 64 };

/// What one submitter has reserved. [`Engine::leave_lane`] gives it back.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    reserve: Reserve,
    /// Submissions that go without.
    modest: u32,
}

impl Lane {
    /// How many submissions have a place already.
    pub(crate) fn len(&self) -> usize {
        self.reserve.len()
    }
}

impl<J> Engine<J> {
    /// As [`Engine::try_submit`].
    #[inline]
    pub(crate) fn try_submit_in(&self, lane: &mut Lane, mut job: J) -> Result<u64, Rejected<J>> {
        if !lane.reserve.is_empty() && !self.is_forked() {
            if self.injector.is_closed() {
                return Err(Rejected::Closed(job));
            }
            if self.recalls.covers(lane.reserve.next()) {
                self.injector.leave(&mut lane.reserve);
            } else {
                let stamped = self.stamp(job);
                match self.injector.push_reserved(&mut lane.reserve, stamped) {
                    Ok(index) => {
                        probe!("engine lane: published, crew not told");
                        self.idle.notify();
                        return Ok(index);
                    }
                    Err(back) => {
                        job = back.into_inner();
                        lane.modest = MODEST;
                    }
                }
            }
        }
        self.reserve_and_submit(lane, job)
    }

    /// Without a reserved place.
    #[inline(never)]
    fn reserve_and_submit(&self, lane: &mut Lane, job: J) -> Result<u64, Rejected<J>> {
        if lane.modest > 0 {
            lane.modest -= 1;
            return self.try_submit(job);
        }
        if self.is_forked() {
            return Err(Rejected::Closed(job));
        }
        let most = 1 + self.capacity() / SHARE;
        let pushed =
            self.injector
                .push_and_reserve(&mut lane.reserve, self.stamp(job), |position, want| {
                    let want = want.min(most);
                    match self.admits(position, want) {
                        all if all == want => all,
                        // The last places are for jobs.
                        some => some.min(1),
                    }
                });
        match &pushed {
            Ok(_) => {
                probe!("engine lane: reserved, nobody told");
                self.idle.notify();
                if lane.len() > 0 {
                    // Who was refused while these places were not yet marked may take them.
                    self.room.notify(lane.len());
                }
            }
            Err(Rejected::Full(_)) => self.contest(),
            Err(Rejected::Closed(_)) => {}
        }
        pushed.map_err(|rejected| rejected.map(Stamped::into_inner))
    }

    /// As [`Engine::submit`].
    #[inline]
    pub(crate) fn submit_in(
        &self,
        lane: &mut Lane,
        job: J,
        deadline: Option<Instant>,
    ) -> Result<u64, Refused<J>> {
        match self.try_submit_in(lane, job) {
            Ok(index) => Ok(index),
            Err(Rejected::Closed(job)) => Err(Refused::Closed(job)),
            Err(Rejected::Full(job)) => {
                self.submit_later(job, deadline, |job| self.try_submit_in(lane, job))
            }
        }
    }

    /// Gives up what the lane has reserved.
    pub(crate) fn leave_lane(&self, lane: &mut Lane) {
        self.injector.leave(&mut lane.reserve);
    }
}
