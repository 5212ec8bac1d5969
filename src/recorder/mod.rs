//! What the engine tells of its workers, for those who asked for it when they built the pool.
//!
//! The engine has one [`Recorders`], and each worker's loop a [`Recorder`], whose methods say
//! in one line what happens there. A job brings the [`Stamp`] that it got when it was
//! accepted. Without the features that record anything all are empty types with empty methods
//! (`off`): no code is left of them. With such a feature they are in `on`, and for a pool
//! that asked for nothing a method is one branch.
//!
//! What each feature records is in a file of its own, `traced` and `timed`, or not there,
//! `untraced` and `untimed`; `on` has what they share, the clock.

#![forbid(unsafe_code)]

#[cfg(not(any(feature = "trace", feature = "histograms")))]
mod off;
#[cfg(any(feature = "trace", feature = "histograms"))]
mod on;

#[cfg(feature = "histograms")]
mod timed;
#[cfg(all(feature = "trace", not(feature = "histograms")))]
#[path = "untimed.rs"]
mod timed;
#[cfg(feature = "trace")]
mod traced;
#[cfg(all(feature = "histograms", not(feature = "trace")))]
#[path = "untraced.rs"]
mod traced;

#[cfg(not(any(feature = "trace", feature = "histograms")))]
pub(crate) use off::{Recorder, Recorders, Stamp, Wishes};
#[cfg(any(feature = "trace", feature = "histograms"))]
pub(crate) use on::{Recorder, Recorders, Wishes};
#[cfg(any(feature = "trace", feature = "histograms"))]
pub(crate) use timed::Stamp;

#[cfg(all(test, not(workcrew_loom)))]
#[path = "../../tests/unit/recorder.rs"]
mod tests;
