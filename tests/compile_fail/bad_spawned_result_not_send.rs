use std::rc::Rc;
use std::sync::Arc;
use workcrew::ThreadPool;

fn main() {
    let (_rc, _arc) = (|| Rc::new(1_u64), || Arc::new(1_u64));
    let pool = ThreadPool::new(1).unwrap();
    let _ = pool.spawn(_rc);
}
