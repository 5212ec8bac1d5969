fn main() {
    let pool = workcrew::ThreadPool::new(1).unwrap();
    let mut numbers = [1, 2];
    let (left, _right) = numbers.split_at_mut(1);
    pool.fork_join(|| left[0] += 1, || _right[0] += 1);
}
