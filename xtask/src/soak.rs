//! `cargo xtask soak`: pools under more load than the machine can bear, for as long as one likes.
//!
//! What is done and what must hold stands in `tests/stress/soak.rs`, a test that nothing else runs.

use crate::process::{self, cargo};
use crate::{Outcome, USAGE, tools};

pub(crate) fn run(mut args: &[&str]) -> Outcome {
    let (mut seconds, mut seed): (Option<u64>, Option<u64>) = (None, None);
    while let [option, value, rest @ ..] = args {
        match *option {
            "--minutes" => seconds = Some(process::seconds(value)?),
            "--seed" => seed = Some(process::number(option, value)?),
            _ => return Err(USAGE.into()),
        }
        args = rest;
    }
    let (Some(seconds), []) = (seconds, args) else {
        return Err(USAGE.into());
    };
    let mut soak = cargo("test --release --test stress soak -- --ignored --nocapture");
    soak.env("WORKCREW_SOAK_SECONDS", seconds.to_string());
    if let Some(seed) = seed {
        soak.env("WORKCREW_SOAK_SEED", seed.to_string());
    }
    tools::count(&mut soak).map(drop)
}
