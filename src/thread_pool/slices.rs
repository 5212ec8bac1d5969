//! All items of a slice, shared out among the workers.
//!
//! **Promise.** The function is called with each item, once, and all calls have ended when
//! the method returns or unwinds. Values that it made are returned, or dropped once.
//!
//! **Parts.** A [`Scope`](super::Scope) whose jobs are chunks of the slice. So there is no
//! protocol here: who waits, who helps, and what a closed pool does are the scope's. `Stop`:
//! whether the items that have not begun are to be skipped. Each job has a place of its own
//! for what it makes, so jobs share nothing but that word.
//!
//! **Chunks.** Each is one part in `2 * workers` of what is left, at least one item: large
//! ones first, since each costs a job; small ones last, so that workers with slow items are
//! not waited for by the others. (Guided self-scheduling, C. Polychronopoulos and D. Kuck,
//! 1987.)

#![forbid(unsafe_code)]

use super::{ThreadPool, ThreadPoolHandle};
use crate::error::MapError;
use crate::sync::{AtomicBool, Ordering};
use crate::unwind;

/// Whether items that have not begun are to be skipped.
struct Stop(AtomicBool);

impl Stop {
    /// Says so. Returns whether the caller is the first.
    fn set(&self) -> bool {
        // Relaxed: a swap, so that one is the first; what the caller did comes to light with
        // the scope's end.
        !self.0.swap(true, Ordering::Relaxed)
    }

    fn is_set(&self) -> bool {
        // Relaxed: an item more does no harm.
        self.0.load(Ordering::Relaxed)
    }
}

/// Room is made for so many bytes of a chunk's results before its first item, and then as they
/// come: a chunk that stops early needs no more.
const AHEAD: usize = 1 << 16;

/// What a chunk of a [`ThreadPoolHandle::try_map`] has come to.
struct Tried<R, E> {
    /// The results of the chunk's first items.
    made: Vec<R>,
    /// Of the item behind these, and whether that was the first of all.
    failure: Option<(E, bool)>,
}

/// The lengths of the chunks of so many items.
fn lengths(items: usize, workers: usize) -> impl Iterator<Item = usize> {
    let mut left = items;
    std::iter::from_fn(move || {
        let length = (left / (2 * workers)).clamp(usize::from(left > 0), left);
        left -= length;
        (length > 0).then_some(length)
    })
}

