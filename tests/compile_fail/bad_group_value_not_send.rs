use std::rc::Rc;
use std::sync::Arc;
use workcrew::ThreadPool;

fn main() {
    let (_rc, _arc) = (|| Ok::<_, ()>(Rc::new(1)), || Ok::<_, ()>(Arc::new(1)));
    let pool = ThreadPool::new(1).unwrap();
    let _ = pool.group(|group| drop(group.spawn(_rc)));
}
