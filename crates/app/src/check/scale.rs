//! How many instances, and where: what cannot be together.

use std::collections::HashSet;

use reef_document::{At, Diagnostic, Diagnostics};

use crate::{
    name::Name,
    scale::{Amount, Auto, Condition, Holds, Scale},
    text::Written,
    workload::Workload,
};

use super::placed;

/// The most instances of one workload.
const MOST: u32 = 1_000_000;

/// The most that a preference counts.
const MOST_WEIGHT: u32 = 100;

pub(super) fn check(workload: &Workload, found: &mut Diagnostics) {
    let (name, scale) = (&workload.name, &workload.scale);
    for count in scale.instances.iter().chain(&scale.daemon) {
        most(count, found);
    }
    if let Some(daemon) = &scale.daemon {
        let wrong = |what: &str, found: &mut Diagnostics| {
            let error = format!("`{name}` has both `daemon` and `{what}`");
            found.push(placed(Diagnostic::error(error), daemon).help(
                "a daemon has so many instances on each host that its labels allow: leave one of them out",
            ));
        };
        for (what, is_there) in [
            ("instances", scale.instances.is_some()),
            ("auto", scale.auto.is_some()),
            ("topology", scale.topology.is_some()),
        ] {
            if is_there {
                wrong(what, found);
            }
        }
    }
    spread(name, scale, found);
    for condition in &scale.require {
        self::condition(condition, found);
        if let Some(weight) = &condition.weight {
            let error = Diagnostic::error("what is required has no weight");
            found.push(placed(error, weight).help("leave it out, or move the line to `prefer`"));
        }
    }
    for condition in &scale.prefer {
        self::condition(condition, found);
        if let Some(weight) = &condition.weight
            && !(1..=MOST_WEIGHT).contains(&weight.value)
        {
            let error = format!("{} is no weight of a preference", weight.value);
            let help = format!("write a number from 1 to {MOST_WEIGHT}");
            found.push(placed(Diagnostic::error(error), weight).help(help));
        }
    }
    if let Some(topology) = &scale.topology {
        label(&topology.label, found);
        if let Some(skew) = topology.max_skew.as_ref().filter(|skew| skew.value == 0) {
            let error = Diagnostic::error("`max-skew` is 1 at least");
            found.push(placed(error, skew).help(
                "with 1, no domain has two more than another; nothing is more even than that",
            ));
        }
    }
    if let Some(none) = scale.per_host.as_ref().filter(|most| most.value == 0) {
        let error = format!("`{name}` may run on no host");
        found.push(
            placed(Diagnostic::error(error), none)
                .help("write `per-host = 1` or more, or `instances = 0` for none at all"),
        );
    }
    if let Some(amount) = &scale.max_unavailable {
        share(amount, found);
    }
    if let Some(auto) = &scale.auto {
        self::auto(name, scale, auto, found);
    }
}

/// A number of instances that are missing.
pub(super) fn share(amount: &At<Written<Amount>>, found: &mut Diagnostics) {
    if let Amount::Percent(percent) = amount.value.0
        && percent > 100
    {
        let error = format!("{percent}% of the instances cannot be missing");
        found.push(placed(Diagnostic::error(error), amount).help("write `100%` at most"));
    }
}

fn most(count: &At<u32>, found: &mut Diagnostics) {
    if count.value > MOST {
        let error = format!("{} instances are more than can be planned", count.value);
        let help = format!("write {MOST} at most");
        found.push(placed(Diagnostic::error(error), count).help(help));
    }
}

