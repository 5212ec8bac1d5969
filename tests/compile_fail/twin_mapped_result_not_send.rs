use std::rc::Rc;
use std::sync::Arc;
use workcrew::ThreadPool;

fn main() {
    let _ = (Rc::new(1), Arc::new(1));
    let pool = ThreadPool::new(1).unwrap();
    pool.map(&[1, 2], |n| Arc::new(*n));
}
