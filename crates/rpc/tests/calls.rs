//! Calls over a bus of one process: values, what comes later, and all that goes wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use reef_bus::{Bus, InProcess, Limits};
use reef_rpc::{
    CallError, Client, Context, Exchange, Handler, Kind, Options, Outgoing, Piece, Received,
    Refusal, Served, Server, Settings, Source, StreamError, Trace,
};
use reef_wrpc::{Function, Signature, Type, Value};
use tokio::sync::Notify;

struct By<F>(F);

impl<F, G> Handler for By<F>
where
    F: Fn(Context, Received) -> G + Send + Sync,
    G: Future<Output = Result<Outgoing, Refusal>> + Send + 'static,
{
    fn call(
        &self,
        context: Context,
        params: Received,
    ) -> BoxFuture<'static, Result<Outgoing, Refusal>> {
        (self.0)(context, params).boxed()
    }
}

fn function() -> Function {
    Function { prefix: "here".into(), instance: "a:b/c@1.0.0".into(), name: "f".into() }
}

/// A bus of messages of 4 KiB, so that values take several.
fn bus() -> Arc<dyn Bus> {
    Arc::new(InProcess::new(Limits { message: 4096, ..Limits::default() }))
}

fn settings() -> Settings {
    Settings { message: 4096, window: 8192, ..Settings::default() }
}

/// A caller and a server, each with an exchange of its own.
async fn pair<F, G>(signature: &Signature, concurrency: usize, answer: F) -> (Client, Served)
where
    F: Fn(Context, Received) -> G + Send + Sync + 'static,
    G: Future<Output = Result<Outgoing, Refusal>> + Send + 'static,
{
    let bus = bus();
    let there = Exchange::open(bus.clone(), settings()).await.unwrap();
    let handler = Arc::new(By(answer));
    let server = Server::new(&there);
    let served = server
        .serve(&function(), Some("queue"), signature.clone(), concurrency, handler)
        .await
        .unwrap();
    let here = Exchange::open(bus, settings()).await.unwrap();
    (Client::new(&here), served)
}

fn within(timeout: Duration) -> Options {
    Options { timeout: Some(timeout), ..Options::default() }
}

fn bytes_in_and_out() -> Signature {
    let bytes = || Type::List(Arc::new(Type::U8));
    Signature::new([bytes()], [bytes()]).unwrap()
}

fn streams_in_and_out() -> Signature {
    let stream = || Type::Stream(Some(Arc::new(Type::U8)));
    Signature::new([stream()], [stream()]).unwrap()
}

fn nothing() -> Signature {
    Signature::new([], []).unwrap()
}

async fn echo(_: Context, params: Received) -> Result<Outgoing, Refusal> {
    Ok(params.values.into())
}

#[tokio::test]
async fn values_of_any_size_come_back() {
    let signature = bytes_in_and_out();
    let (client, _served) = pair(&signature, 4, echo).await;
    for size in [0, 10, 3000, 4096, 5000, 1_000_000] {
        let value = Value::Bytes(Bytes::from(vec![7; size]));
        let params = vec![value.clone()].into();
        let answer = client.invoke(&function(), &signature, params, &Options::default()).await;
        assert!(answer.unwrap().values == [value], "{size}");
    }
    let (client, _served) = pair(&nothing(), 4, echo).await;
    let params = Outgoing::default();
    let answer = client.invoke(&function(), &nothing(), params, &Options::default()).await;
    assert_eq!(answer.unwrap().values, []);
}

#[tokio::test]
async fn deadline_and_trace_go_with_the_call() {
    let said = Signature::new([], [Type::String]).unwrap();
    let (client, _served) = pair(&said, 4, |context: Context, _| async move {
        let left = context.deadline.saturating_duration_since(tokio::time::Instant::now());
        assert!(left > Duration::from_secs(40) && left <= Duration::from_secs(50));
        let Trace { parent, state } = context.trace;
        let said = format!("{} {}", parent.unwrap_or_default(), state.unwrap_or_default());
        Ok(vec![Value::String(said)].into())
    })
    .await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = Trace { parent: Some(parent.into()), state: Some("a=b".into()) };
    let options = Options { timeout: Some(Duration::from_secs(50)), trace };
    let answer = client.invoke(&function(), &said, Outgoing::default(), &options).await.unwrap();
    assert_eq!(answer.values, [Value::String(format!("{parent} a=b"))]);
}

