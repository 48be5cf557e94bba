//! Handlers that are slower than what comes: what waits is bounded here or waits at the server, others go on, and
//! what a server keeps is all handled in the end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use reef_bus::Capacity;
use reef_capability::{Caller, Link};
use reef_messaging::{Channel, Incoming, Message, Outcome, Publisher, Received};
use reef_servers::{Nats, Server};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use crate::{PATIENCE, Worker, interest, link};

/// Messages, and bytes of each: 96 MiB.
const MESSAGES: usize = 1536;
const SIZE: usize = 64 << 10;
/// How much more this process may have afterwards: what may wait here, what is on its way, and some slack.
const MOST: u64 = 40 << 20;
/// Where all that waits does so here: those that there is room for, and not many more.
const WITHOUT_A_BROKER: usize = 400;
/// How many are handled at once.
const AT_ONCE: usize = 4;

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn body(number: usize) -> Vec<u8> {
    let mut body = format!("{number} ").into_bytes();
    body.resize(SIZE, b'x');
    body
}

fn number(received: &Received) -> usize {
    let text = std::str::from_utf8(&received.message().body).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Publishes over one link what is handled slowly over another one. Where nothing is kept until it is handled, fewer
/// than `most` are handled then.
async fn is_bounded(publishing: &Arc<Link<Channel>>, taking: &Arc<Link<Channel>>, most: usize) {
    let mut slow = interest(taking, "slow", "work");
    (slow.most, slow.capacity) = (AT_ONCE, Capacity { messages: 64, bytes: 4 << 20 });
    let incoming = Incoming::open(taking.clone(), slow).await.unwrap();
    let mut beside =
        Worker::start(taking, interest(taking, "beside", "beside"), |_| Outcome::Handled).await;
    let publisher = Publisher::new(publishing.clone());
    let publish = |subject: &str, body: Vec<u8>| {
        let (publisher, message) = (publisher.clone(), Message::new(subject, body));
        async move { publisher.publish(&Caller::default(), message, None).await }
    };

    // Guests that do not come to an end until they are let.
    let gate = Arc::new(Semaphore::new(0));
    let mut open = JoinSet::new();
    let begin = |open: &mut JoinSet<usize>, received: Received| {
        let gate = gate.clone();
        open.spawn(async move {
            let number = number(&received);
            received
                .handled_by(async move {
                    let _ = gate.acquire().await;
                    Outcome::Handled
                })
                .await;
            number
        });
    };
    for number in 0..AT_ONCE {
        publish("work", body(number)).await.unwrap();
        let received = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
        begin(&mut open, received);
    }
    let before = resident();
    let mut acknowledged: BTreeSet<_> = (0..AT_ONCE).collect();
    let mut refused = 0;
    for number in AT_ONCE..MESSAGES {
        match publish("work", body(number)).await {
            Ok(()) => _ = acknowledged.insert(number),
            // In this process, who publishes waits for room, and is told that there is none.
            Err(_) => refused += 1,
        }
        if refused == 5 {
            break;
        }
        if number % 100 == 0 {
            publish("beside", number.to_string().into_bytes()).await.unwrap();
            assert_eq!(beside.next().await.body, number.to_string(), "it waits for the slow one");
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST, "{} MiB more", grown >> 20);

    gate.add_permits(2 * MESSAGES);
    let keeps = taking.backend.backend().keeps();
    let wanted = if keeps { acknowledged.len() } else { usize::MAX };
    let mut all = BTreeSet::new();
    let patience = if keeps { PATIENCE } else { Duration::from_secs(2) };
    while all.len() < wanted {
        tokio::select! {
            received = timeout(patience, incoming.next()), if open.len() < AT_ONCE => match received {
                Ok(received) => begin(&mut open, received.unwrap()),
                Err(_) if keeps => panic!("{} of {wanted}: {:?}", all.len(), incoming.state()),
                Err(_) => break,
            },
            Some(number) = open.join_next() => {
                all.insert(number.unwrap());
            }
        }
    }
    beside.end().await;
    if keeps {
        assert_eq!(all, acknowledged, "what was acknowledged is handled");
    } else {
        assert!((AT_ONCE..most).contains(&all.len()), "{}", all.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_process() {
    let link = link("in-process", &[("timeout", "100ms")]);
    is_bounded(&link, &link, WITHOUT_A_BROKER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_core() {
    let server = Server::nats(Nats::Newest).unwrap();
    let link = || link("nats", &[("url", &server.url())]);
    is_bounded(&link(), &link(), WITHOUT_A_BROKER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_jetstream() {
    let server = Server::nats(Nats::Newest).unwrap();
    let url = server.url();
    let link =
        || link("nats", &[("url", &url), ("stream", "ALL"), ("stream-subjects", "work,beside")]);
    is_bounded(&link(), &link(), MESSAGES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_streams() {
    let server = Server::redis().unwrap();
    let link = || link("redis", &[("url", &server.url()), ("durable", "true")]);
    is_bounded(&link(), &link(), MESSAGES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt() {
    let server = Server::mosquitto().unwrap();
    let link = || link("mqtt", &[("url", &server.url())]);
    // The broker sends no more ahead than 20, and lets a thousand wait.
    is_bounded(&link(), &link(), 1100).await;
}
