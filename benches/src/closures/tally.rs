//! Counts the closures that have run and adds up their results, the same for each pool: a thread writes a line of its own,
//! so that counting costs a nanosecond and no two threads meet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_utils::CachePadded;

/// How often a waiter looks. The kernel makes about 75 µs of it, of a sample of 20 ms.
const LOOK: Duration = Duration::from_micros(20);

static ALL: Mutex<All> = Mutex::new(All {
    threads: Vec::new(),
    ended: Total { jobs: 0, sum: 0 },
});

thread_local! {
    static OWN: Own = Own::new();
}

struct All {
    threads: Vec<Line>,
    /// Of threads that have ended.
    ended: Total,
}

/// What a thread has done.
type Line = Arc<CachePadded<Counts>>;

#[derive(Default)]
struct Counts {
    jobs: AtomicU64,
    sum: AtomicU64,
}

/// The line of this thread, until the thread ends.
struct Own(Line);

/// What all threads have done since the process started.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    jobs: u64,
    sum: u64,
}

impl Counts {
    fn total(&self) -> Total {
        // Acquire: whoever sees a job counted sees its result added.
        let jobs = self.jobs.load(Ordering::Acquire);
        Total {
            jobs,
            // Relaxed: the load before it orders it.
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl Total {
    fn plus(self, other: Self) -> Self {
        Self {
            jobs: self.jobs + other.jobs,
            sum: self.sum.wrapping_add(other.sum),
        }
    }

    /// What all threads have done until now.
    #[must_use]
    pub fn now() -> Self {
        let all = all();
        let running = all.threads.iter().map(|counts| counts.total());
        running.fold(all.ended, Self::plus)
    }

    /// Waits until so many jobs have run since; returns the sum of their results.
    ///
    /// # Panics
    ///
    /// If more have run.
    pub fn wait_for(self, jobs: usize) -> u64 {
        loop {
            let now = Self::now();
            let done = now.jobs - self.jobs;
            if done >= jobs as u64 {
                assert_eq!(done, jobs as u64, "more jobs ran than were submitted");
                return now.sum.wrapping_sub(self.sum);
            }
            thread::sleep(LOOK);
        }
    }
}

impl Own {
    fn new() -> Self {
        let line = Line::default();
        all().threads.push(Arc::clone(&line));
        Self(line)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut all = all();
        all.threads.retain(|line| !Arc::ptr_eq(line, &self.0));
        all.ended = all.ended.plus(self.0.total());
    }
}

fn all() -> MutexGuard<'static, All> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a job of this thread with its result.
pub fn note(result: u64) {
    OWN.with(|Own(counts)| {
        // Relaxed: only this thread writes.
        let sum = counts.sum.load(Ordering::Relaxed).wrapping_add(result);
        counts.sum.store(sum, Ordering::Relaxed);
        let jobs = counts.jobs.load(Ordering::Relaxed) + 1;
        counts.jobs.store(jobs, Ordering::Release);
    });
}
