//! No allocation for each job once a pool is warm, counted over all threads of the process.
//!
//! One test only, so that nothing else runs in this process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use workcrew::{Outcome, Results, ThreadPool, ThreadPoolHandle, WorkerPool};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on to `System`, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Enough to make one allocation in a thousand jobs stand out from the odd one.
const JOBS: u64 = if cfg!(miri) { 500 } else { 20_000 };

type Pool = WorkerPool<u64, u64>;

fn pool(workers: usize, jobs: usize, results: usize) -> (Pool, Results<u64>) {
    let builder = WorkerPool::<u64, u64>::builder()
        .workers(workers)
        .job_capacity(jobs)
        .result_capacity(results);
    #[cfg(feature = "trace")]
    let builder = builder.trace(1000);
    builder
        .build(|job, ctx| {
            if job == FAN_OUT {
                (0..50).for_each(|job| ctx.push(job));
            }
            black_box(job)
        })
        .unwrap()
}

const FAN_OUT: u64 = u64::MAX;

/// One thread submits, this one takes `outcomes` results.
fn drive(
    pool: &Pool,
    results: &mut Results<u64>,
    outcomes: u64,
    submit: impl Fn(&Pool) + Sync + Send,
) {
    thread::scope(|scope| {
        scope.spawn(|| submit(pool));
        for _ in 0..outcomes {
            results.recv().unwrap().result.unwrap();
        }
    });
}

/// Fills all queues to the brim, so that they have seen their deepest moment.
fn warm_up(pool: &Pool, results: &mut Results<u64>) {
    for _ in 0..3 {
        let mut submitted = 0;
        while pool.stats().blocked_workers < pool.workers() as u64 {
            submitted += u64::from(pool.try_submit(1).is_ok());
            thread::yield_now();
        }
        while pool.try_submit(1).is_ok() {
            submitted += 1;
        }
        for _ in 0..submitted {
            results.recv().unwrap();
        }
    }
}

