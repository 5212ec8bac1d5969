//! The stall tests: a thread is suspended at each step of each operation, and the
//! others must go on. They are what stands behind the progress table of README.md.
//!
//! [`POINTS`] names every `probe!` of `src`, the operation it belongs to, and the
//! scenes in which a thread comes there. A scene has a thread that may be suspended
//! (its *role*), others that go on, and the same demand everywhere: while the thread
//! stands, whatever the others submit runs, and its results arrive; of what was
//! submitted before, no more is missing than the thread had claimed. Then it goes on,
//! and in the end each item has come out exactly once. Each scene is played with
//! several numbers of workers, capacities, and visits that are let pass; at each point
//! somebody must have been suspended at least once.
//!
//! Then two threads stand, each somewhere: at all pairs of points of one queue, and in whole pools
//! at a random sample of pairs, whose seed is printed.
//!
//! Nothing rests on time but the watchdog.

#[path = "stall/errand.rs"]
mod errand;
#[path = "stall/group.rs"]
mod group;
#[path = "stall/line.rs"]
mod line;
#[path = "stall/nest.rs"]
mod nest;
#[path = "stall/offer.rs"]
mod offer;
#[path = "stall/oneshot.rs"]
mod oneshot;
#[path = "stall/pairs.rs"]
mod pairs;
#[path = "stall/pool.rs"]
mod pool;
#[path = "stall/queues.rs"]
mod queues;

use crate::probe::Stall;
use errand::Role::Errander;
use group::Role::{Member, Spawner};
use line::HELD;
use line::Role::{DroppedTask, Notifier, Task};
use nest::Role::{Maker, Member as Worker, Nester, Robber};
use offer::Role::{Giver, Runner};
use oneshot::Role::{Claimant, JobOwner};
use pool::Role::{
    AllButOneWorker, AnyWorker, BlockedSubmitter, BriskThief, BriskWorker, Closer, LaneOwner,
    LastTaker, LastWorker, OneWorker, OutOfRoom, Submitter, Taker,
};
use queues::Role::{Batcher, Consumer, Owner, Producer, Thief};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{self, yield_now};
use std::time::{Duration, Instant};

/// A point, and scenes in which a thread comes there.
struct Point {
    name: &'static str,
    /// What its thread is doing.
    operation: &'static str,
    roles: &'static [Role],
    /// Where the thread stands first, one after the other, each time until others have
    /// done something: so what is rare comes true.
    after: &'static [&'static str],
    /// Where a helper stands all the while, to the same end.
    beside: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Among(group::Role),
    Along(line::Role),
    At(oneshot::Role),
    Beside(offer::Role),
    Inside(nest::Role),
    On(errand::Role),
    Of(queues::Role),
    In(pool::Role),
}

const fn at(name: &'static str, operation: &'static str, roles: &'static [Role]) -> Point {
    Point {
        name,
        operation,
        roles,
        after: &[],
        beside: None,
    }
}

impl Point {
    /// The roles, and where any worker may stand, all but one may stand too.
    fn roles(&self) -> impl Iterator<Item = Role> {
        let is_any = |role: &&Role| matches!(role, In(AnyWorker));
        let all_but_one = self.roles.iter().find(is_any).map(|_| In(AllButOneWorker));
        self.roles.iter().copied().chain(all_but_one)
    }

    const fn after(self, names: &'static [&'static str]) -> Self {
        Self {
            after: names,
            ..self
        }
    }

    const fn beside(self, name: &'static str) -> Self {
        Self {
            beside: Some(name),
            ..self
        }
    }

    /// Whether the helper is a taker; else it submits, or works.
    fn beside_takes(&self) -> bool {
        self.beside.is_some_and(|name| name == THIEF_CLAIMED)
    }
}

use Role::{Along, Among, At, Beside, In, Inside, Of, On};

