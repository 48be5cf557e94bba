//! Planning: all workloads, one after the other; and again, only those that would be planned otherwise.
//!
//! A workload rests, once it runs as it is wanted. Planning it takes nothing from hosts and gives them nothing, so
//! others are planned as if it were not looked at. It stays where it is, unless it is itself wanted otherwise, a host
//! where it runs changes or has less than is used there, or its rules look at other hosts: those of a daemon do, and a
//! topology that must hold, where a failure domain gains its first host or loses its last one.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    bits::Bits,
    cells::allowed,
    converge::Live,
    daemon,
    desired::{Desired, MOST_INSTANCES, Policy, Quota, Scale, Workload},
    entries::{Entries, turn},
    hosts::{Hosts, Standing},
    id::{Id, Time, WorkloadKey},
    labels::named,
    observed::{Host, Observed},
    plan::{Action, Plan},
    quota::{self, Claim},
    reason::Reason,
    workload::{ask, one, running, undeploy},
};

/// What is to be done next to come from what is there to what is wanted.
///
/// The same input has the same plan; every input has one. `now` is on the clock of `observed`.
pub fn plan(desired: &Desired, observed: &Observed, now: Time) -> Plan {
    let mut planner = Planner::default();
    planner.plan(desired, observed, &Changed { all: true, ..Changed::default() }, now);
    planner.plan
}

/// What is not as it was when there was last a plan. More than that does no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Whatever there is.
    pub all: bool,
    /// Hosts that are new, gone, or observed to be otherwise.
    pub hosts: BTreeSet<Id>,
    /// Workloads that are new, gone, wanted otherwise, or of which something else is observed than where they run.
    pub workloads: BTreeSet<WorkloadKey>,
}

/// Plans again and again, each time as [`plan`] would, in a time that goes with what changed.
#[derive(Debug, Default)]
pub struct Planner {
    begun: bool,
    policy: Policy,
    quotas: BTreeMap<Id, Quota>,
    hosts: Hosts,
    named: BTreeSet<Id>,
    entries: Entries,
    /// The workloads of which something is on a host, by host.
    here: Vec<Vec<u32>>,
    /// Workloads that are to be planned.
    restless: BTreeSet<u32>,
    /// Those that are planned by looking at all hosts: daemons, and those with a topology that must hold.
    daemons: BTreeSet<u32>,
    balanced: BTreeSet<u32>,
    plan: Plan,
    planned: Vec<WorkloadKey>,
}

/// Hosts that changed in more than what runs there.
#[derive(Debug, Default)]
struct Reshaped {
    hosts: Vec<u32>,
    /// Values of labels that they have or had.
    values: BTreeSet<(Id, Id)>,
}

impl Planner {
    /// What is to be done next. `changed` is what is not as it was the last time; the first time, everything.
    pub fn plan(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        changed: &Changed,
        now: Time,
    ) -> &Plan {
        let same = self.policy == desired.policy && self.quotas == desired.quotas;
        if !self.begun || changed.all || !same {
            self.begin(desired, observed, now);
        } else {
            self.update(desired, observed, changed, now);
        }
        self.plan.actions.clear();
        self.plan.wake = self.hosts.wake();
        self.planned.clear();
        let mut restless: Vec<u32> = self.restless.iter().copied().collect();
        self.entries.sort(&mut restless);
        for at in restless {
            self.one(desired, observed, now, at);
        }
        for at in self.hosts.draining() {
            let id = self.hosts.id(at);
            let placements = observed.hosts.get(id).map(|host| &host.placements);
            if placements.is_some_and(|all| all.iter().all(|one| one.instances == 0)) {
                self.plan.actions.push(Action::Release { host: id.clone() });
            }
        }
        &self.plan
    }

    /// The last plan.
    pub fn planned(&self) -> &Plan {
        &self.plan
    }

    /// The workloads whose status, targets or actions may have changed with it.
    pub fn replanned(&self) -> &[WorkloadKey] {
        &self.planned
    }