impl ThreadPoolHandle {
    fn chunks<'a, T>(&self, items: &'a [T]) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let mut rest = items;
        lengths(items.len(), self.workers()).map(move |length| {
            let (chunk, others) = rest.split_at(length);
            rest = others;
            chunk
        })
    }

    fn chunks_mut<'a, T>(
        &self,
        items: &'a mut [T],
    ) -> impl Iterator<Item = &'a mut [T]> + use<'a, T> {
        let lengths = lengths(items.len(), self.workers());
        let mut rest = items;
        lengths.map(move |length| {
            let (chunk, others) = std::mem::take(&mut rest).split_at_mut(length);
            rest = others;
            chunk
        })
    }

    /// Calls `work` with each chunk, and stops the others when one panics.
    fn share_out<C: Send>(&self, chunks: impl Iterator<Item = C>, work: impl Fn(C, &Stop) + Sync) {
        let stop = Stop(AtomicBool::new(false));
        self.scope(|scope| {
            for chunk in chunks {
                let (work, stop) = (&work, &stop);
                scope.spawn(move || {
                    if let Err(panic) = unwind::catch(|| work(chunk, stop)) {
                        stop.set();
                        std::panic::resume_unwind(panic);
                    }
                });
            }
        });
    }

    /// Calls `f` with each item of a slice, on the workers, and returns when all is done.
    ///
    /// `f`, and the items, may borrow from the stack. Items go to the workers in chunks, large
    /// ones first, so a call costs little, and unequal items do no harm. In
    /// [`stats`](Self::stats) a chunk counts as a job, as in a [`scope`](Self::scope).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let sum = AtomicU64::new(0);
    /// pool.for_each(&[1, 2, 3, 4], |number| {
    ///     sum.fetch_add(*number, Ordering::Relaxed);
    /// });
    /// assert_eq!(sum.into_inner(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If `f` panics, with the first of these panics, when all calls that had begun have
    /// ended. Items that had not begun are skipped.
    ///
    /// # Blocking
    ///
    /// Until all is done, as at the end of a [`scope`](Self::scope): one of the pool's own
    /// workers takes part, and runs no other jobs; other threads sleep, unless the pool
    /// accepts nothing more: then the work is done here. While `job_capacity` jobs wait, they
    /// wait for room too.
    pub fn for_each<'a, T, F>(&self, items: &'a [T], f: F)
    where
        T: Sync,
        F: Fn(&'a T) + Sync,
    {
        self.share_out(self.chunks(items), |chunk, stop| {
            let unless_stopped = chunk.iter().take_while(|_| !stop.is_set());
            unless_stopped.for_each(&f);
        });
    }

    /// As [`for_each`](Self::for_each), where `f` may change the items.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let mut words = ["one", "two"].map(str::to_owned);
    /// pool.for_each_mut(&mut words, |word| word.make_ascii_uppercase());
    /// assert_eq!(words, ["ONE", "TWO"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`for_each`](Self::for_each).
    ///
    /// # Blocking
    ///
    /// As [`for_each`](Self::for_each).
    pub fn for_each_mut<'a, T, F>(&self, items: &'a mut [T], f: F)
    where
        T: Send,
        F: Fn(&'a mut T) + Sync,
    {
        self.share_out(self.chunks_mut(items), |chunk, stop| {
            let unless_stopped = chunk.iter_mut().take_while(|_| !stop.is_set());
            unless_stopped.for_each(&f);
        });
    }

    /// As [`for_each`](Self::for_each), and returns what `f` returned, in the order of the
    /// items.
    ///
    /// For items that come one by one, or have no end, there is
    /// [`map_iter`](Self::map_iter).
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let words = ["a", "list", "of", "words"];
    /// assert_eq!(pool.map(&words, |word| word.len()), [1, 4, 2, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`for_each`](Self::for_each). What `f` had returned by then is dropped.
    ///
    /// # Blocking
    ///
    /// As [`for_each`](Self::for_each).
    pub fn map<'a, T, R, F>(&self, items: &'a [T], f: F) -> Vec<R>
    where
        T: Sync,
        R: Send,
        F: Fn(&'a T) -> R + Sync,
    {
        let all: Result<_, MapError<R, Never>> = self.try_map(items, |item| Ok(f(item)));
        all.unwrap_or_else(|error| match error.error {})
    }

    /// As [`map`](Self::map), until `f` fails: returns all results in the order of the items,
    /// or the first error and everything that finished.
    ///
    /// When a call returns an error, items that have not begun are skipped; calls that have
    /// begun go on, and are waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let parsed = pool.try_map(&["1", "2", "three"], |word| word.parse::<u32>());
    /// let error = parsed.unwrap_err();
    /// assert_eq!(error.position, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MapError`]: the first error, by time, with its item's position, and what the calls
    /// returned that had begun by then.
    ///
    /// # Panics
    ///
    /// As [`map`](Self::map), if a call panics, whether others fail or not.
    ///
    /// # Blocking
    ///
    /// As [`for_each`](Self::for_each).
    pub fn try_map<'a, T, R, E, F>(&self, items: &'a [T], f: F) -> Result<Vec<R>, MapError<R, E>>
    where
        T: Sync,
        R: Send,
        E: Send,
        F: Fn(&'a T) -> Result<R, E> + Sync,
    {
        let mut places: Vec<(&'a [T], Tried<R, E>)> = self
            .chunks(items)
            .map(|chunk| {
                let nothing = Tried {
                    made: Vec::new(),
                    failure: None,
                };
                (chunk, nothing)
            })
            .collect();
        let shared_out = unwind::catch(|| {
            self.share_out(places.iter_mut(), |(chunk, place), stop| {
                // Not in the place, which lies beside other jobs'.
                let mut made = Vec::with_capacity(chunk.len().min(AHEAD / size_of::<R>().max(1)));
                let tried = unwind::catch(|| {
                    for item in *chunk {
                        if stop.is_set() {
                            break;
                        }
                        match f(item) {
                            Ok(result) => made.push(result),
                            Err(error) => return Some((error, stop.set())),
                        }
                    }
                    None
                });
                place.made = made;
                match tried {
                    Ok(failure) => place.failure = failure,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            });
        });
        let tried = places
            .into_iter()
            .map(|(chunk, tried)| (chunk.len(), tried));
        if let Err(panic) = shared_out {
            for (_, Tried { made, failure }) in tried {
                unwind::drop_each_quietly(made);
                unwind::drop_quietly(failure);
            }
            std::panic::resume_unwind(panic);
        }
        gather(items.len(), tried)
    }
}

/// An error that there is none of.
enum Never {}

/// Makes one of what the chunks came to, each with its length.
fn gather<R, E>(
    items: usize,
    tried: impl Iterator<Item = (usize, Tried<R, E>)>,
) -> Result<Vec<R>, MapError<R, E>> {
    let tried: Vec<_> = tried.collect();
    if tried.iter().all(|(_, tried)| tried.failure.is_none()) {
        let mut all = Vec::with_capacity(items);
        for (_, mut tried) in tried {
            all.append(&mut tried.made);
        }
        return Ok(all);
    }
    let (mut first, mut finished, mut failures) = (None, Vec::new(), Vec::new());
    let mut begin = 0;
    for (length, Tried { made, failure }) in tried {
        let end = begin + made.len();
        finished.extend((begin..end).zip(made));
        match failure {
            Some((error, true)) => first = Some((end, error)),
            Some((error, false)) => failures.push((end, error)),
            None => {}
        }
        begin += length;
    }
    let (position, error) = first.expect("one of those that failed was the first");
    Err(MapError {
        position,
        error,
        finished,
        failures,
    })
}

impl ThreadPool {
    /// As [`ThreadPoolHandle::for_each`]: calls `f` with each item of a slice, on the workers.
    ///
    /// # Panics
    ///
    /// If `f` panics; see there.
    pub fn for_each<'a, T, F>(&self, items: &'a [T], f: F)
    where
        T: Sync,
        F: Fn(&'a T) + Sync,
    {
        self.handle.for_each(items, f);
    }

    /// As [`ThreadPoolHandle::for_each_mut`]: calls `f` with each item of a slice, on the
    /// workers, to change it.
    ///
    /// # Panics
    ///
    /// If `f` panics; see there.
    pub fn for_each_mut<'a, T, F>(&self, items: &'a mut [T], f: F)
    where
        T: Send,
        F: Fn(&'a mut T) + Sync,
    {
        self.handle.for_each_mut(items, f);
    }

    /// As [`ThreadPoolHandle::map`]: calls `f` with each item of a slice, on the workers, and
    /// returns what that returned, in order.
    ///
    /// # Panics
    ///
    /// If `f` panics; see there.
    pub fn map<'a, T, R, F>(&self, items: &'a [T], f: F) -> Vec<R>
    where
        T: Sync,
        R: Send,
        F: Fn(&'a T) -> R + Sync,
    {
        self.handle.map(items, f)
    }

    /// As [`ThreadPoolHandle::try_map`]: all results in order, or the first error and
    /// everything that finished.
    ///
    /// # Errors
    ///
    /// What `f` returned; see there.
    ///
    /// # Panics
    ///
    /// If `f` panics; see there.
    pub fn try_map<'a, T, R, E, F>(&self, items: &'a [T], f: F) -> Result<Vec<R>, MapError<R, E>>
    where
        T: Sync,
        R: Send,
        E: Send,
        F: Fn(&'a T) -> Result<R, E> + Sync,
    {
        self.handle.try_map(items, f)
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/slices.rs"]
mod tests;
