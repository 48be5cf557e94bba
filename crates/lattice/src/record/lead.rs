//! What the leader writes down.

use std::collections::BTreeMap;

use reef_planner::{Phase, RolloutState, SpreadStatus, Target, Time, Weights};
use serde::{Deserialize, Serialize};

/// Who leads. It is renewed for as long as they do; one that is not is taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// Which controller.
    pub holder: String,
    /// The store's revision at which it began to lead; nothing in the very first record of a term.
    pub term: u64,
    /// Milliseconds without a renewal after which it is taken over.
    pub lease: u64,
    /// Counts up with each renewal.
    pub renewals: u64,
}

/// How far the rollout of a workload is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// As the planner said it last, or a person changed it.
    pub state: Option<RolloutState>,
    /// Shares of the traffic, where not all ready instances are alike.
    pub weights: Option<Weights>,
    /// The term that wrote it.
    pub term: u64,
}

/// How an application is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The revision that this is about; none, where nothing is wanted.
    pub revision: Option<u64>,
    /// The store's revision of the application's record that this is about: an older status says nothing of it.
    pub of: u64,
    /// In a word: the worst of its workloads'.
    pub phase: Phase,
    /// Its workloads.
    pub workloads: BTreeMap<String, WorkloadStatus>,
    /// When it was last changed.
    pub at: Time,
}

/// How a workload is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// In a word.
    pub phase: Phase,
    /// Instances that are wanted.
    pub wanted: u32,
    /// Instances that are there.
    pub running: u32,
    /// Those of them that do work, of a revision that is wanted.
    pub ready: u32,
    /// Where they are to be.
    pub targets: Vec<Target>,
    /// How many each part of its spread has a place for.
    pub spread: Vec<SpreadStatus>,
    /// Why it is not as it is wanted, in words.
    pub reasons: Vec<String>,
    /// How far its rollout is.
    pub rollout: Option<RolloutState>,
}

/// What the hosts of a lattice know of each other by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Hexadecimal: a request that a host sends on to another one shows by it that it comes from a host.
    pub secret: String,
    /// The version of what is kept in the store.
    pub format: u32,
    /// Which store it is: one that was begun anew is another. Nothing, where an earlier version began it.
    #[serde(default)]
    pub store: String,
}
