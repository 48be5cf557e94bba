//! One suite for every backend, and what goes wrong with each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod addresses;
mod conformance;
mod durability;
mod embedded;
mod faults;
mod tls;

use std::{path::Path, sync::Arc, time::Duration};

use reef_capability::{Caller, Failure, Gate, Link, Opened, Opening, Policy, Settings, find};
use reef_servers::Server;
use reef_sql::{BACKENDS, CAPABILITY, Connection, Database, OPERATIONS, Result, Sql, Table, Value};
use tokio::{runtime::Handle, time::Instant};

/// A backend as a manifest names it, and how its SQL differs from that of others.
struct Setup {
    backend: &'static str,
    settings: Vec<(&'static str, String)>,
    folder: tempfile::TempDir,
    policy: Policy,
    server: Option<Server>,
}

impl Setup {
    fn embedded() -> Self {
        Self::new("embedded", None)
    }

    fn postgres() -> Self {
        Self::new("postgres", Some(Server::postgres().unwrap()))
    }

    fn mysql() -> Self {
        Self::new("mysql", Some(Server::mariadb().unwrap()))
    }

    fn new(backend: &'static str, server: Option<Server>) -> Self {
        let settings = server.iter().map(|server| ("url", server.url())).collect();
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy { retries: 0, ..Policy::default() };
        Self { backend, settings, folder, policy, server }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.settings.retain(|(one, _)| *one != name);
        self.settings.push((name, value.to_owned()));
    }

    fn time(mut self, time: Duration) -> Self {
        self.policy.timeout = time;
        self
    }

    fn size(mut self, size: u64) -> Self {
        self.policy.size = size;
        self
    }

    fn backend(&self) -> Arc<dyn Sql> {
        open(self.backend, &self.settings, Some(self.folder.path()))
    }

    /// A database, opened anew.
    fn database(&self) -> Database {
        self.link(self.backend())
    }

    fn link(&self, backend: Arc<dyn Sql>) -> Database {
        let system = (CAPABILITY, self.backend);
        let gate =
            Gate::new("shop".into(), "main".into(), system, self.policy.clone(), &OPERATIONS);
        Database::new(Arc::new(Link { place: None, gate, backend }), "main".into())
    }

    /// A statement with `?` for each parameter, as this backend writes them.
    fn sql(&self, text: &str) -> String {
        if self.backend != "postgres" {
            let any = if self.backend == "mysql" { "text character set utf8mb4" } else { "text" };
            return text.replace("BYTES", "blob").replace("TEXT", any);
        }
        let mut parts = text.split('?');
        let mut sql = parts.next().unwrap_or_default().to_owned();
        for (at, part) in parts.enumerate() {
            sql.push_str(&format!("${}{part}", at + 1));
        }
        sql.replace("BYTES", "bytea").replace("TEXT", "text")
    }

    /// A statement that takes longer than any test waits.
    fn slow(&self) -> &'static str {
        match self.backend {
            "embedded" => {
                "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
            }
            "postgres" => "select 1 from pg_sleep(60)",
            _ => "select benchmark(100000000000, md5('a'))",
        }
    }
}

fn open(backend: &str, settings: &[(&'static str, String)], data: Option<&Path>) -> Arc<dyn Sql> {
    let settings: Settings = settings.iter().map(|(name, value)| (*name, &**value)).collect();
    let runtime = Handle::current();
    let opening = Opening {
        application: "shop",
        settings: &settings,
        folder: Path::new("."),
        data,
        runtime: &runtime,
    };
    Opened::default().open(find(BACKENDS, backend).unwrap(), opening).unwrap()
}

async fn connect(database: &Database) -> Connection {
    database.connect(&Caller::default()).await.unwrap()
}

/// Uses without a caller, and with literals of any integer width.
trait Uses {
    async fn run(&self, text: &str, parameters: Vec<Value>) -> Result<u64>;
    async fn rows(&self, text: &str, parameters: Vec<Value>) -> Result<Table>;
    async fn number(&self, text: &str) -> i128;
}

impl Uses for Connection {
    async fn run(&self, text: &str, parameters: Vec<Value>) -> Result<u64> {
        Ok(self.execute(&Caller::default(), text, parameters).await?.rows)
    }

    async fn rows(&self, text: &str, parameters: Vec<Value>) -> Result<Table> {
        self.fetch(&Caller::default(), text, parameters).await
    }

    async fn number(&self, text: &str) -> i128 {
        let table = self.rows(text, Vec::new()).await.unwrap();
        match &table.rows[0][0] {
            Value::Decimal(text) => text.parse().unwrap(),
            value => value.integer().unwrap(),
        }
    }
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(mut so: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so().await {
        assert!(Instant::now() < deadline, "it does not become so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[track_caller]
fn failure<T: std::fmt::Debug>(result: Result<T>) -> Failure {
    result.unwrap_err().failure
}
