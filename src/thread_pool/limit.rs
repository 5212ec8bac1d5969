//! At most so many of some jobs at a time.
//!
//! **Promise.** Between [`Limiter::take`] and [`Limiter::end`] there are never more jobs than
//! the limit. While there are fewer, no job that was added lies idle: there is a permit on its
//! way to it. Nobody blocks: what is over the limit waits in the queue. With a limit of one,
//! each job sees what those before it did.
//!
//! **Parts.** `jobs`: the queue. `under_way`: the jobs that were added and have not ended. A
//! [`Permit`] is the right to take one job; whoever has it brings it to a thread that may run
//! one.
//!
//! **Transitions.**
//!
//! * add: pushes the job, then `under_way + 1`. Below the limit that makes a new permit.
//! * take: takes the oldest job.
//! * end: `under_way - 1`. Above the limit the permit is kept, for a job that waits; else it
//!   is gone.
//!
//! **Invariants.**
//!
//! 1. `min(under_way, limit)` permits are out: each transition changes both alike, in one
//!    read-modify-write.
//! 2. For each permit that has not taken a job there is one in the queue: jobs are pushed
//!    before they are counted.
//!
//! A thread that is suspended with a permit keeps that, and one job. The others go on.
//!
//! | edge        | release side              | acquire side                         | carries              | loom model                                                    |
//! |-------------|---------------------------|--------------------------------------|----------------------|---------------------------------------------------------------|
//! | `under_way` | [`Limiter::add`]          | [`Limiter::end`]                     | the job in the queue | `job_over_the_limit_gets_a_permit`                            |
//! | `turn`      | [`Limiter::end`]          | [`Limiter::add`], [`Limiter::end`]   | what jobs did before | `jobs_under_a_limit_of_one_take_turns`                        |

#![forbid(unsafe_code)]

use crate::injector::Injector;
use crate::probe::probe;
use crate::sync::{AtomicUsize, Ordering};

/// Jobs of which only so many run at a time.
pub(crate) struct Limiter<J> {
    jobs: Injector<J>,
    under_way: AtomicUsize,
    limit: usize,
}

/// The right to take one job.
#[must_use = "a permit that is dropped is lost for ever"]
#[derive(Debug)]
pub(crate) struct Permit(());

impl<J> Limiter<J> {
    /// `limit` is at least one.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            jobs: Injector::unbounded(),
            under_way: AtomicUsize::new(0),
            limit,
        }
    }

    /// Queues a job. The permit, if one comes of it, is for any job of the queue.
    ///
    /// # Errors
    ///
    /// Hands the job back if millions wait.
    pub(crate) fn add(&self, job: J) -> Result<Option<Permit>, J> {
        self.jobs.add(job)?;
        probe!("limit add: queued, not counted");
        // [under_way] Release: who gets a permit for the job finds it in the queue.
        // [turn] Acquire: if we make a permit, its job sees what those before it did.
        let before = self.under_way.fetch_add(1, Ordering::AcqRel);
        Ok((before < self.limit).then_some(Permit(())))
    }

    /// Takes the oldest job.
    pub(crate) fn take(&self, _permit: &Permit) -> J {
        let taken = self.jobs.pop_one();
        taken.expect("there is a job for each permit (invariant 2)")
    }

    /// The job that was taken has ended. Returns the permit if another job waits for it.
    pub(crate) fn end(&self, permit: Permit) -> Option<Permit> {
        // [under_way] Acquire: see `add`.
        // [turn] Release: what the job did is seen by those after it; the others' share
        // passes through the read-modify-writes.
        let before = self.under_way.fetch_sub(1, Ordering::AcqRel);
        (before > self.limit).then_some(permit)
    }
}
