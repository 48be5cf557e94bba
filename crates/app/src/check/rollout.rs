//! How one revision gives way to the next: fields that belong to another strategy, and steps that are none.

use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    rollout::{Rollout, Strategy},
    workload::Workload,
};

use super::{placed, scale};

/// The most steps of a canary.
const MOST_STEPS: usize = 100;

pub(super) fn check(workload: &Workload, found: &mut Diagnostics) {
    let Some(rollout) = &workload.rollout else { return };
    let is = rollout.strategy();
    belongs(rollout, is, found);
    if let Some(amount) = &rollout.max_unavailable {
        scale::share(amount, found);
        let surge = rollout.max_surge.as_ref();
        if amount.is_nothing() && surge.is_some_and(|surge| surge.is_nothing()) {
            let error = Diagnostic::error("no instance may be missing, and none be beyond");
            let help = "a rollout that changes anything needs one of them to be 1 or more";
            found.push(placed(error, amount).help(help));
        }
    }
    if let (Strategy::Canary, Some(strategy)) = (is, &rollout.strategy) {
        steps(rollout, strategy, found);
    }
    if let (Strategy::Canary | Strategy::BlueGreen, Some(strategy), Some(_)) =
        (is, &rollout.strategy, &workload.scale.daemon)
    {
        let warning = format!("the daemon `{}` is rolled out a few at a time", workload.name);
        let help = "a host has the old instances of a daemon or the new: write `rolling`";
        found.push(placed(Diagnostic::warning(warning), strategy).help(help));
    }
    let Some(gates) = &rollout.gates else { return };
    if let Some(percentile) = &gates.percentile {
        if !(percentile.value > 0.0 && percentile.value < 100.0) {
            let error = format!("{} is no percentile", percentile.value);
            let help = "it is more than 0 and less than 100: `99`, `99.9`";
            found.push(placed(Diagnostic::error(error), percentile).help(help));
        } else if gates.max_latency.is_none() {
            let error = Diagnostic::error("there is no latency that the percentile is of");
            found.push(placed(error, percentile).help("add `max-latency = \"250ms\"`"));
        }
    }
}

/// Each field is of one strategy.
fn belongs(rollout: &Rollout, is: Strategy, found: &mut Diagnostics) {
    let fields = [
        ("max-unavailable", rollout.max_unavailable.as_ref().map(At::span), Strategy::Rolling),
        ("max-surge", rollout.max_surge.as_ref().map(At::span), Strategy::Rolling),
        ("hold", rollout.hold.as_ref().map(At::span), Strategy::BlueGreen),
        ("steps", rollout.steps.first().map(|step| step.weight.span()), Strategy::Canary),
    ];
    for (field, place, of) in fields {
        let Some(place) = place.filter(|_| is != of) else { continue };
        let error = format!("`{field}` is of the strategy `{}`, not of `{}`", name(of), name(is));
        let error = Diagnostic::error(error);
        let error = place.map_or(error.clone(), |span| error.at(span));
        let help = format!("write `strategy = \"{}\"`, or leave `{field}` out", name(of));
        found.push(error.help(help));
    }
}

fn steps(rollout: &Rollout, strategy: &At<Strategy>, found: &mut Diagnostics) {
    if rollout.steps.is_empty() || rollout.steps.len() > MOST_STEPS {
        let error = match rollout.steps.is_empty() {
            true => "a canary has steps".to_owned(),
            false => format!("a canary has {MOST_STEPS} steps at most"),
        };
        found.push(placed(Diagnostic::error(error), strategy).help(
            "write `steps = [{ weight = 5, hold = \"5m\" }, { weight = 50, hold = \"5m\" }]`",
        ));
    }
    let mut before = 0;
    for step in &rollout.steps {
        let weight = step.weight.value;
        if !(1..=100).contains(&weight) {
            let error = format!("{weight} is no share of the traffic");
            let error = placed(Diagnostic::error(error), &step.weight);
            found.push(error.help("it is in percent, from 1 to 100"));
            continue;
        }
        if weight <= before {
            let error = format!("the steps do not rise: {weight} comes after {before}");
            let error = placed(Diagnostic::error(error), &step.weight);
            found.push(error.help("each step has more of the traffic than the one before"));
        }
        before = weight;
    }
}

fn name(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::AllAtOnce => "all-at-once",
        Strategy::Rolling => "rolling",
        Strategy::BlueGreen => "blue-green",
        Strategy::Canary => "canary",
    }
}
