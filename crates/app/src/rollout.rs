//! How one revision of a workload gives way to the next, on the hosts of a lattice.

use std::time::Duration;

use reef_document::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    scale::Amount,
    text::{Grammar, Written},
};

/// How one revision gives way to the next, where there are several hosts. (One machine alone changes over at once,
/// when the new revision is ready.)
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Rollout {
    /// In which way: `rolling` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<At<Strategy>>,
    /// Rolling: how many may be missing meanwhile. None, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<At<Written<Amount>>>,
    /// Rolling: how many may be there beyond those wanted: `25%` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<At<Written<Amount>>>,
    /// Blue-green: how long the old instances are kept with the traffic on the new, to go back to: `10m`. No time, if
    /// not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<At<Written<Duration>>>,
    /// Canary: shares of the traffic, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// How long the new revision may take to be ready (in all, where it is rolling; at each step elsewhere), before the
    /// old one is gone back to: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Written<Duration>>,
    /// What the new revision is measured by. What is not met goes back to the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
}

/// In which way one revision gives way to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All old instances stop and all new ones start at once.
    AllAtOnce,
    /// A few at a time.
    #[default]
    Rolling,
    /// All new instances beside the old; then all traffic; then the old ones stop.
    BlueGreen,
    /// A few new instances with a share of the traffic, then more.
    Canary,
}

/// A share of the traffic, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Step {
    /// Percent of the traffic.
    pub weight: At<u32>,
    /// How long, once its instances are ready: `5m`.
    pub hold: Written<Duration>,
}

/// What a new revision is measured by.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Gates {
    /// Failed requests, at most: `0.5%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_error_rate: Option<Written<Rate>>,
    /// How long requests may take, at most: `250ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Written<Duration>>,
    /// Which percentile of the requests that is: 99 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentile: Option<At<f64>>,
    /// Traps at each step, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_traps: Option<u64>,
    /// Requests that make a measure: with fewer, neither error rate nor latency says anything, and a step goes on for
    /// longer. 0 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u64>,
}

/// A share, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

/// The percentile that is looked at where none is said.
const PERCENTILE: f64 = 99.0;

/// All, in millionths.
const WHOLE: u32 = 1_000_000;

impl Rollout {
    /// In which way.
    pub fn strategy(&self) -> Strategy {
        self.strategy.as_ref().map(|strategy| strategy.value).unwrap_or_default()
    }
}

impl Gates {
    /// The percentile that the latency is of.
    pub fn percentile(&self) -> f64 {
        self.percentile.as_ref().map_or(PERCENTILE, |percentile| percentile.value)
    }
}

impl Rate {
    /// In a million.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

/// Percent with four places after the point at most, which is exact.
impl Grammar for Rate {
    const NAME: &'static str = "Rate";
    const FORM: &'static str = "Percent: `1%`, `0.5%`";

    fn read(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is no share: write it in percent, `1%` or `0.5%`");
        let percent = text.strip_suffix('%').ok_or_else(error)?;
        let (whole, part) = percent.split_once('.').unwrap_or((percent, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || part.len() > 4 || !digits(whole) || !digits(part)
        {
            return Err(error());
        }
        let number: u32 = format!("{whole}{part:0<4}").parse().map_err(|_| error())?;
        if number <= WHOLE { Ok(Self(number)) } else { Err(error()) }
    }

    fn write(&self) -> String {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}