const CLAIMED: &str = "injector push: claimed, not written";
const WRITTEN: &str = "injector push: written, not published";
const BATCH_WRITTEN: &str = "injector push_batch: written, not published";
const OWNER_LOOKED: &str = "deque pop: head read, not claimed";
const BIAS_BEGUN: &str = "deque bias: begun";
const ANNOUNCED: &str = "deque pop: announced, not claimed";
const BIAS_SEEN: &str = "deque steal: bias seen, not revoked";
const END_SEEN: &str = "deque steal: end of a bias seen, not said";
const THIEF_LOOKED: &str = "deque steal: looked, not claimed";
const THIEF_CLAIMED: &str = "deque steal: claimed";
const CONSUMER_LOOKED: &str = "injector pop: looked, not claimed";
const WAKER_CHOSE: &str = "idle wake: chosen, not woken";
const CLOSED: &str = "engine close: closed, submitters not told";
const WORKER_MEASURED: &str = "injector len: head read, tail not";
const CONSUMER_BEGAN: &str = "injector pop: head read, not looked";
const LEASED: &str = "outbox deliver: lease announced, not counted";
const NESTER_LOOKED: &str = "nest pop: seen, bottom not lowered";
const ROBBER_LOOKED: &str = "nest steal: looked, not claimed";
const SEGMENT_TAKEN: &str = "injector push: segment taken, not installed";

