//! In PostgreSQL: one table, which is made when it is first used, if the link allows that.
//!
//! A version is a number of a sequence. Changes are told by a trigger, which the first watch makes.

mod statements;
mod watch;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use reef_capability::{
    Backend, Failure, OpenError, Opening, Setting, SettingError, TLS_CERT, TLS_KEY, TLS_ROOTS,
};
use reef_postgres::{
    Address, Anywhere, Notice, Options, Pool, Pooled, TlsClient,
    tokio_postgres::{
        Row,
        error::SqlState,
        types::{ToSql, Type},
    },
};

use self::{
    statements::{Statements, is_name},
    watch::Watch,
};
use crate::{Entry, KeyValue, Page, SetOptions, Told, Version};

static URL: Setting = Setting::new(
    "url",
    "the server: `postgres://user:password@host:5432/database?sslmode=require`",
);
const MAX_CONNECTIONS: Setting = Setting::new("max-connections", "connections at once: `16`");
const TABLE: Setting = Setting::new("table", "the table: `reef_key_value`");
const CREATE: Setting =
    Setting::new("create-table", "`false` if the table is there, and never made by Reef");

pub(crate) const BACKEND: Backend<dyn KeyValue> = Backend {
    name: "postgres",
    system: "postgresql",
    settings: &[
        Setting::new("url", "the server: `postgres://user:password@host:5432/database`"),
        MAX_CONNECTIONS,
        TABLE,
        CREATE,
        TLS_ROOTS,
        TLS_CERT,
        TLS_KEY,
    ],
    private: false,
    open,
};

/// How long connecting may take, and waiting for a connection.
const CONNECT: Duration = Duration::from_secs(4);
/// Bytes of one message of the server.
const MESSAGE: u64 = 256 << 20;
/// Watches at once.
const WATCHES: usize = 64;
/// How often what expired is taken away, by who writes.
const SWEEPING: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Postgres {
    pool: Pool,
    /// Connections that are held for as long as somebody watches.
    watching: Pool,
    table: String,
    statements: Arc<Statements>,
    create: bool,
    told: AtomicBool,
    began: Instant,
    /// When what expired was taken away, in milliseconds since it began.
    swept: AtomicU64,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn KeyValue>, OpenError> {
    let settings = opening.settings;
    let wrong = |name, why: String| OpenError::from(SettingError::Wrong { name, why });
    let address = Address::parse(settings.required(&URL)?);
    let address = address.map_err(|error| wrong(URL.name, error.to_string()))?;
    let connections: u16 = settings.parsed(MAX_CONNECTIONS.name)?.unwrap_or(16);
    if connections == 0 {
        return Err(wrong(MAX_CONNECTIONS.name, "leaves no connection at all".to_owned()));
    }
    let table = settings.get(TABLE.name).unwrap_or("reef_key_value").to_owned();
    if !is_name(&table) {
        let why = "is no name of a table: up to 48 small letters, digits and `_`";
        return Err(wrong(TABLE.name, why.to_owned()));
    }
    if address.refuses_tls() {
        settings.no_tls("leave `sslmode=disable` out of `url`")?;
    }
    let tls = settings.tls(opening.folder)?;
    let address = if tls.is_some() { address.with_tls() } else { address };
    let tls = TlsClient::new(tls.unwrap_or_default());
    let pool = |connections| {
        let options = Options {
            connections,
            connect: CONNECT,
            message: MESSAGE,
            tls: tls.clone(),
            reach: Arc::new(Anywhere),
            runtime: opening.runtime.clone(),
        };
        Pool::new(address.clone(), options).map_err(|notice| OpenError::Place(notice.to_string()))
    };
    Ok(Arc::new(Postgres {
        pool: pool(connections.into())?,
        watching: pool(WATCHES)?,
        statements: Arc::new(Statements::new(&table)),
        table,
        create: settings.flag(CREATE.name)?.unwrap_or(true),
        told: AtomicBool::new(false),
        began: Instant::now(),
        swept: AtomicU64::new(0),
    }))
}

type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

impl Postgres {
    /// The rows of a statement. The table is made if it is not there.
    async fn rows(
        &self,
        statement: &Arc<str>,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let mut connection = self.pool.get().await.map_err(failure)?;
        match query(&mut connection, statement, parameters).await {
            Err(Notice::Refused(said)) if *said.code() == SqlState::UNDEFINED_TABLE => {
                self.make(&mut connection).await?;
                query(&mut connection, statement, parameters).await.map_err(failure)
            }
            other => other.map_err(failure),
        }
    }

    /// Whether a statement did something.
    async fn done(
        &self,
        statement: &Arc<str>,
        parameters: Parameters<'_>,
    ) -> Result<bool, Failure> {
        let mut connection = self.pool.get().await.map_err(failure)?;
        let done = match execute(&mut connection, statement, parameters).await {
            Err(Notice::Refused(said)) if *said.code() == SqlState::UNDEFINED_TABLE => {
                self.make(&mut connection).await?;
                execute(&mut connection, statement, parameters).await
            }
            other => other,
        };
        Ok(done.map_err(failure)? > 0)
    }

    async fn make(&self, connection: &mut Pooled) -> Result<(), Failure> {
        if !self.create {
            let table = &self.table;
            return Err(Failure::Backend(format!(
                "there is no table `{table}`, and `create-table = \"false\"` forbids to make it"
            )));
        }
        batch(connection, &self.statements.make).await
    }

    /// Takes away what has expired, if nobody did of late.
    async fn sweep(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let swept = self.swept.load(Ordering::Relaxed);
        let due = swept.saturating_add(u64::try_from(SWEEPING.as_millis()).unwrap_or(0));
        let mine = now >= due
            && self
                .swept
                .compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine && let Err(failure) = self.done(&self.statements.sweep, &[]).await {
            tracing::debug!(%failure, "What expired is not taken away.");
        }
    }
}

/// Marks a connection as busy for as long as somebody waits: one that is given up is not used again.
struct Busy<'a>(&'a Pooled);

