//! Two closures at once, at the price of two calls.
//!
//! **Promise.** [`ThreadPoolHandle::fork_join`] returns, or unwinds, after both closures have
//! ended or the second one was dropped unstarted. While it waits it runs parts of the second
//! closure, and nothing else. Unless somebody has nothing to do, nothing is written that
//! another thread reads, and nothing is allocated.
//!
//! **How.** The first closure is called at once. The second one, its *part*, stays in the frame of
//! the caller, linked into the thread's [`Strand`]: the parts that are still to be run, from old
//! to young. The oldest is the biggest. If somebody is hungry it becomes an
//! [`Offer`]: it gets a place on the heap, where others can claim it. When the first closure
//! has returned, the part is called, if it was not offered or can be taken back; else the caller
//! waits for the taker.
//!
//! Even linking would be dear for closures that only add two numbers. So once a strand has had
//! [`ENOUGH`] parts to offer, only each [`EVERY`]th pair adds one, until none is left; all
//! others are two calls.
//!
//! **Who is hungry.** First the owner of the offer that this thread runs, the *root* of its strand,
//! if it is a worker and waits: else a worker would be idle in the midst of its own work. Otherwise the pool's
//! workers that search or sleep. To wake a sleeper costs thousands of nanoseconds. So a thread
//! wakes at most one in some time ([`Pulse`]), and a part of a microsecond is taken back before the
//! sleeper is up.
//!
//! **Invariants.**
//!
//! 1. A part is linked from `push` to `pop`, in a frame that is not left in between. Only the
//!    strand's thread follows links.
//! 2. The `unoffered` youngest parts are not offered, all older ones are.
//! 3. A part's closure and result are its owner's, who does not leave the frame; but the
//!    taker's from its claim to the end that it tells. So a task that points to the part is
//!    run while it is there, or never.
//! 4. What `AT_WORK` points to is kept alive by a frame of this thread, or null.

use super::offer::{End, Offer};
use super::task::{Task, Work};
use super::{ThreadPool, ThreadPoolHandle};
use crate::carried::Carried;
use crate::engine::{Ended, Engine, Hunger, current_worker};
use crate::pace::Pulse;
use crate::sync::{self, Arc};
use crate::unwind::{self, AbortOnDrop, Quiet};
use std::cell::Cell;
use std::ptr;

/// Parts that lie ready for the hungry: the oldest ones are most of the work.
const ENOUGH: usize = 3;

/// Once there were enough, and until there are none, one pair in so many links its part.
/// Chosen by W6.
const EVERY: u32 = 64;

sync::own! {
    static AT_WORK: Cell<AtWork> = Cell::new(AtWork {
        strand: ptr::null(),
        root: ptr::null(),
    });
}

sync::own! {
    static PULSE: Pulse = Pulse::new();
}

/// What a thread works on.
#[derive(Clone, Copy)]
struct AtWork {
    /// Its pairs. (The lifetime is not true.)
    strand: *const Strand<'static>,
    /// The offer that it runs.
    root: *const Offer,
}

/// Other work, until this is dropped.
struct Meanwhile(AtWork);

impl Meanwhile {
    fn new(other: AtWork) -> Self {
        Self(AT_WORK.with(|at_work| at_work.replace(other)))
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        AT_WORK.with(|at_work| at_work.set(self.0));
    }
}

/// One thread's pairs within each other.
struct Strand<'a> {
    engine: &'a Engine<Task>,
    /// The engine's.
    key: usize,
    worker: Option<usize>,
    root: Option<&'a Offer>,
    /// So many pairs link no part, less one.
    calls: Cell<u32>,
    youngest: Cell<*const Link>,
    /// The oldest one that is not offered; of no meaning if all are.
    oldest: Cell<*const Link>,
    unoffered: Cell<usize>,
}

