//! Memory and processor time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Memory and processor time: what a host has, or one instance asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes.
    pub memory: u64,
    /// Thousandths of a core.
    pub cpu: u64,
}

impl Resources {
    /// So much memory in bytes, so many thousandths of a core.
    pub const fn new(memory: u64, cpu: u64) -> Self {
        Self { memory, cpu }
    }

    /// The same for `count` of them; the most there is where that overflows.
    pub(crate) fn times(self, count: u64) -> Self {
        Self { memory: self.memory.saturating_mul(count), cpu: self.cpu.saturating_mul(count) }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            cpu: self.cpu.saturating_add(other.cpu),
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(other.memory),
            cpu: self.cpu.saturating_sub(other.cpu),
        }
    }

    /// How many instances that ask for `request` each fit into this, of `limit` at most.
    pub(crate) fn room(self, request: Self, limit: u32) -> u32 {
        let of = |has: u64, asked: u64| has.checked_div(asked).unwrap_or(u64::MAX);
        let room = of(self.memory, request.memory).min(of(self.cpu, request.cpu));
        u32::try_from(room).unwrap_or(u32::MAX).min(limit)
    }

    /// How much of `capacity` this is, in millionths, of whichever is used more.
    pub(crate) fn share_of(self, capacity: Self) -> u32 {
        let of = |used: u64, all: u64| {
            if used == 0 {
                return 0;
            }
            // Wide division takes several times as long, and numbers are seldom so great.
            match used.checked_mul(1_000_000) {
                Some(share) => share.checked_div(all),
                None => (u128::from(used) * 1_000_000)
                    .checked_div(u128::from(all))
                    .map(|share| u64::try_from(share).unwrap_or(u64::MAX)),
            }
            .map_or(u32::MAX, |share| u32::try_from(share).unwrap_or(u32::MAX))
        };
        of(self.memory, capacity.memory).max(of(self.cpu, capacity.cpu))
    }
}

/// `64MiB and 0.25 cores`.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} cores", Bytes(self.memory), Cores(self.cpu))
    }
}

/// Bytes as people write them.
pub(crate) struct Bytes(pub(crate) u64);

/// Thousandths of a core as people write them.
pub(crate) struct Cores(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 >= 1 << shift && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}
