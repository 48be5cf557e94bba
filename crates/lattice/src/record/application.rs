//! Applications and their revisions.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reef_planner::{Quota, Time, Workload};
use serde::{Deserialize, Serialize};

use crate::objects::Digest;

/// Which revision was accepted last of all applications: the next one is accepted beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The application's namespace.
    pub namespace: String,
    /// What it is called.
    pub app: String,
    /// The revision.
    pub number: u64,
}

/// An application: which revision is wanted. Changing it, with the revision before expected, is what accepts one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct App {
    /// The place in the order in which applications were first accepted.
    pub accepted: u64,
    /// The revision that is wanted; none of it, where nothing is (it was undeployed, and may be deployed again).
    pub wanted: Option<u64>,
    /// Its revisions that are kept, the oldest first.
    pub revisions: Vec<Head>,
    /// For each workload of the wanted revision, the one before its last change, until that is rolled out: what runs
    /// on meanwhile, and what is gone back to.
    #[serde(default)]
    pub previous: BTreeMap<String, u64>,
    /// The number of the next one. Numbers are never used again, not even after the application was deleted.
    pub next: u64,
    /// It is to be deleted: nothing of it is wanted, and its records go once nothing runs.
    #[serde(default)]
    pub deleted: bool,
}

/// What is said of a revision without reading it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// What its manifest calls this version.
    pub version: Option<String>,
    /// What its manifest says that it is.
    pub description: Option<String>,
    /// When it was accepted.
    pub at: Time,
    /// What it came of: `reef.toml`, `wadm`, `spin.toml`, `rollback to 3`.
    pub cause: String,
}

impl Head {
    /// What it is called: its version, or else its number.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.version {
            Some(version) => version.into(),
            None => self.number.to_string().into(),
        }
    }
}

/// One revision, digests pinned. Never changed once it is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// The manifest, whatever it was written in: `reef_app::Application`.
    pub application: serde_json::Value,
    /// Values of its variables that were given. None of them is a secret.
    pub values: BTreeMap<String, String>,
    /// Files that the manifest names, from its folder on: artifacts, assets, scripts, certificates.
    pub files: Vec<File>,
    /// What the planner has to know of each workload that is placed by itself. `revision.number` is that of the
    /// revision in which the workload last changed, and so which of these records it is made of.
    pub workloads: BTreeMap<String, Workload>,
    /// Those of them whose number of instances follows their load, in place of what they ask for.
    #[serde(default)]
    pub autoscale: BTreeMap<String, Autoscale>,
    /// The percentile of requests' durations that the latency gate of a rollout is for; 99, where none is said.
    #[serde(default)]
    pub percentiles: BTreeMap<String, f64>,
    /// The manifest as it was written, where that is another system's whose clients ask for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<serde_json::Value>,
    /// Who applied it, as the bus knows them.
    #[serde(default)]
    pub by: Option<String>,
}

/// As many instances as the load needs, between bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Autoscale {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
    /// What each instance is to have.
    pub target: AutoscaleTarget,
    /// Without work for so long, there is none, until a request comes. Without: never fewer than `min` and one.
    #[serde(default)]
    pub to_zero: Option<Duration>,
    /// For how long fewer have to be enough, before there are fewer. Without: as controllers think best.
    #[serde(default)]
    pub down: Option<Duration>,
}

/// What each instance is to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AutoscaleTarget {
    /// So many requests in progress or waiting at once.
    Concurrency(f64),
    /// Requests that wait so long for an instance, on average.
    QueueTime(Duration),
    /// So much of a metric, by its name ([`Measured::metrics`](super::Measured::metrics)).
    Metric(String, f64),
}

/// A file that an application is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct File {
    /// Where, from the manifest's folder on: no `..`, not absolute.
    pub path: String,
    /// What it holds.
    pub digest: Digest,
    /// How many bytes that is.
    pub size: u64,
}

/// Instances that a person asked for, over what the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// How many: in all, or on each host of a daemon.
    pub instances: u32,
}

/// A namespace: teams are kept apart by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// What all of its applications may have.
    pub quota: Quota,
    /// Applications that others may link to, by name, and the namespaces that may; `*` is all.
    #[serde(default)]
    pub exports: BTreeMap<String, BTreeSet<String>>,
}
