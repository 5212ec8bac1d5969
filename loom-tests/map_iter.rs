//! Models of [`crate::thread_pool::map_iter`].

use super::explore::{Bound, Plan, explore};
use crate::sync::thread;
use crate::thread_pool::map_iter::{Ended, Teller};

/// Two jobs end, done or dropped, while their owner waits.
#[test]
fn owner_hears_of_each_end() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &["gate wait: looked, not asleep", "gate wait: permit taken"],
    };
    explore("owner_hears_of_each_end", plan, || {
        let ended = Ended::new();
        let jobs = [1, 2].map(|number| {
            let teller = Teller::new(&ended, number);
            thread::spawn(move || drop(teller))
        });
        let mut heard = [ended.wait(), ended.wait()];
        heard.sort_unstable();
        assert_eq!(heard, [1, 2]);
        let _ = jobs.map(|job| job.join().unwrap());
    });
}
