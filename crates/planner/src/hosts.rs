//! The hosts as rows, with what is used of each, and which have which labels.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    bits::Bits,
    desired::{Constraint, Desired, Labels},
    id::{Id, Time},
    observed::{Host, Observed, Reach, Schedule},
    resources::Resources,
};

/// What may be done with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It takes instances.
    Open,
    /// It takes nothing new.
    Cordoned,
    /// It takes nothing, and what runs leaves.
    Leaving,
    /// It is not heard of; what ran is taken to run.
    Silent,
    /// It is not heard of for too long.
    Lost,
}

/// The hosts, by their place in the order of their ids.
#[derive(Debug)]
pub(crate) struct Hosts<'a> {
    rows: Vec<(&'a Id, &'a Host)>,
    standing: Vec<Standing>,
    /// What observed instances and those started by this plan use.
    now: Vec<Resources>,
    /// What is used once the targets so far are met, and everything else stays as it is observed.
    planned: Vec<Resources>,
    /// By share of the capacity that is planned, as of the last [`Hosts::reorder`].
    order: BTreeSet<(u32, u32)>,
    shares: Vec<u32>,
    /// Hosts whose share may have changed since, each once.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
    /// For labels that some rule names: the hosts with each value.
    labels: BTreeMap<&'a str, BTreeMap<&'a str, Bits>>,
    /// Hosts on which instances may be: not those that leave or are lost.
    usable: Bits,
    /// Those, and hosts that leave.
    staying: Bits,
    all: Bits,
    grace: Duration,
    /// When the next silent host counts as lost.
    pub(crate) wake: Option<Time>,
}

impl<'a> Hosts<'a> {
    pub(crate) fn new(desired: &'a Desired, observed: &'a Observed, now: Time) -> Self {
        let rows: Vec<_> = observed.hosts.iter().collect();
        let mut wake: Option<Time> = None;
        let mut standing = Vec::with_capacity(rows.len());
        let mut used = Vec::with_capacity(rows.len());
        for (_, host) in &rows {
            let one = match (host.reach, host.schedule) {
                (Reach::Silent(since), _) => {
                    let until = since.after(desired.policy.grace);
                    if now < until {
                        wake = Some(wake.map_or(until, |earlier| earlier.min(until)));
                        Standing::Silent
                    } else {
                        Standing::Lost
                    }
                }
                (_, Schedule::Open) => Standing::Open,
                (_, Schedule::Cordoned) => Standing::Cordoned,
                (_, Schedule::Draining | Schedule::Drained) => Standing::Leaving,
            };
            standing.push(one);
            used.push(host.placements.iter().fold(Resources::default(), |sum, placement| {
                sum.plus(placement.requests.times(placement.instances.into()))
            }));
        }
        let at_all = |test: &dyn Fn(Standing) -> bool| {
            let mut bits = Bits::none(rows.len());
            (0u32..)
                .zip(&standing)
                .filter(|(_, one)| test(**one))
                .for_each(|(at, _)| bits.insert(at));
            bits
        };
        let usable = at_all(&|one| !matches!(one, Standing::Leaving | Standing::Lost));
        let staying = at_all(&|one| one != Standing::Lost);
        let all = at_all(&|_| true);
        let share = |(used, (_, host)): (&Resources, &(_, &Host))| used.share_of(host.capacity);
        let shares: Vec<u32> = used.iter().zip(&rows).map(share).collect();
        Self {
            order: shares.iter().copied().zip(0u32..).collect(),
            shares,
            changed: Vec::new(),
            is_changed: vec![false; rows.len()],
            labels: labels(desired, &rows),
            now: used.clone(),
            planned: used,
            rows,
            standing,
            usable,
            staying,
            all,
            grace: desired.policy.grace,
            wake,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn id(&self, at: u32) -> &'a Id {
        self.rows[at as usize].0
    }

    pub(crate) fn host(&self, at: u32) -> &'a Host {
        self.rows[at as usize].1
    }

    pub(crate) fn standing(&self, at: u32) -> Standing {
        self.standing[at as usize]
    }

    pub(crate) fn usable(&self) -> &Bits {
        &self.usable
    }

    pub(crate) fn staying(&self) -> &Bits {
        &self.staying
    }

    pub(crate) fn all(&self) -> &Bits {
        &self.all
    }

