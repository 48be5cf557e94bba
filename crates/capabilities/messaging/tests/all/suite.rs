//! What every backend does alike, as far as it can.

use std::{sync::Arc, time::Duration};

use reef_capability::{Caller, Failure, Link};
use reef_messaging::{Answering, Channel, Incoming, Message, Outcome, Publisher, Terms};
use reef_servers::{Cluster, Nats, Server};

use crate::{Worker, beside, interest, link};

/// What a backend can do.
#[derive(Clone, Copy, Debug)]
struct Can {
    patterns: bool,
    headers: bool,
    request: bool,
    queues: bool,
    /// Who subscribes has what was published before.
    keeps: bool,
}

const ALL: Can = Can { patterns: true, headers: true, request: true, queues: true, keeps: false };

async fn conforms(link: &Arc<Link<Channel>>, can: Can) {
    let separator = match link.backend.backend().syntax() {
        reef_messaging::Syntax::Tokens => '.',
        reef_messaging::Syntax::Levels => '/',
    };
    let name = |text: &str| text.replace('.', &separator.to_string());
    messages(link, can, &name).await;
    if can.queues {
        queues(link, &name).await;
    } else {
        let mut interest = interest(link, "one", &name("c.queues"));
        interest.queue = Some("q".into());
        let failure = Incoming::open(link.clone(), interest).await.unwrap_err();
        assert!(matches!(failure, Failure::Unsupported(_)), "{failure}");
    }
    if can.patterns {
        patterns(link, &name).await;
    } else {
        let failure = Incoming::open(link.clone(), interest(link, "one", "p.>")).await.unwrap_err();
        assert!(matches!(failure, Failure::Unsupported(_)), "{failure}");
    }
    if can.request {
        requests(link, link, &name).await;
    } else {
        let message = Message::new(name("c.request"), "x");
        let failure = Publisher::new(link.clone()).request(message, None).await.unwrap_err();
        assert!(matches!(failure, Failure::Unsupported(_)), "{failure}");
    }
    refusals(link, &name).await;
}

async fn publish(link: &Arc<Link<Channel>>, message: Message) {
    let publisher = Publisher::new(link.clone());
    publisher.publish(&Caller::default(), message, None).await.unwrap();
}

async fn messages(link: &Arc<Link<Channel>>, can: Can, name: &impl Fn(&str) -> String) {
    let subject = name("c.messages");
    if can.keeps {
        publish(link, Message::new(&subject, "before")).await;
    }
    let mut one = Worker::start(link, interest(link, "one", &subject), |_| Outcome::Handled).await;
    let mut two = Worker::start(link, interest(link, "two", &subject), |_| Outcome::Handled).await;
    if can.keeps {
        assert_eq!(
            (one.next().await.body, two.next().await.body),
            ("before".into(), "before".into())
        );
    }
    let headers = vec![("Kind".to_owned(), "x".to_owned()), ("Kind".to_owned(), "y".to_owned())];
    let message = Message {
        subject: subject.clone(),
        body: "ü".into(),
        reply_to: can.request.then(|| name("c.reply")),
        headers: if can.headers { headers.clone() } else { Vec::new() },
    };
    publish(link, message.clone()).await;
    for worker in [&mut one, &mut two] {
        let got = worker.next().await;
        assert_eq!((&*got.subject, &*got.body, got.attempt), (&*subject, "ü", 1));
        assert_eq!(
            (got.headers, got.reply_to),
            (message.headers.clone(), message.reply_to.clone())
        );
    }
    // An empty body, all bytes, and order for one who takes one at a time.
    publish(link, Message::new(&subject, "")).await;
    assert_eq!(one.next().await.body, "");
    for number in 0..50 {
        publish(link, Message::new(&subject, number.to_string())).await;
    }
    for number in 0..50 {
        assert_eq!(one.next().await.body, number.to_string());
    }
    one.nothing_more();
    one.end().await;
    two.end().await;
}