/// Every `probe!` of `src`, file by file.
const POINTS: &[Point] = &[
    // deque
    at(
        "deque push: written, not published",
        "push",
        &[Of(Owner), In(AnyWorker)],
    ),
    at(OWNER_LOOKED, "pop", &[Of(Owner), In(AnyWorker)]),
    at("deque pop: claimed", "pop", &[Of(Owner), In(AnyWorker)]),
    at("deque pop: lost to a thief", "pop", &[Of(Owner)]).after(&[OWNER_LOOKED]),
    at(
        "deque pop: read, item in hand",
        "pop",
        &[Of(Owner), In(AnyWorker)],
    ),
    at(BIAS_BEGUN, "pop", &[Of(Owner), In(BriskWorker)]),
    at(ANNOUNCED, "pop", &[Of(Owner), In(BriskWorker)]),
    at(
        "deque pop: bias revoked, not ended",
        "pop",
        &[Of(Owner), In(BriskWorker)],
    )
    .after(&[ANNOUNCED]),
    at(
        "deque: read, slots not yet free",
        "steal",
        &[Of(Thief), In(AnyWorker), In(Taker)],
    ),
    at(
        "deque: slots free",
        "steal",
        &[Of(Thief), In(AnyWorker), In(Taker)],
    ),
    at(
        "deque steal: head read, tail not",
        "steal",
        &[Of(Thief), In(AnyWorker), In(Taker)],
    ),
    at(
        THIEF_LOOKED,
        "steal",
        &[Of(Thief), In(AnyWorker), In(Taker)],
    ),
    at("deque steal: lost the race", "steal", &[Of(Thief)]).after(&[THIEF_LOOKED]),
    at(BIAS_SEEN, "steal", &[Of(Thief)]),
    at(BIAS_SEEN, "steal", &[In(BriskThief)]).beside(BIAS_BEGUN),
    at(
        "deque steal: lost the race for a bias",
        "steal",
        &[Of(Thief)],
    )
    .after(&[BIAS_SEEN]),
    at(
        "deque steal: bias revoked, not ended",
        "steal",
        &[Of(Thief)],
    ),
    at(
        "deque steal: bias revoked, not ended",
        "steal",
        &[In(BriskThief)],
    )
    .beside(BIAS_BEGUN),
    at(END_SEEN, "steal", &[Of(Thief)]),
    at(END_SEEN, "steal", &[In(BriskThief)]).beside(BIAS_BEGUN),
    at("deque steal: lost the end of a bias", "steal", &[Of(Thief)]).after(&[END_SEEN]),
    at("deque steal: bias ended", "steal", &[Of(Thief)]),
    at("deque steal: bias ended", "steal", &[In(BriskThief)]).beside(BIAS_BEGUN),
    at(
        THIEF_CLAIMED,
        "steal",
        &[Of(Thief), In(AnyWorker), In(Taker)],
    ),
    // injector
    at(
        "injector push: looked, not claimed",
        "submit",
        &[Of(Producer), Of(Batcher), In(Submitter)],
    ),
    at(
        SEGMENT_TAKEN,
        "submit",
        &[Of(Producer), Of(Batcher), In(Submitter)],
    ),
    at(
        "injector push: another installed",
        "submit",
        &[Of(Producer)],
    )
    .after(&[SEGMENT_TAKEN]),
    at(CLAIMED, "submit", &[Of(Producer), In(Submitter)]),
    // A worker that spills its result, since a taker stands in its ring.
    at(CLAIMED, "delivery", &[In(AnyWorker)]).beside(THIEF_CLAIMED),
    at(WRITTEN, "submit", &[Of(Producer), In(Submitter)]),
    at(
        "injector push: poisoned",
        "submit",
        &[Of(Producer), In(Submitter)],
    )
    .after(&[WRITTEN]),
    at(
        "injector push: poisoned and counted, not claimed again",
        "submit",
        &[Of(Producer), In(Submitter)],
    )
    .after(&[WRITTEN]),
    at(
        "injector push: published",
        "submit, push",
        &[Of(Producer), In(Submitter), In(AnyWorker), In(Taker)],
    ),
    at(
        "injector push_batch: claimed, not written",
        "submit_all",
        &[Of(Batcher), In(Submitter)],
    ),
    at(BATCH_WRITTEN, "submit_all", &[Of(Batcher), In(Submitter)]),
    at(
        "injector push_batch: group changed",
        "submit_all",
        &[Of(Batcher)],
    )
    .after(&[BATCH_WRITTEN]),
    at(
        "injector push_batch: group published",
        "submit_all",
        &[Of(Batcher), In(Submitter)],
    ),
    at(
        "injector contest: looked, not asked",
        "submit",
        &[In(Submitter)],
    )
    .beside(CLAIMED),
    at(
        "injector contest: asked, crew not told",
        "submit",
        &[In(Submitter)],
    )
    .beside(CLAIMED),
    at(WORKER_MEASURED, "a worker's claim", &[In(AnyWorker)]),
    at(
        CONSUMER_BEGAN,
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    ),
    at(
        CONSUMER_LOOKED,
        "a worker's claim",
        &[Of(Consumer), In(OneWorker), In(AnyWorker)],
    ),
    // Two old looks, and it announces more than its share of the queue.
    at(CONSUMER_LOOKED, "a worker's claim", &[In(OneWorker)])
        .after(&[WORKER_MEASURED, CONSUMER_BEGAN]),
    at(
        "injector pop: lost the race",
        "a worker's claim",
        &[Of(Consumer)],
    )
    .after(&[CONSUMER_LOOKED]),
    at(
        "injector pop: claimed, not read",
        "a worker's claim",
        &[Of(Consumer), In(OneWorker), In(AnyWorker)],
    ),
    at(
        "injector pop: read, not counted",
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    ),
    at(
        "injector pop: worth poisoning, segment not looked at",
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    )
    .beside(CLAIMED),
    at(
        "injector pop: claimed, not poisoned",
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    )
    .beside(CLAIMED),
    at(
        "injector pop: poisoned",
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    )
    .beside(CLAIMED),
    at(
        "injector: last visitor, not recycled",
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    ),
    at(
        "injector: segment clean, not given back",
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    ),
    // injector::reserve
    at(
        "injector reserve: claimed, not written",
        "submit in a lane",
        &[In(LaneOwner)],
    ),
    at(
        "injector reserve: written, not published",
        "submit in a lane",
        &[In(LaneOwner)],
    ),
    at(
        "injector leave: looked, not left",
        "dropping a submitter",
        &[In(LaneOwner)],
    ),
    at(
        "injector leave: left, not counted",
        "dropping a submitter",
        &[In(LaneOwner)],
    ),
    at(
        "injector reclaim: looked, not taken back",
        "submit",
        &[In(LaneOwner)],
    ),
    at(
        "injector walk: looked, head not read",
        "submit",
        &[In(LaneOwner)],
    ),
    // injector::segments
    at(
        "segments take: looked, not taken",
        "submit",
        &[Of(Producer), In(Submitter)],
    ),
    at(
        "segments take: recycled",
        "submit",
        &[Of(Producer), In(Submitter)],
    ),
    at(
        "segments take: number drawn, chunk not made",
        "submit",
        &[Of(Producer), In(Submitter)],
    ),
    at(
        "segments take: chunk made, not installed",
        "submit",
        &[Of(Producer), In(Submitter)],
    ),
    at(
        "segments give: linked, not given",
        "a worker's claim",
        &[Of(Consumer), In(AnyWorker)],
    ),
    // idle
    at(
        "idle notify: searcher seen, not called",
        "submit",
        &[In(Submitter)],
    ),
    at(
        "idle wake: sleeper seen, not chosen",
        "submit",
        &[In(Submitter)],
    ),
    at("idle wake: chosen, not woken", "submit", &[In(Submitter)]),
    at(
        "idle search: counted",
        "a worker's search",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "idle found: still counted",
        "a worker's search",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "idle found: hands on",
        "a worker's search",
        &[In(AnyWorker)],
    ),
    at(
        "idle found: chosen, not woken",
        "a worker's search",
        &[In(AnyWorker)],
    ),
    at(
        "idle sleep: linked, not announced",
        "a worker's sleep",
        &[In(AnyWorker)],
    ),
    at(
        "idle sleep: announced, not looked",
        "a worker's sleep",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "idle sleep: work at the last look",
        "a worker's sleep",
        &[In(AnyWorker)],
    ),
    at(
        "idle sleep: looked, not parked",
        "a worker's sleep",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "idle sleep: woken, still searching",
        "a worker's sleep",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "idle sleep: chosen, token owed",
        "a worker's sleep",
        &[In(AnyWorker)],
    )
    .beside(WAKER_CHOSE),
    at(
        "idle sleep: an old token",
        "a worker's sleep",
        &[In(AnyWorker)],
    )
    .beside(WAKER_CHOSE),
    at(
        "idle wake_all: sleepers seen, not chosen",
        "the end",
        &[In(LastWorker)],
    ),
    at(
        "idle wake_all: chosen, not woken",
        "the end",
        &[In(LastWorker)],
    ),
    // parker
    at(
        "parker: about to sleep",
        "a worker's sleep",
        &[In(AnyWorker)],
    ),
    at(
        "parker park: woken, token not taken",
        "a worker's sleep",
        &[In(AnyWorker)],
    ),
    at(
        "parker unpark: token left, owner not woken",
        "submit",
        &[In(Submitter)],
    ),
    // gate
    at(
        "gate notify: waiter seen, no permit left yet",
        "waking a taker or submitter",
        &[In(AnyWorker), In(Taker)],
    ),
    at(
        "gate notify: permit left, nobody woken yet",
        "waking a taker or submitter",
        &[In(AnyWorker), In(Taker)],
    ),
    at(
        "gate notify_all: permits left, nobody woken yet",
        "close",
        &[In(Closer), In(LastWorker)],
    ),
    at(
        "gate wait: entered, not looked",
        "waiting",
        &[In(Submitter), In(AnyWorker), In(Taker)],
    ),
    at(
        "gate wait: looked, not asleep",
        "waiting",
        &[In(Submitter), In(AnyWorker), In(Taker)],
    ),
    at(
        "gate wait: woken, permit not taken",
        "waiting",
        &[In(Submitter), In(AnyWorker), In(Taker)],
    ),
    at(
        "gate wait: permit taken",
        "waiting",
        &[In(Submitter), In(AnyWorker), In(Taker)],
    ),
    at(
        "gate wait: found, not left",
        "waiting",
        &[In(Submitter), In(AnyWorker), In(Taker)],
    ),
    at(
        "gate wait: found by the clock",
        "waiting",
        &[In(BlockedSubmitter)],
    )
    .beside(CLOSED),
    // gate::tasks
    at("gate poll: entered, not looked", "polling", &[Along(Task)]),
    at("gate poll: found, not left", "polling", &[Along(Task)])
        .after(&["gate poll: entered, not looked"]),
    at(HELD, "polling", &[Along(Task)]),
    at(
        "gate leave: called, not given on",
        "dropping a future",
        &[Along(DroppedTask)],
    ),
    at(
        "gate give: owed, not settled",
        "waking a task",
        &[Along(Notifier)],
    ),
    at(
        "gate settle: held by another",
        "waking a task",
        &[Along(Notifier)],
    )
    .beside(HELD),
    at(
        "gate settle: out of the line, not woken",
        "waking a task",
        &[Along(Notifier)],
    ),
    // engine
    at(
        "engine submit: room counted, limit not stored",
        "submit",
        &[In(Submitter)],
    ),
    at(
        "engine submit_batch: published, crew not told",
        "submit_all",
        &[In(Submitter)],
    ),
    at(
        "engine lane: published, crew not told",
        "submit in a lane",
        &[In(LaneOwner)],
    ),
    at(
        "engine lane: reserved, nobody told",
        "submit in a lane",
        &[In(LaneOwner)],
    ),
    at(CLOSED, "close", &[In(Closer)]),
    at(
        "engine close: submitters told, crew not",
        "close",
        &[In(Closer)],
    ),
    // engine::recall
    at(
        "recall add: word stored, not announced",
        "cancel",
        &[In(Submitter)],
    ),
    at(
        "recall settle: added, not certain to be seen",
        "cancel",
        &[In(Submitter)],
    ),
    // engine::worker
    at(
        "engine push: counted, not queued",
        "Context::push",
        &[In(AnyWorker)],
    ),
    at("engine push: overflow", "Context::push", &[In(AnyWorker)]),
    at(
        "engine push: queued, nobody told",
        "Context::push",
        &[In(AnyWorker)],
    ),
    at(
        "engine: job found, not counted as started",
        "a worker's search",
        &[In(AnyWorker)],
    ),
    at(
        "engine: job ended, not counted",
        "delivery",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "engine: drained, crew not told",
        "the end",
        &[In(LastWorker)],
    ),
    at(
        "engine: taken from a deque, room not yet counted",
        "a worker's search",
        &[In(AnyWorker)],
    ),
    at(
        "engine: room counted, submitters not told",
        "a worker's search",
        &[In(AnyWorker)],
    ),
    at(
        "engine claim: claimed, deferral not corrected",
        "a worker's claim",
        &[In(AnyWorker)],
    ),
    at(
        "engine claim: claimed, batch not published",
        "a worker's claim",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "engine claim: batch published, crew not told",
        "a worker's claim",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "engine claim: crew told, submitters not",
        "a worker's claim",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "engine steal: claimed, not published",
        "steal",
        &[In(AnyWorker)],
    ),
    at(
        "engine steal: published, crew not told",
        "steal",
        &[In(AnyWorker)],
    ),
    // engine::errand
    at(
        "errand send: in its slot, not shown",
        "broadcasting",
        &[On(Errander)],
    ),
    at(
        "errand send: shown, crew not told",
        "broadcasting",
        &[On(Errander)],
    ),
    at(
        "errand take: not shown any more, not taken",
        "a worker's search",
        &[On(Errander)],
    ),
    at(
        "errand: seen at the last look",
        "a worker's sleep",
        &[On(Errander)],
    )
    .after(&["idle sleep: announced, not looked"]),
    // worker_pool::outbox
    at(
        "outbox take: claimed, room not told",
        "taking",
        &[In(Taker)],
    ),
    at(
        "outbox take: ring empty, spill not looked at",
        "taking",
        &[In(Taker)],
    )
    .beside(THIEF_CLAIMED),
    at(
        "outbox end: ended, takers not told",
        "the end",
        &[In(LastWorker)],
    ),
    at(
        "outbox put_back: queued, takers not told",
        "dropping a taker",
        &[In(Taker)],
    ),
    at(
        "outbox taker_left: left, rest not discarded",
        "dropping a taker",
        &[In(LastTaker)],
    ),
    at("outbox deliver: not stored", "delivery", &[In(AnyWorker)]),
    at(
        "outbox deliver: stored, takers not told",
        "delivery",
        &[In(OneWorker), In(AnyWorker)],
    ),
    at(
        "outbox deliver: takers told, room not looked at",
        "delivery",
        &[In(AnyWorker)],
    ),
    at("outbox deliver: room counted", "delivery", &[In(AnyWorker)]),
    at(LEASED, "delivery", &[In(AnyWorker)]),
    at(
        "outbox wait: leases revoked, not counted",
        "delivery",
        &[In(AnyWorker)],
    ),
    at(
        "outbox wait: leases revoked, not counted",
        "delivery",
        &[In(OutOfRoom)],
    )
    .beside(LEASED),
    at("outbox deliver: spills", "delivery", &[In(AnyWorker)]).beside(THIEF_CLAIMED),
    at(
        "outbox deliver: spilling, not pushed",
        "delivery",
        &[In(AnyWorker)],
    )
    .beside(THIEF_CLAIMED),
    // worker_pool::results
    at("results: taken, not handed out", "taking", &[In(Taker)]),
    // oneshot
    at(
        "oneshot claim: claimed, job not out",
        "running a job",
        &[At(Claimant)],
    ),
    at(
        "oneshot complete: written, not published",
        "running a job",
        &[At(Claimant)],
    ),
    at(
        "oneshot complete: published, owner not told",
        "running a job",
        &[At(Claimant)],
    ),
    at(
        "oneshot wait: looked, not asleep",
        "joining",
        &[At(JobOwner)],
    ),
    at(
        "oneshot poll: waker stored, not announced",
        "polling",
        &[At(JobOwner)],
    ),
    // lazy
    at(
        "lazy: made, not shown",
        "spawning in a scope",
        &[Inside(Maker)],
    ),
    // nest
    at(
        "nest push: written, not published",
        "spawning in a job",
        &[Inside(Nester)],
    ),
    at(NESTER_LOOKED, "a worker's search", &[Inside(Nester)]),
    at(
        "nest pop: bottom lowered, item not ours yet",
        "a worker's search",
        &[Inside(Nester)],
    ),
    at(
        "nest pop: lost the last one to a thief",
        "a worker's search",
        &[Inside(Nester)],
    )
    .after(&[NESTER_LOOKED]),
    at(
        "nest steal: top read, bottom not",
        "steal",
        &[Inside(Robber)],
    ),
    at(ROBBER_LOOKED, "steal", &[Inside(Robber)]),
    at("nest steal: lost the race", "steal", &[Inside(Robber)]).after(&[ROBBER_LOOKED]),
    at("nest steal: claimed", "steal", &[Inside(Robber)]),
    at(
        "nest steal: read, slot not yet free",
        "steal",
        &[Inside(Robber)],
    ),
    // engine::nested, engine::worker
    at(
        "engine nest: pushed, nobody told",
        "spawning in a job",
        &[Inside(Worker)],
    ),
    at(
        "engine steal: out of a nest, crew not told",
        "steal",
        &[Inside(Worker)],
    ),
    // thread_pool::session
    at(
        "scope: jobs ended, not counted",
        "a job's end",
        &[Inside(Worker)],
    ),
    at(
        "scope: owner told, not back",
        "a job's end",
        &[Inside(Worker)],
    ),
    // thread_pool::offer
    at(
        "offer run: completed, owner not told",
        "running a part",
        &[Beside(Runner)],
    ),
    at(
        "offer feed: in the hand, owner not told",
        "running a part",
        &[Beside(Giver)],
    ),
    // thread_pool::limit
    at(
        "limit add: queued, not counted",
        "spawning at a limit",
        &[Among(Spawner)],
    ),
    // thread_pool::group
    at(
        "group: job ended, not recorded",
        "a job's end",
        &[Among(Member)],
    ),
    at(
        "group: job ended, permit not passed on",
        "a job's end",
        &[Among(Member)],
    ),
    at(
        "group: failed, what is queued not dropped",
        "a failure",
        &[Among(Member)],
    ),
];

