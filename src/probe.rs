//! Named points inside the protocols, for those who test them.
//!
//! `probe!("injector push: claimed")` costs nothing in a normal build. In the
//! crate's own tests a thread can be suspended there for ever (the stall tests), or
//! give its core away now and then (the histories); under loom the visits are counted,
//! so that a model can prove that it reached the rare event it is about.

#![forbid(unsafe_code)]

/// Marks a point. The name is unique in the crate (`tests/tidy.rs` checks it).
macro_rules! probe {
    ($name:literal) => {
        #[cfg(test)]
        $crate::probe::visit($name);
    };
}
pub(crate) use probe;

#[cfg(all(test, workcrew_loom, not(workcrew_shuttle)))]
mod counting {
    use loom::thread::{self, ThreadId};
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};

    // std's mutex, not loom's: it is never held while loom may switch threads.
    static HITS: LazyLock<Mutex<HashMap<&'static str, u64>>> = LazyLock::new(Mutex::default);

    /// Which thread came where in the execution under way.
    static TRACE: Mutex<Vec<(ThreadId, &'static str)>> = Mutex::new(Vec::new());

    pub(crate) fn visit(name: &'static str) {
        *HITS.lock().unwrap().entry(name).or_default() += 1;
        TRACE.lock().unwrap().push((thread::current().id(), name));
    }

    /// Forgets all visits.
    pub(crate) fn reset() {
        HITS.lock().unwrap().clear();
    }

    /// Takes the visits since the last call, in order, a line each.
    pub(crate) fn take_trace() -> String {
        let trace = std::mem::take(&mut *TRACE.lock().unwrap());
        trace
            .iter()
            .map(|(thread, name)| format!("  {thread:?} {name}\n"))
            .collect()
    }

    /// A new execution begins.
    pub(crate) fn forget_trace() {
        TRACE.lock().unwrap().clear();
    }

    /// How often the point was visited since [`reset`].
    pub(crate) fn hits(name: &str) -> u64 {
        HITS.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}
#[cfg(all(test, workcrew_loom, not(workcrew_shuttle)))]
pub(crate) use counting::{forget_trace, hits, reset, take_trace, visit};

#[cfg(all(test, not(workcrew_loom)))]
mod stalling {
    use std::cell::{Cell, RefCell};
    use std::sync::{Arc, Condvar, Mutex};
    use std::thread;

    /// Suspends one thread at one point until it is told to let go.
    #[derive(Debug)]
    pub(crate) struct Stall {
        point: &'static str,
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Debug, Default)]
    struct State {
        /// Visits to let pass before one is held.
        pass: usize,
        held: bool,
        released: bool,
    }

    thread_local! {
        static WATCHED: RefCell<Vec<Arc<Stall>>> = const { RefCell::new(Vec::new()) };
        /// At one in so many points the thread yields, and how many have passed.
        static YIELDS: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
    }

    /// From now on the calling thread gives its core away at one in so many points (0: at
    /// none), so that others come between its steps.
    pub(crate) fn yield_at_every(points: u32) {
        YIELDS.set((points, 0));
    }

    impl Stall {
        /// The visit after `pass` others, of a thread that called [`Stall::watch`], is held.
        pub(crate) fn at(point: &'static str, pass: usize) -> Arc<Self> {
            Arc::new(Self {
                point,
                state: Mutex::new(State {
                    pass,
                    ..State::default()
                }),
                changed: Condvar::new(),
            })
        }

        /// Makes the calling thread one that may be held, here too if it may be held
        /// elsewhere already.
        pub(crate) fn watch(self: &Arc<Self>) {
            WATCHED.with_borrow_mut(|watched| watched.push(Arc::clone(self)));
        }

        /// Whether a thread is held.
        pub(crate) fn holds_one(&self) -> bool {
            self.state.lock().unwrap().held
        }

        /// Lets the held thread go on, and holds no other.
        pub(crate) fn release(&self) {
            self.state.lock().unwrap().released = true;
            self.changed.notify_all();
        }

        fn visit(&self) {
            let mut state = self.state.lock().unwrap();
            if state.held || state.released {
                return;
            }
            if state.pass > 0 {
                state.pass -= 1;
                return;
            }
            state.held = true;
            while !state.released {
                state = self.changed.wait(state).unwrap();
            }
        }
    }

    pub(crate) fn visit(name: &'static str) {
        let (every, passed) = YIELDS.get();
        if every > 0 {
            YIELDS.set((every, passed + 1));
            if passed % every == 0 {
                thread::yield_now();
            }
        }
        // A thread that is going away has no stall any more.
        let stall = WATCHED
            .try_with(|watched| {
                watched
                    .borrow()
                    .iter()
                    .find(|stall| stall.point == name)
                    .cloned()
            })
            .ok()
            .flatten();
        if let Some(stall) = stall {
            stall.visit();
        }
    }
}
#[cfg(all(test, not(workcrew_loom)))]
pub(crate) use stalling::{Stall, visit, yield_at_every};

/// shuttle's schedules are not asked where they came.
#[cfg(all(test, workcrew_shuttle))]
pub(crate) fn visit(_name: &'static str) {}
