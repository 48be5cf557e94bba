//! What comes out of a stream, some messages at a time, so that no more is ever held.

use std::{
    error::Error,
    fmt,
    time::{Duration, Instant, SystemTime},
};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::{Info, LastRawMessageErrorKind, Stream},
};
use bytes::Bytes;
use futures::StreamExt as _;
use reef_capability::Failure;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::failed;

/// How long a reader that asks for nothing is remembered by the server.
const IDLE: Duration = Duration::from_secs(300);
/// How long the server may take to begin with what was asked for.
const EXPIRES: Duration = Duration::from_secs(4);
/// How long it may say nothing at all.
const WITHIN: Duration = Duration::from_secs(5);
/// Between two tries to ask for something that no server has heard of.
const APART: Duration = Duration::from_millis(20);

/// Messages of a stream on one subject, in their order and none left out.
pub struct Reader<I: Clone + Send + Sync + 'static = Info> {
    stream: Stream<I>,
    subject: String,
    consumer: PullConsumer,
    batch: Option<pull::Batch>,
    /// How many are asked for at once, and how many of those have come.
    most: usize,
    came: usize,
    /// Messages that the server has for this yet.
    pending: u64,
    /// The consumer's number of the next one: if it is another, one was lost on the way.
    next: u64,
    /// How many there are to be, where that is known.
    count: Option<u64>,
    /// Where in the stream the last one stood, and the newest that there is, as far as that was asked.
    at: u64,
    newest: Option<u64>,
    opened: Instant,
    /// What removes the consumer when it is not needed any more.
    runtime: Handle,
}

/// A message that was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// What it says.
    pub payload: Bytes,
    /// Where in the stream it stands.
    pub sequence: u64,
    /// When it came there, by the clock of the server.
    pub at: SystemTime,
}

impl<I: Clone + Send + Sync + 'static> Reader<I> {
    /// From the first message on a subject, of which there are to be `count`, where that is known; `most` are asked for
    /// at once. `runtime`: where the server is told that it is not needed any more.
    ///
    /// # Errors
    /// What the server says, and that it is not there.
    pub async fn open(
        stream: &Stream<I>,
        subject: String,
        count: Option<u64>,
        most: usize,
        runtime: Handle,
    ) -> Result<Self, Failure> {
        let config = pull::Config {
            filter_subject: subject.clone(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            inactive_threshold: IDLE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        let (stream, pending) = (stream.clone(), consumer.cached_info().num_pending);
        let opened = Instant::now();
        Ok(Self {
            stream,
            subject,
            consumer,
            batch: None,
            most,
            came: 0,
            pending,
            next: 1,
            count,
            at: 0,
            newest: None,
            opened,
            runtime,
        })
    }

    /// The next message; none where no more come, for which [`ended`](Self::ended) says whether that was all.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where one was lost on the way.
    pub async fn next(&mut self) -> Result<Option<Read>, Failure> {
        loop {
            if self.pending == 0 {
                if !self.lags().await? {
                    // A batch that there is nothing for ends when it expires.
                    self.batch = None;
                    return Ok(None);
                }
                // At least; it comes when the server has it.
                self.pending = 1;
            }
            let batch = match &mut self.batch {
                Some(batch) => batch,
                none => {
                    let ask = self.consumer.fetch().max_messages(self.most).expires(EXPIRES);
                    self.came = 0;
                    let batch = timeout(WITHIN, ask.messages()).await;
                    let batch = batch.map_err(|_| Failure::Timeout(WITHIN))?;
                    none.insert(batch.map_err(|error| failed(&error))?)
                }
            };
            // It ends by itself, too; this is for a server that says nothing any more.
            let next = timeout(WITHIN, batch.next()).await;
            match next.map_err(|_| Failure::Timeout(WITHIN))? {
                Some(Ok(message)) => {
                    let number = message.info().map_err(|error| Failure::lost(&error))?;
                    if number.consumer_sequence != self.next {
                        return Err(Failure::lost("a message of NATS was lost on the way"));
                    }
                    self.next += 1;
                    self.came += 1;
                    self.pending = number.pending;
                    let (sequence, at) = (number.stream_sequence, number.published.into());
                    self.at = sequence;
                    let payload = message.message.payload;
                    return Ok(Some(Read { payload, sequence, at }));
                }
                Some(Err(error)) if is_unheard(&*error) => {
                    // Servers of a cluster hear a moment later of one that was made at another.
                    if self.next > 1 || self.opened.elapsed() > WITHIN {
                        return Err(Failure::lost(format!("NATS: {error}")));
                    }
                    self.batch = None;
                    sleep(APART).await;
                }
                Some(Err(error)) => return Err(failed(&*error)),
                None => {
                    self.batch = None;
                    if self.came == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether the server that these come from has not heard yet of all that there were when it had no more: of several
    /// servers, it need not be the one that leads.
    async fn lags(&mut self) -> Result<bool, Failure> {
        if self.count.is_some_and(|count| self.next > count) {
            return Ok(false);
        }
        let newest = match self.newest {
            Some(newest) => newest,
            None => {
                let ask = timeout(WITHIN, newest(&self.stream, &self.subject)).await;
                let newest = ask.map_err(|_| Failure::Timeout(WITHIN))??;
                *self.newest.insert(newest)
            }
        };
        Ok(self.at < newest)
    }

    /// That those were all that there were: otherwise they were removed meanwhile, or the server does not go on.
    ///
    /// # Errors
    /// When there were more.
    pub fn ended(&self) -> Result<(), Failure> {
        match self.pending {
            0 => Ok(()),
            left => Err(Failure::lost(format!("NATS did not go on: {left} messages are left"))),
        }
    }
}

/// Where the last message of a subject stands in a stream, as the server knows that leads; 0 where there is none.
///
/// # Errors
/// What the server says.
pub async fn newest<I>(stream: &Stream<I>, subject: &str) -> Result<u64, Failure> {
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(message.sequence),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
        Err(error) => Err(failed(&error)),
    }
}

/// Whether a server says that nobody is there who would answer, in the words of the client's error.
fn is_unheard(error: &(dyn Error + 'static)) -> bool {
    error.to_string().contains("from the stream: 503")
}

impl<I: Clone + Send + Sync + 'static> fmt::Debug for Reader<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl<I: Clone + Send + Sync + 'static> Drop for Reader<I> {
    fn drop(&mut self) {
        let (stream, name) = (self.stream.clone(), self.consumer.cached_info().name.clone());
        // The server would forget it by itself, later.
        self.runtime.spawn(async move {
            let _ = timeout(WITHIN, stream.delete_consumer(&name)).await;
        });
    }
}
