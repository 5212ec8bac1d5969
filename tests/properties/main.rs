//! Random programs over the whole API, against models without threads: exactly for one
//! worker, by laws for several.
//!
//! `WORKCREW_PROPERTY_RUNS` says how many programs each test runs. A program that fails is
//! printed with its seed; `WORKCREW_PROPERTY_SEED` runs that one alone (as often as the runs
//! say), and with `WORKCREW_PROPERTY_HOLD=1` a program that hangs is held for a debugger.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

#[path = "../common/mod.rs"]
mod common;

mod one_worker;
mod program;
mod several_workers;
mod site;

use program::run_all;

#[test]
fn a_pool_of_one_worker_behaves_like_its_model() {
    run_all("one worker", 1..=1, one_worker::play);
}

#[test]
fn a_pool_of_several_workers_keeps_the_laws() {
    run_all("several workers", 2..=4, several_workers::play);
}
