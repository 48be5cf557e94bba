//! Addresses that guests choose.

use reef_capability::{Caller, Failure, Policy};
use reef_egress::{Egress, Tls};
use reef_servers::Server as Real;
use reef_sql::{Addresses, Server};
use tokio::runtime::Handle;

use crate::{Uses as _, failure};

fn granted(list: &[String]) -> Addresses {
    let granted = list.iter().map(|one| one.parse().unwrap()).collect();
    let granted = (Egress::new(granted), Tls::default());
    Addresses::new("shop".into(), granted, Policy::default(), Handle::current())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_granted_is_connected_to() {
    let (postgres, mysql) = (Real::postgres().unwrap(), Real::mariadb().unwrap());
    for (server, real) in [(Server::Postgres, &postgres), (Server::Mysql, &mysql)] {
        let (url, port) = (real.url(), real.port());
        let none = granted(&[]);
        let why = failure(none.database(server, &url, None));
        assert!(matches!(&why, Failure::Denied(why) if why.contains("--egress")), "{why:?}");
        let same = Addresses::refused(&"shop".into(), server, &url).failure;
        assert_eq!(same, why, "without any grant it is the same");
        let wrong = Addresses::refused(&"shop".into(), server, "nonsense").to_string();
        assert!(wrong.starts_with("the address is no address"), "{wrong}");
        let other = granted(&[format!("127.0.0.1:{}", port + 1)]);
        assert!(matches!(failure(other.database(server, &url, None)), Failure::Denied(_)));

        let some = granted(&[format!("127.0.0.1:{port}")]);
        let database = some.database(server, &url, None).unwrap();
        let one = database.connect(&Caller::default()).await.unwrap();
        assert_eq!(one.number("select 1").await, 1);
        let why = failure(some.database(server, "nonsense", None)).to_string();
        assert!(why.starts_with("the address is no address"), "{why}");

        // The name is granted, and not where it leads.
        let named = granted(&[format!("private.localhost.example:{port}")]);
        let url = url.replace("127.0.0.1", "private.localhost.example");
        let database = named.database(server, &url, None).unwrap();
        let one = database.connect(&Caller::default()).await.unwrap();
        one.rows("select 1", vec![]).await.unwrap_err();
    }
}
