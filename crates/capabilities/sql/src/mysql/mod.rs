//! MySQL and MariaDB.

mod pool;
mod session;
mod values;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mysql_async::{Opts, OptsBuilder, SslOpts};
use reef_capability::{
    Backend, Failure, OpenError, Opening, Setting, SettingError, TLS_CERT, TLS_KEY, TLS_ROOTS,
};
use reef_egress::{Anywhere, Reach, Tls};
use tokio::runtime::Handle;

use self::{
    pool::{Connector, Pool},
    session::MysqlSession,
};
use crate::{
    error::{Result, Said, SqlError},
    session::{Limits, Most, Session, Sql},
};

const URL: Setting = Setting::new(
    "url",
    "the server: `mysql://user:password@host:3306/database?ssl-mode=verify_identity`",
);
const DATABASE: Setting = Setting::new("database", "the database, if not that of the `url`");
const MAX_ROWS: Setting = Setting::new("max-rows", "rows of one result: `100000`");
const MAX_CONNECTIONS: Setting = Setting::new("max-connections", "connections at once: `16`");

pub(crate) const BACKEND: Backend<dyn Sql> = Backend {
    name: "mysql",
    system: "mysql",
    settings: &[URL, DATABASE, MAX_ROWS, MAX_CONNECTIONS, TLS_ROOTS, TLS_CERT, TLS_KEY],
    private: false,
    open,
};

/// Parameters of one statement, as the protocol counts them.
const PARAMETERS: usize = 65_535;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of one packet of the server: of one row.
const PACKET: usize = 64 << 20;
/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;

/// A server's address, with user, password, database and whether TLS is wanted.
#[derive(Clone)]
pub(crate) struct Address {
    opts: OptsBuilder,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether there is to be TLS; nothing was said if none.
    tls: Option<bool>,
}

struct Mysql {
    pool: Pool,
    rows: u64,
    runtime: Handle,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn Sql>, OpenError> {
    static REQUIRED: Setting = URL;
    let settings = opening.settings;
    let wrong = |name, why: String| OpenError::from(SettingError::Wrong { name, why });
    let mut address =
        Address::parse(settings.required(&REQUIRED)?).map_err(|why| wrong(URL.name, why))?;
    if let Some(database) = settings.get(DATABASE.name) {
        address.opts = address.opts.db_name(Some(database));
    }
    if address.tls == Some(false) {
        settings.no_tls("leave `ssl-mode=disabled` out of `url`")?;
    }
    let tls = settings.tls(opening.folder)?;
    if tls.is_some() {
        address.tls = Some(true);
    }
    let connections: u16 = settings.parsed(MAX_CONNECTIONS.name)?.unwrap_or(16);
    if connections == 0 {
        return Err(wrong(MAX_CONNECTIONS.name, "leaves no connection at all".to_owned()));
    }
    let rows = settings.parsed(MAX_ROWS.name)?.unwrap_or(100_000);
    let (reach, runtime) = (Arc::new(Anywhere), opening.runtime);
    connect(address, tls.unwrap_or_default(), reach, connections.into(), rows, runtime)
        .map_err(|error| OpenError::Place(error.to_string()))
}

/// A server.
pub(crate) fn connect(
    address: Address,
    tls: Tls,
    reach: Arc<dyn Reach>,
    connections: usize,
    rows: u64,
    runtime: &Handle,
) -> Result<Arc<dyn Sql>> {
    let connector = Connector { address, tls, reach, limit: CONNECT, runtime: runtime.clone() };
    let pool = Pool::new(connector, connections)?;
    Ok(Arc::new(Mysql { pool, rows, runtime: runtime.clone() }))
}

#[async_trait]
impl Sql for Mysql {
    fn most(&self) -> Most {
        Most { parameters: PARAMETERS, rows: self.rows }
    }

