//! How many values a second a server's own client gets, many at once: `client redis|nats URL TASKS SECONDS`.
//!
//! What `cargo xtask bench key-value` compares gets through a guest with. It asks for what the guest asks for: the key
//! `k` of the bucket `b`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a program for developers")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::jetstream;
use reef_redis::redis;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [backend, url, tasks, seconds] = &arguments[..] else {
        panic!("client redis|nats URL TASKS SECONDS");
    };
    let (tasks, seconds): (u32, u64) = (tasks.parse().unwrap(), seconds.parse().unwrap());
    let (start, got) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let end = start + Duration::from_secs(seconds);
    let mut running = Vec::new();
    match backend.as_str() {
        "redis" => {
            let client = redis::Client::open(url.as_str()).unwrap();
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            for _ in 0..tasks {
                let (mut connection, got) = (connection.clone(), got.clone());
                running.push(tokio::spawn(async move {
                    let mut command = redis::cmd("GET");
                    command.arg("b:k");
                    while Instant::now() < end {
                        let value: Vec<u8> = command.query_async(&mut connection).await.unwrap();
                        assert!(!value.is_empty(), "it is there");
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                }));
            }
        }
        "nats" => {
            let context = jetstream::new(async_nats::connect(url).await.unwrap());
            let store = context.get_key_value("b").await.unwrap();
            for _ in 0..tasks {
                let (store, got) = (store.clone(), got.clone());
                running.push(tokio::spawn(async move {
                    while Instant::now() < end {
                        assert!(store.get("k").await.unwrap().is_some(), "it is there");
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                }));
            }
        }
        other => panic!("no client for {other}"),
    }
    for one in running {
        one.await.unwrap();
    }
    println!("{:.1}", got.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64());
}
