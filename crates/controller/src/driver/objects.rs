//! Objects of the lattice that no revision is made of any more.
//!
//! Whoever accepts a revision says of all its objects that they are needed, and only then writes it. What is removed was
//! not said to be needed since it was listed: so a revision that is accepted at the same moment either has its objects, or
//! is refused for lack of them.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    time::Duration,
};

use reef_lattice::{Digest, Failure, Unheld};
use tokio::time::{Instant, sleep};

use super::Shared;
use crate::core::{AppKey, Core, Kept};

/// Said so short a time ago, it is not said again that an object is needed.
pub(crate) const FRESH: Duration = Duration::from_secs(60 * 60);

/// How long objects stay that no revision is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Since they were last said to be needed. Far longer than accepting takes, and than what was said counts for.
    pub needed: Duration,
    /// Since this controller, leading, has seen that no revision is made of them.
    pub unused: Duration,
    /// Between two looks.
    pub every: Duration,
}

/// What a look removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    objects: u64,
    bytes: u64,
    /// Uploads that never became an object.
    uploads: usize,
}

/// Since when no revision was seen to be made of an object, and as what it was listed.
type Unused = BTreeMap<Digest, (u64, Instant)>;

impl Default for Retention {
    fn default() -> Self {
        Self {
            needed: Duration::from_secs(24 * 60 * 60),
            unused: FRESH,
            every: Duration::from_secs(10 * 60),
        }
    }
}

/// Removes what nobody needs, for as long as this one leads.
pub(super) async fn tidy(shared: Arc<Shared>, retention: Retention) {
    let mut unused = Unused::new();
    loop {
        sleep(retention.every).await;
        let lattice = &*shared.lattice.name;
        match shared.tidy_once(&mut unused, retention).await {
            Ok(Removed { objects: 0, uploads: 0, .. }) => {}
            Ok(Removed { objects, bytes, uploads }) => tracing::info!(
                lattice,
                objects,
                bytes,
                uploads,
                "Objects that no revision is made of any more were removed."
            ),
            Err(failure) => {
                tracing::warn!(
                    lattice,
                    "Objects that nobody needs were not all removed: {failure}"
                );
            }
        }
    }
}

impl Shared {
    async fn tidy_once(
        &self,
        unused: &mut Unused,
        retention: Retention,
    ) -> Result<Removed, Failure> {
        let mut removed = Removed::default();
        if !knows_what_is_used(&self.core()) || self.core().runs_what_is_unknown() {
            unused.clear();
            return Ok(removed);
        }
        let objects = &self.lattice.objects;
        // First these, then what is used: what is accepted in between is not as it was listed any more.
        let listed = objects.unheld(retention.needed).await?;
        let listed = listed.into_iter().map(|one| (one.digest.clone(), one)).collect();
        let Some(listed) = self.unused(listed).await else {
            unused.clear();
            return Ok(removed);
        };
        unused.retain(|digest, (mark, _)| listed.get(digest).is_some_and(|one| one.mark == *mark));
        for (digest, one) in listed {
            let (_, since) = unused.entry(digest).or_insert_with(|| (one.mark, Instant::now()));
            if since.elapsed() < retention.unused {
                continue;
            }
            if !knows_what_is_used(&self.core()) {
                return Ok(removed);
            }
            if objects.remove(&one).await? {
                removed.objects += 1;
                removed.bytes += one.size;
            }
        }
        removed.uploads = objects.sweep(retention.needed).await?;
        Ok(removed)
    }

    /// Those that no revision is made of; none, if that is not known.
    async fn unused(
        &self,
        mut listed: BTreeMap<Digest, Unheld>,
    ) -> Option<BTreeMap<Digest, Unheld>> {
        let mut last: Option<(AppKey, u64)> = None;
        // A revision may have thousands of files, and all else waits for the core.
        while self.leave_out_next(&mut last, &mut listed)? {
            tokio::task::yield_now().await;
        }
        Some(listed)
    }

    /// Leaves out what the next revision after `last` is made of; `false`: there is none.
    fn leave_out_next(
        &self,
        last: &mut Option<(AppKey, u64)>,
        listed: &mut BTreeMap<Digest, Unheld>,
    ) -> Option<bool> {
        let core = self.core();
        if !knows_what_is_used(&core) {
            return None;
        }
        let all = &core.records().revisions;
        let same_app = last.as_ref().and_then(|(app, number)| {
            let (next, kept) = all.get(app)?.range((Excluded(*number), Unbounded)).next()?;
            Some((app.clone(), *next, kept))
        });
        let next = same_app.or_else(|| {
            let from = last.as_ref().map_or(Unbounded, |(app, _)| Excluded(app));
            let (app, (number, kept)) = all
                .range((from, Unbounded))
                .find_map(|(app, numbers)| Some((app, numbers.first_key_value()?)))?;
            Some((app.clone(), *number, kept))
        });
        let Some((app, number, kept)) = next else { return Some(false) };
        // What one is made of that cannot be read, nobody knows.
        let revision = kept.get()?;
        for file in &revision.files {
            listed.remove(&file.digest);
        }
        for workload in revision.workloads.values() {
            if let Ok(digest) = workload.revision.digest.parse::<Digest>() {
                listed.remove(&digest);
            }
        }
        *last = Some((app, number));
        Some(true)
    }
}

/// Whether a controller may say of an object that it is not used: it leads, has heard the whole store, and that store is
/// not one that was lost and made anew, and says nothing yet of what is to be there.
fn knows_what_is_used(core: &Core) -> bool {
    let mut apps = core.records().apps.values();
    core.term().is_some() && core.is_current() && apps.any(|app| Kept::get(app).is_some())
}

#[cfg(test)]
mod tests;
