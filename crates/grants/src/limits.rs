//! How much a guest may use.

use std::{fmt, str::FromStr, time::Duration};

/// The limits of one workload. They mean the same for every kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Wall time for one run or one request, including what the guest waits for.
    pub deadline: Option<Duration>,
    /// Linear memory and tables of one instance, over all of them.
    pub memory: ByteSize,
    /// Processor time of the whole workload.
    pub cpu: Option<CpuShare>,
    /// Elements of one table.
    pub table_elements: usize,
    /// Responses that a CGI-style guest has open at once.
    pub outgoing: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: None,
            memory: ByteSize(256 << 20),
            cpu: None,
            table_elements: 1_000_000,
            outgoing: None,
        }
    }
}

/// A number of bytes, as people write it: `64MiB`, `1g`, `4096`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A share of one processor core: `0.5`, `50%`, `2`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct CpuShare(f64);

/// A limit that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ParseLimitError {
    /// Not a size.
    #[error(
        "`{0}` is not a size; write a number with an optional unit, such as 64MiB, 512k or 1GiB"
    )]
    Size(String),
    /// Not a share.
    #[error(
        "`{0}` is not a share of a processor; write 0.5 or 50% for half a core, 2 for two cores"
    )]
    Cpu(String),
    /// Not a duration.
    #[error("`{0}` is not a duration; write 500ms, 2s or 1m30s")]
    Duration(String),
    /// A duration that nothing could last.
    #[error("`{0}` must be more than nothing, and 10 years at most")]
    Length(String),
}

/// Clocks do not go on for ever.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Reads a duration as people write it: `500ms`, `2s`, `1m30s`, `1h`.
///
/// # Errors
/// When it is none, nothing, or longer than ten years.
pub fn parse_duration(text: &str) -> Result<Duration, ParseLimitError> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() || duration > LONGEST => {
            Err(ParseLimitError::Length(text.to_owned()))
        }
        Ok(duration) => Ok(duration),
        Err(_) => Err(ParseLimitError::Duration(text.to_owned())),
    }
}

// === impl ByteSize ===

impl FromStr for ByteSize {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || ParseLimitError::Size(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (digits, unit) = trimmed.split_at(split);
        let number: u64 = digits.parse().map_err(|_| fail())?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return Err(fail()),
        };
        number.checked_mul(factor).map(ByteSize).ok_or_else(fail)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            // Longer numbers are not read.
            let count = self.0 >> shift;
            if (1..100_000).contains(&count) && self.0.trailing_zeros() >= shift {
                return write!(f, "{count}{unit}");
            }
        }
        if self.0 >= 10 << 30 {
            return write!(f, "{:.1}GiB", self.0 as f64 / f64::from(1 << 30));
        }
        if self.0 >= 1 << 20 {
            return write!(f, "{:.1}MiB", self.0 as f64 / f64::from(1 << 20));
        }
        if self.0 >= 10 << 10 {
            return write!(f, "{:.1}KiB", self.0 as f64 / f64::from(1 << 10));
        }
        write!(f, "{}B", self.0)
    }
}

// === impl CpuShare ===

impl CpuShare {
    /// Cores, more than zero.
    pub fn cores(self) -> f64 {
        self.0
    }
}

impl FromStr for CpuShare {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let value = match trimmed.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|p| p / 100.0),
            None => trimmed.parse::<f64>(),
        };
        match value {
            Ok(cores) if cores.is_finite() && (0.001..=1024.0).contains(&cores) => Ok(Self(cores)),
            _ => Err(ParseLimitError::Cpu(text.to_owned())),
        }
    }
}

impl fmt::Display for CpuShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests;
