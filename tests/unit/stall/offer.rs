//! Scenes at a part that was offered.

use super::{Point, Release, demand, wait_until};
use crate::probe::Stall;
use crate::thread_pool::offer::Offer;
use crate::thread_pool::task::{Detached, Task};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, yield_now};

/// Who is suspended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// Who has run the part.
    Runner,
    /// Who gives the owner a part of it.
    Giver,
}

fn offer(part: impl FnOnce() + Send + 'static) -> Arc<Offer> {
    Offer::new(Task::new(Detached::new(part)), 0)
}

/// Plays one scene. Returns whether a thread was suspended at the point.
pub(super) fn play(point: &Point, role: Role) -> bool {
    let stall = Stall::at(point.name, 0);
    let _release = Release(vec![&stall]);
    let [fed, through] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let part = {
        let fed = Arc::clone(&fed);
        offer(move || fed.store(true, SeqCst))
    };
    let whole = offer(|| ());
    thread::scope(|scope| {
        let owner = || {
            scope.spawn(|| {
                let end = whole.wait(true, |part| {
                    part.run();
                });
                assert!(end.is_ok());
                through.store(true, SeqCst);
            });
        };
        match role {
            Role::Runner => {
                scope.spawn(|| {
                    stall.watch();
                    whole.run();
                });
                wait_until("the runner stands", || stall.holds_one());
                owner();
                wait_until("the owner has left", || through.load(SeqCst));
                stall.release();
            }
            Role::Giver => {
                owner();
                wait_until("the owner is hungry", || whole.is_hungry());
                scope.spawn(|| {
                    stall.watch();
                    let mut asked = false;
                    while !asked {
                        whole.feed(|| {
                            asked = true;
                            Arc::clone(&part)
                        });
                        yield_now();
                    }
                    whole.run();
                });
                wait_until("the giver stands", || stall.holds_one());
                wait_until("the owner has run it", || fed.load(SeqCst));
                stall.release();
            }
        }
    });
    demand(through.load(SeqCst), "the owner knows the end");
    stall.holds_one()
}
