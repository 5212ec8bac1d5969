//! Where results wait: a stream for each worker, and those who take from them.
//!
//! **Promise.** A result can be taken as soon as [`Outlet::deliver`] has stored it,
//! which happens before its worker does anything else. Each worker's results keep
//! their order. Takers look at the streams in turn, so a result is passed over by
//! at most one batch of each other stream. A taker that is suspended keeps what it
//! had claimed and stops nobody.
//!
//! **Capacity.** A worker that has delivered waits before its next job while more
//! than `capacity` results are untaken. So at most `capacity` results lie
//! in the queue, and beyond them each *waiting* worker's own last one, which takers
//! can take straight from its hand. (In Go's terms: the values that blocked senders
//! hold.) A worker never sleeps while `capacity` or fewer are untaken. It counts once for
//! a [`Lease`] of several places, and for each result when the queue is nearly full.
//!
//! **A stream** is a ring ([`deque`]) and, behind it, a queue ([`Injector`]) for
//! failures, and for when the ring is full, or a suspended taker still sits in its next
//! slot. Once a worker *spills* it goes on doing so until the spill queue is empty again,
//! and takers take from the spill queue only as many as they saw there *before* they saw
//! the ring empty: so the older results, in the ring, go first. (That the stream was
//! spilling is not enough: it may have stopped, filled the ring, and begun again.) Who
//! sees the spill queue's tail sees what was in the ring before: `[tail]` of the
//! [`injector`](crate::injector).
//!
//! | edge     | release side                   | acquire side              | carries                   | loom model                  |
//! |----------|--------------------------------|---------------------------|---------------------------|-----------------------------|
//! | `ended`  | [`Outbox::end`], `ended`       | [`Outbox::has_ended`]     | all results               | `last_result_races_the_end` |
//! | `takers` | [`Outbox::taker_left`], barrier | [`Outlet::deliver`], barrier | that nobody will take | `last_taker_races_a_result`, `put_back_races_the_last_taker` |

#![forbid(unsafe_code)]

use super::hand::Hand;
use super::lease::{self, Lease};
use super::{JobError, Outcome};
use crate::deque::{self, Local, Steal, Stealer};
use crate::engine::Origin;
use crate::gate::Gate;
use crate::injector::Injector;
use crate::lazy::Lazy;
use crate::pace::{Nap, Patience};
use crate::probe::probe;
use crate::sync::{
    self, Arc, AtomicBool, AtomicU64, AtomicUsize, Home, Ordering, barrier, yield_now,
};
use crate::unwind;
use crossbeam_utils::CachePadded;

/// Bytes that all rings of a pool take at most; they are given in a ring's first lap. Within it
/// a ring has room for all that one worker can deliver before it waits, since spilling costs two
/// read-modify-writes more a result, and a count. Chosen by W1a in `benches`.
const RINGS_BYTES: usize = 1 << 23;

/// Slots in a ring: no more than this, no fewer than two.
const MAX_SLOTS: usize = if cfg!(workcrew_loom) {
    2
} else if cfg!(miri) {
    // Miri writes them one by one.
    1 << 6
} else {
    1 << 18
};

/// Most results that a taker claims at once.
const MAX_TAKE: usize = 64;

/// How a job ended, in its worker's own stream. Rings hold no failures, so that their
/// items are small: what moves from one core's cache to another's is most of the cost.
#[derive(Debug)]
pub(super) struct Delivered<T> {
    origin: Origin,
    ended: T,
}

impl<R> Delivered<R> {
    fn ok(self) -> Delivered<Result<R, JobError>> {
        Delivered {
            origin: self.origin,
            ended: Ok(self.ended),
        }
    }

    #[inline]
    pub(super) fn ok_by(self, worker: usize) -> Outcome<R> {
        self.ok().by(worker)
    }
}

impl<R> Delivered<Result<R, JobError>> {
    fn by(self, worker: usize) -> Outcome<R> {
        Outcome {
            index: self.origin.index(),
            follow_up: self.origin.is_follow_up(),
            worker,
            result: self.ended,
        }
    }
}

