//! What the public types are.

use std::fmt::Debug;
use workcrew::*;

#[test]
fn public_types_are_send_sync_and_debug() {
    fn check<T: Send + Sync + Debug>() {}
    check::<ThreadPool>();
    check::<ThreadPoolBuilder>();
    check::<ThreadPoolHandle>();
    check::<ThreadPoolStats>();
    check::<Scope<'static, 'static>>();
    check::<JobHandle<std::cell::Cell<u64>>>();
    type Function = fn(u64) -> u64;
    check::<MapIter<std::ops::Range<u64>, Function, u64>>();
    check::<MapIterOrdered<std::ops::Range<u64>, Function, u64>>();
    check::<BroadcastError<u64>>();
    check::<MapError<u64, u64>>();
    check::<Group<'static, 'static, std::cell::Cell<u64>, std::cell::Cell<u64>>>();
    check::<GroupError<u64, std::io::Error>>();
    fn sent<T: Send + Debug>() {}
    sent::<QueuedJob>();
}

#[test]
fn debug_output_names_the_types() {
    let pool = ThreadPool::new(2).unwrap();
    assert!(format!("{pool:?}").starts_with("ThreadPool { workers: 2"));
    assert!(format!("{:?}", pool.handle()).starts_with("ThreadPoolHandle"));
    assert!(format!("{:?}", ThreadPool::builder().workers(3)).contains("workers: 3"));
    let stats = pool.stats().to_string();
    assert!(stats.starts_with("jobs     accepted 0 = "), "{stats}");
    assert_eq!(stats.lines().count(), 5, "{stats}");
}

#[test]
fn numbers_out_of_range_are_errors() {
    let builder = ThreadPool::builder;
    assert!(matches!(ThreadPool::new(0), Err(BuildError::ZeroWorkers)));
    assert!(matches!(
        builder().workers(1 << 16).build(),
        Err(BuildError::TooManyWorkers(_))
    ));
    assert!(matches!(
        builder().job_capacity(0).build(),
        Err(BuildError::ZeroJobCapacity)
    ));
    assert!(matches!(
        builder().job_capacity((1 << 28) + 1).build(),
        Err(BuildError::CapacityTooLarge(_))
    ));
}
