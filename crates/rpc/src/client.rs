//! Calling.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reef_bus::{Message, PublishError};
use reef_wrpc::{Decoder, Function, Path, Signature, Value, encode};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    CallError, StreamError,
    arriving::{Arriving, Received},
    call::{Call, Came, Inlet, Peer, peer_of},
    exchange::{Exchange, Shared},
    header::{self, Headers, Trace},
    mailbox::Next,
    sending::{Line, Outgoing, publish_start},
};

/// Calls functions that others serve. Cloning shares the bound on calls.
#[derive(Clone, Debug)]
pub struct Client {
    exchange: Exchange,
    places: Arc<Semaphore>,
}

/// How a function is called.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// For all of it, streams included; the settings' own without one.
    pub timeout: Option<Duration>,
    /// The trace that it belongs to.
    pub trace: Trace,
}

/// What is to be sent once the server is known.
struct Unsent {
    /// Bytes of the parameters that were sent.
    at: u64,
    rest: Bytes,
    later: Vec<reef_wrpc::Later>,
    sources: Vec<crate::Source>,
}

/// What came for a caller.
enum Incoming {
    Control(Message),
    Result(Next),
}

impl Client {
    /// Calls by way of this exchange.
    pub fn new(exchange: &Exchange) -> Self {
        let places = Arc::new(Semaphore::new(exchange.shared().settings.calls));
        Self { exchange: exchange.clone(), places }
    }

    /// Calls a function, and waits for its results. What of them comes later comes while the results'
    /// [`Arriving`] are held; what of the parameters comes later is sent meanwhile, and no longer than
    /// until all of the results are there. Dropped before that, the call is given up, and the server
    /// is told.
    ///
    /// # Errors
    /// When nobody serves it, the other side refuses or fails, the time is over, or what comes makes
    /// no sense.
    pub async fn invoke(
        &self,
        function: &Function,
        signature: &Signature,
        params: Outgoing,
        options: &Options,
    ) -> Result<Received, CallError> {
        let shared = self.exchange.shared();
        let timeout = options.timeout.unwrap_or(shared.settings.timeout);
        let subject = function.to_string();
        let calling = self.call(&subject, signature, params, options, timeout);
        let called = timeout_at(Instant::now() + timeout, calling).await;
        called.unwrap_or(Err(CallError::Timeout { function: subject, waited: timeout }))
    }

    async fn call(
        &self,
        subject: &str,
        signature: &Signature,
        params: Outgoing,
        options: &Options,
        timeout: Duration,
    ) -> Result<Received, CallError> {
        let function = || subject.to_owned();
        let shared = self.exchange.shared();
        let too_many = || CallError::TooMany(shared.settings.calls);
        let place = self.places.clone().try_acquire_owned().map_err(|_| too_many())?;
        let mut body = BytesMut::new();
        let later = encode(&signature.params, &params.values, &mut body)?;

        let registered = shared.register().ok_or_else(too_many)?;
        let (inbox, mailbox) = (registered.subject.clone(), registered.mailbox.clone());
        let call = Call::made(shared, registered, Instant::now() + timeout, place);
        let call = Arc::new(call);
        let mut headers = Headers::new();
        header::put(&mut headers, header::WINDOW, shared.settings.window);
        header::put(&mut headers, header::TIMEOUT, timeout.as_millis());
        header::put_trace(&mut headers, &options.trace);
        let sent = publish_start(shared, subject, Some(&inbox), headers, body.freeze());
        let (at, rest, published) = sent.await?;
        if published.recipients == Some(0) {
            return Err(CallError::NoServer { function: function() });
        }
        call.awaits(1);

        let mut unsent = Some(Unsent { at: at as u64, rest, later, sources: params.later });
        let mut inlet = Inlet { path: Path::default(), at: 0 };
        let mut decoder = Decoder::new(&signature.results, shared.settings.limits);
        let most = shared.settings.waiting;
        let wrong = |why: StreamError| CallError::Answer { function: function(), why };
        loop {
            let came = mailbox.wait(|state| {
                let control = state.control().map(Incoming::Control);
                control.or_else(|| state.next(&inlet.path, most).map(Incoming::Result))
            });
            let next = match came.await {
                Incoming::Control(message) => {
                    match peer_of(&message) {
                        Some(peer) => met(&call, &mailbox, peer, &mut unsent).await?,
                        // What a NATS server says in nobody's name.
                        None if call.peer.get().is_none() => {
                            call.has();
                            return Err(CallError::NoServer { function: function() });
                        }
                        None => {}
                    }
                    continue;
                }
                Incoming::Result(next) => next,
            };
            if let Next::Message(message) = &next
                && let Some(peer) = peer_of(message)
            {
                met(&call, &mailbox, peer, &mut unsent).await?;
            }
            // From one of ours that had no reason to name itself, too.
            let ours = call.peer.get().is_none() || call.is_ours();
            let mut bytes = match inlet.take(next, ours).map_err(wrong)? {
                Came::Bytes(bytes) => bytes,
                Came::End(Some(refusal)) => {
                    call.has();
                    return Err(CallError::Refused { function: function(), refusal });
                }
                Came::End(None) => Bytes::new(),
            };
            let ended = bytes.is_empty();
            match decoder.feed(&mut bytes).map_err(|why| wrong(why.into()))? {
                Some(Value::Tuple(values)) => {
                    let later = Arriving::all(&call, decoder.take_later());
                    call.has();
                    return Ok(Received { values, later });
                }
                _ if ended && inlet.at == 0 => {
                    call.has();
                    return Err(CallError::Ended { function: function() });
                }
                _ if ended => return Err(wrong(decoder.ended().into())),
                _ => {}
            }
        }
    }
}

/// The server is known: sends it what is unsent.
async fn met(
    call: &Arc<Call>,
    mailbox: &Arc<crate::mailbox::Mailbox>,
    peer: Peer,
    unsent: &mut Option<Unsent>,
) -> Result<(), PublishError> {
    let exchange: &Arc<Shared> = &call.exchange;
    let line = Line::new(exchange, mailbox, &peer, "params");
    let ours = peer.window.is_some();
    let _ = call.peer.set(peer);
    let Some(Unsent { at, rest, later, sources }) = unsent.take() else { return Ok(()) };
    if rest.is_empty() && later.is_empty() {
        // One of ours knows.
        return if ours { Ok(()) } else { line.values(at).end(None).await };
    }
    let sending = tokio::spawn(async move {
        let sent = async {
            let mut values = line.values(at);
            if !rest.is_empty() {
                values.write(rest).await?;
            }
            if !ours {
                values.end(None).await?;
            }
            line.send_later(later, sources).await
        };
        if let Err(error) = sent.await {
            tracing::debug!(%error, "Parameters of a call cannot be sent.");
        }
    });
    call.keep_sending(AbortOnDropHandle::new(sending));
    Ok(())
}
