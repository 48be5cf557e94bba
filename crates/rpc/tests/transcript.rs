//! The messages of calls with others than us, one by one: wRPC's specification, section on NATS
//! (`SPEC.md` v0.0.1-draft.1, "Invocation lifecycle"), as its own NATS transport 0.31 sends them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use reef_bus::{Bus, Capacity, InProcess, Interest, Limits, Message, Subscription};
use reef_rpc::{
    CallError, Client, Context, Exchange, Handler, Options, Outgoing, Piece, Received, Refusal,
    Served, Server, Settings, Source,
};
use reef_wrpc::{Function, Signature, Type, Value};

const SUBJECT: &str = "default.wrpc.0.0.1.wrpc-test:integration/async.f";

fn function() -> Function {
    Function::parse(SUBJECT).unwrap()
}

fn settings() -> Settings {
    Settings { message: 4096, ..Settings::default() }
}

fn bus() -> Arc<dyn Bus> {
    Arc::new(InProcess::new(Limits { message: 4096, ..Limits::default() }))
}

/// The other side.
struct Other {
    bus: Arc<dyn Bus>,
    inbox: Subscription,
}

impl Other {
    async fn new(bus: &Arc<dyn Bus>, subject: &str) -> Self {
        let interest = Interest {
            name: "other".into(),
            subject: subject.parse().unwrap(),
            queue: None,
            capacity: Capacity::default(),
        };
        Self { bus: bus.clone(), inbox: bus.subscribe(interest).await.unwrap() }
    }

    async fn next(&self) -> Message {
        tokio::time::timeout(Duration::from_secs(10), self.inbox.next()).await.unwrap().unwrap()
    }

    /// The next message, which is about this, and what it says.
    #[track_caller]
    fn is(&self, subject: &str, body: &[u8]) -> impl Future<Output = Message> {
        let (subject, body) = (subject.to_owned(), body.to_owned());
        async move {
            let message = self.next().await;
            assert_eq!((message.subject(), &message.body()[..]), (&*subject, &*body));
            message
        }
    }

    async fn say(&self, subject: &str, reply_to: Option<&str>, body: &[u8]) {
        let mut message = Message::new(subject, body.to_vec()).unwrap();
        if let Some(reply_to) = reply_to {
            message = message.with_reply_to(reply_to).unwrap();
        }
        self.bus.publish(message).await.unwrap();
    }
}

/// Takes a stream, and gives one back when it is whole: its bytes, twice.
struct Twice;

impl Handler for Twice {
    fn call(
        &self,
        _: Context,
        mut params: Received,
    ) -> BoxFuture<'static, Result<Outgoing, Refusal>> {
        async move {
            let mut arriving = params.later.remove(0);
            let mut all = Vec::new();
            while let Some(chunk) = arriving.next().await.map_err(Refusal::failed)? {
                let Value::Bytes(bytes) = chunk.value else { panic!("no bytes") };
                all.extend(bytes);
            }
            let piece = || Ok(Piece::from(Value::Bytes(Bytes::from(all.clone()))));
            let pieces = stream::iter([piece(), piece()]);
            let later = vec![Source::Stream(pieces.boxed())];
            Ok(Outgoing { values: vec![params.values.remove(0), Value::Later(0)], later })
        }
        .boxed()
    }
}

async fn serve(exchange: &Exchange) -> Served {
    let server = Server::new(exchange);
    server.serve(&function(), None, signature(), 4, Arc::new(Twice)).await.unwrap()
}

fn signature() -> Signature {
    let stream = || Type::Stream(Some(Arc::new(Type::U8)));
    Signature::new([Type::String, stream()], [Type::String, stream()]).unwrap()
}

#[tokio::test]
async fn another_calls_us() {
    let bus = bus();
    let exchange = Exchange::open(bus.clone(), settings()).await.unwrap();
    let _served = serve(&exchange).await;
    let other = Other::new(&bus, "_INBOX.other.>").await;
    let caller = "_INBOX.other.1";
    // The start of the parameters, which end in the middle of the text.
    other.say(SUBJECT, Some(caller), b"\x05he").await;
    let handshake = other.is(caller, b"").await;
    let params = format!("{}.params", handshake.reply_to().unwrap());
    other.say(&params, None, b"llo\x00").await;
    other.say(&params, None, b"").await;
    let stream = format!("{params}.1");
    other.say(&stream, None, b"\x02ab\x01").await;
    other.say(&stream, None, b"c\x00").await;
    other.say(&stream, None, b"").await;
    let results = format!("{caller}.results");
    other.is(&results, b"\x05hello\x00").await;
    other.is(&results, b"").await;
    let stream = format!("{results}.1");
    other.is(&stream, b"\x03abc").await;
    other.is(&stream, b"\x03abc").await;
    other.is(&stream, b"\x00").await;
    other.is(&stream, b"").await;
}