/// What a strand knows of a part.
struct Link {
    older: Cell<*const Link>,
    younger: Cell<*const Link>,
    /// Makes a task of the part.
    ///
    /// # Safety
    ///
    /// * The pointer may be used for the whole [`Part`] whose link it is, of the type for which
    ///   this function was made.
    /// * The task is run, dropped or forgotten as invariant 3 says.
    pack: unsafe fn(*const Link) -> Task,
    offer: Cell<Option<Arc<Offer>>>,
}

/// The second closure of a pair, and then its result.
#[repr(C)]
struct Part<B, R> {
    link: Link,
    closure: Cell<Option<Carried<B>>>,
    result: Cell<Option<R>>,
}

/// A part that others may run.
struct Shared<B, R>(*const Part<B, R>);

// SAFETY: who runs it takes the closure out of its part and puts the result in, both by value
// and `Send`; until then, and afterwards, it touches nothing. Nobody else does meanwhile
// (invariant 3).
unsafe impl<B: Send, R: Send> Send for Shared<B, R> {}

impl<B: FnOnce() -> R + Send, R: Send> Work for Shared<B, R> {
    fn work(self) -> Ended {
        // SAFETY: the part is there while its taker runs it (invariant 3).
        unsafe { &*self.0 }.call();
        Ended::Completed
    }
}

impl<B: FnOnce() -> R, R> Part<B, R> {
    fn call(&self) {
        let closure = self.closure.take().expect("it is called once");
        self.result.set(Some(closure.enter(|closure| closure())));
    }
}

impl<B: FnOnce() -> R + Send, R: Send> Part<B, R> {
    fn new(closure: B) -> Self {
        Self {
            link: Link {
                older: Cell::new(ptr::null()),
                younger: Cell::new(ptr::null()),
                pack: Self::pack,
                offer: Cell::new(None),
            },
            closure: Cell::new(Some(Carried::new(closure))),
            result: Cell::new(None),
        }
    }

    /// # Safety
    ///
    /// As [`Link::pack`] says.
    unsafe fn pack(link: *const Link) -> Task {
        // The link is the part's first field.
        let shared = Shared(link.cast::<Self>());
        // SAFETY: the caller's promise.
        unsafe { Task::borrowing(shared) }
    }
}

/// A worker's right to run what was offered, if it comes in time.
struct Ticket(Arc<Offer>);

impl Work for Ticket {
    fn work(self) -> Ended {
        run(&self.0).unwrap_or(Ended::Completed)
    }
}

/// Runs what was offered, if nobody has claimed it.
fn run(offer: &Offer) -> Option<Ended> {
    // The caller's own strand has nothing to offer: whoever waits for a taker has offered all
    // that is older. And what is offered from here on is for this offer's owner.
    let _other = Meanwhile::new(AtWork {
        strand: ptr::null(),
        root: offer,
    });
    offer.run()
}

impl<'a> Strand<'a> {
    /// The calling thread's.
    fn new(pool: &'a ThreadPoolHandle) -> Self {
        let key = pool.engine.key();
        // SAFETY: whoever runs the offer keeps it (invariant 4), longer than the strand, which
        // is within its run.
        let root = unsafe { AT_WORK.with(Cell::get).root.as_ref() };
        Self {
            engine: &pool.engine,
            key,
            worker: current_worker(key),
            // An offer of another pool is none of ours.
            root: root.filter(|root| root.pool == key),
            calls: Cell::new(1),
            youngest: Cell::new(ptr::null()),
            oldest: Cell::new(ptr::null()),
            unoffered: Cell::new(0),
        }
    }

