//! Models of [`crate::thread_pool::limit`].

use super::explore::{Bound, Plan, explore};
use super::parcel::{Board, Parcel};
use crate::probe::visit;
use crate::sync::{Arc, AtomicUsize, Ordering, thread};
use crate::thread_pool::limit::{Limiter, Permit};

/// Runs jobs until the permit is gone. Returns the sum of their numbers.
fn work(limiter: &Limiter<Parcel>, mut permit: Option<Permit>) -> u64 {
    let mut sum = 0;
    while let Some(held) = permit {
        sum += limiter.take(&held).open();
        permit = limiter.end(held);
    }
    sum
}

/// A job is added while the one before it ends: it gets that one's permit, or a new one.
#[test]
fn job_over_the_limit_gets_a_permit() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 100,
        events: &["model: a new permit", "model: no permit"],
    };
    explore("job_over_the_limit_gets_a_permit", plan, || {
        let limiter = Arc::new(Limiter::new(1));
        let permit = limiter.add(Parcel::new(1)).unwrap();
        assert!(permit.is_some());
        let worker = thread::spawn({
            let limiter = Arc::clone(&limiter);
            move || work(&limiter, permit)
        });
        let permit = limiter.add(Parcel::new(10)).unwrap();
        visit(if permit.is_some() {
            "model: a new permit"
        } else {
            "model: no permit"
        });
        let own = work(&limiter, permit);
        // loom sees a parcel that stays in the queue, too.
        assert_eq!(own + worker.join().unwrap(), 11);
    });
}

/// They write to one board, plainly: loom sees it if two do so at once, or one does not see
/// what the other did.
#[test]
fn jobs_under_a_limit_of_one_take_turns() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50_000,
        events: &["model: a new permit", "model: no permit"],
    };
    explore("jobs_under_a_limit_of_one_take_turns", plan, || {
        let limiter = Arc::new(Limiter::new(1));
        let board = Arc::new(Board::new());
        let submit = {
            let (limiter, board) = (Arc::clone(&limiter), Arc::clone(&board));
            move |number| {
                let mut permit = limiter.add(number).unwrap();
                visit(if permit.is_some() {
                    "model: a new permit"
                } else {
                    "model: no permit"
                });
                while let Some(held) = permit {
                    let number = limiter.take(&held);
                    board.write(board.read() + number);
                    permit = limiter.end(held);
                }
            }
        };
        let others = [1, 10].map(|number| {
            let submit = submit.clone();
            thread::spawn(move || submit(number))
        });
        submit(100);
        let _ = others.map(|other| other.join().unwrap());
        assert_eq!(board.read(), 111);
    });
}

#[test]
fn no_more_jobs_than_the_limit_run_at_once() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 50_000,
        events: &["model: two at once", "model: no permit"],
    };
    explore("no_more_jobs_than_the_limit_run_at_once", plan, || {
        let limiter = Arc::new(Limiter::new(2));
        let running = Arc::new(AtomicUsize::new(0));
        let submit = {
            let (limiter, running) = (Arc::clone(&limiter), Arc::clone(&running));
            move || {
                let mut permit = limiter.add(()).unwrap();
                if permit.is_none() {
                    visit("model: no permit");
                }
                let mut ran = 0;
                while let Some(held) = permit {
                    limiter.take(&held);
                    let before = running.fetch_add(1, Ordering::Relaxed);
                    assert!(before < 2, "a third one runs");
                    if before == 1 {
                        visit("model: two at once");
                    }
                    running.fetch_sub(1, Ordering::Relaxed);
                    ran += 1;
                    permit = limiter.end(held);
                }
                ran
            }
        };
        let others = [(); 2].map(|()| thread::spawn(submit.clone()));
        let own = submit();
        let others = others.map(|other| other.join().unwrap());
        assert_eq!(own + others.iter().sum::<usize>(), 3);
    });
}
