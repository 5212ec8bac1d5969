//! What to do when the user's code panics.

#![forbid(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Runs the user's code; a panic comes back as a value.
///
/// `AssertUnwindSafe`: what the closure leaves half-done is either the user's own,
/// or state that the caller throws away after a panic, or asks for its own reasons
/// ([`Worker::work`](crate::engine::Worker::work)).
pub(crate) fn catch<T>(user_code: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(user_code))
}

/// Runs the user's code, and swallows its panic. Returns whether there was one.
///
/// The payload is dropped too. If that panics again, what comes of it is forgotten: it would never
/// end.
pub(crate) fn swallow(user_code: impl FnOnce()) -> bool {
    let Err(payload) = catch(user_code) else {
        return false;
    };
    let _ = catch(|| drop(payload)).map_err(std::mem::forget);
    true
}

/// Drops a user's value whose `drop` may panic. Returns whether it did.
pub(crate) fn drop_quietly<T>(value: T) -> bool {
    swallow(|| drop(value))
}

/// As [`drop_quietly`], for each value.
pub(crate) fn drop_each_quietly<T>(values: impl IntoIterator<Item = T>) {
    for value in values {
        drop_quietly(value);
    }
}

/// Drops its value quietly when it is unwound, as `let` does not.
pub(crate) struct Quiet<T>(Option<T>);

impl<T> Quiet<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect("it is consumed")
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        // Where there is nothing to drop, there shall be nothing to unwind either.
        if std::mem::needs_drop::<T>() {
            if let Some(value) = self.0.take() {
                drop_quietly(value);
            }
        }
    }
}

/// Ends the process if it is dropped: for what must not be unwound.
pub(crate) struct AbortOnDrop;

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// The message of a panic, where it has one.
pub(crate) fn message(payload: &Payload) -> &str {
    if let Some(message) = payload.downcast_ref::<&'static str>() {
        message
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message
    } else {
        "(a panic without a message)"
    }
}
