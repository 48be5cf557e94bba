//! Who wants to know what happens, where the backend is of this process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::Change;

/// Changes that may wait for the slowest watcher, who misses the oldest beyond that.
const WAITING: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<HashMap<String, broadcast::Sender<Change>>>);

impl Watchers {
    /// What happens in a bucket from now on.
    pub(crate) fn watch(&self, bucket: &str) -> BoxStream<'static, Change> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, sender| sender.receiver_count() > 0);
        let sender = all.entry(bucket.to_owned()).or_insert_with(|| broadcast::channel(WAITING).0);
        let receiver = sender.subscribe();
        let next = |mut receiver: broadcast::Receiver<Change>| async move {
            loop {
                match receiver.recv().await {
                    Ok(change) => return Some((change, receiver)),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "A watcher of a key-value store is too slow.");
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        stream::unfold(receiver, next).boxed()
    }

    /// Something happened: made only if somebody wants to know.
    pub(crate) fn tell(&self, bucket: &str, change: impl FnOnce() -> Change) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = all.get(bucket) {
            // Nobody may be there any more.
            let _ = sender.send(change());
        }
    }
}
