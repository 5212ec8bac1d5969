//! A 32-bit word that threads can sleep on.
//!
//! The word is compared and the caller put to sleep in one step, so a wake that
//! follows a change of the word is never missed. On Linux it is the kernel's
//! futex: waking takes no lock that a suspended sleeper could hold. Elsewhere,
//! and under loom, a mutex and a condition variable stand in: there a thread
//! suspended inside [`Futex::wait`] can hold up its waker (see the progress table
//! in the crate's docs).

use super::AtomicU32;
use std::time::Duration;

/// An atomic word with `wait` and `wake`. Spurious returns are allowed.
#[derive(Debug)]
pub(crate) struct Futex {
    pub(crate) word: AtomicU32,
    /// In it: whether a model has played a clock that runs out, see `ring`.
    #[cfg(not(all(target_os = "linux", not(workcrew_loom))))]
    lock: super::Mutex<bool>,
    #[cfg(not(all(target_os = "linux", not(workcrew_loom))))]
    condvar: super::Condvar,
}

impl Futex {
    pub(crate) fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            #[cfg(not(all(target_os = "linux", not(workcrew_loom))))]
            lock: super::Mutex::new(false),
            #[cfg(not(all(target_os = "linux", not(workcrew_loom))))]
            condvar: super::Condvar::new(),
        }
    }
}

#[cfg(all(target_os = "linux", not(workcrew_loom)))]
impl Futex {
    /// Sleeps while the word is `expected`, until a wake, for at most `limit`.
    pub(crate) fn wait(&self, expected: u32, limit: Duration) {
        let limit = libc::timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            // The field's type differs, but a second's nanoseconds fit in all.
            tv_nsec: limit.subsec_nanos() as _,
        };
        // SAFETY: the word and the timespec live for the whole call; FUTEX_WAIT
        // reads them and writes nothing. All its errors (changed word, time out,
        // signal) mean "look again", which every caller does.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                expected,
                &raw const limit,
            );
        }
    }

    /// Wakes up to `sleepers` of those that wait.
    pub(crate) fn wake(&self, sleepers: u32) {
        let sleepers = i32::try_from(sleepers).unwrap_or(i32::MAX);
        // SAFETY: FUTEX_WAKE uses the address as a key and reads nothing there.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                sleepers,
            );
        }
    }
}

#[cfg(not(all(target_os = "linux", not(workcrew_loom))))]
impl Futex {
    /// Sleeps while the word is `expected`, until a wake, for at most `limit`
    /// (under loom, without limit; under shuttle a wait with a limit is a step, after which
    /// the caller looks at the clock).
    pub(crate) fn wait(&self, expected: u32, limit: Duration) {
        if cfg!(workcrew_shuttle) && limit < super::WATCH {
            return super::yield_now();
        }
        let mut guard = self.lock.lock();
        // Relaxed: the lock orders this look against `wake`, which comes after
        // the change of the word and passes through the lock.
        if self.word.load(super::Ordering::Relaxed) == expected {
            if !*guard {
                self.condvar.wait_for(&mut guard, limit);
            }
            *guard = false;
        }
    }

    /// Plays a clock that runs out: wakes one that sleeps, or the next that would.
    #[cfg(all(test, workcrew_loom))]
    pub(crate) fn ring(&self) {
        *self.lock.lock() = true;
        self.condvar.notify_one();
    }

    /// Wakes up to `sleepers` of those that wait.
    pub(crate) fn wake(&self, sleepers: u32) {
        // A sleeper is either before its look at the word, and sees the change,
        // or already in the condition variable's list.
        drop(self.lock.lock());
        if sleepers == 1 {
            self.condvar.notify_one();
        } else {
            self.condvar.notify_all();
        }
    }
}
