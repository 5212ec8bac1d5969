use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use workcrew::WorkerPool;

fn main() {
    let _both = (Cell::new(1_u64), AtomicU64::new(1));
    let mut counter = AtomicU64::new(1_u64);
    *counter.get_mut() += 1;
    let _ = WorkerPool::<u64, ()>::builder().build(move |_, _| drop(&counter));
}
