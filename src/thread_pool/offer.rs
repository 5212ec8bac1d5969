//! A part of a thread's work that it offers to others.
//!
//! **Promise.** The part is run by one taker, or comes back to its owner: it is lost to neither
//! and run by one. An owner that waits for the taker is told of the end, and is offered parts
//! of that very part meanwhile: it never runs anything else.
//!
//! **Who is who.** The *owner* made the offer. The *taker* is whoever claims the part first: a
//! worker with a ticket, or an owner that waits for a part that this one is part of. Taker and
//! owner share the offer by a counted pointer, so a ticket that comes too late finds nothing.
//!
//! **Parts.** `part`: the place where it is claimed and its end is told. `owner`: the gate where
//! the owner waits. `hungry`: the owner waits and has nothing to do. `hand`: what the taker
//! gives it then.
//!
//! **Invariants.**
//!
//! 1. Only the taker, while it runs the part, puts something into `hand`; only the owner takes
//!    something out.
//! 2. What is in `hand` is taken back by its own owner (the taker) if nobody takes it out; so
//!    nothing depends on what is left there.
//!
//! The taker never waits for the lock of `hand`. The owner may: it waits for the taker anyway.
//! All orderings are those of the parts (models `owner_takes_back_or_waits`,
//! `hungry_owner_is_fed`).

#![forbid(unsafe_code)]

use super::task::Task;
use crate::engine::Ended;
use crate::gate::Gate;
use crate::oneshot::Oneshot;
use crate::pace::{Nap, Patience};
use crate::probe::probe;
use crate::sync::{self, Arc, AtomicBool, Mutex, Ordering};
use crate::unwind::{self, Payload};
use std::cell::Cell;

sync::own! {
    /// How long this thread looks for the end of a part before it sleeps.
    static PATIENCE: Cell<Patience> = Cell::new(Patience::new());
}

/// How a part ended: a panic is its owner's.
pub(super) type End = Result<(), Payload>;

pub(crate) struct Offer {
    part: Oneshot<Task, End>,
    owner: Gate,
    hungry: AtomicBool,
    hand: Mutex<Option<Arc<Offer>>>,
    /// Tells the pool from others.
    pub(super) pool: usize,
}

/// What an owner that waits finds.
enum Found {
    End,
    Part(Arc<Offer>),
}

impl Offer {
    pub(crate) fn new(part: Task, pool: usize) -> Arc<Self> {
        Arc::new(Self {
            part: Oneshot::new(part),
            owner: Gate::new(),
            hungry: AtomicBool::new(false),
            hand: Mutex::new(None),
            pool,
        })
    }

    /// The owner takes the part back, if nobody has claimed it, and drops the task.
    pub(crate) fn take_back(&self) -> bool {
        // Nobody waits for the claim to be completed.
        self.part.claim().is_some()
    }

    /// Runs the part to its end, whatever it does, if nobody has claimed it.
    pub(crate) fn run(&self) -> Option<Ended> {
        let (claim, part) = self.part.claim()?;
        let end = unwind::catch(|| part.run());
        let ended = if end.is_ok() {
            Ended::Completed
        } else {
            Ended::Panicked
        };
        let told = claim.complete(end.map(drop));
        debug_assert!(told.is_ok(), "the owner does not leave");
        probe!("offer run: completed, owner not told");
        self.owner.notify(1);
        Some(ended)
    }

    /// Whether the part has been run.
    pub(crate) fn has_ended(&self) -> bool {
        self.part.is_done()
    }

    /// Whether the owner waits, with nothing to do: a hint.
    pub(crate) fn is_hungry(&self) -> bool {
        // Relaxed: a hint.
        self.hungry.load(Ordering::Relaxed)
    }

    /// Whether the owner would have to be woken: a hint.
    pub(crate) fn is_asleep(&self) -> bool {
        self.owner.waiting() > 0
    }

    /// The taker, while it runs the part, offers a part of it to the owner, who will see it if
    /// it waits long enough. If the owner is looking at this moment no part is asked for.
    pub(crate) fn feed(&self, part: impl FnOnce() -> Arc<Self>) {
        let Some(mut hand) = self.hand.try_lock() else {
            return;
        };
        // Hint: it has something now.
        self.hungry.store(false, Ordering::Relaxed);
        let old = hand.replace(part());
        drop(hand);
        drop(old);
        probe!("offer feed: in the hand, owner not told");
        self.owner.notify(1);
    }

    /// The owner waits until the part that another has claimed has ended. If it `helps` it runs by
    /// `run` what it is offered.
    pub(crate) fn wait(&self, helps: bool, run: impl Fn(&Self)) -> End {
        // (What it runs may wait too, meanwhile with another.)
        let mut patience = PATIENCE.with(Cell::take);
        let end = self.wait_patiently(helps, run, &mut patience);
        PATIENCE.with(|kept| kept.set(patience));
        end
    }

    fn wait_patiently(&self, helps: bool, run: impl Fn(&Self), patience: &mut Patience) -> End {
        loop {
            // Hint: whoever is not known to be hungry waits for the end alone.
            self.hungry.store(helps, Ordering::Relaxed);
            let look = || {
                if self.has_ended() {
                    Some(Found::End)
                } else {
                    self.hand.lock().take().map(Found::Part)
                }
            };
            let found = look().or_else(|| {
                self.owner
                    .wait_politely(Nap::None, patience, false, None, look)
            });
            match found {
                Some(Found::Part(part)) => {
                    // Hint: it is busy.
                    self.hungry.store(false, Ordering::Relaxed);
                    run(&part);
                }
                Some(Found::End) => {
                    return self.part.take();
                }
                None => unreachable!("there is no deadline"),
            }
        }
    }
}
