//! Hosts: what they are told, and what they say of themselves.

use std::{collections::BTreeMap, time::Duration};

use reef_planner::{Resources, Schedule, WorkloadKey};
use serde::{Deserialize, Serialize};

/// How often a host is heard of.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a host is to run: all of it, so that one that missed something needs the last one only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The term of the leader that wrote it: its lease's first revision. A host that has seen a later one does not
    /// follow an earlier.
    pub term: u64,
    /// Workloads at their revisions.
    pub workloads: Vec<Assigned>,
}

/// A workload on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Which.
    pub workload: WorkloadKey,
    /// The number of the revision that it is made of.
    pub revision: u64,
    /// How many of them at once; more than nothing.
    pub instances: u32,
}

/// What a host is to take, as a person said. None: anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduling {
    /// Which of them.
    pub schedule: Schedule,
    /// Whether the host ends once it is drained.
    #[serde(default)]
    pub leave: bool,
}

/// What a host says of itself, each second and when something changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Which host: kept with its data, so that it is the same one after a restart.
    pub host: String,
    /// What it is called.
    pub name: String,
    /// A number of this start of it.
    pub boot: u64,
    /// Counts up with each heartbeat of a start: what comes late or twice is known by it.
    pub sequence: u64,
    /// What it runs: `0.1.0`.
    pub version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it has for workloads.
    pub capacity: Resources,
    /// What of that is used now, as measured.
    pub load: Resources,
    /// Where other hosts reach its HTTP: `10.0.0.5:8080`; where they cannot, none.
    pub http: Option<String>,
    /// Seconds since it started.
    pub up: u64,
    /// It is about to leave: nothing more is heard of it after this one, and what it ran has ended.
    #[serde(default)]
    pub left: bool,
    /// It ends once nothing runs there any more: take what it runs elsewhere.
    #[serde(default)]
    pub leaving: bool,
    /// The store's revision of the assignment that this is after; nothing before the first.
    pub assignment: u64,
    /// The store's revision up to which requests that come in here go where its routes say; nothing before it has
    /// heard the store.
    #[serde(default)]
    pub routed: u64,
    /// The applications whose files, redirects and fixed answers are not all there: but for these, `routed` holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// What it runs.
    pub placements: Vec<Reported>,
}

/// A workload on a host, as the host says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// Which.
    pub workload: WorkloadKey,
    /// The number of its revision.
    pub revision: u64,
    /// How many it was told to run.
    pub instances: u32,
    /// How many of them could take work now.
    pub ready: u32,
    /// What each is given.
    pub requests: Resources,
    /// What is wrong with it.
    #[serde(default)]
    pub trouble: Option<Trouble>,
    /// What was measured since it was made.
    #[serde(default)]
    pub measured: Measured,
}

/// An application that a host does not answer for yet where no guest does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its namespace.
    pub namespace: String,
    /// What it is called.
    pub app: String,
    /// Why it could not be had the last time; nothing while it is on its way for the first time.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// What is wrong with a workload on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// In words.
    pub message: String,
    /// How often it failed in a row.
    pub crashes: u32,
    /// Milliseconds since the last time.
    pub ago: u64,
}

/// Counts since a workload was made on a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Requests and runs that ended.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Traps.
    pub traps: u64,
    /// Those in progress now.
    pub running: u64,
    /// Those that wait for an instance now.
    pub waiting: u64,
    /// Durations by bucket, as `reef_meter::HistogramSnapshot` counts them; empty buckets at the end are left out.
    pub durations: Vec<u64>,
    /// Nanoseconds of processor time.
    pub cpu: u64,
    /// Bytes of memory held now.
    pub memory: u64,
    /// Metrics of its own that its autoscaling asks for, as they are now.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}
