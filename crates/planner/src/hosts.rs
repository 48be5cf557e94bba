//! The hosts as rows, with what is used of each, and which have which labels.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    bits::Bits,
    desired::{Constraint, Labels},
    id::{Id, Time},
    labels::LabelIndex,
    observed::{Host, Reach, Schedule},
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
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    rows: Vec<Row>,
    /// What observed instances and those started by this plan use.
    now: Vec<Resources>,
    /// What is used once the targets so far are met, and everything else stays as it is observed.
    planned: Vec<Resources>,
    /// Hosts whose `now` or `planned` is not what is observed there, each once.
    moved: Marks,
    /// By share of the capacity that is planned, as of the last [`Hosts::reorder`].
    order: BTreeSet<(u32, u32)>,
    shares: Vec<u32>,
    /// Hosts whose share may have changed since, each once.
    changed: Marks,
    labels: LabelIndex,
    /// Hosts that take instances.
    open: Bits,
    /// Hosts on which instances may be: not those that leave or are lost.
    usable: Bits,
    /// Those, and hosts that leave.
    staying: Bits,
    all: Bits,
    /// Hosts that are not heard of.
    unheard: BTreeSet<u32>,
    /// Hosts that leave.
    leaving: BTreeSet<u32>,
    /// Hosts on which more is used than they have.
    overfull: BTreeSet<u32>,
    grace: Duration,
}

/// What planning looks at of a host.
#[derive(Debug)]
struct Row {
    id: Id,
    capacity: Resources,
    schedule: Schedule,
    reach: Reach,
    standing: Standing,
    /// What observed instances use.
    used: Resources,
}

/// Some hosts, each once, in the order in which they were marked.
#[derive(Debug, Default)]
struct Marks {
    all: Vec<u32>,
    is_marked: Vec<bool>,
}

impl Marks {
    fn new(length: usize) -> Self {
        Self { all: Vec::new(), is_marked: vec![false; length] }
    }

    fn mark(&mut self, at: u32) {
        if !std::mem::replace(&mut self.is_marked[at as usize], true) {
            self.all.push(at);
        }
    }

    fn take(&mut self) -> Vec<u32> {
        let all = std::mem::take(&mut self.all);
        all.iter().for_each(|at| self.is_marked[*at as usize] = false);
        all
    }
}

impl Hosts {
    /// All of them, as they are observed.
    pub(crate) fn new(
        named: &BTreeSet<Id>,
        observed: &BTreeMap<Id, Host>,
        grace: Duration,
        now: Time,
    ) -> Self {
        let length = observed.len();
        let row = |(id, host): (&Id, &Host)| Row {
            id: id.clone(),
            capacity: host.capacity,
            schedule: host.schedule,
            reach: host.reach,
            standing: standing(host, grace, now),
            used: used(host),
        };
        let rows: Vec<Row> = observed.iter().map(row).collect();
        let used: Vec<Resources> = rows.iter().map(|row| row.used).collect();
        let shares: Vec<u32> = rows.iter().map(|row| row.used.share_of(row.capacity)).collect();
        let mut hosts = Self {
            order: shares.iter().copied().zip(0u32..).collect(),
            shares,
            moved: Marks::new(length),
            changed: Marks::new(length),
            labels: LabelIndex::new(named, observed.values()),
            now: used.clone(),
            planned: used,
            open: Bits::none(length),
            usable: Bits::none(length),
            staying: Bits::none(length),
            all: Bits::none(length),
            rows,
            grace,
            ..Self::default()
        };
        for at in 0..u32::try_from(length).unwrap_or(u32::MAX) {
            hosts.all.insert(at);
            hosts.stand(at);
        }
        hosts
    }

    /// Takes in what is observed of a host now. Whether it differs in more than what runs there.
    pub(crate) fn update(&mut self, at: u32, host: &Host, now: Time) -> bool {
        let before = &self.rows[at as usize];
        let row = Row {
            id: before.id.clone(),
            capacity: host.capacity,
            schedule: host.schedule,
            reach: host.reach,
            standing: standing(host, self.grace, now),
            used: used(host),
        };
        let shape = |row: &Row| (row.capacity, row.schedule, row.standing);
        let reshaped = shape(before) != shape(&row);
        self.now[at as usize] = row.used;
        self.planned[at as usize] = row.used;
        self.changed.mark(at);
        self.rows[at as usize] = row;
        self.stand(at);
        self.labels.update(at, host) || reshaped
    }

    /// Puts a host where its standing and its use say.
    fn stand(&mut self, at: u32) {
        let Row { reach, standing, used, capacity, .. } = self.rows[at as usize];
        self.open.set(at, standing == Standing::Open);
        self.usable.set(at, !matches!(standing, Standing::Leaving | Standing::Lost));
        self.staying.set(at, standing != Standing::Lost);
        let put = |set: &mut BTreeSet<u32>, is: bool| match is {
            true => drop(set.insert(at)),
            false => drop(set.remove(&at)),
        };
        put(&mut self.unheard, matches!(reach, Reach::Silent(_)));
        put(&mut self.leaving, standing == Standing::Leaving);
        // A sum that is the greatest number may be less than what it is of.
        let over = |used: u64, all: u64| used > all || used == u64::MAX;
        put(&mut self.overfull, over(used.memory, capacity.memory) || over(used.cpu, capacity.cpu));
    }

