//! The one place that knows std from loom.
//!
//! Every other file takes its atomics, cells, locks, threads and barriers from
//! here, so the code that loom explores (`--cfg workcrew_loom`) is the code that
//! ships. What loom cannot express stays behind a function of this module:
//!
//! | facade | ships as | under loom |
//! |---|---|---|
//! | [`barrier::light`], [`barrier::heavy`] | compiler fence and `membarrier` on Linux, where that is cheaper than two `SeqCst` fences; else these | the weaker of the two: what the pair promises, and no more |
//! | the atomics | std's | loom's, and see `watched` |
//! | [`Home`] | a handler that runs in each forked child, on Linux | nothing |
//! | [`Futex`] | the Linux futex call, else a mutex and a condition variable | the mutex and the condition variable |
//! | [`own!`] | a `thread_local!` | its own, for loom's threads share a real one |
//! | [`now`], [`deadline`] | the clock | loom: the clock, though no wait ends by it; shuttle: a clock of steps |
//! | [`NAP`], [`WATCH`], [`give_way`] | timed waits and polite retries | none: every protocol must do without |
//!
//! With `--cfg workcrew_shuttle` beside it shuttle stands in for loom: the same code, in
//! schedules by chance instead of all, and as if every ordering were `SeqCst`.

#![cfg_attr(
    not(workcrew_loom),
    expect(
        clippy::disallowed_types,
        reason = "this module is what the lint sends everybody else to"
    )
)]

pub(crate) mod barrier;
mod cell;
mod fork;
mod futex;
#[cfg(any(workcrew_loom, miri))]
mod lock;
#[cfg(all(workcrew_loom, not(workcrew_shuttle)))]
mod watched;

use std::num::NonZero;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub(crate) use cell::UnsafeCell;
pub(crate) use fork::Home;
pub(crate) use futex::Futex;

#[cfg(not(workcrew_loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, yield_now},
};

#[cfg(not(workcrew_loom))]
use std::sync::atomic::fence;

#[cfg(any(workcrew_loom, miri))]
pub(crate) use lock::{Condvar, Mutex};
#[cfg(not(any(workcrew_loom, miri)))]
pub(crate) use parking_lot::{Condvar, Mutex};

/// Who runs the threads of a model, and decides which goes on.
#[cfg(all(workcrew_loom, not(workcrew_shuttle)))]
use loom as checker;
#[cfg(workcrew_shuttle)]
use shuttle as checker;

#[cfg(workcrew_loom)]
pub(crate) use checker::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
    thread::{self, yield_now},
};
#[cfg(workcrew_shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
#[cfg(all(workcrew_loom, not(workcrew_shuttle)))]
pub(crate) use watched::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

/// A value that each thread has for itself.
macro_rules! own {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;) => {
        #[cfg(not(workcrew_loom))]
        std::thread_local! {
            $(#[$attribute])*
            static $name: $type = const { $init };
        }
        #[cfg(all(workcrew_loom, not(workcrew_shuttle)))]
        loom::thread_local! {
            $(#[$attribute])*
            static $name: $type = $init;
        }
        #[cfg(workcrew_shuttle)]
        shuttle::thread_local! {
            $(#[$attribute])*
            static $name: $type = $init;
        }
    };
}
pub(crate) use own;

/// How long a sleeper trusts the others: after this time it looks again by itself. (A
/// worker does so only if it is the one that sleeps deepest, and the more seldom the
/// longer it has slept.)
///
/// The protocols do not need it: no wakeup is lost, which loom proves with no
/// timeout at all. It is there for a thread that is *suspended for ever* between
/// being woken for a job and claiming it. At most one thread is woken for each
/// job, so then nobody else is awake, and nobody but a clock can notice.
pub(crate) const WATCH: Duration = if cfg!(workcrew_shuttle) {
    // Longer than any wait that is meant to end by itself: see [`Futex::wait`].
    Duration::from_secs(3600)
} else if cfg!(test) {
    Duration::from_millis(20)
} else {
    Duration::from_secs(4)
};

/// How long a thread naps when it is much faster than those for whom it waits, or in their way:
/// long enough that a job of a microsecond pays for the nap's system call only
/// once in a hundred times, short enough that a queue of 1,024 such jobs does not
/// run dry meanwhile. Chosen by W1b at 1 µs in `benches`.
pub(crate) const NAP: Duration = Duration::from_micros(150);

/// What time it is. Under shuttle time passes by steps of the schedule, so that the same
/// schedule has the same times.
pub(crate) fn now() -> Instant {
    #[cfg(workcrew_shuttle)]
    {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        /// Of one step: a wait of a second is over after so many that the schedule is not too long.
        const STEP: Duration = Duration::from_micros(50);
        let steps = checker::current::context_switches();
        *START + STEP * u32::try_from(steps).unwrap_or(u32::MAX)
    }
    #[cfg(not(workcrew_shuttle))]
    Instant::now()
}

/// When so much time is up. A time beyond the clock's reach is no deadline.
pub(crate) fn deadline(timeout: Duration) -> Option<Instant> {
    now().checked_add(timeout)
}

/// What is shared and need not be modelled: functions and other trait objects. (To
/// loom's `Arc` a `dyn Trait` is strange.)
pub(crate) type Object<T> = std::sync::Arc<T>;

/// The parallelism that the system offers, or 1. The models are the same on every machine.
pub(crate) fn available_parallelism() -> usize {
    if cfg!(workcrew_loom) {
        2
    } else {
        std::thread::available_parallelism().map_or(1, NonZero::get)
    }
}

/// Whether the calling thread unwinds. A model that panics has failed already.
pub(crate) fn panicking() -> bool {
    !cfg!(workcrew_loom) && std::thread::panicking()
}

/// Nanoseconds since some moment. loom's clock stands still.
pub(crate) fn clock() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    if cfg!(workcrew_loom) {
        0
    } else {
        START.elapsed().as_nanos() as u64
    }
}

/// Sleeps for [`NAP`], deaf to all wakes, or until a signal comes. (`thread::sleep` would begin
/// anew after each signal, with the rest of the time and the timer's slack of 50 microseconds; so
/// while they come more often than that it would never end.)
pub(crate) fn nap() {
    if !cfg!(workcrew_loom) {
        Futex::new(0).wait(0, NAP);
    }
}

/// Gives the core to other threads, for so many nanoseconds if it gets it back so soon.
pub(crate) fn give_way(time: u64) {
    if cfg!(workcrew_loom) {
        return;
    }
    let start = clock();
    while {
        yield_now();
        clock() - start < time
    } {}
}
