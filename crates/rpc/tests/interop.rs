//! Calls between ours and wRPC's own implementation (`wrpc-transport-nats` 0.31 on `wrpc-transport` 0.29) over a real
//! NATS server, each way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream};
use reef_bus::Bus;
use reef_lattice::Lattice;
use reef_rpc::{
    Arriving, CallError, Client, Context, Exchange, Handler, Options, Outgoing, Piece, Received,
    Refusal, Served, Server as Calls, Settings, Source,
};
use reef_servers::{Nats, Server};
use reef_wrpc::{Function, Signature, Type, Value};
use tokio_util::task::AbortOnDropHandle;
use wrpc_transport::{InvokeExt as _, ServeExt as _};

const PREFIX: &str = "reef.test.there";
const INSTANCE: &str = "wrpc-test:integration/async@0.1.0";
/// What a message holds at most, so that some values take several.
const MESSAGE: usize = 65536;
const SOON: Duration = Duration::from_secs(30);

type Theirs = wrpc_transport_nats::Client;
type TheirStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;
type TheirFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Values of every kind that is one of wRPC's Rust types.
type Plain = (
    u8,
    u32,
    i64,
    f64,
    char,
    bool,
    String,
    (u16, String),
    Option<String>,
    Option<u32>,
    Result<u32, String>,
    Result<u32, String>,
);

/// Lists, one of which is larger than a message.
type Lists = (Bytes, Vec<String>, Vec<(u32, bool)>, Vec<Vec<u64>>, Vec<String>);

type Later = (String, TheirStream<Bytes>, TheirStream<Vec<String>>, TheirFuture<String>);

fn plain() -> Plain {
    (
        200,
        4_000_000_000,
        i64::MIN,
        -0.25,
        '🪸',
        true,
        "reef".into(),
        (65535, "in a tuple".into()),
        Some("some".into()),
        None,
        Ok(7),
        Err("no".into()),
    )
}

fn plain_types() -> Vec<Type> {
    let or_text = || Type::Result(Some(Arc::new(Type::U32)), Some(Arc::new(Type::String)));
    vec![
        Type::U8,
        Type::U32,
        Type::S64,
        Type::F64,
        Type::Char,
        Type::Bool,
        Type::String,
        Type::Tuple([Type::U16, Type::String].into()),
        Type::Option(Arc::new(Type::String)),
        Type::Option(Arc::new(Type::U32)),
        or_text(),
        or_text(),
    ]
}

fn plain_values() -> Vec<Value> {
    let text = |text: &str| Value::String(text.into());
    let some = |value| Some(Box::new(value));
    vec![
        Value::U8(200),
        Value::U32(4_000_000_000),
        Value::S64(i64::MIN),
        Value::F64(-0.25),
        Value::Char('🪸'),
        Value::Bool(true),
        text("reef"),
        Value::Tuple(vec![Value::U16(65535), text("in a tuple")]),
        Value::Option(some(text("some"))),
        Value::Option(None),
        Value::Result(Ok(some(Value::U32(7)))),
        Value::Result(Err(some(text("no")))),
    ]
}

fn lists() -> Lists {
    let texts = (0..5000).map(|number| format!("text {number}")).collect();
    let pairs = vec![(1, true), (300, false)];
    (vec![5; 3 * MESSAGE].into(), texts, pairs, vec![vec![], vec![u64::MAX]], Vec::new())
}

fn list_types() -> Vec<Type> {
    let list = |ty| Type::List(Arc::new(ty));
    let pair = Type::Tuple([Type::U32, Type::Bool].into());
    vec![list(Type::U8), list(Type::String), list(pair), list(list(Type::U64)), list(Type::String)]
}

fn list_values() -> Vec<Value> {
    let (bytes, words, pairs, numbers, none) = lists();
    let texts = |texts: Vec<String>| Value::List(texts.into_iter().map(Value::String).collect());
    let pairs = pairs.into_iter().map(|(a, b)| Value::Tuple(vec![Value::U32(a), Value::Bool(b)]));
    let numbers =
        numbers.into_iter().map(|list| Value::List(list.into_iter().map(Value::U64).collect()));
    vec![
        Value::Bytes(bytes),
        texts(words),
        Value::List(pairs.collect()),
        Value::List(numbers.collect()),
        texts(none),
    ]
}