#[tokio::test]
async fn another_whose_call_fails_has_an_empty_result() {
    let bus = bus();
    let exchange = Exchange::open(bus.clone(), settings()).await.unwrap();
    let _served = serve(&exchange).await;
    let other = Other::new(&bus, "_INBOX.other.>").await;
    other.say(SUBJECT, Some("_INBOX.other.1"), b"\x01\xff\x00").await;
    other.is("_INBOX.other.1.results", b"").await;
}

#[tokio::test]
async fn we_call_another() {
    let bus = bus();
    let exchange = Exchange::open(bus.clone(), settings()).await.unwrap();
    let other = Other::new(&bus, SUBJECT).await;
    let params = Other::new(&bus, "_INBOX.server.>").await;
    let calling = tokio::spawn(async move {
        let pieces = stream::iter([Ok(Piece::from(Value::Bytes(Bytes::from_static(b"abc"))))]);
        let text = "x".repeat(5000);
        let params = Outgoing {
            values: vec![Value::String(text), Value::Later(0)],
            later: vec![Source::Stream(pieces.boxed())],
        };
        let client = Client::new(&exchange);
        let options = Options { timeout: Some(Duration::from_secs(10)), ..Options::default() };
        let mut answer = client.invoke(&function(), &signature(), params, &options).await?;
        let mut arriving = answer.later.remove(0);
        let mut all = Vec::new();
        while let Some(chunk) = arriving.next().await.unwrap() {
            let Value::Bytes(bytes) = chunk.value else { panic!("no bytes") };
            all.extend(bytes);
        }
        Ok::<_, CallError>((answer.values.remove(0), all))
    });
    let call = other.next().await;
    let caller = call.reply_to().unwrap().to_owned();
    other.say(&caller, Some("_INBOX.server.1"), b"").await;
    let mut root = call.body().to_vec();
    loop {
        let message = params.next().await;
        assert_eq!(message.subject(), "_INBOX.server.1.params");
        if message.body().is_empty() {
            break;
        }
        root.extend_from_slice(message.body());
    }
    assert_eq!((&root[..2], root.len()), (&b"\x88\x27"[..], 2 + 5000 + 1));
    params.is("_INBOX.server.1.params.1", b"\x03abc").await;
    params.is("_INBOX.server.1.params.1", b"\x00").await;
    params.is("_INBOX.server.1.params.1", b"").await;
    let results = format!("{caller}.results");
    other.say(&results, None, b"\x02o").await;
    other.say(&results, None, b"k\x00").await;
    other.say(&results, None, b"").await;
    let stream = format!("{results}.1");
    other.say(&stream, None, b"\x02de\x01f\x00").await;
    other.say(&stream, None, b"").await;
    let (text, all) = calling.await.unwrap().unwrap();
    assert_eq!((text, &all[..]), (Value::String("ok".into()), &b"def"[..]));
}

#[tokio::test]
async fn another_that_traps_ends_the_call() {
    let bus = bus();
    let exchange = Exchange::open(bus.clone(), settings()).await.unwrap();
    let other = Other::new(&bus, SUBJECT).await;
    let calling = tokio::spawn(async move {
        let signature = Signature::new([], [Type::Bool]).unwrap();
        let options = Options::default();
        let params = Outgoing::default();
        Client::new(&exchange).invoke(&function(), &signature, params, &options).await
    });
    let call = other.next().await;
    let caller = call.reply_to().unwrap().to_owned();
    other.say(&caller, Some("_INBOX.server.1"), b"").await;
    other.say(&format!("{caller}.results"), None, b"").await;
    let error = calling.await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Ended { .. }) && !error.never_began(), "{error}");
}

#[tokio::test]
async fn what_a_nats_server_says_when_nobody_is_there() {
    let bus = bus();
    let exchange = Exchange::open(bus.clone(), settings()).await.unwrap();
    let other = Other::new(&bus, SUBJECT).await;
    let calling = tokio::spawn(async move {
        let signature = Signature::new([], []).unwrap();
        let params = Outgoing::default();
        let options = Options::default();
        Client::new(&exchange).invoke(&function(), &signature, params, &options).await
    });
    let call = other.next().await;
    other.say(call.reply_to().unwrap(), None, b"").await;
    let error = calling.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::NoServer { .. }), "{error}");
}
