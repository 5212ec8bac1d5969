//! One call on each worker.
//!
//! **Promise.** The function is called once by each worker, in that worker's thread, or by none
//! if the pool was closed; only a pool that is shut down without its queued jobs stops between.
//! All calls have ended when the method returns or unwinds.
//!
//! **Parts.** A [`Scope`](super::Scope) with a job for each worker, all alike: each calls the
//! function as the worker that it is run by. Their tickets are errands, of which each worker finds
//! one. A *herald* brings them: a job that is submitted as any other, so the broadcast keeps the
//! bound, and the moment of closing decides over all of it. It uses its own worker's ticket last.
//! A ticket that is dropped makes the owner run a job, which notices that it is in no worker.
//!
//! **Turns.** One broadcast ends before the next begins. So all workers see them in the same
//! order, and calls may wait for each other.

#![forbid(unsafe_code)]

use super::session::Ticket;
use super::task::{Detached, Task, Work};
use super::{ThreadPool, ThreadPoolHandle};
use crate::engine::{Ended, Engine, Refused, current_worker};
use crate::error::BroadcastError;
use crate::sync::{Arc, Mutex};
use crate::unwind;

/// Brings each worker its ticket.
struct Herald {
    engine: Arc<Engine<Task>>,
    /// As many as there are workers.
    tickets: Vec<Ticket>,
}

impl Work for Herald {
    fn work(self) -> Ended {
        let Some(own) = current_worker(self.engine.key()) else {
            // A job that was handed back, and there are no workers any more.
            return Ended::Cancelled;
        };
        let mut tickets = self.tickets.into_iter();
        let last = tickets.next().expect("a pool has a worker");
        let others = (0..self.engine.workers()).filter(|worker| *worker != own);
        let errands = others.zip(tickets.map(Task::new));
        self.engine.send_each(own, errands);
        last.work()
    }
}

impl ThreadPoolHandle {
    /// Calls `f` once on each worker, with the worker's id, and returns what the calls returned,
    /// in the order of the ids.
    ///
    /// For what each worker has for itself: to fill or to collect a thread-local, say. `f` may
    /// borrow from the stack, and its calls may wait for each other (at a barrier): they run at
    /// the same time, as soon as each worker has come to its own.
    ///
    /// It waits in the queue like a job. When its turn has come, each worker calls `f` after the
    /// job that it is at and the few that it has taken already, before all others that wait.
    /// Broadcasts of several threads take turns. In [`stats`](Self::stats) it counts as a job for
    /// each worker.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::ThreadPool;
    ///
    /// let pool = ThreadPool::builder().workers(3).thread_name("w").build()?;
    /// let names = pool.broadcast(|worker| {
    ///     (worker, std::thread::current().name().map(str::to_owned))
    /// })?;
    /// assert_eq!(names[2], (2, Some("w-2".to_owned())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Closed`] if the pool was closed before, and nobody called `f`.
    /// [`BroadcastError::Cancelled`] if the pool is shut down by
    /// [`shutdown_now`](crate::ThreadPool::shutdown_now), or dropped in a panic, before each
    /// worker has called it: with the results of those that have. A closure that is needed again
    /// is passed by reference.
    ///
    /// [`BroadcastError::WouldDeadlock`] in one of the pool's own workers. A worker would wait
    /// here for all others, among them such as wait for it: one in a broadcast of its own, or one
    /// in a scope for the very job that called this. Such a worker could only go on if it ran a
    /// call that it does not wait for, in the midst of its job, which may hold a lock that the
    /// call wants. No worker ever does that.
    ///
    /// # Panics
    ///
    /// If calls panic, with the first of these panics, when all calls have ended. What others
    /// returned is dropped.
    ///
    /// # Blocking
    ///
    /// Until each worker has called `f`: so for other broadcasts, for room in the queue, for the
    /// jobs that wait before it, and for those that each worker is at or has taken already. If the
    /// pool is shut down meanwhile, until what
    /// [`shutdown_now`](crate::ThreadPool::shutdown_now) hands back is run or dropped.
    pub fn broadcast<T, F>(&self, f: F) -> Result<Vec<T>, BroadcastError<T>>
    where
        T: Send,
        F: Fn(usize) -> T + Sync,
    {
        if self.current_worker().is_some() {
            return Err(BroadcastError::WouldDeadlock);
        }
        // Too late in any case, and who has the turn may wait for what was handed back, which may
        // wait for us.
        if self.engine.is_forked() || self.is_closed() {
            return Err(BroadcastError::Closed);
        }
        let workers = self.workers();
        let places: Vec<_> = (0..workers).map(|_| Mutex::new(None)).collect();
        let call = || {
            if let Some(worker) = self.current_worker() {
                let result = f(worker);
                *places[worker].lock() = Some(result);
            }
        };
        let accepted = self.engine.in_turn(|| {
            unwind::catch(|| {
                self.scope(|scope| {
                    let herald = Herald {
                        engine: Arc::clone(&self.engine),
                        tickets: (0..workers)
                            .map(|_| scope.ticket(Detached::new(call)))
                            .collect(),
                    };
                    let submitted = self.engine.submit(Task::new(herald), None);
                    !matches!(submitted, Err(Refused::Closed(_)))
                })
            })
        });
        let results = places.into_iter().map(Mutex::into_inner);
        match accepted {
            Ok(true) => {}
            Ok(false) => return Err(BroadcastError::Closed),
            Err(panic) => {
                unwind::drop_each_quietly(results);
                std::panic::resume_unwind(panic);
            }
        }
        let called = results.enumerate();
        let finished: Vec<_> = called
            .filter_map(|(worker, result)| Some((worker, result?)))
            .collect();
        if finished.len() < workers {
            return Err(BroadcastError::Cancelled { finished });
        }
        Ok(finished.into_iter().map(|(_, result)| result).collect())
    }
}

impl ThreadPool {
    /// As [`ThreadPoolHandle::broadcast`]: calls `f` once on each worker, and returns what the
    /// calls returned, in the order of the workers' ids.
    ///
    /// # Errors
    ///
    /// If the pool is closed or shut down, or in one of its workers; see there.
    ///
    /// # Panics
    ///
    /// If a call panics; see there.
    pub fn broadcast<T, F>(&self, f: F) -> Result<Vec<T>, BroadcastError<T>>
    where
        T: Send,
        F: Fn(usize) -> T + Sync,
    {
        self.handle.broadcast(f)
    }
}
