//! `beekeeper`: a hive whose workers call a function, on a queue of tasks that has no bound.

use std::fmt::{self, Debug};

use beekeeper::bee::CloneQueen;
use beekeeper::bee::stock::Caller;
use beekeeper::hive::prelude::*;
use beekeeper::hive::{ChannelTaskQueues, OutcomeReceiver, OutcomeSender};

use crate::crew::{Capacity, Crew, Submitter, Taker};
use crate::job::{Job, work};

type Bee = Caller<Job, u64, fn(Job) -> u64>;

/// A hive with a channel of outcomes.
pub struct BeekeeperPool {
    hive: Hive<CloneQueen<Bee>, ChannelTaskQueues<Bee>>,
    sender: OutcomeSender<Bee>,
    results: OutcomeReceiver<Bee>,
}

impl Debug for BeekeeperPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeekeeperPool").finish_non_exhaustive()
    }
}

impl Crew for BeekeeperPool {
    fn start(capacity: Capacity) -> Self {
        let hive = channel_builder(false)
            .num_threads(capacity.workers)
            .with_worker(Bee::from(work as fn(Job) -> u64))
            .build();
        let (sender, results) = outcome_channel();
        Self {
            hive,
            sender,
            results,
        }
    }

    fn ends(&mut self) -> (impl Submitter + '_, impl Taker + '_) {
        (
            BeekeeperSubmitter {
                hive: &self.hive,
                sender: &self.sender,
            },
            BeekeeperTaker(&self.results),
        )
    }

    fn stop(self) -> usize {
        self.hive.close(false);
        drop(self.sender);
        self.results.iter().count()
    }
}

struct BeekeeperSubmitter<'a> {
    hive: &'a Hive<CloneQueen<Bee>, ChannelTaskQueues<Bee>>,
    sender: &'a OutcomeSender<Bee>,
}

impl Submitter for BeekeeperSubmitter<'_> {
    fn submit(&mut self, job: Job) {
        self.hive.apply_send(job, self.sender);
    }
}

struct BeekeeperTaker<'a>(&'a OutcomeReceiver<Bee>);

impl Taker for BeekeeperTaker<'_> {
    fn take(&mut self) -> u64 {
        self.0.recv().expect("the workers ended").unwrap()
    }
}
