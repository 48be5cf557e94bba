use std::{sync::Arc, time::Duration};

use reef_bus::{Bus, Capacity, Interest, Message, PublishError, RequestError, Subscription};

use crate::{Place, SOON, soon};

crate::everywhere!(
    a_message_reaches_all_and_one_of_each_queue,
    headers_go_both_ways,
    nobody_is_told_at_once,
    no_answer_is_told_in_time,
    what_is_too_large_is_refused_and_the_rest_goes_on,
    who_ended_has_nothing_more,
    what_is_not_taken_does_not_hold_up_others,
);

fn interest(subject: &str, queue: Option<&str>) -> Interest {
    Interest {
        name: "a test".into(),
        subject: subject.parse().unwrap(),
        queue: queue.map(Arc::from),
        capacity: Capacity::default(),
    }
}

async fn subscribe(bus: &Arc<dyn Bus>, subject: &str, queue: Option<&str>) -> Subscription {
    soon(bus.subscribe(interest(subject, queue))).await.unwrap()
}

fn message(subject: &str, body: &str) -> Message {
    Message::new(subject, body.to_owned()).unwrap()
}

/// Answers everything with what it says.
fn echo(bus: &Arc<dyn Bus>, subscription: Subscription) {
    let bus = bus.clone();
    tokio::spawn(async move {
        while let Some(asked) = subscription.next().await {
            let Some(to) = asked.reply_to() else { continue };
            let answer = Message::new(to, asked.body().clone()).unwrap();
            let answer = answer.with_headers(asked.headers().to_vec());
            bus.publish(answer).await.unwrap();
        }
    });
}

async fn a_message_reaches_all_and_one_of_each_queue(place: Place) {
    const MESSAGES: usize = 50;
    let bus = &place.lattice.bus;
    let alone = subscribe(bus, "orders.*", None).await;
    let rest = subscribe(bus, "orders.>", None).await;
    let other = subscribe(bus, "bills.>", None).await;
    let shared = [
        subscribe(bus, "orders.new", Some("q")).await,
        subscribe(bus, "orders.*", Some("q")).await,
    ];
    for number in 0..MESSAGES {
        bus.publish(message("orders.new", &number.to_string())).await.unwrap();
    }
    bus.flush().await.unwrap();
    for one in [&alone, &rest] {
        for number in 0..MESSAGES {
            let next = soon(one.next()).await.unwrap();
            assert_eq!(next.subject(), "orders.new");
            assert_eq!(*next.body(), number.to_string());
        }
    }
    soon(async {
        while shared.iter().map(Subscription::waiting).sum::<usize>() < MESSAGES {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(shared.iter().map(Subscription::waiting).sum::<usize>(), MESSAGES);
    assert!(other.try_next().is_none());
    assert!(alone.try_next().is_none());
}

async fn headers_go_both_ways(place: Place) {
    let bus = &place.lattice.bus;
    echo(bus, subscribe(bus, "echo", Some("q")).await);
    let headers = vec![
        ("Traceparent".to_owned(), "00-1-2-01".to_owned()),
        ("x".to_owned(), "1".to_owned()),
        ("x".to_owned(), "2".to_owned()),
    ];
    let asked = message("echo", "hello").with_headers(headers.clone());
    let answer = bus.request(asked, SOON).await.unwrap();
    assert_eq!(*answer.body(), "hello");
    let mut is = answer.headers().to_vec();
    is.sort();
    assert_eq!(is, headers);
    let empty = bus.request(message("echo", ""), SOON).await.unwrap();
    assert!(empty.body().is_empty() && empty.headers().is_empty());
}

async fn nobody_is_told_at_once(place: Place) {
    let bus = &place.lattice.bus;
    // It is connected then.
    bus.publish(message("x", "y")).await.unwrap();
    let begun = std::time::Instant::now();
    let nobody = bus.request(message("nobody.there", "x"), Duration::from_secs(30)).await;
    assert!(matches!(nobody, Err(RequestError::NoResponders { .. })), "{nobody:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

async fn no_answer_is_told_in_time(place: Place) {
    let bus = &place.lattice.bus;
    let _silent = subscribe(bus, "silent", None).await;
    let begun = std::time::Instant::now();
    let late = bus.request(message("silent", "x"), Duration::from_millis(300)).await;
    assert!(matches!(late, Err(RequestError::Timeout { .. })), "{late:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

async fn what_is_too_large_is_refused_and_the_rest_goes_on(place: Place) {
    let bus = &place.lattice.bus;
    let listens = subscribe(bus, "large", None).await;
    for size in [(1 << 20) + 1, 2 << 20] {
        let large = Message::new("large", vec![b'x'; size]).unwrap();
        let refused = bus.publish(large).await;
        assert!(matches!(refused, Err(PublishError::TooLarge { .. })), "{refused:?}");
    }
    bus.publish(Message::new("large", vec![b'x'; 1 << 20]).unwrap()).await.unwrap();
    assert_eq!(soon(listens.next()).await.unwrap().body().len(), 1 << 20);
}

async fn who_ended_has_nothing_more(place: Place) {
    let bus = &place.lattice.bus;
    let gone = subscribe(bus, "a.b", Some("q")).await;
    drop(gone);
    soon(async {
        loop {
            let asked = bus.request(message("a.b", "x"), Duration::from_millis(200)).await;
            if matches!(asked, Err(RequestError::NoResponders { .. })) {
                break;
            }
        }
    })
    .await;
    let stays = subscribe(bus, "a.b", Some("q")).await;
    stays.unsubscribe();
    assert!(soon(stays.next()).await.is_none());
}

async fn what_is_not_taken_does_not_hold_up_others(place: Place) {
    const MESSAGES: usize = 200;
    let bus = &place.lattice.bus;
    let few =
        Interest { capacity: Capacity { messages: 3, bytes: 1 << 20 }, ..interest("many", None) };
    let slow = soon(bus.subscribe(few)).await.unwrap();
    let quick = subscribe(bus, "many", None).await;
    let mut told = 0;
    for number in 0..MESSAGES {
        if matches!(
            tokio::time::timeout(
                Duration::from_millis(20),
                bus.publish(message("many", &number.to_string()))
            )
            .await,
            Err(_) | Ok(Err(PublishError::Full { .. }))
        ) {
            told += 1;
        }
    }
    bus.flush().await.unwrap();
    for number in 0..MESSAGES {
        assert_eq!(*soon(quick.next()).await.unwrap().body(), number.to_string());
    }
    // What it did not take is known: to who published, or to itself.
    soon(async {
        while slow.missed() as usize + told < MESSAGES - 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(slow.waiting(), 3);
    assert_eq!(*slow.next().await.unwrap().body(), "0");
}
