//! Models of [`crate::thread_pool::offer`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::probe::visit;
use crate::sync::{Arc, Mutex, thread};
use crate::thread_pool::offer::Offer;
use crate::thread_pool::task::{Detached, Task};

const LOOKED: &str = "gate wait: looked, not asleep";

fn offer(part: impl FnOnce() + Send + 'static) -> Arc<Offer> {
    Offer::new(Task::new(Detached::new(part)), 0)
}

/// A part that writes to a board, plainly.
fn writes(board: &Arc<Board>) -> Arc<Offer> {
    let board = Arc::clone(board);
    offer(move || board.write(1))
}

/// The owner runs its part itself, or waits for the worker that does.
#[test]
fn owner_takes_back_or_waits() {
    let plan = Plan {
        bound: Bound::Preemptions(3),
        floor: 200,
        events: &[
            "model: taken back",
            LOOKED,
            "gate wait: permit taken",
            "offer run: completed, owner not told",
        ],
    };
    explore("owner_takes_back_or_waits", plan, || {
        let board = Arc::new(Board::new());
        let offer = writes(&board);
        let worker = thread::spawn({
            let offer = Arc::clone(&offer);
            move || offer.run().is_some()
        });
        let taken_back = offer.take_back();
        if taken_back {
            visit("model: taken back");
            board.write(1);
        } else {
            assert!(
                offer
                    .wait(true, |_| unreachable!("nothing is in its hand"))
                    .is_ok()
            );
        }
        // Read plainly: loom sees it if the owner is too early, or if both have run it.
        assert_eq!(board.read(), 1);
        assert_ne!(worker.join().unwrap(), taken_back);
    });
}

/// A worker that runs the part gives a part of that to the owner, and waits for it. (In the
/// pool it would take it back if it could.)
#[test]
fn hungry_owner_is_fed() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &[
            "model: fed",
            LOOKED,
            "gate wait: permit taken",
            "offer feed: in the hand, owner not told",
        ],
    };
    explore("hungry_owner_is_fed", plan, || {
        let board = Arc::new(Board::new());
        let slot: Arc<Mutex<Option<Arc<Offer>>>> = Arc::new(Mutex::new(None));
        let whole = offer({
            let (board, slot) = (Arc::clone(&board), Arc::clone(&slot));
            move || {
                let whole = slot.lock().take().expect("it is there");
                if !whole.is_hungry() {
                    return;
                }
                let mut part = None;
                whole.feed(|| Arc::clone(part.insert(writes(&board))));
                if let Some(part) = part {
                    visit("model: fed");
                    // Nobody but the owner will run it.
                    assert!(
                        part.wait(true, |_| unreachable!("nothing is in its hand"))
                            .is_ok()
                    );
                    assert_eq!(board.read(), 1);
                }
            }
        });
        *slot.lock() = Some(Arc::clone(&whole));
        let worker = thread::spawn({
            let whole = Arc::clone(&whole);
            move || assert!(whole.run().is_some())
        });
        let ran = whole.wait(true, |part| {
            assert!(part.run().is_some());
        });
        assert!(ran.is_ok());
        worker.join().unwrap();
    });
}
