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
//!
//! To interrupt a core is dear, most of all in a virtual machine. While that costs more than it
//! spares, both halves are full fences ([`modes`], [`scales`]).

use super::{Ordering, fence};

#[cfg(any(
    all(target_os = "linux", not(workcrew_loom), not(miri)),
    all(test, workcrew_loom, not(workcrew_shuttle))
))]
pub(crate) mod modes;
#[cfg(all(target_os = "linux", not(workcrew_loom), not(miri)))]
mod scales;

#[cfg(all(target_os = "linux", not(workcrew_loom), not(miri)))]
mod imp {
    use super::modes::{Half, Modes};
    use super::scales::Scales;
    use crate::sync::clock;
    use crossbeam_utils::CachePadded;
    use std::sync::atomic::{Ordering, compiler_fence, fence};

    static MODES: CachePadded<Modes> = CachePadded::new(Modes::new());
    static SCALES: CachePadded<Scales> = CachePadded::new(Scales::new());

    #[inline]
    pub(crate) fn light() {
        if !MODES.light_is_none() {
            light_fence();
        }
    }

    /// All in one call, which needs nothing of the caller's: so it costs that no register.
    #[cold]
    fn light_fence() {
        let is_for_now = MODES.light_fence();
        if is_for_now && SCALES.ends_trial() {
            MODES.end_fences();
        }
    }

    #[cold]
    pub(crate) fn try_heavy() -> bool {
        let start = SCALES.heavy_begins().then(clock);
        let half = MODES.try_heavy();
        if let (Some(start), Ok(Half::Asymmetric)) = (start, &half) {
            if SCALES.begins_trial(start, clock()) {
                MODES.begin_fences();
            }
        }
        half.is_ok()
    }

    #[inline]
    pub(crate) fn is_revoked() -> bool {
        MODES.is_revoked()
    }

    #[cold]
    pub(crate) fn prepare() {
        // Before anybody is in a hurry: the first call makes the clock.
        clock();
        MODES.decide(|| {
            membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && interrupt_all()
        });
    }

    #[cfg(test)]
    pub(super) fn modes() -> &'static Modes {
        &MODES
    }

    /// Nothing to the processor: the accesses before and after it stay so.
    #[inline]
    pub(super) fn split_light() {
        compiler_fence(Ordering::SeqCst);
    }

    pub(super) use split_light as split_heavy;

    /// Runs a full fence on every core that runs a thread of this process, the caller's too. Returns
    /// whether the kernel has obeyed.
    pub(super) fn interrupt_all() -> bool {
        let obeyed = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        fence(Ordering::SeqCst);
        obeyed
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
        #[cfg(test)]
        let _: &AtomicU32 = &FENCED;
    }

    /// Where an interrupt may fall in the program of a thread that passes a light half.
    #[cfg(test)]
    pub(super) use light as split_light;

    #[cfg(test)]
    loom::lazy_static! {
        /// As `LIGHT`, for heavy halves that may be fences: one mark for both would order them.
        static ref FENCED: AtomicU32 = AtomicU32::new(0);
    }

    /// And of one that passes a heavy half.
    #[cfg(test)]
    pub(super) fn split_heavy() {
        FENCED.fetch_add(1, Ordering::Release);
        HEAVY.fetch_add(0, Ordering::Acquire);
    }

    #[cfg(test)]
    pub(super) fn interrupt_all() -> bool {
        let obeyed = try_heavy();
        FENCED.fetch_add(0, Ordering::Acquire);
        obeyed
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
