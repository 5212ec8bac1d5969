use std::rc::Rc;

fn main() {
    let pool = workcrew::ThreadPool::new(1).unwrap();
    let number = Rc::new(1);
    pool.fork_join(|| drop(Rc::clone(&number)), || ());
}
