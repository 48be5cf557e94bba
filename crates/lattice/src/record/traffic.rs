//! Where the requests of an application go.

use std::collections::BTreeMap;

use reef_planner::Weights;
use serde::{Deserialize, Serialize};

/// Where requests go: to instances that are ready, and to no others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    /// The term that wrote it.
    pub term: u64,
    /// By workload.
    pub workloads: BTreeMap<String, Entry>,
}

/// Where the requests of a workload go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Shares of the traffic by revision; none: by how many instances there are.
    pub weights: Option<Weights>,
    /// Hosts with instances that are ready.
    pub backends: Vec<Backend>,
}

/// Instances on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Which host.
    pub host: String,
    /// Where its HTTP is reached.
    pub http: Option<String>,
    /// Its failure domain: the label `zone`.
    pub zone: Option<String>,
    /// Of which revision.
    pub revision: u64,
    /// How many.
    pub ready: u32,
}
