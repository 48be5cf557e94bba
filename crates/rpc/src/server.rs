//! Answering.

use std::{fmt, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures::future::BoxFuture;
use reef_bus::{Capacity, Interest, Message, PublishError, Subscription};
use reef_wrpc::{Decoder, Function, Path, Signature, Value, encode};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    Kind, Refusal, ServeError, StreamError,
    arriving::{Arriving, Received},
    call::{Call, Came, Inlet, Peer},
    exchange::{Exchange, Registered, Shared, subject},
    header::{self, Headers, Trace},
    sending::{Line, Outgoing},
};

/// How long an answer may take before a caller of ours is told who answers, which it needs to give up.
const AT_ONCE: Duration = Duration::from_millis(5);

/// Serves functions. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Server {
    exchange: Exchange,
}

/// What answers the calls of a function.
pub trait Handler: Send + Sync {
    /// Answers a call. It is dropped when nobody waits any more.
    fn call(
        &self,
        context: Context,
        params: Received,
    ) -> BoxFuture<'static, Result<Outgoing, Refusal>>;
}

/// What a call says about itself.
#[derive(Clone, Debug)]
pub struct Context {
    /// When nobody waits for its answer any more.
    pub deadline: Instant,
    /// The trace that it belongs to.
    pub trace: Trace,
}

/// A function that is served. When it is dropped, it is not any more, and calls that are being
/// answered are given up.
#[derive(Debug)]
pub struct Served {
    subscription: Subscription,
    calls: TaskTracker,
    ending: CancellationToken,
    _taking: AbortOnDropHandle<()>,
}

struct Serving {
    exchange: Arc<Shared>,
    signature: Signature,
    handler: Arc<dyn Handler>,
    /// Those that are answered at a time.
    active: Semaphore,
    /// Those, and the ones that wait for that.
    taken: Arc<Semaphore>,
    ending: CancellationToken,
}

/// Why a call is not answered to its end.
enum Unanswered {
    Refused(Refusal),
    Publish(PublishError),
}

impl Server {
    /// Answers by way of this exchange.
    pub fn new(exchange: &Exchange) -> Self {
        Self { exchange: exchange.clone() }
    }

    /// Has calls of a function answered: so many at a time, and as many again wait; others are told
    /// that it is busy. Who serves the same function with the same queue shares its calls.
    ///
    /// # Errors
    /// When the function has no subject, or the bus does not take the subscription.
    pub async fn serve(
        &self,
        function: &Function,
        queue: Option<&str>,
        signature: Signature,
        concurrency: usize,
        handler: Arc<dyn Handler>,
    ) -> Result<Served, ServeError> {
        let exchange = self.exchange.shared();
        let name = function.to_string();
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS / 2);
        let interest = Interest {
            subject: subject(&name)?,
            name: name.into(),
            queue: queue.map(Arc::from),
            // They are taken at once.
            capacity: Capacity { messages: 2 * concurrency + 64, ..Capacity::default() },
        };
        let subscription = exchange.bus().subscribe(interest).await?;
        let (calls, ending) = (TaskTracker::new(), CancellationToken::new());
        let serving = Arc::new(Serving {
            exchange: exchange.clone(),
            signature,
            handler,
            active: Semaphore::new(concurrency),
            taken: Arc::new(Semaphore::new(2 * concurrency)),
            ending: ending.clone(),
        });
        let taking = tokio::spawn(serving.take(subscription.clone(), calls.clone()));
        Ok(Served { subscription, calls, ending, _taking: AbortOnDropHandle::new(taking) })
    }
}

impl Served {
    /// Takes no more calls, and waits for those that are being answered, for so long at most.
    pub async fn stop(self, patience: Duration) {
        self.subscription.unsubscribe();
        self.calls.close();
        let _ = timeout(patience, self.calls.wait()).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.subscription.unsubscribe();
        self.ending.cancel();
    }
}

impl Serving {
    async fn take(self: Arc<Self>, subscription: Subscription, calls: TaskTracker) {
        while let Some(message) = subscription.next().await {
            let place = self.taken.clone().try_acquire_owned().ok();
            let serving = self.clone();
            calls.spawn(async move {
                let Some(caller) = message.reply_to().map(Arc::from) else {
                    let subject = message.subject();
                    tracing::debug!(subject, "A call without an inbox is left out.");
                    return;
                };
                let window = header::number(&message, header::WINDOW);
                let peer = Peer { inbox: caller, window };
                match (place, serving.exchange.register()) {
                    (Some(_place), Some(registered)) => {
                        serving.answer(message, peer, registered).await;
                    }
                    _ => {
                        let why = "as many calls as may be are being answered".to_owned();
                        serving.refuse(&peer, &Refusal { kind: Kind::Busy, why }).await;
                    }
                }
            });
        }
    }

    async fn refuse(&self, peer: &Peer, refusal: &Refusal) {
        let results = format!("{}.results", peer.inbox);
        let refused = header::refusal(refusal);
        let _ = self.exchange.publish(&results, None, refused, bytes::Bytes::new()).await;
    }

