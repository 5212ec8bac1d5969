//! A model that passes proves nothing unless it reached what it is about. So an
//! exploration is counted, and fails if it was too small or missed an event.

use crate::probe;
use crate::sync::barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Instant;
use std::{env, fmt, panic};

/// How far loom goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// Every execution.
    Exhaustive,
    /// Every execution in which threads that could have gone on are interrupted at
    /// most so many times. `LOOM_DEEP=1` in the environment allows one more, and
    /// `LOOM_SHALLOW=1` one less, but at least one: `cargo xtask mutants` does so.
    Preemptions(usize),
}

/// What an exploration promises to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    /// How far loom goes.
    pub(super) bound: Bound,
    /// With fewer executions than this the model is broken. Somewhat less than it
    /// has, so that a harmless change of the code need not change it.
    pub(super) floor: u64,
    /// The library's probe points, each of which some execution must pass.
    pub(super) events: &'a [&'a str],
}

/// Steps of one execution after which loom gives up: only an endless loop gets there.
const MAX_STEPS: usize = 20_000;

/// Explores the executions of `model` and reports one line to stdout:
///
/// ```text
/// loom-model | name | executions | bound | milliseconds | event=count, ...
/// ```
///
/// # Panics
///
/// If an execution fails, if there were fewer than `plan.floor` of them, or if no
/// execution reached one of `plan.events`.
pub(super) fn explore(name: &str, plan: Plan<'_>, model: impl Fn() + Send + Sync + 'static) {
    // The probes count for the whole process, so other models have to wait.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);

    let bound = plan.bound.adjusted();
    let mut loom = loom::model::Builder::new();
    loom.max_branches = MAX_STEPS;
    loom.preemption_bound = match bound {
        Bound::Exhaustive => None,
        Bound::Preemptions(limit) => Some(limit),
    };
    // Whatever the environment says: half an exploration would look like a whole one.
    loom.max_permutations = None;
    loom.max_duration = None;
    loom.checkpoint_file = None;

    tell_where_it_failed();
    probe::reset();
    let executions = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&executions);
    let start = Instant::now();
    loom.check(move || {
        // Relaxed: loom runs one execution after the other, all on this thread.
        counter.fetch_add(1, Ordering::Relaxed);
        probe::forget_trace();
        barrier::prepare();
        model();
    });

    let time = start.elapsed().as_millis();
    let executions = executions.load(Ordering::Relaxed);
    let events: Vec<_> = plan
        .events
        .iter()
        .map(|event| format!("{event}={}", probe::hits(event)))
        .collect();
    println!(
        "loom-model | {name} | {executions} | {bound} | {time} | {}",
        events.join(", ")
    );

    let floor = plan.floor;
    assert!(
        executions >= floor,
        "vacuous: {name} has {executions} executions, not {floor} or more"
    );
    for event in plan.events {
        assert!(
            probe::hits(event) > 0,
            "vacuous: {name} never reached `{event}`"
        );
    }
}

/// Makes a panic print which probes the failing execution has passed. (A model in
/// which jobs panic uses `resume_unwind`, which is no news.)
fn tell_where_it_failed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            tell(what);
            eprintln!(
                "the failing execution, by threads and probes:\n{}",
                probe::take_trace()
            );
        }));
    });
}

impl Bound {
    fn adjusted(self) -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| value == "1");
        match self {
            Self::Preemptions(limit) if is_set("LOOM_DEEP") => Self::Preemptions(limit + 1),
            Self::Preemptions(limit @ 2..) if is_set("LOOM_SHALLOW") => {
                Self::Preemptions(limit - 1)
            }
            bound => bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhaustive => f.write_str("exhaustive"),
            Self::Preemptions(limit) => write!(f, "preemptions {limit}"),
        }
    }
}
