use std::rc::Rc;
use std::sync::Arc;
use workcrew::WorkerPool;

fn main() {
    let _both = (Rc::new(1), Arc::new(1));
    let _ = WorkerPool::<Arc<u64>, u64>::builder().build(|job, _| *job);
}