#[tokio::test]
async fn streams_go_both_ways_at_once() {
    let signature = streams_in_and_out();
    // Gives back each piece as it comes, turned round.
    let (client, _served) = pair(&signature, 4, |_, mut params: Received| async move {
        let arriving = params.later.remove(0);
        let pieces = stream::unfold(arriving, |mut arriving| async move {
            let piece = match arriving.next().await {
                Ok(Some(chunk)) => match chunk.value {
                    Value::Bytes(bytes) => {
                        Ok(Piece::from(Value::Bytes(bytes.iter().rev().copied().collect())))
                    }
                    other => panic!("{other:?}"),
                },
                Ok(None) => return None,
                Err(error) => Err(Refusal::failed(error)),
            };
            Some((piece, arriving))
        });
        Ok(Outgoing { values: vec![Value::Later(0)], later: vec![Source::Stream(pieces.boxed())] })
    })
    .await;
    // The next piece goes out when the one before has come back: neither waits for all of the other.
    let turn = Arc::new(Notify::new());
    let mine = turn.clone();
    let sizes = [1, 10, 5000, 100_000, 3];
    let pieces = stream::iter(sizes).enumerate().then(move |(at, size)| {
        let turn = mine.clone();
        async move {
            if at > 0 {
                turn.notified().await;
            }
            let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
            Ok(Piece::from(Value::Bytes(bytes.into())))
        }
    });
    let params =
        Outgoing { values: vec![Value::Later(0)], later: vec![Source::Stream(pieces.boxed())] };
    let options = within(Duration::from_secs(20));
    let mut answer = client.invoke(&function(), &signature, params, &options).await.unwrap();
    assert_eq!(answer.values, [Value::Later(0)]);
    let mut arriving = answer.later.remove(0);
    for size in sizes {
        let chunk = arriving.next().await.unwrap().unwrap();
        let expected: Vec<u8> = (0..size).map(|at| at as u8).rev().collect();
        assert!(chunk.value == Value::Bytes(expected.into()), "{size}");
        turn.notify_one();
    }
    assert!(arriving.next().await.unwrap().is_none());
}

#[tokio::test]
async fn no_more_is_sent_than_there_is_room_for() {
    let stream_out = Signature::new([], [Type::Stream(Some(Arc::new(Type::U8)))]).unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let (client, _served) = pair(&stream_out, 4, move |_, _| {
        let made = counted.clone();
        async move {
            let pieces = stream::repeat_with(move || {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(Piece::from(Value::Bytes(Bytes::from(vec![1; 1024]))))
            });
            let later = vec![Source::Stream(pieces.take(1000).boxed())];
            Ok(Outgoing { values: vec![Value::Later(0)], later })
        }
    })
    .await;
    let options = within(Duration::from_secs(20));
    let params = Outgoing::default();
    let mut answer = client.invoke(&function(), &stream_out, params, &options).await.unwrap();
    // As much as the window has, and what is in hand.
    while made.load(Ordering::SeqCst) < 8 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(made.load(Ordering::SeqCst) <= 10, "{}", made.load(Ordering::SeqCst));
    let mut arriving = answer.later.remove(0);
    let mut bytes = 0;
    while let Some(chunk) = arriving.next().await.unwrap() {
        let Value::Bytes(piece) = chunk.value else { panic!("no bytes") };
        bytes += piece.len();
    }
    assert_eq!(bytes, 1000 * 1024);
}

#[tokio::test]
async fn futures_and_streams_within_streams() {
    let inner = Type::Future(Some(Arc::new(Type::String)));
    let outer = Type::Stream(Some(Arc::new(inner)));
    let signature = Signature::new([], [outer, Type::Future(None)]).unwrap();
    let (client, _served) = pair(&signature, 4, |_, _| async {
        let pieces = stream::iter(0..3).map(|at| {
            let future = async move { Ok(Piece::from(Value::String(format!("no. {at}")))) };
            let later = vec![Source::Future(future.boxed())];
            Ok(Piece { value: Value::List(vec![Value::Later(0)]), later })
        });
        let nothing = async { Ok(Piece::from(Value::Ready(None))) };
        let later = vec![Source::Stream(pieces.boxed()), Source::Future(nothing.boxed())];
        Ok(Outgoing { values: vec![Value::Later(0), Value::Later(1)], later })
    })
    .await;
    let options = within(Duration::from_secs(20));
    let params = Outgoing::default();
    let answer = client.invoke(&function(), &signature, params, &options).await.unwrap();
    let [mut outer, mut nothing] = <[_; 2]>::try_from(answer.later).unwrap();
    assert_eq!(nothing.next().await.unwrap().unwrap().value, Value::Ready(None));
    let mut said = Vec::new();
    while let Some(mut chunk) = outer.next().await.unwrap() {
        said.push(chunk.later.remove(0).next().await.unwrap().unwrap().value);
    }
    let expected = ["no. 0", "no. 1", "no. 2"].map(|text| Value::String(text.into()));
    assert_eq!(said, expected);
}

#[tokio::test]
async fn nobody_there_busy_and_too_late() {
    let here = Exchange::open(bus(), settings()).await.unwrap();
    let client = Client::new(&here);
    let params = Outgoing::default();
    let error = client.invoke(&function(), &nothing(), params, &Options::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, CallError::NoServer { .. }) && error.never_began(), "{error}");

    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let (client, _served) = pair(&nothing(), 1, move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::pending()
    })
    .await;
    // The one that is answered waits the longest: who is behind it is not to have its place.
    let calls = [900, 300, 300].map(|millis| {
        let (client, options) = (client.clone(), within(Duration::from_millis(millis)));
        async move { client.invoke(&function(), &nothing(), Outgoing::default(), &options).await }
    });
    let errors = futures::future::join_all(calls).await;
    let busy = |error: &CallError| {
        matches!(error, CallError::Refused { refusal: Refusal { kind: Kind::Busy, .. }, .. })
    };
    // One is being answered, one waits for that, and there is no place for the third.
    let errors: Vec<CallError> = errors.into_iter().map(Result::unwrap_err).collect();
    assert_eq!(errors.iter().filter(|error| busy(error)).count(), 1, "{errors:?}");
    assert!(errors.iter().all(|error| busy(error) == error.never_began()));
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

