//! Ends the process when a sample does not end: a pool that loses a job or a wake-up would wait for ever.

use std::process;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// No sample takes a tenth of this, but those of ten million jobs.
const LIMIT: Duration = Duration::from_secs(90);

/// How often the watchdog looks. Seldom, since its waking is in the CPU time of idle pools.
const INTERVAL: Duration = Duration::from_secs(10);

static WATCHED: Mutex<Option<(String, Instant)>> = Mutex::new(None);
static STARTED: Once = Once::new();

/// Runs `sample`; ends the process if that takes too long. `label` says what was measured.
pub fn watch<T>(label: String, sample: impl FnOnce() -> T) -> T {
    STARTED.call_once(|| {
        thread::spawn(look_on);
    });
    set(Some((label, Instant::now())));
    let outcome = sample();
    set(None);
    outcome
}

fn set(watched: Option<(String, Instant)>) {
    *WATCHED.lock().unwrap_or_else(PoisonError::into_inner) = watched;
}

fn look_on() {
    loop {
        thread::sleep(INTERVAL);
        let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((label, since)) = &*watched
            && since.elapsed() > LIMIT
        {
            eprintln!("\n{label}: not done after {LIMIT:?}. A job or a wake-up was lost.");
            process::exit(1);
        }
    }
}
