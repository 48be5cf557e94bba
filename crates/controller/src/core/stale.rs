//! What may not be written as it is to be.

use std::collections::BTreeSet;

use reef_planner::Id;

use super::{
    Core,
    records::{AppKey, Name},
};

/// What was not looked at since something changed of which its records are made, or since one of them could not be
/// written. All else is written as it is to be: so a turn takes as long as what changed, not as all that there is.
#[derive(Clone, Debug, Default)]
pub(super) struct Stale {
    /// Everything is.
    pub(super) all: bool,
    /// Applications: their routes and statuses, and records that nobody needs.
    pub(super) apps: BTreeSet<AppKey>,
    /// Hosts: their assignments.
    pub(super) hosts: BTreeSet<Id>,
}

impl Stale {
    /// Whatever a record is of is to be looked at.
    pub(super) fn note(&mut self, name: &Name) {
        match name {
            Name::App(app) | Name::Revision(app, _) | Name::Route(app) | Name::Status(app) => {
                self.apps.insert(app.clone());
            }
            Name::Scale(workload) | Name::Rollout(workload) => {
                self.apps.insert(AppKey::of(workload));
            }
            Name::Want(host) | Name::Scheduling(host) => drop(self.hosts.insert(host.clone())),
            Name::Namespace(_) | Name::Leader => {}
        }
    }
}

impl Core {
    /// What is to be looked at now. What is noted from now on is so for the next time.
    pub(super) fn take_stale(&mut self) -> Stale {
        let stale = std::mem::take(&mut self.stale);
        self.all_of(stale)
    }

    /// Names everything, if it is everything.
    pub(super) fn all_of(&self, mut stale: Stale) -> Stale {
        if stale.all {
            self.records.names().for_each(|(name, _)| stale.note(name));
            stale.apps.extend(self.planner.planned().workloads.keys().map(AppKey::of));
            stale.apps.extend(self.sent_routes.keys().cloned());
            stale.hosts.extend(self.hosts.all.keys().cloned());
        }
        stale
    }
}
