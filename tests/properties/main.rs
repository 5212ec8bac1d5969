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

mod acts;
mod closures;
mod one_worker;
mod program;
mod run;
mod several_workers;
mod site;

use closures::Closures;
use program::Program;
use run::run_all;

#[test]
fn a_pool_of_one_worker_behaves_like_its_model() {
    let draw = |dice: &mut _| Program::draw(dice, 1..=1);
    run_all("one worker", draw, one_worker::play);
}

#[test]
fn a_pool_of_several_workers_keeps_the_laws() {
    let draw = |dice: &mut _| Program::draw(dice, 2..=4);
    run_all("several workers", draw, several_workers::play);
}

#[test]
fn a_pool_of_closures_does_what_its_acts_come_to() {
    run_all("closures", Closures::draw, closures::play);
}
