//! Which workloads are placed by themselves, and which are parts of others.

use std::collections::{BTreeMap, BTreeSet};

use reef_app::{Application, Link, Workload};

/// The workloads of an application, and who is a part of whom.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    all: BTreeMap<&'a str, &'a Workload>,
    placed: BTreeSet<&'a str>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(application: &'a Application) -> Self {
        let workloads = &application.workloads;
        let all = workloads.iter().map(|one| (one.name.as_str(), one));
        let mut parts = Self { all: all.collect(), placed: BTreeSet::new() };
        let mut reached = BTreeSet::new();
        let used: BTreeSet<_> = workloads
            .iter()
            .flat_map(|one| uses(one).filter(|(name, _)| *name != one.name.as_str()))
            .map(|(name, _)| name)
            .collect();
        let composed: Vec<_> = workloads
            .iter()
            .flat_map(|one| one.links.iter().filter_map(|link| link.component.as_ref()))
            .collect();
        let starts = |one: &Workload| !one.trigger.is_empty() || one.scale.is_placed();
        for one in workloads.iter().filter(|one| starts(one)) {
            parts.place(one, &mut reached);
        }
        // What nobody uses, unless its artifact is composed into another.
        let is_used = |one: &Workload| used.contains(one.name.as_str());
        for one in workloads.iter().filter(|one| !is_used(one) && !composed.contains(&&one.source))
        {
            parts.place(one, &mut reached);
        }
        // What is used only by each other, in a circle.
        for one in workloads.iter().filter(|one| is_used(one)) {
            if !reached.contains(one.name.as_str()) {
                parts.place(one, &mut reached);
            }
        }
        parts
    }

    fn place(&mut self, one: &'a Workload, reached: &mut BTreeSet<&'a str>) {
        self.placed.insert(one.name.as_str());
        let mut left = vec![one.name.as_str()];
        while let Some(name) = left.pop() {
            if reached.insert(name)
                && let Some(workload) = self.all.get(name)
            {
                left.extend(uses(workload).map(|(name, _)| name));
            }
        }
    }

    /// Those that are placed by themselves.
    pub(super) fn placed(&self) -> impl Iterator<Item = &'a Workload> {
        self.placed.iter().filter_map(|name| self.all.get(name).copied())
    }

    /// What one is made of: itself, then its parts, each once.
    pub(super) fn all_of(&self, name: &str) -> Vec<&'a Workload> {
        let mut all: Vec<&'a Workload> = self.all.get(name).copied().into_iter().collect();
        let mut known: BTreeSet<_> = all.iter().map(|one| one.name.as_str()).collect();
        let mut at = 0;
        while let Some(one) = all.get(at).copied() {
            for (name, as_link) in uses(one) {
                if (!as_link || !self.placed.contains(name))
                    && let Some(part) = self.all.get(name)
                    && known.insert(name)
                {
                    all.push(part);
                }
            }
            at += 1;
        }
        all
    }
}

/// The workloads of the same application that one uses, and whether by a link.
fn uses(workload: &Workload) -> impl Iterator<Item = (&str, bool)> {
    let middleware = workload.trigger.http.iter().flat_map(|trigger| &trigger.middleware);
    let links = workload.links.iter().filter_map(Link::own_workload);
    let middleware = middleware.map(|name| (name.as_str(), false));
    middleware.chain(links.map(|name| (name.as_str(), true)))
}
