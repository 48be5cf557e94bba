//! What is answered without a guest: files, redirects, fixed answers.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr as _,
    sync::Arc,
    time::Instant,
};

use reef_app::{Application, Name};
use reef_host::{deploy::Order, serve::Mounted};
use reef_lattice::record::{self, Missing, Revision};
use tokio::task::JoinSet;

use super::{AGAIN, Place, Read, revision};
use crate::{Shared, files::Folder};

/// So many applications are named of which something is missing.
const NAMED: usize = 64;

/// What there is of it. Files are fetched beside all else: no other application waits for them.
#[derive(Default)]
pub(super) struct Fixed {
    /// With the revision that it is of, which stays until the next one's is there.
    there: HashMap<Place, There>,
    /// Being fetched.
    getting: HashMap<Place, u64>,
    /// Could not be had then.
    failed: HashMap<Place, Failed>,
    tasks: JoinSet<Got>,
    /// Whether something has come that was not asked for yet.
    changed: bool,
}

/// What is answered by a revision's.
struct There {
    number: u64,
    all: Vec<Mounted>,
    _folder: Folder,
}

/// What could not be had: of which revision, when, why.
struct Failed {
    number: u64,
    at: Instant,
    why: String,
}

/// What came of fetching a revision's.
type Got = (Place, u64, Result<There, String>);

// === impl Fixed ===

impl Fixed {
    /// Gets what applications want and is not here. Whether something has come since this was last asked.
    pub(super) fn get(&mut self, shared: &Arc<Shared>, wanted: &[Arc<Read>]) -> bool {
        let numbers: HashMap<&Place, u64> =
            wanted.iter().filter_map(|read| Some((&read.place, read.fixed?))).collect();
        self.there.retain(|place, _| numbers.contains_key(place));
        self.getting.retain(|place, number| numbers.get(place) == Some(number));
        self.failed.retain(|place, failed| numbers.get(place) == Some(&failed.number));
        for (place, number) in numbers {
            if self.there.get(place).is_some_and(|there| there.number == number)
                || self.getting.contains_key(place)
                || self.failed.get(place).is_some_and(|failed| failed.at.elapsed() < AGAIN)
            {
                continue;
            }
            self.getting.insert(place.clone(), number);
            let (shared, place) = (shared.clone(), place.clone());
            self.tasks.spawn(async move {
                let got = fixed(&shared, &place, number).await;
                (place, number, got)
            });
        }
        std::mem::take(&mut self.changed)
    }

    /// What there is of an application's.
    pub(super) fn of(&self, place: &Place) -> &[Mounted] {
        self.there.get(place).map_or(&[], |there| &there.all)
    }

    /// The applications of which something is wanted that is not there, in their order.
    pub(super) fn missing(&self, wanted: &[Arc<Read>]) -> Vec<Missing> {
        let is_missing = |read: &&Arc<Read>| {
            let there = self.there.get(&read.place).map(|there| there.number);
            read.fixed.is_some() && read.fixed != there
        };
        let missing = |read: &Arc<Read>| {
            let (namespace, app) = read.place.clone();
            let trouble = self.failed.get(&read.place).map(|failed| failed.why.clone());
            Missing { namespace, app, trouble }
        };
        wanted.iter().filter(is_missing).map(missing).take(NAMED).collect()
    }

    /// Waits for something that was fetched.
    pub(super) async fn got(&mut self) {
        let Some(ended) = self.tasks.join_next().await else { return std::future::pending().await };
        match ended {
            Ok((place, number, got)) if self.getting.get(&place) == Some(&number) => {
                self.getting.remove(&place);
                match got {
                    Ok(there) => {
                        self.failed.remove(&place);
                        self.there.insert(place, there);
                        self.changed = true;
                    }
                    Err(why) => {
                        let (namespace, application) = &place;
                        tracing::warn!(
                            application,
                            namespace,
                            why,
                            "Its files are not served here; they are tried again until they can be had."
                        );
                        self.failed.insert(place, Failed { number, at: Instant::now(), why });
                    }
                }
            }
            // It is not wanted any more.
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "Files of an application could not be fetched.");
                self.getting.clear();
            }
        }
    }
}

fn application(revision: &Revision) -> Option<Application> {
    reef_lattice::accept::application(revision).ok()
}

pub(super) fn has_fixed(revision: &Revision) -> bool {
    let is_there = |name: &str| {
        let there = revision.application.get(name).and_then(|all| all.as_array());
        there.is_some_and(|all| !all.is_empty())
    };
    ["static", "redirect", "response"].into_iter().any(is_there)
}

/// What of an application is answered without a guest.
async fn fixed(shared: &Shared, (namespace, app): &Place, number: u64) -> Result<There, String> {
    let revision =
        revision(shared, namespace, app, number).ok_or("its revision is not known here")?;
    let application = application(&revision).ok_or("its revision cannot be understood")?;
    let folders: Vec<_> = application.statics.iter().map(|one| one.dir.value.clone()).collect();
    let served = |file: &&record::File| {
        let path = std::path::Path::new(&file.path);
        folders.iter().any(|folder| path.starts_with(folder.strip_prefix("./").unwrap_or(folder)))
    };
    let files: Vec<_> = revision.files.iter().filter(served).cloned().collect();
    let folder = shared.files.folder(&files).await.map_err(|failure| failure.to_string())?;
    let values = revision.values.iter();
    let values =
        values.filter_map(|(name, value)| Some((Name::from_str(name).ok()?, value.clone())));
    let order = Order {
        application,
        folder: folder.path().to_owned(),
        values: values.collect(),
        sourced: BTreeMap::new(),
        qualified: true,
        tried: false,
        placed: None,
    };
    let all = shared.host.fixed(&order).map_err(|error| error.to_string())?;
    Ok(There { number, all, _folder: folder })
}
