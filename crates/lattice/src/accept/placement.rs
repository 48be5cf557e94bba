//! From a manifest's words on instances to the planner's.

use std::time::Duration;

use reef_app::{Condition, Holds, Limits, Packing, Rollout, Scale, Strategy, Workload};
use reef_document::{At, Diagnostic, Diagnostics};
use reef_planner::{
    self as planner, Amount, CanaryStep, Constraint, Gates, Id, MOST_INSTANCES, Resources,
    Revision, Rules, Spread, Topology,
};

/// The share of a part of a spread that says none: as wadm has it.
const WEIGHT: u32 = 100;

/// How much a preference counts that does not say.
const PREFERENCE: u32 = 1;

/// What the planner has to know of a workload. What is wrong is added to `found`: then there is none.
pub(super) fn workload(
    workload: &Workload,
    revision: Revision,
    found: &mut Diagnostics,
) -> Option<planner::Workload> {
    let described = &workload.scale;
    let scale = scale(workload, found)?;
    let rules = rules(described, found)?;
    let mut planned = planner::Workload::new(revision, scale);
    planned.rules = rules;
    planned.rollout = workload.rollout.as_ref().map(rollout).unwrap_or_default();
    planned.max_unavailable = described.max_unavailable.as_ref().map(|most| amount(most.value.0));
    planned.priority = described.priority;
    Some(planned)
}

/// What one instance asks for: what it is limited to. Without a limit it asks for nothing, and any host has room.
pub(super) fn requests(limits: &Limits) -> Resources {
    let memory = limits.memory.map_or(0, |memory| memory.0.0);
    let thousandths = limits.cpu.map_or(0.0, |cpu| (cpu.0.cores() * 1000.0).ceil());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; a share is more than 0"
    )]
    let cpu = thousandths as u64;
    Resources::new(memory, cpu)
}

fn scale(workload: &Workload, found: &mut Diagnostics) -> Option<planner::Scale> {
    let scale = &workload.scale;
    if let Some(daemon) = &scale.daemon {
        return count(daemon, found).map(planner::Scale::Daemon);
    }
    let instances = match (&scale.instances, &scale.auto) {
        (Some(instances), _) => count(instances, found)?,
        // Even where there may be none: an artifact that does not start shows it now.
        (None, Some(auto)) => auto.least().max(1).min(count(&auto.max, found)?),
        (None, None) => 1,
    };
    Some(planner::Scale::Instances(instances))
}

fn count(count: &At<u32>, found: &mut Diagnostics) -> Option<u32> {
    if count.value <= MOST_INSTANCES {
        return Some(count.value);
    }
    let error = format!("{count} instances are more than can be planned");
    found.push(placed(error, count).help(format!("write {MOST_INSTANCES} at most")));
    None
}

fn rules(scale: &Scale, found: &mut Diagnostics) -> Option<Rules> {
    let mut constraints = |conditions: &[Condition]| -> Option<Vec<Constraint>> {
        conditions.iter().map(|condition| constraint(condition, found)).collect()
    };
    let required = constraints(&scale.require)?;
    let preferred = constraints(&scale.prefer)?;
    let weights = scale.prefer.iter().map(|condition| weight(&condition.weight, PREFERENCE));
    let spread = scale.spread.iter().enumerate().map(|(at, part)| Spread {
        name: part.name.as_ref().map_or_else(|| (at + 1).to_string().into(), id),
        requirements: part
            .labels
            .iter()
            .map(|(label, value)| (label.into(), value.into()))
            .collect(),
        weight: weight(&part.weight, WEIGHT),
    });
    Some(Rules {
        spread: spread.collect(),
        required,
        preferred: preferred.into_iter().zip(weights).collect(),
        topology: scale.topology.as_ref().map(|topology| Topology {
            label: id(&topology.label),
            max_skew: weight(&topology.max_skew, 1).max(1),
            required: topology.required,
        }),
        per_host: scale.per_host.as_ref().map(|most| most.value),
        packing: match scale.packing {
            Packing::Even => planner::Packing::Even,
            Packing::BinPack => planner::Packing::BinPack,
        },
    })
}

fn constraint(condition: &Condition, found: &mut Diagnostics) -> Option<Constraint> {
    let label = id(&condition.label);
    let ids = |values: &[String]| values.iter().map(Id::from).collect();
    let Some(holds) = condition.holds() else {
        let error = format!("the condition on `{label}` does not say one thing");
        let help = "write one of `in`, `not-in` and `exists`";
        found.push(placed(error, &condition.label).help(help));
        return None;
    };
    Some(match holds {
        Holds::In(values) => Constraint::In(label, ids(values)),
        Holds::NotIn(values) => Constraint::NotIn(label, ids(values)),
        Holds::Exists => Constraint::Exists(label),
        Holds::Missing => Constraint::Missing(label),
    })
}

fn rollout(rollout: &Rollout) -> planner::Rollout {
    let amount = |said: &Option<At<reef_app::Written<reef_app::Amount>>>, default: Amount| {
        said.as_ref().map_or(default, |said| self::amount(said.value.0))
    };
    let strategy = match rollout.strategy() {
        Strategy::AllAtOnce => planner::Strategy::AllAtOnce,
        Strategy::Rolling => planner::Strategy::Rolling {
            max_unavailable: amount(&rollout.max_unavailable, Amount::Count(0)),
            max_surge: amount(&rollout.max_surge, Amount::Percent(25)),
        },
        Strategy::BlueGreen => planner::Strategy::BlueGreen {
            hold: rollout.hold.as_ref().map_or(Duration::ZERO, |hold| hold.value.0),
        },
        Strategy::Canary => planner::Strategy::Canary {
            steps: rollout
                .steps
                .iter()
                .map(|step| CanaryStep { weight: step.weight.value, hold: step.hold.0 })
                .collect(),
        },
    };
    let gates = rollout.gates.as_ref().map(|gates| Gates {
        max_errors_per_million: gates.max_error_rate.map(|rate| rate.0.millionths()),
        // A part of a millisecond is one: nothing would be a gate that nothing passes.
        max_latency_ms: gates.max_latency.map(|latency| {
            u64::try_from(latency.0.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
        }),
        max_traps: gates.max_traps,
        min_requests: gates.min_requests.unwrap_or_default(),
    });
    planner::Rollout {
        strategy,
        gates: gates.unwrap_or_default(),
        deadline: rollout.deadline.map(|deadline| deadline.0),
    }
}

fn amount(amount: reef_app::Amount) -> Amount {
    match amount {
        reef_app::Amount::Count(count) => Amount::Count(count),
        reef_app::Amount::Percent(percent) => Amount::Percent(percent),
    }
}

fn weight(said: &Option<At<u32>>, default: u32) -> u32 {
    said.as_ref().map_or(default, |said| said.value)
}

fn id(text: &At<String>) -> Id {
    Id::from(&text.value)
}

fn placed<T>(error: String, place: &At<T>) -> Diagnostic {
    let error = Diagnostic::error(error);
    match place.span() {
        Some(span) => error.at(span),
        None => error,
    }
}
