use workcrew::ThreadPool;

fn main() {
    let outside = 1_u64;
    let pool = ThreadPool::new(1).unwrap();
    pool.scope(|scope| {
        let inside = outside;
        scope.spawn(|| println!("{}", &outside));
        println!("{inside}");
    });
}