    async fn answer(&self, message: Message, peer: Peer, registered: Registered) {
        let settings = &self.exchange.settings;
        let left = header::timeout(&message).unwrap_or(settings.timeout);
        // Further away than anybody waits.
        let deadline = Instant::now() + left.min(Duration::from_secs(30 * 24 * 3600));
        let mailbox = registered.mailbox.clone();
        let call = Call::taken(&self.exchange, registered, deadline, peer.clone());
        let answered = tokio::select! {
            answered = timeout_at(deadline, self.work(&message, &peer, Arc::new(call))) => answered,
            () = mailbox.wait(|state| state.is_given_up().then_some(())) => return,
            () = self.ending.cancelled() => {
                Ok(Err(Unanswered::Refused(Refusal::failed("the host that answered it is ending"))))
            }
        };
        let refusal = match answered {
            Ok(Ok(())) => return,
            Ok(Err(Unanswered::Refused(refusal))) => refusal,
            Ok(Err(Unanswered::Publish(error))) => Refusal::failed(error),
            Err(_) => {
                let why = format!("it was not answered within {left:?}");
                Refusal { kind: Kind::Deadline, why }
            }
        };
        self.refuse(&peer, &refusal).await;
    }

    async fn work(
        &self,
        message: &Message,
        peer: &Peer,
        call: Arc<Call>,
    ) -> Result<(), Unanswered> {
        let Some(inbox) = call.inbox().map(|registered| registered.subject.clone()) else {
            return Ok(());
        };
        let mut greeted = false;
        let ours = peer.window.is_some();
        let mut decoder = Decoder::new(&self.signature.params, self.exchange.settings.limits);
        let makes_no_sense = |why: StreamError| {
            let why = format!("its parameters make no sense: {why}");
            Unanswered::Refused(Refusal { kind: Kind::Refused, why })
        };
        let mut input = message.body().clone();
        let mut inlet = Inlet { path: Path::default(), at: input.len() as u64 };
        let params = loop {
            match decoder.feed(&mut input).map_err(|why| makes_no_sense(why.into()))? {
                Some(Value::Tuple(params)) => break params,
                Some(other) => break vec![other],
                None => {}
            }
            if !std::mem::replace(&mut greeted, true) {
                self.greet(peer, &inbox).await?;
            }
            match inlet.next(&call).await.map_err(makes_no_sense)? {
                Came::Bytes(bytes) => input = bytes,
                Came::End(_) => return Err(makes_no_sense(decoder.ended().into())),
            }
        };
        let later = decoder.take_later();
        if !greeted && (!ours || !later.is_empty()) {
            greeted = true;
            self.greet(peer, &inbox).await?;
        }
        let (later, context) = (
            Arriving::all(&call, later),
            Context { deadline: call.deadline, trace: header::trace(message) },
        );
        let Ok(_active) = self.active.acquire().await else { return Ok(()) };
        let mut answer = self.handler.call(context, Received { values: params, later });
        let mut at_once = std::pin::pin!(tokio::time::sleep(AT_ONCE));
        let outgoing = loop {
            tokio::select! {
                biased;
                outgoing = &mut answer => break outgoing,
                () = &mut at_once, if !greeted => {
                    greeted = true;
                    self.greet(peer, &inbox).await?;
                }
            }
        };
        drop(answer);
        self.send(
            outgoing.map_err(Unanswered::Refused)?,
            peer,
            &call,
            (!greeted).then_some(&*inbox),
        )
        .await
    }

    /// Tells the caller where its parameters go.
    async fn greet(&self, peer: &Peer, inbox: &str) -> Result<(), PublishError> {
        let body = bytes::Bytes::new();
        self.exchange.publish(&peer.inbox, Some(inbox), self.window(), body).await.map(drop)
    }

    fn window(&self) -> Headers {
        vec![(header::WINDOW.to_owned(), self.exchange.settings.window.to_string())]
    }

    async fn send(
        &self,
        outgoing: Outgoing,
        peer: &Peer,
        call: &Call,
        ungreeted: Option<&str>,
    ) -> Result<(), Unanswered> {
        let Some(inbox) = call.inbox() else { return Ok(()) };
        let mut body = BytesMut::new();
        let later = encode(&self.signature.results, &outgoing.values, &mut body)
            .map_err(|error| Unanswered::Refused(Refusal::failed(error)))?;
        let line = Line::new(&self.exchange, &inbox.mailbox, peer, "results");
        let mut values = line.values(0);
        let nothing = body.is_empty();
        // It has to know where to say how much it took.
        let (reply_to, headers) = match ungreeted.filter(|_| !later.is_empty()) {
            Some(inbox) => (Some(inbox), self.window()),
            None => (None, Headers::new()),
        };
        values.write_first(body.freeze(), reply_to, headers).await?;
        // No bytes are an end already.
        if peer.window.is_none() && !nothing {
            values.end(None).await?;
        }
        line.send_later(later, outgoing.later).await?;
        Ok(())
    }
}

impl From<PublishError> for Unanswered {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("signature", &self.signature).finish_non_exhaustive()
    }
}
