//! What it takes to publish a message, by how many others subscribe to something else.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a measurement")]

use std::time::Instant;

use reef_bus::{Bus, Capacity, InProcess, Interest, Message};

const MESSAGES: u32 = 200_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for others in [0, 100, 10_000, 90_000] {
        runtime.block_on(async {
            let bus = InProcess::default();
            let mut subscriptions = Vec::new();
            let subjects = (0..others).map(|at| format!("orders.{at}.paid"));
            for subject in subjects.chain(["orders.*.new".to_owned(), "orders.x.new".to_owned()]) {
                let interest = Interest {
                    name: "w".into(),
                    subject: subject.parse().expect("a subject"),
                    queue: None,
                    capacity: Capacity::default(),
                };
                subscriptions.push(bus.subscribe(interest).await.expect("room"));
            }
            let [.., any, exact] = &subscriptions[..] else { return };
            let message = Message::new("orders.x.new", "body").expect("a message");
            let start = Instant::now();
            for _ in 0..MESSAGES {
                bus.publish(message.clone()).await.expect("room");
                any.try_next().expect("the message");
                exact.try_next().expect("the message");
            }
            let each = start.elapsed() / MESSAGES;
            println!("{others:>6} others: {each:?} to publish to two and take from both");
        });
    }
}
