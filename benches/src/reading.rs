//! Clock, CPU meter and allocation counter, read together.

use std::thread;
use std::time::{Duration, Instant};

use crate::allocations;

/// How long a pool may come to rest before its CPU time is read.
///
/// The kernel brings the time of a running thread up to date when it blocks, or at a tick (4 ms at 250 Hz): a reading
/// right at the last result would miss what is in between. It also means that a worker which goes on spinning after the
/// last job pays for it.
const REST: Duration = Duration::from_millis(2);

/// What a pass cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Wall-clock time.
    pub wall: Duration,
    /// User and system time of the whole process, all threads.
    pub cpu: Duration,
    /// Heap allocations, if they are counted.
    pub allocations: u64,
    /// Bytes of these.
    pub allocated_bytes: u64,
}

/// A reading that has started.
#[derive(Debug)]
pub struct Reading {
    cpu: Duration,
    allocated: allocations::Count,
    start: Instant,
}

impl Reading {
    /// Reads the meters, the clock last.
    #[must_use]
    pub fn start() -> Self {
        let cpu = cpu_time();
        let allocated = allocations::count();
        Self {
            cpu,
            allocated,
            start: Instant::now(),
        }
    }

    /// Reads the meters again, the clock first and the CPU meter after a rest.
    #[must_use]
    pub fn stop(self) -> Cost {
        let wall = self.start.elapsed();
        let allocated = allocations::count();
        thread::sleep(REST);
        Cost {
            wall,
            cpu: cpu_time().saturating_sub(self.cpu),
            allocations: allocated.calls - self.allocated.calls,
            allocated_bytes: allocated.bytes - self.allocated.bytes,
        }
    }
}

/// User and system time of this process since it started.
#[must_use]
pub fn cpu_time() -> Duration {
    // SAFETY: `rusage` is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a `rusage` that outlives the call and that nobody else looks at.
    let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    assert_eq!(status, 0, "getrusage failed");
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

fn duration(time: libc::timeval) -> Duration {
    // The kernel gives neither a negative time nor more than 999,999 microseconds.
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000)
}
