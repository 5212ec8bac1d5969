//! Models of [`crate::thread_pool::in_flight`].

use super::explore::{Bound, Plan, explore};
use crate::sync::{Arc, thread};
use crate::thread_pool::in_flight::Ended;
use std::collections::VecDeque;

/// Two jobs end, done or dropped, while their owner waits.
#[test]
fn owner_hears_of_each_end() {
    let plan = Plan {
        bound: Bound::Preemptions(2),
        floor: 500,
        events: &["gate wait: looked, not asleep", "gate wait: permit taken"],
    };
    explore("owner_hears_of_each_end", plan, || {
        let ended = Arc::new(Ended::new());
        let jobs = [1, 2].map(|place| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || ended.tell(place))
        });
        let mut heard = VecDeque::new();
        while heard.len() < 2 {
            ended.wait(&mut heard);
        }
        heard.make_contiguous().sort_unstable();
        assert_eq!(heard, [1, 2]);
        let _ = jobs.map(|job| job.join().unwrap());
    });
}
