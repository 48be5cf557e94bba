//! What is sent to the other side.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{
    future::BoxFuture,
    stream::{BoxStream, FuturesUnordered, StreamExt as _},
};
use reef_bus::PublishError;
use reef_wrpc::{EncodeError, Later, Path, Type, Value, encode_chunk, encode_ready};

use crate::{
    Refusal,
    call::Peer,
    exchange::Shared,
    header::{self, Headers},
    mailbox::Mailbox,
};

/// The parameters or the results of a call.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// All of them, in order.
    pub values: Vec<Value>,
    /// What of them comes later, by the numbers in their [`Value::Later`].
    pub later: Vec<Source>,
}

/// The next elements of a stream, or what a future became.
#[derive(Debug)]
pub struct Piece {
    /// [`Value::List`] or [`Value::Bytes`] of a stream; what a future became, [`Value::Ready`] of
    /// nothing when that is nothing.
    pub value: Value,
    /// What of it comes later, by the numbers in its [`Value::Later`].
    pub later: Vec<Source>,
}

/// Where what comes later comes from. An error is told to whoever waits.
pub enum Source {
    /// A stream, some elements at a time.
    Stream(BoxStream<'static, Result<Piece, Refusal>>),
    /// A future.
    Future(BoxFuture<'static, Result<Piece, Refusal>>),
}

impl From<Vec<Value>> for Outgoing {
    fn from(values: Vec<Value>) -> Self {
        Self { values, later: Vec::new() }
    }
}

impl From<Value> for Piece {
    fn from(value: Value) -> Self {
        Self { value, later: Vec::new() }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream(_) => "Stream",
            Self::Future(_) => "Future",
        })
    }
}

/// The subject of a channel.
pub(crate) fn below(root: &str, path: &Path) -> String {
    if path.is_root() { root.to_owned() } else { format!("{root}.{path}") }
}

/// The way to the other side, for one call.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    exchange: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    /// `R_s.params` or `R_c.results`.
    root: Arc<str>,
    window: Option<u64>,
}

/// A channel that is written.
#[derive(Debug)]
pub(crate) struct Outlet<'a> {
    line: &'a Line,
    path: Path,
    subject: String,
    pub(crate) at: u64,
}

/// Whether more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    On,
    Stopped,
}

impl Line {
    pub(crate) fn new(
        exchange: &Arc<Shared>,
        mailbox: &Arc<Mailbox>,
        peer: &Peer,
        kind: &str,
    ) -> Self {
        Self {
            exchange: exchange.clone(),
            mailbox: mailbox.clone(),
            root: format!("{}.{kind}", peer.inbox).into(),
            window: peer.window,
        }
    }

    /// The channel of the values themselves, of which so much was sent.
    pub(crate) fn values(&self, at: u64) -> Outlet<'_> {
        Outlet { line: self, path: Path::default(), subject: self.root.to_string(), at }
    }

    /// Sends all that comes later, to its end.
    pub(crate) async fn send_later(
        &self,
        later: Vec<Later>,
        sources: Vec<Source>,
    ) -> Result<(), PublishError> {
        let mut sending = self.each(later, sources);
        while let Some(sent) = sending.next().await {
            sent?;
        }
        Ok(())
    }

    fn each(
        &self,
        later: Vec<Later>,
        sources: Vec<Source>,
    ) -> FuturesUnordered<BoxFuture<'_, Result<(), PublishError>>> {
        let mut sources: Vec<Option<Source>> = sources.into_iter().map(Some).collect();
        let sending = later.into_iter().map(|later| {
            let source = sources.get_mut(later.number).and_then(Option::take);
            self.send(later, source)
        });
        sending.collect()
    }

    fn send(
        &self,
        later: Later,
        source: Option<Source>,
    ) -> BoxFuture<'_, Result<(), PublishError>> {
        let subject = below(&self.root, &later.path);
        let outlet = Outlet { line: self, path: later.path.clone(), subject, at: 0 };
        match (source, &later.ty) {
            (Some(Source::Stream(pieces)), Type::Stream(_)) => {
                Box::pin(outlet.stream(later, pieces))
            }
            (Some(Source::Future(piece)), Type::Future(_)) => Box::pin(outlet.future(later, piece)),
            _ => Box::pin(async move {
                let mut outlet = outlet;
                let why = Refusal::failed("there is nothing to send of what comes later");
                outlet.end(Some(&why)).await
            }),
        }
    }
}