fn later_types() -> Vec<Type> {
    vec![
        Type::String,
        Type::Stream(Some(Arc::new(Type::U8))),
        Type::Stream(Some(Arc::new(Type::String))),
        Type::Future(Some(Arc::new(Type::String))),
    ]
}

/// Where what comes later is, as their side wants to know before a call.
fn later_paths() -> Vec<Box<[Option<usize>]>> {
    [1, 2, 3].map(|at| Box::from([Some(at)])).into()
}

/// Pieces of a stream of bytes, of which some are larger than a message; all of them together.
fn pieces() -> (Vec<Bytes>, Bytes) {
    let pieces: Vec<Bytes> =
        [1, 1000, 2 * MESSAGE, 10].iter().map(|size| vec![*size as u8; *size].into()).collect();
    let all = pieces.concat().into();
    (pieces, all)
}

fn words() -> Vec<Vec<String>> {
    vec![vec!["one".into(), "two".into()], vec!["three".into()]]
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.unwrap()
}

struct By<F>(F);

impl<F, G> Handler for By<F>
where
    F: Fn(Received) -> G + Send + Sync,
    G: Future<Output = Result<Outgoing, Refusal>> + Send + 'static,
{
    fn call(&self, _: Context, params: Received) -> BoxFuture<'static, Result<Outgoing, Refusal>> {
        (self.0)(params).boxed()
    }
}

/// What comes is what goes.
fn back(arriving: Arriving) -> Source {
    let future = matches!(arriving.ty(), Type::Future(_));
    let mut pieces = stream::unfold(arriving, |mut arriving| async {
        let piece = arriving.next().await.map_err(Refusal::failed);
        let piece = piece.transpose()?.map(|chunk| Piece::from(chunk.value));
        Some((piece, arriving))
    })
    .boxed();
    if !future {
        return Source::Stream(pieces);
    }
    let became = async move {
        pieces.next().await.unwrap_or_else(|| Err(Refusal::failed("it became nothing")))
    };
    Source::Future(became.boxed())
}

/// NATS, and what is needed for calls by both implementations.
struct Both {
    exchange: Exchange,
    theirs: Theirs,
    /// What theirs is connected by.
    connection: async_nats_of_wrpc::Client,
    _nats: Server,
}

impl Both {
    async fn new() -> Self {
        let nats = Server::nats_with(Nats::Newest, &format!("max_payload: {MESSAGE}")).unwrap();
        let bus: Arc<dyn Bus> = Lattice::nats(&nats.url().parse().unwrap()).unwrap().bus;
        let exchange = Exchange::open(bus, Settings::default()).await.unwrap();
        let connection = async_nats_of_wrpc::connect(nats.url()).await.unwrap();
        let theirs = Theirs::new(connection.clone(), PREFIX, None).await.unwrap();
        Self { exchange, theirs, connection, _nats: nats }
    }

    /// Waits until the server has seen all that theirs told it, which it does not do by itself: it answers in order.
    async fn seen(&self) {
        let nobody = self.connection.request("nobody.is.there", Bytes::new());
        in_time(nobody).await.unwrap_err();
    }

    /// A function that ours serves.
    async fn serve<F, G>(&self, name: &str, signature: Signature, answer: F) -> Served
    where
        F: Fn(Received) -> G + Send + Sync + 'static,
        G: Future<Output = Result<Outgoing, Refusal>> + Send + 'static,
    {
        let (server, handler) = (Calls::new(&self.exchange), Arc::new(By(answer)));
        server.serve(&function(name), None, signature, 4, handler).await.unwrap()
    }

    async fn serve_back(&self, name: &str, types: fn() -> Vec<Type>) -> Served {
        self.serve(name, both(types), |params| async {
            let later = params.later.into_iter().map(back).collect();
            Ok(Outgoing { values: params.values, later })
        })
        .await
    }

