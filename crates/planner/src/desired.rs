//! What is wanted: workloads at their revisions, where they may run, and how they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    id::{Id, WorkloadKey},
    resources::Resources,
};

/// Labels of a host, or those that it must have.
pub type Labels = BTreeMap<Id, Id>;

/// The most instances of one workload that are planned; what is wanted beyond is refused with a reason.
pub const MOST_INSTANCES: u32 = 1_000_000;

/// All that is wanted of a lattice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    /// The workloads of all applications.
    pub workloads: BTreeMap<WorkloadKey, Workload>,
    /// What a namespace may have; one that is not here may have anything.
    pub quotas: BTreeMap<Id, Quota>,
    /// What holds for all of them.
    pub policy: Policy,
}

/// A workload: so many instances of a revision, on hosts that its rules allow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// The revision that is wanted.
    pub revision: Revision,
    /// The revision before, until the rollout from it is complete, and for as long as it is rolled back: what runs on,
    /// and what is gone back to. What else is found running is stopped as the wanted one takes over.
    pub previous: Option<Revision>,
    /// How many instances.
    pub scale: Scale,
    /// Where.
    pub rules: Rules,
    /// How one revision gives way to the next.
    pub rollout: Rollout,
    /// How many instances may be missing because something is moved, drained or rolled out: a disruption budget. What
    /// a rollout says itself never goes beyond it; without it, moves and drains are as careful as a rolling rollout.
    pub max_unavailable: Option<Amount>,
    /// Those with more are given hosts and quota first.
    pub priority: i32,
    /// The place in the order in which applications were first accepted; older ones come first within a priority.
    pub accepted: u64,
}

/// What a workload is made of, from one change of it to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The revision of the application in which the workload last changed. A new revision of the application that
    /// leaves the workload as it is does not change this, and so does not touch what runs.
    pub number: u64,
    /// The digest of its artifact.
    pub digest: Id,
    /// What one instance asks for.
    pub requests: Resources,
}

/// How many instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// So many over all hosts.
    Instances(u32),
    /// So many on each host that the rules allow.
    Daemon(u32),
}

/// Where instances may run, and where they had better.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Parts of the instances and the hosts for each, by weight; none is one part, for all hosts. A host may be in
    /// several: an instance counts towards one of them.
    pub spread: Vec<Spread>,
    /// What every host must satisfy.
    pub required: Vec<Constraint>,
    /// What a host had better satisfy, each with a weight. What runs is not moved for it.
    pub preferred: Vec<(Constraint, u32)>,
    /// Even over failure domains.
    pub topology: Option<Topology>,
    /// The most instances on one host.
    pub per_host: Option<u32>,
    /// Which of the hosts that are left.
    pub packing: Packing,
}

/// A part of the instances, and the hosts that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// What it is called, in messages.
    pub name: Id,
    /// Labels that a host must have.
    pub requirements: Labels,
    /// Its share beside the others'. Where all are nothing, all are the same.
    pub weight: u32,
}

/// A condition on the labels of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// The label has one of the values.
    In(Id, BTreeSet<Id>),
    /// The label has none of the values, or is not there.
    NotIn(Id, BTreeSet<Id>),
    /// The label is there.
    Exists(Id),
    /// The label is not there.
    Missing(Id),
}

/// Even over failure domains: the values of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The label: `zone`.
    pub label: Id,
    /// The most by which the fullest domain may be ahead of the emptiest that has a host that takes instances; one at
    /// least.
    pub max_skew: u32,
    /// Whether instances rather wait than be uneven. If so, hosts without the label are not used, and what runs is
    /// moved when a domain comes back.
    pub required: bool,
}

/// Which hosts are filled first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// Those with the fewest of the workload's instances, then those that are used least.
    #[default]
    Even,
    /// Those that are used most, as long as there is room: few hosts are used.
    BinPack,
}

/// How one revision gives way to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// In which steps.
    pub strategy: Strategy,
    /// What the new revision is measured by. What is not met goes back to the one before.
    pub gates: Gates,
    /// How long the new revision may take to be ready (in all, where it is rolling; at each step elsewhere).
    pub deadline: Option<Duration>,
}

/// The steps of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All old instances stop and all new ones start at once; only a disruption budget holds it up.
    AllAtOnce,
    /// A few at a time.
    Rolling {
        /// So many may be missing meanwhile.
        max_unavailable: Amount,
        /// So many may be there beyond those that are wanted. One, where both are nothing.
        max_surge: Amount,
    },
    /// All new instances beside the old; then all traffic; then the old ones stop. For a daemon: rolling.
    BlueGreen {
        /// How long the old ones are kept with the traffic on the new, to go back to.
        hold: Duration,
    },
    /// A few new instances with a share of the traffic, then more. For a daemon: rolling.
    Canary {
        /// The shares, one after the other.
        steps: Vec<CanaryStep>,
    },
}

/// A share of the traffic, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryStep {
    /// Percent of the traffic, and of the instances beside the old ones, which all stay.
    pub weight: u32,
    /// How long, once the instances are ready.
    pub hold: Duration,
}

/// What a new revision is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gates {
    /// Failed requests in a million, at most.
    pub max_errors_per_million: Option<u32>,
    /// Milliseconds that the percentile of the measure may be, at most.
    pub max_latency_ms: Option<u64>,
    /// Traps since the step began, at most.
    pub max_traps: Option<u64>,
    /// Requests that make a measure: with fewer, neither error rate nor latency says anything, and a step with a gate
    /// goes on for longer than its time.
    pub min_requests: u64,
}

/// A number of instances, as such or as a share of those wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// So many.
    Count(u32),
    /// Percent of those wanted.
    Percent(u32),
}

/// What a namespace may have in all, which is given to its workloads in the order of priority and age: one that is
/// scaled beyond takes from those after it, so whoever scales it should look first. Instances beyond those wanted that are there for the time of a move or a rollout
/// do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Instances.
    pub instances: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu: Option<u64>,
}

/// What holds for all workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How long what ran on a host that is not heard of is taken to run still.
    pub grace: Duration,
    /// How long a workload that crashes waits.
    pub back_off: BackOff,
}

/// How long a workload that crashes waits before it is started again: longer each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    /// After the first crash; twice as long after each that follows.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
    /// Without a crash for so long, those before are forgotten.
    pub forget: Duration,
}

// === impls ===

impl Workload {
    /// A workload of so many instances of a revision, on any hosts, rolling.
    pub fn new(revision: Revision, scale: Scale) -> Self {
        Self {
            revision,
            previous: None,
            scale,
            rules: Rules::default(),
            rollout: Rollout::default(),
            max_unavailable: None,
            priority: 0,
            accepted: 0,
        }
    }
}

impl Amount {
    /// Of `all`, rounded up (what may be there beyond).
    pub(crate) fn up(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let share = (u64::from(all) * u64::from(percent)).div_ceil(100);
                u32::try_from(share).unwrap_or(u32::MAX)
            }
        }
    }

    /// Of `all`, rounded down (what may be missing).
    pub(crate) fn down(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let share = u64::from(all) * u64::from(percent) / 100;
                u32::try_from(share).unwrap_or(u32::MAX)
            }
        }
    }
}

impl Strategy {
    /// What moves and rollouts keep to where nothing is said: nothing missing, a quarter beyond.
    pub const DEFAULT: Self =
        Self::Rolling { max_unavailable: Amount::Count(0), max_surge: Amount::Percent(25) };
}

impl Default for Strategy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5), back_off: BackOff::default() }
    }
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            forget: Duration::from_secs(600),
        }
    }
}
