use std::rc::Rc;
use std::sync::Arc;
use workcrew::ThreadPool;

fn main() {
    let (_rc, _arc) = (Rc::new(1), Arc::new(1));
    let pool = ThreadPool::new(1).unwrap();
    let _ = pool.broadcast(|worker| worker + *_arc);
}
