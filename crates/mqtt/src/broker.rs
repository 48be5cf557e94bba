//! Where a broker is, and how it is connected to.

use std::{fmt, time::Duration};

use percent_encoding::percent_decode_str;
use reef_egress::{Tls, TlsClient, Way, explained, tls_failure};
use rumqttc::{
    AckMode, AsyncClient, ConnectionError, EventLoop, MqttOptions, TlsConfiguration, Transport,
};
use url::Url;

/// How long it may take until a connection is open, in seconds.
const CONNECTING: u64 = 10;
/// How long a broker may take to answer.
pub(crate) const ANSWERING: Duration = Duration::from_secs(10);
/// How long a connection may be silent, where nothing else is said: then the broker is asked.
const SILENT: Duration = Duration::from_secs(60);
/// Bytes of a packet. A larger one ends the connection, as MQTT has it.
pub(crate) const LARGEST: usize = 4 << 20;
/// Requests of ours that wait to be sent.
const WAITING: usize = 1024;

/// A broker, by its address.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    host: String,
    port: u16,
    tls: Option<TlsClient>,
    credentials: Option<Credentials>,
    keep_alive: Duration,
    session: Option<String>,
    way: Way,
}

/// Who connects.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub name: String,
    /// The password; a name may have none.
    pub password: Option<String>,
}

/// An address that is none. It is not shown: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the address of an MQTT broker ({0}); write `mqtt://HOST:PORT`, or with TLS \
     `mqtts://HOST:PORT`"
)]
pub struct AddressError(&'static str);

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not there, or not any more.
    #[error("{0}")]
    Connection(String),
    /// No trust.
    #[error("no TLS with it: {0}")]
    Tls(String),
    /// The broker lets nobody subscribe there.
    #[error("it refused the subscription to `{0}`")]
    Refused(String),
    /// Too slow.
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
}

impl Broker {
    /// Reads an address: `mqtt://` or `tcp://`, with TLS `mqtts://` or `ssl://`; credentials may stand in
    /// it. `keep_alive` is how long a connection may be silent: a minute if nothing is said.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(address: &str, keep_alive: Option<Duration>) -> Result<Self, AddressError> {
        // Without a scheme it is what the Paho library takes for TCP.
        let written = if address.contains("://") { address } else { &format!("tcp://{address}") };
        let url = Url::parse(written).map_err(|_| AddressError("it is no URL"))?;
        let tls = match url.scheme() {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" => true,
            "ws" | "wss" => return Err(AddressError("WebSocket is not there yet")),
            _ => return Err(AddressError("its scheme is not known")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(AddressError("it has no host"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(AddressError("something follows the port"));
        }
        let text = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| AddressError("its credentials are not UTF-8"))
        };
        let credentials = match url.username() {
            "" => None,
            name => Some(Credentials {
                name: text(name)?,
                password: url.password().map(text).transpose()?,
            }),
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if tls { 8883 } else { 1883 }),
            tls: tls.then(TlsClient::default),
            credentials,
            keep_alive: keep_alive.unwrap_or(SILENT),
            session: None,
            way: Way::default(),
        })
    }

    /// The same, as somebody.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Some(credentials), ..self }
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

    /// Its name and port.
    pub fn host(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The same in a session that the broker keeps, by this name, while nobody is connected: with what
    /// there is for it meanwhile. One connection at a time can have it.
    #[must_use]
    pub fn with_session(self, name: String) -> Self {
        Self { session: Some(name).filter(|name| !name.is_empty()), ..self }
    }

    /// A connection that opens when its events are asked for. Without a name, its session ends with it.
    pub(crate) async fn client(&self) -> Result<(AsyncClient, EventLoop), ConnectError> {
        let kept = self.session.is_some();
        let name = || format!("reef{:016x}", fastrand::u64(..));
        let name = self.session.clone().unwrap_or_else(name);
        let mut options = MqttOptions::new(name, (self.host.as_str(), self.port));
        options
            .set_keep_alive(u16::try_from(self.keep_alive.as_secs()).unwrap_or(u16::MAX).max(1))
            .set_max_packet_size(LARGEST, LARGEST)
            .set_clean_session(!kept)
            .set_ack_mode(AckMode::Manual);
        match &self.credentials {
            Some(Credentials { name, password: Some(password) }) => {
                options.set_credentials(name, password.clone());
            }
            Some(Credentials { name, password: None }) => {
                options.set_username(name);
            }
            None => {}
        }
        if let Some(tls) = &self.tls {
            let config = tls.config().await.map_err(ConnectError::Tls)?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
        }
        let (way, host, port) = (self.way.clone(), self.host.clone(), self.port);
        options.set_socket_connector(move |_, _| {
            let (way, host) = (way.clone(), host.clone());
            async move {
                let stream = way.connect(&host, port).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }
        });
        let (client, mut events) = AsyncClient::builder(options).capacity(WAITING).build();
        let mut network = events.network_options();
        network.set_connection_timeout(CONNECTING);
        events.set_network_options(network);
        Ok((client, events))
    }
}

impl From<ConnectionError> for ConnectError {
    fn from(error: ConnectionError) -> Self {
        if let Some(why) = tls_failure(&error) {
            return Self::Tls(why);
        }
        match error {
            ConnectionError::Tls(error) => Self::Tls(explained(&error)),
            ConnectionError::NetworkTimeout => Self::Timeout(Duration::from_secs(CONNECTING)),
            other => Self::Connection(other.to_string()),
        }
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({self})")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_what_is_secret() {
        for (address, shown, tls) in [
            ("mqtt://localhost", "localhost:1883", false),
            ("localhost:1884", "localhost:1884", false),
            ("tcp://me:hunter2@broker.example.com:1234/", "broker.example.com:1234", false),
            ("mqtts://broker.example.com", "broker.example.com:8883", true),
            ("ssl://[::1]:7000", "[::1]:7000", true),
        ] {
            let broker = Broker::parse(address, None);
            let broker = broker.unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_eq!(
                (broker.to_string(), broker.wants_tls()),
                (shown.to_owned(), tls),
                "{address}"
            );
            assert!(!format!("{broker:?} {:?}", broker.credentials).contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for address in [
            "",
            "mqtt://",
            "http://hunter2@localhost",
            "wss://h:hunter2@l",
            "mqtt://l/hunter2",
            "mqtt://h:hunter2",
        ] {
            let Err(error) = Broker::parse(address, None) else {
                panic!("{address} is an address")
            };
            let said = format!("{error} {error:?}");
            assert!(said.contains("mqtt://HOST:PORT") && !said.contains("hunter2"), "{said}");
        }
    }
}
