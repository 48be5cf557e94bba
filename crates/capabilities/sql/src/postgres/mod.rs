//! PostgreSQL.

mod session;
mod values;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reef_capability::{
    Backend, Failure, OpenError, Opening, Setting, SettingError, Settings, TLS_CERT, TLS_KEY,
    TLS_ROOTS,
};
use reef_postgres::{
    Anywhere, Notice, Options, Pool, Reach, TlsClient,
    tokio_postgres::error::{DbError, ErrorPosition},
};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

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
const HOST: Setting = Setting::new("host", "the server in place of a `url`: `db.example.com`");
const PORT: Setting = Setting::new("port", "that one's port: `5432`");
const USER: Setting = Setting::new("user", "as whom to come, with `host`");
const PASSWORD: Setting = Setting::new("password", "that one's password");
const TLS: Setting =
    Setting::new("tls", "with `host`: `true` if there must be TLS, `false` if not");
const DATABASE: Setting = Setting::new("database", "the database, if not that of the `url`");
const MAX_ROWS: Setting = Setting::new("max-rows", "rows of one result: `100000`");
const MAX_CONNECTIONS: Setting = Setting::new("max-connections", "connections at once: `16`");

pub(crate) const BACKEND: Backend<dyn Sql> = Backend {
    name: "postgres",
    system: "postgresql",
    settings: &[
        URL,
        HOST,
        PORT,
        USER,
        PASSWORD,
        TLS,
        DATABASE,
        MAX_ROWS,
        MAX_CONNECTIONS,
        TLS_ROOTS,
        TLS_CERT,
        TLS_KEY,
    ],
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
    let settings = opening.settings;
    let wrong = |name, why: String| OpenError::from(SettingError::Wrong { name, why });
    let (setting, text) = address(settings)?;
    let mut address =
        Address::parse(&text).map_err(|error| wrong(setting.name, error.to_string()))?;
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

/// Where the server is, as it is written in one text, and the setting that says it.
fn address(settings: &Settings) -> Result<(Setting, Zeroizing<String>), SettingError> {
    static REQUIRED: Setting = URL;
    let parts = [(HOST, "host"), (PORT, "port"), (USER, "user"), (PASSWORD, "password")];
    let Some(_) = settings.get(HOST.name) else {
        let alone = parts.iter().map(|(part, _)| *part).chain([TLS]);
        if let Some(part) = alone.into_iter().find(|part| settings.get(part.name).is_some()) {
            return Err(SettingError::Wrong {
                name: part.name,
                why: "belongs to `host`".to_owned(),
            });
        }
        return Ok((URL, settings.required(&REQUIRED)?.to_owned().into()));
    };
    if settings.get(URL.name).is_some() {
        let why = "is said by `url` already: give one of them";
        return Err(SettingError::Wrong { name: HOST.name, why: why.to_owned() });
    }
    // The other form that libpq has (PostgreSQL's documentation, 34.1.1.1), where each value is quoted.
    let mut text = Zeroizing::new(String::new());
    for (part, keyword) in parts {
        if let Some(value) = settings.get(part.name) {
            text.push_str(keyword);
            text.push_str("='");
            for character in value.chars() {
                if matches!(character, '\'' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            }
            text.push_str("' ");
        }
    }
    match settings.flag(TLS.name)? {
        Some(true) => text.push_str("sslmode=require"),
        Some(false) => text.push_str("sslmode=disable"),
        None => {}
    }
    Ok((HOST, text))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(entries: &[(&str, &str)]) -> Result<Address, String> {
        let settings: Settings =
            entries.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let (setting, text) = address(&settings).map_err(|error| error.to_string())?;
        Address::parse(&text).map_err(|error| format!("{}: {error}", setting.name))
    }

    #[test]
    fn a_server_is_said_in_one_text_or_in_parts() {
        let parts = [("host", "db"), ("port", "7000"), ("user", "o'me\\"), ("password", "a b'c\\")];
        let address = said(&parts).unwrap();
        assert_eq!(address.hosts(), [("db".to_owned(), 7000)]);
        assert_eq!(address.database(), Some("o'me\\"), "that of who comes, if none is named");
        let tls = |more: &str| said(&[("host", "db"), ("user", "me"), ("tls", more)]).unwrap();
        assert!(tls("false").refuses_tls() && !tls("true").refuses_tls());
        assert!(said(&[("url", "postgres://me@db/shop")]).is_ok());
        for (entries, why) in [
            (&[][..], "`url` is missing"),
            (&[("user", "me")], "`user` belongs to `host`"),
            (&[("url", "postgres://me@db"), ("host", "db")], "is said by `url` already"),
            (&[("host", "db")], "host: "),
            (&[("host", "db"), ("user", "me"), ("port", "x")], "host: "),
        ] {
            let error = said(entries).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
