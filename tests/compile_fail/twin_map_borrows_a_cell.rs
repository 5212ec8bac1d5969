use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use workcrew::ThreadPool;

fn main() {
    let (_cell, _atomic) = (Cell::new(1_u64), AtomicU64::new(1));
    let pool = ThreadPool::new(1).unwrap();
    pool.for_each(&[1, 2], |_| drop(&_atomic));
}
