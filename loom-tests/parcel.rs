//! What the models send through queues.

use crate::sync::UnsafeCell;
use loom::alloc::Track;

/// An item whose content is written plainly by its maker and read plainly by whom
/// it was handed to: loom sees it if nothing orders the two, and a bit-wise copy
/// that is read while another is written. loom also sees it if a parcel is never
/// dropped. That none is doubled is for the model to check, by the numbers.
#[derive(Debug)]
pub(super) struct Parcel {
    content: Box<UnsafeCell<u64>>,
    tracked: Track<()>,
}

// SAFETY: a parcel is touched only by the thread that owns it, and loom, which
// checks that, is why it is made of a cell.
unsafe impl Send for Parcel {}

impl Parcel {
    pub(super) fn new(number: u64) -> Self {
        let content = Box::new(UnsafeCell::new(0));
        // SAFETY: nobody else has it yet.
        content.with_mut(|content| unsafe { *content = number });
        Self {
            content,
            tracked: Track::new(()),
        }
    }

    /// What is in it.
    pub(super) fn open(self) -> u64 {
        let Self { content, tracked } = self;
        drop(tracked);
        // A write, so that it conflicts with every other access.
        content.with_mut(|content| {
            // SAFETY: nobody else has it any more, if the code under test is right;
            // loom checks that.
            unsafe { std::mem::replace(&mut *content, u64::MAX) }
        })
    }
}

/// A place to write plainly, which another thread reads plainly: loom sees it if
/// nothing orders the two.
#[derive(Debug)]
pub(super) struct Board(UnsafeCell<u64>);

// SAFETY: it is not safe by itself; loom checks that the code under test makes it so.
unsafe impl Sync for Board {}

impl Board {
    pub(super) fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    pub(super) fn write(&self, value: u64) {
        // SAFETY: loom panics here if anybody else is at it.
        self.0.with_mut(|place| unsafe { *place = value });
    }

    pub(super) fn read(&self) -> u64 {
        // SAFETY: as above.
        self.0.with(|place| unsafe { *place })
    }
}
