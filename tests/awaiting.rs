//! The feature `async`: submitting, taking and waiting by `await`, under tokio and smol.
//!
//! What must happen is waited for; no test sleeps.

use smol::stream::StreamExt;
use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use workcrew::{JobError, RecvError, Results, SubmitError, ThreadPool, WaitError, WorkerPool};

/// Where a test's tasks run.
#[derive(Clone)]
enum Runtime {
    Tokio(tokio::runtime::Handle),
    Smol(Arc<smol::Executor<'static>>),
}

impl Runtime {
    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = T>>> {
        match self {
            Self::Tokio(tokio) => {
                let task = tokio.spawn(task);
                Box::pin(async { task.await.unwrap() })
            }
            Self::Smol(smol) => Box::pin(smol.spawn(task)),
        }
    }
}

/// Runs a test under each of them, with two threads for its tasks.
fn under_each<F: Future<Output = ()>>(test: impl Fn(Runtime) -> F) {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    tokio.block_on(test(Runtime::Tokio(tokio.handle().clone())));
    let smol = Arc::new(smol::Executor::new());
    let (running, ended) = smol::channel::bounded::<()>(1);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| smol::future::block_on(smol.run(ended.recv())));
        }
        smol::future::block_on(test(Runtime::Smol(Arc::clone(&smol))));
        drop(running);
    });
}

/// A pool whose only worker tells that it has begun, and waits for a word, before each job.
fn held_pool(
    capacity: usize,
) -> (
    WorkerPool<usize, usize>,
    Results<usize>,
    Receiver<()>,
    Sender<()>,
) {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let held = Mutex::new((begun, may_go));
    let (pool, results) = WorkerPool::<usize, usize>::builder()
        .workers(1)
        .job_capacity(capacity)
        .build(move |job, _ctx| {
            let (begun, may_go) = &*held.lock().unwrap();
            // The test may have ended.
            let _ = begun.send(());
            let _ = may_go.recv();
            job
        })
        .unwrap();
    (pool, results, has_begun, go)
}

/// The same, with its worker at job 0 and its queue full of others.
fn full_pool(
    capacity: usize,
) -> (
    WorkerPool<usize, usize>,
    Results<usize>,
    Receiver<()>,
    Sender<()>,
) {
    let (pool, results, has_begun, go) = held_pool(capacity);
    pool.submit(0).unwrap();
    has_begun.recv().unwrap();
    pool.submit_all(1..=capacity).unwrap();
    (pool, results, has_begun, go)
}

/// A waker that tells how often it was called, and can be waited for.
struct Bell {
    rings: AtomicUsize,
    rung: Mutex<Sender<()>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        let _ = self.rung.lock().unwrap().send(());
    }
}

fn bell() -> (Arc<Bell>, Waker, Receiver<()>) {
    let (rung, rings) = mpsc::channel();
    let bell = Arc::new(Bell {
        rings: AtomicUsize::new(0),
        rung: Mutex::new(rung),
    });
    (Arc::clone(&bell), Waker::from(bell), rings)
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn tasks_submit_and_take_through_short_queues() {
    const JOBS: u64 = if cfg!(miri) { 30 } else { 500 };
    under_each(|runtime| async move {
        let (pool, mut results) = WorkerPool::<u64, u64>::builder()
            .workers(2)
            .job_capacity(2)
            .result_capacity(1)
            .build(|job, _ctx| 2 * job)
            .unwrap();
        let handle = pool.handle();
        let submitter = runtime.spawn(async move {
            for job in 0..JOBS {
                handle.submit_async(job).await.unwrap();
            }
        });
        let taker = runtime.spawn(async move {
            let values = results.stream().map(|outcome| outcome.result.unwrap());
            values.collect::<BTreeSet<_>>().await
        });
        submitter.await;
        pool.close();
        assert_eq!(taker.await, (0..JOBS).map(|job| 2 * job).collect());
    });
}

/// Threads submit, and of tasks and a thread that take each gets some of the outcomes, together
/// all.
#[test]
fn each_outcome_goes_to_one_of_several_tasks_and_threads() {
    const JOBS: usize = if cfg!(miri) { 60 } else { 3000 };
    under_each(|runtime| async move {
        let (pool, results) = WorkerPool::<usize, usize>::builder()
            .workers(2)
            .job_capacity(8)
            .result_capacity(2)
            .build(|job, _ctx| job)
            .unwrap();
        let submitters: Vec<_> = (0..2)
            .map(|half| {
                let handle = pool.handle();
                thread::spawn(move || handle.submit_all((half..JOBS).step_by(2)).unwrap())
            })
            .collect();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let mut results = results.clone();
                runtime.spawn(async move {
                    let jobs = results.stream().map(|outcome| outcome.result.unwrap());
                    jobs.collect::<Vec<_>>().await
                })
            })
            .collect();
        let one_by_one = runtime.spawn({
            let mut results = results.clone();
            async move {
                let mut taken = Vec::new();
                while let Ok(outcome) = results.recv_async().await {
                    taken.push(outcome.result.unwrap());
                }
                taken
            }
        });
        let thread =
            thread::spawn(|| Iterator::map(results, |outcome| outcome.result.unwrap()).collect());
        for submitter in submitters {
            submitter.join().unwrap();
        }
        pool.close();
        let mut all: Vec<usize> = thread.join().unwrap();
        all.extend(one_by_one.await);
        for task in tasks {
            all.extend(task.await);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..JOBS));
    });
}

