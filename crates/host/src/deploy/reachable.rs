//! What is reachable on this host: the routes of all applications, and what others answer beside them.

use std::sync::{Mutex, PoisonError};

use reef_http::RouteConflict;

use super::{Host, Revision};
use crate::serve::{Mounted, Table};

/// What is reachable here beside the applications.
#[derive(Default)]
pub(super) struct Outside(Mutex<Vec<Mounted>>);

impl Outside {
    fn swap(&self, outside: Vec<Mounted>) -> Vec<Mounted> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), outside)
    }

    fn lock_all(&self) -> Vec<Mounted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Host {
    /// All that is reachable, with this for one application's: `None` is as it is.
    pub(super) fn table(&self, made: Option<&Revision>) -> Result<Table, RouteConflict> {
        let applications = self.lock();
        let name = made.map(|made| made.order.key());
        let others = applications.iter().filter(|(other, _)| Some(other.as_str()) != name);
        let current = others.filter_map(|(_, deployed)| deployed.revisions.back());
        let all: Vec<_> = current.map(|revision| &**revision).chain(made).collect();
        let (placed, own): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|revision| revision.order.placed.is_some());
        let public = own.iter().flat_map(|revision| revision.mounted());
        let mut table = Table::new(public.chain(self.outside.lock_all()))?;
        table = table.with_hidden(own.iter().flat_map(|revision| revision.hidden()));
        for revision in placed {
            let key = revision.order.key().into();
            // Parts of it are reached by its own links only.
            let (own, parts): (Vec<_>, Vec<_>) =
                revision.chains.iter().partition(|chain| revision.is_placed(chain));
            table = table.with_placed(key, own.iter().map(|one| one.mounted.clone()))?;
            table = table.with_hidden(parts.iter().map(|one| one.mounted.clone()));
        }
        Ok(table)
    }

    /// What else is reachable here, in place of what was before: routes that others answer.
    ///
    /// # Errors
    /// When two want the same place: then it is as before.
    pub fn set_outside(&self, outside: Vec<Mounted>) -> Result<(), RouteConflict> {
        let before = self.outside.swap(outside);
        let installed = self.install();
        if installed.is_err() {
            self.outside.swap(before);
        }
        installed
    }

    /// Makes reachable what is to be.
    pub(super) fn install(&self) -> Result<(), RouteConflict> {
        let _installing = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        self.ingress.install(self.table(None)?);
        Ok(())
    }
}
