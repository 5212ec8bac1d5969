use workcrew::{Group, ThreadPool};

fn main() {
    let pool = ThreadPool::new(1).unwrap();
    let mut kept = None;
    let _ = pool.group(|group: &Group<'_, '_, (), ()>| {
        let _ = kept.insert(group as *const _ as usize);
    });
}
