use workcrew::ThreadPool;

fn main() {
    let pool = ThreadPool::new(1).unwrap();
    let mut kept = None;
    pool.scope(|scope| {
        let _ = kept.insert(scope);
    });
}