impl<'a> Busy<'a> {
    fn new(connection: &'a Pooled) -> Self {
        connection.set_busy(true);
        Self(connection)
    }

    /// It answered.
    fn answered(self) {
        self.0.set_busy(false);
    }
}

async fn query(
    connection: &mut Pooled,
    statement: &Arc<str>,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, Notice> {
    let answer = {
        let busy = Busy::new(connection);
        let answer = connection.client()?.query_typed(statement, parameters).await;
        busy.answered();
        answer
    };
    answer.map_err(|error| noticed(connection, &error))
}

async fn execute(
    connection: &mut Pooled,
    statement: &Arc<str>,
    parameters: Parameters<'_>,
) -> Result<u64, Notice> {
    let answer = {
        let busy = Busy::new(connection);
        let answer = connection.client()?.execute_typed(statement, parameters).await;
        busy.answered();
        answer
    };
    answer.map_err(|error| noticed(connection, &error))
}

async fn batch(connection: &mut Pooled, statements: &str) -> Result<(), Failure> {
    let answer = {
        let busy = Busy::new(connection);
        let answer = connection.client().map_err(failure)?.batch_execute(statements).await;
        busy.answered();
        answer
    };
    answer.map_err(|error| failure(noticed(connection, &error)))
}

fn noticed(connection: &mut Pooled, error: &reef_postgres::tokio_postgres::Error) -> Notice {
    let notice = Notice::of(error);
    if notice.ends() {
        connection.end();
    }
    notice
}

/// What a notice means to who asked.
fn failure(notice: Notice) -> Failure {
    let said = match notice {
        Notice::Refused(said) => said,
        Notice::Lost(why) => return Failure::lost(format!("PostgreSQL: {why}")),
        Notice::Unreachable(why) => return Failure::unreachable(format!("PostgreSQL: {why}")),
        Notice::Denied(why) => return Failure::Denied(why),
        Notice::Login(why) => {
            return Failure::unreachable(format!("PostgreSQL refuses the link: {why}"));
        }
        Notice::Crowded(_) => return Failure::TooMany(notice.to_string()),
        Notice::Timeout(time) => return Failure::Timeout(time),
        Notice::Driver(why) => return Failure::Backend(format!("PostgreSQL: {why}")),
    };
    let message = format!("PostgreSQL: {}", said.message());
    match said.code().code() {
        // What is added to is no number, or not even text.
        "22P02" | "22021" => Failure::Invalid("the value is no whole number of 64 bits".to_owned()),
        "22003" => {
            let why = "the sum is beyond what a number of 64 bits can hold";
            Failure::Invalid(why.to_owned())
        }
        // Nothing was done: a deadlock, or others at once.
        "40P01" | "40001" | "53300" => Failure::unreachable(message),
        "53100" | "53200" => Failure::Full(message),
        "42501" => Failure::Denied(message),
        _ => Failure::Backend(message),
    }
}

fn milliseconds(time: Option<Duration>) -> Option<i64> {
    time.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// A column, which is there unless somebody else made the table.
fn column<'a, T: reef_postgres::tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    at: usize,
) -> Result<T, Failure> {
    let wrong = |error| Failure::Backend(format!("PostgreSQL: the table is another one: {error}"));
    row.try_get(at).map_err(wrong)
}

fn text(bytes: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| Failure::Backend("PostgreSQL: a key in the table is no text".to_owned()))
}