    /// Where instances of a workload are: hosts that are not lost, and revisions.
    pub fn placed(&self, workload: &WorkloadKey) -> impl Iterator<Item = (&Id, u64)> {
        let live = self.entries.place(workload).map(|at| &self.entries.at(at).live);
        let places = live.into_iter().flat_map(|live| live.keys());
        places.map(|(host, revision)| (self.hosts.id(*host), *revision))
    }

    /// Forgets everything, and takes in what there is.
    fn begin(&mut self, desired: &Desired, observed: &Observed, now: Time) {
        let (policy, quotas) = (desired.policy, desired.quotas.clone());
        *self = Self { begun: true, policy, quotas, ..Self::default() };
        self.named = desired.workloads.values().flat_map(named).cloned().collect();
        self.hosts = Hosts::new(&self.named, &observed.hosts, policy.grace, now);
        let wanted = desired.workloads.iter();
        let wanted: Vec<u32> = wanted.map(|(key, one)| self.want(key, Some(one))).collect();
        self.here = vec![Vec::new(); observed.hosts.len()];
        for (at, host) in (0u32..).zip(observed.hosts.values()) {
            self.settle(at, host);
        }
        for at in wanted {
            self.claim(desired, at);
        }
        self.grant(desired);
    }

    /// Takes in what changed.
    fn update(&mut self, desired: &Desired, observed: &Observed, changed: &Changed, now: Time) {
        self.hosts.begin();
        let mut claims = BTreeSet::new();
        let (mut is_claimed, mut is_named) = (false, false);
        for key in &changed.workloads {
            let workload = desired.workloads.get(key);
            if workload.is_some_and(|one| named(one).any(|label| !self.named.contains(label))) {
                self.named = desired.workloads.values().flat_map(named).cloned().collect();
                is_named = true;
            }
            let at = self.want(key, workload);
            match workload {
                Some(_) => drop(claims.insert(at)),
                None => is_claimed = true,
            }
        }
        let reshaped = self.hosts_changed(observed, changed, is_named, now);
        for at in self.hosts.overfull() {
            self.restless.extend(&self.here[at as usize]);
        }
        if !reshaped.hosts.is_empty() || !reshaped.values.is_empty() {
            self.restless.extend(&self.daemons);
            let unbalanced = self.unbalanced(desired, &reshaped);
            self.restless.extend(unbalanced);
        }
        claims.extend(self.daemons.intersection(&self.restless));
        for at in claims {
            is_claimed |= self.claim(desired, at);
        }
        if is_claimed {
            self.grant(desired);
        }
    }

    /// A workload is wanted otherwise, or not any more.
    fn want(&mut self, key: &WorkloadKey, workload: Option<&Workload>) -> u32 {
        let at = self.entries.place_of(key);
        self.restless.insert(at);
        let entry = self.entries.at_mut(at);
        let is_daemon = workload.is_some_and(|one| matches!(one.scale, Scale::Daemon(_)));
        let topology = workload.and_then(|one| one.rules.topology.as_ref());
        if workload.is_none() {
            entry.turn = None;
            entry.reasons.clear();
        }
        for (set, is) in [
            (&mut self.daemons, is_daemon),
            (&mut self.balanced, topology.is_some_and(|topology| topology.required)),
        ] {
            match is {
                true => drop(set.insert(at)),
                false => drop(set.remove(&at)),
            }
        }
        at
    }

