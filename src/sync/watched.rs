//! loom's atomics, with every access in loom's sight.
//!
//! loom 0.7.3 tries an order of two accesses only if it finds them in conflict, and
//! remembers only the *last* access to an atomic. So where thread A loads a word, and
//! B loads it and then changes it, B's load hides A's: the change is never tried
//! before A's load (loom issues 166 and 392). Every compare-and-swap loop is of this
//! shape. Here each load first stores to a companion that nobody reads, so that loads
//! are in conflict too: more executions, but none is left out. The companion orders
//! nothing, since it is never read. `loom-tests/canary.rs` watches over this.

#![forbid(unsafe_code)]
#![allow(
    dead_code,
    reason = "each atomic has all methods, so that the next user finds them"
)]

use loom::sync::atomic::Ordering;

macro_rules! watched {
    ($name:ident $(<$T:ident>)?, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name $(<$T>)? {
            value: loom::sync::atomic::$name $(<$T>)?,
            touched: loom::sync::atomic::AtomicBool,
        }

        impl $(<$T>)? $name $(<$T>)? {
            pub(crate) fn new(value: $value) -> Self {
                Self {
                    value: loom::sync::atomic::$name::new(value),
                    touched: loom::sync::atomic::AtomicBool::new(false),
                }
            }

            fn touch(&self) {
                self.touched.store(true, Ordering::Relaxed);
            }

            pub(crate) fn load(&self, ordering: Ordering) -> $value {
                self.touch();
                self.value.load(ordering)
            }

            pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                self.value.store(value, ordering);
            }

            pub(crate) fn swap(&self, value: $value, ordering: Ordering) -> $value {
                self.value.swap(value, ordering)
            }

            pub(crate) fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.value.compare_exchange(old, new, success, failure)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.value.compare_exchange_weak(old, new, success, failure)
            }
        }
    };
}

macro_rules! watched_number {
    ($name:ident, $value:ty) => {
        watched!($name, $value);

        impl $name {
            pub(crate) fn fetch_add(&self, value: $value, ordering: Ordering) -> $value {
                self.value.fetch_add(value, ordering)
            }

            pub(crate) fn fetch_sub(&self, value: $value, ordering: Ordering) -> $value {
                self.value.fetch_sub(value, ordering)
            }

            pub(crate) fn fetch_or(&self, value: $value, ordering: Ordering) -> $value {
                self.value.fetch_or(value, ordering)
            }

            pub(crate) fn fetch_max(&self, value: $value, ordering: Ordering) -> $value {
                self.value.fetch_max(value, ordering)
            }

            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut change: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut seen = self.load(failure);
                while let Some(next) = change(seen) {
                    match self.compare_exchange_weak(seen, next, success, failure) {
                        Ok(_) => return Ok(seen),
                        Err(now) => seen = now,
                    }
                }
                Err(seen)
            }
        }
    };
}

watched!(AtomicBool, bool);
watched!(AtomicPtr<T>, *mut T);
watched_number!(AtomicU32, u32);
watched_number!(AtomicU64, u64);
watched_number!(AtomicUsize, usize);