/// Says when it is dropped.
struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_server_is_told_that_nobody_waits() {
    let (begun, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, told) = (begun.clone(), gone.clone());
    let (client, _served) = pair(&nothing(), 4, move |_, _| {
        let (begun, told) = (tells.clone(), Told(told.clone()));
        async move {
            begun.notify_one();
            let _told = told;
            std::future::pending().await
        }
    })
    .await;
    let calling = tokio::spawn(async move {
        client.invoke(&function(), &nothing(), Outgoing::default(), &Options::default()).await
    });
    begun.notified().await;
    calling.abort();
    tokio::time::timeout(Duration::from_secs(10), gone.notified()).await.unwrap();
}

#[tokio::test]
async fn what_fails_says_why() {
    let (client, _served) =
        pair(&nothing(), 4, |_, _| async { Err(Refusal::failed("no\nroom")) }).await;
    let params = Outgoing::default();
    let error = client.invoke(&function(), &nothing(), params, &Options::default()).await;
    let error = error.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`here.wrpc.0.0.1.a:b/c@1.0.0.f` was not answered: failed: no room"
    );
    assert!(!error.never_began());

    // Parameters of another type than it takes.
    let (client, _served) = pair(&Signature::new([Type::Bool], []).unwrap(), 4, echo).await;
    let wrong = Signature::new([Type::U8], []).unwrap();
    let params = vec![Value::U8(9)].into();
    let error = client.invoke(&function(), &wrong, params, &Options::default()).await.unwrap_err();
    assert!(error.never_began() && error.to_string().contains("no bool"), "{error}");

    // A stream that breaks off.
    let stream_out = Signature::new([], [Type::Stream(Some(Arc::new(Type::U8)))]).unwrap();
    let (client, _served) = pair(&stream_out, 4, |_, _| async {
        let pieces = stream::iter([
            Ok(Piece::from(Value::Bytes(Bytes::from_static(b"ab")))),
            Err(Refusal::failed("out of paper")),
        ]);
        let later = vec![Source::Stream(pieces.boxed())];
        Ok(Outgoing { values: vec![Value::Later(0)], later })
    })
    .await;
    let options = Options::default();
    let params = Outgoing::default();
    let mut answer = client.invoke(&function(), &stream_out, params, &options).await.unwrap();
    let mut arriving = answer.later.remove(0);
    arriving.next().await.unwrap().unwrap();
    let broken = arriving.next().await.unwrap_err();
    assert_eq!(broken, StreamError::Broken("out of paper".into()));
}

#[tokio::test]
async fn a_call_that_is_over_takes_no_more_parameters() {
    let stream_in = Signature::new([Type::Stream(Some(Arc::new(Type::U8)))], []).unwrap();
    let (tells, told) = tokio::sync::oneshot::channel();
    let tells = std::sync::Mutex::new(Some(tells));
    // Answers at once, and goes on reading.
    let (client, _served) = pair(&stream_in, 4, move |_, mut params: Received| {
        let tells = tells.lock().unwrap().take().unwrap();
        let mut arriving = params.later.remove(0);
        tokio::spawn(async move {
            let ended = loop {
                match arriving.next().await {
                    Ok(Some(_)) => {}
                    ended => break ended.map(drop),
                }
            };
            let _ = tells.send(ended);
        });
        async { Ok(Outgoing::default()) }
    })
    .await;
    let later = vec![Source::Stream(stream::pending().boxed())];
    let params = Outgoing { values: vec![Value::Later(0)], later };
    client.invoke(&function(), &stream_in, params, &Options::default()).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), told).await.unwrap().unwrap();
    // Not as if it were whole.
    assert!(matches!(ended, Err(StreamError::Broken(_))), "{ended:?}");
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_begun() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, waits) = (begun.clone(), go_on.clone());
    let (client, served) = pair(&nothing(), 4, move |_, _| {
        let (begun, go_on) = (tells.clone(), waits.clone());
        async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(Outgoing::default())
        }
    })
    .await;
    let another = client.clone();
    let calling = tokio::spawn(async move {
        client.invoke(&function(), &nothing(), Outgoing::default(), &Options::default()).await
    });
    begun.notified().await;
    let stopping = tokio::spawn(served.stop(Duration::from_secs(10)));
    loop {
        let params = Outgoing::default();
        let options = within(Duration::from_millis(50));
        match another.invoke(&function(), &nothing(), params, &options).await {
            Err(CallError::NoServer { .. }) => break,
            _ => tokio::task::yield_now().await,
        }
    }
    go_on.notify_waiters();
    calling.await.unwrap().unwrap();
    stopping.await.unwrap();
}