    /// Takes in hosts that changed; `anew`: all of them, since rules name other labels.
    fn hosts_changed(
        &mut self,
        observed: &Observed,
        changed: &Changed,
        anew: bool,
        now: Time,
    ) -> Reshaped {
        let mut reshaped = Reshaped::default();
        let (mut gone, mut joined) = (Vec::new(), Vec::new());
        let mut same: BTreeSet<u32> = BTreeSet::new();
        for id in &changed.hosts {
            match (self.hosts.place(id), observed.hosts.get(id)) {
                (Some(at), Some(_)) => drop(same.insert(at)),
                (Some(at), None) => gone.push(at),
                (None, Some(_)) => joined.push(id),
                (None, None) => {}
            }
        }
        same.extend(self.hosts.overdue(now));
        for at in &gone {
            self.unsettle(*at);
            reshaped.note(&self.hosts, *at);
        }
        for at in same {
            let Some(host) = observed.hosts.get(self.hosts.id(at)) else { continue };
            self.unsettle(at);
            let mut before = Reshaped::default();
            before.note(&self.hosts, at);
            if self.hosts.update(at, host, now) {
                reshaped.values.append(&mut before.values);
                reshaped.note(&self.hosts, at);
                reshaped.hosts.push(at);
            }
            self.settle(at, host);
        }
        if anew || !gone.is_empty() || !joined.is_empty() {
            reshaped.hosts = self.renumber(observed, &reshaped.hosts, now);
            for id in joined {
                let (Some(at), Some(host)) = (self.hosts.place(id), observed.hosts.get(id)) else {
                    continue;
                };
                self.settle(at, host);
                reshaped.note(&self.hosts, at);
                reshaped.hosts.push(at);
            }
        }
        reshaped
    }

    /// Gives hosts the places that they have among those that there are now. Where some of them are.
    fn renumber(&mut self, observed: &Observed, some: &[u32], now: Time) -> Vec<u32> {
        let hosts = Hosts::new(&self.named, &observed.hosts, self.policy.grace, now);
        let before = std::mem::replace(&mut self.hosts, hosts);
        let to: Vec<Option<u32>> = before.ids().map(|id| self.hosts.place(id)).collect();
        self.entries.renumber(&to);
        let mut here = vec![Vec::new(); self.hosts.len()];
        for (all, to) in std::mem::take(&mut self.here).into_iter().zip(&to) {
            if let Some(to) = to {
                here[*to as usize] = all;
            }
        }
        self.here = here;
        some.iter().filter_map(|at| to.get(*at as usize).copied().flatten()).collect()
    }

    /// Takes away what was on a host.
    fn unsettle(&mut self, host: u32) {
        for at in std::mem::take(&mut self.here[host as usize]) {
            self.entries.at_mut(at).leave(host);
            self.restless.insert(at);
        }
    }

    /// Puts what is on a host there.
    fn settle(&mut self, at: u32, host: &Host) {
        let standing = self.hosts.standing(at);
        if standing == Standing::Lost {
            return;
        }
        for placement in host.placements.iter().filter(|placement| placement.instances > 0) {
            let place = self.entries.place_of(&placement.workload);
            self.restless.insert(place);
            self.here[at as usize].push(place);
            let live = &mut self.entries.at_mut(place).live;
            let live = live.entry((at, placement.revision)).or_insert(Live {
                instances: 0,
                ready: 0,
                requests: placement.requests,
            });
            live.instances = live.instances.saturating_add(placement.instances);
            // Nobody knows of a host that is not heard of whether anything there does work.
            if standing != Standing::Silent {
                live.ready = live.ready.saturating_add(placement.ready.min(placement.instances));
            }
        }
    }

    /// Resting workloads with a topology that must hold, of which some failure domain may have gained its first host,
    /// or lost the last one.
    fn unbalanced(&self, desired: &Desired, reshaped: &Reshaped) -> Vec<u32> {
        let mut changed = Bits::none(self.hosts.len());
        reshaped.hosts.iter().for_each(|at| changed.insert(*at));
        let is_unbalanced = |at: &u32| {
            let workload = desired.workloads.get(&self.entries.at(*at).key);
            let Some(rules) = workload.map(|one| &one.rules) else { return true };
            let Some(topology) = &rules.topology else { return true };
            let of_label = reshaped.values.iter().filter(|(label, _)| *label == topology.label);
            let mut others: Option<Bits> = None;
            of_label.into_iter().any(|(label, value)| {
                let others = others.get_or_insert_with(|| {
                    let mut open = allowed(&self.hosts, rules, self.hosts.open());
                    open.subtract(&changed);
                    open
                });
                !self.hosts.with(label, value).is_some_and(|with| with.meets(others))
            })
        };
        let resting = self.balanced.difference(&self.restless);
        resting.copied().filter(is_unbalanced).collect()
    }

