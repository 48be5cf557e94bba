//! Destinations: the values of `--egress`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::address::{HostFault, IpNetwork, Target, is_localhost, is_public};

#[cfg(test)]
mod tests;

/// Hosts and ports that a workload may connect to.
///
/// | written | grants |
/// | --- | --- |
/// | `example.com:443` | that name, that port |
/// | `example.com:*` | that name, every port |
/// | `*.example.com:443` | every name below it, at any depth; not `example.com` itself |
/// | `*:443` | every public host |
/// | `10.0.0.7:5432`, `[::1]:80` | that address |
/// | `10.0.0.0/8:5432`, `[fd00::]/8:5432` | the addresses of that range |
/// | `https://example.com` | that name over this scheme only, at its port |
/// | `redis://cache:6379` | the same, for a scheme without a port of its own |
/// | `localhost:8080` | this machine, by name or by loopback address |
///
/// Names are compared without regard to case; a final dot is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    scheme: Option<String>,
    host: Host,
    ports: Ports,
}

/// The hosts of a destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `*`: every public host.
    Any,
    /// One name, in lower case.
    Name(String),
    /// `*.` and this name.
    Subdomains(String),
    /// Addresses, public or not.
    Network(IpNetwork),
}

/// The ports of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    Any,
    One(u16),
}

/// Text that is not a destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an egress destination: {fault}")]
pub struct DestinationError {
    /// The text as given.
    pub text: String,
    pub fault: Fault,
}

/// What is wrong with a destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the port is missing: write `{host}:443` for one port or `{host}:*` for all")]
    NoPort { host: String },
    #[error("{0:?} is not a port: write a number from 1 to 65535, or `*`")]
    Port(String),
    #[error("{0:?} is not a URL scheme")]
    Scheme(String),
    #[error("a destination has no path or query: leave out what follows `{0}`")]
    Path(String),
    #[error("a destination has no user name or password")]
    UserInfo,
    #[error("`*` stands alone or for all subdomains, as in `*.example.com:443`")]
    Wildcard,
    #[error("the number after `/` must be from 0 to {bits}")]
    Prefix { bits: u8 },
    #[error("a range starts at its first address: write `{0}`")]
    HostBits(IpNetwork),
    #[error("an IPv6 range is written with the prefix after the brackets, such as [fd00::]/8:443")]
    Ipv6Range,
    #[error(transparent)]
    Host(#[from] HostFault),
}

impl Destination {
    /// One port of one host.
    pub fn exact(scheme: Option<String>, host: Target, port: u16) -> Self {
        let host = match host {
            Target::Name(name) => Host::Name(name),
            Target::Address(address) => Host::Network(IpNetwork::single(address)),
        };
        Self { scheme, host, ports: Ports::One(port) }
    }

    /// The scheme that a connection must have; `None` for any, and for raw sockets.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Whether scheme and port fit. A destination with a scheme does not fit a raw socket (`None`),
    /// through which anything could be said.
    fn fits(&self, scheme: Option<&str>, port: u16) -> bool {
        let scheme_fits = match (&self.scheme, scheme) {
            (None, _) => true,
            (Some(granted), Some(asked)) => granted.eq_ignore_ascii_case(asked),
            (Some(_), None) => false,
        };
        scheme_fits && (self.ports == Ports::Any || self.ports == Ports::One(port))
    }

    /// Whether this grants connections to a host as the workload names it.
    pub fn grants(&self, scheme: Option<&str>, target: &Target, port: u16) -> bool {
        let host_fits = match (&self.host, target) {
            (Host::Any, Target::Name(name)) => !is_localhost(name),
            (Host::Any, Target::Address(address)) => is_public(*address),
            (Host::Name(granted), Target::Name(name)) => granted == name,
            (Host::Subdomains(parent), Target::Name(name)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|below| below.ends_with('.'))
            }
            (_, Target::Address(address)) => return self.grants_address(scheme, *address, port),
            (Host::Network(_), Target::Name(_)) => false,
        };
        host_fits && self.fits(scheme, port)
    }

    /// Whether this grants an address as such, however private: it lies in the range given, or is
    /// loopback and `localhost` was given.
    pub fn grants_address(&self, scheme: Option<&str>, address: IpAddr, port: u16) -> bool {
        let host_fits = match &self.host {
            Host::Network(network) => network.contains(address),
            Host::Name(name) => is_localhost(name) && address.to_canonical().is_loopback(),
            Host::Any | Host::Subdomains(_) => false,
        };
        host_fits && self.fits(scheme, port)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|fault| DestinationError { text: text.to_owned(), fault })
    }
}

