//! A mutex and a condition variable in the shape of parking_lot's: loom's (or shuttle's),
//! and under Miri std's, since parking_lot keeps pointers in integers, which strict
//! provenance forbids.

#[cfg(workcrew_loom)]
use super::checker::sync;
#[cfg(not(workcrew_loom))]
use std::sync;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = sync::MutexGuard<'a, T>;

// parking_lot knows no poison either.
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

#[cfg_attr(
    all(miri, target_os = "linux"),
    expect(dead_code, reason = "the futex needs the other half")
)]
impl Condvar {
    pub(crate) fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Waits like parking_lot's: the guard is lent, not given away.
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        // The inner `wait` takes the guard by value and returns it.
        replace_with(guard, |guard| {
            self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
        });
    }

    /// loom's clock never runs out.
    #[cfg(workcrew_loom)]
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _limit: Duration) {
        self.wait(guard);
    }

    #[cfg(not(workcrew_loom))]
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, limit: Duration) {
        replace_with(guard, |guard| {
            let waited = self.0.wait_timeout(guard, limit);
            waited.unwrap_or_else(PoisonError::into_inner).0
        });
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Replaces `*place` by `change(*place)`. A panic inside would leave nothing in
/// `place`, so it ends the process.
fn replace_with<T>(place: &mut T, change: impl FnOnce(T) -> T) {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let abort = Abort;
    // SAFETY: `place` is valid and exclusively ours; until it is written again
    // below, nobody can see the moved-out value, since `abort` stops a panic.
    let old = unsafe { std::ptr::read(place) };
    let new = change(old);
    // SAFETY: as above; the old value has been moved out, so nothing is leaked.
    unsafe { std::ptr::write(place, new) };
    std::mem::forget(abort);
}
