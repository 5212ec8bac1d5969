//! What workers do is recorded, as far as the builder was asked to.
//!
//! **The clock** is the processor's own counter where it is steady, else the system's
//! (see [`quanta`]). It is read once for each job where one follows the other out of the
//! worker's own deque: then the end of the one is the beginning of the next. All stays in the
//! clock's own units until somebody asks.

#![forbid(unsafe_code)]

use crate::tally::Ended;
use crate::trace::{Trace, encode};
use crate::track::Track;
use crossbeam_utils::CachePadded;
use quanta::Clock;

/// What a builder was asked to record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// Events to remember for each worker.
    pub(crate) trace: usize,
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
    clock: Option<Clock>,
    /// By the clock.
    started: u64,
    lanes: Box<[CachePadded<Track>]>,
}

impl Recorders {
    pub(crate) fn new(workers: usize, wishes: Wishes) -> Self {
        if wishes.trace == 0 {
            return Self::default();
        }
        let clock = Clock::new();
        let lane = |_| CachePadded::new(Track::new(wishes.trace));
        Self {
            started: clock.raw(),
            clock: Some(clock),
            lanes: (0..workers).map(lane).collect(),
        }
    }

    pub(crate) fn of(&self, worker: usize) -> Recorder<'_> {
        let clock = self.clock.as_ref();
        Recorder(clock.map(|clock| Watch {
            clock,
            track: &self.lanes[worker],
            now: self.started,
            is_late: true,
        }))
    }

    /// What is remembered of all workers, up to now.
    pub(crate) fn trace(&self) -> Trace {
        let Some(clock) = &self.clock else {
            return Trace::default();
        };
        let readings = self.lanes.iter().map(|track| track.read()).collect();
        let now = clock.raw();
        Trace::new(readings, now, |time| {
            clock.delta_as_nanos(self.started, time)
        })
    }
}

/// One worker's recorder.
#[derive(Debug)]
pub(crate) struct Recorder<'a>(Option<Watch<'a>>);

/// A worker that is recorded.
#[derive(Debug)]
struct Watch<'a> {
    clock: &'a Clock,
    track: &'a Track,
    /// The last reading of the clock.
    now: u64,
    /// Whether time has passed since that could matter.
    is_late: bool,
}

impl Watch<'_> {
    fn read_clock(&mut self) -> u64 {
        self.now = self.clock.raw();
        self.is_late = false;
        self.now
    }

    #[inline(never)]
    fn job_begins(&mut self, index: u64, is_follow_up: bool) {
        if self.is_late {
            self.read_clock();
        }
        self.track.begin(encode::job(index, is_follow_up), self.now);
    }

    #[inline(never)]
    fn job_ends(&mut self, ended: Ended) {
        let now = self.read_clock();
        self.track.end(encode::job_end(now, ended));
    }

    /// Something that takes no time.
    #[inline(never)]
    fn note(&mut self, what: u64) {
        let now = self.read_clock();
        self.track.begin(what, now);
        self.track.end(encode::end(now));
    }
}

impl Recorder<'_> {
    #[inline(always)]
    pub(crate) fn job_begins(&mut self, index: u64, is_follow_up: bool) {
        if let Some(watch) = &mut self.0 {
            watch.job_begins(index, is_follow_up);
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
            watch.note(encode::batch(jobs));
        }
    }

    #[inline(always)]
    pub(crate) fn steals(&mut self, jobs: usize, victim: usize) {
        if let Some(watch) = &mut self.0 {
            watch.note(encode::steal(jobs, victim));
        }
    }

    #[inline(always)]
    pub(crate) fn parks(&mut self) {
        if let Some(watch) = &mut self.0 {
            let now = watch.read_clock();
            watch.track.begin(encode::PARK, now);
        }
    }

    #[inline(always)]
    pub(crate) fn wakes(&mut self, by_another: bool) {
        if let Some(watch) = &mut self.0 {
            let now = watch.read_clock();
            watch.track.end(encode::park_end(now, by_another));
        }
    }
}