    /// The hosts by how much of them was planned to be used when they were last put in order, the least first.
    pub(crate) fn by_use(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.order.iter().map(|(_, at)| *at)
    }

    /// What sorts hosts by that, as it is now.
    pub(crate) fn use_of(&self, at: u32) -> (u32, u32) {
        (self.planned[at as usize].share_of(self.host(at).capacity), at)
    }

    /// What is left once targets so far are met.
    pub(crate) fn free(&self, at: u32) -> Resources {
        self.host(at).capacity.minus(self.planned[at as usize])
    }

    /// What is left at this moment.
    pub(crate) fn free_now(&self, at: u32) -> Resources {
        self.host(at).capacity.minus(self.now[at as usize])
    }

    pub(crate) fn start(&mut self, at: u32, requests: Resources) {
        self.now[at as usize] = self.now[at as usize].plus(requests);
    }

    /// Changes what is planned of a host.
    pub(crate) fn change(&mut self, at: u32, less: Resources, more: Resources) {
        let planned = &mut self.planned[at as usize];
        *planned = planned.minus(less).plus(more);
        if !std::mem::replace(&mut self.is_changed[at as usize], true) {
            self.changed.push(at);
        }
    }

    /// Puts the hosts in order again, by how much of them is planned to be used.
    pub(crate) fn reorder(&mut self) {
        for at in std::mem::take(&mut self.changed) {
            let row = at as usize;
            self.is_changed[row] = false;
            let share = self.planned[row].share_of(self.rows[row].1.capacity);
            let before = std::mem::replace(&mut self.shares[row], share);
            if before != share {
                self.order.remove(&(before, at));
                self.order.insert((share, at));
            }
        }
    }

    /// Until when what runs on a host that is not heard of is taken to run.
    pub(crate) fn until(&self, at: u32) -> Option<Time> {
        match self.host(at).reach {
            Reach::Silent(since) if self.standing(at) == Standing::Silent => {
                Some(since.after(self.grace))
            }
            _ => None,
        }
    }

    /// The hosts with each value of a label that some rule names.
    pub(crate) fn values(&self, label: &str) -> impl Iterator<Item = (&'a str, &Bits)> {
        self.labels.get(label).into_iter().flatten().map(|(value, bits)| (*value, bits))
    }

    /// Leaves only hosts with these labels.
    pub(crate) fn keep_labelled(&self, wanted: &Labels, bits: &mut Bits) {
        for (label, value) in wanted {
            match self.labels.get(&**label).and_then(|values| values.get(&**value)) {
                Some(with) => bits.intersect(with),
                None => bits.clear(),
            }
        }
    }

    /// The hosts that satisfy a constraint.
    pub(crate) fn satisfying(&self, constraint: &Constraint) -> Bits {
        let mut with = Bits::none(self.len());
        let (label, values, negated) = match constraint {
            Constraint::In(label, values) => (label, Some(values), false),
            Constraint::NotIn(label, values) => (label, Some(values), true),
            Constraint::Exists(label) => (label, None, false),
            Constraint::Missing(label) => (label, None, true),
        };
        for (value, bits) in self.values(label) {
            if values.is_none_or(|values| values.contains(value)) {
                with.unite(bits);
            }
        }
        if negated {
            let mut without = self.all.clone();
            without.subtract(&with);
            return without;
        }
        with
    }
}

/// Which hosts have which values of the labels that rules name.
fn labels<'a>(
    desired: &'a Desired,
    rows: &[(&'a Id, &'a Host)],
) -> BTreeMap<&'a str, BTreeMap<&'a str, Bits>> {
    let mut named: BTreeMap<&str, BTreeMap<&str, Bits>> = BTreeMap::new();
    for workload in desired.workloads.values() {
        let rules = &workload.rules;
        let constraints = rules.required.iter().chain(rules.preferred.iter().map(|(one, _)| one));
        let constrained = constraints.map(Constraint::label);
        let spread = rules.spread.iter().flat_map(|spread| spread.requirements.keys());
        let topology = rules.topology.iter().map(|topology| &topology.label);
        for label in constrained.chain(spread).chain(topology) {
            named.entry(label).or_default();
        }
    }
    for (label, values) in &mut named {
        for (at, (_, host)) in (0u32..).zip(rows) {
            if let Some(value) = host.labels.get(*label) {
                values.entry(value).or_insert_with(|| Bits::none(rows.len())).insert(at);
            }
        }
    }
    named
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
