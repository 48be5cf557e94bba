//! What comes of planning: what is to be done now, where everything is to be, and why something is not.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    id::{Id, Time, WorkloadKey},
    observed::{RolloutState, Weights},
    reason::Reason,
};

/// What comes of planning.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// What is to be done now, in any order. Each says how it is to be afterwards: done twice, or again after it was
    /// lost, it does no harm. Nothing, once everything is as it is wanted or nothing more can be done.
    pub actions: Vec<Action>,
    /// How each workload is, and where it is to be; those that run and are not wanted, too.
    pub workloads: BTreeMap<WorkloadKey, Status>,
    /// When there is something to be done though nothing else has changed: a back-off, a step or a grace is over.
    pub wake: Option<Time>,
}

/// One thing that is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Writes down how far the rollout of a workload is.
    Record {
        /// Of which workload.
        workload: WorkloadKey,
        /// What to write.
        state: RolloutState,
    },
    /// Sets the shares of the traffic.
    Route {
        /// Of which workload.
        workload: WorkloadKey,
        /// By the number of the revision; none is all ready instances alike.
        weights: Option<Weights>,
    },
    /// Tells a host how many instances of a revision it is to run.
    Scale {
        /// Which host.
        host: Id,
        /// Which workload.
        workload: WorkloadKey,
        /// The number of the revision.
        revision: u64,
        /// How many it runs.
        from: u32,
        /// How many it is to run; nothing is none of that revision.
        to: u32,
    },
    /// Lets a host leave: it was to be drained, and nothing runs there any more.
    Release {
        /// Which host.
        host: Id,
    },
}

/// How a workload is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// In a word.
    pub phase: Phase,
    /// Instances that are wanted, of the revisions that are wanted now.
    pub wanted: u32,
    /// Instances that are there, of whichever revision, on hosts that are heard of or were lately.
    pub running: u32,
    /// Those of them that do work and are of a revision that is wanted now.
    pub ready: u32,
    /// Where instances are to be, by host and revision.
    pub targets: Vec<Target>,
    /// How many instances each part of the spread has a place for.
    pub spread: Vec<SpreadStatus>,
    /// Why it is not as it is wanted, or not yet. Empty, if it is or will be by itself.
    pub reasons: Vec<Reason>,
}

/// So many instances of a revision on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The host.
    pub host: Id,
    /// The number of the revision.
    pub revision: u64,
    /// How many.
    pub instances: u32,
}

/// A part of a spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpreadStatus {
    /// Its name; empty, where the workload has no parts.
    pub name: Id,
    /// Its share of the instances.
    pub wanted: u32,
    /// Those of them that have a place.
    pub placed: u32,
}

/// How a workload is in a word, the best first: the worst of its workloads' is how an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Exactly what is wanted runs, where it is wanted, and is ready.
    Deployed,
    /// What is wanted runs, but crashes, or on a host that is not heard of.
    Unhealthy,
    /// Something is being done.
    Reconciling,
    /// Something has to change before more can be done: room, a quota, a host.
    Waiting,
    /// It is not wanted, and still there.
    Undeployed,
    /// It cannot be as it is wanted: no host fits the rules, or the rollout went back.
    Failed,
}

impl Plan {
    /// Whether nothing is left to be done now.
    pub fn is_settled(&self) -> bool {
        self.actions.is_empty()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { workload, state } => {
                write!(f, "record {workload}: revision {}, step {}", state.revision, state.step)
            }
            Self::Route { workload, weights: None } => write!(f, "route {workload}: evenly"),
            Self::Route { workload, weights: Some(weights) } => {
                write!(f, "route {workload}:")?;
                weights.iter().try_for_each(|(revision, weight)| {
                    write!(f, " {weight} to revision {revision}")
                })
            }
            Self::Scale { host, workload, revision, from, to } => {
                write!(f, "{workload} revision {revision} on {host}: {from} -> {to}")
            }
            Self::Release { host } => write!(f, "let {host} leave"),
        }
    }
}
