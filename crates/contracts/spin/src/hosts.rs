//! `allowed_outbound_hosts` and `allowed_http_hosts`: where a component may connect.
//!
//! Source: Spin's `crates/outbound-networking-config/src/allowed_hosts.rs`, and for the older field
//! `crates/manifest/src/compat/allowed_http_hosts.rs`.

use std::{net::IpAddr, ops::Range};

use reef_grants::{Destination, IpNetwork};

#[cfg(test)]
mod tests;

/// The names below this one are those of the application's own components.
const CHAINING: &str = "spin.internal";

/// Most ports of a range, each of which becomes a destination of its own: the grants know one port or
/// all.
pub(crate) const MOST_PORTS: usize = 32;

/// An entry, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// `None` for every scheme, raw sockets among them.
    pub(crate) scheme: Option<String>,
    pub(crate) host: Host,
    ports: Ports,
}

/// Whom an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Every host, this machine and its networks too.
    Any,
    /// A name, `*.` and a name, or an address, as they were written.
    Outside(String),
    /// The addresses of a range.
    Network(IpNetwork),
    /// The application's own routes.
    Own,
    /// One of its components.
    Component(String),
    /// All of its components.
    Components,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Any,
    One(String),
    /// The end is not part of it.
    Range(Range<u16>),
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("`{0}` is not an outbound host: the scheme is missing")]
    NoScheme(String),
    #[error("`insecure:allow-all` is not an outbound host")]
    AllowAll,
    #[error("`{0}` is not a scheme: it has letters only")]
    Scheme(String),
    #[error("`{0}` is a list, which Spin has no meaning for yet")]
    List(String),
    #[error("the port is missing, and `{0}` has none of its own")]
    NoPort(String),
    #[error("`{0}` is not a port")]
    Port(String),
    #[error("the ports {0} to {1} (which is not among them) are none")]
    NoPorts(u16, u16),
    #[error("{0} ports are more than Reef grants one by one")]
    ManyPorts(usize),
    #[error("`{0}` has a path: an outbound host has none")]
    Path(String),
    #[error("{0}")]
    Host(String),
    #[error("a component is reached over http, not `{0}`")]
    Chaining(String),
}

impl Fault {
    /// What to write instead.
    pub(crate) fn help(&self) -> String {
        let form = "write `scheme://host:port`, with `*` for any of them: `https://example.com`, \
                    `redis://cache:6379`, `*://10.0.0.7:5432`";
        match self {
            Self::NoScheme(_) | Self::Host(_) | Self::Path(_) | Self::Scheme(_) => form.to_owned(),
            Self::AllowAll => "`*://*:*` is every host".to_owned(),
            Self::List(_) => "write an entry for each".to_owned(),
            Self::NoPort(_) => "add `:PORT`, or `:*` for all of them".to_owned(),
            Self::Port(_) => {
                "a port is a number up to 65535, `*`, or `8000..8010` for 8000 to 8009".to_owned()
            }
            Self::NoPorts(..) => "the first port is less than the last".to_owned(),
            Self::ManyPorts(_) => {
                format!("write at most {MOST_PORTS}, or `*` to grant every port")
            }
            Self::Chaining(_) => "write `http://NAME.spin.internal`".to_owned(),
        }
    }
}

