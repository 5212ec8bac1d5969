//! Models of `engine::crew`: the builder's wait. (In the other models nobody waits for the
//! start.)

use super::explore::{Bound, Plan, explore};
use super::parcel::Board;
use crate::engine::Startup;
use crate::probe::visit;
use crate::sync::{Arc, thread};

/// The builder hears of both workers, and sees what they did before.
#[test]
fn builder_waits_for_all_workers() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 100,
        events: &["model: all ready"],
    };
    explore("builder_waits_for_all_workers", plan, || {
        let startup = Arc::new(Startup::default());
        let boards = [(); 2].map(|()| Arc::new(Board::new()));
        let mut id = 0;
        let workers = boards.each_ref().map(|board| {
            let (startup, board) = (Arc::clone(&startup), Arc::clone(board));
            let worker = id;
            id += 1;
            thread::spawn(move || {
                board.write(1);
                startup.report(worker, Ok(()));
            })
        });
        assert!(startup.wait(2).is_ok());
        visit("model: all ready");
        assert!(boards.iter().all(|board| board.read() == 1));
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}

/// The builder hears of a failure while another worker never reports, and of the first if
/// there are two.
#[test]
fn builder_hears_of_a_failure() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 100,
        events: &["model: the first failed", "model: the second failed"],
    };
    explore("builder_hears_of_a_failure", plan, || {
        let startup = Arc::new(Startup::default());
        let workers = [0, 1].map(|worker| {
            let startup = Arc::clone(&startup);
            thread::spawn(move || startup.report(worker, Err(Box::new(worker))))
        });
        // The third is still at it.
        let (failed, payload) = startup.wait(3).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&failed), "its own panic");
        visit(match failed {
            0 => "model: the first failed",
            _ => "model: the second failed",
        });
        let _ = workers.map(|worker| worker.join().unwrap());
    });
}
