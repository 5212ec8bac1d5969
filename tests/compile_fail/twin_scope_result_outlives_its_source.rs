use workcrew::WorkerPool;

fn main() {
    let long_lived = String::from("a b");
    let first = {
        let short_lived = long_lived.clone();
        let text = if short_lived.is_empty() { &long_lived } else { &long_lived };
        let builder = WorkerPool::<&str, &str>::builder();
        builder.scope(|job, _| job, |pool, mut results| {
            pool.submit(text).unwrap();
            results.recv().unwrap().result.unwrap()
        })
    };
    println!("{first:?}");
}
