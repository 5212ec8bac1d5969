use workcrew::{Handle, WorkerPool};

fn submit_local<'long>(handle: Handle<&'long u64, u64>, long_lived: &'long u64) {
    let local = *long_lived;
    let _ = handle.submit(long_lived);
    println!("{local}");
}

fn main() {
    let number = 1;
    let builder = WorkerPool::<&u64, u64>::builder();
    let _ = builder.scope(|job, _| *job, |pool, _results| submit_local(pool.handle(), &number));
}
