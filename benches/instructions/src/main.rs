//! Walks one path of the crate, so often that the way to it does not count: for
//! `cargo xtask instructions`, which counts what `counted` executes.
//!
//! A path is one thread's: the others are held up, or have nothing to do. So the number is the
//! same each time, on any machine.

use std::env;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex};
use workcrew::__bench::{crew_of_one, injector, ring};
use workcrew::{Results, Scope, ThreadPool, ThreadPoolHandle, WorkerPool};

/// How often a path is walked. (Room for as many everywhere.)
const TIMES: usize = 1_024;

/// As many are walked together where there are batches.
const BATCH: usize = 64;

/// A path, and how to get there.
type Path = (&'static str, fn());

const PATHS: &[Path] = &[
    ("deque push", deque_push),
    ("deque push, staged", deque_stage),
    ("deque pop", deque_pop),
    ("deque pop, biased", deque_pop_biased),
    ("deque steal", deque_steal),
    ("deque steal, by 32", deque_steal_batch),
    ("injector push", injector_push),
    ("injector push, by 64", injector_push_batch),
    ("injector pop", injector_pop),
    ("injector pop, by 64", injector_pop_batch),
    ("work", work),
    ("submit", submit),
    ("submit_all", submit_all),
    ("submit in a lane", submit_in_a_lane),
    ("take", take),
    ("execute", execute),
    ("spawn", spawn),
    ("join", join),
    ("fork_join", fork_join),
    ("spawn and run in a scope, within a worker", scope_spawn),
];

fn main() -> ExitCode {
    let wanted = env::args().nth(1);
    let Some(wanted) = wanted else {
        println!("{TIMES}");
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, walk)) = PATHS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("there is no path `{wanted}`");
        return ExitCode::FAILURE;
    };
    walk();
    ExitCode::SUCCESS
}

/// What is executed in here counts, in the calling thread.
#[inline(never)]
fn counted(path: &mut dyn FnMut()) {
    path();
}

/// Keeps jobs until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    waiting: usize,
    is_open: bool,
}

impl Door {
    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.waiting += 1;
        changed.notify_all();
        drop(changed.wait_while(state, |state| !state.is_open).unwrap());
    }

    fn wait_for_one(&self) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        drop(
            changed
                .wait_while(state, |state| state.waiting == 0)
                .unwrap(),
        );
    }

    fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().is_open = true;
        changed.notify_all();
    }
}

fn deque_push() {
    let (mut owner, _thief) = ring(TIMES);
    counted(&mut || (0..TIMES).for_each(|n| owner.push(black_box(n)).unwrap()));
}

fn deque_stage() {
    let (mut owner, _thief) = ring(TIMES);
    counted(&mut || {
        for n in 0..TIMES {
            owner.stage(black_box(n)).unwrap();
            if n % BATCH == BATCH - 1 {
                owner.publish();
            }
        }
    });
}

fn deque_pop() {
    let (mut owner, _thief) = ring(TIMES);
    (0..TIMES).for_each(|n| owner.push(n).unwrap());
    counted(&mut || (0..TIMES).for_each(|n| assert_eq!(owner.pop(), Some(n))));
}

fn deque_pop_biased() {
    let (mut owner, _thief) = ring(TIMES);
    (0..TIMES).for_each(|n| owner.push(n).unwrap());
    owner.bias();
    counted(&mut || (0..TIMES).for_each(|n| assert_eq!(owner.pop(), Some(n))));
}

fn deque_steal() {
    let (mut owner, thief) = ring(TIMES);
    (0..TIMES).for_each(|n| owner.push(n).unwrap());
    counted(&mut || {
        for n in 0..TIMES {
            let taken = thief.drain(1, |item| assert_eq!(item, n));
            assert_eq!(taken, Some(1));
        }
    });
}

fn deque_steal_batch() {
    let (mut owner, thief) = ring(TIMES);
    (0..TIMES).for_each(|n| owner.push(n).unwrap());
    counted(&mut || {
        let mut sum = 0;
        while thief.drain(32, |item| sum += item).is_some() {}
        assert_eq!(sum, TIMES * (TIMES - 1) / 2);
    });
}

fn injector_push() {
    let queue = injector(TIMES);
    counted(&mut || (0..TIMES).for_each(|n| _ = queue.push(black_box(n)).unwrap()));
}

fn injector_push_batch() {
    let queue = injector(TIMES);
    let mut items = [None; BATCH];
    counted(&mut || {
        for _ in 0..TIMES / BATCH {
            items.fill(Some(1));
            queue.push_batch(black_box(&mut items));
        }
    });
}

fn injector_pop() {
    let queue = injector(TIMES);
    (0..TIMES).for_each(|n| _ = queue.push(n).unwrap());
    counted(&mut || (0..TIMES).for_each(|n| assert_eq!(queue.pop(), Some(n))));
}

fn injector_pop_batch() {
    let queue = injector(TIMES);
    (0..TIMES).for_each(|n| _ = queue.push(n).unwrap());
    counted(&mut || {
        let mut sum = 0;
        while queue.pop_batch(BATCH, |item| sum += item) > 0 {}
        assert_eq!(sum, TIMES * (TIMES - 1) / 2);
    });
}