#[derive(Debug)]
struct Stream<R> {
    ring: Stealer<Delivered<R>>,
    spill: Injector<Delivered<Result<R, JobError>>>,
    spilling: AtomicBool,
    lease: Lease,
    /// How many jobs waited when this worker last looked: a hint for takers. Its own
    /// cache line, since workers that count read the others.
    backlog: CachePadded<AtomicUsize>,
}

/// All streams of a pool, shared by its workers and takers.
#[derive(Debug)]
pub(crate) struct Outbox<R> {
    streams: Box<[Arc<CachePadded<Stream<R>>>]>,
    /// Results that came back from takers, and of jobs that no worker ended.
    /// Seldom any, so the queue is made when there are.
    strays: Lazy<Injector<Outcome<R>>>,
    capacity: usize,
    /// Places in a lease, at most.
    lease: u64,
    /// Where takers wait for results.
    ready: Gate,
    /// Where workers wait for room.
    room: Gate,
    takers: AtomicUsize,
    /// Whether a taker can run beside one worker.
    two_cores: bool,
    ended: AtomicBool,
    home: Home,
    /// Whether anything was ever spilled.
    spilled: AtomicBool,
    discarded: AtomicU64,
}

/// One worker's end of its stream.
#[derive(Debug)]
pub(crate) struct Outlet<R> {
    ring: Local<Delivered<R>>,
    stream: Arc<CachePadded<Stream<R>>>,
    /// How long it waits for room before it sleeps.
    patience: Patience,
}

impl<R: Send> Outbox<R> {
    /// An outbox with one taker, and each worker's outlet.
    pub(crate) fn new(workers: usize, capacity: usize) -> (Self, Vec<Outlet<R>>) {
        let affordable = RINGS_BYTES / workers / (size_of::<Delivered<R>>() + size_of::<u64>());
        // A ring's number of slots is a power of two.
        let affordable = 1 << affordable.max(1).ilog2();
        // A taker's claim keeps its slots until it is handed out.
        let slots = affordable.min(capacity + 1 + MAX_TAKE).clamp(2, MAX_SLOTS);
        let (streams, outlets) = (0..workers)
            .map(|_| {
                let (local, stealer) = deque::ring(slots);
                let stream = Stream {
                    ring: stealer,
                    spill: Injector::bounded(capacity.saturating_add(workers)),
                    spilling: AtomicBool::new(false),
                    lease: Lease::new(),
                    backlog: CachePadded::new(AtomicUsize::new(0)),
                };
                let stream = Arc::new(CachePadded::new(stream));
                let outlet = Outlet {
                    ring: local,
                    stream: Arc::clone(&stream),
                    patience: Patience::default(),
                };
                (stream, outlet)
            })
            .unzip();
        let outbox = Self {
            streams: Vec::into_boxed_slice(streams),
            strays: Lazy::new(),
            capacity,
            lease: lease::size(workers, capacity),
            ready: Gate::new(),
            room: Gate::new(),
            takers: AtomicUsize::new(1),
            two_cores: sync::available_parallelism() > 1,
            ended: AtomicBool::new(false),
            home: Home::new(),
            spilled: AtomicBool::new(false),
            discarded: AtomicU64::new(0),
        };
        (outbox, outlets)
    }

    /// Results that lie here.
    pub(crate) fn untaken(&self) -> usize {
        self.sum(|stream| stream.ring.len())
    }

    /// Outcomes that lie here, with those that count against no capacity: what takers put back, and
    /// what became of jobs that no worker ended.
    pub(crate) fn waiting(&self) -> usize {
        self.untaken() + self.strays.get().map_or(0, Injector::len)
    }

    /// Results that lie here, and places that are leased.
    fn reserved(&self) -> usize {
        self.sum(|stream| {
            let (head, tail) = stream.ring.ends();
            stream.lease.places(head, tail)
        })
    }

