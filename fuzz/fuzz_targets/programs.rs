//! The random programs of `tests/properties/`, drawn from libFuzzer's bytes instead of a seed:
//! what leads to code that no program has reached before is kept and varied.
//!
//! An assertion of a model that does not hold ends the process (libFuzzer's panic hook), and
//! cargo-fuzz prints the program that was played. Panics that a program plans are raised without
//! the hook.

#![no_main]

#[path = "../../tests/properties/acts.rs"]
mod acts;
#[path = "../../tests/properties/closures.rs"]
mod closures;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/properties/one_worker.rs"]
mod one_worker;
#[path = "../../tests/properties/program.rs"]
mod program;
#[path = "../../tests/properties/several_workers.rs"]
mod several_workers;
#[path = "../../tests/properties/site.rs"]
mod site;

use closures::Closures;
use common::Choices;
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use program::Program;
use std::fmt::{self, Display};

fuzz_target!(|case: Case| match &case {
    Case::OneWorker(program) => one_worker::play(program),
    Case::SeveralWorkers(program) => several_workers::play(program),
    Case::Closures(program) => closures::play(program),
});

enum Case {
    OneWorker(Program),
    SeveralWorkers(Program),
    Closures(Closures),
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let bytes = &mut Bytes(bytes);
        Ok(match bytes.below(3) {
            0 => Self::OneWorker(Program::draw(bytes, 1..=1)),
            1 => Self::SeveralWorkers(Program::draw(bytes, 2..=4)),
            _ => Self::Closures(Closures::draw(bytes)),
        })
    }
}

/// What cargo-fuzz prints of a case that failed.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneWorker(program) | Self::SeveralWorkers(program) => program.fmt(f),
            Self::Closures(program) => program.fmt(f),
        }
    }
}

/// Zeros, when they have run out.
struct Bytes<'a, 'b>(&'a mut Unstructured<'b>);

impl Choices for Bytes<'_, '_> {
    fn below(&mut self, end: u64) -> u64 {
        self.0.int_in_range(0..=end - 1).unwrap_or(0)
    }
}