    /// A function that theirs serves, which gives back what it takes.
    async fn theirs_back<T>(
        &self,
        name: &str,
        paths: Vec<Box<[Option<usize>]>>,
    ) -> AbortOnDropHandle<()>
    where
        T: wrpc_transport::TupleDecode<wrpc_transport_nats::Reader>
            + wrpc_transport::TupleEncode<wrpc_transport_nats::SubjectWriter>
            + Send
            + 'static,
        <T::Decoder as tokio_util::codec::Decoder>::Error:
            std::error::Error + Send + Sync + 'static,
        <T::Encoder as tokio_util::codec::Encoder<T>>::Error:
            std::error::Error + Send + Sync + 'static,
    {
        let calls = self.theirs.serve_values::<T, T>(INSTANCE, name, paths).await.unwrap();
        self.seen().await;
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut calls = Box::pin(calls);
            while let Some(call) = calls.next().await {
                let (_, params, incoming, answer) = call.unwrap();
                let comes = async {
                    if let Some(incoming) = incoming {
                        incoming.await.unwrap();
                    }
                };
                let (answered, ()) = tokio::join!(answer(params), comes);
                answered.unwrap();
            }
        }))
    }

    async fn call(
        &self,
        name: &str,
        signature: &Signature,
        params: Outgoing,
    ) -> Result<Received, CallError> {
        let options = Options { timeout: Some(SOON), ..Options::default() };
        Client::new(&self.exchange).invoke(&function(name), signature, params, &options).await
    }
}

fn function(name: &str) -> Function {
    Function { prefix: PREFIX.into(), instance: INSTANCE.into(), name: name.into() }
}

