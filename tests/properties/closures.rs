//! A `ThreadPool` to which one thread does this and that: [acts], whose outcomes are known.

use crate::acts::{Act, Roll, build, run_every_other};
use crate::common::{Choices, drop_while_panicking};
use crate::program::{ENDS, End};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Closures {
    workers: usize,
    job_capacity: usize,
    acts: Vec<Act>,
    /// Before so many of the last acts.
    closed_early: usize,
    end: End,
}

impl fmt::Display for Closures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} workers, capacity {}",
            self.workers, self.job_capacity
        )?;
        for (number, act) in self.acts.iter().enumerate() {
            writeln!(f, "{number:>4} {act:?}")?;
        }
        write!(
            f,
            "     {:?}, closed {} acts before",
            self.end, self.closed_early
        )
    }
}

impl Closures {
    pub(crate) fn draw(dice: &mut impl Choices) -> Self {
        let workers = 1 + dice.below(4) as usize;
        Self {
            workers,
            job_capacity: dice.pick(&[1, 2, 5, 31]),
            acts: dice.some(8, |dice| Act::draw(dice, 3, 6)),
            closed_early: dice.below(6).saturating_sub(3) as usize,
            end: dice.pick(&ENDS),
        }
    }
}

pub(crate) fn play(program: &Closures) {
    let roll = &Arc::new(Roll::default());
    let mut pool = build(program.workers, program.job_capacity, roll);
    let handle = pool.handle();
    for (number, act) in program.acts.iter().enumerate() {
        if number + program.closed_early == program.acts.len() {
            pool.close();
        }
        act.perform_alone(&handle, roll);
    }
    match program.end {
        End::Join => pool.join().unwrap(),
        End::JoinTimeout => pool.join_timeout(Duration::from_secs(3600)).unwrap(),
        End::Shutdown => pool.shutdown().unwrap(),
        End::ShutdownNow => {
            roll.halt();
            let jobs = pool.shutdown_now().unwrap();
            run_every_other(jobs);
        }
        End::Drop => drop(pool),
        End::DropInPanic => {
            roll.halt();
            drop_while_panicking(|| pool);
        }
    }
    roll.check(&handle.stats());
}
