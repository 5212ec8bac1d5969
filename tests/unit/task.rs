//! What goes into a task comes out once, whatever its size. For Miri above all.

use super::{Detached, LUGGAGE, SPACE, Task, Work, fits};
use crate::engine::Ended;
use crate::unwind::catch;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A piece of work with a burden, which counts what becomes of it.
struct Counted<B> {
    burden: B,
    check: fn(&B) -> bool,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    runs: AtomicUsize,
    drops: AtomicUsize,
}

impl Counts {
    fn are(&self, runs: usize, drops: usize) -> bool {
        (self.runs.load(Relaxed), self.drops.load(Relaxed)) == (runs, drops)
    }
}

impl<B: Send> Work for Counted<B> {
    fn work(self) -> Ended {
        assert!((self.check)(&self.burden), "it arrived as it was");
        self.counts.runs.fetch_add(1, Relaxed);
        Ended::Completed
    }
}

impl<B> Drop for Counted<B> {
    fn drop(&mut self) {
        self.counts.drops.fetch_add(1, Relaxed);
    }
}

fn each_way<B: Clone + Send + 'static>(burden: B, check: fn(&B) -> bool, inline: bool) {
    assert_eq!(fits::<Counted<B>>(), inline);
    let counts = Arc::new(Counts::default());
    let make = || Counted {
        burden: burden.clone(),
        check,
        counts: Arc::clone(&counts),
    };
    let task = Task::new(make());
    // To another place, as through a queue.
    let moved = Box::new(Some(task));
    assert_eq!(moved.unwrap().run(), Ended::Completed);
    assert!(counts.are(1, 1));
    drop(Task::new(make()));
    assert!(counts.are(1, 2));
    let back = Task::new(make()).take_back::<Counted<B>>().unwrap();
    assert!(counts.are(1, 2));
    drop(back);
    assert!(counts.are(1, 3));
    assert!(Task::new(make()).take_back::<Counted<[B; 2]>>().is_none());
    assert!(counts.are(1, 4));
    assert_eq!(Arc::strong_count(&counts), 1);
}

#[test]
fn a_task_is_run_or_dropped_or_handed_back_once_whatever_its_size() {
    each_way((), |()| true, true);
    each_way(7_u8, |byte| *byte == 7, true);
    each_way(String::from("text"), |text| text == "text", true);
    each_way([1_u64, 2, 3, 4], |words| *words == [1, 2, 3, 4], true);
    each_way(
        [1_u64, 2, 3, 4, 5, 6],
        |words| words[5] == 6,
        cfg!(feature = "tracing"),
    );
    each_way([9_u8; 5000], |bytes| *bytes == [9; 5000], false);
}

#[test]
fn a_task_keeps_the_alignment_of_its_value() {
    #[derive(Clone)]
    #[repr(align(128))]
    struct Wide(u8);
    each_way(
        Wide(3),
        |wide| wide.0 == 3 && (&raw const *wide).addr() % 128 == 0,
        false,
    );
    #[derive(Clone)]
    #[repr(align(16))]
    struct Pair(u8);
    let aligned = |pair: &Pair| pair.0 == 3 && (&raw const *pair).addr() % 16 == 0;
    each_way(Pair(3), aligned, false);
}

#[test]
fn a_value_without_a_size_is_still_one_value() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Empty;
    impl Drop for Empty {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Relaxed);
        }
    }
    let empty = Empty;
    let _ = Task::new(Detached::new(move || drop(empty))).run();
    let empty = Empty;
    drop(Task::new(Detached::new(move || drop(empty))));
    assert_eq!(DROPS.load(Relaxed), 2);
}

#[test]
fn a_panic_in_the_run_or_the_drop_leaves_nothing_behind() {
    struct Bad(Arc<()>);
    impl Work for Bad {
        fn work(self) -> Ended {
            std::mem::forget(Arc::clone(&self.0));
            std::panic::resume_unwind(Box::new("run"));
        }
    }
    struct BadDrop(#[expect(dead_code, reason = "counts")] Arc<()>);
    impl Work for BadDrop {
        fn work(self) -> Ended {
            Ended::Completed
        }
    }
    impl Drop for BadDrop {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("drop"));
        }
    }
    let counted = Arc::new(());
    let task = Task::new(Bad(Arc::clone(&counted)));
    assert_eq!(
        *catch(|| task.run())
            .unwrap_err()
            .downcast::<&str>()
            .unwrap(),
        "run"
    );
    assert_eq!(
        Arc::strong_count(&counted),
        2,
        "the forgotten one, and ours"
    );
    let task = Task::new(BadDrop(Arc::clone(&counted)));
    assert!(catch(|| drop(task)).is_err());
    let task = Task::new(BadDrop(Arc::clone(&counted)));
    assert!(catch(|| task.run()).is_err());
    assert_eq!(Arc::strong_count(&counted), 2);
    // SAFETY: the count that `Bad` forgot; without it Miri would report the leak.
    unsafe { Arc::decrement_strong_count(Arc::as_ptr(&counted)) };
}

#[test]
fn a_task_fills_a_cache_line_with_what_the_engine_adds() {
    assert_eq!(size_of::<Task>(), SPACE + size_of::<usize>());
    // 64 bytes, where a pointer has 8.
    let stamp = size_of::<crate::recorder::Stamp>();
    let entry = 56 + size_of::<usize>() + LUGGAGE + stamp;
    assert_eq!(size_of::<crate::engine::Entry<Task>>(), entry);
}
