//! PostgreSQL.

mod session;
mod values;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reef_capability::{
    Backend, Failure, OpenError, Opening, Setting, SettingError, TLS_CERT, TLS_KEY, TLS_ROOTS,
};
use reef_postgres::{
    Anywhere, Notice, Options, Pool, Reach, TlsClient,
    tokio_postgres::error::{DbError, ErrorPosition},
};
use tokio::runtime::Handle;

pub(crate) use reef_postgres::Address;

use self::session::PostgresSession;
use crate::{
    error::{Result, Said, SqlError},
    session::{Limits, Most, Session, Sql, crowded},
};

const URL: Setting = Setting::new(
    "url",
    "the server: `postgres://user:password@host:5432/database?sslmode=require`",
);
const DATABASE: Setting = Setting::new("database", "the database, if not that of the `url`");
const MAX_ROWS: Setting = Setting::new("max-rows", "rows of one result: `100000`");
const MAX_CONNECTIONS: Setting = Setting::new("max-connections", "connections at once: `16`");

pub(crate) const BACKEND: Backend<dyn Sql> = Backend {
    name: "postgres",
    system: "postgresql",
    settings: &[URL, DATABASE, MAX_ROWS, MAX_CONNECTIONS, TLS_ROOTS, TLS_CERT, TLS_KEY],
    private: false,
    open,
};

/// Parameters of one statement, as the protocol counts them.
const PARAMETERS: usize = 65_535;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of one message of the server, until a session says how large its rows may be.
const MESSAGE: u64 = 64 << 20;

struct Postgres {
    pool: Pool,
    rows: u64,
    connections: usize,
    runtime: Handle,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn Sql>, OpenError> {
    static REQUIRED: Setting = URL;
    let settings = opening.settings;
    let wrong = |name, why: String| OpenError::from(SettingError::Wrong { name, why });
    let address = Address::parse(settings.required(&REQUIRED)?);
    let mut address = address.map_err(|error| wrong(URL.name, error.to_string()))?;
    if let Some(database) = settings.get(DATABASE.name) {
        address = address.with_database(database);
    }
    if address.refuses_tls() {
        settings.no_tls("leave `sslmode=disable` out of `url`")?;
    }
    let tls = settings.tls(opening.folder)?;
    if tls.is_some() {
        address = address.with_tls();
    }
    let connections: u16 = settings.parsed(MAX_CONNECTIONS.name)?.unwrap_or(16);
    if connections == 0 {
        return Err(wrong(MAX_CONNECTIONS.name, "leaves no connection at all".to_owned()));
    }
    let rows = settings.parsed(MAX_ROWS.name)?.unwrap_or(100_000);
    let opened = connect(
        address,
        TlsClient::new(tls.unwrap_or_default()),
        Arc::new(Anywhere),
        connections.into(),
        rows,
        opening.runtime,
    );
    opened.map_err(|notice| OpenError::Place(notice.to_string()))
}

/// A server.
pub(crate) fn connect(
    address: Address,
    tls: TlsClient,
    reach: Arc<dyn Reach>,
    connections: usize,
    rows: u64,
    runtime: &Handle,
) -> Result<Arc<dyn Sql>, Notice> {
    let options = Options {
        connections,
        connect: CONNECT,
        message: MESSAGE,
        tls,
        reach,
        runtime: runtime.clone(),
    };
    let pool = Pool::new(address, options)?;
    Ok(Arc::new(Postgres { pool, rows, connections, runtime: runtime.clone() }))
}

#[async_trait]
impl Sql for Postgres {
    fn most(&self) -> Most {
        Most { parameters: PARAMETERS, rows: self.rows }
    }

    async fn session(&self, _: &str, limits: Limits) -> Result<Arc<dyn Session>> {
        let (pool, runtime) = (self.pool.clone(), self.runtime.clone());
        Ok(Arc::new(PostgresSession::new(pool, runtime, limits, self.connections)))
    }
}

/// What a notice means to who asked.
fn failure(notice: Notice, limits: Limits, connections: usize) -> SqlError {
    match notice {
        Notice::Refused(said) => refused(&said, limits),
        Notice::Lost(why) => Failure::lost(why).into(),
        Notice::Unreachable(why) => Failure::unreachable(why).into(),
        Notice::Denied(why) => Failure::Denied(why).into(),
        Notice::Login(why) => Failure::Backend(format!(
            "the server does not let one in ({why}): check user, password and database"
        ))
        .into(),
        Notice::Crowded(_) => crowded(connections),
        Notice::Timeout(time) => Failure::Timeout(time).into(),
        Notice::Driver(why) => SqlError::invalid(why),
    }
}

/// What a server said, by its state (PostgreSQL's documentation, appendix A, "Error Codes").
fn refused(said: &DbError, limits: Limits) -> SqlError {
    let code = said.code().code();
    let mut message = said.message().to_owned();
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        message = format!("{message}: {more}");
    }
    let failure = match code.get(..2).unwrap_or_default() {
        _ if code == "57014" => Failure::Timeout(limits.time),
        _ if code == "42501" => Failure::Denied(message),
        _ if code == "53100" => Failure::Full(message),
        _ if code == "53300" => Failure::unreachable(message),
        "23" | "40" | "55" => Failure::Conflict(message),
        "53" | "58" | "XX" | "F0" => Failure::Backend(message),
        _ => Failure::Invalid(message),
    };
    SqlError { failure, said: Some(Box::new(said_of(said))) }
}

fn said_of(said: &DbError) -> Said {
    let position = said.position().map(|position| match position {
        ErrorPosition::Original(at) | ErrorPosition::Internal { position: at, .. } => {
            at.to_string()
        }
    });
    let extras = [
        ("hint", said.hint().map(str::to_owned)),
        ("position", position),
        ("where", said.where_().map(str::to_owned)),
        ("schema", said.schema().map(str::to_owned)),
        ("table", said.table().map(str::to_owned)),
        ("column", said.column().map(str::to_owned)),
        ("datatype", said.datatype().map(str::to_owned)),
        ("constraint", said.constraint().map(str::to_owned)),
    ];
    let extras = extras.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Said {
        severity: said.severity().to_owned(),
        code: said.code().code().to_owned(),
        message: said.message().to_owned(),
        detail: said.detail().map(str::to_owned),
        extras: extras.collect(),
    }
}
