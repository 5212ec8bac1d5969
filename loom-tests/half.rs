//! Models of [`crate::half`].

use super::explore::{Bound, Plan, explore};
use super::parcel::{Board, Parcel};
use crate::half::Half;
use crate::probe::visit;
use crate::sync::thread;
use loom::thread::ThreadId;

/// What two own: each has a board that it alone writes, until one is left.
struct Shared {
    boards: [Board; 2],
    /// loom sees it if nobody drops it, or both.
    parcel: Option<Parcel>,
    maker: ThreadId,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for (whose, board) in self.boards.iter().enumerate() {
            // A write, so that it conflicts with every other access.
            board.write(board.read());
            assert_eq!(board.read(), whose as u64 + 1, "its deeds are seen");
        }
        assert_eq!(self.parcel.take().unwrap().open(), 7);
        visit(if thread::current().id() == self.maker {
            "model: dropped by its maker"
        } else {
            "model: dropped by the other"
        });
    }
}

#[test]
fn second_half_sees_what_the_first_has_done() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 5,
        events: &["model: dropped by its maker", "model: dropped by the other"],
    };
    explore("second_half_sees_what_the_first_has_done", plan, || {
        let [ours, theirs] = Half::pair(Shared {
            boards: [Board::new(), Board::new()],
            parcel: Some(Parcel::new(7)),
            maker: thread::current().id(),
        });
        let other = thread::spawn(move || theirs.boards[1].write(2));
        ours.boards[0].write(1);
        drop(ours);
        other.join().unwrap();
    });
}

/// In a forked child there is nobody else: the parent's value must not be dropped there.
#[test]
fn a_half_that_leaks_drops_nothing() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 1,
        events: &["model: nothing dropped"],
    };
    explore("a_half_that_leaks_drops_nothing", plan, || {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        for is_left in [false, true] {
            let [ours, theirs] = Half::pair(Loud);
            if is_left {
                drop(theirs);
            } else {
                // As it lies in the child's copy of a queue.
                std::mem::forget(theirs);
            }
            ours.leak();
            drop(ours);
            visit("model: nothing dropped");
        }
    });
}
