//! One worker's loop, played by the test's own thread.

use super::{Desk, Exit, LOOKS, MOST_NEEDED, Worker};
use crate::deque::Local;
use crate::engine::entry::{Entry, Origin, Stamped};
use crate::engine::{Ended, Engine, Lane, Picked, Run};
use crate::idle::Place;
use crate::pace::{Patience, be_quick};
use crate::unwind::{self, Payload};
use std::thread;

/// A job that comes when the worker has found none, by `send`.
struct Late<'a, F> {
    engine: &'a Engine<u8>,
    send: Option<F>,
    ran: Vec<u8>,
}

impl<F: FnOnce(&Engine<u8>)> Run<u8> for Late<'_, F> {
    type Done = ();

    fn run(&mut self, picked: Picked<'_, u8>, _: Desk<'_, u8>) {
        self.ran.push(picked.take());
    }

    fn deliver(&mut self, (): (), _: &Desk<'_, u8>) -> Ended {
        Ended::Completed
    }

    fn cancel(&mut self, _: Picked<'_, u8>, _: &Desk<'_, u8>) {
        unreachable!("nobody cancels");
    }

    fn rest(&mut self) {
        if let Some(send) = self.send.take() {
            send(self.engine);
        }
    }
}

/// The engine's first worker.
fn first(engine: &Engine<u8>, locals: Vec<Local<Entry<u8>>>) -> Worker<'_, u8> {
    Worker::new(engine, 0, locals.into_iter().next().unwrap())
}

/// Whether a worker took a nap before it came to run what was sent.
fn naps_before<'a>(worker: &mut Worker<'a, u8>, send: impl FnOnce(&Engine<u8>)) -> bool {
    worker.engine.close();
    let mut late = Late {
        engine: worker.engine,
        send: Some(send),
        ran: Vec::new(),
    };
    assert_eq!(worker.work(&mut late), Exit::Drained);
    assert_eq!(late.ran, [7]);
    worker.tempo.has_napped_in_vain()
}

fn push_one(engine: &Engine<u8>) {
    engine.push_inside(0, 7).unwrap();
}

fn send_one(engine: &Engine<u8>) {
    engine.send_each(0, [(0, 7)]);
}

/// The others may be brisk for hours.
#[test]
fn a_worker_does_not_nap_while_an_errand_waits_for_it() {
    for (send, naps) in [(push_one as fn(&_), true), (send_one, false)] {
        let (engine, locals) = Engine::new(2, 8, 0, 1);
        engine.crowd.set_brisk(true);
        let mut worker = first(&engine, locals);
        assert_eq!(naps_before(&mut worker, send), naps);
    }
}

/// An engine for so many workers, on one core.
fn crowded(workers: usize) -> (Engine<u8>, Vec<Local<Entry<u8>>>) {
    let (mut engine, locals) = Engine::new(workers, 64, 0, 1);
    engine.crowd.cores = 1;
    (engine, locals)
}

/// The crew's jobs have been quick, as far as this worker has seen.
fn see_quick_jobs(worker: &mut Worker<'_, u8>) {
    worker.tempo.see(1 << 20, 64);
    assert!(worker.tempo.is_quick());
}

#[test]
fn more_workers_than_cores_leave_quick_jobs_to_the_others() {
    let (engine, locals) = crowded(3);
    assert!(engine.try_submit(7).is_ok());
    let mut workers: Vec<_> = (0..)
        .zip(locals)
        .map(|(id, local)| Worker::new(&engine, id, local))
        .collect();
    workers.iter_mut().for_each(see_quick_jobs);
    let found = workers.iter_mut().map(|worker| worker.find(&mut None));
    assert_eq!(found.collect::<Vec<_>>(), [false, false, true]);
    assert!(workers[0].aside && workers[1].aside && !workers[2].aside);
}

/// The others may have jobs that keep them.
#[test]
fn who_stands_aside_comes_back_if_the_others_do_not_go_on() {
    for (send, naps) in [(push_one as fn(&_), true), (send_one, false)] {
        let (engine, locals) = crowded(2);
        let mut worker = first(&engine, locals);
        see_quick_jobs(&mut worker);
        assert_eq!(naps_before(&mut worker, send), naps, "it looks out");
        assert!(!engine.crowd.has_lookout());
        assert!(engine.crowd.step_aside(), "both are at work");
    }
}

#[test]
fn who_has_slept_is_at_work_again() {
    let (engine, locals) = crowded(2);
    // So that it does not sleep for long.
    assert!(engine.try_submit(7).is_ok());
    let mut worker = first(&engine, locals);
    for aside in [false, true] {
        assert!(!aside || engine.crowd.step_aside());
        engine.idle.begin_search(&mut worker.place);
        worker.sleep(aside);
        let steps = [(); 2].map(|()| engine.crowd.step_aside());
        assert_eq!(steps, [true, false], "two are at work, one is too many");
        engine.crowd.come_back();
    }
}