/// A worker's way from job to job.
fn work() {
    let mut sum = 0;
    let mut run = Some(crew_of_one(0..TIMES, |job| sum += black_box(job)));
    counted(&mut || run.take().expect("once")());
    drop(run);
    assert_eq!(sum, TIMES * (TIMES - 1) / 2);
}

/// As many jobs as a queue has had at once before the path is walked, so that this allocates
/// nothing.
const DEEPEST: usize = TIMES + TIMES / 2;

/// A pool whose worker stands in a job.
fn held_pool() -> (WorkerPool<u64, u64>, Results<u64>, Door) {
    let doors = [(); 2].map(|()| Door::default());
    let behind = doors.clone();
    let (pool, mut results) = WorkerPool::builder()
        .workers(1)
        .job_capacity(2 * TIMES)
        .result_capacity(2 * TIMES)
        .build(move |job, _| {
            if let Some(door) = behind.get(job as usize) {
                door.pass();
            }
            job
        })
        .unwrap();
    let [first, second] = doors;
    pool.submit(0).unwrap();
    first.wait_for_one();
    pool.submit_all((0..DEEPEST as u64).map(|n| n + 2)).unwrap();
    first.open();
    pool.wait_idle().unwrap();
    results.by_ref().take(1 + DEEPEST).for_each(drop);
    pool.submit(1).unwrap();
    second.wait_for_one();
    (pool, results, second)
}

fn submit() {
    let (pool, _results, door) = held_pool();
    counted(&mut || (0..TIMES as u64).for_each(|n| _ = pool.submit(black_box(n + 2)).unwrap()));
    door.open();
}

fn submit_all() {
    let (pool, _results, door) = held_pool();
    counted(&mut || _ = pool.submit_all(2..black_box(2 + TIMES as u64)).unwrap());
    door.open();
}

fn submit_in_a_lane() {
    let (pool, _results, door) = held_pool();
    let mut lane = pool.submitter();
    counted(&mut || (0..TIMES as u64).for_each(|n| _ = lane.submit(black_box(n + 2)).unwrap()));
    door.open();
}

fn take() {
    let (pool, mut results, door) = held_pool();
    pool.submit_all(2..1 + TIMES as u64).unwrap();
    door.open();
    pool.wait_idle().unwrap();
    counted(&mut || {
        for _ in 0..TIMES {
            black_box(results.next().unwrap());
        }
    });
}

/// The same for closures.
fn held_thread_pool() -> (ThreadPool, Door) {
    let pool = ThreadPool::builder()
        .workers(1)
        .job_capacity(2 * TIMES)
        .build()
        .unwrap();
    let hold = || {
        let door = Door::default();
        let behind = door.clone();
        pool.execute(move || behind.pass()).unwrap();
        door.wait_for_one();
        door
    };
    let first = hold();
    let handles = (0..DEEPEST).map(|n| pool.spawn(move || n).unwrap());
    let handles: Vec<_> = handles.collect();
    first.open();
    pool.wait_idle().unwrap();
    for handle in handles {
        handle.join().unwrap();
    }
    let second = hold();
    (pool, second)
}

fn execute() {
    let (pool, door) = held_thread_pool();
    counted(&mut || {
        for n in 0..TIMES {
            pool.execute(move || _ = black_box(n)).unwrap();
        }
    });
    door.open();
}

fn spawn() {
    let (pool, door) = held_thread_pool();
    let mut handles = Vec::with_capacity(TIMES);
    counted(&mut || handles.extend((0..TIMES).map(|n| pool.spawn(move || n).unwrap())));
    door.open();
}

fn join() {
    let (pool, door) = held_thread_pool();
    let handles: Vec<_> = (0..TIMES).map(|n| pool.spawn(move || n).unwrap()).collect();
    door.open();
    pool.wait_idle().unwrap();
    let mut handles = handles.into_iter().enumerate();
    counted(&mut || {
        for (n, handle) in handles.by_ref() {
            assert_eq!(handle.join().unwrap(), n);
        }
    });
}

/// From within the only worker, where nobody has nothing to do.
fn fork_join() {
    fn leaves(pool: &ThreadPoolHandle, count: usize) -> usize {
        match count {
            1 => black_box(1),
            _ => {
                let half = count / 2;
                let (left, right) = pool.fork_join(|| leaves(pool, half), || leaves(pool, half));
                left + right
            }
        }
    }
    let pool = ThreadPool::new(1).unwrap();
    let handle = pool.handle();
    let job = move || counted(&mut || assert_eq!(leaves(&handle, TIMES), TIMES));
    pool.spawn(job).unwrap().join().unwrap();
}

/// A tree of jobs, each of which spawns two, that one worker runs.
fn scope_spawn() {
    fn node<'scope>(scope: &'scope Scope<'scope, '_>, number: usize) {
        black_box(number);
        for child in [2 * number, 2 * number + 1] {
            if child <= TIMES {
                scope.spawn(move || node(scope, child));
            }
        }
    }
    let pool = ThreadPool::new(1).unwrap();
    let handle = pool.handle();
    let job = move || counted(&mut || handle.scope(|scope| node(scope, 1)));
    pool.spawn(job).unwrap().join().unwrap();
}