#[test]
fn a_thousand_tasks_await_one_place() {
    const TASKS: usize = if cfg!(miri) { 20 } else { 1000 };
    under_each(|runtime| async move {
        let (pool, results, has_begun, go) = full_pool(1);
        // The channels' other ends must not go before the pool.
        let _has_begun = has_begun;
        let (waiting, waits) = mpsc::channel();
        let tasks: Vec<_> = (2..TASKS + 2)
            .map(|job| {
                let (handle, waiting) = (pool.handle(), waiting.clone());
                runtime.spawn(async move {
                    let mut submission = handle.submit_async(job);
                    let first = std::future::poll_fn(|context| {
                        Poll::Ready(Pin::new(&mut submission).poll(context).is_pending())
                    });
                    assert!(first.await, "the queue is full");
                    waiting.send(()).unwrap();
                    submission.await.unwrap()
                })
            })
            .collect();
        assert_eq!(waits.iter().take(TASKS).count(), TASKS);
        for _ in 0..TASKS + 2 {
            go.send(()).unwrap();
        }
        let mut indices = BTreeSet::new();
        for task in tasks {
            assert!(indices.insert(task.await), "each has an index of its own");
        }
        pool.close();
        let jobs = Iterator::map(results, |outcome| outcome.result.unwrap());
        let mut jobs: Vec<_> = jobs.collect();
        jobs.sort_unstable();
        assert!(jobs.into_iter().eq(0..TASKS + 2));
    });
}