    fn sum(&self, in_ring: impl Fn(&Stream<R>) -> usize) -> usize {
        let in_rings = self.streams.iter().map(|stream| in_ring(stream)).sum();
        // Relaxed: who spills knows, and others may miss a result that is being spilled.
        if self.spilled.load(Ordering::Relaxed) {
            let spilled = self.streams.iter().map(|stream| stream.spilled());
            in_rings + spilled.sum::<usize>()
        } else {
            in_rings
        }
    }

    /// Claims up to a fair share from the first stream in turn that has any, for an
    /// empty hand. Returns how many that were.
    pub(super) fn fill(&self, hand: &mut Hand<R>) -> usize {
        // Relaxed: fairness among takers needs no exact number.
        let takers = self.takers.load(Ordering::Relaxed).max(1);
        let mut taken = self.strays.get().map_or(0, |strays| {
            let popped = strays.pop(MAX_TAKE, |_| {}, |_, outcome| hand.add(outcome));
            popped.taken
        });
        for _ in 0..self.streams.len() {
            if taken > 0 {
                break;
            }
            let worker = hand.next_turn(self.streams.len());
            taken = self.streams[worker].fill(hand, worker, takers);
        }
        if taken > 0 {
            probe!("outbox take: claimed, room not told");
            self.room.notify(taken);
        }
        taken
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many workers sleep for want of room.
    pub(super) fn blocked_workers(&self) -> usize {
        self.room.waiting()
    }

    pub(super) fn ready(&self) -> &Gate {
        &self.ready
    }

    /// How many jobs waited when the worker whose results came last had looked. (What the others saw may
    /// be old: a worker that is kept by a job says nothing.)
    pub(super) fn backlog(&self, hand: &Hand<R>) -> usize {
        // Relaxed: a hint.
        self.streams[hand.turn()].backlog.load(Ordering::Relaxed)
    }

    /// Whether a taker may spin where so many jobs wait: there is a core to spare, and one job at a time.
    pub(super) fn is_hot(&self, backlog: usize) -> bool {
        self.two_cores && backlog <= 1
    }

    /// No result will come any more; all have been delivered.
    pub(crate) fn end(&self) {
        // [ended] Release: after all results.
        self.ended.store(true, Ordering::Release);
        probe!("outbox end: ended, takers not told");
        self.ready.notify_all();
    }

    /// Ask this *before* looking for results that may not be there.
    pub(super) fn has_ended(&self) -> bool {
        // [ended] Acquire: the results are visible to a later look.
        self.ended.load(Ordering::Acquire)
    }

    /// Puts back what a taker had claimed, or what became of a job without a worker.
    pub(crate) fn put_back(&self, outcome: Outcome<R>) {
        let strays = self.strays.get_or(Injector::unbounded);
        if let Err(outcome) = strays.add(outcome) {
            self.discard(outcome.result);
        }
        probe!("outbox put_back: queued, takers not told");
        // [takers] passes a light barrier. We may be no taker ourselves.
        self.ready.notify(1);
        if self.nobody_takes() {
            self.discard_all();
        }
    }

    pub(super) fn taker_came(&self) {
        // Relaxed: made from a taker that is still here.
        self.takers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn taker_left(&self) {
        // Relaxed: [takers] is the barriers. What the others put back is seen, too: they
        // passed a light one before they left.
        if self.takers.fetch_sub(1, Ordering::Relaxed) == 1 {
            // [takers] our leaving is visible before we look for what is left: a
            // worker that still saw us has stored its result by then.
            probe!("outbox taker_left: left, rest not discarded");
            barrier::heavy();
            self.discard_all();
            // Hint: nobody needs to wait for room now, all at once. (Each result that was
            // discarded has told a worker, and who finds room tells the next.)
            self.room.notify_all();
        }
    }

    /// Whether this is a forked child's copy, into which nobody delivers.
    pub(super) fn is_forked(&self) -> bool {
        self.home.is_abroad()
    }

    fn nobody_takes(&self) -> bool {
        // Relaxed: see `taker_left`.
        self.takers.load(Ordering::Relaxed) == 0
    }

    fn discard(&self, result: Result<R, JobError>) {
        // Relaxed: for statistics.
        self.discarded.fetch_add(1, Ordering::Relaxed);
        unwind::drop_quietly(result);
    }

    /// Results that nobody could take.
    pub(crate) fn discarded(&self) -> u64 {
        // Relaxed: for statistics.
        self.discarded.load(Ordering::Relaxed)
    }

    fn discard_all(&self) {
        let mut hand = Hand::default();
        while self.fill(&mut hand) > 0 {
            for outcome in &mut hand {
                self.discard(outcome.result);
            }
        }
    }
}

impl<R> Stream<R> {
    fn is_spilling(&self) -> bool {
        // Relaxed: its own worker asks.
        self.spilling.load(Ordering::Relaxed)
    }

    /// Results that did not fit into the ring.
    fn spilled(&self) -> usize {
        // Relaxed: its own worker knows, and others may miss a result that is being
        // spilled. A worker that is suspended while it spills has claimed a place for
        // ever.
        if self.spilling.load(Ordering::Relaxed) && self.spill.has_published() {
            self.spill.len()
        } else {
            0
        }
    }

    #[inline]
    fn set_backlog(&self, backlog: usize) {
        // Relaxed, both: one writer.
        if self.backlog.load(Ordering::Relaxed) != backlog {
            // Hint: for takers.
            self.backlog.store(backlog, Ordering::Relaxed);
        }
    }

    #[inline]
    fn fill(&self, hand: &mut Hand<R>, worker: usize, takers: usize) -> usize {
        let share = |len: usize| len.div_ceil(takers).min(MAX_TAKE);
        // Relaxed: the spill queue's length brings what is in the ring, and is read
        // before it; see the page.
        let spilling = self.spilling.load(Ordering::Relaxed);
        let spilled = if spilling { share(self.spill.len()) } else { 0 };
        loop {
            match self.ring.take(share) {
                Steal::Taken(claim) => return hand.hold(claim),
                Steal::Retry => {}
                Steal::Empty => break,
            }
        }
        if spilled == 0 {
            return 0;
        }
        probe!("outbox take: ring empty, spill not looked at");
        let sink = |_, delivered: Delivered<_>| hand.add(delivered.by(worker));
        self.spill.pop(spilled, |_| {}, sink).taken
    }
}

impl<R: Send> Outlet<R> {
    /// Delivers a result, then waits while too many are untaken.
    ///
    /// `backlog` is how many jobs this worker knows to be waiting; `hurry` ends the
    /// wait when nobody will take for a while (the pool is being torn down).
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        outbox: &Outbox<R>,
        origin: Origin,
        result: R,
        backlog: usize,
        hurry: impl Fn() -> bool,
    ) {
        self.stream.set_backlog(backlog);
        probe!("outbox deliver: not stored");
        let delivered = Delivered {
            origin,
            ended: result,
        };
        let in_ring = self.store(outbox, delivered);
        self.tell_and_look(outbox, in_ring, hurry);
    }

    /// As [`Outlet::deliver`], for a job without a result.
    #[cold]
    pub(crate) fn deliver_error(
        &mut self,
        outbox: &Outbox<R>,
        origin: Origin,
        error: JobError,
        hurry: impl Fn() -> bool,
    ) {
        let ended = Err(error);
        self.spill(outbox, Delivered { origin, ended });
        self.tell_and_look(outbox, false, hurry);
    }

    #[inline]
    fn tell_and_look(&mut self, outbox: &Outbox<R>, in_ring: bool, hurry: impl Fn() -> bool) {
        probe!("outbox deliver: stored, takers not told");
        // [takers] passes a light barrier.
        outbox.ready.notify(1);
        if outbox.nobody_takes() {
            outbox.discard_all();
            return;
        }
        probe!("outbox deliver: takers told, room not looked at");
        // What was spilled stands in no ring, so no lease covers it.
        if !in_ring || !self.stream.lease.covers(self.ring.tail()) {
            self.look_for_room(outbox, hurry);
        }
    }

    /// Takes another lease if there is room for it, and waits if there is none at all.
    #[inline(never)]
    fn look_for_room(&mut self, outbox: &Outbox<R>, hurry: impl Fn() -> bool) {
        let stream = &self.stream;
        // Of two workers that have delivered, the second to pass sees the first.
        barrier::full();
        let room = outbox.capacity.checked_sub(outbox.reserved());
        probe!("outbox deliver: room counted");
        match room {
            None => outbox.wait_for_room(&mut self.patience, hurry),
            Some(room) if !stream.is_spilling() => {
                if let Some(places) = lease::of(outbox.lease, room as u64) {
                    // Hint: spares the next results their count.
                    stream.lease.announce(self.ring.tail() + places);
                    probe!("outbox deliver: lease announced, not counted");
                    if outbox.reserved() > outbox.capacity {
                        stream.lease.give_back(self.ring.tail());
                    }
                }
            }
            Some(_) => {}
        }
    }

    /// This worker has found no job.
    pub(crate) fn rest(&self) {
        self.stream.set_backlog(0);
        // Hint: spares others the work of taking the places away.
        self.stream.lease.give_back(self.ring.tail());
    }

    /// Stores a result behind all earlier ones. Returns whether it is in the ring.
    #[inline]
    fn store(&mut self, outbox: &Outbox<R>, delivered: Delivered<R>) -> bool {
        let pushed = if self.stream.is_spilling() && !self.stops_spilling() {
            Err(delivered)
        } else {
            self.ring.push(delivered)
        };
        let in_ring = pushed.is_ok();
        if let Err(delivered) = pushed {
            self.spill(outbox, delivered.ok());
        }
        in_ring
    }

    /// Whether all that was spilled has been taken, so that the ring will do again.
    #[cold]
    fn stops_spilling(&self) -> bool {
        let all_taken = self.stream.spill.len() == 0;
        if all_taken {
            // Hint: spares takers the look. Relaxed: the queue is empty.
            self.stream.spilling.store(false, Ordering::Relaxed);
        }
        all_taken
    }

    /// Stores what the ring does not hold: failures, and what found it full.
    #[cold]
    fn spill(&self, outbox: &Outbox<R>, mut delivered: Delivered<Result<R, JobError>>) {
        let stream = &self.stream;
        probe!("outbox deliver: spills");
        // Relaxed: see `untaken`.
        outbox.spilled.store(true, Ordering::Relaxed);
        // Relaxed: to a taker that misses it, the spill queue looks empty.
        stream.spilling.store(true, Ordering::Relaxed);
        probe!("outbox deliver: spilling, not pushed");
        while let Err(back) = stream.spill.add(delivered) {
            // Never closed; full only if the untaken exceed the capacity by more
            // than the number of workers, which they do not.
            debug_assert!(false, "the spill queue holds all that can be untaken");
            delivered = back;
            yield_now();
        }
    }
}

impl<R: Send> Outbox<R> {
    #[cold]
    fn wait_for_room(&self, patience: &mut Patience, hurry: impl Fn() -> bool) {
        let mut room = false;
        self.room
            .wait_politely(Nap::short(self.capacity), patience, false, None, || {
                room = self.has_room();
                (room || self.nobody_takes() || hurry()).then_some(())
            });
        if room {
            // A result that leaves wakes one worker, but may make room for all.
            self.room.notify(1);
        }
    }

    /// Whether no more than `capacity` results lie here. If with the leases there are
    /// more, these are taken away.
    fn has_room(&self) -> bool {
        // Hint: spares the barrier, and the others their leases.
        if self.untaken() > self.capacity {
            return false;
        }
        if self.reserved() > self.capacity {
            for stream in &self.streams {
                let (_, tail) = stream.ring.ends();
                // [revoked] before we count.
                stream.lease.revoke(tail);
            }
            probe!("outbox wait: leases revoked, not counted");
            // [revoked] an owner that still used its lease has stored its result by then.
            barrier::heavy();
        }
        self.untaken() <= self.capacity
    }

    /// Wakes workers that wait for room, so that they look at `hurry` again.
    pub(super) fn hurry(&self) {
        self.room.notify_all();
    }
}