const CAPACITIES: [usize; 4] = [1, 2, 5, 64];
/// Few enough places that two threads may have claimed them all.
const PAIR_CAPACITY: usize = 5;
const WORKERS: [usize; 3] = [2, 3, 4];
const PASSES: [usize; 3] = [0, 1, 5];

/// Scenes that are played at a time: most of a scene is waiting for a clock
/// ([`WATCH`](crate::sync::WATCH)).
const AT_A_TIME: usize = 6;

/// Further rounds for a point where nobody was suspended: some are reached only
/// when two threads meet.
const MORE_ROUNDS: usize = 20;

#[test]
fn every_point_is_in_the_table() {
    let mut in_source = BTreeSet::new();
    visit_files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut |text| {
            for line in text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                let names = line
                    .split("probe!(\"")
                    .skip(1)
                    .filter_map(|rest| rest.split('"').next());
                in_source.extend(names.map(str::to_owned));
            }
        },
    );
    let in_table: BTreeSet<_> = POINTS.iter().map(|point| point.name.to_owned()).collect();
    let missing: Vec<_> = in_source.difference(&in_table).collect();
    let stale: Vec<_> = in_table.difference(&in_source).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "not in the table: {missing:?}; not in src: {stale:?}"
    );
    assert!(
        POINTS
            .iter()
            .all(|point| !point.roles.is_empty() && !point.operation.is_empty())
    );
}