#[test]
fn a_submission_that_a_timeout_ends_gives_its_job_back() {
    let (pool, results, _has_begun, go) = full_pool(1);
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    tokio.block_on(async {
        let mut submission = pool.submit_async(7);
        tokio::time::timeout(Duration::from_millis(1), &mut submission)
            .await
            .expect_err("the worker waits for our word");
        assert_eq!(submission.into_job(), Some(7));
        let submission = pool.submit_async(8);
        tokio::select! {
            biased;
            _ = submission => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        drop(go);
        pool.submit_async(9).await.unwrap();
        pool.close();
        let jobs = Iterator::map(results, |outcome| outcome.result.unwrap());
        assert_eq!(jobs.collect::<Vec<_>>(), [0, 1, 9]);
    });
}

#[test]
fn a_submission_that_is_done_has_no_job() {
    let (pool, _results) = WorkerPool::<u32, u32>::builder()
        .build(|job, _ctx| job)
        .unwrap();
    let (_bell, waker, _) = bell();
    let mut submission = pool.submit_async(1);
    assert!(poll(&mut submission, &waker).is_ready());
    assert_eq!(submission.into_job(), None);
    // Nothing is submitted unless it is polled.
    assert_eq!(pool.submit_async(2).into_job(), Some(2));
    pool.wait_idle().unwrap();
    assert_eq!(pool.stats().accepted, 1);
}

/// The place that comes free is the first task's; it is dropped instead of looking, and so the
/// second is woken for it.
#[test]
fn a_dropped_submission_gives_its_turn_to_the_next() {
    let (pool, _results, _has_begun, go) = full_pool(1);
    let (first_bell, first_waker, first_rings) = bell();
    let (second_bell, second_waker, second_rings) = bell();
    let mut first = pool.submit_async(2);
    let mut second = pool.submit_async(3);
    assert!(poll(&mut first, &first_waker).is_pending());
    assert!(poll(&mut second, &second_waker).is_pending());
    go.send(()).unwrap();
    first_rings.recv().unwrap();
    assert_eq!(second_bell.rings.load(Ordering::SeqCst), 0);
    drop(first);
    second_rings.recv().unwrap();
    assert!(matches!(
        poll(&mut second, &second_waker),
        Poll::Ready(Ok(_))
    ));
    assert_eq!(first_bell.rings.load(Ordering::SeqCst), 1);
    drop(go);
}

/// One that has not been woken leaves the line, and nothing else happens.
#[test]
fn a_submission_that_is_dropped_early_is_not_woken() {
    let (pool, _results, _has_begun, go) = full_pool(1);
    let (first_bell, first_waker, _) = bell();
    let (_, second_waker, second_rings) = bell();
    let mut first = pool.submit_async(2);
    let mut second = pool.submit_async(3);
    assert!(poll(&mut first, &first_waker).is_pending());
    assert!(poll(&mut second, &second_waker).is_pending());
    drop(first);
    go.send(()).unwrap();
    second_rings.recv().unwrap();
    assert!(matches!(
        poll(&mut second, &second_waker),
        Poll::Ready(Ok(_))
    ));
    assert_eq!(first_bell.rings.load(Ordering::SeqCst), 0);
    drop(go);
}

/// Who looked in vain, since a thread was faster, is first in line again.
#[test]
fn a_task_that_comes_too_late_keeps_its_turn() {
    let (pool, _results, has_begun, go) = full_pool(1);
    let (_, first_waker, first_rings) = bell();
    let (second_bell, second_waker, _) = bell();
    let mut first = pool.submit_async(2);
    let mut second = pool.submit_async(3);
    assert!(poll(&mut first, &first_waker).is_pending());
    assert!(poll(&mut second, &second_waker).is_pending());
    go.send(()).unwrap();
    has_begun.recv().unwrap();
    first_rings.recv().unwrap();
    pool.try_submit(4)
        .expect("there is room, and nobody has looked");
    assert!(poll(&mut first, &first_waker).is_pending());
    go.send(()).unwrap();
    first_rings.recv().unwrap();
    assert_eq!(second_bell.rings.load(Ordering::SeqCst), 0);
    assert!(matches!(poll(&mut first, &first_waker), Poll::Ready(Ok(_))));
    drop(go);
}

#[test]
fn closing_hands_back_what_awaits_room_and_ends_the_streams() {
    const TASKS: usize = 10;
    under_each(|runtime| async move {
        let (pool, results, _has_begun, go) = full_pool(1);
        let (waiting, waits) = mpsc::channel();
        let submitters: Vec<_> = (0..TASKS)
            .map(|job| {
                let (handle, waiting) = (pool.handle(), waiting.clone());
                runtime.spawn(async move {
                    let mut submission = pin!(handle.submit_async(job));
                    std::future::poll_fn(|context| {
                        let polled = submission.as_mut().poll(context);
                        let _ = waiting.send(());
                        polled
                    })
                    .await
                })
            })
            .collect();
        let takers: Vec<_> = (0..TASKS)
            .map(|_| {
                let (mut results, waiting) = (results.clone(), waiting.clone());
                runtime.spawn(async move {
                    let mut taken = 0;
                    let mut stream = results.stream();
                    std::future::poll_fn(|context| {
                        while let Poll::Ready(outcome) = stream.poll_next(context) {
                            match outcome {
                                Some(_) => taken += 1,
                                None => return Poll::Ready(()),
                            }
                        }
                        let _ = waiting.send(());
                        Poll::Pending
                    })
                    .await;
                    taken
                })
            })
            .collect();
        drop(results);
        assert_eq!(waits.iter().take(2 * TASKS).count(), 2 * TASKS);
        pool.close();
        for (job, submitter) in submitters.into_iter().enumerate() {
            match submitter.await {
                Err(SubmitError::Closed(back)) => assert_eq!(back, job),
                other => panic!("{other:?}"),
            }
        }
        drop(go);
        let mut taken = 0;
        for taker in takers {
            taken += taker.await;
        }
        assert_eq!(taken, 2);
    });
}

/// Threads that submit without end do not keep a task from its places.
#[test]
fn a_task_gets_its_places_beside_threads_that_submit() {
    let (pool, results) = WorkerPool::<u32, u32>::builder()
        .workers(1)
        .job_capacity(1)
        .build(|job, _ctx| job)
        .unwrap();
    drop(results);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    pool.submit(0).unwrap();
                }
            });
        }
        smol::future::block_on(async {
            for job in 0..if cfg!(miri) { 20 } else { 200 } {
                pool.submit_async(job).await.unwrap();
            }
        });
        enough.store(true, Ordering::Relaxed);
    });
}

