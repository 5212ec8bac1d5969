use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use workcrew::WorkerPool;

fn main() {
    let _both = (Cell::new(1_u64), AtomicU64::new(1));
    let builder = WorkerPool::<&Cell<u64>, ()>::builder();
    let _ = builder.scope(|_, _| (), |_pool, _results| ());
}
