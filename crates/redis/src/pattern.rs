//! Messages of all channels whose names match a pattern, until the connection is lost.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::server::{ANSWERING, ConnectError, SILENT, Server};

/// Messages that may wait to be taken.
const WAITING: usize = 1024;

/// What is published to channels whose names match a pattern.
#[derive(Debug)]
pub struct Matching {
    messages: mpsc::Receiver<(Bytes, Bytes)>,
    missed: Arc<AtomicU64>,
}

impl Matching {
    /// The next one: its channel, and what. None when the connection is lost.
    pub async fn recv(&mut self) -> Option<(Bytes, Bytes)> {
        self.messages.recv().await
    }

    /// Has no more kept. What waits already can still be taken.
    pub fn close(&mut self) {
        self.messages.close();
    }

    /// How many there was no room for since this was asked last: they came faster than they were taken.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

/// What is published from now on to channels whose names match a pattern. It ends when the connection is lost; what is
/// published faster than it is taken is lost, and counted.
///
/// # Errors
/// When there is no connection.
pub async fn matching(
    server: &Server,
    pattern: &str,
    runtime: &Handle,
) -> Result<Matching, ConnectError> {
    let (server, pattern) = (server.clone(), pattern.to_owned());
    let (sender, receiver) = mpsc::channel(WAITING);
    let missed = Arc::new(AtomicU64::new(0));
    // The connection lives where it is made.
    let subscribing = runtime.spawn(async move {
        let mut connection = server.subscriber().await?;
        let subscribing = timeout(ANSWERING, connection.psubscribe(&pattern)).await;
        subscribing.map_err(|_| ConnectError::Timeout(ANSWERING))??;
        Ok::<_, ConnectError>((connection, server))
    });
    let (connection, server) = subscribing.await.map_err(|_| ConnectError::Closed)??;
    let counted = missed.clone();
    runtime.spawn(async move {
        let (mut asking, mut messages) = connection.split();
        let reading = async {
            while let Some(message) = messages.next().await {
                let Ok(channel) = message.get_channel::<Vec<u8>>() else { continue };
                let payload = Bytes::copy_from_slice(message.get_payload_bytes());
                match sender.try_send((channel.into(), payload)) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        counted.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(%server, "A message of Redis came faster than it was taken.");
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                }
            }
        };
        // A peer that is gone without a word is noticed only by asking.
        let asking = async {
            loop {
                sleep(SILENT).await;
                if !matches!(timeout(ANSWERING, asking.ping::<redis::Value>()).await, Ok(Ok(_))) {
                    return;
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = asking => {}
            () = sender.closed() => {}
        }
    });
    Ok(Matching { messages: receiver, missed })
}
