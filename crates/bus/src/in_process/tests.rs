#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use futures::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::{Capacity, MessageError, Subject};

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

fn bus(patience: Duration) -> InProcess {
    InProcess::new(Limits { patience, ..Limits::default() })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

fn interest(name: &str, subject: &str, queue: Option<&str>, messages: usize) -> Interest {
    Interest {
        name: name.into(),
        subject: subject.parse().unwrap(),
        queue: queue.map(Arc::from),
        capacity: Capacity { messages, ..Capacity::default() },
    }
}

fn subscribe(bus: &InProcess, name: &str, subject: &str, queue: Option<&str>) -> Subscription {
    bus.0.subscribe(interest(name, subject, queue, 1000)).unwrap()
}

fn message(subject: &str, body: &str) -> Message {
    Message::new(subject, body.to_owned()).unwrap()
}

fn bodies(of: &Subscription) -> Vec<String> {
    std::iter::from_fn(|| of.try_next())
        .map(|message| String::from_utf8(message.body().to_vec()).unwrap())
        .collect()
}

#[test]
fn everybody_has_a_message_and_one_of_each_queue() {
    let bus = bus(SOON);
    let alone = subscribe(&bus, "alone", "orders.*", None);
    let all = subscribe(&bus, "all", ">", None);
    let other = subscribe(&bus, "other", "orders.*.paid", None);
    // One queue, though under two patterns.
    let one = subscribe(&bus, "one", "orders.new", Some("workers"));
    let two = subscribe(&bus, "two", "orders.>", Some("workers"));
    let audit = subscribe(&bus, "audit", "orders.new", Some("audit"));
    for body in ["a", "b", "c", "d"] {
        let published = wait(bus.publish(message("orders.new", body))).unwrap();
        assert_eq!(published.recipients, Some(4));
    }
    for of in [&alone, &all, &audit] {
        assert_eq!(bodies(of), ["a", "b", "c", "d"], "{of:?}");
    }
    assert!(bodies(&other).is_empty());
    let (one, two) = (bodies(&one), bodies(&two));
    assert_eq!((one.len(), two.len()), (2, 2), "in turn");
    let mut both = [one, two].concat();
    both.sort();
    assert_eq!(both, ["a", "b", "c", "d"]);
    // Nobody is there: that is no error of a publisher's.
    drop(all);
    assert_eq!(wait(bus.publish(message("nothing", ""))).unwrap().recipients, Some(0));
}

#[test]
fn a_message_goes_to_the_member_that_has_room() {
    let bus = bus(SOON);
    let small = bus.0.subscribe(interest("small", "a", Some("q"), 1)).unwrap();
    let large = subscribe(&bus, "large", "a", Some("q"));
    for _ in 0..9 {
        wait(bus.publish(message("a", "x"))).unwrap();
    }
    assert_eq!((small.waiting(), large.waiting()), (1, 8));
}

#[test]
fn a_full_queue_is_told_to_the_publisher_and_the_others_have_the_message() {
    let bus = bus(SOON);
    let slow = bus.0.subscribe(interest("shop/slow", "a.*", None, 2)).unwrap();
    let fast = subscribe(&bus, "fast", "a.b", None);
    for body in ["1", "2"] {
        wait(bus.publish(message("a.b", body))).unwrap();
    }
    let error = wait(bus.publish(message("a.b", "3"))).unwrap_err();
    let told = PublishError::Full {
        subject: "a.b".into(),
        full: vec!["shop/slow of a.*".into()],
        delivered: 1,
        waited: SOON,
    };
    assert_eq!(error, told);
    assert!(error.to_string().contains("shop/slow of a.* has not taken"), "{error}");
    assert_eq!(bodies(&fast), ["1", "2", "3"]);
    // There is room again.
    assert_eq!(bodies(&slow), ["1", "2"]);
    wait(bus.publish(message("a.b", "4"))).unwrap();
    assert_eq!(bodies(&slow), ["4"]);
    // And more of it when that is said.
    slow.set_capacity(Capacity { messages: 5, bytes: 1000 });
    for _ in 0..5 {
        wait(bus.publish(message("a.b", "x"))).unwrap();
    }
    assert!(wait(bus.publish(message("a.b", "x"))).is_err());
}

#[test]
fn bytes_are_bounded_as_well_and_one_message_always_fits() {
    let bus = bus(SOON);
    let capacity = Capacity { messages: 100, bytes: 10 };
    let of = Interest { capacity, ..interest("w", "a", None, 1) };
    let subscription = bus.0.subscribe(of).unwrap();
    let large = "x".repeat(50);
    wait(bus.publish(message("a", &large))).unwrap();
    assert!(matches!(wait(bus.publish(message("a", ""))), Err(PublishError::Full { .. })));
    assert_eq!(bodies(&subscription), [large]);
    let small = InProcess::new(Limits { message: 3, ..Limits::default() });
    let error = wait(small.publish(message("a", "four"))).unwrap_err();
    assert_eq!(error, PublishError::TooLarge { size: 4, most: 3 });
}

#[test]
fn a_publisher_waits_for_room() {
    let bus = bus(LONG);
    let one = bus.0.subscribe(interest("one", "a", Some("q"), 1)).unwrap();
    let two = bus.0.subscribe(interest("two", "a", Some("q"), 1)).unwrap();
    wait(async {
        for _ in 0..2 {
            bus.publish(message("a", "first")).await.unwrap();
        }
        let publishing = join_all((0..20).map(|_| bus.publish(message("a", "later"))));
        let taking = async {
            for _ in 0..11 {
                one.next().await.unwrap();
                two.next().await.unwrap();
            }
        };
        let (published, ()) = futures::join!(publishing, taking);
        assert!(published.iter().all(Result::is_ok), "{published:?}");
    });
    assert_eq!((one.waiting(), two.waiting()), (0, 0));
}

#[test]
fn a_request_has_the_first_answer() {
    let bus = bus(SOON);
    let subscription = subscribe(&bus, "w", "ask.*", None);
    wait(async {
        let answering = async {
            let question = subscription.next().await.unwrap();
            assert_eq!((question.subject(), &question.body()[..]), ("ask.it", &b"what?"[..]));
            let reply_to = question.reply_to().unwrap();
            for (body, recipients) in [("this", 1), ("that", 0)] {
                let published = bus.publish(message(reply_to, body)).await.unwrap();
                assert_eq!(published.recipients, Some(recipients), "{body}");
            }
        };
        let (answer, ()) = futures::join!(bus.request(message("ask.it", "what?"), LONG), answering);
        assert_eq!(&answer.unwrap().body()[..], b"this");
        let error = bus.request(message("ask.it", ""), SOON).await.unwrap_err();
        assert_eq!(error, RequestError::Timeout { subject: "ask.it".into(), waited: SOON });
        let error = bus.request(message("nobody", ""), LONG).await.unwrap_err();
        assert_eq!(error, RequestError::NoResponders { subject: "nobody".into() });
        for wrong in ["", "a..b", "a.*", ">"] {
            let error = Message::new(wrong, "").unwrap_err();
            assert!(
                matches!(error, MessageError::Subject(_) | MessageError::Pattern(_)),
                "{error}"
            );
        }
    });
    // Inboxes go with those who asked.
    assert!(bus.0.inboxes().is_empty());
}

#[test]
fn requests_and_subscriptions_are_bounded() {
    let bus = InProcess::new(Limits { subscriptions: 1, requests: 0, ..Limits::default() });
    let one = subscribe(&bus, "w", "a", None);
    let two = bus.0.subscribe(interest("w", "b", None, 1));
    assert_eq!(two.unwrap_err(), SubscribeError::TooMany(1));
    let error = wait(bus.request(message("a", ""), LONG)).unwrap_err();
    assert_eq!(error, RequestError::TooMany(0));
    drop(one);
    subscribe(&bus, "w", "b", None);
}

#[test]
fn clones_take_over_and_the_last_one_ends_the_subscription() {
    let bus = bus(SOON);
    let old = subscribe(&bus, "old", "a", Some("q"));
    wait(bus.publish(message("a", "1"))).unwrap();
    let new = old.clone();
    assert!(!old.is_last());
    drop(old);
    assert!(new.is_last());
    wait(bus.publish(message("a", "2"))).unwrap();
    assert_eq!(wait(new.next()).unwrap().body()[..], b"1"[..]);
    // What waits is there yet when nothing is kept any more.
    new.unsubscribe();
    assert_eq!(wait(bus.publish(message("a", "3"))).unwrap().recipients, Some(0));
    assert_eq!(wait(new.next()).unwrap().body()[..], b"2"[..]);
    assert_eq!(wait(new.next()), None);
    drop(new);
    let all = bus.0.subscribers.read().unwrap();
    assert_eq!(all.count, 0);
    assert!(all.subjects.find("a").is_empty());
}

#[test]
fn who_ends_lets_waiting_publishers_go_to_another_member() {
    let bus = bus(LONG);
    let one = bus.0.subscribe(interest("one", "a", Some("q"), 1)).unwrap();
    let two = bus.0.subscribe(interest("two", "a", Some("q"), 1)).unwrap();
    wait(async {
        for _ in 0..2 {
            bus.publish(message("a", "")).await.unwrap();
        }
        let ending = async {
            drop(one);
            two.next().await.unwrap();
        };
        let (published, ()) = futures::join!(bus.publish(message("a", "x")), ending);
        assert_eq!(published.unwrap().recipients, Some(1));
    });
    assert_eq!(bodies(&two), ["x"]);
}

#[test]
fn who_comes_in_the_place_of_one_that_ends_has_what_waits_for_room() {
    for queue in [None, Some("q")] {
        let bus = bus(LONG);
        let old = bus.0.subscribe(interest("old", "a.*", queue, 1)).unwrap();
        let other = subscribe(&bus, "other", "a.b", None);
        wait(async {
            bus.publish(message("a.b", "1")).await.unwrap();
            let replacing = async {
                let new = subscribe(&bus, "new", "a.>", queue);
                old.unsubscribe();
                new
            };
            let (published, new) = futures::join!(bus.publish(message("a.b", "2")), replacing);
            assert_eq!(published.unwrap().recipients, Some(2));
            assert_eq!(bodies(&new), ["2"], "{queue:?}");
        });
        assert_eq!(bodies(&old), ["1"]);
        assert_eq!(bodies(&other), ["1", "2"]);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe { pattern: String, queue: Option<u8>, room: usize },
    Unsubscribe(usize),
    Take(usize),
    Publish(String),
}

fn subject() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|tokens| tokens.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    let tokens = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*"]), 1..4);
    (tokens, any::<bool>()).prop_map(|(tokens, rest)| {
        let pattern = tokens.join(".");
        if rest { format!("{pattern}.>") } else { pattern }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let queue = prop::option::of(0..2_u8);
    prop_oneof![
        3 => (pattern(), queue, 1..5_usize)
            .prop_map(|(pattern, queue, room)| Step::Subscribe { pattern, queue, room }),
        1 => any::<usize>().prop_map(Step::Unsubscribe),
        2 => any::<usize>().prop_map(Step::Take),
        6 => subject().prop_map(Step::Publish),
    ]
}

/// A subscription as the model has it: what it must hold.
struct Modelled {
    real: Subscription,
    pattern: Subject,
    queue: Option<u8>,
    room: usize,
    held: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_does_what_a_list_of_subscriptions_would(steps in prop::collection::vec(step(), 1..60)) {
        let bus = bus(Duration::ZERO);
        let runtime = runtime();
        let mut all: Vec<Modelled> = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Subscribe { pattern, queue, room } => {
                    let name = queue.map(|queue| queue.to_string());
                    let of = interest("w", &pattern, name.as_deref(), room);
                    let pattern = of.subject.clone();
                    let real = bus.0.subscribe(of).unwrap();
                    all.push(Modelled { real, pattern, queue, room, held: 0 });
                }
                Step::Unsubscribe(which) if !all.is_empty() => {
                    let which = which % all.len();
                    all.swap_remove(which);
                }
                Step::Take(which) if !all.is_empty() => {
                    let which = which % all.len();
                    let one = &mut all[which];
                    prop_assert_eq!(one.real.try_next().is_some(), one.held > 0);
                    one.held = one.held.saturating_sub(1);
                }
                Step::Publish(subject) => {
                    let body = at.to_string();
                    let published = runtime.block_on(bus.publish(message(&subject, &body)));
                    // Everybody by himself, queues by their names.
                    let mut wanting: BTreeMap<Result<usize, u8>, Vec<usize>> = BTreeMap::new();
                    for (index, one) in all.iter().enumerate() {
                        if one.pattern.matches(&subject) {
                            let key = one.queue.map_or(Ok(index), Err);
                            wanting.entry(key).or_default().push(index);
                        }
                    }
                    let (mut delivered, mut full) = (0, 0);
                    for members in wanting.values() {
                        let room = members.iter().any(|&index| all[index].held < all[index].room);
                        let mut have = 0;
                        for &index in members {
                            let one = &mut all[index];
                            let more = one.real.waiting() - one.held;
                            prop_assert!(more <= 1 && one.held + more <= one.room);
                            one.held += more;
                            have += more;
                        }
                        prop_assert_eq!(have, usize::from(room));
                        delivered += have;
                        full += usize::from(!room);
                    }
                    match published {
                        Ok(published) => {
                            prop_assert_eq!((published.recipients, full), (Some(delivered), 0));
                        }
                        Err(PublishError::Full { delivered: told, full: names, .. }) => {
                            prop_assert_eq!((told, names.len()), (delivered, full));
                            prop_assert!(full > 0);
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
                _ => {}
            }
            // Nobody has what is not for him.
            for one in &all {
                prop_assert_eq!(one.real.waiting(), one.held);
            }
        }
    }

    #[test]
    fn turns_are_fair(members in 1..6_usize, rounds in 1..20_usize) {
        let bus = bus(Duration::ZERO);
        let all: Vec<_> = (0..members).map(|_| subscribe(&bus, "w", "a.*", Some("q"))).collect();
        let runtime = runtime();
        for _ in 0..members * rounds {
            runtime.block_on(bus.publish(message("a.b", ""))).unwrap();
        }
        for one in &all {
            prop_assert_eq!(one.waiting(), rounds);
        }
    }
}
