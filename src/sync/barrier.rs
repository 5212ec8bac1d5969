//! The two halves of a store-then-look handshake.
//!
//! Sleep protocols all have this shape: one side *publishes, then looks for
//! sleepers*; the other *announces its sleep, then looks for work*. Each side's
//! store must be visible to the other before its own load, or both look past each
//! other and a wakeup is lost. Two full fences give that. But the publishing side
//! runs once a job, the sleeping side once a nap, so on Linux the cost is moved:
//! [`light`] only stops the compiler, and [`heavy`] asks the kernel
//! (`membarrier`, private expedited) to run a full fence on every core that runs
//! a thread of this process.
//!
//! **Proof of the pair.** Let P store x then load y with [`light`] between, and S
//! store y then load x with [`heavy`] between. The kernel's fence on P's core
//! falls either (a) before P's load of y completes its program-order
//! predecessors, that is before P's store of x: then P's load of y comes after
//! S's store of y became visible, and P sees it; or (b) after P's store of x: then
//! that store is visible before `heavy` returns, and S sees it. So at least one
//! of them sees the other. loom checks the protocols with just these two cases.
//!
//! Either half may be strengthened to [`heavy`]; two [`light`]s are no handshake. The
//! heavy half also acquires what its thread has read, as a fence does; a light half is
//! nothing but a half.

use super::{Ordering, fence};

#[cfg(all(target_os = "linux", not(workcrew_loom), not(miri)))]
mod imp {
    use std::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};

    /// Not asked yet: [`light`] is a full fence, which pairs with anything.
    const UNKNOWN: u8 = 0;
    /// The kernel refused: both halves are full fences for ever.
    const SYMMETRIC: u8 = 1;
    /// The process is registered: the light half costs nothing.
    const ASYMMETRIC: u8 = 2;
    /// The kernel has obeyed, and then refused: both halves are full fences from now on, but
    /// some light halves may have been none.
    const REVOKED: u8 = 3;

    static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);

    #[inline]
    pub(crate) fn light() {
        // Relaxed: a stale UNKNOWN only costs a full fence. ASYMMETRIC is never
        // taken back, and it is stored only after registration, from when on
        // every heavy half in the process asks the kernel.
        if MODE.load(Ordering::Relaxed) == ASYMMETRIC {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    #[cold]
    pub(crate) fn try_heavy() -> bool {
        let mode = MODE.load(Ordering::Relaxed);
        if (mode == UNKNOWN || mode == ASYMMETRIC)
            && !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        {
            // Before `prepare` every light half is a full fence, so one here will do. After it,
            // only a filter on system calls that was installed later gets us here.
            let _ =
                MODE.compare_exchange(ASYMMETRIC, REVOKED, Ordering::Relaxed, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        !is_revoked()
    }

    #[inline]
    pub(crate) fn is_revoked() -> bool {
        MODE.load(Ordering::Relaxed) == REVOKED
    }

    #[cold]
    pub(crate) fn prepare() {
        if MODE.load(Ordering::Relaxed) != UNKNOWN {
            return;
        }
        let mode = if membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
            && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        {
            ASYMMETRIC
        } else {
            SYMMETRIC
        };
        // Relaxed: nobody is published anything by the mode. It is decided once:
        // a thread that saw ASYMMETRIC must never meet a heavy half that saw
        // SYMMETRIC, so the first decision stands.
        let _ = MODE.compare_exchange(UNKNOWN, mode, Ordering::Relaxed, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn is_asymmetric() -> bool {
        MODE.load(Ordering::Relaxed) == ASYMMETRIC
    }

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(all(workcrew_loom, not(workcrew_shuttle)))]
mod imp {
    use loom::sync::atomic::{AtomicU32, Ordering, fence};

    // Not two fences: loom's order all that was before the one before all that comes
    // after the other, light ones too, and so would hide that a Release is missing. Each
    // half leaves a mark, then looks for the other's. (A read-modify-write finds the
    // last mark.) So of a light and a heavy half one learns what the other's thread did
    // before, and no light half learns anything of another.
    loom::lazy_static! {
        /// Carries what light halves have stored to the heavy ones that come later.
        static ref LIGHT: AtomicU32 = AtomicU32::new(0);
        /// Carries what heavy halves have stored to the light ones that come later.
        static ref HEAVY: AtomicU32 = AtomicU32::new(0);
    }

    pub(crate) fn light() {
        LIGHT.fetch_add(1, Ordering::Release);
        HEAVY.fetch_add(0, Ordering::Acquire);
    }

    pub(crate) fn try_heavy() -> bool {
        HEAVY.fetch_add(1, Ordering::Release);
        // Relaxed: the fence acquires the marks of both kinds.
        LIGHT.fetch_add(0, Ordering::Relaxed);
        fence(Ordering::Acquire);
        true
    }

    pub(crate) fn is_revoked() -> bool {
        false
    }

    /// Called before a model begins, so that no thread of it learns anything by being
    /// the second to come here.
    pub(crate) fn prepare() {
        let _: (&AtomicU32, &AtomicU32) = (&LIGHT, &HEAVY);
    }
}

#[cfg(any(
    workcrew_shuttle,
    all(not(workcrew_loom), any(not(target_os = "linux"), miri))
))]
mod imp {
    use crate::sync::{Ordering, fence};

    #[inline]
    pub(crate) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn try_heavy() -> bool {
        fence(Ordering::SeqCst);
        true
    }

    pub(crate) fn is_revoked() -> bool {
        false
    }

    pub(crate) fn prepare() {}
}

/// The half for the side that publishes once a job: nearly free on Linux.
pub(crate) use imp::light;

/// The half for the side that is about to sleep.
///
/// Should the kernel refuse it after all, the handshake under way may fail: there
/// [`WATCH`](super::WATCH) stands in.
pub(crate) fn heavy() {
    let _ = try_heavy();
}

/// [`heavy`], for whom nothing stands in. Returns whether it pairs with all light halves: if the
/// kernel once refuses what it did before, it never will again.
#[must_use]
pub(crate) fn try_heavy() -> bool {
    imp::try_heavy()
}

/// Whether [`try_heavy`] has become useless.
pub(crate) use imp::is_revoked;

/// A full fence of the calling thread alone, for two sides that are equally rare.
#[inline]
pub(crate) fn full() {
    fence(Ordering::SeqCst);
}

/// Registers the process with the kernel. Called once for each pool that is built.
pub(crate) use imp::prepare;

#[cfg(all(test, target_os = "linux", not(workcrew_loom), not(miri)))]
#[path = "../../tests/unit/barrier.rs"]
mod tests;
