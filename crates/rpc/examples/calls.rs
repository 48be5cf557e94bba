//! What a small call costs beside a request and its reply of the same size, over a NATS server on this
//! machine, one after the other: `cargo run --profile measure -p reef-rpc --example calls [BYTES]`.
#![allow(clippy::unwrap_used, reason = "a measurement")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use reef_lattice::Lattice;
use reef_rpc::{
    Client, Context, Exchange, Handler, Options, Outgoing, Received, Refusal, Server as Calls,
    Settings,
};
use reef_servers::{Nats, Server};
use reef_wrpc::{Function, Signature, Type, Value};

const ROUND: usize = 500;
const ROUNDS: usize = 12;

struct Back;

impl Handler for Back {
    fn call(&self, _: Context, params: Received) -> BoxFuture<'static, Result<Outgoing, Refusal>> {
        async { Ok(params.values.into()) }.boxed()
    }
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let size = std::env::args().nth(1).map_or(64, |size| size.parse().unwrap());
    let server = Server::nats(Nats::Newest).unwrap();
    let bytes = || Type::List(Arc::new(Type::U8));
    let signature = Signature::new([bytes()], [bytes()]).unwrap();
    let function =
        Function { prefix: "there".into(), instance: "a:b/c@1.0.0".into(), name: "f".into() };
    let exchange = || async {
        let lattice = Lattice::nats(&server.url().parse().unwrap()).unwrap();
        Exchange::open(lattice.bus, Settings::default()).await.unwrap()
    };
    let there = Calls::new(&exchange().await);
    let _served = there.serve(&function, Some("q"), signature.clone(), 64, Arc::new(Back)).await;
    let client = Client::new(&exchange().await);

    let raw = async_nats::connect(server.url()).await.unwrap();
    let answers = async_nats::connect(server.url()).await.unwrap();
    let mut requests = answers.queue_subscribe("raw", "q".into()).await.unwrap();
    answers.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            answers.publish(request.reply.unwrap(), request.payload).await.unwrap();
        }
    });

    let body = Bytes::from(vec![7; size]);
    let (mut ours, mut theirs, mut options) = (Vec::new(), Vec::new(), Options::default());
    options.timeout = Some(Duration::from_secs(5));
    for round in 0..ROUNDS {
        for kind in [round % 2, 1 - round % 2] {
            for _ in 0..ROUND {
                let start = Instant::now();
                if kind == 0 {
                    let params = vec![Value::Bytes(body.clone())].into();
                    client.invoke(&function, &signature, params, &options).await.unwrap();
                    ours.push(start.elapsed());
                } else {
                    raw.request("raw", body.clone()).await.unwrap();
                    theirs.push(start.elapsed());
                }
            }
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("{size} bytes: a call {ours:?}, a request {theirs:?}: {ratio:.2}");
}