async fn queues(link: &Arc<Link<Channel>>, name: &impl Fn(&str) -> String) {
    let subject = name("c.queues");
    let shared = |worker: &str| {
        let mut interest = interest(link, worker, &subject);
        interest.queue = Some("q".into());
        interest.most = 1;
        interest
    };
    let mut one = Worker::start(link, shared("one"), |_| Outcome::Handled).await;
    let mut two = Worker::start(link, shared("two"), |_| Outcome::Handled).await;
    let mut all = Worker::start(link, interest(link, "all", &subject), |_| Outcome::Handled).await;
    for number in 100..200 {
        publish(link, Message::new(&subject, number.to_string())).await;
    }
    let expected: Vec<_> = (100..200).map(|number| number.to_string()).collect();
    assert_eq!(all.bodies(100).await, expected);
    let mut had = (Vec::new(), Vec::new());
    while had.0.len() + had.1.len() < 100 {
        tokio::select! {
            got = one.next() => had.0.push(got.body),
            got = two.next() => had.1.push(got.body),
        }
    }
    assert!(!had.0.is_empty() && !had.1.is_empty(), "one of them had all");
    had.0.extend(had.1);
    had.0.sort();
    assert_eq!(had.0, expected, "each message goes to one of them");
    one.end().await;
    two.end().await;
    all.end().await;
}

async fn patterns(link: &Arc<Link<Channel>>, name: &impl Fn(&str) -> String) {
    let (one, rest) = match link.backend.backend().syntax() {
        reef_messaging::Syntax::Tokens => ("*", ">"),
        reef_messaging::Syntax::Levels => ("+", "#"),
    };
    let first = interest(link, "one", &name(&format!("p.{one}.x")));
    let mut first = Worker::start(link, first, |_| Outcome::Handled).await;
    let all = interest(link, "all", &name(&format!("p.{rest}")));
    let mut all = Worker::start(link, all, |_| Outcome::Handled).await;
    for subject in ["p.a", "p.a.x", "p.a.y", "p.b.x", "p.b.x.z", "q.a.x"] {
        publish(link, Message::new(name(subject), subject)).await;
    }
    assert_eq!(first.bodies(2).await, ["p.a.x", "p.b.x"]);
    assert_eq!(all.bodies(5).await, ["p.a", "p.a.x", "p.a.y", "p.b.x", "p.b.x.z"]);
    first.nothing_more();
    first.end().await;
    all.end().await;
}

