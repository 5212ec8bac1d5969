//! An [`UnsafeCell`] in loom's shape: access goes through `with` and `with_mut`,
//! so that loom can see when two threads are inside at once.

#![forbid(unsafe_code)]

#[cfg(all(workcrew_loom, not(workcrew_shuttle)))]
pub(crate) use loom::cell::UnsafeCell;

#[cfg(any(not(workcrew_loom), workcrew_shuttle))]
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(any(not(workcrew_loom), workcrew_shuttle))]
impl<T> UnsafeCell<T> {
    #[inline]
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Lends a pointer for reading.
    #[inline]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Lends a pointer for writing.
    #[inline]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
