//! How many uses a link allows in a time.

use std::{
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reef_grants::parse_duration;

/// Uses in a time: `100/s`, `5/10s`. As many may come at once as in one such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub uses: u32,
    /// In how long.
    pub within: Duration,
}

/// A bucket that fills steadily, and out of which each use takes one token.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    level: Mutex<(f64, Instant)>,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("is no rate: `{text}`; write `100/s` or `5/10s`");
        let (uses, within) = text.split_once('/').ok_or_else(wrong)?;
        let uses = uses.trim().parse().ok().filter(|uses| *uses > 0).ok_or_else(wrong)?;
        let within = within.trim();
        let one = format!("1{within}");
        let within = if within.starts_with(|c: char| c.is_ascii_digit()) { within } else { &one };
        let within = parse_duration(within).ok().filter(|time| !time.is_zero());
        Ok(Self { uses, within: within.ok_or_else(wrong)? })
    }
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, level: Mutex::new((f64::from(rate.uses), now)) }
    }

    /// Takes one token, or says how long it is until there is one.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, last) = *level;
        let most = f64::from(self.rate.uses);
        let per_second = most / self.rate.within.as_secs_f64();
        let passed = now.saturating_duration_since(last).as_secs_f64();
        let tokens = (tokens + passed * per_second).min(most);
        if tokens < 1.0 {
            *level = (tokens, now.max(last));
            return Err(Duration::from_secs_f64((1.0 - tokens) / per_second));
        }
        *level = (tokens - 1.0, now.max(last));
        Ok(())
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }
}

#[cfg(test)]
mod tests;
