//! Content codings, and which of them a client takes.

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, HeaderValue};

/// A content coding (RFC 9110 section 8.4.1), in the order in which the server prefers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// `br` (RFC 7932)
    Brotli,
    /// `zstd` (RFC 8878); taken from files, never made here.
    Zstd,
    /// `gzip` (RFC 1952)
    Gzip,
}

impl Coding {
    /// All of them, the preferred first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The name in `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of a file in this coding ends in.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    pub(crate) const fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    const fn index(self) -> usize {
        match self {
            Self::Brotli => 0,
            Self::Zstd => 1,
            Self::Gzip => 2,
        }
    }
}

/// What a request's `Accept-Encoding` says of the codings known here (RFC 9110 section 12.5.3).
/// The default is that of a request without the field: as it is, in no coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    /// In thousandths; 0 is "no".
    weights: [u16; 3],
    /// Only if it was named, itself or by `*`.
    identity: Option<u16>,
}

impl AcceptEncoding {
    /// Reads the field off a request.
    pub fn of(headers: &HeaderMap) -> Self {
        Self::parse(headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes))
    }

    /// Reads the field's lines. An element that is not well-formed is passed over; of a coding that
    /// is named twice the greater weight counts.
    pub fn parse<'v>(lines: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let mut named = [None::<u16>; 3];
        let (mut identity, mut others) = (None, None);
        for element in lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')) {
            let (name, parameter) = match element.iter().position(|byte| *byte == b';') {
                Some(at) => (&element[..at], Some(&element[at + 1..])),
                None => (element, None),
            };
            let Some(weight) = parameter.map_or(Some(1000), weight) else { continue };
            let name = name.trim_ascii();
            let slot = if name.eq_ignore_ascii_case(b"br") {
                &mut named[Coding::Brotli.index()]
            } else if name.eq_ignore_ascii_case(b"zstd") {
                &mut named[Coding::Zstd.index()]
            } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                &mut named[Coding::Gzip.index()]
            } else if name.eq_ignore_ascii_case(b"identity") {
                &mut identity
            } else if name == b"*" {
                &mut others
            } else {
                continue;
            };
            *slot = Some(slot.map_or(weight, |before| weight.max(before)));
        }
        Self {
            weights: named.map(|weight| weight.or(others).unwrap_or(0)),
            identity: identity.or(others),
        }
    }

    /// Whether the client takes this coding.
    pub fn accepts(&self, coding: Coding) -> bool {
        self.weights[coding.index()] > 0
    }

    /// The coding out of `offered` that the client likes best, of equals the one that the server
    /// prefers; `None` if none is taken, or the client would rather have none.
    pub fn best(&self, offered: impl IntoIterator<Item = Coding>) -> Option<Coding> {
        let weight = |coding: &Coding| self.weights[coding.index()];
        offered
            .into_iter()
            .filter(|coding| weight(coding) > 0 && Some(weight(coding)) >= self.identity)
            .max_by_key(|coding| (weight(coding), std::cmp::Reverse(*coding)))
    }
}

/// `q=0.5` as 500 (RFC 9110 section 12.4.2), `None` if it is anything else.
fn weight(parameter: &[u8]) -> Option<u16> {
    let value = match parameter.trim_ascii() {
        [b'q' | b'Q', b'=', value @ ..] => value,
        _ => return None,
    };
    let (whole, fraction) = match value {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    let mut unit = 100;
    for digit in fraction {
        weight += u16::from(digit.is_ascii_digit().then(|| digit - b'0')?) * unit;
        unit /= 10;
    }
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests;
