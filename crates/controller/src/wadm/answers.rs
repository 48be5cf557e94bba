//! How applications are, in wadm's words.

use reef_lattice::record::{App, Head, WorkloadStatus};
use reef_planner::Phase;
use serde_json::{Value, json};

use crate::core::{AppKey, Core, Kept, word};

/// An application in a list.
pub(super) fn summary(core: &Core, key: &AppKey, kept: &Kept<App>) -> Option<Value> {
    let app = kept.get().filter(|app| !app.deleted)?;
    let last = app.revisions.last()?;
    let deployed = app.revisions.iter().find(|head| app.wanted == Some(head.number));
    let status = status(core, key);
    Some(json!({
        "name": &*key.app,
        "version": last.name(),
        "description": last.description,
        "deployed_version": deployed.map(Head::name),
        "status": status["status"]["type"],
        "status_message": status["status"]["message"],
        "detailed_status": status,
    }))
}

/// How an application is. What no controller has looked at since it was changed is said to be on its way.
pub(super) fn status(core: &Core, key: &AppKey) -> Value {
    let records = core.records();
    let of = records.apps.get(key).map_or(0, |kept| kept.revision);
    let wanted = records.apps.get(key).and_then(Kept::get).and_then(|app| app.wanted);
    let known = records.statuses.get(key).and_then(Kept::get).filter(|known| known.of >= of);
    let Some(known) = known else {
        let is = if wanted.is_some() { Phase::Reconciling } else { Phase::Undeployed };
        return json!({ "status": info(is, ""), "scalers": [], "version": "", "components": [] });
    };
    let scalers: Vec<_> = known.workloads.iter().map(|(name, one)| scaler(name, one)).collect();
    let reasons: Vec<_> =
        known.workloads.values().flat_map(|one| &one.reasons).map(String::as_str).collect();
    json!({
        "status": info(known.phase, &reasons.join("; ")),
        "scalers": scalers,
        "version": "",
        "components": [],
    })
}

fn scaler(name: &str, status: &WorkloadStatus) -> Value {
    json!({
        "id": name,
        "kind": "SpreadScaler",
        "name": name,
        "status": info(status.phase, &status.reasons.join("; ")),
    })
}

/// The words are wadm's own.
fn info(phase: Phase, message: &str) -> Value {
    json!({ "type": word(phase), "message": message })
}
