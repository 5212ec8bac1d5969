//! One thread's token.

use super::Parker;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(1000);

#[test]
fn a_token_that_is_there_ends_the_park_at_once() {
    let parker = Parker::new();
    parker.unpark();
    assert!(parker.park(LONG));
}

#[test]
fn one_token_is_kept_not_more() {
    let parker = Parker::new();
    parker.unpark();
    parker.unpark();
    assert!(parker.park(LONG));
    assert!(!parker.park(Duration::ZERO));
    assert!(!parker.park(Duration::from_millis(1)));
}

#[test]
fn two_threads_pass_a_token_to_and_fro_and_see_each_others_writes() {
    let rounds = if cfg!(miri) { 50 } else { 20_000 };
    let (ping, pong, ball) = (Parker::new(), Parker::new(), AtomicU32::new(0));
    let take = |parker: &Parker| while !parker.park(LONG) {};
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..rounds {
                take(&ping);
                // Relaxed: the token orders it.
                assert_eq!(ball.swap(2 * round + 1, Ordering::Relaxed), 2 * round);
                pong.unpark();
            }
        });
        for round in 0..rounds {
            ping.unpark();
            take(&pong);
            assert_eq!(ball.swap(2 * round + 2, Ordering::Relaxed), 2 * round + 1);
        }
    });
}
