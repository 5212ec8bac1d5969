//! What a taker has claimed and not handed out yet.

#![forbid(unsafe_code)]

use super::Outcome;
use super::outbox::Delivered;
use crate::deque::Claim;
use crate::engine::Recalls;
use std::collections::VecDeque;

/// Outcomes, in the order in which they are to be handed out.
#[derive(Debug)]
pub(super) struct Hand<R> {
    /// These come first: from elsewhere than a ring, or put back.
    outcomes: VecDeque<Outcome<R>>,
    /// The rest of a claim on a worker's ring, read as it is handed out.
    claim: Option<Claim<Delivered<R>>>,
    /// The stream that was looked at last; so it is its ring.
    turn: usize,
    /// Outcomes that were ever claimed.
    claimed: u64,
}

impl<R> Default for Hand<R> {
    fn default() -> Self {
        Self {
            outcomes: VecDeque::new(),
            claim: None,
            turn: 0,
            claimed: 0,
        }
    }
}

impl<R> Hand<R> {
    pub(super) fn len(&self) -> usize {
        self.claim.as_ref().map_or(0, Claim::len) + self.outcomes.len()
    }

    /// The worker whose results came last.
    pub(super) fn turn(&self) -> usize {
        self.turn
    }

    pub(super) fn claimed(&self) -> u64 {
        self.claimed
    }

    /// The next stream to look at, of so many.
    #[inline]
    pub(super) fn next_turn(&mut self, streams: usize) -> usize {
        self.turn += 1;
        if self.turn >= streams {
            self.turn = 0;
        }
        self.turn
    }

    /// Adds what was claimed elsewhere.
    pub(super) fn add(&mut self, outcome: Outcome<R>) {
        self.outcomes.push_back(outcome);
        self.claimed += 1;
    }

    /// Takes an outcome back that was handed out; it is the next.
    pub(super) fn put_back(&mut self, outcome: Outcome<R>) {
        self.outcomes.push_front(outcome);
    }

    /// What was claimed has ended: cancellations that came too late are forgotten.
    #[cold]
    pub(super) fn forget(&mut self, recalls: &Recalls) {
        let turn = self.turn;
        let rest = self.claim.take().into_iter().flatten();
        self.outcomes
            .extend(rest.map(|delivered| delivered.ok_by(turn)));
        for outcome in &self.outcomes {
            recalls.remove(outcome.index);
        }
    }

    /// The next outcome, if it is one of the claim. Small, since it is inlined wherever
    /// outcomes are taken.
    #[inline(always)]
    pub(super) fn next_claimed(&mut self) -> Option<Outcome<R>> {
        if !self.outcomes.is_empty() {
            return None;
        }
        let delivered = self.claim.as_mut()?.next()?;
        Some(delivered.ok_by(self.turn))
    }

    /// Takes a claim on this turn's ring. Returns how many outcomes it holds.
    #[inline]
    pub(super) fn hold(&mut self, claim: Claim<Delivered<R>>) -> usize {
        debug_assert_eq!(self.len(), 0, "a claim comes into an empty hand");
        let held = claim.len();
        self.claim = Some(claim);
        self.claimed += held as u64;
        held
    }
}

impl<R> Iterator for Hand<R> {
    type Item = Outcome<R>;

    fn next(&mut self) -> Option<Outcome<R>> {
        if !self.outcomes.is_empty() {
            return self.outcomes.pop_front();
        }
        let next = self.next_claimed();
        if next.is_none() {
            // Its slots are the worker's again.
            self.claim = None;
        }
        next
    }
}
