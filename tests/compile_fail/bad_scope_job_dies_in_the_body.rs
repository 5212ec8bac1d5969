use workcrew::WorkerPool;

fn main() {
    let outside = 1_u64;
    let builder = WorkerPool::<&u64, u64>::builder();
    let _ = builder.scope(|job, _| *job, |pool, _results| {
        let inside = outside;
        pool.submit(&inside).unwrap();
        println!("{inside}");
    });
}
