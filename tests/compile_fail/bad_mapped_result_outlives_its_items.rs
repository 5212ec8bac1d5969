use workcrew::ThreadPool;

fn main() {
    let pool = ThreadPool::new(1).unwrap();
    let words = vec![String::from("a"), String::from("word")];
    let longest = pool.map(&words, |word| word.as_str());
    drop(words);
    drop(longest);
}
