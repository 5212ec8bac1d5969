//! Waiting as a task does: for room, and for the end.
//!
//! A worker's thread never waits for its own pool, by whatever means: who polls there and
//! would have to wait gets `WouldDeadlock`, for else `block_on` in a job would never return.

#![forbid(unsafe_code)]

use super::{Engine, Refused, is_inside, try_job};
use crate::error::WaitError;
use crate::gate::{Gate, Turn};
use std::future::{self, Future};
use std::task::{Poll, Waker};

/// Stands in line at a gate, until it is dropped.
struct InLine<'a, J> {
    engine: &'a Engine<J>,
    gate: &'a Gate,
    turn: Turn,
}

impl<J> Drop for InLine<'_, J> {
    fn drop(&mut self) {
        self.engine.leave_line(self.gate, &mut self.turn);
    }
}

/// A job that is submitted as soon as there is room.
pub(crate) struct Candidate<'a, J> {
    job: Option<J>,
    place: InLine<'a, J>,
}

impl<'a, J> Candidate<'a, J> {
    pub(crate) fn new(engine: &'a Engine<J>, job: J) -> Self {
        let place = InLine {
            engine,
            gate: &engine.room,
            turn: Turn::default(),
        };
        let job = Some(job);
        Self { job, place }
    }

    /// # Panics
    ///
    /// If it has been ready.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<u64, Refused<J>>> {
        let Self { job, place } = self;
        assert!(job.is_some(), "polled again after it was ready");
        place.engine.poll_submit(job, &mut place.turn, waker)
    }

    /// The job, if it is not submitted.
    pub(crate) fn into_job(self) -> Option<J> {
        self.job
    }
}

impl<J> Engine<J> {
    /// Accepts the job that is there if there is room, or leaves the waker in line.
    pub(crate) fn poll_submit(
        &self,
        job: &mut Option<J>,
        turn: &mut Turn,
        waker: &Waker,
    ) -> Poll<Result<u64, Refused<J>>> {
        // In a forked child the line is the parent's, and so may be its lock.
        if self.is_forked() || is_inside(self.key) {
            let tried = try_job(job, |job| self.try_submit(job));
            return Poll::Ready(match (tried, job.take()) {
                (Some(result), _) => result,
                (None, Some(job)) => Err(Refused::WouldDeadlock(job)),
                (None, None) => unreachable!("the job is either tried or kept"),
            });
        }
        let look = || try_job(job, |job| self.try_submit(job));
        self.room.poll(turn, waker, look)
    }

    /// Leaves the line of those that wait for room.
    pub(crate) fn leave_room(&self, turn: &mut Turn) {
        self.leave_line(&self.room, turn);
    }

    fn leave_line(&self, gate: &Gate, turn: &mut Turn) {
        if !self.is_forked() {
            gate.leave_line(turn);
        }
    }

    /// As [`Engine::wait_idle`].
    pub(crate) fn idle_async(&self) -> impl Future<Output = Result<(), WaitError>> {
        self.wait_async(|| self.is_idle())
    }

    /// As [`Engine::wait_for_threads_timeout`], however long it takes.
    pub(crate) fn threads_async(&self) -> impl Future<Output = Result<(), WaitError>> {
        self.wait_async(|| self.have_threads_ended())
    }

    async fn wait_async(&self, look: impl Fn() -> bool) -> Result<(), WaitError> {
        let mut place = InLine {
            engine: self,
            gate: &self.ended,
            turn: Turn::default(),
        };
        future::poll_fn(|context| {
            if let Err(error) = self.check_can_wait() {
                return Poll::Ready(Err(error));
            }
            let InLine { gate, turn, .. } = &mut place;
            gate.poll(turn, context.waker(), || look().then_some(Ok(())))
        })
        .await
    }
}