/// A worker that polls and would have to wait is told so, since `block_on` would never return.
#[test]
fn awaiting_in_an_own_worker_is_an_error() {
    type Shared = (workcrew::Handle<u32, bool>, Results<bool>);
    let shared: Arc<Mutex<Option<Shared>>> = Arc::default();
    let inside = Arc::clone(&shared);
    let (pool, mut results) = WorkerPool::<u32, bool>::builder()
        .workers(1)
        .job_capacity(1)
        .build(move |job, _ctx| {
            let Some((handle, mut results)) = inside.lock().unwrap().take() else {
                return false;
            };
            smol::future::block_on(async {
                handle.submit_async(job + 1).await.unwrap();
                match handle.submit_async(job + 2).await {
                    Err(SubmitError::WouldDeadlock(back)) => assert_eq!(back, job + 2),
                    other => panic!("{other:?}"),
                }
                let taken = results.recv_async().await;
                assert!(matches!(taken, Err(RecvError::WouldDeadlock)), "{taken:?}");
            });
            true
        })
        .unwrap();
    *shared.lock().unwrap() = Some((pool.handle(), results.clone()));
    pool.submit(0).unwrap();
    assert!(results.recv().unwrap().result.unwrap());
    assert!(!results.recv().unwrap().result.unwrap());

    let pool = ThreadPool::builder()
        .workers(1)
        .job_capacity(1)
        .build()
        .unwrap();
    let handle = pool.handle();
    let refused = pool.spawn(move || {
        smol::future::block_on(async {
            handle.execute_async(|| {}).await.unwrap();
            matches!(
                handle.execute_async(|| {}).await,
                Err(SubmitError::WouldDeadlock(_))
            )
        })
    });
    assert!(refused.unwrap().join().unwrap());
}

#[test]
fn waiting_for_idleness_and_the_end() {
    under_each(|_| async {
        let (mut pool, results, _has_begun, go) = full_pool(1);
        let (_, waker, rings) = bell();
        {
            let mut idle = pin!(pool.wait_idle_async());
            let mut context = Context::from_waker(&waker);
            assert!(idle.as_mut().poll(&mut context).is_pending());
            go.send(()).unwrap();
            go.send(()).unwrap();
            rings.recv().unwrap();
            idle.await.unwrap();
        }
        assert_eq!(pool.stats().completed, 2);
        assert!(!pool.is_closed());
        pool.submit_async(5).await.unwrap();
        {
            let mut end = pin!(pool.join_async());
            let mut context = Context::from_waker(&waker);
            assert!(end.as_mut().poll(&mut context).is_pending());
            drop(go);
            end.await.unwrap();
        }
        assert!(matches!(pool.submit(6), Err(SubmitError::Closed(6))));
        assert_eq!(pool.shutdown().unwrap().len(), 1);
        assert_eq!(Iterator::count(results), 3);
    });
}

