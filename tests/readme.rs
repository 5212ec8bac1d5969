//! The examples of README.md, as they stand there.
//!
//! They are no doc tests, since what makes a whole program of them would be seen there.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use workcrew::{Failure, ThreadPool, WorkerPool};

#[test]
fn a_pool_sums_what_its_jobs_return() -> Result<(), Box<dyn Error>> {
    let (pool, results) = WorkerPool::<u64, u64>::builder()
        .workers(3)
        .job_capacity(5)
        .build(|job, _ctx| job * 2)?;
    pool.submit_all(1..=5)?;
    pool.close();
    let sum: u64 = results.filter_map(|outcome| outcome.result.ok()).sum();
    assert_eq!(sum, 30);
    Ok(())
}

#[test]
fn a_map_keeps_the_order() -> Result<(), Box<dyn Error>> {
    let (pool, mut results) =
        WorkerPool::<u32, String>::builder().build(|job, _ctx| job.to_string())?;
    let words = pool
        .map_ordered(&mut results, 0..3)
        .map(|outcome| outcome.result.unwrap());
    assert!(words.eq(["0", "1", "2"]));
    Ok(())
}

#[test]
fn a_scope_borrows_from_the_stack() -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string("README.md")?;
    let longest = WorkerPool::<&str, &str>::builder().scope(
        |line, _ctx| line.split(' ').max_by_key(|word| word.len()).unwrap_or(""),
        |pool, mut results| {
            let words = pool.map(&mut results, text.lines());
            words
                .filter_map(|outcome| outcome.result.ok())
                .max_by_key(|word| word.len())
        },
    )?;
    let words = text.lines().flat_map(|line| line.split(' '));
    let most = words.map(str::len).max();
    assert_eq!(longest.map(str::len), most);
    Ok(())
}

#[test]
fn closures_run_are_joined_and_borrow() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPool::builder()
        .workers(3)
        .job_capacity(5)
        .on_panic(|worker, panic| {
            eprintln!("worker {worker}: {}", panic.message());
        })
        .build()?;
    for number in 1..=10 {
        pool.execute(move || println!("{number}"))?;
    }
    let sum = pool.spawn(|| (1..=10).sum::<u64>())?;
    assert_eq!(sum.join()?, 55);
    let mut numbers = [3, 1, 2];
    pool.scope(|scope| scope.spawn(|| numbers.sort()));
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(pool.map(&numbers, |number| number * number), [1, 4, 9]);
    pool.join()?;
    Ok(())
}

#[test]
fn a_group_stops_at_its_first_failure() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPool::new(3)?;
    let lengths = |paths: &[&str]| {
        pool.limited_group(2, |group| {
            for path in paths {
                group.spawn(move || std::fs::read(path).map(|bytes| bytes.len()));
            }
        })
    };
    assert_eq!(lengths(&["README.md", "Cargo.toml"])?.len(), 2);
    let error = lengths(&["README.md", "no such file"]).unwrap_err();
    assert_eq!(error.index, 1);
    assert!(matches!(error.failure, Failure::Job(_)));
    Ok(())
}

#[test]
fn tasks_submit_and_take() -> Result<(), Box<dyn Error>> {
    use smol::stream::StreamExt;
    smol::block_on(async {
        let (pool, mut results) = WorkerPool::<u64, u64>::builder()
            .job_capacity(1)
            .build(|job, _ctx| job * job)?;
        let submitter = pool.handle();
        let submitted = smol::spawn(async move {
            for job in 1..=100 {
                submitter.submit_async(job).await?;
            }
            submitter.close();
            Ok::<(), workcrew::SubmitError<u64>>(())
        });
        let squares = results.stream().filter_map(|outcome| outcome.result.ok());
        assert_eq!(squares.fold(0, |sum, square| sum + square).await, 338_350);
        submitted.await?;
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    Ok(())
}

#[test]
fn each_example_of_the_readme_stands_here() -> Result<(), Box<dyn Error>> {
    let here = dense(include_str!("readme.rs"));
    let readme = fs::read_to_string("README.md")?;
    let examples: Vec<_> = readme.split("```rust\n").skip(1).collect();
    assert_eq!(examples.len(), 6);
    for example in examples {
        let example = example.split("```").next().unwrap();
        let lines = example.lines().filter(|line| !line.starts_with("use "));
        let code: String = lines.map(dense).collect();
        assert!(here.contains(&code), "not in tests/readme.rs:\n{example}");
    }
    Ok(())
}

/// Without what rustfmt decides.
fn dense(code: &str) -> String {
    code.split_whitespace().collect()
}
