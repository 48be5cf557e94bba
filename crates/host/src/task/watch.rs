//! Changes of a key-value store: those of one key are handled one after the other.

use futures::future::BoxFuture;
use reef_capability::Failure as Refused;
use reef_key_value::{Bucket, Noted, Outcome, Watching};

use super::{Run, handler::handle_change, taking::Supply};
use crate::{Failure, Workload};

/// The store of a name, as the workload itself would open it.
pub(super) fn store(workload: &Workload, name: &str) -> Result<Bucket, Refused> {
    let links = &workload.world.capabilities().key_value;
    let (link, place) = links.find("wasi:keyvalue", None, name)?;
    Bucket::new(link, place)
}

/// Changes, and what handles them.
pub(super) struct Changes {
    pub(super) watching: Watching,
    pub(super) bucket: Bucket,
    /// The interface that is told of them.
    pub(super) export: &'static str,
}

impl Supply for Changes {
    type Item = Noted;

    fn next(&self) -> impl Future<Output = Option<Noted>> + Send {
        self.watching.next()
    }

    fn end(&self) -> impl Future<Output = ()> + Send {
        self.watching.end()
    }

    fn is_last(&self) -> bool {
        self.watching.is_last()
    }

    fn handle(&self, run: &Run, noted: Noted) -> BoxFuture<'static, ()> {
        let (run, export, bucket) = (run.clone(), self.export, self.bucket.clone());
        let change = noted.change().clone();
        Box::pin(noted.handled_by(async move {
            match handle_change(&run, export, (bucket, change)).await {
                Ok(_) => Outcome::Handled,
                // Nobody is to blame for that.
                Err(Failure::Shutdown { .. }) => Outcome::Abandoned,
                Err(failure) => Outcome::Failed(failure.to_string()),
            }
        }))
    }

    fn waiting(&self) -> usize {
        self.watching.waiting()
    }

    fn given_up(&self, workload: &str, waiting: usize, in_progress: usize) {
        let store = &**self.bucket.name();
        tracing::warn!(
            workload,
            store,
            // Those that are handled are among them.
            waiting = waiting.saturating_sub(in_progress),
            in_progress,
            "Changes were given up: there was no more time for them."
        );
    }
}
