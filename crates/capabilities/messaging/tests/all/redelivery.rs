//! Messages that are not handled at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use reef_capability::{Caller, Link};
use reef_messaging::{Channel, Incoming, Message, Outcome, Publisher, Received, Terms};
use reef_servers::{Nats, Server};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    time::timeout,
};

use crate::{PATIENCE, Worker, beside, interest, link};

fn terms() -> Terms {
    Terms {
        max_deliver: Some(3),
        ack_wait: Duration::from_secs(4),
        backoff: Duration::from_millis(20),
        dead_letter: Some("dead".to_owned()),
        ..Terms::default()
    }
}

async fn publish(link: &Arc<Link<Channel>>, subject: &str, body: &str) {
    let publisher = Publisher::new(link.clone());
    publisher
        .publish(&Caller::default(), Message::new(subject, body.to_owned()), None)
        .await
        .unwrap();
}

/// Failed ones come again; those that always fail end where dead letters are; those that are rejected at once.
async fn is_tried_again(link: &Arc<Link<Channel>>, headers: bool) {
    let link = beside(link, terms());
    let dead = interest(&link, "dead", "dead");
    let mut dead = Worker::start(&link, dead, |_| Outcome::Handled).await;
    let mut worker = Worker::start(&link, interest(&link, "one", "work"), |received| {
        match (&received.message().body[..], received.attempt()) {
            (b"once", 1) => Outcome::Failed("not yet".to_owned()),
            (b"never", _) => Outcome::Failed("never\nat all".to_owned()),
            (b"no", _) => Outcome::Rejected("no use".to_owned()),
            _ => Outcome::Handled,
        }
    })
    .await;
    for body in ["once", "never", "no", "fine"] {
        publish(&link, "work", body).await;
    }
    let mut seen = Vec::new();
    for _ in 0..7 {
        let got = worker.next().await;
        seen.push((got.body, got.attempt));
    }
    seen.sort();
    let expected = [
        ("fine", 1),
        ("never", 1),
        ("never", 2),
        ("never", 3),
        ("no", 1),
        ("once", 1),
        ("once", 2),
    ];
    assert_eq!(seen, expected.map(|(body, attempt)| (body.to_owned(), attempt)));
    let mut letters = [dead.next().await, dead.next().await];
    letters.sort_by(|a, b| a.body.cmp(&b.body));
    for (letter, (body, deliveries, why)) in
        letters.iter().zip([("never", "3", "never at all"), ("no", "1", "no use")])
    {
        assert_eq!(letter.body, body);
        if !headers {
            continue;
        }
        let expected = [
            ("Reef-Deliveries", deliveries),
            ("Reef-Reason", why),
            ("Reef-Subject", "work"),
            ("Reef-Workload", "one"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let mut headers = letter.headers.clone();
        headers.sort();
        assert_eq!(headers, expected);
    }
    worker.nothing_more();
    worker.end().await;
    dead.end().await;
}

/// What was begun and not ended is for somebody else; so is what only waited. An acknowledgement is with the server
/// before the connection ends.
async fn is_not_lost_with_its_host(link: &Arc<Link<Channel>>) {
    let link = beside(link, terms());
    let incoming = Incoming::open(link.clone(), interest(&link, "one", "lost")).await.unwrap();
    for body in ["begun", "waits", "waits too"] {
        publish(&link, "lost", body).await;
    }
    let begun = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
    assert_eq!(&begun.message().body[..], b"begun");
    // As it goes with a host that ends: without a word.
    drop(begun);
    drop(incoming);
    let mut next = Worker::start(&link, interest(&link, "one", "lost"), |_| Outcome::Handled).await;
    assert_eq!(next.bodies(3).await, ["begun", "waits", "waits too"]);
    next.end().await;
    let mut after =
        Worker::start(&link, interest(&link, "one", "lost"), |_| Outcome::Handled).await;
    publish(&link, "lost", "new").await;
    assert_eq!(after.next().await.body, "new", "what was acknowledged does not come again");
    after.end().await;
}

/// One that takes long is not given to somebody else.
async fn takes_its_time(link: &Arc<Link<Channel>>) {
    let link = beside(link, terms());
    let incoming = Incoming::open(link.clone(), interest(&link, "one", "slow")).await.unwrap();
    publish(&link, "slow", "x").await;
    let received = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
    let mut other =
        Worker::start(&link, interest(&link, "one", "slow"), |_| Outcome::Handled).await;
    let long = terms().ack_wait * 2;
    received
        .handled_by(async {
            tokio::time::sleep(long).await;
            Outcome::Handled
        })
        .await;
    publish(&link, "slow", "y").await;
    let next = async {
        tokio::select! {
            got = other.next() => got.body,
            got = incoming.next() => {
                let got = got.unwrap();
                let body = String::from_utf8_lossy(&got.message().body).into_owned();
                got.handled_by(async { Outcome::Handled }).await;
                body
            }
        }
    };
    assert_eq!(next.await, "y", "the other one was given it, too");
    other.nothing_more();
    other.end().await;
}

/// A message that ends its host each time is put aside at last.
async fn is_put_aside_at_last(link: &Arc<Link<Channel>>) {
    let short = Terms { ack_wait: Duration::from_secs(3), ..terms() };
    let link = beside(link, short);
    let mut dead =
        Worker::start(&link, interest(&link, "dead2", "dead"), |_| Outcome::Handled).await;
    publish(&link, "poison", "x").await;
    for attempt in 1..=3 {
        let incoming =
            Incoming::open(link.clone(), interest(&link, "one", "poison")).await.unwrap();
        let received = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
        assert_eq!(received.attempt(), attempt);
    }
    let handled = Arc::new(AtomicU32::new(0));
    let count = handled.clone();
    let worker = Worker::start(&link, interest(&link, "one", "poison"), move |received| {
        if received.attempt() <= 3 {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Outcome::Handled
    })
    .await;
    loop {
        let letter = dead.next().await;
        if letter.body == "x" {
            break;
        }
    }
    assert_eq!(handled.load(Ordering::Relaxed), 0);
    worker.end().await;
    dead.end().await;
}

/// What waits for times to pass, each at subjects of its own: all at once.
async fn pass_their_times(link: &Arc<Link<Channel>>) {
    tokio::join!(is_not_lost_with_its_host(link), takes_its_time(link), is_put_aside_at_last(link));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_process() {
    is_tried_again(&link("in-process", &[]), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_core() {
    let server = Server::nats(Nats::Newest).unwrap();
    is_tried_again(&link("nats", &[("url", &server.url())]), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_jetstream() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats(version).unwrap();
        let subjects = ("stream-subjects", "work,dead,lost,slow,poison");
        let link = link("nats", &[("url", &server.url()), ("stream", "ALL"), subjects]);
        is_tried_again(&link, true).await;
        pass_their_times(&link).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_channels() {
    let server = Server::redis().unwrap();
    is_tried_again(&link("redis", &[("url", &server.url())]), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_streams() {
    let server = Server::redis().unwrap();
    let link = link("redis", &[("url", &server.url()), ("durable", "true")]);
    is_tried_again(&link, true).await;
    pass_their_times(&link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt() {
    let server = Server::mosquitto().unwrap();
    for qos in ["0", "1", "2"] {
        is_tried_again(&link("mqtt", &[("url", &server.url()), ("qos", qos)]), false).await;
    }
    for qos in ["1", "2"] {
        let settings = [("url", &*server.url()), ("session", qos), ("qos", qos)];
        let link = link("mqtt", &settings);
        is_tried_again(&link, false).await;
        is_not_lost_with_its_host(&link).await;
    }
}

/// A way to a server that can be cut.
struct Cable {
    url: String,
    cut: Arc<Notify>,
    connections: watch::Receiver<u32>,
}

impl Cable {
    async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("mqtt://{}", listener.local_addr().unwrap());
        let (cut, to) = (Arc::new(Notify::new()), server.addr());
        let (connected, connections) = watch::channel(0);
        let cuts = cut.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut far = TcpStream::connect(to).await.unwrap();
                connected.send_modify(|count| *count += 1);
                let cuts = cuts.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = cuts.notified() => {}
                    }
                });
            }
        });
        Self { url, cut, connections }
    }

    fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Cuts, and waits for the next connection, which somebody makes who waits for messages.
    async fn cut_and_made_again(&mut self) {
        let now = *self.connections.borrow_and_update();
        self.cut();
        timeout(PATIENCE, self.connections.wait_for(|count| *count > now)).await.unwrap().unwrap();
    }
}

/// What was handled on a connection that is not there any more is acknowledged on no other: packets have numbers of
/// their own there, and who has the number may not have been handled.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_acknowledges_nothing_but_what_was_handled() {
    let server = Server::mosquitto().unwrap();
    for (qos, session) in [("1", Some("s1")), ("2", Some("s2")), ("1", None)] {
        let mut cable = Cable::to(&server).await;
        let mut settings = vec![("url", &*cable.url), ("qos", qos)];
        settings.extend(session.map(|session| ("session", session)));
        let (subscriber, publisher) =
            (link("mqtt", &settings), link("mqtt", &[("url", &server.url()), ("qos", qos)]));
        let subscriber = beside(&subscriber, terms());
        let about = interest(&subscriber, "one", &format!("cut/{qos}/{}", session.is_some()));
        let subject = about.subject.to_string();
        let incoming = Incoming::open(subscriber.clone(), about.clone()).await.unwrap();
        let begun = async || timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
        let body =
            |received: &Received| String::from_utf8_lossy(&received.message().body).into_owned();
        let handled = async || Outcome::Handled;

        publish(&publisher, &subject, "a").await;
        publish(&publisher, &subject, "b").await;
        let (a, b) = (begun().await, begun().await);
        assert_eq!([body(&a), body(&b)], ["a", "b"]);
        if session.is_none() {
            // What is published before it listens again is nobody's.
            let waiting = tokio::spawn({
                let incoming = incoming.clone();
                async move { incoming.next().await }
            });
            cable.cut_and_made_again().await;
            let listens = async {
                while !incoming.state().listening {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, listens).await.unwrap();
            publish(&publisher, &subject, "c").await;
            let c = waiting.await.unwrap().unwrap();
            // Its number is a's: c is not acknowledged with it, and d comes and is.
            a.handled_by(handled()).await;
            b.handled_by(handled()).await;
            publish(&publisher, &subject, "d").await;
            let d = begun().await;
            assert_eq!([body(&c), body(&d)], ["c", "d"]);
            d.handled_by(handled()).await;
            c.handled_by(handled()).await;
            continue;
        }
        cable.cut();
        let again = [begun().await, begun().await];
        assert_eq!(again.each_ref().map(body), ["a", "b"], "they are delivered again");
        publish(&publisher, &subject, "c").await;
        publish(&publisher, &subject, "d").await;
        // Those that came first, on the connection that was cut: the broker is told of none.
        a.handled_by(handled()).await;
        b.handled_by(handled()).await;
        drop(again);
        cable.cut();
        let mut all = Vec::new();
        while !all.ends_with(&["a", "b", "c", "d"].map(str::to_owned)) {
            let received = begun().await;
            all.push(body(&received));
            received.handled_by(handled()).await;
        }
        incoming.end().await;
        drop(incoming);
        let mut after = Worker::start(&subscriber, about, |_| Outcome::Handled).await;
        publish(&publisher, &subject, "new").await;
        assert_eq!(after.next().await.body, "new", "what was acknowledged does not come again");
        after.end().await;
    }
}
