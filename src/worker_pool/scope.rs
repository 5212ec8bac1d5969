//! The borrowed form: a pool inside a scope, whose jobs, results, states and functions may
//! borrow from the stack around it.
//!
//! [`std::thread::scope`] does what needs `unsafe`: it does not return before its threads
//! have ended, whatever becomes of the pool. The pool itself is the same as ever, and has
//! all its endings; only its threads are not its own to join, so it waits until the engine
//! counts them as ended, and finds their states in a [`Legacy`]. Here is no protocol that
//! is not elsewhere ([`Engine`]'s `alive`), and loom has no scoped threads: its models
//! leave this file out.
//!
//! [`Engine`]: crate::engine::Engine

#![forbid(unsafe_code)]

use super::{Builder, Context, Handle, Results, WorkerPool};
use crate::engine::{Crew, Legacy, join_each};
use crate::error::BuildError;
use crate::sync::thread::{self, ScopedJoinHandle};
use crate::sync::{self, Arc};
use crate::unwind;

impl<'env, J, R, S> Builder<'env, J, R, S> {
    /// Starts the threads, lends the pool and its first taker to `body`, and returns what
    /// that returns, when all threads have ended.
    ///
    /// In the manner of [`std::thread::scope`], and so jobs, results, states, the function
    /// and the hooks may borrow whatever lives longer than the call. In all else it is the
    /// pool that [`build`](Builder::build) makes; dropped at the end of the body, it runs
    /// what was accepted, unless the body panics: see the table at [`WorkerPool`].
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::WorkerPool;
    ///
    /// let text = String::from("a fixed crew of threads");
    /// let shortest = 5;
    /// let long: Vec<&str> = WorkerPool::<&str, Option<&str>>::builder().scope(
    ///     |word, _ctx| (word.len() >= shortest).then_some(word),
    ///     |pool, mut results| {
    ///         let words = pool.map_ordered(&mut results, text.split(' '));
    ///         words.filter_map(|outcome| outcome.result.unwrap()).collect()
    ///     },
    /// )?;
    /// assert_eq!(long, ["fixed", "threads"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # What leaves the body
    ///
    /// The pool is the body's to keep or to end, but the crew does not outlive the call:
    /// when the body returns, the pool is closed, and what was accepted runs; when it
    /// panics, what is queued is cancelled. That holds for a pool that was moved out of the
    /// body or forgotten, too. After the call it has ended: a pool returns its states, a
    /// handle's submissions come back as `Closed`, a taker gets what is left and then
    /// `Ended`.
    ///
    /// # Errors
    ///
    /// As [`build`](Builder::build); `body` is not called then.
    ///
    /// # Panics
    ///
    /// If `body` panics, with its panic, after the threads have ended.
    ///
    /// # Blocking
    ///
    /// After the body for all jobs and all threads, after a panic for running jobs and all
    /// threads. As everywhere, workers wait for takers when more than `result_capacity`
    /// results are untaken. `results` is dropped at the end of the body and holds up nobody,
    /// and a taker in a thread that goes on taking gets everything; but one that the body
    /// returns or forgets is waited for without an end if more than that many are to come.
    ///
    /// An ending in the body ([`WorkerPool::join`] and the others) waits until the threads
    /// have nothing of the caller's any more; their last steps, with the destructors of
    /// thread-locals, are over when `scope` returns.
    ///
    /// # Fork
    ///
    /// A forked child must not leave the body: that would wait for threads that it does not
    /// have, so it ends the child ([`abort`](std::process::abort)).
    pub fn scope<F, B, T>(self, function: F, body: B) -> Result<T, BuildError>
    where
        J: Send,
        R: Send,
        S: Send,
        F: Fn(J, &mut Context<'_, J, S>) -> R + Send + Sync,
        B: FnOnce(WorkerPool<J, R, S>, Results<R>) -> T,
    {
        let legacy = Arc::new(Legacy::new());
        thread::scope(|scope| {
            let mut threads = Vec::new();
            let function = Arc::new(function);
            let started = self.start(&function, |thread, seat| {
                let legacy = Arc::clone(&legacy);
                let work = move || seat.work(|worker, state| legacy.leave(worker, state));
                threads.push(thread.spawn_scoped(scope, work)?);
                Ok(())
            });
            match started {
                Ok((handle, results)) => {
                    self.discard(function);
                    let crew = Some(Crew::Scoped(legacy));
                    let _end = End {
                        handle: handle.clone(),
                        threads,
                    };
                    Ok(body(WorkerPool { handle, crew }, results))
                }
                Err(error) => {
                    join_each(threads, ScopedJoinHandle::join);
                    unwind::drop_each_quietly(legacy.take());
                    self.discard(function);
                    Err(error)
                }
            }
        })
    }
}

/// Ends the crew after the body, whatever became of its pool.
struct End<'scope, J: Send, R: Send> {
    handle: Handle<J, R>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl<J: Send, R: Send> Drop for End<'_, J, R> {
    fn drop(&mut self) {
        let engine = &self.handle.engine;
        if engine.is_forked() {
            // std would wait for the parent's threads. Without a word: a lock that it
            // takes may be held by one of them.
            std::process::abort();
        }
        if sync::panicking() {
            // The pool's own drop has done all that, if it was dropped.
            engine.abandon();
            self.handle.halt();
        } else {
            engine.close();
        }
        join_each(std::mem::take(&mut self.threads), ScopedJoinHandle::join);
    }
}
