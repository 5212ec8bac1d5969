use workcrew::WorkerPool;

fn main() {
    let name = String::from("worker");
    let copy = name.clone();
    let builder = WorkerPool::<u64, u64>::builder();
    let builder = builder.on_start(move |worker| println!("{copy} {worker}"));
    let _ = builder.build(|job, _| job);
    println!("{name}");
}
