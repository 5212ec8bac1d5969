use std::rc::Rc;
use std::sync::Arc;
use workcrew::WorkerPool;

fn main() {
    let _both = (Rc::new(1), Arc::new(1));
    let _ = WorkerPool::<u64, u64>::builder().init(|_| Rc::new(7)).build(|job, ctx| job + **ctx.state);
}
