//! What workers of one namespace share: a bucket of a key-value store, whole.

use std::sync::Arc;

use reef_capability::{Caller, Failure, Link};
use reef_key_value::{BATCH, Bucket, KeyValue};
use reef_workers::Entries;

/// What workers of one namespace share. Each value is kept as JSON, as it keeps its type.
#[derive(Clone, Debug)]
pub struct SharedEntries(Bucket);

impl SharedEntries {
    /// The entries of a namespace.
    ///
    /// # Errors
    /// When its name is too long.
    pub fn new(link: Arc<Link<dyn KeyValue>>) -> Result<Self, Failure> {
        let place = link.place.clone().unwrap_or_else(|| link.name().into());
        Bucket::new(link, place).map(Self)
    }

    /// All of them, as a worker is given them.
    pub(super) async fn load(&self) -> Result<Entries, Failure> {
        let caller = Caller::default();
        let keys = self.0.all_keys(&caller).await?;
        let mut all = Entries::default();
        for keys in keys.chunks(BATCH) {
            let values = self.0.get_many(&caller, keys).await?;
            for (key, value) in keys.iter().zip(values) {
                // Another may have taken it away meanwhile.
                let Some(value) = value else { continue };
                let parsed = serde_json::from_slice::<serde_json::Value>(&value);
                // What is no JSON was put there by something else: it is text.
                all.set(key, parsed.unwrap_or_else(|_| String::from_utf8_lossy(&value).into()));
            }
        }
        Ok(all)
    }

    /// Keeps what a worker changed, and not the whole: others may have changed something meanwhile.
    pub(super) async fn store(&self, before: &Entries, after: &Entries) -> Result<(), Failure> {
        let (caller, changes) = (Caller::default(), before.changes(after));
        for keys in changes.removed.chunks(BATCH) {
            self.0.delete_many(&caller, keys).await?;
        }
        let set = changes.set.into_iter().map(|(key, value)| (key, value.to_string().into()));
        let set: Vec<_> = set.collect();
        for entries in set.chunks(BATCH) {
            self.0.set_many(&caller, entries.to_vec()).await?;
        }
        Ok(())
    }
}
