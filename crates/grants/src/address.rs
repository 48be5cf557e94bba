//! Addresses: ranges of them, which are public, and what a URL's host stands for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[cfg(test)]
mod tests;

/// A range of addresses in CIDR notation (RFC 4632); a single address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// The range of `prefix` leading bits; `None` where the family has fewer bits. Bits of `address`
    /// below the prefix are cleared. An IPv4 range written as IPv6 (`::ffff:0:0/96`) is the IPv4 one.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (address, prefix) = match (address.to_canonical(), address) {
            (IpAddr::V4(inner), IpAddr::V6(_)) if prefix >= 96 => (IpAddr::V4(inner), prefix - 96),
            _ => (address, prefix),
        };
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix.into())?).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix.into())?).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Some(Self { address, prefix })
    }

    /// The range of this address alone.
    pub fn single(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether `address` lies in the range; an IPv4 address mapped to IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && Self::new(address, self.prefix).is_some_and(|range| range.address == self.address)
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether this is one address.
    pub fn is_single(&self) -> bool {
        *self == Self::single(self.address)
    }
}

/// As in a destination: IPv6 in brackets, the prefix outside of them.
impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(v4) => write!(f, "{v4}")?,
            IpAddr::V6(v6) => write!(f, "[{v6}]")?,
        }
        if self.is_single() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// Whether an address belongs to the public Internet: not to this machine, its networks, or a range
/// set aside for something else (IANA special-purpose address registries, RFC 6890). IPv6 addresses
/// that embed an IPv4 address to reach it (mapped, NAT64, 6to4) are as public as that one is.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(a == 0
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && (c == 0 || c == 2))
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b == 18 || b == 19))
                || v4.is_documentation()
                || a >= 224)
        }
        IpAddr::V6(v6) => {
            let embedded = |bits: u128| {
                let low = u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(0);
                is_public(IpAddr::V4(Ipv4Addr::from_bits(low)))
            };
            let bits = v6.to_bits();
            match v6.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(bits),
                [0x2002, ..] => embedded(bits >> 80),
                // 2001::/23 is for protocols (Teredo among them), 2001:db8::/32 and 3fff::/20 for books.
                [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
                [0x3fff, second, ..] => second >= 0x1000,
                // Of IPv6, only 2000::/3 has been given out.
                [first, ..] => (0x2000..0x4000).contains(&first),
            }
        }
    }
}

/// What a host in a URL or a destination stands for, in the one spelling that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Lower case, no final dot.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Why text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    #[error("the host is empty")]
    Empty,
    #[error("an IPv6 address is written in brackets, such as [::1]")]
    Ipv6,
    #[error(
        "a host ending in a number must be an IPv4 address of four decimal parts, such as 10.0.0.1"
    )]
    Ipv4,
    #[error(
        "a host name has letters, digits, `-` and `_` in parts of 1 to 63 characters, and 253 at \
         most; other alphabets are written in Punycode (xn--…)"
    )]
    Name,
}

impl Target {
    /// Reads the host of a URL; IPv6 in brackets.
    ///
    /// Stricter than the C library, which takes `0x7f.1` and `2130706433` for 127.0.0.1: what could
    /// be an address in disguise is refused (as in the WHATWG URL standard, "ends in a number").
    pub fn parse(host: &str) -> Result<Self, HostFault> {
        if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostFault::Ipv6)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| HostFault::Ipv6)?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if name.is_empty() {
            return Err(HostFault::Empty);
        }
        let part_ok = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if name.contains(':') {
            return Err(HostFault::Ipv6);
        }
        if name.len() > 253 || !name.split('.').all(part_ok) {
            return Err(HostFault::Name);
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        let hexadecimal = last.strip_prefix("0x");
        if last.bytes().all(|byte| byte.is_ascii_digit())
            || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(HostFault::Ipv4);
        }
        Ok(Self::Name(name))
    }

    /// Whether this is a name that always means this machine (RFC 6761 section 6.3).
    pub fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if is_localhost(name))
    }
}

/// As in a URL.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

/// Whether a name always means this machine (RFC 6761 section 6.3).
pub fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}
