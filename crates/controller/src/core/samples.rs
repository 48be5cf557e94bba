//! What unit tests say and hear.

use reef_lattice::record::{Heartbeat, Measured, Reported};
use reef_planner::{Resources, WorkloadKey};

/// Of a host that runs nothing.
pub(crate) fn heartbeat(host: &str, sequence: u64) -> Heartbeat {
    Heartbeat { host: host.into(), name: host.into(), boot: 1, sequence, ..Heartbeat::default() }
}

/// One instance of a workload's revision, which is ready.
pub(crate) fn reported(workload: WorkloadKey, revision: u64) -> Reported {
    Reported {
        workload,
        revision,
        instances: 1,
        ready: 1,
        requests: Resources::default(),
        trouble: None,
        measured: Measured::default(),
    }
}
