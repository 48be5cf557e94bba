//! Databases at addresses that guests choose, where their workload may connect.

use std::sync::{Arc, Mutex, PoisonError};

use reef_capability::{Failure, Gate, Link, Policy, Secret};
use reef_egress::{Egress, Granted, PemError, Reach, Tls, TlsClient};
use tokio::runtime::Handle;

use crate::{
    CAPABILITY, OPERATIONS,
    database::Database,
    error::{Result, SqlError},
    mysql, postgres,
    session::Sql,
};

/// Addresses whose connections are kept.
const KEPT: usize = 16;
/// Connections to one address.
const CONNECTIONS: usize = 16;
/// Rows of one result.
const ROWS: u64 = 1_000_000;

/// Kinds of servers that a guest may name an address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL: `postgres://user:password@host:5432/database`.
    Postgres,
    /// MySQL or MariaDB: `mysql://user:password@host:3306/database`.
    Mysql,
}

/// The databases that a workload may connect to by itself: those whose hosts it was granted. Connections are kept for
/// the addresses that were used last.
pub struct Addresses {
    workload: Arc<str>,
    egress: Egress,
    tls: Tls,
    policy: Policy,
    runtime: Handle,
    known: Mutex<Vec<Known>>,
}

type Known = (Key, Arc<Link<dyn Sql>>);

#[derive(PartialEq)]
struct Key {
    server: Server,
    address: Secret,
    authority: Option<String>,
}

impl Addresses {
    /// Those of a workload, which trusts and comes as `tls` says; each is used as `policy` says.
    pub fn new(
        workload: Arc<str>,
        (egress, tls): (Egress, Tls),
        policy: Policy,
        runtime: Handle,
    ) -> Self {
        Self { workload, egress, tls, policy, runtime, known: Mutex::default() }
    }

    /// The database at an address. `authority` holds the certificates to trust instead of
    /// the workload's own, in PEM.
    ///
    /// # Errors
    /// When the address makes no sense, or the workload may not connect there.
    pub fn database(
        &self,
        server: Server,
        address: &str,
        authority: Option<&str>,
    ) -> Result<Database> {
        let key = Key { server, address: address.into(), authority: authority.map(str::to_owned) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().position(|(one, _)| *one == key);
        let (key, link) = match at {
            Some(at) => known.remove(at),
            None => {
                let link = self.link(&key)?;
                (key, Arc::new(link))
            }
        };
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push((key, link.clone()));
        Ok(Database::new(link, Arc::from("")))
    }

    /// What is said to a workload that was granted no address at all, and asks for this one. It is logged.
    pub fn refused(workload: &Arc<str>, server: Server, address: &str) -> SqlError {
        let none = Egress::new(Vec::new());
        let asked = match server {
            Server::Postgres => address_of_postgres(address).and_then(|address| {
                let mut hosts = address.hosts().iter();
                hosts.try_for_each(|(host, port)| check(workload, &none, "postgres", host, *port))
            }),
            Server::Mysql => address_of_mysql(address)
                .and_then(|address| check(workload, &none, "mysql", &address.host, address.port)),
        };
        let nowhere = || Failure::Denied("the workload may not connect to databases".to_owned());
        asked.err().unwrap_or_else(|| nowhere().into())
    }

    fn link(&self, key: &Key) -> Result<Link<dyn Sql>> {
        let address = key.address.expose();
        let mut tls = self.tls.clone();
        if let Some(authority) = &key.authority {
            let given = Tls::from_pem(Some(authority.as_bytes()), None);
            let unusable = |error: PemError| {
                Failure::Invalid(format!("the authority's certificate cannot be used: {error}"))
            };
            tls.only_roots = given.map_err(unusable)?.only_roots;
        }
        let (system, named, backend) = match key.server {
            Server::Postgres => {
                let address = address_of_postgres(address)?;
                for (host, port) in address.hosts() {
                    check(&self.workload, &self.egress, "postgres", host, *port)?;
                }
                let named = address.hosts().first().map(|(host, port)| format!("{host}:{port}"));
                let backend = postgres::connect(
                    address,
                    TlsClient::new(tls),
                    self.reach("postgres"),
                    CONNECTIONS,
                    ROWS,
                    &self.runtime,
                );
                let backend = backend.map_err(|notice| Failure::Backend(notice.to_string()))?;
                ("postgresql", named.unwrap_or_default(), backend)
            }
            Server::Mysql => {
                let address = address_of_mysql(address)?;
                check(&self.workload, &self.egress, "mysql", &address.host, address.port)?;
                let named = format!("{}:{}", address.host, address.port);
                let reach = self.reach("mysql");
                let backend =
                    mysql::connect(address, tls, reach, CONNECTIONS, ROWS, &self.runtime)?;
                ("mysql", named, backend)
            }
        };
        let (workload, policy) = (self.workload.clone(), self.policy.clone());
        let gate = Gate::new(workload, named.into(), (CAPABILITY, system), policy, &OPERATIONS);
        Ok(Link { place: None, gate, backend })
    }

    fn reach(&self, scheme: &'static str) -> Arc<dyn Reach> {
        Arc::new(Granted::new(self.workload.clone(), self.egress.clone(), scheme))
    }
}

fn address_of_postgres(text: &str) -> Result<postgres::Address> {
    postgres::Address::parse(text).map_err(|error| wrong(&error.to_string()))
}

fn address_of_mysql(text: &str) -> Result<mysql::Address> {
    mysql::Address::parse(text).map_err(|why| wrong(&why))
}

fn wrong(why: &str) -> SqlError {
    SqlError::invalid(format!("the address {why}"))
}

/// Whether a workload may connect to a host at all. That it may not is logged.
fn check(
    workload: &Arc<str>,
    egress: &Egress,
    scheme: &'static str,
    host: &str,
    port: u16,
) -> Result<()> {
    let granted = Granted::new(workload.clone(), egress.clone(), scheme);
    granted.check(host, port).map_err(|why| {
        tracing::warn!(workload = &**workload, denied = "egress", "{why}");
        Failure::Denied(why).into()
    })
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Addresses").field("workload", &self.workload).finish_non_exhaustive()
    }
}