    #[inline]
    fn pair<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        let calls = self.calls.get() - 1;
        if calls == 0 {
            return self.linked_pair((a, b));
        }
        self.calls.set(calls);
        let b = Quiet::new(b);
        let first = Quiet::new(a());
        let second = b.into_inner()();
        (first.into_inner(), second)
    }

    /// A pair whose second half others may take. (As one argument, which is put together only on
    /// the way here: else a pair that is two calls would write its closures to memory too.)
    #[inline(never)]
    fn linked_pair<A, B, RA, RB>(&self, (a, b): (A, B)) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        let part = Part::new(b);
        // Of the whole part, for `pack`.
        let link = ptr::from_ref(&part).cast::<Link>();
        self.push(link, &part.link);
        let first = unwind::catch(|| {
            self.feed();
            a()
        });
        let taken = self
            .pop(&part.link)
            .filter(|offer| {
                let taken = !offer.take_back();
                PULSE.with(|pulse| pulse.judge(taken));
                taken
            })
            .map(|offer| self.wait(&offer));
        match first {
            Ok(first) => match taken.unwrap_or_else(|| unwind::catch(|| part.call())) {
                Ok(()) => {
                    let second = part.result.take();
                    (first, second.expect("it has been called"))
                }
                Err(payload) => {
                    unwind::drop_quietly(first);
                    std::panic::resume_unwind(payload)
                }
            },
            Err(payload) => {
                unwind::drop_quietly(part.closure.take());
                unwind::drop_quietly(part.result.take());
                unwind::drop_quietly(taken);
                std::panic::resume_unwind(payload)
            }
        }
    }

    /// Links a part, as the youngest.
    fn push(&self, pointer: *const Link, link: &Link) {
        let older = self.youngest.replace(pointer);
        link.older.set(older);
        if self.unoffered.get() == 0 {
            self.oldest.set(pointer);
        } else {
            // SAFETY: the parts that are not offered are linked (invariants 1 and 2).
            unsafe { &*older }.younger.set(pointer);
        }
        self.unoffered.set(self.unoffered.get() + 1);
        self.calls.set(if self.unoffered.get() < ENOUGH {
            1
        } else {
            EVERY
        });
    }

    /// Unlinks the youngest part.
    fn pop(&self, link: &Link) -> Option<Arc<Offer>> {
        self.youngest.set(link.older.get());
        let offer = link.offer.take();
        if offer.is_none() {
            self.unoffered.set(self.unoffered.get() - 1);
        }
        // With fewer than enough a quarter of a small tree's pairs would be linked.
        if self.unoffered.get() == 0 {
            self.calls.set(1);
        }
        offer
    }

    /// Offers the oldest part, if somebody has nothing to do.
    fn feed(&self) {
        let root = self.root.filter(|root| root.is_hungry());
        let asleep = match root {
            Some(root) => root.is_asleep(),
            None => match self.engine.hunger() {
                Hunger::None => return,
                Hunger::Awake => false,
                Hunger::Asleep => true,
            },
        };
        if !PULSE.with(|pulse| pulse.may_feed(asleep)) {
            return;
        }
        match root {
            Some(root) => root.feed(|| self.offer()),
            None => self.submit(self.offer()),
        }
    }

    /// Makes the oldest part an offer. There is one that is not.
    fn offer(&self) -> Arc<Offer> {
        let oldest = self.oldest.get();
        // SAFETY: it is linked (invariants 1 and 2).
        let link = unsafe { &*oldest };
        self.oldest.set(link.younger.get());
        self.unoffered.set(self.unoffered.get() - 1);
        // SAFETY: the pointer is that of `linked_pair`, which waits for the taker.
        let task = unsafe { (link.pack)(oldest) };
        let offer = Offer::new(task, self.key);
        link.offer.set(Some(Arc::clone(&offer)));
        offer
    }

    /// Offers to the pool's workers. If the pool takes no more, the part is taken back.
    fn submit(&self, offer: Arc<Offer>) {
        let ticket = Task::new(Ticket(offer));
        match self.worker {
            Some(worker) => drop(self.engine.push_inside(worker, ticket)),
            None => drop(self.engine.try_submit(ticket)),
        }
    }

    /// Waits for the taker.
    #[cold]
    fn wait(&self, offer: &Offer) -> End {
        // The frame must not be left before.
        let guard = AbortOnDrop;
        let abort_in_a_child = || {
            if self.engine.is_forked() && !offer.has_ended() {
                std::process::abort();
            }
        };
        abort_in_a_child();
        // A thread from outside takes nothing from the worker that runs its part: what it took might
        // wait for jobs of the pool, whose only worker would wait for it.
        let end = offer.wait(self.worker.is_some(), |part| {
            run(part);
            // It may have forked.
            abort_in_a_child();
        });
        std::mem::forget(guard);
        end
    }
}