impl Allowed {
    /// Reads an entry of `allowed_outbound_hosts`, without variables in it.
    ///
    /// # Errors
    /// What Spin refuses, and what no component could use.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        if text == "insecure:allow-all" {
            return Err(Fault::AllowAll);
        }
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| Fault::NoScheme(text.to_owned()))?;
        let (host, port) = split_port(rest)?;
        let ports = Ports::parse(port, scheme)?;
        let host = Host::parse(host)?;
        let scheme = match scheme {
            "*" => None,
            list if list.starts_with('{') => return Err(Fault::List(list.to_owned())),
            other if !other.is_empty() && other.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Some(other.to_owned())
            }
            other => return Err(Fault::Scheme(other.to_owned())),
        };
        let own = matches!(host, Host::Own | Host::Component(_) | Host::Components);
        match &scheme {
            Some(scheme) if own && !is_http(scheme) => Err(Fault::Chaining(scheme.clone())),
            _ => Ok(Self { scheme, host, ports }),
        }
    }

    /// Reads an entry of `allowed_http_hosts`, which become one of `http` and one of `https`.
    ///
    /// # Errors
    /// What is not a host, with or without a port.
    pub(crate) fn parse_http(text: &str) -> Result<Vec<Self>, Fault> {
        if text == "insecure:allow-all" {
            return ["http://*:*", "https://*:*", "http://self"]
                .map(Self::parse)
                .into_iter()
                .collect();
        }
        let (own_port, rest) = match text.split_once("//") {
            Some(("http:", rest)) => (":80", rest),
            Some(("https:", rest)) => (":443", rest),
            Some((scheme, _)) => return Err(Fault::Scheme(scheme.to_owned())),
            None => (":80", text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // As in a URL, a scheme's own port is as if it were not there.
        let rest = rest.strip_suffix(own_port).unwrap_or(rest);
        if rest == "self" {
            return Ok(vec![Self::parse("http://self")?]);
        }
        let schemes = ["http", "https"];
        schemes.map(|scheme| Self::parse(&format!("{scheme}://{rest}"))).into_iter().collect()
    }

    /// The destinations that are as much as the entry allows: none for the application itself.
    ///
    /// # Errors
    /// More ports than are granted one by one, and hosts that the grants have no word for.
    pub(crate) fn destinations(&self) -> Result<Vec<Destination>, Fault> {
        // Spin's `*` is every host, where that of a destination is every public one.
        let hosts: &[&str] = match &self.host {
            Host::Any => &["*", "0.0.0.0/0", "[::]/0", "localhost"],
            Host::Outside(host) => &[host],
            Host::Network(network) => &[&network.to_string()],
            Host::Own | Host::Component(_) | Host::Components => &[],
        };
        let scheme = self.scheme.as_ref().map(|scheme| format!("{scheme}://")).unwrap_or_default();
        let mut all = Vec::new();
        for port in self.ports.each()? {
            for host in hosts {
                let text = format!("{scheme}{host}:{port}");
                let read = text.parse().map_err(|fault: reef_grants::DestinationError| {
                    Fault::Host(fault.to_string())
                })?;
                all.push(read);
            }
        }
        Ok(all)
    }

    /// Whether it is about raw sockets alone.
    pub(crate) fn is_socket(&self) -> bool {
        matches!(self.scheme.as_deref(), Some("tcp" | "udp"))
    }

    /// Whether it is about HTTP, among others perhaps.
    pub(crate) fn is_http(&self) -> bool {
        self.scheme.as_deref().is_none_or(is_http)
    }
}

fn is_http(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

/// The port that a scheme has in Spin, where none is written.
pub(crate) fn port_of(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "postgres" => 5432,
        "mysql" => 3306,
        "redis" => 6379,
        "mqtt" => 1883,
        "http" => 80,
        "https" => 443,
        _ => return None,
    })
}

/// Cuts `HOST[:PORT]`, where the host may be an address with colons in it.
fn split_port(rest: &str) -> Result<(&str, &str), Fault> {
    let Some((host, port)) = rest.rsplit_once(':') else { return Ok((rest, "")) };
    if port.is_empty() {
        return Ok((host, ""));
    }
    if rest.ends_with(']') || network(rest).is_some() {
        return Ok((rest, ""));
    }
    match port.split_once('/') {
        Some((port, "")) => Ok((host, port)),
        Some(_) => Err(Fault::Path(rest.to_owned())),
        None => Ok((host, port)),
    }
}

/// A range of addresses, `10.0.0.0/8` or `fd00::/8`. What is below the prefix does not count.
fn network(text: &str) -> Option<IpNetwork> {
    let (address, prefix) = text.split_once('/')?;
    let address =
        address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address: IpAddr = address.parse().ok()?;
    IpNetwork::new(address, prefix.parse().ok()?)
}

impl Host {
    fn parse(host: &str) -> Result<Self, Fault> {
        let host = host.trim();
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::Own),
            list if list.starts_with('{') => return Err(Fault::List(list.to_owned())),
            _ => {}
        }
        if let Some(network) = network(host) {
            return Ok(Self::Network(network));
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.contains('/') {
            return Err(Fault::Path(host.to_owned()));
        }
        if matches!(host, "self" | "self.alt") {
            return Ok(Self::Own);
        }
        match host.strip_suffix(CHAINING).and_then(|own| own.strip_suffix('.')) {
            Some("*") => Ok(Self::Components),
            Some(name) if !name.contains('.') => Ok(Self::Component(name.to_owned())),
            _ => Ok(Self::Outside(host.to_owned())),
        }
    }
}

impl Ports {
    fn parse(port: &str, scheme: &str) -> Result<Self, Fault> {
        let number = |text: &str| text.parse::<u16>().map_err(|_| Fault::Port(port.to_owned()));
        match port {
            "" => {
                let known = port_of(scheme).ok_or_else(|| Fault::NoPort(scheme.to_owned()))?;
                Ok(Self::One(known.to_string()))
            }
            "*" => Ok(Self::Any),
            list if list.starts_with('{') => Err(Fault::List(list.to_owned())),
            _ => match port.split_once("..") {
                Some((start, end)) => Ok(Self::Range(number(start)?..number(end)?)),
                None => Ok(Self::One(number(port)?.to_string())),
            },
        }
    }

    fn each(&self) -> Result<Vec<String>, Fault> {
        match self {
            Self::Any => Ok(vec!["*".to_owned()]),
            Self::One(port) => Ok(vec![port.clone()]),
            Self::Range(range) if range.is_empty() => Err(Fault::NoPorts(range.start, range.end)),
            Self::Range(range) if range.len() > MOST_PORTS => Err(Fault::ManyPorts(range.len())),
            Self::Range(range) => Ok(range.clone().map(|port| port.to_string()).collect()),
        }
    }
}