/// Asks over a link what is answered over another one.
async fn requests(
    asking: &Arc<Link<Channel>>,
    link: &Arc<Link<Channel>>,
    name: &impl Fn(&str) -> String,
) {
    let publisher = Publisher::new(asking.clone());
    let mut asked =
        Worker::start(link, interest(link, "one", &name("r.ask")), |_| Outcome::Handled).await;
    let asking = publisher.request(Message::new(name("r.ask"), "what?"), None);
    let answering = async {
        let question = asked.next().await;
        let to = question.reply_to.unwrap();
        // An answer may go where the link does not let it publish otherwise.
        let narrow = Terms { subjects: Some(vec!["nowhere".to_owned()]), ..Terms::default() };
        let narrow = Publisher::new(beside(link, narrow));
        let answering = Answering { subject: to.clone(), link: link.clone() };
        let answer = Message::new(&to, "that");
        narrow.publish(&Caller::default(), answer.clone(), Some(&answering)).await.unwrap();
        let refused = narrow.publish(&Caller::default(), answer, None).await;
        assert!(matches!(refused, Err(Failure::Denied(_))), "{refused:?}");
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(&answer.unwrap().body[..], b"that");
    let soon = Duration::from_millis(200);
    let late = publisher.request(Message::new(name("r.ask"), "x"), Some(soon)).await;
    assert_eq!(late, Err(Failure::Timeout(soon)));
    let nobody = publisher.request(Message::new(name("r.nobody"), "x"), None).await;
    assert!(matches!(nobody, Err(Failure::NotFound { .. })), "{nobody:?}");
    asked.end().await;
}

async fn refusals(link: &Arc<Link<Channel>>, name: &impl Fn(&str) -> String) {
    let publisher = Publisher::new(link.clone());
    for subject in ["", "p.*.>", "p.+.#"] {
        let message = Message::new(name(subject), "x");
        let subject = &*message.subject;
        if !link.backend.backend().syntax().is_exact(subject) || subject.is_empty() {
            let refused = publisher.publish(&Caller::default(), message.clone(), None).await;
            assert!(matches!(refused, Err(Failure::Invalid(_))), "{subject}: {refused:?}");
        }
    }
    let terms = Terms { subjects: Some(vec![name("p.a")]), ..Terms::default() };
    let narrow = Publisher::new(beside(link, terms));
    let outside = narrow.publish(&Caller::default(), Message::new(name("p.b"), "x"), None).await;
    let Err(Failure::Denied(why)) = outside else { panic!("{outside:?}") };
    assert!(why.contains("config.subjects") && why.contains(&name("p.a")), "{why}");
    let large = Message::new(name("p.a"), vec![0; 16 << 20]);
    let large = publisher.publish(&Caller::default(), large, None).await;
    assert!(matches!(large, Err(Failure::TooLarge { .. })), "{large:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_process() {
    conforms(&link("in-process", &[]), ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_core() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats(version).unwrap();
        conforms(&link("nats", &[("url", &server.url())]), ALL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_jetstream() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats(version).unwrap();
        let settings =
            [("url", &*server.url()), ("stream", "ALL"), ("stream-subjects", "c.>,p.>,q.>")];
        // What a stream takes has the address of its acknowledgement, and no other to answer to.
        let can = Can { keeps: true, request: false, ..ALL };
        let kept = link("nats", &settings);
        conforms(&kept, can).await;
        // Other subjects are asked at as over any link.
        let core = link("nats", &settings[..1]);
        requests(&kept, &core, &str::to_owned).await;
        // Also where nobody said which stream there is.
        let durable = link("nats", &[settings[0], ("durable", "true")]);
        requests(&durable, &core, &str::to_owned).await;
        let question = Message::new("c.request", "x");
        let failure = Publisher::new(durable).request(question, None).await.unwrap_err();
        assert!(
            matches!(&failure, Failure::Unsupported(why) if why.contains("`ALL`")),
            "{failure}"
        );
    }
}

/// A stream that is made at three servers at the same moment takes what each of them is told first.
#[tokio::test(flavor = "multi_thread")]
async fn nats_jetstream_of_three_servers() {
    let cluster = Cluster::nats(3).unwrap();
    let urls = [0, 1, 2].map(|server| cluster.server(server).url());
    for round in 0..5 {
        let (name, subject) = (format!("R{round}"), format!("r{round}.x"));
        let links = urls.each_ref().map(|url| {
            let stream = [("stream", &*name), ("stream-subjects", &*subject)];
            link("nats", &[&[("url", &**url)], &stream[..]].concat())
        });
        let publishing =
            links.each_ref().map(|link| publish(link, Message::new(subject.clone(), "x")));
        futures::future::join_all(publishing).await;
    }
    let settings = [("url", &*urls[0]), ("stream", "ALL"), ("stream-subjects", "c.>,p.>,q.>")];
    conforms(&link("nats", &settings), Can { keeps: true, request: false, ..ALL }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_channels() {
    let server = Server::redis().unwrap();
    let can = Can { headers: false, request: false, queues: false, ..ALL };
    conforms(&link("redis", &[("url", &server.url())]), can).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_streams() {
    let server = Server::redis().unwrap();
    let can = Can { patterns: false, request: false, keeps: true, ..ALL };
    conforms(&link("redis", &[("url", &server.url()), ("durable", "true")]), can).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt() {
    let server = Server::mosquitto().unwrap();
    let can = Can { headers: false, request: false, ..ALL };
    for qos in ["0", "1", "2"] {
        conforms(&link("mqtt", &[("url", &server.url()), ("qos", qos)]), can).await;
    }
    let settings = [("url", &*server.url()), ("session", "s")];
    conforms(&link("mqtt", &settings), can).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_with_a_password() {
    let server = Server::guarded_mosquitto().unwrap();
    let settings = [("url", &*server.url()), ("user", "reef"), ("password", "open sesame")];
    let right = link("mqtt", &settings);
    publish(&right, Message::new("a", "x")).await;
    let wrong = link("mqtt", &[("url", &server.url()), ("user", "reef"), ("password", "xyzzy")]);
    let publisher = Publisher::new(wrong);
    let refused = publisher.publish(&Caller::default(), Message::new("a", "x"), None).await;
    let why = refused.unwrap_err().to_string();
    assert!(!why.contains("xyzzy"), "{why}");
}
