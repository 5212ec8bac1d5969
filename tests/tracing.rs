//! What the feature `tracing` promises: a job runs in the span in which it was submitted.

#![cfg(feature = "tracing")]
#![forbid(unsafe_code)]

mod common;

use common::watchdog;
use tracing::{Span, info_span};
use workcrew::{ThreadPool, WorkerPool};

/// The number of the span that the thread is in.
fn current() -> Option<u64> {
    Span::current().id().map(|id| id.into_u64())
}

/// Spans are known to a subscriber, if there is one.
fn subscribe() {
    let _only_the_first = tracing::subscriber::set_global_default(tracing_subscriber::registry());
}

#[test]
fn a_worker_pools_jobs_run_in_the_span_that_submitted_them() {
    let _watchdog = watchdog();
    subscribe();
    let (pool, results) = WorkerPool::<u32, Option<u64>>::builder()
        .workers(2)
        .build(|job, ctx| {
            if job == 7 {
                info_span!("inner").in_scope(|| ctx.push(8));
            }
            current()
        })
        .unwrap();
    let mut submitter = pool.submitter();
    pool.submit(0).unwrap();
    let span = info_span!("outer");
    span.in_scope(|| {
        pool.submit(1).unwrap();
        pool.try_submit(2).unwrap();
        let time = std::time::Duration::from_secs(60);
        pool.submit_timeout(3, time).unwrap();
        pool.submit_all(4..6).unwrap();
        submitter.submit(6).unwrap();
        submitter.submit(7).unwrap();
    });
    pool.close();
    let outer = span.id().map(|id| id.into_u64());
    let mut spans: Vec<_> = results
        .map(|outcome| (outcome.index, outcome.follow_up, outcome.result.unwrap()))
        .collect();
    spans.sort();
    let follow_up = spans
        .iter()
        .position(|(_, follow_up, _)| *follow_up)
        .unwrap();
    let (_, _, inner) = spans.remove(follow_up);
    assert!(
        inner.is_some() && inner != outer,
        "a job's own spans are carried too"
    );
    let spans: Vec<_> = spans.into_iter().map(|(_, _, span)| span).collect();
    assert_eq!(spans[0], None);
    assert_eq!(spans[1..], [outer; 7]);
}

#[test]
fn a_job_that_comes_back_is_what_was_submitted() {
    let _watchdog = watchdog();
    subscribe();
    let (pool, _results) = WorkerPool::<u32, ()>::builder().build(|_, _| ()).unwrap();
    let handle = pool.handle();
    let span = info_span!("outer");
    span.in_scope(|| {
        pool.close();
        assert_eq!(handle.submit(5).unwrap_err().into_job(), 5);
        let rest = handle.submit_all(0..3).unwrap_err();
        assert!(rest.into_jobs().eq(0..3));
    });
}

#[test]
fn closures_run_in_the_span_in_which_they_were_made_jobs() {
    let _watchdog = watchdog();
    subscribe();
    let pool = ThreadPool::new(2).unwrap();
    let seen = std::sync::Mutex::new(Vec::new());
    let see = |what| seen.lock().unwrap().push((what, current()));
    let span = info_span!("outer");
    let outer = span.id().map(|id| id.into_u64());
    let spawned = span.in_scope(|| {
        let spawned = pool.spawn(current).unwrap();
        pool.scope(|scope| scope.spawn(|| see("scope")));
        let grouped = pool.group(|group| {
            group.spawn(|| {
                see("group");
                Ok::<_, ()>(())
            });
        });
        grouped.unwrap();
        pool.broadcast(|_| see("broadcast")).unwrap();
        pool.map(&[1, 2, 3], |_| see("map"));
        pool.fork_join(|| see("first"), || see("second"));
        let items: Vec<_> = pool.map_iter(0..3, |_| current()).collect();
        assert!(items.into_iter().all(|item| item.unwrap() == outer));
        spawned
    });
    assert_eq!(spawned.join().unwrap(), outer);
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 9);
    assert!(
        seen.iter().all(|(_, span)| *span == outer),
        "{seen:?}, not {outer:?}"
    );
}

#[test]
fn an_executed_closure_runs_in_its_span_and_leaves_it() {
    let _watchdog = watchdog();
    subscribe();
    let pool = ThreadPool::new(1).unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let see = || {
        let seen = std::sync::Arc::clone(&seen);
        move || seen.lock().unwrap().push(current())
    };
    let span = info_span!("outer");
    let outer = span.id().map(|id| id.into_u64());
    span.in_scope(|| {
        pool.execute(see()).unwrap();
        pool.try_execute(see()).unwrap();
        pool.execute_all([see()]).unwrap();
        pool.execute(|| panic!("on purpose")).unwrap();
    });
    pool.execute(see()).unwrap();
    pool.join().unwrap();
    assert_eq!(*seen.lock().unwrap(), [outer, outer, outer, None]);
}
