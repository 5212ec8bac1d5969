//! Tells whether two cores are there right now, and how far apart they are.
//!
//! On a shared machine a core can be gone for milliseconds: another process has it, or the host has. What is measured
//! meanwhile with two or more threads means nothing. And two virtual cores are halves of one core at some times and not
//! at others: a cache line's way there and back then takes many times as long, which moves the ratios too.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::job::{Job, work};

/// How long one thread spins in a look: far above the start of a thread, far below a sample.
const SPIN: Duration = Duration::from_millis(1);

/// A look that took this much longer than the best one had less than two cores. With one core it takes twice as long.
const MISSING_FROM: f64 = 1.4;

/// How often a sample is taken again before a disturbed one is kept.
const RETAKES: u32 = 4;

/// How often the gauge looks again, pausing in between, before a sample is taken all the same.
const LOOKS: u32 = 25;

/// How often a cache line goes there and back when its way is measured.
const TRIPS: u32 = 1_000;

/// Looks at two cores by letting a thread spin on each of them.
#[derive(Debug)]
pub struct Gauge {
    /// What each of the two threads spins in a look.
    steps: u32,
    cores: [usize; 2],
    best: Duration,
    retaken: u32,
    disturbed: u32,
}

impl Gauge {
    /// Learns how long a look takes when nothing else runs. `steps_per_milli`: steps of a job of 1 ms.
    #[must_use]
    pub fn new(steps_per_milli: u32) -> Self {
        let mut gauge = Self {
            steps: (f64::from(steps_per_milli) * SPIN.as_secs_f64() * 1e3) as u32,
            cores: two_cores(),
            best: Duration::MAX,
            retaken: 0,
            disturbed: 0,
        };
        for _ in 0..20 {
            gauge.both_cores_are_there();
        }
        gauge
    }

    /// Takes a sample while both cores are there: looks before and after, and takes it again if one was missing. Returns
    /// how many nanoseconds a cache line took to the other core and back before it, too.
    pub fn steady<T>(&mut self, mut sample: impl FnMut() -> T) -> (T, f64) {
        let mut taken = 0;
        loop {
            let before = self.wait_for_both_cores();
            let distance = self.distance();
            let outcome = sample();
            taken += 1;
            let steady = before && self.both_cores_are_there();
            if steady || taken > RETAKES {
                self.disturbed += u32::from(!steady);
                return (outcome, distance);
            }
            self.retaken += 1;
        }
    }

    /// How many samples were taken again.
    #[must_use]
    pub fn retaken(&self) -> u32 {
        self.retaken
    }

    /// How many samples were kept although a core was missing each time.
    #[must_use]
    pub fn disturbed(&self) -> u32 {
        self.disturbed
    }

    fn distance(&self) -> f64 {
        let (line, ready) = (AtomicU32::new(0), AtomicU32::new(0));
        let pass_on = |from: u32| {
            for trip in 0..TRIPS {
                // Relaxed: the line itself is all there is.
                while line.load(Ordering::Relaxed) != 2 * trip + from {
                    spin_loop();
                }
                line.store(2 * trip + from + 1, Ordering::Relaxed);
            }
        };
        let [here, there] = self.cores;
        if here == there {
            return 0.0;
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                pin_to(there);
                ready.store(1, Ordering::Release);
                pass_on(1);
            });
            let first = scope.spawn(|| {
                pin_to(here);
                // The other one is there.
                while ready.load(Ordering::Acquire) == 0 {
                    spin_loop();
                }
                let start = Instant::now();
                pass_on(0);
                start.elapsed().as_nanos() as f64 / f64::from(TRIPS)
            });
            first.join().expect("it only counts")
        })
    }

    fn wait_for_both_cores(&mut self) -> bool {
        (0..LOOKS).any(|look| {
            if look > 0 {
                thread::sleep(Duration::from_millis(5));
            }
            self.both_cores_are_there()
        })
    }

    fn both_cores_are_there(&mut self) -> bool {
        let steps = self.steps;
        let start = Instant::now();
        thread::scope(|scope| {
            for core in self.cores {
                scope.spawn(move || {
                    // Left to itself, the kernel often starts both threads on one core.
                    pin_to(core);
                    black_box(work(black_box(Job::new(0, steps))));
                });
            }
        });
        let look = start.elapsed();
        self.best = self.best.min(look);
        look < self.best.mul_f64(MISSING_FROM)
    }
}

/// The first two cores that this process may use; one of them twice if there is only one.
#[cfg(target_os = "linux")]
fn two_cores() -> [usize; 2] {
    let allowed = allowed_cores();
    let mut cores = (0..libc::CPU_SETSIZE as usize).filter(|&core| {
        // SAFETY: `core` is below `CPU_SETSIZE`, so inside of the set.
        unsafe { libc::CPU_ISSET(core, &allowed) }
    });
    let first = cores.next().unwrap_or(0);
    [first, cores.next().unwrap_or(first)]
}

#[cfg(target_os = "linux")]
fn allowed_cores() -> libc::cpu_set_t {
    // SAFETY: a `cpu_set_t` is an array of bits, for which all zeros is a value.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer and the size are those of `allowed`, which nobody else looks at.
    let status = unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) };
    assert_eq!(status, 0, "sched_getaffinity failed");
    allowed
}

/// Lets this thread run on `core` alone.
#[cfg(target_os = "linux")]
fn pin_to(core: usize) {
    // SAFETY: as in `allowed_cores`.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` comes from `two_cores`, so it is inside of the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the pointer and the size are those of `set`.
    let status = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(status, 0, "sched_setaffinity failed");
}

#[cfg(not(target_os = "linux"))]
fn two_cores() -> [usize; 2] {
    [0, 1]
}

/// Elsewhere the system is left to place the threads.
#[cfg(not(target_os = "linux"))]
fn pin_to(_core: usize) {}
