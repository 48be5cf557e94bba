//! Over TLS: whom a link trusts, and as whom it comes. The settings are the same for every server.

use std::path::Path;

use reef_capability::Failure;
use reef_servers::{Certificates, Clients, Nats, Server};

use super::{Store, bytes, open};

fn over_tls(backend: &str, server: &Server, more: &[(&str, &Path)]) -> Store {
    let url = server.url();
    let more = more.iter().map(|(name, file)| (*name, file.to_str().unwrap()));
    open(backend, &[("url", &*url)].into_iter().chain(more).collect(), Path::new("/"))
}

async fn works(store: &Store) {
    store.set("b", "k", bytes("v")).await.unwrap();
    assert_eq!(store.get("b", "k").await, Ok(Some(bytes("v"))));
}

async fn refused(store: &Store, setting: &str) {
    let failure = store.get("b", "k").await.unwrap_err();
    assert!(failure.is_of_backend(), "{failure:?}");
    assert!(failure.to_string().contains(setting), "{failure}");
    assert!(!failure.to_string().contains("reef:reef"), "{failure}");
}

async fn is_checked(backend: &str, start: impl Fn(Clients) -> anyhow::Result<Server>) {
    let server = start(Clients::Any).unwrap();
    let Certificates { ca, .. } = server.certificates();
    works(&over_tls(backend, &server, &[("tls-roots", &ca)])).await;
    refused(&over_tls(backend, &server, &[]), "`tls-roots`").await;

    let server = start(Clients::Certified).unwrap();
    let Certificates { ca, cert, key } = server.certificates();
    let all = [("tls-roots", &*ca), ("tls-cert", &*cert), ("tls-key", &*key)];
    works(&over_tls(backend, &server, &all)).await;
    refused(&over_tls(backend, &server, &all[..1]), "`tls-cert`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    is_checked("redis", Server::redis_over_tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats() {
    is_checked("nats", |clients| Server::nats_over_tls(Nats::Newest, clients)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    is_checked("postgres", Server::postgres_over_tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_trusts_somebody_is_not_connected_without_tls() {
    // A server without TLS, where the settings are a promise that there is some.
    let (nats, postgres) = (Server::nats(Nats::Newest).unwrap(), Server::postgres().unwrap());
    let other = Server::redis_over_tls(Clients::Any).unwrap();
    let ca = other.certificates().ca;
    for (backend, server) in [("nats", nats), ("postgres", postgres)] {
        let store = over_tls(backend, &server, &[("tls-roots", &ca)]);
        let failure = store.set("b", "k", bytes("v")).await.unwrap_err();
        assert!(matches!(failure, Failure::Unavailable { .. }), "{backend}: {failure:?}");
    }
}
