//! A value that may outlive what it refers to, while it only lies there.
//!
//! What a function is given by value is valid, references within included, until that function
//! returns: so says the language, even if the value has long been moved on. A function that is
//! given a borrowing job, and tells that the job has ended before it returns, would break that:
//! whoever is told takes down what the job borrowed. So such a function is given the job in a
//! [`MaybeDangling`]. (As in `std`, which has one of this name for its scoped threads.)

use std::mem::{ManuallyDrop, MaybeUninit};

/// Always holds a `T`: `MaybeUninit` is what nobody assumes anything about.
pub(crate) struct MaybeDangling<T>(MaybeUninit<T>);

impl<T> MaybeDangling<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(MaybeUninit::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        let held = ManuallyDrop::new(self);
        // SAFETY: it is there, and `held` is not used again, nor dropped.
        unsafe { held.0.assume_init_read() }
    }
}

impl<T> Drop for MaybeDangling<T> {
    fn drop(&mut self) {
        // SAFETY: it is there, and this is its drop.
        unsafe { self.0.assume_init_drop() };
    }
}
