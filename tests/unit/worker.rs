//! One worker's loop, played by the test's own thread.

use super::{Desk, Exit, Worker};
use crate::deque::Local;
use crate::engine::entry::{Entry, Origin, Stamped};
use crate::engine::{Ended, Engine, Lane, Picked, Run};
use crate::sync::Ordering;

/// A job that comes when the worker has found none, by `send`.
struct Late<'a, F> {
    engine: &'a Engine<u8>,
    send: Option<F>,
    ran: Vec<u8>,
}

impl<F: FnOnce(&Engine<u8>)> Run<u8> for Late<'_, F> {
    fn run(&mut self, picked: Picked<'_, u8>, _: &mut Desk<'_, u8>) -> Ended {
        self.ran.push(picked.take());
        Ended::Completed
    }

    fn cancel(&mut self, _: Picked<'_, u8>, _: &mut Desk<'_, u8>) {
        unreachable!("nobody cancels");
    }

    fn rest(&mut self) {
        if let Some(send) = self.send.take() {
            send(self.engine);
        }
    }
}

/// Whether worker 0, with a brisk other, took a nap before it came to run what was sent.
fn naps_before(send: impl FnOnce(&Engine<u8>)) -> bool {
    let (engine, locals) = Engine::new(2, 8, 0, 1);
    engine.brisk.store(1, Ordering::Relaxed);
    engine.close();
    let mut late = Late {
        engine: &engine,
        send: Some(send),
        ran: Vec::new(),
    };
    let local = locals.into_iter().next().unwrap();
    let mut worker = Worker::new(&engine, 0, local);
    assert_eq!(worker.work(&mut late), Exit::Drained);
    assert_eq!(late.ran, [7]);
    worker.tempo.has_napped_in_vain()
}

/// The others may be brisk for hours.
#[test]
fn a_worker_does_not_nap_while_an_errand_waits_for_it() {
    assert!(naps_before(|engine| {
        engine.push_inside(0, 7).unwrap();
    }));
    assert!(!naps_before(|engine| engine.send_each(0, [(0, 7)])));
}

/// Else it would not spin for the next job of a submitter that sends one at a time.
#[test]
fn empty_places_of_a_lane_are_no_backlog() {
    let (engine, locals) = Engine::new(1, 64, 0, 1);
    let mut lane = Lane::default();
    engine.submit_in(&mut lane, 7, None).unwrap();
    assert!(lane.len() > 1);
    let mut worker = Worker::new(&engine, 0, locals.into_iter().next().unwrap());
    let mut pocket = None;
    assert!(worker.find(&mut pocket));
    assert_eq!(pocket.take().map(|entry| entry.job), Some(7));
    assert!(!worker.find(&mut pocket));
    assert_eq!(worker.backlog, 0);
}

/// Makes these the jobs of a brisk worker.
fn fill(local: &mut Local<Entry<u8>>, jobs: std::ops::Range<u8>) {
    for job in jobs {
        let entry = Entry::new(Origin::submitted(0), Stamped::from(job));
        local.push(entry).unwrap();
    }
    local.bias();
}

#[test]
fn a_brisk_worker_is_spared_while_it_goes_on() {
    let (engine, locals) = Engine::new(2, 64, 0, 1);
    let [local, mut brisk] = <[_; 2]>::try_from(locals).unwrap();
    let mut worker = Worker::new(&engine, 0, local);
    let mut steals = || {
        let mut pocket = None;
        worker.steal_queued(&mut pocket)
    };
    fill(&mut brisk, 0..9);
    for _ in 0..3 {
        assert!(!steals(), "it is seen");
        assert!(brisk.pop().is_some());
        assert!(!steals(), "it has gone on");
        assert!(brisk.pop().is_some());
    }
    assert!(!steals());
    assert!(steals(), "it has not gone on");
}

/// A worker that always finds something to do does not forget those whose worker is kept.
#[test]
fn jobs_behind_a_long_one_are_stolen_though_their_worker_was_brisk() {
    let (engine, locals) = Engine::new(4, 64, 0, 1);
    let [local, mut idle, mut brisk, mut kept] = <[_; 4]>::try_from(locals).unwrap();
    let mut worker = Worker::new(&engine, 0, local);
    fill(&mut kept, 100..101);
    // Suspected, and empty from then on.
    fill(&mut idle, 0..1);
    while worker.suspect.is_none_or(|(suspect, _)| suspect != 1) {
        assert!(!worker.steal_queued(&mut None));
        worker.suspect.take_if(|(suspect, _)| *suspect != 1);
    }
    assert!(idle.pop().is_some());
    for _ in 0..10_000 {
        engine.try_submit(1).unwrap();
        fill(&mut brisk, 0..2);
        let mut pocket = None;
        assert!(worker.find(&mut pocket));
        if pocket.is_some_and(|entry| entry.job == 100) {
            return;
        }
        assert!(brisk.pop().is_some());
    }
    panic!("it was never stolen");
}

#[test]
fn who_is_not_brisk_any_more_shares_its_jobs() {
    let (engine, locals) = Engine::new(2, 64, 0, 1);
    let mut worker = Worker::new(&engine, 0, locals.into_iter().next().unwrap());
    fill(&mut worker.local, 0..9);
    worker.set_brisk(true);
    assert!(engine.deques[0].is_unshared());
    worker.set_brisk(false);
    assert!(!engine.deques[0].is_unshared());
}

/// Else it would count as searching while it runs the job, and nobody would be woken meanwhile.
#[test]
fn who_finds_a_job_in_the_overflow_searches_no_more() {
    let (engine, locals) = Engine::new(1, 64, 0, 1);
    let mut worker = Worker::new(&engine, 0, locals.into_iter().next().unwrap());
    let entry = Entry::new(Origin::submitted(0), Stamped::from(7));
    engine.ledgers.of(0).push();
    assert!(engine.overflow(engine.ledgers.of(0), entry).is_ok());
    engine.idle.begin_search(&mut worker.place);
    let mut pocket = None;
    assert!(worker.overflowed(&mut pocket));
    assert_eq!(pocket.map(|entry| entry.job), Some(7));
    assert!(!worker.place.is_searching());
    assert_eq!(engine.idle.searchers(), 0);
}
