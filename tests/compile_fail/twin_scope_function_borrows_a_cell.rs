use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use workcrew::WorkerPool;

fn main() {
    let (_cell, atomic) = (Cell::new(1_u64), AtomicU64::new(1));
    let builder = WorkerPool::<u64, ()>::builder();
    let _ = builder.scope(|_, _| drop(&atomic), |_pool, _results| ());
}
