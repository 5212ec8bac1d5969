//! How many programs are run, what is told of one that fails, and who ends one that hangs.

use crate::common::{Choices, Dice};
use std::fmt::Display;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, process, thread};

/// Far longer than a program takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays as many programs as the environment says.
pub(crate) fn run_all<P: Display>(name: &str, draw: impl Fn(&mut Dice) -> P, play: impl Fn(&P)) {
    let number = |variable: &str| -> Option<u64> {
        let text = env::var(variable).ok()?;
        Some(text.parse().expect("the environment has a number"))
    };
    let runs = number("WORKCREW_PROPERTY_RUNS").unwrap_or(300);
    let seed = number("WORKCREW_PROPERTY_SEED");
    let start = Instant::now();
    let watch = Watch::start();
    for run in 0..runs {
        let seed = seed.unwrap_or(run);
        let program = draw(&mut dice(seed));
        let text = format!("WORKCREW_PROPERTY_SEED={seed}, {name}: {program}");
        watch.begin(text.clone());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(&program))) {
            tell(&format!("FAILED:\n{text}"));
            resume_unwind(panic);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    tell(&format!(
        "properties, {name}: {runs} programs, {seconds:.1} s"
    ));
}

/// Small seeds, which are alike, lead far apart.
fn dice(seed: u64) -> Dice {
    let mut dice = Dice::new(seed.wrapping_add(1));
    for _ in 0..4 {
        let _ = dice.below(2);
    }
    dice
}

/// Past what captures the output of tests.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Aborts the process when a program hangs.
struct Watch(Arc<Mutex<Current>>);

/// The program that is played, and since when.
type Current = Option<(Instant, String)>;

impl Watch {
    fn start() -> Self {
        let current = Arc::new(Mutex::new(Current::None));
        let watched = Arc::downgrade(&current);
        thread::spawn(move || {
            while let Some(current) = watched.upgrade() {
                let now = current.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((begun, program)) = &*now {
                    if begun.elapsed() > PATIENCE {
                        tell(&format!("HANG:\n{program}"));
                        if env::var_os("WORKCREW_PROPERTY_HOLD").is_some() {
                            thread::sleep(Duration::MAX);
                        }
                        process::abort();
                    }
                }
                drop(now);
                drop(current);
                thread::sleep(Duration::from_millis(100));
            }
        });
        Self(current)
    }

    fn begin(&self, program: String) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some((Instant::now(), program));
    }
}
