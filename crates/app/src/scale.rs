//! How many instances, and on which hosts.

use std::{fmt, time::Duration};

use reef_document::{At, Many};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    text::{Grammar, Written},
    trigger::Labels,
};

/// How many instances, where they run, and how they are used again. What is for several hosts says nothing on one
/// machine alone: there, as many are made as requests need.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Scale {
    /// Requests that one instance serves in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<u32>,
    /// Requests that one instance serves at once (WASI 0.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// How long an instance without work is kept: `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Written<Duration>>,
    /// How many, over all hosts of a lattice: 1 if not said. With `auto`, how many at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<At<u32>>,
    /// How many on each host of a lattice that the rules below allow, in place of `instances`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon: Option<At<u32>>,
    /// Parts of the instances, and the hosts for each. Without, there is one part, for all hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Spread>,
    /// What every host must satisfy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Condition>,
    /// What a host had better satisfy. What runs is not moved for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<Condition>,
    /// Even over failure domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology>,
    /// The most instances on one host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_host: Option<At<u32>>,
    /// Which of the hosts that are left: `even` if not said.
    #[serde(default, skip_serializing_if = "Packing::is_default")]
    pub packing: Packing,
    /// How many may be missing because something is moved, drained or rolled out: `1`, `25%`. If not said, moves and
    /// drains are as careful as a rolling rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<At<Written<Amount>>>,
    /// Workloads with more are given hosts first: 0 if not said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// As many as the work needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<Auto>,
}

/// A part of the instances, and the hosts that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Spread {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<At<String>>,
    /// Labels that a host must have.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Its share beside the others': 100 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<At<u32>>,
}

/// A condition on a label of a host: exactly one of `in`, `not-in` and `exists`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Condition {
    /// The label: `zone`.
    pub label: At<String>,
    /// It has this value, or one of these.
    #[serde(default, rename = "in", skip_serializing_if = "is_empty")]
    pub one_of: Many<String>,
    /// It has not this value, nor one of these, or is not there.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub not_in: Many<String>,
    /// Whether it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// How much it counts beside the others that are preferred, from 1 to 100: 1 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<At<u32>>,
}

/// What a [`Condition`] says of its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds<'c> {
    /// It has one of the values.
    In(&'c [String]),
    /// It has none of the values, or is not there.
    NotIn(&'c [String]),
    /// It is there.
    Exists,
    /// It is not there.
    Missing,
}

/// Even over failure domains: the values of a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Topology {
    /// The label: `zone`.
    pub label: At<String>,
    /// The most by which the fullest domain may be ahead of the emptiest: 1 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_skew: Option<At<u32>>,
    /// Whether instances rather wait than be uneven.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// Which hosts are filled first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// Those with the fewest of the workload's instances, then those that are used least.
    #[default]
    Even,
    /// Those that are used most, as long as there is room: few hosts are used.
    BinPack,
}

/// As many instances as the work needs, between bounds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Auto {
    /// At least: 1 if not said, and 0 with `scale-to-zero`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<At<u32>>,
    /// At most.
    pub max: At<u32>,
    /// What each instance is to have.
    pub target: At<Goal>,
    /// After how long without work there is to be none, until the next request: `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_to_zero: Option<At<Written<Duration>>>,
    /// For how long fewer instances have to be enough, before there are fewer: `60s` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_after: Option<At<Written<Duration>>>,
}

/// What each instance is to have: exactly one of `concurrency`, `queue-time` and `metric`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Goal {
    /// Requests in progress at once: `10`, `0.8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<f64>,
    /// How long requests wait for an instance: `50ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_time: Option<Written<Duration>>,
    /// A metric of the workload by its name, of which each instance is to have `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// How much of that metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// What each instance is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target<'g> {
    /// So many requests in progress at once; more than nothing.
    Concurrency(f64),
    /// Requests that wait so long.
    QueueTime(Duration),
    /// So much of a metric.
    Metric(&'g str, f64),
}

/// A number of instances, as such or as a share of those wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// Percent of those wanted.
    Percent(u32),
}

impl Scale {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it says how many instances there are or where, and not only how they are used.
    pub fn is_placed(&self) -> bool {
        let Self { reuse, concurrent, idle, .. } = self.clone();
        *self != Self { reuse, concurrent, idle, ..Self::default() }
    }
}

impl Condition {
    /// What it says; none, unless it says exactly one thing.
    pub fn holds(&self) -> Option<Holds<'_>> {
        match (&self.one_of[..], &self.not_in[..], self.exists) {
            (values @ [_, ..], [], None) => Some(Holds::In(values)),
            ([], values @ [_, ..], None) => Some(Holds::NotIn(values)),
            ([], [], Some(true)) => Some(Holds::Exists),
            ([], [], Some(false)) => Some(Holds::Missing),
            _ => None,
        }
    }
}

impl Auto {
    /// At least so many.
    pub fn least(&self) -> u32 {
        let default = u32::from(self.scale_to_zero.is_none());
        self.min.as_ref().map_or(default, |min| min.value)
    }
}

impl Goal {
    /// What it says; none, unless it says exactly one thing, and more than nothing of it.
    pub fn target(&self) -> Option<Target<'_>> {
        let is_some = |number: f64| number.is_finite() && number > 0.0;
        match (self.concurrency, self.queue_time, &self.metric, self.value) {
            (Some(most), None, None, None) if is_some(most) => Some(Target::Concurrency(most)),
            (None, Some(time), None, None) => Some(Target::QueueTime(time.0)),
            (None, None, Some(metric), Some(value)) if is_some(value) && !metric.is_empty() => {
                Some(Target::Metric(metric, value))
            }
            _ => None,
        }
    }
}

impl Packing {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Amount {
    /// Whether it is nothing of anything.
    pub(crate) fn is_nothing(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Grammar for Amount {
    const NAME: &'static str = "Amount";
    const FORM: &'static str = "A number of instances, or a share of those wanted: `2`, `25%`";

    fn read(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let error = format!("`{text}` is no number of instances: write `2`, or `25%`");
            text.parse::<u32>().map_err(|_| error)
        };
        match text.strip_suffix('%') {
            Some(percent) => number(percent).map(Self::Percent),
            None => number(text).map(Self::Count),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

fn is_empty<T>(many: &Many<T>) -> bool {
    many.is_empty()
}