#[test]
fn closures_are_submitted_and_awaited() {
    under_each(|runtime| async move {
        let mut pool = ThreadPool::builder()
            .workers(2)
            .job_capacity(1)
            .build()
            .unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let (handle, runs) = (pool.handle(), Arc::clone(&runs));
                runtime.spawn(async move {
                    let count = move || {
                        runs.fetch_add(1, Ordering::Relaxed);
                    };
                    handle.execute_async(count).await.unwrap();
                    let squared = handle.spawn_async(move || number * number);
                    squared.await.unwrap().await.unwrap()
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        assert_eq!(sum, 328_350);
        pool.wait_idle_async().await.unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 100);
        pool.join_async().await.unwrap();
        match pool.spawn_async(|| 7).await {
            Err(SubmitError::Closed(job)) => assert_eq!(job(), 7),
            _ => panic!("it is closed"),
        }
    });
}

/// Whatever the capacities, and with an input that has no end.
#[test]
fn maps_are_streams() {
    const JOBS: usize = if cfg!(miri) { 20 } else { 300 };
    under_each(|_| async {
        for (jobs, results) in [(1, 1), (1, 3), (4, 1)] {
            let (pool, mut results) = WorkerPool::<usize, usize>::builder()
                .workers(2)
                .job_capacity(jobs)
                .result_capacity(results)
                .build(|job, _ctx| job)
                .unwrap();
            let map = pool.map(&mut results, 0..JOBS).into_stream();
            let mut taken: Vec<_> = map.map(|outcome| outcome.result.unwrap()).collect().await;
            taken.sort_unstable();
            assert!(taken.into_iter().eq(0..JOBS));
            let ordered = pool.map_ordered(&mut results, 0..).window(3).into_stream();
            let taken = ordered.map(|outcome| outcome.result.unwrap()).take(JOBS);
            assert!(taken.collect::<Vec<_>>().await.into_iter().eq(0..JOBS));
        }
    });
}

/// What has not started never will, and each outcome comes from the results.
#[test]
fn a_map_that_is_dropped_while_it_waits_cancels_its_jobs() {
    let (pool, mut results, _has_begun, go) = held_pool(1);
    let (_, waker, _) = bell();
    let mut map = pool.map(&mut results, 0..10).into_stream();
    let mut context = Context::from_waker(&waker);
    assert!(map.poll_next(&mut context).is_pending());
    drop(map);
    drop(go);
    pool.wait_idle().unwrap();
    let submitted = pool.stats().accepted;
    assert!((1..=2).contains(&submitted), "{submitted}");
    pool.close();
    let outcomes: Vec<_> = Iterator::map(results, |outcome| outcome.result).collect();
    assert_eq!(outcomes.len() as u64, submitted);
    for outcome in outcomes {
        assert!(
            matches!(outcome, Ok(0) | Err(JobError::Cancelled)),
            "{outcome:?}"
        );
    }
}

/// A taker that was woken and goes away has another one woken.
#[test]
fn a_taker_that_is_dropped_gives_its_turn_to_the_next() {
    let (pool, mut first, _has_begun, go) = held_pool(1);
    let mut second = first.clone();
    let (_, first_waker, first_rings) = bell();
    let (_, second_waker, second_rings) = bell();
    let mut recv = Box::pin(first.recv_async());
    let mut stream = second.stream();
    assert!(poll(&mut recv, &first_waker).is_pending());
    let mut context = Context::from_waker(&second_waker);
    assert!(stream.poll_next(&mut context).is_pending());
    pool.submit(5).unwrap();
    go.send(()).unwrap();
    first_rings.recv().unwrap();
    drop(recv);
    second_rings.recv().unwrap();
    assert!(stream.poll_next(&mut context).is_ready());
}

/// A waker is the user's code; its panic is not the worker's.
#[test]
fn a_waker_that_panics_costs_nothing() {
    struct Trap;
    impl Wake for Trap {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("trap"));
        }
    }
    let (pool, mut results, _has_begun, go) = held_pool(1);
    let mut second = results.clone();
    let waker = Waker::from(Arc::new(Trap));
    let mut stream = second.stream();
    let mut context = Context::from_waker(&waker);
    assert!(stream.poll_next(&mut context).is_pending());
    drop(go);
    for job in 0..3 {
        pool.submit(job).unwrap();
    }
    for job in 0..3 {
        assert_eq!(results.recv().unwrap().result.unwrap(), job);
    }
    assert_eq!(pool.stats().panicked, 0);
    drop(stream);
    pool.join().unwrap();
}

#[test]
fn waiting_by_await_in_an_own_worker_is_an_error() {
    let pool = Arc::new(ThreadPool::new(1).unwrap());
    let (give, given) = mpsc::channel::<Arc<ThreadPool>>();
    let waited = pool.spawn(move || {
        let pool = given.recv().unwrap();
        smol::future::block_on(pool.wait_idle_async())
    });
    give.send(Arc::clone(&pool)).unwrap();
    let waited = waited.unwrap().join().unwrap();
    assert_eq!(waited, Err(WaitError::WouldDeadlock));
}

/// They may go from one thread to another.
#[test]
fn futures_are_send() {
    fn assert_send<T: Send>(_: T) {}
    let (mut pool, mut results) = WorkerPool::<u32, u32>::builder()
        .build(|job, _ctx| job)
        .unwrap();
    assert_send(pool.submit_async(1));
    assert_send(pool.wait_idle_async());
    assert_send(pool.join_async());
    assert_send(results.recv_async());
    let mut pool = ThreadPool::new(1).unwrap();
    assert_send(pool.execute_async(|| {}));
    assert_send(pool.spawn_async(|| {}));
    assert_send(pool.join_async());
}
