//! The jobs of one iterator whose outcomes have not been yielded, and which is the next to be.
//!
//! **Promise.** In order ([`InOrder`]) the oldest is the next. As they end ([`AsTheyEnd`]) each job,
//! dropped or done, tells of its place, in a queue that its owner empties, and knocks at a gate,
//! where the owner waits while the queue is empty. Nobody else waits for anything.
//!
//! | edge    | release side             | acquire side         | carries                 | loom model                 |
//! |---------|--------------------------|----------------------|-------------------------|----------------------------|
//! | `ended` | [`Ended::tell`], gate    | [`Ended::wait`]      | that a place is told of | `owner_hears_of_each_end`  |

#![forbid(unsafe_code)]

use super::spawn::JobHandle;
use crate::gate::Gate;
use crate::injector::Injector;
use crate::sync::Object;
use std::collections::VecDeque;

/// Most jobs of whose end an owner is told at once, so that its queue costs little for each.
const MOST_TOLD: usize = 64;

/// Shares that are made at once: of one, two workers with far cores take up to 1.9 times as long.
const SHARES: usize = 32;

/// The places of jobs that have ended, and where their owner waits for the next.
pub(crate) struct Ended {
    places: Injector<usize>,
    owner: Gate,
}

impl Ended {
    pub(crate) fn new() -> Self {
        Self {
            places: Injector::unbounded(),
            owner: Gate::new(),
        }
    }

    pub(crate) fn tell(&self, place: usize) {
        let pushed = self.places.add(place);
        debug_assert!(pushed.is_ok(), "the window is smaller than the queue");
        // [ended] it is there before the owner is told.
        self.owner.notify(1);
    }

    /// Adds some of the places to `told`, if there are any. Returns whether there were.
    fn hear(&self, told: &mut VecDeque<usize>) -> bool {
        let popped = self
            .places
            .pop(MOST_TOLD, |_| {}, |_, place| told.push_back(place));
        // What was overtaken is pushed again, and told of again.
        popped.taken > 0
    }

    /// As [`Ended::hear`], and waits until there is one.
    pub(crate) fn wait(&self, told: &mut VecDeque<usize>) {
        if !self.hear(told) {
            let heard = self.owner.wait(None, || self.hear(told).then_some(()));
            debug_assert!(heard.is_some(), "there is no deadline");
        }
    }
}

/// What a job does with its item.
pub(super) trait Apply<A, R>: Send {
    fn apply(&self, item: A) -> R;
}

impl<A, R, F: Fn(A) -> R + Send + Sync> Apply<A, R> for Object<F> {
    fn apply(&self, item: A) -> R {
        self(item)
    }
}

/// Keeps the jobs whose outcomes have not been yielded.
pub(super) trait InFlight {
    type Result: Send + 'static;
    /// What a job applies to its item, and drops when it has ended.
    type Function: 'static;

    fn len(&self) -> usize;

    /// For the job that is made next. That is the one that is added next, too, if any.
    fn function(&mut self) -> Self::Function;
    fn add(&mut self, job: JobHandle<Self::Result>);

    /// Takes out the next one whose outcome is to be yielded. There is one. A worker runs those
    /// that are queued, if it `helps`.
    fn next(&mut self, helps: bool) -> JobHandle<Self::Result>;

    /// Cancels those that have not started, and forgets all.
    fn leave(&mut self);
}

/// What each job of an iterator gets a share of.
///
/// They are made many at a time, since that takes the count of owners from the worker which has
/// dropped one last.
struct Shares<T> {
    whole: Object<T>,
    made: Vec<Object<T>>,
}

impl<T> Shares<T> {
    fn new(whole: T) -> Self {
        Self {
            whole: Object::new(whole),
            made: Vec::new(),
        }
    }

    fn one(&mut self) -> Object<T> {
        if self.made.is_empty() {
            let make = || Object::clone(&self.whole);
            self.made.extend(std::iter::repeat_with(make).take(SHARES));
        }
        self.made.pop().expect("some were made")
    }
}

