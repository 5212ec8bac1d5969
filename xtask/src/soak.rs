//! `cargo xtask soak`: pools under more load than the machine can bear, for as long as one likes.
//!
//! What is done and what must hold stands in `tests/stress/soak.rs`, a test that nothing else runs.

use crate::process::{self, cargo};
use crate::{Outcome, USAGE};

pub(crate) fn run(mut args: &[&str]) -> Outcome {
    let (mut minutes, mut seed): (Option<f64>, Option<u64>) = (None, None);
    while let [option, value, rest @ ..] = args {
        match *option {
            "--minutes" => minutes = Some(process::number(option, value)?),
            "--seed" => seed = Some(process::number(option, value)?),
            _ => return Err(USAGE.into()),
        }
        args = rest;
    }
    let (Some(minutes), []) = (minutes, args) else {
        return Err(USAGE.into());
    };
    let mut soak = cargo("test --release --test stress soak -- --ignored --nocapture");
    soak.env(
        "WORKCREW_SOAK_SECONDS",
        ((minutes * 60.0) as u64).to_string(),
    );
    if let Some(seed) = seed {
        soak.env("WORKCREW_SOAK_SEED", seed.to_string());
    }
    process::run(&mut soak)
}
