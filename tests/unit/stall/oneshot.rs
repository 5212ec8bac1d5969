//! Scenes at one job's place.

use super::{Point, Release, demand, wait_until};
use crate::oneshot::Oneshot;
use crate::probe::Stall;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Waker;
use std::thread::{self, yield_now};
use std::time::Instant;

/// Who is suspended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// Who runs the job.
    Claimant,
    /// Who waits for the outcome, asleep or by a waker.
    JobOwner,
}

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(point: &Point, role: Role) -> bool {
    let stall = Stall::at(point.name, 0);
    let _release = Release(vec![&stall]);
    let place = Oneshot::new(1);
    let through = AtomicBool::new(false);
    let run = || {
        let (claim, job) = place.claim().expect("nobody else does");
        claim.complete(job + 10).expect("the owner stays");
    };
    let wait = || {
        assert!(place.wait(None));
        assert_eq!(place.take(), 11);
        through.store(true, SeqCst);
    };
    thread::scope(|scope| match role {
        Role::Claimant => {
            let claimant = scope.spawn(|| {
                stall.watch();
                run();
            });
            wait_until("the claimant stands", || stall.holds_one());
            demand(place.claim().is_none(), "another claimant is told at once");
            if place.is_done() {
                scope.spawn(wait);
                wait_until("the owner has it", || through.load(SeqCst));
            } else {
                let now = Instant::now();
                demand(!place.wait(Some(now)), "the owner need not wait");
                let poll = place.poll(Waker::noop());
                demand(poll.is_pending(), "a poll is answered");
                scope.spawn(wait);
            }
            stall.release();
            claimant.join().unwrap();
        }
        Role::JobOwner => {
            scope.spawn(|| {
                stall.watch();
                // Only one of them passes the point.
                if point.operation == "polling" {
                    while place.poll(Waker::noop()).is_pending() {
                        yield_now();
                    }
                    through.store(true, SeqCst);
                } else {
                    wait();
                }
            });
            wait_until("the owner stands", || stall.holds_one());
            run();
            stall.release();
        }
    });
    demand(through.load(SeqCst), "the owner has the outcome");
    stall.holds_one()
}
