//! Whole pools in which two threads stand, each at a point of its own.

use super::pool::{
    Book, CLAIM, Job, Page, Role, assert_settled, lane_mix, submit_batch, submit_mix,
    submit_singles, take_all, take_mix,
};
use super::{Release, wait_or_dump};
use crate::WorkerPool;
use crate::probe::Stall;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Two of them may stand.
const WORKERS: usize = 4;

/// Plays one scene. Returns whether both were suspended.
pub(super) fn play(pair: [(&'static str, Role); 2], capacity: usize) -> bool {
    let stalls = pair.map(|(point, _)| Stall::at(point, 0));
    let _release = Release(stalls.iter().collect());
    let roles = pair.map(|(_, role)| role);
    let book = Arc::new(Book::default());
    let (pool, results) = {
        let (book, stalls) = (Arc::clone(&book), stalls.clone());
        WorkerPool::<Job, usize>::builder()
            .workers(WORKERS)
            .job_capacity(capacity)
            .result_capacity(capacity)
            .on_start(move |worker| {
                // Each half of the crew for one of the two.
                let nth = worker % 2;
                if roles[nth] == Role::AnyWorker {
                    stalls[nth].watch();
                } else if roles[1 - nth] == Role::AnyWorker {
                    stalls[1 - nth].watch();
                }
            })
            .build(move |job, ctx| book.run(job, ctx))
            .expect("threads can be made")
    };
    let (handle, book) = (&pool.handle(), &*book);
    let wait = |what: &str, condition: &mut dyn FnMut() -> bool| {
        let dump = || format!("{}\n{}", handle.stats(), book.dump());
        wait_or_dump(what, dump, condition);
    };
    let standing = &|| stalls.iter().filter(|stall| stall.holds_one()).count();
    let both = &|| standing() == 2;
    let (submitting, late) = (&AtomicUsize::new(1), &AtomicUsize::new(2));
    thread::scope(|scope| {
        for (stall, role) in stalls.iter().zip(roles) {
            match role {
                Role::Taker => {
                    let results = results.clone();
                    scope.spawn(move || {
                        stall.watch();
                        take_mix(results, book);
                    });
                }
                Role::Submitter | Role::LaneOwner => {
                    let mix = if role == Role::LaneOwner {
                        lane_mix
                    } else {
                        submit_mix
                    };
                    submitting.fetch_add(1, SeqCst);
                    scope.spawn(move || {
                        stall.watch();
                        mix(handle, book, 18, both);
                        submitting.fetch_sub(1, SeqCst);
                    });
                }
                _ => {}
            }
        }
        scope.spawn(move || take_all(results, book));
        scope.spawn(move || {
            submit_mix(handle, book, 18, both);
            submitting.fetch_sub(1, SeqCst);
        });
        let submitters_that_stand = || {
            let pairs = stalls.iter().zip(roles);
            pairs
                .filter(|(_, role)| matches!(role, Role::Submitter | Role::LaneOwner))
                .filter(|(stall, _)| stall.holds_one())
                .count()
        };
        wait("both stand, or all others have submitted", &mut || {
            both() || submitting.load(SeqCst) <= submitters_that_stand()
        });
        // Nobody joins those who stand.
        let silent = stalls.iter().filter(|stall| !stall.holds_one());
        silent.for_each(|stall| stall.release());
        let claimed = standing() * CLAIM;
        scope.spawn(move || {
            submit_singles(handle, book, 12, true);
            late.fetch_sub(1, SeqCst);
        });
        scope.spawn(move || {
            submit_batch(handle, book, 20, true);
            submit_singles(handle, book, 3, true);
            late.fetch_sub(1, SeqCst);
        });
        let missing = |page: &Page| page.accepted && (page.ran == 0 || page.arrived == 0);
        wait(
            "what the others submitted has run, and arrived",
            &mut || {
                let stranded = |page: &Page| page.late && (page.ran == 0 || page.arrived == 0);
                late.load(SeqCst) == 0 && book.count(stranded) == 0
            },
        );
        wait("no more is missing than what was claimed", &mut || {
            book.count(missing) <= claimed
        });
        handle.close();
        stalls.iter().for_each(|stall| stall.release());
    });
    pool.join().expect("not in a worker");
    assert_settled(handle, book, false);
    both()
}
