use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{auth, credentials::Found};

/// A server that sends on from each path to what the path says after its first `/`, and answers `/` itself.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            let begin = match path {
                "" => "200 OK".to_owned(),
                to => format!("307 X\r\nlocation: {to}"),
            };
            let answer =
                format!("HTTP/1.1 {begin}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    addr
}

/// One that takes these servers for some of the public network.
fn client(outside: &[SocketAddr]) -> Client {
    let mut all = vec!["*:*".to_owned()];
    all.extend(outside.iter().map(SocketAddr::to_string));
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let insecure = ["169.254.169.254", "10.1.2.3", "[fd00::1]", "metadata.localhost"];
    let insecure = insecure.map(str::to_owned).to_vec();
    let connect = Duration::from_secs(5);
    Client::reaching(&Config { insecure, connect, ..Config::default() }, &all)
}

async fn get(client: &Client, url: &str) -> Result<Answer, Error> {
    client.get(&url.parse().unwrap(), Side::Inside, HeaderMap::new()).await
}

#[tokio::test]
async fn the_public_network_does_not_send_into_a_private_one() {
    let (public, other, private) = (server().await, server().await, server().await);
    let client = client(&[public, other]);
    let answer = get(&client, &format!("http://{public}/http://{other}/")).await.unwrap();
    assert_eq!((answer.status, answer.from), (StatusCode::OK, Side::Outside));
    let inwards = [
        private.to_string(),
        format!("localhost:{}", private.port()),
        "169.254.169.254".to_owned(),
        "10.1.2.3".to_owned(),
        "[fd00::1]".to_owned(),
        "metadata.localhost".to_owned(),
    ];
    for host in inwards {
        for url in [
            format!("http://{public}/http://{host}/secret"),
            // Nor by way of another one.
            format!("http://{public}/http://{other}/http://{host}/secret"),
            format!("http://{private}/http://{public}/http://{host}/secret"),
        ] {
            let error = get(&client, &url).await.unwrap_err();
            let Error::Inwards { to } = &error else { panic!("{url}: {error}") };
            assert!(to.contains(host.split(':').next().unwrap()), "{to}");
            assert!(!error.is_passing() && error.to_string().contains("link-local"), "{error}");
        }
    }
}

#[tokio::test]
async fn what_a_person_named_in_a_private_network_may_send_on_there() {
    let (public, private, other) = (server().await, server().await, server().await);
    let client = client(&[public]);
    let answer = get(&client, &format!("http://{private}/http://{other}/")).await.unwrap();
    assert_eq!((answer.status, answer.from), (StatusCode::OK, Side::Inside));
    let answer = get(&client, &format!("http://{private}/http://{public}/")).await.unwrap();
    assert_eq!((answer.status, answer.from), (StatusCode::OK, Side::Outside));
}

#[tokio::test]
async fn nor_is_a_token_fetched_there_because_the_public_network_says_so() {
    let (public, private) = (server().await, server().await);
    let client = client(&[public]);
    let base = format!("http://{public}/").parse().unwrap();
    let realm = format!("http://{private}/token");
    let challenge = auth::Challenge::Bearer { realm, service: None, scope: None };
    let found = Found::default();
    let asked = auth::answer(&client, (&base, Side::Outside), &challenge, "x", &found).await;
    assert!(matches!(asked, Err(Error::Inwards { .. })), "{asked:?}");
}
