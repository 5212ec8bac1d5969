//! A value that two own, and that goes with the second of them.
//!
//! **Promise.** Both halves of a [pair](Half::pair) refer to one value. It is dropped with the
//! half that is dropped last, by that thread, which sees all that the other did to it; its memory
//! goes to that thread's [`blocks`] (or leaks, if the value's drop panics). Nobody
//! waits.
//!
//! **Why no `Arc`.** Since there are two, there is nothing to count: a flag says whether one has
//! left. The first to leave changes it by a read-modify-write, as it would a count. But the second
//! needs none, nor does the making of the second half.
//!
//! **Invariants.**
//!
//! 1. For a half the value is there until its own drop has swapped the flag and found it unset
//!    (from then on it touches nothing), or has found itself alone and drops the value.
//! 2. `left` is set by a half that touches nothing any more: then the other owns the value alone.
//!    ([`Half::leak`] takes the flag back: then nobody does, and the value stays for ever.)
//!
//! | edge   | release side           | acquire side           | carries                        | loom model                               |
//! |--------|------------------------|------------------------|--------------------------------|------------------------------------------|
//! | `last` | [`Half::drop`], `left` | [`Half::drop`], `left` | that it is left, and its deeds | `second_half_sees_what_the_first_has_done` |

use crate::blocks;
use crate::sync::{AtomicBool, Ordering};
use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

/// The value, and whether one of the two has left.
pub(crate) struct Pair<T: ?Sized> {
    left: AtomicBool,
    value: T,
}

/// One of the two that own a `T`.
pub(crate) struct Half<T: ?Sized>(NonNull<Pair<T>>, PhantomData<Pair<T>>);

// SAFETY: both halves give access to the value, from two threads (hence `Sync`), and either drops
// it (hence `Send`).
unsafe impl<T: ?Sized + Send + Sync> Send for Half<T> {}
// SAFETY: as above; a shared half gives access to the value, and no more.
unsafe impl<T: ?Sized + Send + Sync> Sync for Half<T> {}

// A half moves, and its value does not.
impl<T: ?Sized> Unpin for Half<T> {}

impl<T> Half<T> {
    /// Both halves of what owns this value.
    #[inline]
    pub(crate) fn pair(value: T) -> [Self; 2] {
        let memory = blocks::take(Layout::new::<Pair<T>>()).cast();
        let left = AtomicBool::new(false);
        // SAFETY: new memory, for just this.
        unsafe { memory.write(Pair { left, value }) };
        [Self(memory, PhantomData), Self(memory, PhantomData)]
    }

    /// The same half, of a value whose type is known less well.
    ///
    /// # Safety
    ///
    /// * `coerce` returns what it is given, as the compiler coerces it.
    #[inline]
    pub(crate) unsafe fn unsize<U: ?Sized>(
        self,
        coerce: impl FnOnce(NonNull<Pair<T>>) -> NonNull<Pair<U>>,
    ) -> Half<U> {
        let half = ManuallyDrop::new(self);
        Half(coerce(half.0), PhantomData)
    }
}

impl<T: ?Sized> Half<T> {
    /// The value shall not be dropped with this half, but leak. For a forked child, where this is
    /// the only thread.
    pub(crate) fn leak(&self) {
        // Relaxed: nobody else is there. (If the other half were, or came to be dropped before:
        // whoever finds the flag unset leaves the value to the other.)
        self.inner().left.store(false, Ordering::Relaxed);
    }

    #[inline]
    fn inner(&self) -> &Pair<T> {
        // SAFETY: it is there (invariant 1), and shared: nobody has it by a unique reference before
        // both have left.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> Deref for Half<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T: ?Sized> Drop for Half<T> {
    #[inline]
    fn drop(&mut self) {
        let left = &self.inner().left;
        // [last] Acquire: if the other has left, we see what it did. (Else the swap says so.)
        let is_alone = left.load(Ordering::Acquire)
            // [last] AcqRel: either we leave, and the other shall see what we did; or it has left.
            || left.swap(true, Ordering::AcqRel);
        if is_alone {
            let pair = self.0;
            let layout = Layout::for_value(self.inner());
            // SAFETY: the other half has left, and this one is not used again (invariant 2).
            unsafe { pair.drop_in_place() };
            // SAFETY: it was taken for a value of this type, and has none any more.
            unsafe { blocks::give(pair.cast(), layout) };
        }
    }
}
