//! A job of any type in a fixed number of bytes: a closure, inline where it is small.
//!
//! **Promise.** What went into a [`Task`] is run once, or handed back, or dropped. Nothing
//! is allocated for a value of up to [`SPACE`] bytes that is aligned like a `u64`, or less;
//! any other lies in a `Box`.
//!
//! **Layout.** `space` has the value, or its box; `table` tells which type that is.
//!
//! **Invariants.**
//!
//! 1. `space` holds a `W`, or a `Box<W>` if a `W` does not [fit](fits), and `table` was made
//!    for that `W`.
//! 2. It is moved out by [`Task::run`], [`Task::run_in_place`], [`Task::take_back`] or the drop,
//!    which consume the task: at most once.
//! 3. A `W` that is not `'static` came through [`Task::borrowing`], whose caller answers for
//!    it.
//!
//! What goes in is [`Work`], which is `Send`, and comes out by value only; so a task is
//! `Send`, and shared it gives away nothing.

use crate::carried::{Carried, LUGGAGE};
use crate::engine::Ended;
use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};

/// The largest value, in bytes, that lies inline. With its table and the number that the
/// engine adds, a job then fills a cache line.
const SPACE: usize = 48 + LUGGAGE;

type Space = MaybeUninit<[u64; SPACE / size_of::<u64>()]>;

/// What a worker does with a job that it has taken.
pub(crate) trait Work: Send {
    /// Does it. A panic is the worker's to catch.
    fn work(self) -> Ended;
}

/// A closure that nobody waits for.
pub(crate) struct Detached<F>(Carried<F>);

impl<F> Detached<F> {
    #[inline]
    pub(crate) fn new(job: F) -> Self {
        Self(Carried::new(job))
    }

    pub(crate) fn into_inner(self) -> F {
        self.0.into_inner()
    }
}

impl<F: FnOnce() + Send> Work for Detached<F> {
    #[inline]
    fn work(self) -> Ended {
        self.0.enter(|job| job());
        Ended::Completed
    }
}

/// A [`Work`] whose type nobody knows any more.
pub(crate) struct Task {
    table: &'static Table,
    space: Space,
}

/// What to do with a value of one type.
struct Table {
    /// A pointer, since the space may be used again while the value runs.
    ///
    /// # Safety
    ///
    /// * The space is there, and holds a value of the table's type, as invariant 1 says.
    /// * The caller uses the space as empty from then on.
    run: unsafe fn(*mut Space) -> Ended,
    /// # Safety
    ///
    /// As for `run`.
    drop: unsafe fn(*mut Space),
    /// The table's type, if it borrows nothing.
    id: Option<fn() -> TypeId>,
}

struct TableOf<W>(PhantomData<W>);

impl<W: Work> TableOf<W> {
    const BORROWING: Table = Table {
        run: run::<W>,
        drop: discard::<W>,
        id: None,
    };
}

impl<W: Work + 'static> TableOf<W> {
    const OWNED: Table = Table {
        id: Some(TypeId::of::<W>),
        ..Self::BORROWING
    };
}

/// Whether a value lies inline.
const fn fits<W>() -> bool {
    size_of::<W>() <= SPACE && align_of::<W>() <= align_of::<Space>()
}

/// Moves the value out.
///
/// # Safety
///
/// * The space is there, and holds a `W`, as invariant 1 says.
/// * The caller uses the space as empty from then on.
#[inline(always)]
unsafe fn take<W>(space: *mut Space) -> W {
    if fits::<W>() {
        // SAFETY: a `W` lies there (the caller), within the space and aligned (`fits`);
        // nobody reads it again (the caller).
        unsafe { space.cast::<W>().read() }
    } else {
        // SAFETY: its box lies there (the caller), and a box fits; as above.
        *unsafe { space.cast::<Box<W>>().read() }
    }
}

/// # Safety
///
/// As for [`take`].
unsafe fn run<W: Work>(space: *mut Space) -> Ended {
    // SAFETY: the caller's promise.
    unsafe { take::<W>(space) }.work()
}

/// # Safety
///
/// As for [`take`].
unsafe fn discard<W>(space: *mut Space) {
    // SAFETY: the caller's promise.
    drop(unsafe { take::<W>(space) });
}

impl Task {
    #[inline]
    pub(crate) fn new<W: Work + 'static>(work: W) -> Self {
        Self::with_table(work, const { &TableOf::<W>::OWNED })
    }

    /// A task that borrows.
    ///
    /// # Safety
    ///
    /// * The task is run or dropped before anything that `work` borrows ends.
    #[inline]
    pub(crate) unsafe fn borrowing<W: Work>(work: W) -> Self {
        Self::with_table(work, const { &TableOf::<W>::BORROWING })
    }

    /// `table` is one of `TableOf<W>` (invariant 1).
    #[inline]
    fn with_table<W>(work: W, table: &'static Table) -> Self {
        let mut space = Space::uninit();
        let place = space.as_mut_ptr();
        if fits::<W>() {
            // SAFETY: new memory, in which there is room for a `W`, aligned (`fits`).
            unsafe { place.cast::<W>().write(work) };
        } else {
            // SAFETY: as above; a box is a pointer, which fits.
            unsafe { place.cast::<Box<W>>().write(Box::new(work)) };
        }
        Self { table, space }
    }

    /// Does the work.
    #[inline]
    pub(crate) fn run(self) -> Ended {
        let mut task = ManuallyDrop::new(self);
        // SAFETY: `task` is dropped by nobody, so it is never looked at again, whether this
        // returns or panics (invariant 2).
        unsafe { Self::run_in_place(&raw mut *task) }
    }

    /// Does the work. The first thing is that it is moved out of its place.
    ///
    /// # Safety
    ///
    /// * The task is there, and the caller uses its place as empty from then on.
    #[inline]
    pub(crate) unsafe fn run_in_place(task: *mut Self) -> Ended {
        // SAFETY: the task is there (the caller).
        let table = unsafe { (*task).table };
        // SAFETY: in bounds, as above.
        let space = unsafe { &raw mut (*task).space };
        // SAFETY: invariant 1, and the caller's promise.
        unsafe { (table.run)(space) }
    }

    /// The value itself, if it is a `W` that went in by [`Task::new`].
    pub(crate) fn take_back<W: 'static>(self) -> Option<W> {
        if self.table.id.is_none_or(|id| id() != TypeId::of::<W>()) {
            return None;
        }
        let mut task = ManuallyDrop::new(self);
        // SAFETY: the table was made for a type with the id of `W`, which is `W`
        // (invariant 1); as in `run`, nobody looks again (invariant 2).
        Some(unsafe { take::<W>(&raw mut task.space) })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: invariant 1; nobody can look at what was dropped (invariant 2).
        unsafe { (self.table.drop)(&raw mut self.space) };
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/task.rs"]
mod tests;
