//! How applications are, in the words of their records.

use std::{collections::BTreeMap, time::Duration};

use reef_lattice::record::{Status, WorkloadStatus};
use reef_planner::{Phase, Plan, Time};

use super::{
    records::{AppKey, Kept, Records},
    wanted::Wanted,
};

/// How long reasons may be as they were before they are told anew, where nothing else changed.
const SELDOM: Duration = Duration::from_secs(1);

/// How an application is; none, where there is nothing to say of it.
pub(super) fn status(
    records: &Records,
    wanted: &Wanted,
    plan: &Plan,
    key: &AppKey,
    now: Time,
) -> Option<Status> {
    let kept = records.apps.get(key)?;
    let app = kept.get();
    let revision = app.and_then(|app| app.wanted.filter(|_| !app.deleted));
    let from = key.workload("");
    let of_app = plan.workloads.range(from..).take_while(|(one, _)| AppKey::of(one) == *key);
    let mut workloads: BTreeMap<String, WorkloadStatus> = BTreeMap::new();
    for (one, status) in of_app {
        let rollout = records.rollouts.get(one).and_then(Kept::get);
        let state = rollout.and_then(|rollout| rollout.state.clone());
        let number = wanted.desired.workloads.get(one).map(|one| one.revision.number);
        let status = WorkloadStatus {
            phase: status.phase,
            wanted: status.wanted,
            running: status.running,
            ready: status.ready,
            targets: status.targets.clone(),
            spread: status.spread.clone(),
            reasons: status.reasons.iter().map(ToString::to_string).collect(),
            rollout: state.filter(|state| Some(state.revision) == number),
        };
        workloads.insert(one.workload.to_string(), status);
    }
    let broken = wanted.broken.get(key);
    if let Some(why) = broken {
        // What runs of it stays, so none of it is to be said to be unwanted.
        for status in workloads.values_mut() {
            status.phase = Phase::Failed;
            status.reasons = vec![why.clone()];
        }
    }
    let nothing = if revision.is_some() { Phase::Deployed } else { Phase::Undeployed };
    let worst = workloads.values().map(|status| status.phase).max();
    let phase = match broken {
        Some(_) => Phase::Failed,
        None => worst.unwrap_or(nothing),
    };
    let from = key.workload("");
    let of_scales = records.scales.range(from..).take_while(|(one, _)| AppKey::of(one) == *key);
    let of = of_scales.map(|(_, kept)| kept.revision).fold(kept.revision, u64::max);
    let gone = app.is_some_and(|app| app.deleted) && workloads.is_empty();
    (!gone).then_some(Status { revision, of, phase, workloads, at: now })
}

/// Whether they say the same, whenever.
pub(super) fn is_same(one: Option<&Status>, other: Option<&Status>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => *one == Status { at: one.at, ..other.clone() },
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Whether a status is to be written, or when.
pub(super) fn is_due(stored: Option<&Status>, status: &Status, now: Time) -> Result<bool, Time> {
    let Some(stored) = stored else { return Ok(true) };
    if is_same(Some(stored), Some(status)) {
        return Ok(false);
    }
    let same = Status { at: stored.at, ..status.clone() };
    let due = stored.at.after(SELDOM);
    if bare(&same) == bare(stored) && now >= stored.at && now < due {
        return Err(due);
    }
    Ok(true)
}

fn bare(status: &Status) -> Status {
    let mut bare = status.clone();
    bare.workloads.values_mut().for_each(|one| one.reasons.clear());
    bare
}
