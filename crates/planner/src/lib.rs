//! From what is wanted of a lattice and what is there to what is to be done next.
//!
//! [`plan`] is a function: no clock, no network, no chance. It is level-triggered: it looks at all that is wanted
//! ([`Desired`]) and all that is observed ([`Observed`]), not at what happened; so an [`Action`] that is lost, late or
//! done twice is made good by planning again. Once nothing is to be done, planning again has no actions.
//!
//! | module | what for |
//! | --- | --- |
//! | `desired`, `observed` | what goes in |
//! | `plan`, `reason` | what comes out: actions, targets, phases, and why not more |
//! | `planner` | all workloads, one after the other: those with priority and older ones first |
//! | `hosts`, `bits` | the hosts as rows: use, labels, who takes what |
//! | `quota` | how many instances a namespace lets a workload have |
//! | `rollout` | which revisions, at this moment, and with which share of the traffic |
//! | `place`, `cells`, `apportion`, `flow`, `fill`, `shares`, `daemon` | on which hosts |
//! | `shortage` | what the hosts lack, in numbers |
//! | `converge` | what may be started and stopped now |
//!
//! # What is kept
//!
//! - What runs well stays: a host that joins, a preference or an uneven number of instances moves nothing. Only rules
//!   that *must* hold do: labels, constraints, the parts of a spread, a required topology, a host that leaves.
//! - A host is never planned or filled beyond what it has, not even for the time of a move.
//! - No more than `max_unavailable` ready instances are missing because of the planner, and no more than `max_surge`
//!   are there beyond those wanted.
//! - What cannot be is a [`Reason`], with numbers, in words that say what to change.
//!
//! # What is not done
//!
//! Nothing that runs is stopped to make room on a host for something else, not even for something of higher priority,
//! and nothing is moved to make whole what is left of many hosts. (A quota is given in order, whatever runs.)
//!
//! ```
//! use reef_planner::{Action, Desired, Host, Observed, Resources, Revision, Scale, Time, Workload, WorkloadKey, plan};
//!
//! let revision = Revision { number: 1, digest: "sha256:…".into(), requests: Resources::new(64 << 20, 100) };
//! let mut desired = Desired::default();
//! let web = WorkloadKey::new("default", "shop", "web");
//! desired.workloads.insert(web, Workload::new(revision, Scale::Instances(3)));
//!
//! let mut observed = Observed::default();
//! let capacity = Resources::new(8 << 30, 4000);
//! observed.hosts.insert("a".into(), Host { capacity, ..Host::default() });
//!
//! let plan = plan(&desired, &observed, Time(0));
//! assert_eq!(plan.actions[0].to_string(), "default/shop/web revision 1 on a: 0 -> 3");
//! ```

mod apportion;
mod bits;
mod cells;
mod converge;
mod daemon;
mod desired;
mod entries;
mod fill;
mod flow;
mod hosts;
mod id;
mod labels;
mod observed;
mod place;
mod plan;
mod planner;
mod quota;
mod reason;
mod resources;
mod rollout;
mod shares;
mod shortage;
mod workload;

pub use desired::{
    Amount, BackOff, CanaryStep, Constraint, Desired, Gates, Labels, MOST_INSTANCES, Packing,
    Policy, Quota, Revision, Rollout, Rules, Scale, Spread, Strategy, Topology, Workload,
};
pub use id::{Id, Time, WorkloadKey};
pub use observed::{
    Crashes, Host, Measure, Observed, Placement, Reach, RollbackCause, RolloutState, Schedule,
    Verdict, Weights,
};
pub use plan::{Action, Phase, Plan, SpreadStatus, Status, Target};
pub use planner::{Changed, Planner, plan};
pub use reason::{QuotaOf, Reason, Shortage};
pub use resources::Resources;

#[cfg(test)]
mod tests;
