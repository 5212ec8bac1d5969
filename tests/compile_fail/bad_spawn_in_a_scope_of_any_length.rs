use workcrew::{Scope, ThreadPool};

fn spawn_later<'scope>(scope: &'scope Scope<'scope, '_>, number: &'_ u64) {
    scope.spawn(move || println!("{number}"));
}

fn main() {
    let number = 1;
    let pool = ThreadPool::new(1).unwrap();
    pool.scope(|scope| spawn_later(scope, &number));
}
