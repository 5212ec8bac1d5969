//! Models of [`crate::durations`].

use super::explore::{Bound, Plan, explore};
use crate::durations::{Durations, longest};
use crate::engine::{Desk, Ended, Engine, Picked, Run, Worker};
use crate::probe::visit;
use crate::sync::{Arc, thread};

/// A job notes itself what a recorder would note when it has ended.
struct Runner(Arc<Durations>);

impl Run<u64> for Runner {
    type Done = ();

    fn run(&mut self, picked: Picked<'_, u64>, _: Desk<'_, u64>) {
        self.0.record(picked.take());
    }

    fn deliver(&mut self, (): (), _: &Desk<'_, u64>) -> Ended {
        Ended::Completed
    }

    fn cancel(&mut self, _: Picked<'_, u64>, _: &Desk<'_, u64>) {
        panic!("nobody cancels");
    }
}

/// Somebody asks how long a job took while it ends.
#[test]
fn durations_of_a_job_are_there_when_it_counts_as_ended() {
    const MODEL: &str = "durations_of_a_job_are_there_when_it_counts_as_ended";
    let plan = Plan {
        bound: Bound::Preemptions(1),
        floor: 50,
        events: &["model: ended", "model: not ended"],
    };
    explore(MODEL, plan, || {
        let (engine, locals) = Engine::new(1, 1, 0, 0);
        let (engine, durations) = (Arc::new(engine), Arc::new(Durations::new()));
        let worker = {
            let (engine, mut runner) = (Arc::clone(&engine), Runner(Arc::clone(&durations)));
            let local = locals.into_iter().next().expect("there is one");
            thread::spawn(move || Worker::new(&engine, 0, local).work(&mut runner))
        };
        assert!(engine.submit(3, None).is_ok(), "it is open");
        if engine.totals().completed == 1 {
            visit("model: ended");
            let reading = durations.read();
            let place = reading.counts.iter().position(|count| *count == 1);
            assert_eq!((place.map(longest), reading.sum), (Some(3), 3));
        } else {
            visit("model: not ended");
        }
        engine.close();
        worker.join().unwrap();
    });
}
