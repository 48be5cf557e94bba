//! Where a server is, and how it is connected to.

use std::{fmt, io, time::Duration};

use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    aio::{MultiplexedConnection, PubSub},
};
use reef_egress::{Tls, TlsClient, Way, explained, tls_failure};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long it may take until a connection is open: looked up, connected, encrypted, signed in.
pub(crate) const CONNECTING: Duration = Duration::from_secs(10);
/// How long a server may take to answer a command.
pub(crate) const ANSWERING: Duration = Duration::from_secs(10);

/// How long a connection may be silent until the server is asked whether it is there.
pub(crate) const SILENT: Duration = Duration::from_secs(20);

/// A server, by its address.
#[derive(Clone)]
pub struct Server {
    /// As it was written: alike, they are the same server.
    address: String,
    info: ConnectionInfo,
    tls: Option<TlsClient>,
    way: Way,
}

/// An address that is none. It is not shown: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the address of a Redis server ({why}); write `redis://HOST:PORT`, with TLS \
     `rediss://HOST:PORT`, with a name and a password `redis://NAME:PASSWORD@HOST:PORT`"
)]
pub struct AddressError {
    why: String,
}

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody is there.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// No trust.
    #[error("no TLS with it: {0}")]
    Tls(String),
    /// The server refused: credentials, or a command.
    #[error("it refused: {0}")]
    Refused(String),
    /// Too slow.
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
    /// It was there.
    #[error("it closed the connection")]
    Closed,
}

/// What bytes go over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Server {
    /// Reads an address: `redis://` and `rediss://` (TLS), the same with `valkey`, and `redis+unix://` for
    /// a socket of this machine; with credentials and the number of a database, as
    /// `redis://NAME:PASSWORD@HOST:PORT/NUMBER`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        let wrong = |why: &str| AddressError { why: why.to_owned() };
        // The library would do TLS by itself, with a provider of its own choice.
        let (plain, tls) = match address.split_once("://") {
            Some(("rediss" | "valkeys", rest)) => {
                (format!("redis://{rest}"), Some(TlsClient::default()))
            }
            Some(_) => (address.to_owned(), None),
            None => return Err(wrong("it has no `redis://`")),
        };
        let info = plain.into_connection_info().map_err(|error| {
            // The category alone: details repeat parts of the address.
            wrong(error.category())
        })?;
        match info.addr() {
            ConnectionAddr::Tcp(host, _) if host.is_empty() => Err(wrong("it has no host")),
            ConnectionAddr::TcpTls { .. } => Err(wrong("its scheme is not known")),
            _ => Ok(Self { address: address.to_owned(), info, tls, way: Way::default() }),
        }
    }

    /// Whether it is connected to over TLS.
    pub fn wants_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The same, trusted as `tls` says where it is connected to over TLS.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: self.tls.is_some().then(|| TlsClient::new(tls)), ..self }
    }

    /// The same, connected to by this way.
    #[must_use]
    pub fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// Its name and port; none if it is a socket of this machine.
    pub fn host(&self) -> Option<(&str, u16)> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => Some((host, *port)),
            _ => None,
        }
    }

    /// The number of its database.
    pub fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// A connection for commands, driven by the runtime that this is called on.
    pub(crate) async fn commands(&self) -> Result<MultiplexedConnection, ConnectError> {
        let opening = async {
            let stream = self.stream().await?;
            // Who asks says how long an answer may take.
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let settings = self.info.redis_settings();
            let made = MultiplexedConnection::new_with_config(settings, stream, config).await;
            let (connection, driver) = made?;
            tokio::spawn(driver);
            Ok(connection)
        };
        timeout(CONNECTING, opening).await.map_err(|_| ConnectError::Timeout(CONNECTING))?
    }

    /// A connection for messages.
    pub(crate) async fn subscriber(&self) -> Result<PubSub, ConnectError> {
        let opening = async {
            let stream = self.stream().await?;
            Ok::<_, ConnectError>(PubSub::new(self.info.redis_settings(), stream).await?)
        };
        timeout(CONNECTING, opening).await.map_err(|_| ConnectError::Timeout(CONNECTING))?
    }

    async fn stream(&self) -> Result<Box<dyn Io>, ConnectError> {
        let (host, port) = match self.info.addr() {
            ConnectionAddr::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            ConnectionAddr::Tcp(host, port) => (host.as_str(), *port),
            _ => return Err(ConnectError::Tls("its scheme is not known".to_owned())),
        };
        let stream = self.way.connect(host, port).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let config = tls.config().await.map_err(ConnectError::Tls)?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| ConnectError::Tls(error.to_string()))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| ConnectError::Tls(explained(&error)))?))
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address && self.way == other.way && self.tls == other.tls
    }
}

impl From<redis::RedisError> for ConnectError {
    fn from(error: redis::RedisError) -> Self {
        // With TLS 1.3, a server says late that it does not accept who connects.
        match tls_failure(&error) {
            Some(why) => Self::Tls(why),
            None if error.is_connection_dropped() || error.is_io_error() => Self::Closed,
            None => Self::Refused(error.to_string()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info.addr() {
            ConnectionAddr::Unix(path) => write!(f, "{}", path.display()),
            ConnectionAddr::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            ConnectionAddr::Tcp(host, port) => write!(f, "{host}:{port}"),
            _ => f.write_str("an unknown server"),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_what_is_secret() {
        for (address, shown, tls) in [
            ("redis://localhost", "localhost:6379", false),
            ("redis://:hunter2@cache.example.com:1234/3", "cache.example.com:1234", false),
            ("rediss://me:hunter2@cache.example.com", "cache.example.com:6379", true),
            ("valkey://localhost:7000", "localhost:7000", false),
            ("redis://[::1]:7000", "[::1]:7000", false),
            ("redis+unix:///run/redis.sock", "/run/redis.sock", false),
        ] {
            let server = Server::parse(address);
            let server = server.unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_eq!(
                (server.to_string(), server.wants_tls()),
                (shown.to_owned(), tls),
                "{address}"
            );
            assert!(!format!("{server:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for address in [
            "",
            "hunter2",
            "localhost:6379",
            "http://hunter2@localhost",
            "redis://:hunter2@",
            "redis://h:hunter2",
        ] {
            let Err(error) = Server::parse(address) else { panic!("{address} is an address") };
            let said = format!("{error} {error:?}");
            assert!(said.contains("redis://HOST:PORT") && !said.contains("hunter2"), "{said}");
        }
    }
}