fn spread(name: &At<Name>, scale: &Scale, found: &mut Diagnostics) {
    let mut names = HashSet::new();
    for part in scale.spread.iter().filter_map(|part| part.name.as_ref()) {
        if !names.insert(part.as_str()) {
            let warning = format!("two parts of the spread of `{name}` are called `{part}`");
            let warning = placed(Diagnostic::warning(warning), part).label("the second");
            found.push(
                warning.help("give one of them another name, by which messages tell them apart"),
            );
        }
    }
    let weights: Vec<_> = scale.spread.iter().filter_map(|part| part.weight.as_ref()).collect();
    for weight in weights.iter().filter(|weight| weight.value > MOST) {
        let error = format!("{} is no weight of a part", weight.value);
        let help = format!("a part has its share of all weights together: write {MOST} at most");
        found.push(placed(Diagnostic::error(error), weight).help(help));
    }
    let nothing = weights.len() == scale.spread.len() && weights.iter().all(|one| one.value == 0);
    if let Some(first) = weights.first().filter(|_| nothing && scale.daemon.is_none()) {
        let error = format!("the parts of the spread of `{name}` weigh nothing together");
        found
            .push(placed(Diagnostic::error(error), first).help(
                "a part has its share of all weights together: give one of them more than 0",
            ));
    }
}

fn condition(condition: &Condition, found: &mut Diagnostics) {
    label(&condition.label, found);
    if condition.holds().is_none() {
        let error = format!("the condition on `{}` does not say one thing", condition.label);
        found.push(placed(Diagnostic::error(error), &condition.label).help(
            "write one of `in = [\"a\", \"b\"]`, `not-in = [\"a\"]`, `exists = true` and `exists = false`",
        ));
    }
    if let Some(Holds::In(values) | Holds::NotIn(values)) = condition.holds()
        && values.iter().collect::<HashSet<_>>().len() < values.len()
    {
        let warning = format!("the condition on `{}` has a value twice", condition.label);
        let warning = placed(Diagnostic::warning(warning), &condition.label);
        found.push(warning.help("leave one of them out"));
    }
}

fn label(label: &At<String>, found: &mut Diagnostics) {
    if label.is_empty() {
        let error = placed(Diagnostic::error("a label of hosts has a name"), label);
        found.push(error.help("hosts are started with `--label zone=a`: write `label = \"zone\"`"));
    }
}

fn auto(name: &At<Name>, scale: &Scale, auto: &Auto, found: &mut Diagnostics) {
    most(&auto.max, found);
    let least = auto.least();
    let place = auto.min.as_ref().unwrap_or(&auto.max);
    if least > auto.max.value {
        let error = format!("`{name}` has at least {least} instances, and at most {}", auto.max);
        let help = "let `min` be `max` or less, and `max` more than nothing";
        found.push(placed(Diagnostic::error(error), place).help(help));
    } else if auto.max.value == 0 {
        let error = format!("`{name}` has no instances at most");
        found.push(placed(Diagnostic::error(error), &auto.max).help("let `max` be 1 or more"));
    } else if let Some(first) = &scale.instances
        && !(least..=auto.max.value).contains(&first.value)
    {
        let error = format!("{first} instances are not between `min` and `max`");
        let help = "with `auto`, `instances` is how many there are at first: it may be left out";
        found.push(placed(Diagnostic::error(error), first).help(help));
    }
    match (&auto.min, &auto.scale_to_zero) {
        (Some(min), None) if min.value == 0 => {
            let error = Diagnostic::error("it is not said when there are to be no instances");
            let help = "add how long without work: `scale-to-zero = \"5m\"`; or let `min` be 1";
            found.push(placed(error, min).help(help));
        }
        (Some(min), Some(zero)) if min.value > 0 => {
            let error = format!("`{name}` has at least {min} instances, and none without work");
            let help = "leave out `min`, or `scale-to-zero`";
            found.push(placed(Diagnostic::error(error), zero).help(help));
        }
        _ => {}
    }
    if auto.target.target().is_none() {
        let error = Diagnostic::error("the target does not say one thing");
        found.push(placed(error, &auto.target).help(
            "write one of `{ concurrency = 10 }`, `{ queue-time = \"50ms\" }` and `{ metric = \"NAME\", value = 100 }`, each with more than nothing",
        ));
    }
}
