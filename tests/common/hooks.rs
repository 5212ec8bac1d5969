//! Hooks that note whom they were called by: whoever has begun must have ended.

#![allow(dead_code, reason = "no test file needs all of it")]

use std::sync::{Arc, Mutex};

/// Shared by the hooks, and by what else a test gives to its builder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooked(Arc<Mutex<[Vec<usize>; 2]>>);

impl Hooked {
    fn note(&self, which: usize) -> impl Fn(usize) + Send + Sync + 'static + use<> {
        let noted = self.clone();
        move |worker| noted.0.lock().unwrap()[which].push(worker)
    }

    /// A start hook.
    pub(crate) fn start(&self) -> impl Fn(usize) + Send + Sync + 'static + use<> {
        self.note(0)
    }

    /// A stop hook.
    pub(crate) fn stop(&self) -> impl Fn(usize) + Send + Sync + 'static + use<> {
        self.note(1)
    }

    /// How many have begun.
    pub(crate) fn begun(&self) -> usize {
        self.0.lock().unwrap()[0].len()
    }

    /// The workers below `begun`, and no others, have begun, and ended; and nobody has a share
    /// any more.
    #[track_caller]
    pub(crate) fn assert_balanced(self, begun: usize) {
        assert_eq!(Arc::strong_count(&self.0), 1, "something is left");
        for mut workers in Arc::into_inner(self.0).unwrap().into_inner().unwrap() {
            workers.sort_unstable();
            assert!(workers.iter().copied().eq(0..begun), "{workers:?}");
        }
    }
}
