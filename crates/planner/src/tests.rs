//! What the planner does, on lattices small enough to see it.

mod again;
mod placement;
mod properties;
mod rollouts;
mod scenario;
mod shares;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Constraint, Desired, Host, Id, Observed, Phase, Placement, Plan, Resources, Revision, Rules,
    Scale, Spread, Status, Time, Topology, Workload, WorkloadKey,
};

const MIB: u64 = 1 << 20;
const NOW: Time = Time(1_000_000);

fn key(workload: &str) -> WorkloadKey {
    WorkloadKey::new("default", "shop", workload)
}

fn revision(number: u64) -> Revision {
    let requests = Resources::new(64 * MIB, 100);
    Revision { number, digest: format!("sha256:{number}").into(), requests }
}

fn workload(instances: u32, rules: Rules) -> Workload {
    Workload { rules, ..Workload::new(revision(1), Scale::Instances(instances)) }
}

fn desired(workload: Workload) -> Desired {
    Desired { workloads: BTreeMap::from([(key("web"), workload)]), ..Desired::default() }
}

/// Labels written as `zone=a cloud=real`.
fn labels(text: &str) -> BTreeMap<Id, Id> {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(label, value)| (label.into(), value.into())).collect()
}

fn part(name: &str, requirements: &str, weight: u32) -> Spread {
    Spread { name: name.into(), requirements: labels(requirements), weight }
}

fn one_of(label: &str, values: &[&str]) -> Constraint {
    let values: BTreeSet<Id> = values.iter().map(Id::from).collect();
    Constraint::In(label.into(), values)
}

fn zones(max_skew: u32, required: bool) -> Option<Topology> {
    Some(Topology { label: "zone".into(), max_skew, required })
}

/// Hosts with room for twenty instances each, by id and labels.
fn hosts(all: &[(&str, &str)]) -> Observed {
    let host = |(id, text): &(&str, &str)| {
        let capacity = Resources::new(20 * 64 * MIB, 2000);
        (Id::from(id), Host { name: id.into(), labels: labels(text), capacity, ..Host::default() })
    };
    Observed { hosts: all.iter().map(host).collect(), ..Observed::default() }
}

/// Does at once all that a plan says should be in the end, and makes it ready.
fn reach(observed: &mut Observed, plan: &Plan) {
    observed.hosts.values_mut().for_each(|host| host.placements.clear());
    for (workload, status) in &plan.workloads {
        for target in &status.targets {
            let placement = Placement {
                workload: workload.clone(),
                revision: target.revision,
                instances: target.instances,
                ready: target.instances,
                requests: Resources::new(64 * MIB, 100),
            };
            if let Some(host) = observed.hosts.get_mut(&target.host) {
                host.placements.push(placement);
            }
        }
    }
}

fn web(plan: &Plan) -> &Status {
    &plan.workloads[&key("web")]
}

/// Where `web` is to be: `a:3 b:3`.
fn targets(plan: &Plan) -> String {
    let targets = web(plan).targets.iter();
    targets.map(|one| format!("{}:{}", one.host, one.instances)).collect::<Vec<_>>().join(" ")
}

/// What is to be done, a line each.
fn actions(plan: &Plan) -> Vec<String> {
    let short = |line: String| line.replace("default/shop/", "");
    plan.actions.iter().map(|action| short(action.to_string())).collect()
}

fn reasons(plan: &Plan) -> String {
    web(plan).reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn assert_deployed(plan: &Plan) {
    assert_eq!(actions(plan), Vec::<String>::new());
    assert_eq!(web(plan).phase, Phase::Deployed, "{plan:#?}");
}
