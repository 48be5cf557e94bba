//! Messages of a channel, for as long as somebody wants them.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use reef_egress::Backoff;
use tokio::time::{sleep, timeout};

use crate::server::{ANSWERING, ConnectError, SILENT, Server};

/// What happens to somebody who listens.
#[derive(Debug)]
pub enum Event {
    /// From now on, messages come.
    Listening,
    /// A message's payload.
    Message(Bytes),
    /// None come until the next [`Event::Listening`]: those in between are for nobody. It is tried again
    /// after this pause.
    Lost {
        /// Why.
        why: ConnectError,
        /// How long until the next attempt.
        pause: Duration,
    },
}

/// Stays subscribed to a channel and tells what happens. A server that is not there, is lost or refuses is
/// tried again, for ever, with pauses ([`Backoff`]).
///
/// `told` is not to wait: what the server sends meanwhile has no limit but its own.
pub async fn listen(server: &Server, channel: &str, mut told: impl FnMut(Event)) -> Infallible {
    let mut backoff = Backoff::default();
    loop {
        let why = until_lost(server, channel, &mut backoff, &mut told).await;
        let pause = backoff.pause();
        told(Event::Lost { why, pause });
        sleep(pause).await;
    }
}

async fn until_lost(
    server: &Server,
    channel: &str,
    backoff: &mut Backoff,
    told: &mut impl FnMut(Event),
) -> ConnectError {
    let subscribed = async {
        let mut connection = server.subscriber().await?;
        let subscribing = timeout(ANSWERING, connection.subscribe(channel)).await;
        subscribing.map_err(|_| ConnectError::Timeout(ANSWERING))??;
        Ok::<_, ConnectError>(connection.split())
    };
    let (mut asking, mut messages) = match subscribed.await {
        Ok(both) => both,
        Err(why) => return why,
    };
    backoff.reset();
    told(Event::Listening);
    let reading = async {
        while let Some(message) = messages.next().await {
            // Another channel's would be the library's mistake.
            told(Event::Message(Bytes::copy_from_slice(message.get_payload_bytes())));
        }
        ConnectError::Closed
    };
    // A peer that is gone without a word is noticed only by asking.
    let asking = async {
        loop {
            sleep(SILENT).await;
            match timeout(ANSWERING, asking.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return ConnectError::Timeout(ANSWERING),
            }
        }
    };
    tokio::select! {
        why = reading => why,
        why = asking => why,
    }
}
