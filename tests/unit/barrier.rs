//! Where the kernel refuses `membarrier`: by a filter on system calls, as in a sandbox.
//!
//! Whether it obeys is asked once a process, and a filter is for ever, so each case is played in a
//! process of its own: this test program, asked for one test.

use super::imp::modes;
use super::prepare;
use crate::deque::{self, Steal};
use crate::{Results, ThreadPool, WorkerPool};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, thread};

/// Tells the process what it is to play.
const CASE: &str = "WORKCREW_MEMBARRIER";
const REFUSED: &str = "refused";
const REFUSED_LATER: &str = "refused later";
const REFUSED_MEANWHILE: &str = "refused while both halves are fences";

/// A process that hangs is killed after so many seconds.
const PATIENCE: u32 = 120;

/// From now on, and in all threads, `membarrier` fails with this error.
fn refuse(error: libc::c_int) -> io::Result<()> {
    let error = libc::SECCOMP_RET_ERRNO | error as u32;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut steps = [
        // The number of the call is the first that there is to know.
        step(load, 0, 0),
        step(equal, 1, libc::SYS_membarrier as u32),
        step(answer, 0, error),
        step(answer, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: four numbers.
    let unprivileged = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if unprivileged != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the filter and its steps live for the whole call, which copies them.
    let installed = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const filter,
        )
    };
    if installed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the kernel does what the heavy half asks for, in a process that has registered.
fn kernel_obeys() -> bool {
    // SAFETY: three numbers.
    unsafe {
        libc::syscall(
            libc::SYS_membarrier,
            libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED,
            0,
            0,
        ) == 0
    }
}

fn crew() -> (WorkerPool<u64, u64>, Results<u64>) {
    let builder = WorkerPool::<u64, u64>::builder().workers(3);
    let builder = builder.job_capacity(2).result_capacity(2);
    builder.build(|job, _| job).unwrap()
}

/// One job at a time, with all asleep in between, and then many, so that all kinds of waiters are
/// woken.
fn work(pool: &WorkerPool<u64, u64>, results: &mut Results<u64>) {
    for job in 0..100 {
        pool.submit(job).unwrap();
        assert_eq!(results.recv().unwrap().result.unwrap(), job);
        let asleep = |stats: crate::Stats| {
            let mut workers = stats.workers.iter();
            workers.all(|worker| worker.parked > worker.woken)
        };
        while !asleep(pool.stats()) {
            thread::yield_now();
        }
    }
    thread::scope(|scope| {
        let taker = scope.spawn(|| results.take(2_000).count());
        for _ in 0..2 {
            scope.spawn(|| (0..1_000).for_each(|job| _ = pool.submit(job).unwrap()));
        }
        assert_eq!(taker.join().unwrap(), 2_000);
    });
}

/// A job waits for jobs that it spawns, so others have to run these.
fn nest(pool: &ThreadPool) {
    let ran = AtomicUsize::new(0);
    pool.scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                scope.spawn(|| {
                    ran.fetch_add(1, Ordering::Relaxed);
                });
            }
            while ran.load(Ordering::Relaxed) < 100 {
                thread::yield_now();
            }
        });
    });
}

#[test]
fn a_pool_works_to_the_end_whatever_the_kernel_says() {
    let case = std::env::var(CASE).unwrap_or_default();
    prepare();
    match &*case {
        // Nobody has refused anything yet.
        REFUSED_LATER | REFUSED_MEANWHILE => assert!(modes().obeys() && kernel_obeys()),
        REFUSED => assert!(!modes().obeys() && !kernel_obeys()),
        _ => assert_eq!(modes().obeys(), kernel_obeys()),
    }
    let (pool, mut results) = crew();
    let closures = ThreadPool::new(3).unwrap();
    work(&pool, &mut results);
    nest(&closures);
    let [(mut local, stealer), (mut alone, nobodys)] = [(); 2].map(|()| {
        let (mut local, stealer) = deque::ring(4);
        (0..4).for_each(|item| local.push(item).unwrap());
        local.bias();
        (local, stealer)
    });
    if case == REFUSED_MEANWHILE {
        modes().begin_fences();
        refuse(libc::EPERM).unwrap();
        work(&pool, &mut results);
        modes().end_fences();
        assert!(!modes().obeys(), "they do not end");
        assert!(!modes().is_revoked(), "and no light half was none");
        work(&pool, &mut results);
        nest(&closures);
    }
    if case == REFUSED_LATER {
        // If the work has made them fences for now.
        modes().end_fences();
        refuse(libc::EPERM).unwrap();
        assert!(!kernel_obeys());
        work(&pool, &mut results);
        // Whoever went to sleep since has noticed.
        assert!(!modes().obeys());
        nest(&closures);
        // Nobody but its owner can end the bias, and nobody is kept awake by it.
        assert_eq!(stealer.steal(1, |_| ()), Steal::Empty);
        assert!(!stealer.is_empty() && !stealer.has_items());
        assert_eq!(local.pop(), Some(0));
        assert!(stealer.has_items());
        assert_eq!(local.pop(), Some(1));
        local.bias();
        assert!(!stealer.is_unshared(), "never again");
        assert_eq!(alone.pop(), Some(0));
        assert!(nobodys.is_unshared(), "no thief has come");
        alone.bias();
        assert!(nobodys.has_items(), "what had begun before ends");
    }
    assert_eq!(stealer.steal(1, |_| ()), Steal::Taken(1));
    closures.join().unwrap();
    pool.join().unwrap();
    assert_eq!(results.count(), 0);
}

/// Plays the test above in a process of its own.
fn play(case: &str, refused_with: Option<libc::c_int>) {
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::a_pool_works_to_the_end_whatever_the_kernel_says");
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", &test]).env(CASE, case);
    let begin = move || {
        // SAFETY: a number.
        unsafe { libc::alarm(PATIENCE) };
        refused_with.map_or(Ok(()), refuse)
    };
    // SAFETY: between fork and exec it makes three system calls, and touches nothing else.
    unsafe { program.pre_exec(begin) };
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains(" 1 passed"),
        "{case}, {refused_with:?}: {}\n{said}",
        output.status
    );
}

#[test]
fn where_the_kernel_refuses_membarrier_both_halves_are_fences() {
    for error in [libc::EPERM, libc::ENOSYS] {
        play(REFUSED, Some(error));
    }
}

#[test]
fn where_the_kernel_refuses_membarrier_later_both_halves_become_fences() {
    play(REFUSED_LATER, None);
}

#[test]
fn where_the_kernel_refuses_membarrier_meanwhile_both_halves_stay_fences() {
    play(REFUSED_MEANWHILE, None);
}