/// What a function that gives back what it takes takes and returns.
fn both(types: fn() -> Vec<Type>) -> Signature {
    Signature::new(types(), types()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn their_client_gets_back_from_ours_what_it_sends() {
    let both = Both::new().await;
    let _plain = both.serve_back("plain", plain_types).await;
    let _lists = both.serve_back("lists", list_types).await;
    let none: [&[Option<usize>]; 0] = [];
    let answer: Plain =
        in_time(both.theirs.invoke_values_blocking(None, INSTANCE, "plain", plain(), none))
            .await
            .unwrap();
    assert_eq!(answer, plain());
    let answer: Lists =
        in_time(both.theirs.invoke_values_blocking(None, INSTANCE, "lists", lists(), none))
            .await
            .unwrap();
    assert!(answer == lists());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_gets_back_from_theirs_what_it_sends() {
    let all = Both::new().await;
    let _plain = all.theirs_back::<Plain>("plain", Vec::new()).await;
    let _lists = all.theirs_back::<Lists>("lists", Vec::new()).await;
    let answer = all.call("plain", &both(plain_types), plain_values().into()).await.unwrap();
    assert_eq!(answer.values, plain_values());
    let answer = all.call("lists", &both(list_types), list_values().into()).await.unwrap();
    assert!(answer.values == list_values());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_futures_of_their_client_go_to_ours_and_back() {
    let both = Both::new().await;
    let _later = both.serve_back("later", later_types).await;
    let (bytes, all) = pieces();
    let params: Later = (
        "now".into(),
        stream::iter(bytes).boxed(),
        stream::iter(words()).boxed(),
        async { "became".to_owned() }.boxed(),
    );
    let (answer, rest) = in_time(both.theirs.invoke_values::<_, _, Later>(
        None,
        INSTANCE,
        "later",
        params,
        later_paths(),
    ))
    .await
    .unwrap();
    let (now, bytes, words_back, became) = answer;
    let (rest, bytes, words_back, became) = in_time(async {
        tokio::join!(
            rest.unwrap(),
            bytes.collect::<Vec<_>>(),
            words_back.collect::<Vec<_>>(),
            became
        )
    })
    .await;
    rest.unwrap();
    assert_eq!((now.as_str(), became.as_str()), ("now", "became"));
    assert!(bytes.concat() == all);
    assert_eq!(words_back.concat(), words().concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_futures_of_our_client_go_to_theirs_and_back() {
    let all = Both::new().await;
    let _later = all.theirs_back::<Later>("later", later_paths()).await;
    let (bytes, whole) = pieces();
    let texts = |texts: Vec<String>| Value::List(texts.into_iter().map(Value::String).collect());
    let bytes = bytes.into_iter().map(|bytes| Ok(Piece::from(Value::Bytes(bytes))));
    let pieces = words().into_iter().map(move |words| Ok(Piece::from(texts(words))));
    let became = async { Ok(Piece::from(Value::String("became".into()))) };
    let params = Outgoing {
        values: vec![
            Value::String("now".into()),
            Value::Later(0),
            Value::Later(1),
            Value::Later(2),
        ],
        later: vec![
            Source::Stream(stream::iter(bytes.collect::<Vec<_>>()).boxed()),
            Source::Stream(stream::iter(pieces.collect::<Vec<_>>()).boxed()),
            Source::Future(became.boxed()),
        ],
    };
    let answer = all.call("later", &both(later_types), params).await.unwrap();
    assert_eq!(answer.values[0], Value::String("now".into()));
    let read = answer.later.into_iter().map(|mut arriving| async move {
        let mut chunks = Vec::new();
        while let Some(chunk) = arriving.next().await.unwrap() {
            chunks.push(chunk.value);
        }
        chunks
    });
    let read = in_time(futures::future::join_all(read)).await;
    let bytes = read[0].iter().map(|chunk| match chunk {
        Value::Bytes(bytes) => bytes.clone(),
        other => panic!("no bytes: {other:?}"),
    });
    assert!(bytes.collect::<Vec<_>>().concat() == whole);
    let texts = read[1].iter().flat_map(|chunk| match chunk {
        Value::List(texts) => texts.clone(),
        other => panic!("no list: {other:?}"),
    });
    let expected: Vec<_> = words().concat().into_iter().map(Value::String).collect();
    assert_eq!(texts.collect::<Vec<_>>(), expected);
    assert_eq!(read[2], [Value::String("became".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn their_client_is_told_of_failures_and_goes_on() {
    let both = Both::new().await;
    let signature = Signature::new([Type::Bool], [Type::U32]).unwrap();
    let _served = both
        .serve("may-fail", signature, |params| async move {
            match params.values[0] {
                Value::Bool(true) => Ok(vec![Value::U32(7)].into()),
                _ => Err(Refusal::failed("it was told to")),
            }
        })
        .await;
    let none: [&[Option<usize>]; 0] = [];
    let call = |name: &'static str, well: bool| {
        in_time(both.theirs.invoke_values_blocking::<_, _, (u32,)>(
            None,
            INSTANCE,
            name,
            (well,),
            none,
        ))
    };
    assert!(call("may-fail", false).await.is_err());
    assert_eq!(call("may-fail", true).await.unwrap(), (7,));
    // Nobody serves it, which NATS says.
    assert!(call("not-there", true).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_is_told_of_failures_of_theirs_and_goes_on() {
    let both = Both::new().await;
    let calls = both.theirs.serve_values::<(bool,), (u32,)>(INSTANCE, "may-fail", Vec::new());
    let calls = calls.await.unwrap();
    both.seen().await;
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut calls = Box::pin(calls);
        while let Some(call) = calls.next().await {
            let (_, (well,), _, answer) = call.unwrap();
            if well {
                answer((7,)).await.unwrap();
            }
        }
    }));
    let signature = Signature::new([Type::Bool], [Type::U32]).unwrap();
    let call = |name, well| both.call(name, &signature, vec![Value::Bool(well)].into());
    let error = call("may-fail", false).await.unwrap_err();
    assert!(matches!(error, CallError::Ended { .. }), "{error}");
    assert_eq!(call("may-fail", true).await.unwrap().values, [Value::U32(7)]);
    let error = call("not-there", true).await.unwrap_err();
    assert!(matches!(error, CallError::NoServer { .. }), "{error}");
}
