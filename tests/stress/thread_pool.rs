//! One `ThreadPool`'s life: one to four threads that do what can be done with it, deep into its
//! jobs, and an end that comes at any moment in any way. Then the roll is checked.

use crate::acts::{Act, Roll, build, run_every_other};
use crate::common::{Choices, Dice, drop_while_panicking, eventually, progress_watchdog};
use crate::{Scale, Tally};
use std::sync::{Arc, Mutex};
use std::thread;
use workcrew::{ThreadPool, ThreadPoolHandle};

/// One alone waits in vain for a wakeup that is lost, which others' next one would repair.
const USERS: [u64; 4] = [1, 1, 2, 4];

/// How the pool is ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Join,
    ShutdownNow,
    Drop,
    DropInPanic,
    CloseThenDrop,
}

const ENDS: [End; 5] = [
    End::Join,
    End::ShutdownNow,
    End::Drop,
    End::DropInPanic,
    End::CloseThenDrop,
];

/// Ends the pool from outside or, in one of its jobs, from inside.
fn end_it(end: End, pool: ThreadPool, roll: &Roll, inside: bool) {
    match end {
        End::Join => assert_eq!(pool.join().is_err(), inside),
        End::ShutdownNow => {
            roll.halt();
            match pool.shutdown_now() {
                Ok(jobs) => run_every_other(jobs),
                Err(_) => assert!(inside),
            }
        }
        End::Drop => drop(pool),
        End::DropInPanic => {
            roll.halt();
            drop_while_panicking(|| pool);
        }
        End::CloseThenDrop => pool.close(),
    }
}

/// Uses the pool until its quota is reached, or for a while after it was closed.
fn user(pool: &ThreadPoolHandle, roll: &Arc<Roll>, scale: &Scale, mut dice: Dice) {
    let mut encores = 1 + dice.below(5);
    let quota = dice.below(scale.jobs as u64 / 4);
    while encores > 0 && roll.settled() < quota {
        let most = dice.pick(&[4, 4, 4, 30, scale.jobs / 100]);
        let depth = 1 + dice.below(3) as u32;
        Act::draw(&mut dice, depth, most).perform_alone(pool, roll);
        if pool.is_closed() {
            encores -= 1;
        }
    }
}

/// One pool's life.
pub(crate) fn run(seed: u64, scale: &Scale) -> Tally {
    let mut dice = Dice::new(seed);
    let capacity = dice.pick(&[1, 1, 2, 3, 5, 8, 17, 64, 300]);
    let workers = dice.pick(scale.workers);
    let roll = &Arc::new(Roll::default());
    let pool = build(workers, capacity, roll);
    let handle = &pool.handle();
    let progress = {
        let (handle, roll) = (handle.clone(), Arc::clone(roll));
        move || {
            let stats = handle.stats();
            let ended = stats.completed + stats.panicked + stats.cancelled + stats.returned;
            // Those too that are run by who waits for them.
            ended + roll.settled()
        }
    };
    let watchdog = progress_watchdog(scale.patience, progress, {
        let (handle, roll) = (handle.clone(), Arc::clone(roll));
        move || {
            format!(
                "seed {seed}: {workers} workers, capacity {capacity}, closed: {}\n{roll:?}\n{}",
                handle.is_closed(),
                handle.stats()
            )
        }
    });
    let users = dice.pick(&USERS);
    let threshold = dice.below(scale.jobs as u64 / 8);
    let end = dice.pick(&ENDS);
    let from_inside = dice.one_in(4);
    thread::scope(|scope| {
        let users: Vec<_> = (0..users)
            .map(|n| {
                let dice = Dice::new(seed << 8 | n);
                scope.spawn(move || user(handle, roll, scale, dice))
            })
            .collect();
        // The end comes after so many jobs, or when nobody does anything any more.
        eventually("the end comes", || {
            roll.settled() >= threshold || users.iter().all(|thread| thread.is_finished())
        });
        if from_inside {
            let (roll, own) = (Arc::clone(roll), Mutex::new(Some(pool)));
            let ends = move || {
                let pool = own.lock().unwrap().take().expect("it is called once");
                end_it(end, pool, &roll, true);
            };
            assert!(handle.execute(ends).is_ok(), "nobody else closes it");
        } else {
            end_it(end, pool, roll, false);
        }
        users.into_iter().for_each(|thread| thread.join().unwrap());
    });
    // A pool that ends by itself may still be at it.
    eventually("all has ended and nothing is left", || {
        let stats = handle.stats();
        stats.queued + stats.running == 0 && roll.is_complete()
    });
    let stats = handle.stats();
    roll.check(&stats);
    Tally {
        jobs: stats.accepted,
        panics: stats.panicked,
        gap: watchdog.longest(),
    }
}
