//! What would be done, in words.

use std::collections::BTreeMap;

use reef_lattice::record::{App, Revision};
use reef_planner::{Action, Id, Observed, Strategy, Time, plan as planned};

use crate::core::{AppKey, Core, Wanted};

/// What would be wanted, beside what there is.
pub(super) struct Planned {
    pub(super) wanted: Wanted,
    observed: Observed,
    key: AppKey,
}

/// What would be wanted if a revision were accepted.
pub(super) fn plan(core: &Core, key: &AppKey, app: &App, record: &Revision) -> Planned {
    let wanted = core.wanted_with(key, app, record);
    Planned { wanted, observed: core.observed().clone(), key: key.clone() }
}

impl Planned {
    /// What is done first, where everything is to be, and why not more.
    pub(super) fn words(&self, now: Time) -> Vec<String> {
        let plan = planned(&self.wanted.desired, &self.observed, now);
        let host = |id: &Id| match self.observed.hosts.get(id) {
            Some(host) => host.name.to_string(),
            None => id.to_string(),
        };
        let mut words = Vec::new();
        for action in &plan.actions {
            let Action::Scale { host: id, workload, revision, from, to } = action else { continue };
            let name = match AppKey::of(workload) == self.key {
                true => workload.workload.to_string(),
                false => workload.to_string(),
            };
            words.push(match to > from {
                true => {
                    format!("start {} of {name} (revision {revision}) on {}", to - from, host(id))
                }
                false => {
                    format!("stop {} of {name} (revision {revision}) on {}", from - to, host(id))
                }
            });
        }
        for (workload, status) in &plan.workloads {
            if AppKey::of(workload) != self.key {
                continue;
            }
            let name = &workload.workload;
            let wanted = self.wanted.desired.workloads.get(workload);
            if let Some(wanted) = wanted
                && let Some(before) = &wanted.previous
            {
                let way = match &wanted.rollout.strategy {
                    Strategy::AllAtOnce => "all at once".to_owned(),
                    Strategy::Rolling { .. } => "a few at a time".to_owned(),
                    Strategy::BlueGreen { .. } => "all beside the old ones first".to_owned(),
                    Strategy::Canary { steps } => {
                        let steps: Vec<_> =
                            steps.iter().map(|step| format!("{}%", step.weight)).collect();
                        format!("with {} of the traffic", steps.join(", then "))
                    }
                };
                let (from, to) = (before.number, wanted.revision.number);
                words.push(format!("roll out {name} from revision {from} to {to}, {way}"));
            }
            let mut targets: BTreeMap<String, u32> = BTreeMap::new();
            for target in &status.targets {
                *targets.entry(host(&target.host)).or_default() += target.instances;
            }
            if !targets.is_empty() {
                let all: Vec<_> =
                    targets.iter().map(|(host, count)| format!("{count} on {host}")).collect();
                words.push(format!("then {name} runs: {}", all.join(", ")));
            }
            words.extend(status.reasons.iter().map(|reason| format!("{name}: {reason}")));
        }
        words
    }
}
