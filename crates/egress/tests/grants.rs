//! What was not granted is not connected to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use reef_egress::{SendError, Sockets, SystemResolver};
use support::{Names, Server, client, client_with, egress, fetch, send};

#[tokio::test]
async fn a_granted_server_answers() {
    let server = Server::hello().await;
    let client = client(&[&server.grant()]);
    assert_eq!(fetch(&client, &server.url("/")).await.unwrap(), "hello");
    assert_eq!(fetch(&client, &server.url("")).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_refused_server_sees_nothing() {
    let server = Server::hello().await;
    let port = server.addr.port();
    let names = Names::new(&[("rebound.example", &["127.0.0.1"])]);
    let client =
        client_with(&["example.com:443", &format!("https://127.0.0.1:{port}")], |config| {
            config.resolver = Arc::new(names.clone());
        });
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "rebound.example"] {
        let error = send(&client, &format!("http://{host}:{port}/")).await.unwrap_err();
        let SendError::Refused(refusal) = error else { panic!("{error}") };
        assert_eq!(refusal.workload(), "shop");
        assert!(refusal.to_string().contains("--egress"), "{refusal}");
    }
    assert_eq!((server.connections(), names.lookups()), (0, 0));
}

#[tokio::test]
async fn a_granted_name_cannot_be_pointed_at_this_machine() {
    let server = Server::hello().await;
    let port = server.addr.port();
    let names = Names::new(&[("api.example", &["127.0.0.1", "::1", "169.254.169.254"])]);
    let client = client_with(&[&format!("api.example:{port}"), "*:*"], |config| {
        config.resolver = Arc::new(names.clone());
    });
    let error = send(&client, &format!("http://api.example:{port}/")).await.unwrap_err();
    let SendError::Refused(refusal) = error else { panic!("{error}") };
    let message = refusal.to_string();
    assert!(message.contains(&format!("api.example:{port}")), "{message}");
    assert!(message.contains(&format!("`--egress 127.0.0.1:{port}`")), "{message}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_granted_name_may_lead_to_a_granted_address() {
    let server = Server::hello().await;
    let port = server.addr.port();
    let names = Names::new(&[("api.example", &["10.255.255.1", "127.0.0.1"])]);
    let client = client_with(&[&format!("api.example:{port}"), "127.0.0.0/8:*"], |config| {
        config.resolver = Arc::new(names.clone());
    });
    assert_eq!(fetch(&client, &format!("http://API.example.:{port}/")).await.unwrap(), "hello");
    assert_eq!(names.lookups(), 1);
}

#[tokio::test]
async fn localhost_is_this_machine_whatever_a_name_server_says() {
    let server = Server::hello().await;
    let port = server.addr.port();
    let names = Names::new(&[("localhost", &["1.1.1.1"])]);
    let client = client_with(&[&format!("localhost:{port}")], |config| {
        config.resolver = Arc::new(names.clone());
    });
    assert_eq!(fetch(&client, &format!("http://localhost:{port}/")).await.unwrap(), "hello");
    assert_eq!(fetch(&client, &format!("http://127.0.0.1:{port}/")).await.unwrap(), "hello");
    assert_eq!(names.lookups(), 0);
}

#[tokio::test]
async fn redirects_are_handed_to_the_guest() {
    let elsewhere = Server::hello().await;
    let url = elsewhere.url("/");
    let server = Server::start(None, move |_| {
        let url = url.clone();
        async move {
            let mut answer = support::text("");
            *answer.status_mut() = http::StatusCode::FOUND;
            answer.headers_mut().insert("location", url.parse().unwrap());
            answer
        }
    })
    .await;
    let client = client(&[&server.grant(), &elsewhere.grant()]);
    let response = send(&client, &server.url("/")).await.unwrap();
    assert_eq!(response.status(), http::StatusCode::FOUND);
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_redirect_that_a_guest_follows_is_asked_for_like_any_other_request() {
    let inside = Server::hello().await;
    let port = inside.addr.port();
    let url = format!("http://inside.example:{port}/");
    let server = Server::start(None, move |_| {
        let url = url.clone();
        async move {
            let mut answer = support::text("");
            *answer.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
            answer.headers_mut().insert("location", url.parse().unwrap());
            answer
        }
    })
    .await;
    // The name that it is sent on to is granted, and the network behind that is not.
    let grants = [&*server.grant(), &*format!("inside.example:{port}"), "*:*"];
    for address in ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "fe80::1", "fd00::1"] {
        let names = Names::new(&[("inside.example", &[address])]);
        let client = client_with(&grants, |config| config.resolver = Arc::new(names));
        let moved = send(&client, &server.url("/")).await.unwrap();
        let next = moved.headers()["location"].to_str().unwrap().to_owned();
        let error = send(&client, &next).await.unwrap_err();
        let SendError::Refused(refusal) = error else { panic!("{address}: {error}") };
        assert!(refusal.to_string().contains(address), "{refusal}");
        // Nor is the address itself, wherever it is written.
        let address =
            if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let error = send(&client, &format!("http://{address}:{port}/")).await.unwrap_err();
        assert!(matches!(error, SendError::Refused(_)), "{address}: {error}");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn urls_that_cannot_be_requested_are_refused_with_a_reason() {
    let client = client(&["*:*"]);
    for (url, reason) in [
        ("/path", "scheme and a host"),
        ("ftp://example.com/", "`ftp`"),
        ("http://user:secret@example.com/", "password"),
        ("http://127.1/", "four decimal parts"),
        ("http://example.com:0/", "not a port"),
    ] {
        let error = send(&client, url).await.unwrap_err();
        assert!(matches!(error, SendError::InvalidUri { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn sockets_may_talk_to_what_granted_names_resolve_to() {
    let names =
        Names::new(&[("db.example", &["1.1.1.1", "10.0.0.1"]), ("web.example", &["2.2.2.2"])]);
    let sockets = Sockets::new(
        egress(&["db.example:5432", "https://web.example", "*.wild.example:*", "10.9.0.0/16:*"]),
        Arc::new(names.clone()),
    );
    let permits = async |addr: &str| sockets.permits_socket(addr.parse().unwrap()).await;
    assert!(permits("1.1.1.1:5432").await);
    assert!(permits("10.9.1.1:80").await);
    assert!(!permits("1.1.1.1:443").await);
    assert!(!permits("10.0.0.1:5432").await, "private, and only behind a name");
    assert!(!permits("2.2.2.2:443").await, "granted for https only");
    assert!(!permits("3.3.3.3:5432").await);
    assert_eq!(names.lookups(), 1, "remembered");
}

/// Hosts of guests ask for futures that are `Sync`, too.
#[test]
fn the_check_of_a_socket_can_be_boxed_as_hosts_want_it() {
    fn sync<F: Future<Output = bool> + Send + Sync>(_: F) {}
    let sockets = Sockets::new(egress(&[]), Arc::new(SystemResolver::shared()));
    sync(sockets.permits_socket(SocketAddr::from(([127, 0, 0, 1], 1))));
}
