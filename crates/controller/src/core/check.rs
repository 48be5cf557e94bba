//! That what is looked at is all that has to be: turns of a test look at everything else, too.

use std::collections::{BTreeMap, BTreeSet};

use reef_planner::{Id, Reach, Time, Weights, WorkloadKey};

use super::{
    Core, Kept, Name, Wanted,
    hosts::Counts,
    observe::seen,
    stale::Stale,
    status::{is_due, status},
    wanted::Unread,
};

impl Core {
    /// A few turns are enough: there are many, and everything is a lot.
    fn is_checked(now: Time) -> bool {
        now.0.is_multiple_of(4)
    }

    /// What is observed and planned is what one would observe and plan who looks for the first time.
    pub(super) fn check_look(&self, now: Time) {
        if !Self::is_checked(now) {
            return;
        }
        let mut wanted = Wanted::new(self.settings.policy);
        let apps = self.records.apps.keys().cloned().collect();
        wanted.read(&self.records, &self.scaler, &Unread { apps, quotas: true });
        assert_eq!(wanted.broken, self.wanted.broken);
        assert_eq!(wanted.desired, self.wanted.desired);
        let all = self.hosts.all.iter();
        let mut all: BTreeMap<_, _> = all
            .filter_map(|(id, host)| Some((id.clone(), seen(&self.records, id, host)?)))
            .collect();
        for (id, host) in &mut all {
            // Since when it is silent stays as it was first seen.
            let known = self.observed.hosts.get(id).map(|known| known.reach);
            if let (Reach::Silent(_), Some(Reach::Silent(since))) = (host.reach, known) {
                host.reach = Reach::Silent(since);
            }
        }
        assert_eq!(all, self.observed.hosts);
        let crashing = self.hosts.all.iter().filter(|(_, host)| !host.crashes.is_empty());
        assert!(crashing.map(|(id, _)| id).eq(&self.crashing));
        let kept = self.records.rollouts.iter().filter_map(|(one, kept)| Some((one, kept.get()?)));
        let stated: BTreeSet<_> =
            kept.filter(|(_, one)| one.state.is_some()).map(|(one, _)| one).collect();
        assert!(stated.into_iter().eq(self.observed.rollouts.keys()));
        let plan = reef_planner::plan(&self.wanted.desired, &self.observed, now);
        assert_eq!(plan, *self.planner.planned());
    }

    /// Nothing has to be written of what is not looked at.
    pub(super) fn check_stale(
        &self,
        now: Time,
        term: u64,
        stale: &Stale,
        next: &BTreeMap<Id, Counts>,
        weights: &BTreeMap<WorkloadKey, Option<Weights>>,
    ) {
        if !Self::is_checked(now) {
            return;
        }
        let all = Stale { all: true, ..Stale::default() };
        let all = self.all_of(all);
        let is_free = |name: &Name| !self.outbox.is_under_way(name);
        for app in all.apps.difference(&stale.apps) {
            if is_free(&Name::Route(app.clone())) {
                let stored = self.records.routes.get(app).and_then(Kept::get);
                let stored = stored.map(|stored| stored.workloads.clone()).unwrap_or_default();
                assert_eq!(self.routing(term, app, next, weights).workloads, stored, "{app}");
                assert!(!self.sent_routes.contains_key(app), "{app}");
            }
            if is_free(&Name::Status(app.clone())) {
                let is = status(&self.records, &self.wanted, self.planner.planned(), app, now);
                let stored = self.records.statuses.get(app).and_then(Kept::get);
                let due = is.as_ref().map_or(Ok(false), |is| is_due(stored, is, now));
                assert_eq!(due, Ok(false), "{app}: {is:?} {stored:?}");
            }
            assert!(!self.needless(app).iter().any(is_free), "{app}");
            assert!(!self.is_to_bury(app) || !is_free(&Name::App(app.clone())), "{app}");
        }
        for id in all.hosts.difference(&stale.hosts) {
            let host = self.hosts.all.get(id);
            if !is_free(&Name::Want(id.clone())) {
                continue;
            }
            let told = host.is_none_or(|host| {
                host.is_told(term) || host.told.is_none() && host.base().is_empty()
            });
            assert!(told && !next.contains_key(id), "{id}");
            assert!(host.is_some() || !self.records.wants.contains_key(id), "{id}");
        }
    }
}
