//! Which bytes a `Range` asks for.

/// The most ranges that are answered one by one; a request for more gets the whole.
const MAX_RANGES: usize = 16;

/// A part of a representation, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The offset of its first byte.
    pub first: u64,
    /// The offset of its last byte.
    pub last: u64,
}

impl ByteRange {
    /// Bytes in it.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a `Range` field selects of a representation (RFC 9110 section 14.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteRanges {
    /// Everything: the field is not well-formed, of another unit, or asks for more than it is good
    /// for (more than 16 ranges, or ranges that overlap).
    Whole,
    /// These parts, in the order asked for; at least one.
    Parts(Vec<ByteRange>),
    /// Nothing that is there: `416`.
    Unsatisfiable,
}

impl ByteRanges {
    /// Applies a `Range` field to a representation of `length` bytes.
    pub fn select(field: &[u8], length: u64) -> Self {
        let Some(specs) = specs(field) else { return Self::Whole };
        let mut parts = Vec::new();
        let mut any = false;
        for spec in specs {
            let Some(spec) = spec else { return Self::Whole };
            any = true;
            match spec.of(length) {
                // The end of nothing is nothing, and no range can say that.
                Some(None) => return Self::Whole,
                Some(Some(_)) if parts.len() == MAX_RANGES => return Self::Whole,
                Some(Some(part)) => parts.push(part),
                None => {}
            }
        }
        if !any {
            return Self::Whole;
        }
        if parts.is_empty() {
            return Self::Unsatisfiable;
        }
        let mut sorted = parts.clone();
        sorted.sort_unstable_by_key(|part| part.first);
        if sorted.windows(2).any(|pair| pair[0].last >= pair[1].first) {
            return Self::Whole;
        }
        Self::Parts(parts)
    }
}

/// A range as it is asked for.
#[derive(Clone, Copy, Debug)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Spec {
    /// `None` if it is not satisfiable, `Some(None)` for the end of an empty representation.
    fn of(self, length: u64) -> Option<Option<ByteRange>> {
        let (first, last) = match self {
            Self::Last(0) => return None,
            Self::Last(_) if length == 0 => return Some(None),
            Self::Last(count) => (length.saturating_sub(count), length - 1),
            Self::From(first) | Self::Between(first, _) if first >= length => return None,
            Self::From(first) => (first, length - 1),
            Self::Between(first, last) => (first, last.min(length - 1)),
        };
        Some(Some(ByteRange { first, last }))
    }
}

/// The ranges named, `None` among them for one that is not well-formed.
fn specs(field: &[u8]) -> Option<impl Iterator<Item = Option<Spec>>> {
    let equals = field.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = (&field[..equals], &field[equals + 1..]);
    unit.trim_ascii().eq_ignore_ascii_case(b"bytes").then(|| {
        set.split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|element| !element.is_empty())
            .map(spec)
    })
}

fn spec(text: &[u8]) -> Option<Spec> {
    let dash = text.iter().position(|byte| *byte == b'-')?;
    match (&text[..dash], &text[dash + 1..]) {
        (b"", count) => Some(Spec::Last(number(count)?)),
        (first, b"") => Some(Spec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

/// Digits as a number; one that is too large is as good as the largest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })
}

#[cfg(test)]
mod tests;
