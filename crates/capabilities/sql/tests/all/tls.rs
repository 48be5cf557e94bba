//! Over TLS: whom a link trusts, and as whom it comes.

use reef_capability::{Caller, Failure};
use reef_servers::{Certificates, Clients, Server};

use crate::{Setup, Uses as _, failure};

impl Setup {
    fn tls(self, settings: &[(&'static str, &std::path::Path)]) -> Self {
        let set = |setup: Self, (name, file): &(&'static str, &std::path::Path)| {
            setup.with(name, file.to_str().unwrap())
        };
        settings.iter().fold(self, set)
    }

    async fn refused(&self) -> Failure {
        // It connects when it is first asked for something.
        let one = self.database().connect(&Caller::default()).await.unwrap();
        failure(one.rows("select 1", Vec::new()).await)
    }
}

async fn is_checked(backend: &'static str, start: fn(Clients) -> anyhow::Result<Server>) {
    let setup = Setup::new(backend, Some(start(Clients::Any).unwrap()));
    let Some(server) = &setup.server else { return };
    let ca = server.certificates().ca;
    let why = setup.refused().await;
    assert!(matches!(&why, Failure::Unavailable { .. }), "{why:?}");
    assert!(why.to_string().contains("`tls-roots`"), "{why}");
    let setup = setup.tls(&[("tls-roots", &ca)]);
    let one = setup.database().connect(&Caller::default()).await.unwrap();
    assert_eq!(one.number("select 1").await, 1);

    let setup = Setup::new(backend, Some(start(Clients::Certified).unwrap()));
    let Some(server) = &setup.server else { return };
    let Certificates { ca, cert, key } = server.certificates();
    let setup = setup.tls(&[("tls-roots", &ca)]);
    let why = setup.refused().await;
    assert!(why.to_string().contains("`tls-cert`"), "{why}");
    let setup = setup.tls(&[("tls-cert", &cert), ("tls-key", &key)]);
    let one = setup.database().connect(&Caller::default()).await.unwrap();
    assert_eq!(one.number("select 1").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    is_checked("postgres", Server::postgres_over_tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql() {
    is_checked("mysql", Server::mariadb_over_tls).await;
}
