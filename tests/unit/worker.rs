//! One worker's loop, played by the test's own thread.

use super::{Desk, Exit, Worker};
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
