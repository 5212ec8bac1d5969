//! What the integration tests share: waiting that cannot hang, doors, and a crew of closures.

#![allow(dead_code, reason = "no test file needs all of it")]
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::abort;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use workcrew::{Results, Stats, WorkerPool};

/// Far longer than anything below takes on a busy machine: what takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(if cfg!(miri) { 3600 } else { 120 });

/// A job that is its own function.
pub(crate) type Task = Box<dyn FnOnce() -> u64 + Send>;

/// A pool that runs closures.
pub(crate) fn crew(
    workers: usize,
    job_capacity: usize,
    result_capacity: usize,
) -> (WorkerPool<Task, u64>, Results<u64>) {
    WorkerPool::<Task, u64>::builder()
        .workers(workers)
        .job_capacity(job_capacity)
        .result_capacity(result_capacity)
        .build(|task, _| task())
        .unwrap()
}

/// A [`Task`] that returns `value`.
pub(crate) fn value(value: u64) -> Task {
    Box::new(move || value)
}

/// A [`Task`] that knocks at the door, waits until it is open, and returns `value`.
pub(crate) fn behind(door: &Door, value: u64) -> Task {
    let door = door.clone();
    Box::new(move || {
        door.pass();
        value
    })
}

/// Looks again and again until `condition` holds. Aborts when it never does.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            eprintln!("HANG: not after {PATIENCE:?}: {what}");
            abort();
        }
        thread::yield_now();
    }
}

/// Aborts the process if it is not dropped in time. Hold one in each test that could hang.
#[must_use]
pub(crate) struct Watchdog(Arc<(Mutex<Watch>, Condvar)>);

#[derive(Default)]
struct Watch {
    done: bool,
    longest: Duration,
}

/// A [`Watchdog`] that prints the test's name.
pub(crate) fn watchdog() -> Watchdog {
    watchdog_with(PATIENCE, String::new)
}

/// A [`Watchdog`] that prints `dump()` too.
pub(crate) fn watchdog_with(
    patience: Duration,
    dump: impl Fn() -> String + Send + 'static,
) -> Watchdog {
    progress_watchdog(patience, || 0, dump)
}

/// A [`Watchdog`] whose time begins anew whenever `progress()` has changed.
pub(crate) fn progress_watchdog(
    patience: Duration,
    progress: impl Fn() -> u64 + Send + 'static,
    dump: impl Fn() -> String + Send + 'static,
) -> Watchdog {
    let watch = Arc::new((Mutex::new(Watch::default()), Condvar::new()));
    let dog = Watchdog(Arc::clone(&watch));
    let name = thread::current().name().unwrap_or("?").to_owned();
    let tick = patience / 100;
    thread::spawn(move || {
        let (lock, changed) = &*watch;
        let (mut last, mut idle) = (progress(), Duration::ZERO);
        loop {
            let start = Instant::now();
            let guard = lock.lock().unwrap();
            let (mut guard, _) = changed
                .wait_timeout_while(guard, tick, |watch| !watch.done)
                .unwrap();
            if guard.done {
                return;
            }
            let now = progress();
            if now == last {
                // A process that was stopped for a while was not stuck.
                idle += start.elapsed().min(tick * 2);
            } else {
                (last, idle) = (now, Duration::ZERO);
            }
            guard.longest = guard.longest.max(idle);
            if idle >= patience {
                // Not captured, as `eprintln` would be.
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "HANG in {name}\n{}", dump());
                abort();
            }
        }
    });
    dog
}

impl Watchdog {
    /// The longest time without progress so far, give or take a hundredth of the patience.
    pub(crate) fn longest(&self) -> Duration {
        self.watch().longest
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.watch().done = true;
        self.0.1.notify_all();
    }
}

/// A door that is closed until somebody opens it, for good.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door(Arc<(Mutex<Guests>, Condvar)>);

#[derive(Debug, Default)]
struct Guests {
    came: usize,
    open: bool,
}

impl Door {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Waits until the door is open.
    pub(crate) fn pass(&self) {
        let (lock, changed) = &*self.0;
        let mut guests = lock.lock().unwrap();
        guests.came += 1;
        changed.notify_all();
        let (guests, _) = changed
            .wait_timeout_while(guests, PATIENCE, |guests| !guests.open)
            .unwrap();
        if !guests.open {
            eprintln!("HANG: nobody opened the door");
            abort();
        }
    }

    pub(crate) fn open(&self) {
        let (lock, changed) = &*self.0;
        lock.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        changed.notify_all();
    }

    /// Waits until so many have come to the door.
    pub(crate) fn wait_for(&self, guests: usize) {
        let (lock, changed) = &*self.0;
        let guard = lock.lock().unwrap();
        let (guard, _) = changed
            .wait_timeout_while(guard, PATIENCE, |seen| seen.came < guests)
            .unwrap();
        if guard.came < guests {
            eprintln!("HANG: {} of {guests} came to the door", guard.came);
            abort();
        }
    }

    /// How many have come so far.
    pub(crate) fn came(&self) -> usize {
        self.0.0.lock().unwrap().came
    }
}

/// Opens its door when it goes out of scope, so that a failing test does not hang.
pub(crate) struct OpenAtEnd<'a>(pub(crate) &'a Door);

impl Drop for OpenAtEnd<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Holds the law of conservation against a snapshot.
#[track_caller]
pub(crate) fn assert_conserved(stats: &Stats) {
    let parts = stats.queued
        + stats.running
        + stats.completed
        + stats.panicked
        + stats.cancelled
        + stats.returned;
    assert_eq!(stats.accepted, parts, "{stats}");
}

/// Panics when it is dropped, unless its thread panics already.
#[derive(Debug)]
pub(crate) struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("a drop that panics");
        }
    }
}

/// Panics when it is dropped: where something unwinds already, that ends the process.
#[derive(Debug)]
pub(crate) struct AlwaysPanicsOnDrop;

impl Drop for AlwaysPanicsOnDrop {
    fn drop(&mut self) {
        panic!("a drop that panics");
    }
}

/// The end of what [`take_time`] takes.
pub(crate) const LONGEST: u64 = 16;

/// Up to a microsecond, or a turn of whoever else wants the core.
pub(crate) fn take_time(some: u64) {
    if some + 1 == LONGEST {
        thread::yield_now();
    } else {
        (0..some * 4).for_each(|_| std::hint::spin_loop());
    }
}

/// Runs `body` in a thread that is unwinding when it drops what `body` returned.
pub(crate) fn drop_while_panicking<T>(make: impl FnOnce() -> T) {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _dropped_in_the_panic = make();
        std::panic::resume_unwind(Box::new("the test's own panic"));
    }));
    assert!(unwound.is_err());
}

/// What random tests are drawn from. Zero is always the plain case, so that a fuzzer's bytes that
/// run out have a plain end.
pub(crate) trait Choices {
    /// A number in `0..end`.
    fn below(&mut self, end: u64) -> u64;

    /// True once in `n`.
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) + 1 == n
    }

    /// Less than `most` of something. How many is drawn bit by bit, so that a smaller input has
    /// fewer of them.
    fn some<T>(&mut self, most: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let another = |_| (self.below(most as u64) > 0).then(|| draw(self));
        (1..most).map_while(another).collect()
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A small generator of numbers that look random (Marsaglia's xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
}

impl Choices for Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % end
    }
}
