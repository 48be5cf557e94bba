//! Over TLS: whom a link trusts, and as whom it comes.

use std::path::Path;

use reef_messaging::Message;
use reef_servers::{Certificates, Clients, Server};

use crate::link;

async fn published(
    server: &Server,
    settings: &[(&str, &Path)],
) -> Result<(), reef_capability::Failure> {
    let url = server.url();
    let settings = settings.iter().map(|(name, file)| (*name, file.to_str().unwrap()));
    let settings: Vec<_> = [("url", &*url)].into_iter().chain(settings).collect();
    let link = link("mqtt", &settings);
    link.backend.backend().publish(Message::new("news", "hello")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt() {
    let server = Server::mosquitto_over_tls(Clients::Any).unwrap();
    let ca = server.certificates().ca;
    published(&server, &[("tls-roots", &ca)]).await.unwrap();
    let why = published(&server, &[]).await.unwrap_err();
    assert!(why.is_of_backend() && why.to_string().contains("`tls-roots`"), "{why}");

    let server = Server::mosquitto_over_tls(Clients::Certified).unwrap();
    let Certificates { ca, cert, key } = server.certificates();
    let all = [("tls-roots", &*ca), ("tls-cert", &*cert), ("tls-key", &*key)];
    published(&server, &all).await.unwrap();
    let why = published(&server, &all[..1]).await.unwrap_err();
    assert!(why.is_of_backend() && why.to_string().contains("`tls-cert`"), "{why}");
}
