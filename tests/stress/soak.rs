//! The stress for minutes or hours: pools of both kinds, one after the other, with up to 64
//! workers, and beside them threads that do nothing but burn the cores. `cargo xtask soak` runs it.
//!
//! What must hold of each pool: its books or its roll (see [`worker_pool`] and [`thread_pool`]),
//! which contain the law of conservation; *progress*: no time of [`SMALL_GAP`] without a job that
//! ends; and *flat memory*: when a pool has gone, the heap is as large as it was between the first
//! pools, but for [`SLACK`].
//!
//! `WORKCREW_SOAK_SECONDS` says how long it takes, `WORKCREW_SOAK_SEED` where it begins. The seed
//! of each pool is the one before and 1; it tells which calls are made, not how they race.

use crate::common::{Choices, Dice, eventually};
use crate::{Scale, Tally, heap, number, thread_pool, worker_pool};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Less than the 4 s after which a sleeping crew looks by itself: a wakeup that is lost shows.
const SMALL_GAP: Duration = Duration::from_secs(3);

const LARGE: Scale = Scale {
    workers: &[1, 2, 3, 5, 8, 17, 33, 64],
    jobs: 1 << 15,
    patience: SMALL_GAP,
};

/// Pools after which the heap has seen everything. One that ended by itself may be leaving yet
/// when the heap is looked at, so the least of all that is seen is taken for its level.
const WARM_UP: u64 = 20;

/// Bytes that may come to the heap in the whole time: parking_lot's tables of waiting threads. When
/// more threads than ever have waited for a lock and not ended yet, it makes a larger one, and
/// frees none: 64 bytes for each of at least three times as many places as threads, rounded up to
/// a power of two. Those for up to 170 threads, from 32 places to 512, come to 62 KiB. (Seen with a
/// backtrace; a run in which the first 20 pools needed few showed 28,769 bytes: three tables.)
const SLACK: usize = 64 << 10;

#[test]
#[ignore = "takes as long as it is told: `cargo xtask soak`"]
fn soak() {
    let duration = Duration::from_secs(number("WORKCREW_SOAK_SECONDS", 60));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = number("WORKCREW_SOAK_SEED", now.as_secs());
    println!("soak: from seed {first}");
    let start = Instant::now();
    let mut said = start;
    let (mut seed, mut all) = (first, Tally::default());
    let (mut level, mut resident_then) = (usize::MAX, String::new());
    while start.elapsed() < duration {
        let tally = live(seed);
        all.jobs += tally.jobs;
        all.panics += tally.panics;
        all.gap = all.gap.max(tally.gap);
        seed += 1;
        if seed - first <= WARM_UP {
            level = level.min(heap::bytes());
            resident_then = resident();
        } else {
            // The last threads of a pool that ended by itself may still be leaving.
            eventually(&format!("before seed {seed} the heap is as it was"), || {
                heap::bytes() <= level + SLACK
            });
        }
        if said.elapsed() > Duration::from_secs(60) {
            said = Instant::now();
            let summary = summary(start, seed - first, &all);
            println!("soak: {summary}, heap {}", heap::bytes());
        }
    }
    println!(
        "soak: {}, heap {level} bytes after {WARM_UP} pools and {} at the end, \
         resident {resident_then} and {}",
        summary(start, seed - first, &all),
        heap::bytes(),
        resident()
    );
}

fn summary(start: Instant, pools: u64, all: &Tally) -> String {
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let Tally { jobs, panics, gap } = all;
    format!(
        "{minutes:.1} minutes, {pools} pools, {jobs} jobs, {panics} panics, at most {} ms without \
         a job that ended",
        gap.as_millis()
    )
}

/// One pool, beside hogs.
fn live(seed: u64) -> Tally {
    let mut dice = Dice::new(!seed);
    let _hogs = Hogs::new(dice.below(4));
    let run = dice.pick(&[worker_pool::run, thread_pool::run]);
    let run = AssertUnwindSafe(|| run(seed, &LARGE));
    catch_unwind(run).unwrap_or_else(|panic| {
        println!("FAILED: seed {seed}");
        resume_unwind(panic)
    })
}

/// What the system has given to this process.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or_else(|| "unknown".into(), |size| size.trim().to_owned())
}

/// Threads that burn the cores as long as this lives.
struct Hogs {
    enough: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    fn new(many: u64) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let hog = |_| {
            let enough = Arc::clone(&enough);
            thread::spawn(move || while !enough.load(Relaxed) {})
        };
        let threads = (0..many).map(hog).collect();
        Self { enough, threads }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.enough.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
