//! What `WorkerPool` promises, promise by promise.

#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;

mod borrowing;
mod building;
mod cancelling;
mod ending;
mod follow_ups;
mod lanes;
mod mapping;
mod ordering;
mod panics;
mod starvation;
mod states;
mod submitting;
mod taking;
mod trying;
mod types;
mod waiting;
