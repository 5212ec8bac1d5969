//! The messages of a Redis stream as one consumer of its group sees them.
//!
//! A message that was read is pending, in its consumer's name, until it is acknowledged; then it is
//! deleted, so that the stream has what is left to do. The server keeps the time since a pending
//! message was last read, claimed or kept ([`Stream::keep`]): that is how the others see that its
//! consumer is dead.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamReadOptions, StreamReadReply,
};
use redis::{Client, Commands, Connection, RedisResult};

/// The group that shares the messages.
const GROUP: &str = "workcrew";
/// The field of a message that has the path.
const PATH: &str = "path";
/// Before all messages, and where a search ends that has seen them all.
const FIRST: &str = "0-0";
/// Milliseconds that the server waits for a message.
const WAIT: usize = 100;

/// A job.
#[derive(Debug)]
pub(crate) struct Message {
    /// Given by the server, in order.
    pub(crate) id: String,
    pub(crate) path: String,
}

/// A connection to the server.
pub(crate) struct Stream {
    connection: Connection,
    name: String,
    /// No two connections of a server have the same.
    consumer: String,
}

impl Stream {
    /// Connects, and makes the group if this is the first one.
    pub(crate) fn open(url: &str, name: &str) -> RedisResult<Self> {
        let mut connection = Client::open(url)?.get_connection()?;
        let number: u64 = redis::cmd("CLIENT").arg("ID").query(&mut connection)?;
        let made: RedisResult<()> = connection.xgroup_create_mkstream(name, GROUP, FIRST);
        match made {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error),
            _ => {}
        }
        Ok(Self {
            connection,
            name: name.into(),
            consumer: format!("worker-{number}"),
        })
    }

    /// Adds a message for each path.
    pub(crate) fn add(&mut self, paths: &[String]) -> RedisResult<()> {
        for path in paths {
            let _: String = self.connection.xadd(&self.name, "*", &[(PATH, path)])?;
        }
        Ok(())
    }

    /// Reads in the name of `other` from now on.
    pub(crate) fn join(&mut self, other: &Self) {
        self.consumer.clone_from(&other.consumer);
    }

    pub(crate) fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Messages that nobody has read, at least one if there is one before long.
    pub(crate) fn read(&mut self, most: usize) -> RedisResult<Vec<Message>> {
        let options = StreamReadOptions::default();
        let options = options.group(GROUP, &self.consumer).block(WAIT).count(most);
        let reply: Option<StreamReadReply> =
            self.connection
                .xread_options(&[&self.name], &[">"], &options)?;
        let streams = reply.unwrap_or_default().keys;
        Ok(streams
            .into_iter()
            .flat_map(|stream| stream.ids)
            .map(message)
            .collect())
    }

    /// Takes over messages that nobody has kept for so long; none if there is none.
    pub(crate) fn claim(&mut self, most: usize, idle: Duration) -> RedisResult<Vec<Message>> {
        let (name, consumer, idle) = (&self.name, &self.consumer, idle.as_millis() as u64);
        let mut start = FIRST.to_owned();
        // Each look is at some of the pending messages only.
        loop {
            let options = StreamAutoClaimOptions::default().count(most);
            let reply: StreamAutoClaimReply = self
                .connection
                .xautoclaim_options(name, GROUP, consumer, idle, start, options)?;
            start = reply.next_stream_id;
            if !reply.claimed.is_empty() || start == FIRST {
                return Ok(reply.claimed.into_iter().map(message).collect());
            }
        }
    }

    /// Says that these are being worked on.
    pub(crate) fn keep(&mut self, ids: &[String]) -> RedisResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut claim = redis::cmd("XCLAIM");
        claim
            .arg(&self.name)
            .arg(GROUP)
            .arg(&self.consumer)
            .arg(0)
            .arg(ids)
            .arg("JUSTID");
        claim.exec(&mut self.connection)
    }

    /// Stores a result and acknowledges its message. Returns whether it is the first result.
    pub(crate) fn acknowledge(&mut self, id: &str, result: &str) -> RedisResult<bool> {
        let (first,) = redis::pipe()
            .atomic()
            .hset_nx(format!("{}:results", self.name), id, result)
            .hincr(format!("{}:done", self.name), &self.consumer, 1)
            .ignore()
            .xack(&self.name, GROUP, &[id])
            .ignore()
            .xdel(&self.name, &[id])
            .ignore()
            .query(&mut self.connection)?;
        Ok(first)
    }

    /// The results by message, and how many messages have none.
    pub(crate) fn results(&mut self) -> RedisResult<(BTreeMap<String, String>, u64)> {
        let results = self.connection.hgetall(format!("{}:results", self.name))?;
        Ok((results, self.connection.xlen(&self.name)?))
    }
}

fn message(stream: StreamId) -> Message {
    let path = stream.get(PATH).unwrap_or_default();
    Message {
        id: stream.id,
        path,
    }
}