impl ThreadPoolHandle {
    /// Calls two closures, the second one perhaps in another thread at the same time, and
    /// returns both results. They may borrow from the stack.
    ///
    /// The *join* of fork-join libraries. The first closure runs in the calling thread, at
    /// once. The second one runs there after it, unless a worker that has nothing to do takes
    /// it before; if nobody has nothing to do, a call costs next to nothing, and so it can be
    /// used for closures of a few nanoseconds, down to the leaves of a tree.
    ///
    /// Everything before the call happens-before both closures, and everything in them
    /// happens-before its return.
    ///
    /// # Examples
    ///
    /// ```
    /// use workcrew::{ThreadPool, ThreadPoolHandle};
    ///
    /// fn sum(pool: &ThreadPoolHandle, numbers: &[u64]) -> u64 {
    ///     if let [number] = numbers {
    ///         return *number;
    ///     }
    ///     let (left, right) = numbers.split_at(numbers.len() / 2);
    ///     let (left, right) = pool.fork_join(|| sum(pool, left), || sum(pool, right));
    ///     left + right
    /// }
    ///
    /// let pool = ThreadPool::new(2)?;
    /// let numbers: Vec<u64> = (1..=1000).collect();
    /// assert_eq!(sum(&pool.handle(), &numbers), 500_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the first closure panics, with its panic: the second one is dropped, or if a worker
    /// runs it already, waited for. Else if the second one panics, with its panic. A panic in
    /// the drop of the other closure, or of its result, is swallowed.
    ///
    /// # Blocking
    ///
    /// While a worker runs the second closure. Meanwhile the calling thread, if it is one of the
    /// pool's, runs parts of that closure that are split off by this same method, and nothing
    /// else: so it meets no stranger. Any other thread sleeps. The pool's queue is never waited
    /// for; if it is full or closed both closures run in the calling thread. What is handed to a
    /// worker counts as a job in [`stats`](Self::stats).
    ///
    /// # Fork
    ///
    /// A forked child that would have to wait for a worker of its parent is ended
    /// ([`abort`](std::process::abort)).
    #[inline]
    pub fn fork_join<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        // SAFETY: invariant 4; the reference is not kept.
        match unsafe { AT_WORK.with(Cell::get).strand.as_ref() } {
            Some(strand) if strand.key == Arc::as_ptr(&self.identity).addr() => strand.pair(a, b),
            _ => self.first_pair((a, b)),
        }
    }

    /// A pair that is in no other.
    #[inline(never)]
    fn first_pair<A, B, RA, RB>(&self, (a, b): (A, B)) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        PULSE.with(Pulse::begin);
        let strand = Strand::new(self);
        let _other = Meanwhile::new(AtWork {
            strand: ptr::from_ref(&strand).cast(),
            ..AT_WORK.with(Cell::get)
        });
        strand.pair(a, b)
    }
}

impl ThreadPool {
    /// As [`ThreadPoolHandle::fork_join`]: calls two closures, the second one perhaps in a
    /// worker at the same time, and returns both results.
    ///
    /// # Panics
    ///
    /// If one of the closures panics; see there.
    #[inline]
    pub fn fork_join<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA,
        B: FnOnce() -> RB + Send,
        RB: Send,
    {
        self.handle.fork_join(a, b)
    }
}
