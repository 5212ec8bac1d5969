//! A value that is made when somebody first needs it.
//!
//! **Promise.** All threads see the same value. Nobody waits for whoever makes it: two may make
//! one each, and the second one's is dropped. Lock-free. What was never needed costs a word.
//!
//! | edge    | release side         | acquire side                              | carries   | loom model                   |
//! |---------|----------------------|-------------------------------------------|-----------|------------------------------|
//! | `value` | [`Lazy::get_or`]     | [`Lazy::get`], [`Lazy::get_or`]           | the value | `two_make_a_lazy_value`      |

use crate::probe::probe;
use crate::sync::{AtomicPtr, Ordering};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

/// Null, or a box that was made into this pointer and stays until the drop. (An `AtomicPtr` may go to
/// other threads whatever it points to, hence the marker.)
pub(crate) struct Lazy<T>(AtomicPtr<T>, PhantomData<*mut T>);

// SAFETY: it owns its value.
unsafe impl<T: Send> Send for Lazy<T> {}
// SAFETY: all threads see the value, and one may make it that another drops.
unsafe impl<T: Send + Sync> Sync for Lazy<T> {}

impl<T> Lazy<T> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()), PhantomData)
    }

    /// The value, if it was made.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // [value] Acquire: it was made before.
        let value = self.0.load(Ordering::Acquire);
        // SAFETY: null, or a box's, which stays as long as `self`.
        unsafe { value.as_ref() }
    }

    /// The value, and if there is none, this one.
    #[inline]
    pub(crate) fn get_or(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.put(make()),
        }
    }

    #[cold]
    fn put(&self, value: T) -> &T {
        let own = Box::into_raw(Box::new(value));
        probe!("lazy: made, not shown");
        // [value] Release: the value is made before it is seen. Acquire: another's, as in `get`.
        let shown =
            self.0
                .compare_exchange(ptr::null_mut(), own, Ordering::Release, Ordering::Acquire);
        let value = match shown {
            Ok(_) => own,
            Err(other) => {
                // SAFETY: made above, and nobody has seen it.
                drop(unsafe { Box::from_raw(own) });
                other
            }
        };
        // SAFETY: a box's, which stays as long as `self`.
        unsafe { &*value }
    }
}

impl<T> Drop for Lazy<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut self`, everybody else is gone.
        let value = self.0.load(Ordering::Relaxed);
        if !value.is_null() {
            // SAFETY: it was made from a box, and nobody has it any more.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lazy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lazy").field(&self.get()).finish()
    }
}
