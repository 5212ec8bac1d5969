//! Models of [`crate::worker_pool::lease`].

use super::explore::{Bound, Plan, explore};
use crate::probe::visit;
use crate::sync::{Arc, thread};
use crate::worker_pool::lease::Lease;

/// Two owners with empty rings, and room for one place.
#[test]
fn leases_never_exceed_the_capacity() {
    let plan = Plan {
        bound: Bound::Exhaustive,
        floor: 10,
        events: &["model: lease kept", "model: lease given back"],
    };
    explore("leases_never_exceed_the_capacity", plan, || {
        let leases = Arc::new([Lease::new(), Lease::new()]);
        let announce = |own: usize, leases: &[Lease; 2]| {
            leases[own].announce(1);
            let places: usize = leases.iter().map(|lease| lease.places(0, 0)).sum();
            if places > 1 {
                visit("model: lease given back");
                leases[own].give_back(0);
            } else {
                visit("model: lease kept");
            }
            leases[own].covers(1)
        };
        let other = {
            let leases = Arc::clone(&leases);
            thread::spawn(move || announce(1, &leases))
        };
        let kept = announce(0, &leases);
        assert!(!(other.join().unwrap() && kept), "one place, two leases");
    });
}
