use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use workcrew::WorkerPool;

fn main() {
    let (_cell, atomic) = (Cell::new(1_u64), AtomicU64::new(1));
    let body = |pool: WorkerPool<_, ()>, _| drop(pool.submit(&_cell));
    let _ = WorkerPool::<_, ()>::builder().scope(|_, _| (), body);
}
