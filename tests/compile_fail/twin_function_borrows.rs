use workcrew::WorkerPool;

fn main() {
    let factor = vec![2];
    let copy = factor.clone();
    let build = || WorkerPool::<u64, u64>::builder();
    let _ = build().build(move |job, _| job * copy[0]);
    println!("{factor:?}");
}