    /// Hosts whose standing is not what it is at this moment: they were silent, and are lost now.
    pub(crate) fn overdue(&self, now: Time) -> Vec<u32> {
        let is_overdue = |at: &u32| {
            let row = &self.rows[*at as usize];
            of_reach(row.reach, self.grace, now).is_some_and(|standing| standing != row.standing)
        };
        self.unheard.iter().copied().filter(is_overdue).collect()
    }

    /// Forgets what was planned.
    pub(crate) fn begin(&mut self) {
        for at in self.moved.take() {
            let used = self.rows[at as usize].used;
            self.now[at as usize] = used;
            self.planned[at as usize] = used;
            self.changed.mark(at);
        }
    }

    /// The values that a host has of the labels that rules name.
    pub(crate) fn named(&self, at: u32) -> impl Iterator<Item = (&Id, &Id)> {
        self.labels.of(at)
    }

    /// When the next silent host counts as lost.
    pub(crate) fn wake(&self) -> Option<Time> {
        self.unheard.iter().filter_map(|at| self.until(*at)).min()
    }

    /// Where a host is.
    pub(crate) fn place(&self, id: &Id) -> Option<u32> {
        let at = self.rows.binary_search_by(|row| row.id.cmp(id)).ok()?;
        u32::try_from(at).ok()
    }

    pub(crate) fn overfull(&self) -> impl Iterator<Item = u32> {
        self.overfull.iter().copied()
    }

    /// Hosts that were to be drained and are heard of.
    pub(crate) fn draining(&self) -> impl Iterator<Item = u32> {
        let draining = |at: &u32| self.rows[*at as usize].schedule == Schedule::Draining;
        self.leaving.iter().copied().filter(draining)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &Id> {
        self.rows.iter().map(|row| &row.id)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn id(&self, at: u32) -> &Id {
        &self.rows[at as usize].id
    }

    pub(crate) fn standing(&self, at: u32) -> Standing {
        self.rows[at as usize].standing
    }

    pub(crate) fn open(&self) -> &Bits {
        &self.open
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
        (self.planned[at as usize].share_of(self.rows[at as usize].capacity), at)
    }

    /// What is left once targets so far are met.
    pub(crate) fn free(&self, at: u32) -> Resources {
        self.rows[at as usize].capacity.minus(self.planned[at as usize])
    }

    /// What is left at this moment.
    pub(crate) fn free_now(&self, at: u32) -> Resources {
        self.rows[at as usize].capacity.minus(self.now[at as usize])
    }

    pub(crate) fn start(&mut self, at: u32, requests: Resources) {
        self.now[at as usize] = self.now[at as usize].plus(requests);
        self.moved.mark(at);
    }

    /// Changes what is planned of a host.
    pub(crate) fn change(&mut self, at: u32, less: Resources, more: Resources) {
        let planned = &mut self.planned[at as usize];
        *planned = planned.minus(less).plus(more);
        self.moved.mark(at);
        self.changed.mark(at);
    }

    /// Puts the hosts in order again, by how much of them is planned to be used.
    pub(crate) fn reorder(&mut self) {
        for at in self.changed.take() {
            let row = at as usize;
            let share = self.planned[row].share_of(self.rows[row].capacity);
            let before = std::mem::replace(&mut self.shares[row], share);
            if before != share {
                self.order.remove(&(before, at));
                self.order.insert((share, at));
            }
        }
    }

    /// Until when what runs on a host that is not heard of is taken to run.
    pub(crate) fn until(&self, at: u32) -> Option<Time> {
        match self.rows[at as usize].reach {
            Reach::Silent(since) if self.standing(at) == Standing::Silent => {
                Some(since.after(self.grace))
            }
            _ => None,
        }
    }

    /// The hosts with each value of a label that some rule names.
    pub(crate) fn values(&self, label: &str) -> impl Iterator<Item = (&Id, &Bits)> {
        self.labels.values(label)
    }

    /// The hosts with a value of a label.
    pub(crate) fn with(&self, label: &str, value: &str) -> Option<&Bits> {
        self.labels.with(label, value)
    }

    /// Leaves only hosts with these labels.
    pub(crate) fn keep_labelled(&self, wanted: &Labels, bits: &mut Bits) {
        for (label, value) in wanted {
            match self.labels.with(label, value) {
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

/// What may be done with a host at this moment.
fn standing(host: &Host, grace: Duration, now: Time) -> Standing {
    of_reach(host.reach, grace, now).unwrap_or(match host.schedule {
        Schedule::Open => Standing::Open,
        Schedule::Cordoned => Standing::Cordoned,
        Schedule::Draining | Schedule::Drained => Standing::Leaving,
    })
}

/// What may be done with a host that is not heard of.
fn of_reach(reach: Reach, grace: Duration, now: Time) -> Option<Standing> {
    match reach {
        Reach::Reachable => None,
        Reach::Silent(since) if now < since.after(grace) => Some(Standing::Silent),
        Reach::Silent(_) => Some(Standing::Lost),
    }
}

/// What instances use that a host runs.
fn used(host: &Host) -> Resources {
    host.placements.iter().fold(Resources::default(), |sum, placement| {
        sum.plus(placement.requests.times(placement.instances.into()))
    })
}
