use workcrew::ThreadPool;

fn main() {
    let outside = String::from("1");
    let pool = ThreadPool::new(1).unwrap();
    let _ = pool.group(|group| {
        let inside = outside.clone();
        group.spawn(|| outside.parse::<u64>());
        println!("{inside}");
    });
}