    async fn session(&self, _: &str, limits: Limits) -> Result<Arc<dyn Session>> {
        Ok(Arc::new(MysqlSession::new(self.pool.clone(), self.runtime.clone(), limits)))
    }
}

impl Address {
    /// Reads `mysql://…`. The error does not show it, as it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // The driver does not know this parameter, which MySQL's own clients have.
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let is_mode = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            name.eq_ignore_ascii_case("ssl-mode") || name.eq_ignore_ascii_case("sslmode")
        };
        let (modes, others): (Vec<_>, Vec<_>) =
            query.split('&').filter(|pair| !pair.is_empty()).partition(is_mode);
        let disabled = |pair: &&str| {
            pair.split('=').nth(1).unwrap_or_default().eq_ignore_ascii_case("disabled")
        };
        let tls = (!modes.is_empty()).then(|| !modes.iter().all(disabled));
        let text = if others.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", others.join("&"))
        };
        let opts = Opts::from_url(&text).map_err(|error| {
            format!(
                "is no address of MySQL ({error}); it is like \
                 `mysql://user:password@host:3306/database?ssl-mode=verify_identity`"
            )
        })?;
        let (host, port) = (opts.ip_or_hostname().to_owned(), opts.tcp_port());
        let tls = if opts.ssl_opts().is_some() { Some(true) } else { tls };
        if host.is_empty() {
            return Err("names no host".to_owned());
        }
        if opts.user().is_none_or(str::is_empty) {
            return Err("names no user".to_owned());
        }
        let opts = OptsBuilder::from_opts(opts)
            // A server may tell of a socket on this machine: it is not connected to.
            .prefer_socket(false)
            .socket(None::<String>)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .max_allowed_packet(Some(PACKET))
            .stmt_cache_size(PREPARED)
            .ssl_opts(None::<SslOpts>);
        Ok(Self { opts, host, port, tls })
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What an error means to who asked, and whether the connection is of no more use.
fn failure(error: mysql_async::Error, limits: Limits) -> (SqlError, bool) {
    use mysql_async::{DriverError, Error};
    match error {
        Error::Server(said) => {
            let (error, ends) = refused(&said, limits);
            (error, ends)
        }
        Error::Io(error) => (Failure::lost(error).into(), true),
        Error::Driver(DriverError::ConnectionClosed) => {
            (Failure::lost("the server closed the connection").into(), true)
        }
        Error::Driver(DriverError::StmtParamsMismatch { required, supplied }) => {
            (SqlError::parameters(supplied, required.into()), false)
        }
        Error::Driver(DriverError::MixedParams | DriverError::Params(_)) => (
            SqlError::invalid("the statement has parameters with names: write `?` for each"),
            false,
        ),
        Error::Driver(DriverError::PacketTooLarge) => {
            (SqlError::invalid(format!("a row or a statement has more than {PACKET} bytes")), true)
        }
        Error::Driver(DriverError::LocalInfile(_)) => (
            Failure::Denied(
                "LOAD DATA LOCAL INFILE is not allowed: there is no file to read".into(),
            )
            .into(),
            true,
        ),
        error => (Failure::Backend(error.to_string()).into(), true),
    }
}

/// What a server said, by its number (MySQL's and MariaDB's documentations, "Error Codes") or state.
fn refused(said: &mysql_async::ServerError, limits: Limits) -> (SqlError, bool) {
    let message = said.message.clone();
    let (failure, ends) = match said.code {
        // Shutting down; the connection was killed.
        1053 | 1077 | 1927 | 3169 => (Failure::lost(message), true),
        1040 | 1203 | 1226 => (Failure::unreachable(message), true),
        // The user may not.
        1044 | 1142 | 1143 | 1227 | 1370 | 1410 => (Failure::Denied(message), false),
        1021 | 1041 | 1114 => (Failure::Full(message), false),
        // Interrupted, or took too long.
        1317 | 1969 | 3024 => (Failure::Timeout(limits.time), false),
        1205 | 1213 | 1020 | 1792 => (Failure::Conflict(message), false),
        1153 | 1301 => (Failure::Invalid(message), true),
        _ if said.state.starts_with("23") => (Failure::Conflict(message), false),
        _ if said.state.starts_with("08") => (Failure::lost(message), true),
        _ => (Failure::Invalid(message), false),
    };
    let told = Said {
        severity: "ERROR".to_owned(),
        code: said.state.clone(),
        message: said.message.clone(),
        detail: None,
        extras: vec![("number".to_owned(), said.code.to_string())],
    };
    (SqlError { failure, said: Some(Box::new(told)) }, ends)
}

#[cfg(test)]
mod tests;
