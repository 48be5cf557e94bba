//! Which hosts have which values of the labels that rules name.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    bits::Bits,
    desired::{Constraint, Workload},
    id::Id,
    observed::Host,
};

/// Which hosts have which values of the labels that rules name.
#[derive(Debug, Default)]
pub(crate) struct LabelIndex {
    hosts: usize,
    labels: BTreeMap<Id, Label>,
}

#[derive(Debug)]
struct Label {
    /// The hosts with each value.
    values: BTreeMap<Id, Bits>,
    /// The value of each host.
    of: Vec<Option<Id>>,
}

impl LabelIndex {
    /// Of some hosts, for these labels.
    pub(crate) fn new<'a>(named: &BTreeSet<Id>, hosts: impl Iterator<Item = &'a Host>) -> Self {
        let hosts: Vec<&Host> = hosts.collect();
        let label = |name: &Id| {
            let of: Vec<_> = hosts.iter().map(|host| host.labels.get(name).cloned()).collect();
            let mut values: BTreeMap<Id, Bits> = BTreeMap::new();
            for (at, value) in (0u32..).zip(&of) {
                if let Some(value) = value {
                    let none = || Bits::none(hosts.len());
                    values.entry(value.clone()).or_insert_with(none).insert(at);
                }
            }
            (name.clone(), Label { values, of })
        };
        Self { hosts: hosts.len(), labels: named.iter().map(label).collect() }
    }

    /// Takes in the labels of a host. Whether one of those that rules name is another one.
    pub(crate) fn update(&mut self, at: u32, host: &Host) -> bool {
        let mut changed = false;
        for (name, label) in &mut self.labels {
            let is = host.labels.get(name);
            let known = &mut label.of[at as usize];
            if known.as_ref() == is {
                continue;
            }
            changed = true;
            if let Some(bits) = known.as_ref().and_then(|value| label.values.get_mut(value)) {
                bits.set(at, false);
            }
            if let Some(value) = is {
                let none = || Bits::none(self.hosts);
                label.values.entry(value.clone()).or_insert_with(none).insert(at);
            }
            *known = is.cloned();
        }
        changed
    }

    /// The labels of a host, and their values.
    pub(crate) fn of(&self, at: u32) -> impl Iterator<Item = (&Id, &Id)> {
        let at = at as usize;
        self.labels.iter().filter_map(move |(name, label)| Some((name, label.of[at].as_ref()?)))
    }

    /// The hosts with each value of a label.
    pub(crate) fn values(&self, label: &str) -> impl Iterator<Item = (&Id, &Bits)> {
        self.labels.get(label).into_iter().flat_map(|label| &label.values)
    }

    /// The hosts with a value of a label.
    pub(crate) fn with(&self, label: &str, value: &str) -> Option<&Bits> {
        self.labels.get(label)?.values.get(value)
    }
}

/// The labels that the rules of a workload name.
pub(crate) fn named(workload: &Workload) -> impl Iterator<Item = &Id> {
    let rules = &workload.rules;
    let constraints = rules.required.iter().chain(rules.preferred.iter().map(|(one, _)| one));
    let constrained = constraints.map(Constraint::label);
    let spread = rules.spread.iter().flat_map(|spread| spread.requirements.keys());
    let topology = rules.topology.iter().map(|topology| &topology.label);
    constrained.chain(spread).chain(topology)
}

impl Constraint {
    fn label(&self) -> &Id {
        match self {
            Self::In(label, _)
            | Self::NotIn(label, _)
            | Self::Exists(label)
            | Self::Missing(label) => label,
        }
    }
}
