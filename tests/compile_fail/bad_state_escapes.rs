use workcrew::WorkerPool;

fn main() {
    let _ = WorkerPool::<u64, &'static u64>::builder()
        .init(|_| 7)
        .build(|_, ctx| -> &'static u64 { let state: &u64 = ctx.state; state });
}
