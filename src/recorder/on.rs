//! What workers do is recorded, as far as the builder was asked to.
//!
//! **The clock** is the processor's own counter where it is steady, else the system's
//! (see [`quanta`]). It is read once for each job where one follows the other out of the
//! worker's own deque: then the end of the one is the beginning of the next. Events stay in
//! the clock's own units until somebody asks; durations are counted in nanoseconds.

#![forbid(unsafe_code)]

use super::timed::{Begun, Stamp, Stamps, Times};
use super::traced::Events;
#[cfg(feature = "histograms")]
use crate::histogram::Histograms;
use crate::tally::Ended;
#[cfg(feature = "trace")]
use crate::trace::Trace;
use crossbeam_utils::CachePadded;
use quanta::Clock;

/// What a builder was asked to record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// Events to remember for each worker.
    pub(crate) trace: usize,
    /// Whether to measure how long jobs wait and run.
    pub(crate) histograms: bool,
}

impl Wishes {
    /// Whether more is to be remembered than that.
    pub(crate) fn exceed(self, capacity: usize) -> bool {
        self.trace > capacity
    }
}

/// A crew's recorders. Without lanes if nothing was asked for.
#[derive(Debug, Default)]
pub(crate) struct Recorders {
    stamps: Stamps,
    clock: Option<Clock>,
    /// By the clock.
    started: u64,
    lanes: Box<[CachePadded<Lane>]>,
}

/// What one worker writes: each part if it was asked for.
#[derive(Debug)]
struct Lane {
    events: Option<Events>,
    times: Option<Times>,
}

impl Recorders {
    pub(crate) fn new(workers: usize, wishes: Wishes) -> Self {
        let Wishes { trace, histograms } = wishes;
        if trace == 0 && !histograms {
            return Self::default();
        }
        let clock = Clock::new();
        let lane = |_| {
            CachePadded::new(Lane {
                events: Events::new(trace),
                times: Times::new(histograms),
            })
        };
        Self {
            stamps: Stamps::new(&clock, histograms),
            started: clock.raw(),
            clock: Some(clock),
            lanes: (0..workers).map(lane).collect(),
        }
    }

    pub(crate) fn of(&self, worker: usize) -> Recorder<'_> {
        let clock = self.clock.as_ref();
        Recorder(clock.map(|clock| Watch {
            clock,
            events: self.lanes[worker].events.as_ref(),
            times: self.lanes[worker].times.as_ref(),
            now: self.started,
            is_late: true,
            job: Begun::default(),
        }))
    }

    /// Whether a stamp tells anything.
    #[inline(always)]
    pub(crate) fn want_stamps(&self) -> bool {
        self.stamps.are_wanted()
    }

    /// For a job that is accepted now.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamps.now()
    }

    /// Runs a job, within another of this worker's. It is no event.
    #[inline(always)]
    pub(crate) fn nest(
        &self,
        worker: usize,
        accepted: Stamp,
        run: impl FnOnce() -> Ended,
    ) -> Ended {
        if self.want_stamps() {
            self.nest_timed(worker, accepted, run)
        } else {
            run()
        }
    }

    #[inline(never)]
    fn nest_timed(&self, worker: usize, accepted: Stamp, run: impl FnOnce() -> Ended) -> Ended {
        let lane = &self.lanes[worker];
        let (Some(clock), Some(times)) = (&self.clock, &lane.times) else {
            return run();
        };
        let job = Begun::new(accepted, clock.raw());
        let ended = run();
        times.record(clock, job, clock.raw(), ended);
        ended
    }

    /// What is remembered of all workers, up to now.
    #[cfg(feature = "trace")]
    pub(crate) fn trace(&self) -> Trace {
        let Some(clock) = &self.clock else {
            return Trace::default();
        };
        let events = self.lanes.iter().filter_map(|lane| lane.events.as_ref());
        let readings = events.map(Events::read).collect();
        let now = clock.raw();
        Trace::new(readings, now, |time| {
            clock.delta_as_nanos(self.started, time)
        })
    }

    /// What was measured by all workers, up to now.
    #[cfg(feature = "histograms")]
    pub(crate) fn histograms(&self) -> Histograms {
        let mut all = Histograms::default();
        for times in self.lanes.iter().filter_map(|lane| lane.times.as_ref()) {
            all.merge(&times.read());
        }
        all
    }
}

/// One worker's recorder.
#[derive(Debug)]
pub(crate) struct Recorder<'a>(Option<Watch<'a>>);

/// A worker that is recorded.
#[derive(Debug)]
struct Watch<'a> {
    clock: &'a Clock,
    events: Option<&'a Events>,
    times: Option<&'a Times>,
    /// The last reading of the clock.
    now: u64,
    /// Whether time has passed since that could matter.
    is_late: bool,
    /// What it runs.
    job: Begun,
}

impl Watch<'_> {
    fn read_clock(&mut self) -> u64 {
        self.now = self.clock.raw();
        self.is_late = false;
        self.now
    }

    #[inline(never)]
    fn job_begins(&mut self, index: u64, is_follow_up: bool, accepted: Stamp) {
        if self.is_late {
            self.read_clock();
        }
        self.job = Begun::new(accepted, self.now);
        if let Some(events) = self.events {
            events.job_begins(self.now, index, is_follow_up);
        }
    }

    #[inline(never)]
    fn job_ends(&mut self, ended: Ended) {
        let now = self.read_clock();
        if let Some(events) = self.events {
            events.job_ends(now, ended);
        }
        if let Some(times) = self.times {
            times.record(self.clock, self.job, now, ended);
        }
    }

    /// An event that is no job.
    #[inline(never)]
    fn note(&mut self, note: impl FnOnce(&Events, u64)) {
        if let Some(events) = self.events {
            note(events, self.read_clock());
        }
    }
}

impl Recorder<'_> {
    #[inline(always)]
    pub(crate) fn job_begins(&mut self, index: u64, is_follow_up: bool, accepted: Stamp) {
        if let Some(watch) = &mut self.0 {
            watch.job_begins(index, is_follow_up, accepted);
        }
    }

    #[inline(always)]
    pub(crate) fn job_ends(&mut self, ended: Ended) {
        if let Some(watch) = &mut self.0 {
            watch.job_ends(ended);
        }
    }

    /// The next job will not be out of the own deque.
    #[inline(always)]
    pub(crate) fn looks_elsewhere(&mut self) {
        if let Some(watch) = &mut self.0 {
            watch.is_late = true;
        }
    }

    /// More than one job came from the shared queue.
    #[inline(always)]
    pub(crate) fn takes_batch(&mut self, jobs: usize) {
        if let Some(watch) = &mut self.0 {
            watch.note(|events, now| events.takes_batch(now, jobs));
        }
    }

    #[inline(always)]
    pub(crate) fn steals(&mut self, jobs: usize, victim: usize) {
        if let Some(watch) = &mut self.0 {
            watch.note(|events, now| events.steals(now, jobs, victim));
        }
    }

    #[inline(always)]
    pub(crate) fn parks(&mut self) {
        if let Some(watch) = &mut self.0 {
            watch.note(Events::parks);
        }
    }

    #[inline(always)]
    pub(crate) fn wakes(&mut self, by_another: bool) {
        if let Some(watch) = &mut self.0 {
            watch.note(|events, now| events.wakes(now, by_another));
        }
    }
}