/// It counts as searching, so nobody else would be woken until its nap is over. But it may be suspended.
#[test]
fn the_last_searcher_besides_the_lookout_sleeps_late() {
    let (engine, locals) = crowded(3);
    let mut worker = first(&engine, locals);
    let mut pauses = || {
        worker.patience = Patience::default();
        (1..=2 * MOST_NEEDED).find(|_| worker.waits_long_enough(false))
    };
    let mut places = [0, 1, 2].map(Place::new);
    let [own, lookout, third] = &mut places;
    engine.idle.begin_search(own);
    assert!(pauses() < Some(MOST_NEEDED), "nobody looks out");
    assert!(engine.crowd.post_lookout());
    engine.idle.begin_search(lookout);
    assert!(pauses() >= Some(MOST_NEEDED));
    engine.idle.begin_search(third);
    assert!(pauses() < Some(MOST_NEEDED), "another searches");
}

/// How often a worker slept that stood aside, and then ran a job, while another was the lookout or not.
fn sleeps_aside(has_lookout: bool) -> u64 {
    let (engine, locals) = crowded(3);
    assert!(!has_lookout || engine.crowd.post_lookout());
    let mut worker = first(&engine, locals);
    see_quick_jobs(&mut worker);
    naps_before(&mut worker, push_one);
    engine.works()[0].parked
}

#[test]
fn who_stands_aside_sleeps_behind_the_lookout() {
    assert_eq!([true, false].map(sleeps_aside), [1, 0]);
}

#[test]
fn a_worker_stands_aside_if_more_are_brisk_than_there_are_cores() {
    for (others, aside) in [(0, false), (1, true)] {
        let (engine, locals) = crowded(3);
        let mut worker = first(&engine, locals);
        worker.set_brisk(true);
        (0..others).for_each(|_| engine.crowd.set_brisk(true));
        assert_eq!(worker.stands_aside(), aside);
    }
}

/// What four queues full of jobs have shown.
#[test]
fn a_worker_sees_whether_the_crew_is_quick() {
    // In a thread of its own, since it is always quick.
    let sees = || {
        be_quick();
        let (engine, locals) = crowded(1);
        let mut worker = first(&engine, locals);
        (0..).position(|_| {
            assert!(engine.try_submit(1).is_ok());
            let mut pocket = None;
            assert!(worker.claim(&mut pocket) && pocket.is_some());
            worker.tempo.is_quick()
        })
    };
    let jobs = thread::scope(|scope| scope.spawn(sees).join().unwrap());
    assert_eq!(jobs, Some(4 * 64 - 1));
}

/// Else it would not spin for the next job of a submitter that sends one at a time.
#[test]
fn empty_places_of_a_lane_are_no_backlog() {
    let (engine, locals) = Engine::new(1, 64, 0, 1);
    let mut lane = Lane::default();
    engine.submit_in(&mut lane, 7, None).unwrap();
    assert!(lane.len() > 1);
    let mut worker = first(&engine, locals);
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
    fill(&mut brisk, 0..20);
    for _ in 0..2 * LOOKS {
        assert!(!steals(), "it has gone on");
        assert!(brisk.pop().is_some());
    }
    let spared = (0..3 * LOOKS).take_while(|_| !steals()).count();
    assert!((LOOKS..2 * LOOKS).contains(&spared), "{spared} looks");
}

#[test]
fn who_watches_the_brisk_leaves_itself_out() {
    let (engine, locals) = Engine::new(2, 64, 0, 1);
    let mut worker = Worker::new(&engine, 1, locals.into_iter().nth(1).unwrap());
    fill(&mut worker.local, 0..2);
    assert!((0..3 * LOOKS).all(|_| worker.watch_the_brisk().is_none()));
}

/// Else somebody whose turn always comes when another is found kept would never be stolen from.
#[test]
fn a_steal_from_who_was_watched_is_nobodys_turn() {
    let (engine, locals) = Engine::new(2, 64, 0, 1);
    let [local, mut brisk] = <[_; 2]>::try_from(locals).unwrap();
    let mut worker = Worker::new(&engine, 0, local);
    fill(&mut brisk, 0..2);
    while !worker.steal_queued(&mut None) {
        assert!(worker.scans <= 2 * LOOKS);
    }
    assert_eq!(worker.scans, LOOKS, "each look but the last was a scan");
}

