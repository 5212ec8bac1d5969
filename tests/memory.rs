//! What happens when memory runs out: as in std's collections, the process ends with a word, and
//! nobody goes on with a queue that is broken, or waits for one that cannot grow. A thread for
//! whose stack there is no room is an error like any other.
//!
//! Each case is played in a process of its own: this test program, asked for one test, which
//! limits its own address space.

#![cfg(all(target_os = "linux", not(miri)))]

mod common;
#[path = "common/hooks.rs"]
mod hooks;

use common::Door;
use hooks::Hooked;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use workcrew::{BuildError, ThreadPool, WorkerPool};

/// Tells the process what it is to play.
const CASE: &str = "WORKCREW_MEMORY";

const MEBIBYTE: u64 = 1 << 20;

/// From now on there are so many bytes more, and no others.
fn leave(bytes: u64) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    // SAFETY: a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes the two numbers.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    limit.rlim_cur = pages * page + bytes;
    // SAFETY: reads the two numbers.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!((got, set), (0, 0));
}

/// So large that some ten thousands of them are all that there is room for.
type Job = [u64; 256];

/// What is played, and by whom: see [`play`].
fn cases(case: &str) {
    let builder = || WorkerPool::<Job, ()>::builder().workers(1);
    match case {
        "a queue that grows" => {
            let door = Door::new();
            let inside = door.clone();
            let (pool, results) = builder()
                .job_capacity(1 << 20)
                .build(move |job, _| {
                    if job[0] == 1 {
                        inside.pass();
                    }
                })
                .unwrap();
            pool.submit([0; 256]).unwrap();
            pool.submit([1; 256]).unwrap();
            door.wait_for(1);
            leave(32 * MEBIBYTE);
            for _ in 0..1 << 20 {
                pool.submit([2; 256]).unwrap();
            }
            drop(results);
        }
        // In a worker, where panics are caught.
        "follow-ups" => {
            let (pool, results) = builder()
                .build(|job, ctx| {
                    leave(32 * MEBIBYTE);
                    for _ in 0..1 << 20 {
                        ctx.push(job);
                    }
                })
                .unwrap();
            pool.submit([0; 256]).unwrap();
            results.count();
        }
        "a directory" => {
            leave(8 * MEBIBYTE);
            let pool = builder().job_capacity(1 << 28).build(|_, _| ()).map(drop);
            println!("{pool:?}");
        }
        "stacks" => {
            let hooked = Hooked::default();
            let builder = ThreadPool::builder()
                .workers(64)
                .stack_size(16 << 20)
                .on_start(hooked.start())
                .on_stop(hooked.stop());
            leave(100 * MEBIBYTE);
            let error = builder.build().unwrap_err();
            let BuildError::Thread(error) = error else {
                panic!("{error:?}")
            };
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
            let begun = hooked.begun();
            assert!((1..64).contains(&begun), "some have begun: {begun}");
            hooked.assert_balanced(begun);
            leave(512 * MEBIBYTE);
            // And nothing is left that would be in the way of another.
            let pool = ThreadPool::new(2).unwrap();
            assert_eq!(pool.spawn(|| 7).unwrap().join().unwrap(), 7);
        }
        other => panic!("{other}?"),
    }
}

#[test]
#[ignore = "played by the others, in a process of its own"]
fn in_a_process_of_its_own() {
    // A process that hangs is killed.
    // SAFETY: a number.
    unsafe { libc::alarm(120) };
    cases(&std::env::var(CASE).unwrap());
}

fn play(case: &str) -> Output {
    let mut program = Command::new(std::env::current_exe().unwrap());
    let test = "in_a_process_of_its_own";
    program.args(["--exact", test, "--ignored", "--nocapture"]);
    program.env(CASE, case).output().unwrap()
}

#[test]
fn a_process_that_has_no_memory_for_jobs_or_for_a_queue_aborts_with_a_word() {
    for case in ["a queue that grows", "follow-ups", "a directory"] {
        let output = play(case);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.signal(),
            Some(libc::SIGABRT),
            "{case}: {said}"
        );
        assert!(said.contains("memory allocation of"), "{case}: {said}");
    }
}

#[test]
fn a_build_that_has_no_memory_for_stacks_is_an_error_and_leaves_nothing() {
    let output = play("stacks");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains(" 1 passed"),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
