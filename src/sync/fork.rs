//! Whether this process is a forked child of the one that a pool was built in.
//!
//! Only the forking thread lives on in the child: a pool has no workers there, and who
//! waits for one waits for ever. So the child's calls must fail. Asking the system for
//! the process's number would cost a system call a job; a handler that runs in each child
//! changes a number instead, which costs the others a load of a word that nobody writes.
//!
//! On Linux only; elsewhere, under Miri and under loom nothing is noticed.

#[cfg(all(target_os = "linux", not(workcrew_loom), not(miri)))]
mod imp {
    use std::sync::Once;
    use std::sync::atomic::{AtomicU32, Ordering};

    static FORKS: AtomicU32 = AtomicU32::new(0);

    /// Runs in the child, before `fork` returns there.
    extern "C" fn in_the_child() {
        // Relaxed: this thread is the only one.
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn prepare() {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            // SAFETY: the handler is a function of the program, which does nothing but
            // change an atomic. Should the system have no memory for one more handler,
            // forks go unnoticed.
            unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
        });
    }

    #[inline]
    pub(crate) fn generation() -> u32 {
        // Relaxed: it changes before the child's only thread goes on, and never else.
        FORKS.load(Ordering::Relaxed)
    }
}

#[cfg(not(all(target_os = "linux", not(workcrew_loom), not(miri))))]
mod imp {
    pub(crate) fn prepare() {}

    #[inline]
    pub(crate) fn generation() -> u32 {
        0
    }
}

use imp::{generation, prepare};

/// The process in which something was made, as far as forks tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(u32);

impl Home {
    /// Here.
    pub(crate) fn new() -> Self {
        prepare();
        Self(generation())
    }

    /// Here, in a process where [`new`](Self::new) was called before, or in its parent.
    #[inline]
    pub(crate) fn again() -> Self {
        Self(generation())
    }

    /// Whether the caller is in a forked child.
    #[inline]
    pub(crate) fn is_abroad(self) -> bool {
        generation() != self.0
    }
}