    /// Finds out how many instances a workload asks for. Whether that, or its place among others, is another one.
    fn claim(&mut self, desired: &Desired, at: u32) -> bool {
        let entry = self.entries.at_mut(at);
        let Some(workload) = desired.workloads.get(&entry.key) else { return false };
        let wanted = match workload.scale {
            Scale::Instances(count) => u64::from(count),
            Scale::Daemon(count) => {
                let running = running(&entry.live, workload.revision.number, true);
                let ask = ask(workload, &workload.revision, count, &running);
                let wanted = daemon::wanted(&self.hosts, &ask);
                wanted.iter().map(|(_, here)| u64::from(*here)).sum()
            }
        };
        let (turn, requests) = (Some(turn(workload)), workload.revision.requests);
        if (entry.wanted, entry.turn, entry.requests) == (wanted, turn, requests) {
            return false;
        }
        (entry.wanted, entry.turn, entry.requests) = (wanted, turn, requests);
        (entry.granted, entry.reasons) = unlimited(wanted);
        true
    }

    /// Finds out how many instances each workload may have whose namespace has a quota.
    fn grant(&mut self, desired: &Desired) {
        for (namespace, quota) in &desired.quotas {
            let of_namespace = |at: &u32| self.entries.at(*at).key.namespace == *namespace;
            let mut members: Vec<u32> = self.entries.wanted().filter(of_namespace).collect();
            self.entries.sort(&mut members);
            let claim = |at: &u32| {
                let entry = self.entries.at(*at);
                Claim { wanted: unlimited(entry.wanted).0, requests: entry.requests }
            };
            let claims: Vec<Claim> = members.iter().map(claim).collect();
            let granted = quota::grant(quota, &claims);
            for (place, at) in members.into_iter().enumerate() {
                let entry = self.entries.at_mut(at);
                let (_, mut reasons) = unlimited(entry.wanted);
                reasons.extend(quota::reason(namespace, quota, &claims, &granted, place));
                if (entry.granted, &entry.reasons) != (granted[place], &reasons) {
                    (entry.granted, entry.reasons) = (granted[place], reasons);
                    self.restless.insert(at);
                }
            }
        }
    }

    /// Plans a workload.
    fn one(&mut self, desired: &Desired, observed: &Observed, now: Time, at: u32) {
        let entry = self.entries.at(at);
        let key = entry.key.clone();
        let rests = match desired.workloads.get(&key) {
            Some(workload) => {
                let of = (desired, observed, now);
                let (status, rests) = one(of, &mut self.hosts, workload, entry, &mut self.plan);
                self.plan.workloads.insert(key.clone(), status);
                rests
            }
            None if entry.live.is_empty() => {
                self.plan.workloads.remove(&key);
                self.entries.remove(at);
                true
            }
            None => {
                let status = undeploy(&mut self.hosts, entry, &mut self.plan.actions);
                self.plan.workloads.insert(key.clone(), status);
                false
            }
        };
        if rests {
            self.restless.remove(&at);
        }
        self.planned.push(key);
    }
}

impl Reshaped {
    /// Notes which values of labels a host has.
    fn note(&mut self, hosts: &Hosts, at: u32) {
        let values = hosts.named(at).map(|(label, value)| (label.clone(), value.clone()));
        self.values.extend(values);
    }
}

/// What a workload gets where nothing limits it.
fn unlimited(wanted: u64) -> (u32, Vec<Reason>) {
    let most = wanted > MOST_INSTANCES.into();
    let reasons = most.then_some(Reason::TooMany { wanted }).into_iter().collect();
    (u32::try_from(wanted).unwrap_or(u32::MAX).min(MOST_INSTANCES), reasons)
}
