//! What the engine tells of its workers, for those who asked for it when they built the pool.
//!
//! The engine has one [`Recorders`], and each worker's loop a [`Recorder`], whose methods say
//! in one line what happens there. Without the features that record anything both are empty
//! types with empty methods (`off`): no code is left of them. With such a feature they are in
//! `on`, and for a pool that asked for nothing a method is one branch.

#![forbid(unsafe_code)]

#[cfg(not(feature = "trace"))]
mod off;
#[cfg(feature = "trace")]
mod on;

#[cfg(not(feature = "trace"))]
pub(crate) use off::{Recorder, Recorders, Wishes};
#[cfg(feature = "trace")]
pub(crate) use on::{Recorder, Recorders, Wishes};