fn visit_files(folder: &Path, visit: &mut impl FnMut(&str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit_files(&path, visit);
        } else {
            visit(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn queues_go_on_beside_a_suspended_thread() {
    play_all(|point, role, workers, capacity, pass| match role {
        // Neither number matters here, so once will do.
        At(role) if workers == WORKERS[0] && capacity == CAPACITIES[0] => {
            Some(oneshot::play(point, role))
        }
        Beside(role) if workers == WORKERS[0] && capacity == CAPACITIES[0] => {
            Some(offer::play(point, role))
        }
        Along(role) if workers == WORKERS[0] && capacity == CAPACITIES[0] => {
            Some(line::play(point, role))
        }
        Among(role) if workers == WORKERS[0] && capacity == CAPACITIES[0] => {
            Some(group::play(point, role, pass))
        }
        Inside(role) if workers == WORKERS[0] && capacity == CAPACITIES[0] => {
            Some(nest::play(point, role, pass))
        }
        Of(role) if workers == WORKERS[0] => Some(queues::play(point, role, capacity, pass)),
        _ => None,
    });
}

#[test]
fn pools_go_on_beside_a_suspended_thread() {
    play_all(|point, role, workers, capacity, pass| match role {
        Along(_) | Among(_) | At(_) | Beside(_) | Inside(_) | Of(_) => None,
        On(Errander) if capacity == CAPACITIES[0] => Some(errand::play(point, workers, pass)),
        On(_) => None,
        In(role) => Some(pool::play(point, role, workers, capacity, pass)),
    });
}

/// The rows that need nothing to make what is rare come true, with each role that `part` knows.
fn simple_rows<R>(part: impl Fn(Role) -> Option<R>) -> Vec<(&'static Point, R)> {
    let simple = POINTS
        .iter()
        .filter(|point| point.after.is_empty() && point.beside.is_none());
    simple
        .flat_map(|point| {
            let roles = point.roles.iter().filter_map(|role| part(*role));
            roles.map(move |role| (point, role)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn queues_go_on_beside_two_suspended_threads() {
    let rows = simple_rows(|role| match role {
        Of(role) => Some(role),
        _ => None,
    });
    let (mut played, mut suspended) = (0, 0);
    let mut never: Vec<_> = rows.clone();
    // What was in no pair is tried again: some points are reached only when threads meet.
    for round in 0..MORE_ROUNDS {
        never.retain(|(first, role)| {
            let mut reached = false;
            for (second, helper) in &rows {
                CONTEXT.set(format!(
                    "{role:?} at {:?}, and {helper:?} at {:?}",
                    first.name, second.name
                ));
                let second = (second.name, *helper);
                let pass = PASSES[round % PASSES.len()];
                let both = queues::play_pair(first, *role, second, PAIR_CAPACITY, pass);
                played += usize::from(both.is_some());
                suspended += usize::from(both == Some(true));
                reached |= both == Some(true);
            }
            !reached
        });
    }
    eprintln!("{played} pairs, {suspended} of them suspended");
    let never: Vec<_> = never
        .iter()
        .map(|(point, role)| (point.name, role))
        .collect();
    assert!(never.is_empty(), "never in a pair: {never:#?}");
}

/// Pairs of points that are played in whole pools.
const PAIRS: u64 = 500;

#[test]
fn pools_go_on_beside_two_suspended_threads() {
    let rows = simple_rows(|role| match role {
        In(role @ (AnyWorker | LaneOwner | Submitter | Taker)) => Some(role),
        _ => None,
    });
    let seed = std::env::var("WORKCREW_STALL_SEED").map_or_else(
        |_| RandomState::new().hash_one(0) % 1_000_000,
        |seed| seed.parse().expect("a number"),
    );
    eprintln!("again with WORKCREW_STALL_SEED={seed}");
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let suspended = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let pair = next.fetch_add(1, SeqCst) as u64;
                    if pair >= PAIRS {
                        return;
                    }
                    let roll = |what: u64, sides: usize| {
                        let mut hasher = DefaultHasher::new();
                        (seed, pair, what).hash(&mut hasher);
                        hasher.finish() as usize % sides
                    };
                    let [first, second] = [0, 1].map(|what| rows[roll(what, rows.len())]);
                    let capacity = CAPACITIES[roll(2, CAPACITIES.len())];
                    CONTEXT.set(format!(
                        "seed {seed}: {:?} at {:?}, and {:?} at {:?}, capacity {capacity}",
                        first.1, first.0.name, second.1, second.0.name
                    ));
                    let both = pairs::play([first, second].map(|(p, r)| (p.name, r)), capacity);
                    suspended.fetch_add(usize::from(both), SeqCst);
                }
            });
        }
    });
    let suspended = suspended.into_inner();
    eprintln!(
        "{PAIRS} pairs, {suspended} of them suspended, {:.1?}",
        started.elapsed()
    );
    assert!(suspended > 0, "in no pair");
}

/// Plays each row in each setting. `play` says whether a thread was suspended; `None`
/// if the role is for another test.
fn play_all(play: impl Fn(&Point, Role, usize, usize, usize) -> Option<bool> + Sync) {
    let only = std::env::var("WORKCREW_STALL_POINT").unwrap_or_default();
    let mut scenes = Vec::new();
    for (row, point) in POINTS
        .iter()
        .enumerate()
        .filter(|(_, point)| point.name.contains(&only))
    {
        for nth in 0..point.roles().count() {
            for capacity in CAPACITIES {
                for workers in WORKERS {
                    scenes.extend(PASSES.map(|pass| (row, nth, workers, capacity, pass)));
                }
            }
        }
    }
    let started = Instant::now();
    let reached: BTreeMap<_, _> = scenes
        .iter()
        .map(|scene| ((scene.0, scene.1), AtomicUsize::new(0)))
        .collect();
    let played = AtomicUsize::new(0);
    let play_scenes = |scenes: &[(usize, usize, usize, usize, usize)]| {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some(&(row, nth, workers, capacity, pass)) = scenes.get(next.fetch_add(1, SeqCst)) {
                        let point = &POINTS[row];
                        let role = point.roles().nth(nth).expect("counted");
                        CONTEXT.set(format!(
                            "{role:?} at {:?} ({}), {workers} workers, capacity {capacity}, {pass} pass by",
                            point.name, point.operation,
                        ));
                        if let Some(suspended) = play(point, role, workers, capacity, pass) {
                            played.fetch_add(1, SeqCst);
                            reached[&(row, nth)].fetch_add(usize::from(suspended), SeqCst);
                        }
                    }
                });
            }
        });
    };
    play_scenes(&scenes);
    // What was not reached by any role of any row is tried again.
    let times = |name: &str| -> usize {
        let rows = reached
            .iter()
            .filter(|((row, _), _)| POINTS[*row].name == name);
        rows.map(|(_, times)| times.load(SeqCst)).sum()
    };
    let mut never = BTreeSet::new();
    for (row, point) in POINTS.iter().enumerate() {
        let again: Vec<_> = scenes
            .iter()
            .copied()
            .filter(|scene| scene.0 == row)
            .collect();
        let before = played.load(SeqCst);
        let mut rounds = 0;
        while times(point.name) == 0 && rounds < MORE_ROUNDS {
            rounds += 1;
            play_scenes(&again);
            if played.load(SeqCst) == before {
                break;
            }
        }
        if played.load(SeqCst) > before {
            eprintln!("{rounds} more rounds for {:?}", point.name);
            if times(point.name) == 0 {
                never.insert(point.name);
            }
        }
    }
    let suspended: usize = reached.values().map(|times| times.load(SeqCst)).sum();
    eprintln!(
        "{} scenes, {suspended} with somebody suspended, {:.1?}",
        played.load(SeqCst),
        started.elapsed()
    );
    assert!(never.is_empty(), "never reached: {never:#?}");
}

thread_local! {
    /// The scene that this thread plays, for the dump.
    static CONTEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// How long the watchdog lets a wait last. Nothing else depends on time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, giving the core away.
fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_or_dump(what, String::new, condition);
}

/// As [`wait_until`], with something to print when the watchdog barks.
fn wait_or_dump(what: &str, dump: impl Fn() -> String, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        yield_now();
        if started.elapsed() > PATIENCE {
            give_up(&format!("waited in vain until {what}\n{}", dump()));
        }
    }
}

/// As `assert!`, where a panic would wait for the suspended thread.
fn demand(condition: bool, what: &str) {
    if !condition {
        give_up(&format!("not true that {what}"));
    }
}

fn give_up(why: &str) -> ! {
    CONTEXT.with_borrow(|scene| eprintln!("STALL TEST FAILED: {why}\n  {scene}"));
    std::process::abort();
}

/// Lets the suspended go on when a scene ends, however it ends.
struct Release<'a>(Vec<&'a Arc<Stall>>);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|stall| stall.release());
    }
}