#[async_trait]
impl KeyValue for Postgres {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.entry(bucket, key).await?.map(|entry| entry.value))
    }

    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure> {
        let (bucket, key) = (bucket.as_bytes(), key.as_bytes());
        let parameters: Parameters<'_> = &[(&bucket, Type::BYTEA), (&key, Type::BYTEA)];
        let rows = self.rows(&self.statements.get, parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let version: i64 = column(row, 1)?;
        let version = Version(Bytes::copy_from_slice(&version.to_be_bytes()));
        Ok(Some(Entry { value: column::<Vec<u8>>(row, 0)?.into(), version }))
    }

    async fn exists(&self, bucket: &str, key: &str) -> Result<bool, Failure> {
        let (bucket, key) = (bucket.as_bytes(), key.as_bytes());
        let parameters: Parameters<'_> = &[(&bucket, Type::BYTEA), (&key, Type::BYTEA)];
        Ok(!self.rows(&self.statements.exists, parameters).await?.is_empty())
    }

    async fn set_with(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure> {
        let (bucket, key, value) = (bucket.as_bytes(), key.as_bytes(), &*value);
        let expires = milliseconds(options.expires);
        let parameters: Parameters<'_> = &[
            (&bucket, Type::BYTEA),
            (&key, Type::BYTEA),
            (&value, Type::BYTEA),
            (&expires, Type::INT8),
        ];
        let statements = &self.statements;
        let statement = if options.if_absent { &statements.set_absent } else { &statements.set };
        let done = self.done(statement, parameters).await?;
        if expires.is_some() {
            self.sweep().await;
        }
        Ok(done)
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        let (bucket, key) = (bucket.as_bytes(), key.as_bytes());
        let parameters: Parameters<'_> = &[(&bucket, Type::BYTEA), (&key, Type::BYTEA)];
        self.done(&self.statements.delete, parameters).await.map(drop)
    }

    async fn swap(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure> {
        let Some(Version(version)) = expected else {
            let options = SetOptions { expires: None, if_absent: true };
            return self.set_with(bucket, key, value, options).await;
        };
        let Ok(version) = <[u8; 8]>::try_from(&**version) else { return Ok(false) };
        let version = i64::from_be_bytes(version);
        let (bucket, key, value) = (bucket.as_bytes(), key.as_bytes(), &*value);
        let parameters: Parameters<'_> = &[
            (&bucket, Type::BYTEA),
            (&key, Type::BYTEA),
            (&value, Type::BYTEA),
            (&version, Type::INT8),
        ];
        self.done(&self.statements.swap, parameters).await
    }

    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure> {
        let (bucket, key) = (bucket.as_bytes(), key.as_bytes());
        let parameters: Parameters<'_> =
            &[(&bucket, Type::BYTEA), (&key, Type::BYTEA), (&delta, Type::INT8)];
        let rows = self.rows(&self.statements.add, parameters).await?;
        let row = rows.first();
        let row = row.ok_or_else(|| Failure::Backend("PostgreSQL answered no sum".to_owned()))?;
        column(row, 0)
    }

    async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
    ) -> Result<Page, Failure> {
        let (bucket, prefix) = (bucket.as_bytes(), prefix.as_bytes());
        let from = from.unwrap_or_default().as_bytes();
        // No text has this byte: what begins with the prefix is before the prefix with it.
        let end = [prefix, &[0xff]].concat();
        let limit = i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> = &[
            (&bucket, Type::BYTEA),
            (&prefix, Type::BYTEA),
            (&from, Type::BYTEA),
            (&end, Type::BYTEA),
            (&limit, Type::INT8),
        ];
        let rows = self.rows(&self.statements.keys, parameters).await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            keys.push(text(column(row, 0)?)?);
        }
        let next = (keys.len() > most).then(|| keys.truncate(most)).and(keys.last().cloned());
        Ok(Page { keys, next })
    }

    async fn get_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Bytes>>, Failure> {
        let (bucket, names) = (bucket.as_bytes(), keys.iter().map(String::as_bytes));
        let names: Vec<&[u8]> = names.collect();
        let parameters: Parameters<'_> = &[(&bucket, Type::BYTEA), (&names, Type::BYTEA_ARRAY)];
        let rows = self.rows(&self.statements.get_many, parameters).await?;
        let mut values = HashMap::with_capacity(rows.len());
        for row in &rows {
            let value = Bytes::copy_from_slice(column::<&[u8]>(row, 1)?);
            values.insert(column::<&[u8]>(row, 0)?, value);
        }
        Ok(keys.iter().map(|key| values.get(key.as_bytes()).cloned()).collect())
    }

    async fn set_many(&self, bucket: &str, entries: Vec<(String, Bytes)>) -> Result<(), Failure> {
        // One statement sets a key once; in one order, so that two do not wait for each other.
        let entries: BTreeMap<String, Bytes> = entries.into_iter().collect();
        if entries.is_empty() {
            return Ok(());
        }
        let bucket = bucket.as_bytes();
        let keys: Vec<&[u8]> = entries.keys().map(String::as_bytes).collect();
        let values: Vec<&[u8]> = entries.values().map(|value| &**value).collect();
        let parameters: Parameters<'_> =
            &[(&bucket, Type::BYTEA), (&keys, Type::BYTEA_ARRAY), (&values, Type::BYTEA_ARRAY)];
        self.done(&self.statements.set_many, parameters).await.map(drop)
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<(), Failure> {
        let (bucket, keys) = (bucket.as_bytes(), keys.iter().map(String::as_bytes));
        let keys: Vec<&[u8]> = keys.collect();
        let parameters: Parameters<'_> = &[(&bucket, Type::BYTEA), (&keys, Type::BYTEA_ARRAY)];
        self.done(&self.statements.delete_many, parameters).await.map(drop)
    }

    async fn watch(&self, bucket: &str) -> Result<BoxStream<'static, Told>, Failure> {
        if !self.told.load(Ordering::Relaxed) {
            let mut connection = self.pool.get().await.map_err(failure)?;
            if self.create {
                batch(&mut connection, &self.statements.make).await?;
                batch(&mut connection, &self.statements.tell).await?;
            }
            self.told.store(true, Ordering::Relaxed);
        }
        let connection = self.watching.get().await.map_err(failure)?;
        let get = self.statements.get.clone();
        let watch = Watch::begin(connection, &self.table, bucket.into(), get).await?;
        Ok(stream::unfold(watch, Watch::next).boxed())
    }
}