fn parse(text: &str) -> Result<Destination, Fault> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => {
            (Some(parse_scheme(scheme)?), rest.strip_suffix('/').unwrap_or(rest))
        }
        None => (None, text),
    };
    if rest.contains('@') {
        return Err(Fault::UserInfo);
    }
    if let Some(authority) = before_path(rest) {
        let scheme = scheme.map(|scheme| scheme + "://").unwrap_or_default();
        return Err(Fault::Path(format!("{scheme}{authority}")));
    }
    let (host, port) = split_port(rest)?;
    let host = parse_host(host)?;
    let ports = match port {
        Some("*") => Ports::Any,
        Some(port) => Ports::One(parse_port(port)?),
        None => match scheme.as_deref().and_then(default_port) {
            Some(port) => Ports::One(port),
            None => return Err(Fault::NoPort { host: host.to_string() }),
        },
    };
    Ok(Destination { scheme, host, ports })
}

/// What stands before a path or query, if there is one. A slash and a number after an address is the
/// prefix of a range.
fn before_path(text: &str) -> Option<&str> {
    let (before, after) = text.split_once(['/', '?', '#'])?;
    let ipv6 = before.contains('[') || before.matches(':').count() > 1;
    let range = text[before.len()..].starts_with('/')
        && after.starts_with(|first: char| first.is_ascii_digit())
        && (ipv6 || matches!(Target::parse(before), Ok(Target::Address(_))));
    if range { None } else { Some(before) }
}

fn parse_scheme(text: &str) -> Result<String, Fault> {
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if starts_well && text.bytes().all(allowed) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Fault::Scheme(text.to_owned()))
    }
}

/// Cuts `HOST[:PORT]` at the colon that is not inside brackets.
fn split_port(text: &str) -> Result<(&str, Option<&str>), Fault> {
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = text[after_brackets..].find(':').map(|at| at + after_brackets) else {
        return Ok((text, None));
    };
    let (host, port) = (&text[..colon], &text[colon + 1..]);
    if port.contains(':') {
        return Err(HostFault::Ipv6.into());
    }
    Ok((host, Some(port)))
}

fn parse_port(text: &str) -> Result<u16, Fault> {
    let port = text.parse().ok().filter(|port| *port != 0 && !text.starts_with('+'));
    port.ok_or_else(|| Fault::Port(text.to_owned()))
}

fn parse_host(text: &str) -> Result<Host, Fault> {
    if text == "*" {
        return Ok(Host::Any);
    }
    if let Some(parent) = text.strip_prefix("*.") {
        return match Target::parse(parent) {
            Ok(Target::Name(name)) => Ok(Host::Subdomains(name)),
            _ => Err(Fault::Wildcard),
        };
    }
    if text.contains('*') {
        return Err(Fault::Wildcard);
    }
    let Some((host, prefix)) = text.split_once('/') else {
        return Ok(match Target::parse(text)? {
            Target::Name(name) => Host::Name(name),
            Target::Address(address) => Host::Network(IpNetwork::single(address)),
        });
    };
    if host.starts_with('[') && !host.ends_with(']') {
        return Err(Fault::Ipv6Range);
    }
    let Target::Address(address) = Target::parse(host)? else { return Err(HostFault::Name.into()) };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.parse().map_err(|_| Fault::Prefix { bits })?;
    let network = IpNetwork::new(address, prefix).ok_or(Fault::Prefix { bits })?;
    if network.address() == address {
        Ok(Host::Network(network))
    } else {
        Err(Fault::HostBits(network))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Subdomains(parent) => write!(f, "*.{parent}"),
            Self::Network(network) => write!(f, "{network}"),
        }
    }
}

/// In the form that parses to the same destination, as short as it can be.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}://")?;
        }
        write!(f, "{}", self.host)?;
        match self.ports {
            Ports::Any => f.write_str(":*"),
            Ports::One(port) if self.scheme.as_deref().and_then(default_port) == Some(port) => {
                Ok(())
            }
            Ports::One(port) => write!(f, ":{port}"),
        }
    }
}
