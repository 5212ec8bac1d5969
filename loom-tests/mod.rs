//! The loom models: each runs a small piece of the crate through every execution
//! that memory orderings and preemption allow. `cargo loom` runs them all.
//!
//! There is a file for each module of the crate, and a model for each edge in the
//! modules' edge tables, which name it in their last column (`tests/tidy.rs` checks
//! that it is here). They are part of the crate, for they need its private items.
//!
//! A model looks like this:
//!
//! ```ignore
//! #[test]
//! fn thief_sees_the_item() {
//!     let plan = Plan { bound: Bound::Exhaustive, floor: 100, events: &["deque steal: claimed"] };
//!     explore("thief_sees_the_item", plan, || {
//!         // Runs once for each execution, and makes everything anew.
//!     });
//! }
//! ```
//!
//! **Rules.** Items are [`parcel::Parcel`]s, which know whether they were published, lost or
//! doubled. A model names the *rare events* (probes) that it is about, and fails if
//! no execution reached them. A model about lost wakeups waits for its jobs *before*
//! it closes anything, since closing wakes everybody.

#[cfg(not(workcrew_loom))]
compile_error!(
    "without `--cfg workcrew_loom` the models would run on std and prove nothing: use `cargo loom`"
);

mod explore;
mod parcel;
#[cfg(target_os = "linux")]
mod stacks;

mod barrier;
mod canary;
mod crew;
mod deque;
mod durations;
mod engine;
mod gate;
mod group;
mod half;
mod idle;
mod in_flight;
mod injector;
mod lane;
mod lazy;
mod lease;
mod limit;
mod nest;
mod nested;
mod offer;
mod oneshot;
mod outbox;
mod parker;
mod pool;
mod recall;
mod reserve;
mod session;
mod tasks;
mod thread_pool;
mod track;
