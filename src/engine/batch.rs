//! Submitting all of an iterator, a batch at a time.

#![forbid(unsafe_code)]

use super::{Engine, Refused, Stamped};
use crate::error::SubmitAllError;
use crate::unwind;

/// Jobs that are published together at most. Chosen by W1b in batches.
const CHUNK: usize = if cfg!(workcrew_loom) { 2 } else { 32 };

/// They stand on the stack meanwhile, so jobs of more bytes than this go one by one.
const LARGE: usize = 1024;

impl<J> Engine<J> {
    /// Submits what the iterator gives, made a job by `pack`, in order, waiting where need
    /// be. Returns how many that were.
    ///
    /// # Errors
    ///
    /// Hands back the rest, which `unpack` has made what it was.
    ///
    /// # Panics
    ///
    /// If the iterator panics. What it had given is submitted before.
    pub(crate) fn submit_all<I: Iterator>(
        &self,
        items: I,
        pack: impl Fn(I::Item) -> J,
        unpack: impl Fn(J) -> I::Item,
    ) -> Result<u64, SubmitAllError<I>> {
        if size_of::<J>() > LARGE {
            self.submit_chunks::<_, 1>(items, pack, unpack)
        } else {
            self.submit_chunks::<_, CHUNK>(items, pack, unpack)
        }
    }

    fn submit_chunks<I: Iterator, const CHUNK: usize>(
        &self,
        mut rest: I,
        pack: impl Fn(I::Item) -> J,
        unpack: impl Fn(J) -> I::Item,
    ) -> Result<u64, SubmitAllError<I>> {
        let mut accepted = 0;
        let mut chunk = [const { None::<Stamped<J>> }; CHUNK];
        loop {
            let mut drawn = 0;
            let end = unwind::catch(|| {
                while drawn < CHUNK {
                    let Some(item) = rest.next() else { break };
                    chunk[drawn] = Some(pack(item).into());
                    drawn += 1;
                }
            });
            let submitted = self.submit_batch(&mut chunk[..drawn]);
            if let Err(panic) = end {
                // Those that were not accepted, while nothing unwinds: their drops may panic.
                unwind::drop_each_quietly(chunk);
                std::panic::resume_unwind(panic);
            }
            match submitted {
                Ok(()) => accepted += drawn as u64,
                Err((some, why)) => {
                    let rejected: Vec<_> = chunk
                        .into_iter()
                        .flatten()
                        .map(|job| unpack(job.into_inner()))
                        .collect();
                    return Err(SubmitAllError {
                        accepted: accepted + some as u64,
                        would_deadlock: matches!(why, Refused::WouldDeadlock(())),
                        rejected: rejected.into_iter(),
                        // One that has ended is not asked again.
                        rest: (drawn == CHUNK).then_some(rest),
                    });
                }
            }
            if drawn < CHUNK {
                return Ok(accepted);
            }
        }
    }
}
