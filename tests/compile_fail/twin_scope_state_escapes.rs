use workcrew::WorkerPool;

fn main() {
    let number = 7_u64;
    let builder = WorkerPool::<u64, &u64>::builder().init(|_| number);
    let _ = builder.scope(|_, ctx| { *ctx.state += 1; &number }, |_pool, _results| ());
}
