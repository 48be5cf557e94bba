//! A lattice as a host of this machine reaches it, over that host's socket: requests and objects, as clients need them.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    future::{BoxFuture, FutureExt as _},
    stream,
};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, Limited, StreamBody};
use hyper::body::{Body, Frame};
use reef_bus::{
    Bus, Interest, Message, PublishError, Published, RequestError, SubscribeError, Subscription,
};
use reef_lattice::{Digest, Failure, ObjectStream, Objects, Unheld};
use serde_json::Value;
use tokio::time::timeout;

use crate::control::client::{escaped, send_body};

/// How long a host may take to say that it has heard.
const WITHIN: Duration = Duration::from_secs(10);
/// How long a host may take to have an object.
const UPLOAD: Duration = Duration::from_secs(600);
/// Bytes of a file that are sent at once.
const PIECE: usize = 128 << 10;
/// Bytes of an answer.
const LARGEST: usize = 16 << 20;

/// The socket of a host that is one of a lattice.
#[derive(Clone, Debug)]
pub(crate) struct Socket(pub(crate) PathBuf);

impl Socket {
    /// Status and body of the answer.
    async fn ask<B>(
        &self,
        method: Method,
        path: &str,
        body: B,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), String>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let asking = async {
            let answer = send_body(&self.0, method, path, body).await;
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        let late = || Err(format!("{} did not answer within {within:?}", self.0.display()));
        timeout(within, asking).await.unwrap_or_else(|_| late())
    }
}

/// What a refusal says.
fn why(body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    said["error"].as_str().map_or_else(|| "it says nothing more".to_owned(), str::to_owned)
}

impl Bus for Socket {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Published, PublishError>> {
        async move {
            let path = format!("/v1/lattice/publish?subject={}", escaped(message.subject()));
            let body = Full::new(message.body().clone());
            let (status, said) = self
                .ask(Method::POST, &path, body, WITHIN)
                .await
                .map_err(|why| PublishError::Unavailable { why })?;
            if !status.is_success() {
                return Err(PublishError::Unavailable { why: why(&said) });
            }
            let said: Value = serde_json::from_slice(&said).unwrap_or_default();
            let recipients = said["recipients"].as_u64().and_then(|many| many.try_into().ok());
            Ok(Published { recipients })
        }
        .boxed()
    }

    fn request(
        &self,
        message: Message,
        within: Duration,
    ) -> BoxFuture<'_, Result<Message, RequestError>> {
        async move {
            let subject = message.subject().to_owned();
            let path = format!(
                "/v1/lattice/publish?subject={}&request=true&timeout={}ms",
                escaped(&subject),
                within.as_millis().max(1)
            );
            let body = Full::new(message.body().clone());
            // The host counts the time; here it is for one that hangs.
            let asked = self.ask(Method::POST, &path, body, within + WITHIN).await;
            let unavailable = |why| RequestError::Publish(PublishError::Unavailable { why });
            let (status, said) = asked.map_err(unavailable)?;
            match status {
                StatusCode::OK => {
                    Message::new(&subject, said).map_err(|error| PublishError::from(error).into())
                }
                // It has joined nothing yet, or nobody answers there yet: nobody had it.
                StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE => {
                    Err(RequestError::NoResponders { subject })
                }
                StatusCode::GATEWAY_TIMEOUT => {
                    Err(RequestError::Timeout { subject, waited: within })
                }
                _ => Err(unavailable(why(&said))),
            }
        }
        .boxed()
    }

    fn subscribe(&self, _: Interest) -> BoxFuture<'_, Result<Subscription, SubscribeError>> {
        let why = "the socket of a host carries requests, and no subscriptions".to_owned();
        async move { Err(SubscribeError::Unavailable { why }) }.boxed()
    }
}

#[async_trait]
impl Objects for Socket {
    async fn has(&self, digest: &Digest) -> Result<bool, Failure> {
        let asked = self.ask(Method::GET, &at(digest), Empty::<Bytes>::new(), WITHIN).await;
        match asked.map_err(Failure::unreachable)? {
            (StatusCode::OK, _) => Ok(true),
            (StatusCode::NOT_FOUND, _) => Ok(false),
            (_, said) => Err(Failure::Backend(why(&said))),
        }
    }

    async fn put(&self, digest: &Digest, file: &Path) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::Backend(format!("{}: {error}", file.display()));
        let reading = std::fs::File::open(file).map_err(failed)?;
        // Nothing else is to be done meanwhile: it may read in place.
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut reading).take(PIECE as u64).read_to_end(&mut piece)?;
            let frame = (!piece.is_empty()).then(|| Frame::data(Bytes::from(piece)));
            Ok::<_, std::io::Error>(frame.map(|frame| (frame, reading)))
        });
        let asked = self.ask(Method::POST, &at(digest), StreamBody::new(pieces), UPLOAD).await;
        match asked.map_err(Failure::lost)? {
            (StatusCode::OK, _) => Ok(()),
            (StatusCode::INSUFFICIENT_STORAGE, said) => Err(Failure::Full(why(&said))),
            (_, said) => Err(Failure::Backend(why(&said))),
        }
    }

    async fn get(&self, _: &Digest) -> Result<ObjectStream, Failure> {
        Err(hosts_alone())
    }

    async fn hold(&self, _: &Digest, _: Duration) -> Result<bool, Failure> {
        Err(hosts_alone())
    }

    async fn unheld(&self, _: Duration) -> Result<Vec<Unheld>, Failure> {
        Err(hosts_alone())
    }

    async fn remove(&self, _: &Unheld) -> Result<bool, Failure> {
        Err(hosts_alone())
    }

    async fn sweep(&self, _: Duration) -> Result<usize, Failure> {
        Err(hosts_alone())
    }
}

fn at(digest: &Digest) -> String {
    format!("/v1/lattice/objects/{}", escaped(digest.as_str()))
}

fn hosts_alone() -> Failure {
    Failure::Unsupported("that is for hosts, and not for their clients".to_owned())
}
