use workcrew::WorkerPool;

static LONG_LIVED: u64 = 1;

fn main() {
    let short_lived = LONG_LIVED;
    let (pool, _results) = WorkerPool::<&u64, u64>::builder().build(|job, _| *job).unwrap();
    pool.submit(&short_lived).unwrap();
    drop(pool);
    println!("{short_lived}");
}
