//! Servers that are down, slow, or restart in the middle.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reef_capability::{Caller, Failure, Link};
use reef_messaging::{Channel, Incoming, Message, Outcome, Publisher};
use reef_servers::{Nats, Server};
use tokio::time::timeout;

use crate::{PATIENCE, Worker, interest, link};

const QUICK: (&str, &str) = ("timeout", "2s");

async fn publish(link: &Arc<Link<Channel>>, subject: &str, body: &str) -> Result<(), Failure> {
    let message = Message::new(subject, body.to_owned());
    Publisher::new(link.clone()).publish(&Caller::default(), message, None).await
}

/// Until it works again.
async fn published(link: &Arc<Link<Channel>>, subject: &str, body: &str) {
    let trying = async {
        while publish(link, subject, body).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, trying).await.unwrap();
}

/// A server that is not there is a failure in time; when it comes, all is well.
async fn is_not_there(server: &mut Server, link: &Arc<Link<Channel>>) {
    server.kill();
    let begun = Instant::now();
    let failure = publish(link, "f.x", "x").await.unwrap_err();
    assert!(failure.is_of_backend() && begun.elapsed() < Duration::from_secs(10), "{failure}");
    // An application starts all the same.
    let incoming = Incoming::open(link.clone(), interest(link, "one", "f.x")).await.unwrap();
    assert!(!incoming.state().listening, "{:?}", incoming.state());
    server.start_again().unwrap();
    let mut worker = Worker::start(link, interest(link, "one", "f.x"), |_| Outcome::Handled).await;
    published(link, "f.x", "x").await;
    loop {
        published(link, "f.x", "y").await;
        if timeout(Duration::from_secs(1), worker.next()).await.is_ok() {
            break;
        }
    }
    worker.end().await;
}

/// A frozen one, too.
async fn is_frozen(server: &Server, link: &Arc<Link<Channel>>) {
    published(link, "f.y", "before").await;
    server.freeze();
    let begun = Instant::now();
    let frozen = publish(link, "f.y", "x").await;
    let took = begun.elapsed();
    server.thaw();
    let failure = frozen.unwrap_err();
    assert!(matches!(failure, Failure::Timeout(_) | Failure::Unavailable { .. }), "{failure}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    published(link, "f.y", "after").await;
}

/// Nothing that was acknowledged is lost while the server is killed again and again.
async fn loses_nothing(server: &mut Server, link: &Arc<Link<Channel>>) {
    let mut worker = Worker::start(link, interest(link, "one", "f.z"), |_| Outcome::Handled).await;
    let publishing = {
        let link = link.clone();
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            let until = Instant::now() + Duration::from_secs(6);
            let mut number = 0;
            while Instant::now() < until {
                number += 1;
                let body = number.to_string();
                if publish(&link, "f.z", &body).await.is_ok() {
                    acknowledged.push(body);
                }
            }
            acknowledged
        })
    };
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.kill();
        server.start_again().unwrap();
    }
    let acknowledged = publishing.await.unwrap();
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    let mut missing: std::collections::BTreeSet<_> = acknowledged.into_iter().collect();
    while !missing.is_empty() {
        missing.remove(&worker.next().await.body);
    }
    worker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_core() {
    let mut server = Server::nats(Nats::Newest).unwrap();
    let link = link("nats", &[("url", &server.url()), QUICK]);
    is_not_there(&mut server, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_jetstream() {
    let mut server = Server::nats(Nats::Newest).unwrap();
    let settings = [("url", &*server.url()), ("stream", "F"), ("stream-subjects", "f.>"), QUICK];
    let link = link("nats", &settings);
    is_not_there(&mut server, &link).await;
    is_frozen(&server, &link).await;
    loses_nothing(&mut server, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_there_is_said() {
    let server = Server::nats(Nats::Newest).unwrap();
    let link = link("nats", &[("url", &server.url()), ("durable", "true")]);
    let failure = publish(&link, "none", "x").await.unwrap_err();
    assert!(failure.to_string().contains("no stream with the subject `none`"), "{failure}");
    let incoming = Incoming::open(link.clone(), interest(&link, "one", "none")).await.unwrap();
    let why = incoming.state().why.unwrap();
    assert!(why.contains("no stream with the subject `none`"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_channels() {
    let mut server = Server::redis().unwrap();
    let link = link("redis", &[("url", &server.url()), QUICK]);
    is_not_there(&mut server, &link).await;
    is_frozen(&server, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_streams() {
    let mut server = Server::redis().unwrap();
    let link = link("redis", &[("url", &server.url()), ("durable", "true"), QUICK]);
    is_not_there(&mut server, &link).await;
    is_frozen(&server, &link).await;
    loses_nothing(&mut server, &link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt() {
    let mut server = Server::mosquitto().unwrap();
    let link = link("mqtt", &[("url", &server.url()), QUICK]);
    is_not_there(&mut server, &link).await;
    is_frozen(&server, &link).await;
}
