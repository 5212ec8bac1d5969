//! Models of [`crate::lazy`].

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::lazy::Lazy;
use crate::probe::visit;
use crate::sync::{Arc, thread};

#[test]
fn two_make_a_lazy_value() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["lazy: made, not shown", "model: the other's", "model: seen"],
    };
    explore("two_make_a_lazy_value", plan, || {
        let lazy = Arc::new(Lazy::new());
        let make = |number: u64| {
            move || {
                let board = Board::new();
                board.write(number);
                board
            }
        };
        let other = {
            let lazy = Arc::clone(&lazy);
            thread::spawn(move || lazy.get_or(make(1)).read())
        };
        // Read plainly: loom sees it if the value is not there yet.
        if let Some(seen) = lazy.get() {
            assert_eq!(seen.read(), 1);
            visit("model: seen");
        }
        let own = lazy.get_or(make(2)).read();
        if own == 1 {
            visit("model: the other's");
        }
        assert_eq!(other.join().unwrap(), own);
    });
}
