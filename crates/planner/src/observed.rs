//! What is there: hosts and what runs on them, as they report it, and what was written down before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    desired::Labels,
    id::{Id, Time, WorkloadKey},
    resources::Resources,
};

/// All that is known of a lattice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// The hosts, by id.
    pub hosts: BTreeMap<Id, Host>,
    /// Crashes of workloads, by the number of the revision.
    pub crashes: BTreeMap<WorkloadKey, BTreeMap<u64, Crashes>>,
    /// How far rollouts are, as [`Action::Record`](crate::Action::Record) wrote it or a person changed it.
    pub rollouts: BTreeMap<WorkloadKey, RolloutState>,
    /// Shares of the traffic, where [`Action::Route`](crate::Action::Route) set them.
    pub weights: BTreeMap<WorkloadKey, Weights>,
    /// What the hosts measured of the new revision at the present step of its rollout, over all hosts.
    pub measures: BTreeMap<WorkloadKey, Measure>,
}

/// A host and what it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// What it is called.
    pub name: Id,
    /// Its labels.
    pub labels: Labels,
    /// What it has for workloads.
    pub capacity: Resources,
    /// What it is to take.
    pub schedule: Schedule,
    /// Whether it is heard of.
    pub reach: Reach,
    /// What it runs, or last said that it runs.
    pub placements: Vec<Placement>,
}

/// What a host is to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Anything.
    #[default]
    Open,
    /// Nothing new; what runs stays.
    Cordoned,
    /// Nothing new, and what runs moves away.
    Draining,
    /// Nothing; it has been drained and may leave.
    Drained,
}

/// Whether a host is heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It is.
    #[default]
    Reachable,
    /// Not since then. What it ran is taken to run for as long as the policy says.
    Silent(Time),
}

/// A workload on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Which workload.
    pub workload: WorkloadKey,
    /// The number of its revision.
    pub revision: u64,
    /// How many instances the host has been told to run, and does or tries to.
    pub instances: u32,
    /// How many of them do work.
    pub ready: u32,
    /// What the host holds for each.
    pub requests: Resources,
}

/// Crashes of a revision of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crashes {
    /// How many, one after the other.
    pub count: u32,
    /// When the last was.
    pub last: Time,
}

/// How far a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutState {
    /// The revision that is rolled out. A state of another one than is wanted counts for nothing.
    pub revision: u64,
    /// At which step: that of a canary.
    pub step: u32,
    /// Whether the step's instances have all been ready, and the traffic is as the step says.
    pub serving: bool,
    /// When this began: the step, or its serving.
    pub since: Time,
    /// Whether it goes on.
    pub verdict: Verdict,
}

/// Whether a rollout goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does.
    Going,
    /// It stays as it is until a person says otherwise. Gates hold all the same.
    Paused,
    /// The new revision has taken over.
    Complete,
    /// The revision before is gone back to.
    RolledBack(RollbackCause),
}

/// Why a rollout went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackCause {
    /// A person said so.
    Aborted,
    /// Failed requests in a million, and how many may.
    Errors {
        /// So many did.
        measured: u64,
        /// So many may.
        limit: u64,
    },
    /// Milliseconds, and how many there may be.
    Latency {
        /// So many it took.
        measured: u64,
        /// So many it may.
        limit: u64,
    },
    /// Traps, and how many there may be.
    Traps {
        /// So many there were.
        measured: u64,
        /// So many there may be.
        limit: u64,
    },
    /// It was not ready in time.
    Deadline,
}

/// Shares of the traffic, by the number of the revision. Instances of a revision that is not here get none.
pub type Weights = BTreeMap<u64, u32>;

/// What was measured of a revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// From when on. What was begun before the rollout's state was is not of its step, and counts for nothing.
    pub since: Time,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Traps.
    pub traps: u64,
    /// Milliseconds, of the percentile that the rollout's gate is for.
    pub latency_ms: u64,
}