#[test]
fn a_warm_pool_does_not_allocate() {
    awaiting_costs_no_allocation();
    type Pattern = (&'static str, u64, fn(&Pool));
    let patterns: [Pattern; 8] = [
        ("submit", JOBS, |pool| {
            (0..JOBS).for_each(|job| drop(pool.submit(job)))
        }),
        ("submit_all", JOBS, |pool| {
            assert_eq!(pool.submit_all(0..JOBS).unwrap(), JOBS)
        }),
        ("submit_all in small batches", JOBS, |pool| {
            (0..JOBS / 5).for_each(|job| assert_eq!(pool.submit_all([job; 5]).unwrap(), 5));
        }),
        ("try_submit until it is accepted", JOBS, |pool| {
            for job in 0..JOBS {
                while pool.try_submit(job).is_err() {
                    thread::yield_now();
                }
            }
        }),
        ("submit_timeout", JOBS, |pool| {
            for job in 0..JOBS {
                let mut job = job;
                while let Err(error) = pool.submit_timeout(job, Duration::from_micros(50)) {
                    job = error.into_job();
                }
            }
        }),
        ("a submitter", JOBS, |pool| {
            let mut submitter = pool.submitter();
            (0..JOBS).for_each(|job| drop(submitter.submit(job)));
        }),
        ("submitters that come and go", JOBS, |pool| {
            (0..JOBS).for_each(|job| drop(pool.submitter().submit(job)));
        }),
        ("follow-ups", JOBS / 50 * 51, |pool| {
            (0..JOBS / 50).for_each(|_| drop(pool.submit(FAN_OUT)));
        }),
    ];
    for (workers, jobs, capacity) in [(1, 1, 1), (2, 5, 5), (2, 1024, 1024), (4, 7, 300)] {
        for (name, outcomes, submit) in patterns {
            let (pool, mut results) = pool(workers, jobs, capacity);
            warm_up(&pool, &mut results);
            // The pattern's own deepest moment: follow-ups have queues of their own.
            drive(&pool, &mut results, outcomes, submit);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            drive(&pool, &mut results, outcomes, submit);
            let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
            // The submitting thread itself costs a few; a deeper moment than ever a few more.
            assert!(
                allocated <= 16,
                "{name}: {allocated} allocations for {outcomes} jobs with {workers} workers, \
                 capacities {jobs} and {capacity}"
            );
            println!("{name}, {workers} workers, capacities {jobs} and {capacity}: {allocated}");
        }
    }
    maps_over_an_endless_input_in_constant_memory();
    closures_cost_no_allocation_and_handles_at_most_one();
}

/// Each result is awaited before it is there, and every other job's place too.
fn awaiting_costs_no_allocation() {
    let (pool, mut results) = pool(1, 1, 1);
    let mut round = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        smol::future::block_on(async {
            pool.submit_async(0).await.unwrap();
            for job in 1..JOBS / 4 {
                pool.submit_async(job).await.unwrap();
                results.recv_async().await.unwrap();
            }
            results.recv_async().await.unwrap();
        });
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    round();
    let allocated = round();
    assert!(allocated <= 16, "{allocated} allocations by awaiting");
    println!("awaiting: {allocated}");
}

fn maps_over_an_endless_input_in_constant_memory() {
    // A million with `--release`: each item is a switch of threads or two.
    const ITEMS: usize = match (cfg!(miri), cfg!(debug_assertions)) {
        (true, _) => 500,
        (false, true) => 20_000,
        (false, false) => 1_000_000,
    };
    let sum = |outcomes: &mut dyn Iterator<Item = Outcome<u64>>| -> u64 {
        let results = outcomes.take(ITEMS).map(|outcome| outcome.result.unwrap());
        results.map(|result| result + 1).sum()
    };
    for ordered in [false, true] {
        let (pool, mut results) = pool(2, 1, 1);
        warm_up(&pool, &mut results);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let sum = if ordered {
            sum(&mut pool.map_ordered(&mut results, 0..))
        } else {
            sum(&mut pool.map(&mut results, 0..))
        };
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
        // The first items, in order or nearly so.
        assert!(sum >= (ITEMS as u64).pow(2) / 2);
        assert!(
            allocated <= 16,
            "{allocated} allocations in a map of {ITEMS}"
        );
        println!("map, ordered: {ordered}: {allocated}");
    }
}

fn closures_cost_no_allocation_and_handles_at_most_one() {
    static SUM: AtomicU64 = AtomicU64::new(0);
    let small = |n: u64| {
        let burden = black_box([n, 1, 1, 1, 1, 1]);
        move || {
            SUM.fetch_add(burden.iter().sum(), Ordering::Relaxed);
        }
    };
    assert_eq!(size_of_val(&small(0)), 48);
    let pool = ThreadPool::builder()
        .workers(2)
        .job_capacity(100)
        .build()
        .unwrap();
    let round = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..JOBS).for_each(|n| pool.execute(small(n)).unwrap());
        assert_eq!(pool.execute_all((0..JOBS).map(small)).unwrap(), JOBS);
        pool.wait_idle().unwrap();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    round();
    let allocated = round();
    assert!(
        allocated <= 16,
        "{allocated} allocations for {} closures",
        2 * JOBS
    );
    println!("closures: {allocated}");

    // A job with a handle costs one at most, large or small.
    let large = |n: u64| {
        let burden = black_box([n; 40]);
        move || black_box(burden)
    };
    let round = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for n in 0..JOBS / 10 {
            pool.spawn(small(n)).unwrap().join().unwrap();
            assert_eq!(pool.spawn(large(n)).unwrap().join().unwrap()[39], n);
        }
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    round();
    let allocated = round().saturating_sub(JOBS / 10 * 2);
    assert!(allocated <= 16, "{allocated} allocations too many");
    println!("jobs with handles: one each at most, and {allocated}");

    // None if the thread that joins has spawned, and the workers have let go of the job.
    const WORDS: usize = if cfg!(feature = "tracing") { 4 } else { 9 };
    let nearly_large = |n: u64| {
        let burden = black_box([n; WORDS]);
        move || black_box(burden)
    };
    let mut handles = Vec::with_capacity(100);
    let mut round = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..JOBS / 100 {
            handles.extend((0..100).map(|n| pool.spawn(nearly_large(n)).unwrap()));
            pool.wait_idle().unwrap();
            for (n, handle) in handles.drain(..).enumerate() {
                assert_eq!(handle.join().unwrap(), [n as u64; WORDS]);
            }
        }
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    round();
    let allocated = round();
    assert!(allocated <= 16, "{allocated} allocations for {JOBS} jobs");
    println!("jobs with handles that are joined later: {allocated}");

    // Pairs cost none while nobody has nothing to do: here the only worker is busy with them.
    fn leaves(pool: &ThreadPoolHandle, depth: u32) -> u64 {
        match depth {
            0 => 1,
            _ => {
                let half = || leaves(pool, depth - 1);
                let (left, right) = pool.fork_join(half, half);
                left + right
            }
        }
    }
    let pool = ThreadPool::new(1).unwrap();
    let handle = pool.handle();
    let job = pool.spawn(move || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let depth = if cfg!(miri) { 6 } else { 16 };
        assert_eq!(leaves(&handle, depth), 1 << depth);
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    assert_eq!(job.unwrap().join().unwrap(), 0);
}