impl Outlet<'_> {
    /// Sends these bytes, in as many messages as they need. The first may say more.
    pub(crate) async fn write_first(
        &mut self,
        bytes: Bytes,
        reply_to: Option<&str>,
        headers: Headers,
    ) -> Result<(), PublishError> {
        let rest = publish_start(&self.line.exchange, &self.subject, reply_to, headers, bytes);
        let (sent, rest, _) = rest.await?;
        self.at += sent as u64;
        if rest.is_empty() {
            return Ok(());
        }
        self.write(rest).await.map(drop)
    }

    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<Flow, PublishError> {
        let line = self.line;
        while !bytes.is_empty() {
            let mut most = bytes.len();
            // The values themselves have a bound of their own.
            if let Some(window) = line.window.filter(|_| !self.path.is_root()) {
                let room = line.mailbox.wait(|state| {
                    let credit = state.credit(&self.path);
                    let under_way = self.at.saturating_sub(credit.taken);
                    match credit.stopped {
                        true => Some(None),
                        false => (under_way < window).then(|| Some(window - under_way)),
                    }
                });
                let Some(room) = room.await else { return Ok(Flow::Stopped) };
                most = most.min(usize::try_from(room).unwrap_or(usize::MAX));
            }
            let mut headers = Headers::new();
            if line.window.is_some() && self.at > 0 {
                header::put(&mut headers, header::AT, self.at);
            }
            let piece = bytes.slice(..most);
            let sent = publish_start(&line.exchange, &self.subject, None, headers, piece);
            let (sent, ..) = sent.await?;
            self.at += sent as u64;
            bytes = bytes.slice(sent..);
        }
        Ok(Flow::On)
    }

    /// Resolves when the other side wants no more.
    async fn stopped(&self) {
        self.line.mailbox.wait(|state| state.credit(&self.path).stopped.then_some(())).await;
    }

    /// Says that no more comes, and why.
    pub(crate) async fn end(&mut self, why: Option<&Refusal>) -> Result<(), PublishError> {
        let mut headers = why.map(header::refusal).unwrap_or_default();
        if self.line.window.is_some() && self.at > 0 {
            header::put(&mut headers, header::AT, self.at);
        }
        let ended = self.line.exchange.publish(&self.subject, None, headers, Bytes::new());
        ended.await.map(drop)
    }

    /// What ends by itself is ended for those besides us too, as they do it.
    async fn end_for_others(&mut self) -> Result<(), PublishError> {
        if self.line.window.is_none() { self.end(None).await } else { Ok(()) }
    }

    async fn not_of_its_type(&mut self, error: EncodeError) -> Result<(), PublishError> {
        self.end(Some(&Refusal::failed(error))).await
    }

    async fn stream(
        mut self,
        later: Later,
        mut pieces: BoxStream<'static, Result<Piece, Refusal>>,
    ) -> Result<(), PublishError> {
        let mut within = FuturesUnordered::new();
        let mut elements = 0_u32;
        loop {
            let piece = tokio::select! {
                piece = pieces.next() => piece,
                Some(sent) = within.next() => {
                    let sent: Result<(), PublishError> = sent;
                    sent?;
                    continue;
                }
                () = self.stopped() => break,
            };
            let (piece, last) = match piece {
                Some(Ok(piece)) => (piece, false),
                Some(Err(why)) => {
                    self.end(Some(&why)).await?;
                    break;
                }
                None => (Piece::from(Value::List(Vec::new())), true),
            };
            let count = match &piece.value {
                Value::List(elements) => elements.len(),
                Value::Bytes(bytes) => bytes.len(),
                _ => 1,
            };
            if count == 0 && !last {
                continue;
            }
            let mut out = BytesMut::new();
            // Bytes have no places of their own, so they may be any number.
            let first = if matches!(piece.value, Value::Bytes(_)) { 0 } else { elements };
            let later = match encode_chunk(&later, first, &piece.value, &mut out) {
                Ok(later) => later,
                Err(error) => {
                    self.not_of_its_type(error).await?;
                    break;
                }
            };
            elements = elements.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            if self.write(out.freeze()).await? == Flow::Stopped {
                break;
            }
            within.extend(self.line.each(later, piece.later));
            if last {
                self.end_for_others().await?;
                break;
            }
        }
        while let Some(sent) = within.next().await {
            sent?;
        }
        Ok(())
    }

    async fn future(
        mut self,
        later: Later,
        piece: BoxFuture<'static, Result<Piece, Refusal>>,
    ) -> Result<(), PublishError> {
        let piece = tokio::select! {
            piece = piece => piece,
            () = self.stopped() => return Ok(()),
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(why) => return self.end(Some(&why)).await,
        };
        let mut out = BytesMut::new();
        let value = Some(&piece.value).filter(|value| !matches!(value, Value::Ready(None)));
        let within = match encode_ready(&later, value, &mut out) {
            Ok(within) => within,
            Err(error) => return self.not_of_its_type(error).await,
        };
        if out.is_empty() {
            // A future of nothing becomes that by its end.
            return self.end(None).await;
        }
        if self.write(out.freeze()).await? == Flow::On {
            self.end_for_others().await?;
            self.line.send_later(within, piece.later).await?;
        }
        Ok(())
    }
}

/// Publishes as much from the start of `bytes` as one message takes. Returns how much that was, what
/// is left, and what became of it.
pub(crate) async fn publish_start(
    exchange: &Shared,
    subject: &str,
    reply_to: Option<&str>,
    headers: Headers,
    bytes: Bytes,
) -> Result<(usize, Bytes, reef_bus::Published), PublishError> {
    let mut tried = false;
    loop {
        let size = exchange.room(&headers, reply_to).min(bytes.len());
        let body = bytes.slice(..size);
        match exchange.publish(subject, reply_to, headers.clone(), body).await {
            Ok(published) => return Ok((size, bytes.slice(size..), published)),
            // It is known now how much there may be.
            Err(PublishError::TooLarge { most, .. }) if !tried && most < size => tried = true,
            Err(error) => return Err(error),
        }
    }
}
