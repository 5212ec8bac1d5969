//! Waiting for a pool, as its owner sees it: who may wait, and for how long.

#![forbid(unsafe_code)]

use super::{Crew, Engine, is_inside};
use crate::error::{JoinError, WaitError, WaitTimeoutError};
use crate::sync;
use std::time::{Duration, Instant};

impl<J> Engine<J> {
    pub(super) fn check_can_wait(&self) -> Result<(), WaitError> {
        if self.is_forked() {
            Err(WaitError::Forked)
        } else if is_inside(self.key()) {
            Err(WaitError::WouldDeadlock)
        } else {
            Ok(())
        }
    }

    /// Waits until at some moment no job is queued or running.
    pub(crate) fn wait_idle(&self) -> Result<(), WaitError> {
        self.check_can_wait()?;
        self.wait_until_idle(None);
        Ok(())
    }

    pub(crate) fn wait_idle_timeout(&self, timeout: Duration) -> Result<(), WaitTimeoutError> {
        self.wait_timeout(timeout, Self::wait_until_idle)
    }

    /// Waits until all threads have ended.
    pub(crate) fn wait_for_threads_timeout(
        &self,
        timeout: Duration,
    ) -> Result<(), WaitTimeoutError> {
        self.wait_timeout(timeout, Self::wait_for_threads)
    }

    fn wait_timeout(
        &self,
        timeout: Duration,
        wait: impl FnOnce(&Self, Option<Instant>) -> bool,
    ) -> Result<(), WaitTimeoutError> {
        self.check_can_wait()?;
        let deadline = sync::deadline(timeout);
        if wait(self, deadline) {
            Ok(())
        } else {
            Err(WaitTimeoutError::Timeout)
        }
    }

    /// For before the crew is closed: in an own worker, nobody will join it.
    pub(crate) fn abandon_if_inside(&self) {
        if is_inside(self.key()) {
            self.abandon();
        }
    }

    /// Waits for all threads and returns what they leave, in order of their ids.
    ///
    /// # Errors
    ///
    /// In an own worker: the threads go on alone, and the last one tells who waits. In a
    /// forked child, where the threads are the parent's.
    pub(crate) fn join<T>(&self, crew: Crew<T>) -> Result<Vec<T>, JoinError> {
        if self.is_forked() {
            std::mem::forget(crew);
            return Err(JoinError::Forked);
        }
        if is_inside(self.key()) {
            return Err(JoinError::WouldDeadlock);
        }
        Ok(crew.join(|| assert!(self.wait_for_threads(None), "there is no deadline")))
    }
}
