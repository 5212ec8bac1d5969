//! What a pool takes of the heap, counted over all threads of the process.
//!
//! One test only, so that nothing else runs in this process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use workcrew::WorkerPool;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to `System`, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MEBIBYTE: usize = 1 << 20;

const STACK: usize = 16 * MEBIBYTE;

const BYTES: usize = 1 << 15;

type Job = [u8; BYTES];

/// A segment takes a MiB at most. How much that is in all is printed.
#[test]
fn a_queue_of_a_few_large_jobs_takes_a_few_mebibytes() {
    const CAPACITY: usize = 5;
    const WORKERS: usize = 2;
    let jobs = if cfg!(miri) { 20 } else { 2_000 };
    let before = LIVE.load(Ordering::Relaxed);
    let (pool, results) = WorkerPool::<Job, u8>::builder()
        .workers(WORKERS)
        .job_capacity(CAPACITY)
        .stack_size(STACK)
        .build(|job, _| job[0])
        .unwrap();
    let handle = pool.handle();
    let submit = move || {
        for number in 0..jobs {
            handle.submit([number as u8; BYTES]).unwrap();
        }
    };
    // Without optimization each function on the way has a copy.
    let submitter = std::thread::Builder::new().stack_size(STACK);
    let submitter = submitter.spawn(submit).unwrap();
    let sum: u64 = results
        .take(jobs)
        .map(|outcome| u64::from(outcome.result.unwrap()))
        .sum();
    submitter.join().unwrap();
    pool.join().unwrap();
    let all: u64 = (0..jobs).map(|number| u64::from(number as u8)).sum();
    assert_eq!(sum, all);
    let most = MOST.load(Ordering::Relaxed) - before;
    println!("{most} bytes");
    // Seven segments, if each thread is held up inside of another one; and what jobs are claimed ahead.
    let enough = 7 * MEBIBYTE + 2 * WORKERS * size_of::<Job>();
    assert!(most <= enough, "{most} bytes");
}