/// Worker 0 always finds something to do, and worker `kept` has a job of its own that keeps it, with
/// another behind it. `supply` brings new jobs to the others before it looks for one, and `go_on`
/// has them go on afterwards. Whether the job is stolen, wherever the searches begin.
fn is_stolen_from(
    kept: usize,
    workers: usize,
    supply: impl Fn(&Engine<u8>, &mut [Local<Entry<u8>>]),
    go_on: impl Fn(&Engine<u8>, &mut [Local<Entry<u8>>]),
) -> bool {
    let starts = if cfg!(miri) { 1 } else { 2 * workers };
    (0..starts).all(|searches| {
        // So long that nobody stands aside, however fast this is.
        let (engine, locals) = Engine::new(workers, 128, 8, 1);
        let mut locals: Vec<_> = locals.into_iter().collect();
        let mut worker = Worker::new(&engine, 0, locals.remove(0));
        worker.searches = searches;
        fill(&mut locals[kept - 1], 100..101);
        (0..10_000).any(|_| {
            supply(&engine, &mut locals);
            let mut pocket = None;
            assert!(worker.find(&mut pocket));
            go_on(&engine, &mut locals);
            pocket.is_some_and(|entry| entry.job == 100)
        })
    })
}

fn two_more(local: &mut Local<Entry<u8>>) {
    fill(local, 0..2);
}

fn all_but_one(local: &mut Local<Entry<u8>>) {
    while local.len() > 1 {
        assert!(local.pop().is_some());
    }
}

/// Workers that a job keeps, one after the other.
const KEPT: std::ops::Range<usize> = if cfg!(miri) { 2..3 } else { 1..4 };

/// All but the one of worker `kept`.
fn others(
    locals: &mut [Local<Entry<u8>>],
    kept: usize,
) -> impl Iterator<Item = &mut Local<Entry<u8>>> {
    let all = locals.iter_mut().enumerate();
    all.filter_map(move |(number, local)| (number != kept - 1).then_some(local))
}

#[test]
#[cfg_attr(miri, ignore = "thousands of turns, all in one thread")]
fn jobs_behind_a_long_one_are_stolen_though_more_are_submitted() {
    for kept in KEPT {
        assert!(is_stolen_from(
            kept,
            4,
            |engine, locals| {
                assert!(engine.try_submit(1).is_ok());
                others(locals, kept).for_each(two_more);
            },
            |_, locals| others(locals, kept).for_each(all_but_one),
        ));
    }
}

#[test]
fn jobs_behind_a_long_one_are_stolen_though_nests_never_run_out() {
    for kept in KEPT {
        assert!(is_stolen_from(
            kept,
            4,
            |engine, locals| {
                let nest = engine.nests[kept].owner_in_this_thread();
                assert!(nest.push(8, || Stamped::from(1)).is_ok());
                others(locals, kept).for_each(two_more);
            },
            |_, locals| others(locals, kept).for_each(all_but_one),
        ));
    }
}

#[test]
fn jobs_behind_a_long_one_are_stolen_though_other_deques_never_run_out() {
    // Worker 3 is brisk, 2 and 4 are not.
    assert!(is_stolen_from(
        1,
        5,
        |_, locals| {
            locals[1..].iter_mut().for_each(two_more);
            locals[1].share();
            locals[3].share();
        },
        |_, locals| {
            all_but_one(&mut locals[2]);
            for shared in [1, 3] {
                while locals[shared].pop().is_some() {}
            }
        },
    ));
}

#[test]
fn who_leaves_is_not_brisk() {
    for halted in [false, true] {
        let (engine, locals) = Engine::new(2, 64, 0, 1);
        engine.close();
        if halted {
            engine.halt();
        }
        let mut worker = first(&engine, locals);
        worker.set_brisk(true);
        let mut late = Late {
            engine: &engine,
            send: Some(|_: &_| ()),
            ran: Vec::new(),
        };
        let exit = if halted { Exit::Halted } else { Exit::Drained };
        assert_eq!(worker.work(&mut late), exit);
        assert_eq!(engine.crowd.brisk(), 0);
    }
}

