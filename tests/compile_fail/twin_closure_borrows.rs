use workcrew::ThreadPool;

static LONG_LIVED: u64 = 1;

fn main() {
    let short_lived = LONG_LIVED;
    let number: &u64 = &LONG_LIVED;
    let pool = ThreadPool::new(1).unwrap();
    pool.execute(move || println!("{number}")).unwrap();
    drop(pool);
    println!("{short_lived}");
}
