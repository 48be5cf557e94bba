//! What a guest may use.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use reef_meter::Meter;
use wasmtime::ResourceLimiter;

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
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline: None, memory: ByteSize(256 << 20), cpu: None, table_elements: 1_000_000 }
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
}

/// Bytes of an element of a table: a pointer of this machine.
const TABLE_ELEMENT: u64 = 8;

/// Keeps a store within its memory, and tells the meter.
///
/// A refused growth is not an error: the guest sees `memory.grow` answer −1, as on a machine that is
/// full, and may carry on. What was refused is kept, so that a later trap can be explained.
#[derive(Debug)]
pub struct Limiter {
    memory: u64,
    table_elements: usize,
    used: u64,
    refused: Option<u64>,
    refused_table: Option<usize>,
    meter: Arc<Meter>,
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
            if self.0 >= 1 << shift && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
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

// === impl Limiter ===

impl Limiter {
    /// A limiter for one store.
    pub fn new(limits: &Limits, meter: Arc<Meter>) -> Self {
        Self {
            memory: limits.memory.0,
            table_elements: limits.table_elements,
            used: 0,
            refused: None,
            refused_table: None,
            meter,
        }
    }

    fn take(&mut self, more: u64) -> bool {
        let wanted = self.used.saturating_add(more);
        if wanted > self.memory {
            self.refused = Some(wanted);
            return false;
        }
        self.used = wanted;
        self.meter.memory_grew(more, wanted);
        true
    }

    /// Bytes of linear memory and tables in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The size in bytes that the guest last asked for in vain.
    pub fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// The elements of a table that the guest last asked for in vain, and how many are allowed.
    pub fn refused_table(&self) -> Option<(usize, usize)> {
        self.refused_table.map(|refused| (refused, self.table_elements))
    }

    /// Bytes allowed.
    pub fn limit(&self) -> ByteSize {
        ByteSize(self.memory)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.take((desired as u64).saturating_sub(current as u64)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > self.table_elements {
            self.refused_table = Some(desired);
            return Ok(false);
        }
        // Tables are memory too; a module may have many.
        let more = (desired as u64).saturating_sub(current as u64);
        Ok(self.take(more.saturating_mul(TABLE_ELEMENT)))
    }

    // A store holds one component, however many modules that is made of; memory is what counts.
    fn instances(&self) -> usize {
        10_000
    }

    fn tables(&self) -> usize {
        10_000
    }

    fn memories(&self) -> usize {
        1_000
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.meter.memory_freed(self.used);
    }
}

#[cfg(test)]
mod tests;
