//! What links between hosts cannot carry, by the artifacts that are in the lattice.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use reef_app::{Application, Source, Workload};
use reef_compose::Uncarried;
use reef_lattice::{
    Digest, Failure, Lattice,
    accept::{check_carried, distant, uncarried},
    record::Revision,
};
use tokio::{sync::Semaphore, time::timeout};

use super::{super::change::Fault, super::server::Server, checks::faults};

/// Bytes of an artifact that is read for this; a host still looks at a larger one when it makes it.
const MOST: u64 = 128 << 20;
/// How long reading all of them may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Artifacts of which it is remembered.
const REMEMBERED: usize = 1024;

/// What artifacts import that cannot be carried, where that was looked at. One is read at a time.
#[derive(Debug)]
pub(crate) struct Looked {
    known: Mutex<BTreeMap<Digest, Arc<[Uncarried]>>>,
    turn: Semaphore,
}

impl Default for Looked {
    fn default() -> Self {
        Self { known: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl Server {
    /// Refuses links that may go to another host and cannot. What cannot be read now is left to the host that makes it.
    pub(super) async fn carried(
        &self,
        application: &Application,
        given: &Revision,
    ) -> Result<(), Fault> {
        let mut all: BTreeMap<&str, Arc<[Uncarried]>> = BTreeMap::new();
        let reading = async {
            for workload in distant(application).into_iter().map(|one| one.workload) {
                let name = workload.name.as_str();
                if !all.contains_key(name)
                    && let Some(digest) = digest(given, workload)
                    && let Some(found) = self.0.looked.of(self.lattice(), name, digest).await
                {
                    all.insert(name, found);
                }
            }
        };
        if timeout(WITHIN, reading).await.is_err() {
            tracing::warn!(application = %application.name, "Its artifacts could not be looked at in time.");
        }
        let of = |workload: &Workload| all.get(workload.name.as_str()).map(|found| &**found);
        faults(&check_carried(application, of))
    }
}

impl Looked {
    async fn of(&self, lattice: &Lattice, name: &str, digest: Digest) -> Option<Arc<[Uncarried]>> {
        if let Some(known) = self.known().get(&digest) {
            return Some(known.clone());
        }
        let _turn = self.turn.acquire().await.ok()?;
        if let Some(known) = self.known().get(&digest) {
            return Some(known.clone());
        }
        let bytes = match read(lattice, &digest).await {
            Ok(bytes) => bytes?,
            // Before anything is sent it is asked what would be.
            Err(Failure::NotFound { .. }) => return None,
            Err(failure) => {
                tracing::warn!(%failure, workload = name, "Its artifact could not be looked at.");
                return None;
            }
        };
        let name = name.to_owned();
        let looking = tokio::task::spawn_blocking(move || uncarried(&name, bytes));
        // What cannot be told stays so.
        let found: Arc<[Uncarried]> = looking.await.ok()?.unwrap_or_default().into();
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.pop_first();
        }
        known.insert(digest, found.clone());
        Some(found)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<[Uncarried]>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of an artifact; none, where that is too much.
async fn read(lattice: &Lattice, digest: &Digest) -> Result<Option<Vec<u8>>, Failure> {
    let mut pieces = lattice.objects.get(digest).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > MOST {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

/// What the artifact of a workload is, which may be a part of another.
fn digest(given: &Revision, workload: &Workload) -> Option<Digest> {
    let placed = given.workloads.get(workload.name.as_str());
    let said = placed.map(|placed| &*placed.revision.digest);
    let said = said.or(workload.digest.as_ref().map(|digest| digest.as_str()));
    let by_file = || {
        let Source::File(path) = &workload.source.value else { return None };
        let same = |path: &str| path.trim_start_matches("./").to_owned();
        let path = same(&path.to_string_lossy());
        given.files.iter().find(|file| same(&file.path) == path).map(|file| file.digest.clone())
    };
    said.and_then(|digest| digest.parse().ok()).or_else(by_file)
}
