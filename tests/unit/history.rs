//! Histories of concurrent calls of a queue, and whether some sequential queue could have
//! answered so.
//!
//! A thread notes each call with a moment before and a moment after it, by a clock that all
//! share. A history is *linearizable* (M. Herlihy and J. Wing, 1990) if each call can be
//! given one moment between its two, so that a queue that is called at these moments, by one
//! thread, gives the same answers. The search is todc-utils' (J. Wing and C. Gong, 1993, with
//! G. Lowe's memory of what was tried).
//!
//! The clock orders calls that do not overlap, as loom and the threads' own doings may not:
//! so a missing ordering between such calls is not found here.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

/// A call that has returned, with its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Call<T = u32> {
    /// These went in, one behind the other in one step.
    Push(Vec<T>),
    /// The queue was closed, and took nothing.
    Refused,
    Close,
    /// These came out in one step, the oldest first. None: the queue was empty.
    Take(Vec<T>),
}

/// An item, which is there once, the moments of the call that took it, and its place among
/// what that call took.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Item {
    number: u32,
    out: (u64, u64),
    nth: usize,
}

impl Item {
    /// Whether this one may leave a queue before the other. (A queue that takes them in the
    /// wrong order is found out when they leave, but only after the search has tried all orders
    /// of what was pushed meanwhile.)
    fn may_leave_before(&self, other: &Self) -> bool {
        if self.out == other.out {
            self.nth <= other.nth
        } else {
            self.out.0 < other.out.1
        }
    }
}

/// First in, first out.
#[derive(Debug)]
pub(crate) struct Fifo;

/// What is in can come out, in any order. Reserved places are older than what is pushed
/// there, so items may overtake each other.
#[derive(Debug)]
pub(crate) struct Bag;

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Contents {
    items: VecDeque<Item>,
    closed: bool,
}

impl Contents {
    /// Whether the queue could have answered so, and what is in it then.
    fn after(
        &self,
        call: &Call<Item>,
        may_follow: impl Fn(&Item, &Item) -> bool,
        take: impl Fn(&mut VecDeque<Item>, &Item) -> bool,
    ) -> (bool, Self) {
        let Self { mut items, closed } = self.clone();
        let valid = match call {
            Call::Push(new) => new.iter().all(|item| {
                let valid = !closed && items.iter().all(|before| may_follow(before, item));
                items.push_back(*item);
                valid
            }),
            Call::Refused => closed,
            Call::Close => true,
            Call::Take(none) if none.is_empty() => items.is_empty(),
            Call::Take(some) => some.iter().all(|item| take(&mut items, item)),
        };
        let closed = closed || *call == Call::Close;
        (valid, Self { items, closed })
    }
}

impl Specification for Fifo {
    type State = Contents;
    type Operation = Call<Item>;

    fn init() -> Contents {
        Contents::default()
    }

    fn apply(call: &Call<Item>, before: &Contents) -> (bool, Contents) {
        before.after(call, Item::may_leave_before, |items, item| {
            items.pop_front().as_ref() == Some(item)
        })
    }
}

impl Specification for Bag {
    type State = Contents;
    type Operation = Call<Item>;

    fn init() -> Contents {
        Contents::default()
    }

    fn apply(call: &Call<Item>, before: &Contents) -> (bool, Contents) {
        let (valid, mut after) = before.after(
            call,
            |_, _| true,
            |items, item| {
                let place = items.iter().position(|other| other == item);
                place.and_then(|place| items.remove(place)).is_some()
            },
        );
        // In one order, so that equal contents are equal.
        after.items.make_contiguous().sort_unstable();
        (valid, after)
    }
}

/// Where threads note their calls.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    clock: AtomicU64,
    /// Begin, end, call.
    calls: Mutex<Vec<(u64, u64, Call)>>,
}

impl Recorder {
    /// Runs `act` and notes what calls it tells of, all with the same two moments.
    pub(crate) fn note(&self, act: impl FnOnce() -> Vec<Call>) {
        let begin = self.tick();
        let calls = act();
        let end = self.tick();
        let calls = calls.into_iter().map(|call| (begin, end, call));
        self.calls.lock().unwrap().extend(calls);
    }

    fn tick(&self) -> u64 {
        // Acquire and Release: what has ended before a call begins is seen by it.
        self.clock.fetch_add(1, Ordering::AcqRel)
    }

    /// Panics with the history if no sequential queue of this kind answers so.
    #[track_caller]
    pub(crate) fn assert_linearizable<S: Specification<Operation = Call<Item>>>(&self) {
        if let Err(history) = self.linearizable::<S>() {
            panic!("not linearizable:\n{history}");
        }
    }

    /// # Errors
    ///
    /// The history, a line for each call.
    pub(crate) fn linearizable<S: Specification<Operation = Call<Item>>>(
        &self,
    ) -> Result<(), String> {
        let calls = self.calls.lock().unwrap();
        let mut taken = HashMap::new();
        for (begin, end, call) in &*calls {
            if let Call::Take(items) = call {
                let out = (*begin, *end);
                taken.extend((0..).zip(items).map(|(nth, item)| (*item, (out, nth))));
            }
        }
        // What was never taken left last of all.
        let never = ((u64::MAX, u64::MAX), 0);
        let item = |number: &u32| {
            let (out, nth) = *taken.get(number).unwrap_or(&never);
            Item {
                number: *number,
                out,
                nth,
            }
        };
        let mut actions = Vec::new();
        for (process, (begin, end, call)) in calls.iter().enumerate() {
            let call = match call {
                Call::Push(items) => Call::Push(items.iter().map(item).collect()),
                Call::Take(items) => Call::Take(items.iter().map(item).collect()),
                Call::Refused => Call::Refused,
                Call::Close => Call::Close,
            };
            actions.push((*begin, process, Action::Call(call.clone())));
            actions.push((*end, process, Action::Response(call)));
        }
        if actions.is_empty() {
            return Ok(());
        }
        actions.sort_by_key(|(moment, ..)| *moment);
        let actions = actions
            .into_iter()
            .map(|(_, process, action)| (process, action));
        if WGLChecker::<S>::is_linearizable(History::from_actions(actions.collect())) {
            return Ok(());
        }
        let mut lines: Vec<_> = calls
            .iter()
            .map(|(begin, end, call)| format!("{begin:4} to {end:4}: {call:?}\n"))
            .collect();
        lines.sort();
        Err(lines.concat())
    }
}
