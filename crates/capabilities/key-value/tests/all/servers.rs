//! The backends that are servers.

use std::path::Path;

use reef_capability::Failure;
use reef_key_value::SetOptions;
use reef_servers::{Cluster, Nats, Server};

use super::{
    Store, at, bytes,
    conformance::{all_keys, conforms},
    open,
};

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    let server = Server::redis().unwrap();
    conforms(&at("redis", &server.url())).await;
    let settings = [("url", &*server.url()), ("prefix", "shop:*")].into_iter().collect();
    conforms(&open("redis", &settings, Path::new("/"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_of_today() {
    let server = Server::nats(Nats::Newest).unwrap();
    conforms(&at("nats", &server.url())).await;
    let settings = [("url", &*server.url()), ("prefix", "shop-")].into_iter().collect();
    conforms(&open("nats", &settings, Path::new("/"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_nats_where_nothing_expires() {
    let server = Server::nats(Nats::Oldest).unwrap();
    let store = at("nats", &server.url());
    conforms(&store).await;
    let options = SetOptions { expires: Some(std::time::Duration::from_secs(60)), if_absent: true };
    let refused = store.set_with("b", "k", bytes("v"), options).await.unwrap_err();
    assert_eq!(
        refused,
        Failure::Unsupported(
            "values cannot expire at NATS 2.10.26: that is so from 2.11 on".to_owned()
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let server = Server::postgres().unwrap();
    conforms(&at("postgres", &server.url())).await;
    let settings = [("url", &*server.url()), ("table", "other")].into_iter().collect();
    conforms(&open("postgres", &settings, Path::new("/"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_made_is_missed() {
    let server = Server::postgres().unwrap();
    let settings = [("url", &*server.url()), ("create-table", "false")].into_iter().collect();
    let missed = open("postgres", &settings, Path::new("/")).get("b", "k").await.unwrap_err();
    assert!(missed.to_string().contains("there is no table `reef_key_value`"), "{missed}");
    let server = Server::nats(Nats::Newest).unwrap();
    let settings = [("url", &*server.url()), ("create-buckets", "false")].into_iter().collect();
    let missed = open("nats", &settings, Path::new("/")).get("b", "k").await.unwrap_err();
    assert_eq!(missed, Failure::NotFound { what: "bucket", name: "b".to_owned() });
}

/// What two hosts do to one key is done once each.
#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_at_one_key_lose_nothing() {
    let (redis, nats, postgres) = (
        Server::redis().unwrap(),
        Server::nats(Nats::Newest).unwrap(),
        Server::postgres().unwrap(),
    );
    let all = [("redis", redis.url()), ("nats", nats.url()), ("postgres", postgres.url())];
    for (backend, url) in all {
        lose_nothing(&[at(backend, &url), at(backend, &url)]).await;
    }
}

/// Three servers do as one, be a value on one of them or on each.
#[tokio::test(flavor = "multi_thread")]
async fn nats_of_three_servers() {
    for version in [Nats::Newest, Nats::Oldest] {
        let cluster = Cluster::nats_of(version, 3).unwrap();
        for replicas in ["1", "3"] {
            let hosts = [0, 1].map(|host| {
                let url = cluster.server(host).url();
                let settings = [("url", &*url), ("replicas", replicas), ("prefix", replicas)];
                open("nats", &settings.into_iter().collect(), Path::new("/"))
            });
            lose_nothing(&hosts).await;
            list_what_is_written(&hosts).await;
            if replicas == "3" {
                conforms(&hosts[0]).await;
            }
        }
    }
}

/// What one has written is in the other one's listing right away, and what it has deleted is not.
async fn list_what_is_written(hosts: &[Store; 2]) {
    let [writing, listing] = hosts;
    for n in 0..100 {
        let key = n.to_string();
        writing.set("listed", &key, bytes("x")).await.unwrap();
        assert_eq!(all_keys(listing, "listed", "").await, [&*key]);
        writing.delete("listed", &key).await.unwrap();
        assert!(all_keys(listing, "listed", "").await.is_empty(), "{n}");
    }
}

/// Both count at once.
async fn lose_nothing(hosts: &[Store; 2]) {
    let mut tasks = Vec::new();
    for host in hosts {
        for _ in 0..4 {
            let host = host.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..25 {
                    host.add("b", "sum", 1).await.unwrap();
                    // The same by hand.
                    loop {
                        let now = host.entry("b", "swaps").await.unwrap();
                        let count = now.as_ref().map_or(0, |now| {
                            std::str::from_utf8(&now.value).unwrap().parse::<u32>().unwrap()
                        });
                        let version = now.as_ref().map(|now| &now.version);
                        let next = bytes(&(count + 1).to_string());
                        if host.swap("b", "swaps", version, next).await.unwrap() {
                            break;
                        }
                    }
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    for host in hosts {
        assert_eq!(host.get("b", "sum").await, Ok(Some(bytes("200"))));
        assert_eq!(host.get("b", "swaps").await, Ok(Some(bytes("200"))));
    }
}
