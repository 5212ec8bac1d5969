//! The channel-based design: a channel of jobs, worker threads, a channel of results. This is the worker-pool pattern as
//! it is usually written, over several channels.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use crate::crew::{Capacity, Crew, Submitter, Taker, Widen};
use crate::job::{Job, work};

/// What goes through the channels: jobs one way, results the other.
pub trait Message: Send + 'static {}
impl<const WORDS: usize> Message for Job<WORDS> {}
impl Message for u64 {}

/// A kind of channel.
pub trait Channel: 'static {
    /// The sending end.
    type Sender<T: Message>: Clone + Send + Sync + 'static;
    /// The receiving end, with one owner.
    type Receiver<T: Message>: Send + 'static;
    /// The receiving end as the workers share it.
    type Shared<T: Message>: Clone + Send + 'static;

    /// A new channel that holds up to `capacity` messages.
    fn bounded<T: Message>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    /// Lets several threads receive.
    fn share<T: Message>(receiver: Self::Receiver<T>) -> Self::Shared<T>;
    /// Sends; waits while the channel is full. The receiving end is still there.
    fn send<T: Message>(sender: &Self::Sender<T>, message: T);
    /// Receives; waits for a message. `None` if there is none and all senders are gone.
    fn receive<T: Message>(receiver: &Self::Receiver<T>) -> Option<T>;
    /// Receives, where several threads do.
    fn receive_shared<T: Message>(receiver: &Self::Shared<T>) -> Option<T>;
}

/// Two channels of kind `C`, and threads between them.
pub struct ChannelPool<C: Channel, const WORDS: usize = 1> {
    jobs: C::Sender<Job<WORDS>>,
    results: C::Receiver<u64>,
    workers: Vec<JoinHandle<()>>,
}

impl<C: Channel, const WORDS: usize> Debug for ChannelPool<C, WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelPool")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl<C: Channel> Widen for ChannelPool<C> {
    type Wide<const WORDS: usize> = ChannelPool<C, WORDS>;
}

impl<C: Channel, const WORDS: usize> Crew for ChannelPool<C, WORDS> {
    fn start(capacity: Capacity) -> Self {
        let (job_sender, job_receiver) = C::bounded::<Job<WORDS>>(capacity.jobs);
        let (result_sender, result_receiver) = C::bounded::<u64>(capacity.results);
        let job_receiver = C::share(job_receiver);
        let workers = (0..capacity.workers)
            .map(|_| {
                let (jobs, results) = (job_receiver.clone(), result_sender.clone());
                thread::spawn(move || {
                    while let Some(job) = C::receive_shared(&jobs) {
                        C::send(&results, work(job));
                    }
                })
            })
            .collect();
        Self {
            jobs: job_sender,
            results: result_receiver,
            workers,
        }
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (
            // As channels are used: one for each thread that sends.
            ChannelSubmitter::<C, WORDS>(self.jobs.clone()),
            ChannelTaker::<C>(&self.results),
        )
    }

    fn stop(self) -> usize {
        drop(self.jobs);
        for worker in self.workers {
            worker.join().expect("a worker panicked");
        }
        std::iter::from_fn(|| C::receive(&self.results)).count()
    }
}

struct ChannelSubmitter<C: Channel, const WORDS: usize>(C::Sender<Job<WORDS>>);

impl<C: Channel, const WORDS: usize> Submitter for ChannelSubmitter<C, WORDS> {
    fn submit(&mut self, job: Job) {
        C::send(&self.0, job.widened());
    }
}

struct ChannelTaker<'a, C: Channel>(&'a C::Receiver<u64>);

impl<C: Channel> Taker for ChannelTaker<'_, C> {
    fn take(&mut self) -> u64 {
        C::receive(self.0).expect("the workers ended")
    }
}

const RECEIVER_IS_THERE: &str = "the receiving end ended first";

/// Implements [`Channel`] for a crate whose receivers can be cloned; the third argument says which function makes a
/// channel out of a capacity.
macro_rules! channel_of_crate {
    ($name:ident, $module:ident, $new:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug)]
        pub struct $name;

        impl Channel for $name {
            type Sender<T: Message> = $module::Sender<T>;
            type Receiver<T: Message> = $module::Receiver<T>;
            type Shared<T: Message> = $module::Receiver<T>;

            fn bounded<T: Message>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                $new(capacity)
            }
            fn share<T: Message>(receiver: Self::Receiver<T>) -> Self::Shared<T> {
                receiver
            }
            fn send<T: Message>(sender: &Self::Sender<T>, message: T) {
                assert!(sender.send(message).is_ok(), "{RECEIVER_IS_THERE}");
            }
            fn receive<T: Message>(receiver: &Self::Receiver<T>) -> Option<T> {
                receiver.recv().ok()
            }
            fn receive_shared<T: Message>(receiver: &Self::Shared<T>) -> Option<T> {
                receiver.recv().ok()
            }
        }
    };
}

channel_of_crate!(
    Crossbeam,
    crossbeam_channel,
    crossbeam_channel::bounded,
    "`crossbeam-channel`, bounded: an array whose slots exist before the clock starts."
);
channel_of_crate!(
    CrossbeamUnbounded,
    crossbeam_channel,
    |_| crossbeam_channel::unbounded(),
    "`crossbeam-channel`, unbounded: a list of blocks. Only for tasks whose queues must hold all jobs."
);
channel_of_crate!(Kanal, kanal, kanal::bounded, "`kanal`, bounded.");
channel_of_crate!(Flume, flume, flume::bounded, "`flume`, bounded.");

/// `std::sync::mpsc`, whose receiver the workers share behind a mutex.
#[derive(Debug)]
pub struct StdMutex;

impl Channel for StdMutex {
    type Sender<T: Message> = mpsc::SyncSender<T>;
    type Receiver<T: Message> = mpsc::Receiver<T>;
    type Shared<T: Message> = Arc<Mutex<mpsc::Receiver<T>>>;

    fn bounded<T: Message>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        mpsc::sync_channel(capacity)
    }
    fn share<T: Message>(receiver: Self::Receiver<T>) -> Self::Shared<T> {
        Arc::new(Mutex::new(receiver))
    }
    fn send<T: Message>(sender: &Self::Sender<T>, message: T) {
        assert!(sender.send(message).is_ok(), "{RECEIVER_IS_THERE}");
    }
    fn receive<T: Message>(receiver: &Self::Receiver<T>) -> Option<T> {
        receiver.recv().ok()
    }
    fn receive_shared<T: Message>(receiver: &Self::Shared<T>) -> Option<T> {
        let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv().ok()
    }
}
