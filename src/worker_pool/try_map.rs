//! All results of an iterator's jobs, or the first failure.

#![forbid(unsafe_code)]

use super::map::{Feed, InFlight};
use super::{Handle, JobError, Outcome, Results};
use crate::carried::Carried;
use crate::error::{Failure, TryMapError, Unsubmitted};

/// What comes of a job here.
type Tried<T, E> = Outcome<Result<T, E>>;

/// Everything that has come, job by job. Indices grow from front to back, since one thread
/// submits: so a job's place is its position in the input.
struct Gathered<T, E> {
    jobs: Vec<(u64, Option<Tried<T, E>>)>,
    /// How many of them have no outcome.
    missing: usize,
    /// The position of the first job that was seen to fail.
    failed: Option<usize>,
    /// Outcomes of follow-ups and of others' jobs.
    others: Vec<Tried<T, E>>,
}

impl<T, E> InFlight<Result<T, E>> for Gathered<T, E> {
    fn len(&self) -> usize {
        self.missing
    }

    fn missing(&self) -> impl Iterator<Item = u64> {
        let missing = self.jobs.iter().filter(|(_, outcome)| outcome.is_none());
        missing.map(|(index, _)| *index)
    }

    fn submitted(&mut self, index: u64) {
        self.jobs.push((index, None));
        self.missing += 1;
    }

    /// Keeps them all.
    fn arrived(&mut self, outcome: Tried<T, E>) -> Option<Tried<T, E>> {
        let own = self
            .jobs
            .binary_search_by_key(&outcome.index, |(index, _)| *index);
        match own {
            Ok(position) if !outcome.follow_up => {
                if self.failed.is_none() && !matches!(outcome.result, Ok(Ok(_))) {
                    self.failed = Some(position);
                }
                self.jobs[position].1 = Some(outcome);
                self.missing -= 1;
            }
            _ => self.others.push(outcome),
        }
        None
    }

    fn next(&mut self) -> Option<Tried<T, E>> {
        None
    }

    fn give_up(&mut self) -> Option<Tried<T, E>> {
        self.others.pop().or_else(|| {
            while let Some((_, outcome)) = self.jobs.pop() {
                if outcome.is_some() {
                    return outcome;
                }
            }
            None
        })
    }
}

/// See [`WorkerPool::try_map`](crate::WorkerPool::try_map).
pub(super) fn try_map<I, T, E>(
    handle: &Handle<I::Item, Result<T, E>>,
    results: &mut Results<Result<T, E>>,
    jobs: I,
) -> Result<Vec<T>, TryMapError<I, T, E>>
where
    I: Iterator,
    I::Item: Send,
    T: Send,
    E: Send,
{
    let gathered = Gathered {
        jobs: Vec::new(),
        missing: 0,
        failed: None,
        others: Vec::new(),
    };
    let mut feed = Feed::new(handle, results, jobs, gathered);
    let mut failed = false;
    while let Some(outcome) = feed.take() {
        // None comes back: it keeps them all.
        let _ = feed.in_flight.arrived(outcome);
        if !failed && feed.in_flight.failed.is_some() {
            failed = true;
            feed.stop();
        }
    }
    let jobs = Unsubmitted {
        pending: feed.pending.take().map(Carried::into_inner),
        rest: feed.jobs.take(),
    };
    let all_submitted = jobs.pending.is_none() && jobs.rest.is_none();
    let gathered = &mut feed.in_flight;
    // What others made goes back to the results when the feed is dropped.
    let own = std::mem::take(&mut gathered.jobs);
    if all_submitted && gathered.missing == 0 && !failed {
        return Ok(own.into_iter().filter_map(success).collect());
    }
    let mut error = TryMapError {
        // Without a failure, of the first job that has no outcome.
        position: gathered.failed.unwrap_or_else(|| {
            let missing = own.iter().position(|(_, outcome)| outcome.is_none());
            missing.unwrap_or(own.len())
        }),
        failure: Failure::Closed,
        finished: Vec::new(),
        failures: Vec::new(),
        jobs,
    };
    for (position, (_, outcome)) in own.into_iter().enumerate() {
        let failure = match outcome.map(|outcome| outcome.result) {
            Some(Ok(Ok(result))) => {
                error.finished.push((position, result));
                continue;
            }
            Some(Ok(Err(why))) => Failure::Job(why),
            // By ourselves.
            Some(Err(JobError::Cancelled)) if gathered.failed != Some(position) => continue,
            Some(Err(why)) => Failure::NoResult(why),
            None => continue,
        };
        if gathered.failed == Some(position) {
            error.failure = failure;
        } else {
            error.failures.push((position, failure));
        }
    }
    Err(error)
}

fn success<T, E>((_, outcome): (u64, Option<Tried<T, E>>)) -> Option<T> {
    outcome?.result.ok()?.ok()
}