pub(super) struct InOrder<F, R> {
    function: Shares<F>,
    jobs: VecDeque<JobHandle<R>>,
}

impl<F, R> InOrder<F, R> {
    pub(super) fn new(function: F) -> Self {
        Self {
            function: Shares::new(function),
            jobs: VecDeque::new(),
        }
    }
}

impl<F: 'static, R: Send + 'static> InFlight for InOrder<F, R> {
    type Result = R;
    type Function = Object<F>;

    fn len(&self) -> usize {
        self.jobs.len()
    }

    fn function(&mut self) -> Object<F> {
        self.function.one()
    }

    fn add(&mut self, job: JobHandle<R>) {
        self.jobs.push_back(job);
    }

    fn next(&mut self, _: bool) -> JobHandle<R> {
        self.jobs.pop_front().expect("there is one")
    }

    fn leave(&mut self) {
        for job in self.jobs.drain(..) {
            job.cancel();
        }
    }
}

/// What the jobs of [`AsTheyEnd`] share. (One count of owners, not two: all workers write it.)
struct Shared<F> {
    function: F,
    ended: Ended,
}

/// The function, for one job, of whose end it tells when it is dropped with it.
pub(super) struct Telling<F> {
    shared: Object<Shared<F>>,
    place: usize,
}

impl<A, R, F: Fn(A) -> R + Send + Sync> Apply<A, R> for Telling<F> {
    fn apply(&self, item: A) -> R {
        (self.shared.function)(item)
    }
}

impl<F> Drop for Telling<F> {
    fn drop(&mut self) {
        self.shared.ended.tell(self.place);
    }
}

pub(super) struct AsTheyEnd<F, R> {
    shared: Shares<Shared<F>>,
    /// The jobs by their places, of which some are free.
    jobs: Vec<Option<JobHandle<R>>>,
    free: Vec<usize>,
    /// The place of the job that was made and not added.
    unadded: Option<usize>,
    /// The places of jobs that have ended, as far as they were heard of, in that order.
    told: VecDeque<usize>,
    /// Where a worker that helps looks next.
    look: usize,
}

impl<F, R> AsTheyEnd<F, R> {
    pub(super) fn new(function: F) -> Self {
        let ended = Ended::new();
        Self {
            shared: Shares::new(Shared { function, ended }),
            jobs: Vec::new(),
            free: Vec::new(),
            unadded: None,
            told: VecDeque::new(),
            look: 0,
        }
    }

    /// Runs one of the jobs here, if one is queued.
    fn run_one(&mut self) -> bool {
        // From where the last look ended: so those that found one have together looked at each
        // place once.
        (0..self.jobs.len()).any(|_| {
            let place = self.look;
            self.look = (place + 1) % self.jobs.len();
            let job = self.jobs[place].as_ref();
            job.is_some_and(JobHandle::run_if_queued)
        })
    }
}

impl<F: 'static, R: Send + 'static> InFlight for AsTheyEnd<F, R> {
    type Result = R;
    type Function = Telling<F>;

    fn len(&self) -> usize {
        self.jobs.len() - self.free.len() - usize::from(self.unadded.is_some())
    }

    fn function(&mut self) -> Telling<F> {
        let place = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() - 1
        });
        self.unadded = Some(place);
        Telling {
            shared: self.shared.one(),
            place,
        }
    }

    fn add(&mut self, job: JobHandle<R>) {
        let place = self.unadded.take().expect("it was made");
        self.jobs[place] = Some(job);
    }

    fn next(&mut self, helps: bool) -> JobHandle<R> {
        let place = loop {
            match self.told.pop_front() {
                Some(place) => break place,
                None if self.shared.whole.ended.hear(&mut self.told) => {}
                None if helps && self.run_one() => {}
                // All run elsewhere.
                None => self.shared.whole.ended.wait(&mut self.told),
            }
        };
        self.free.push(place);
        self.jobs[place].take().expect("it is told of once")
    }

    fn leave(&mut self) {
        self.free.clear();
        for job in self.jobs.drain(..).flatten() {
            job.cancel();
        }
    }
}
