//! loom's mutex and condition variable in the shape of parking_lot's.

use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("loom fails a model that panics")
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().expect("loom fails a model that panics")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    /// Waits like parking_lot's: the guard is lent, not given away.
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        // loom's `wait` takes the guard by value and returns it.
        replace_with(guard, |guard| {
            self.0.wait(guard).expect("loom fails a model that panics")
        });
    }

    /// loom's clock never runs out.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _limit: Duration) {
        self.wait(guard);
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Replaces `*place` by `change(*place)`. A panic inside would leave nothing in
/// `place`, so it ends the process; loom fails such a model anyway.
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
