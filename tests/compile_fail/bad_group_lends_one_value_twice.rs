use workcrew::ThreadPool;

fn main() {
    let (mut left, mut right) = (vec![2, 1], vec![4, 3]);
    let pool = ThreadPool::new(1).unwrap();
    let _ = pool.limited_group(1, |group| {
        group.spawn(|| Ok::<_, ()>(left.sort()));
        group.spawn(|| Ok::<_, ()>(left.sort()));
    });
    right.sort();
}
