use workcrew::ThreadPool;

fn main() {
    let word = String::from("a word");
    let pool = ThreadPool::new(1).unwrap();
    let length = word.len();
    let mut map = pool.map_iter([1, 2], move |n| length + n);
    map.next();
    let _ = length;
}
