//! Calls over real NATS servers, the newest and the oldest that are supported.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use reef_bus::Bus;
use reef_lattice::Lattice;
use reef_rpc::{
    CallError, Client, Context, Exchange, Handler, Options, Outgoing, Piece, Received, Refusal,
    Server as Calls, Settings, Source,
};
use reef_servers::{Nats, Server};
use reef_wrpc::{Function, Signature, Type, Value};

/// Gives back the bytes, and the stream as it comes.
struct Back;

impl Handler for Back {
    fn call(
        &self,
        _: Context,
        mut params: Received,
    ) -> BoxFuture<'static, Result<Outgoing, Refusal>> {
        let later = params.later.drain(..).map(|arriving| {
            let pieces = stream::unfold(arriving, |mut arriving| async {
                let piece = arriving.next().await.map_err(Refusal::failed);
                let piece = piece.transpose()?.map(|chunk| Piece::from(chunk.value));
                Some((piece, arriving))
            });
            Source::Stream(pieces.boxed())
        });
        let later = later.collect();
        async move { Ok(Outgoing { values: params.values, later }) }.boxed()
    }
}

fn bus(server: &Server) -> Arc<dyn Bus> {
    Lattice::nats(&server.url().parse().unwrap()).unwrap().bus
}

async fn carried(version: Nats) {
    let server = Server::nats_with(version, "max_payload: 65536").unwrap();
    let stream = || Type::Stream(Some(Arc::new(Type::U8)));
    let both = || [Type::List(Arc::new(Type::U8)), stream()];
    let signature = Signature::new(both(), both()).unwrap();
    let function = Function {
        prefix: "reef.test.there".into(),
        instance: "a:b/c@1.0.0".into(),
        name: "f".into(),
    };
    let there = Exchange::open(bus(&server), Settings::default()).await.unwrap();
    let here = Exchange::open(bus(&server), Settings::default()).await.unwrap();
    let client = Client::new(&here);
    let options = Options { timeout: Some(Duration::from_secs(30)), ..Options::default() };
    let params = || {
        let piece = || Ok(Piece::from(Value::Bytes(Bytes::from(vec![5; 200_000]))));
        let pieces = stream::iter((0..20).map(move |_| piece()));
        Outgoing {
            // Larger than a message: how large one may be is found out.
            values: vec![Value::Bytes(Bytes::from(vec![3; 300_000])), Value::Later(0)],
            later: vec![Source::Stream(pieces.boxed())],
        }
    };
    let error = client.invoke(&function, &signature, params(), &options).await.unwrap_err();
    assert!(matches!(error, CallError::NoServer { .. }), "{error}");

    let server = Calls::new(&there);
    let _served =
        server.serve(&function, Some("q"), signature.clone(), 4, Arc::new(Back)).await.unwrap();
    let mut answer = client.invoke(&function, &signature, params(), &options).await.unwrap();
    assert!(answer.values[0] == Value::Bytes(Bytes::from(vec![3; 300_000])));
    let mut arriving = answer.later.remove(0);
    let mut bytes = 0;
    while let Some(chunk) = arriving.next().await.unwrap() {
        let Value::Bytes(piece) = chunk.value else { panic!("no bytes") };
        bytes += piece.len();
    }
    assert_eq!(bytes, 20 * 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_newest() {
    carried(Nats::Newest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_oldest() {
    carried(Nats::Oldest).await;
}