#[test]
fn who_is_not_brisk_any_more_shares_its_jobs() {
    let (engine, locals) = Engine::new(2, 64, 0, 1);
    let mut worker = first(&engine, locals);
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
    let mut worker = first(&engine, locals);
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

/// A runner that panics at one of its steps, and notes what it is told.
struct Panics {
    at: &'static str,
    failed: bool,
}

impl Panics {
    fn pass(&self, step: &str) {
        assert_ne!(step, self.at, "as it was told");
    }
}

impl Run<u8> for Panics {
    type Done = ();

    fn run(&mut self, picked: Picked<'_, u8>, _: Desk<'_, u8>) {
        self.pass("run, not taken");
        assert_eq!(picked.take(), 7);
        self.pass("run");
    }

    fn deliver(&mut self, (): (), _: &Desk<'_, u8>) -> Ended {
        self.pass("deliver");
        Ended::Completed
    }

    fn fail(&mut self, _: Payload, desk: &Desk<'_, u8>) {
        assert_eq!(desk.index(), 0);
        self.failed = true;
    }

    fn cancel(&mut self, _: Picked<'_, u8>, _: &Desk<'_, u8>) {
        unreachable!("nobody cancels");
    }

    fn rest(&mut self) {
        self.pass("rest");
    }
}

/// Whether what panics at this step is taken for the job's own code.
fn is_the_jobs(at: &'static str) -> bool {
    let (engine, locals) = Engine::new(1, 64, 0, 1);
    engine.try_submit(7).unwrap();
    engine.close();
    let mut worker = first(&engine, locals);
    let mut runner = Panics { at, failed: false };
    match unwind::catch(|| worker.work(&mut runner)) {
        Ok(exit) => assert_eq!(exit, Exit::Drained),
        Err(_) => assert!(!runner.failed, "{at}"),
    }
    assert_eq!(engine.totals().panicked, u64::from(runner.failed));
    runner.failed
}

#[test]
fn only_what_a_job_panics_with_is_its_failure() {
    for (at, is_its) in [
        ("run, not taken", true),
        ("run", true),
        ("deliver", false),
        ("rest", false),
        ("nowhere", false),
    ] {
        assert_eq!(is_the_jobs(at), is_its, "{at}");
    }
}

/// An engine of one worker, with a job.
fn at_the_heels() -> (Engine<u8>, Vec<Local<Entry<u8>>>) {
    let (engine, locals) = Engine::new(1, 1_024, 0, 1);
    assert!(engine.try_submit(7).is_ok());
    (engine, locals)
}

#[test]
fn who_always_finds_the_last_jobs_falls_behind_the_submitters() {
    let (engine, locals) = at_the_heels();
    let mut worker = first(&engine, locals);
    assert!(worker.find(&mut None));
    assert!(worker.tempo.has_fallen_behind_in_vain());
}

/// It has napped already, or nobody submits any more.
#[test]
fn who_searches_or_works_off_a_closed_queue_does_not_fall_behind() {
    for searches in [false, true] {
        let (engine, locals) = at_the_heels();
        let mut worker = first(&engine, locals);
        if searches {
            engine.idle.begin_search(&mut worker.place);
        } else {
            engine.close();
        }
        assert!(worker.find(&mut None));
        assert!(!worker.tempo.has_fallen_behind_in_vain());
    }
}

/// They would wait for the nap's end.
#[test]
fn who_has_jobs_does_not_fall_behind() {
    let (engine, locals) = at_the_heels();
    let mut worker = first(&engine, locals);
    for job in 10..=255 {
        let entry = Entry::new(Origin::submitted(0).follow_up(), Stamped::from(job));
        worker.local.push(entry).unwrap();
    }
    // Now and then what was submitted comes first.
    let mut found = 0;
    while found != 7 {
        let mut pocket = None;
        assert!(worker.find(&mut pocket));
        found = pocket.unwrap().job;
    }
    assert!(worker.local.len() > 0);
    assert!(!worker.tempo.has_fallen_behind_in_vain());
}

/// Its job is cancelled while it runs.
struct CancelledLate<'a> {
    engine: &'a Engine<u8>,
    panics: bool,
}

impl Run<u8> for CancelledLate<'_> {
    type Done = ();

    fn run(&mut self, picked: Picked<'_, u8>, desk: Desk<'_, u8>) {
        picked.take();
        self.engine.recalls.add(desk.index()).unwrap();
        assert!(!self.panics, "as it was told");
    }

    fn deliver(&mut self, (): (), _: &Desk<'_, u8>) -> Ended {
        Ended::Completed
    }

    fn fail(&mut self, _: Payload, _: &Desk<'_, u8>) {
        assert!(self.panics);
    }

    fn cancel(&mut self, _: Picked<'_, u8>, _: &Desk<'_, u8>) {
        unreachable!("it is too late");
    }

    /// After the job, and before a sweep.
    fn rest(&mut self) {
        assert!(!self.engine.recalls.has(0), "panics: {}", self.panics);
    }
}

/// Nobody may ever take the outcome.
#[test]
fn a_cancellation_that_came_too_late_is_forgotten_with_its_job() {
    for panics in [false, true] {
        let (engine, locals) = Engine::new(1, 64, 0, 1);
        engine.try_submit(7).unwrap();
        engine.close();
        let mut runner = CancelledLate {
            engine: &engine,
            panics,
        };
        assert_eq!(first(&engine, locals).work(&mut runner), Exit::Drained);
    }
}
