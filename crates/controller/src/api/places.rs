//! Where applications are reached, as their wanted revisions say: each is read once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reef_app::{Application, Route};
use reef_lattice::{accept, record::Revision};

use super::server::Server;
use crate::core::{AppKey, Kept, Records};

/// Applications that are read between two looks at the core: whoever else needs it waits for no more.
const AT_ONCE: usize = 32;

/// A route, and what is there, in words.
pub(super) type Place = (Route, String);

/// The places of all applications that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeMap<AppKey, Known>>);

#[derive(Debug)]
struct Known {
    of: Of,
    places: Arc<[Place]>,
}

/// The number of the revision that was read, and of its record the store's.
type Of = (u64, u64);

impl Places {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppKey, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of an application.
    pub(super) fn of(&self, app: &AppKey, kept: &Kept<Revision>) -> Arc<[Place]> {
        let Some(revision) = kept.get() else { return Arc::default() };
        let of = (revision.number, kept.revision);
        if let Some(known) = self.lock().get(app).filter(|known| known.of == of) {
            return known.places.clone();
        }
        let places: Arc<[Place]> =
            accept::application(revision).map(|it| places(&it).collect()).unwrap_or_default();
        self.lock().insert(app.clone(), Known { of, places: places.clone() });
        places
    }

    /// Some revisions that were not read yet.
    fn unread(&self, records: &Records) -> Vec<(AppKey, Kept<Revision>)> {
        let mut known = self.lock();
        if known.len() > 2 * records.apps.len() {
            known.retain(|app, _| records.apps.contains_key(app));
        }
        let unread = wanted(records).filter(|(app, kept)| {
            let is = kept.get().map(|revision| (revision.number, kept.revision));
            is.is_some() && known.get(app).map(|known| known.of) != is
        });
        unread.take(AT_ONCE).map(|(app, kept)| (app.clone(), kept.clone())).collect()
    }
}

impl Server {
    /// Reads what was not read yet, a few at a time.
    pub(super) async fn read_places(&self) {
        loop {
            let unread = self.0.places.unread(self.core().records());
            for (app, kept) in &unread {
                self.0.places.of(app, kept);
            }
            if unread.len() < AT_ONCE {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The revisions that are wanted.
pub(super) fn wanted(records: &Records) -> impl Iterator<Item = (&AppKey, &Kept<Revision>)> {
    records.apps.iter().filter_map(|(key, kept)| {
        let app = kept.get().filter(|app| !app.deleted)?;
        Some((key, records.revisions.get(key)?.get(&app.wanted?)?))
    })
}

/// The routes of an application, and what is there.
pub(super) fn places(application: &Application) -> impl Iterator<Item = Place> {
    let workloads = application.workloads.iter().flat_map(|workload| {
        let triggers = workload.trigger.http.iter();
        triggers.map(|trigger| (&trigger.route.value, format!("`{}`", workload.name.value)))
    });
    let statics = application.statics.iter().map(|one| (&one.route.value, "a folder".to_owned()));
    let redirects =
        application.redirects.iter().map(|one| (&one.route.value, "a redirect".to_owned()));
    let responses =
        application.responses.iter().map(|one| (&one.route.value, "a response".to_owned()));
    let all = workloads.chain(statics).chain(redirects).chain(responses);
    all.map(|(route, what)| (route.clone(), what))
}
