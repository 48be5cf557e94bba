//! Who wants to know what happens, where the backend is of this process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::Notify;

use crate::{Change, Told};

/// Changes that may wait for one watcher, and bytes of their keys and values. Beyond that the oldest are missed: what
/// there is now is worth more than what there was.
const WAITING: (usize, usize) = (1024, 16 << 20);

#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<HashMap<String, Vec<Weak<Queue>>>>);

/// What one of them has not taken yet.
#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: VecDeque<Change>,
    bytes: usize,
    missed: u64,
    /// Nothing comes any more.
    closed: bool,
}

/// Whose queues end with it.
impl Drop for Watchers {
    fn drop(&mut self) {
        let all = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for queue in all.values().flatten().filter_map(Weak::upgrade) {
            queue.lock().closed = true;
            queue.arrived.notify_one();
        }
    }
}

impl Watchers {
    /// What happens in a bucket from now on.
    pub(crate) fn watch(&self, bucket: &str) -> BoxStream<'static, Told> {
        let queue = Arc::new(Queue { waiting: Mutex::default(), arrived: Notify::new() });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, queues| {
            queues.retain(|queue| queue.strong_count() > 0);
            !queues.is_empty()
        });
        all.entry(bucket.to_owned()).or_default().push(Arc::downgrade(&queue));
        let next = |queue: Arc<Queue>| async move { Some((queue.next().await?, queue)) };
        stream::unfold(queue, next).boxed()
    }

    /// Something happened: made only if somebody wants to know.
    pub(crate) fn tell(&self, bucket: &str, change: impl FnOnce() -> Change) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queues) = all.get(bucket) else { return };
        let mut queues = queues.iter().filter_map(Weak::upgrade).peekable();
        if queues.peek().is_none() {
            return;
        }
        let change = change();
        for queue in queues {
            queue.push(change.clone());
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, change: Change) {
        self.lock().push(change, WAITING);
        self.arrived.notify_one();
    }

    /// The next one. It is the only one who waits.
    async fn next(&self) -> Option<Told> {
        loop {
            let closed = {
                let mut waiting = self.lock();
                if let Some(told) = waiting.take() {
                    return Some(told);
                }
                waiting.closed
            };
            if closed {
                return None;
            }
            self.arrived.notified().await;
        }
    }
}

impl Waiting {
    fn push(&mut self, change: Change, (most, bytes): (usize, usize)) {
        self.bytes += size(&change);
        self.changes.push_back(change);
        // The newest stays, whatever its size.
        while self.changes.len() > 1 && (self.changes.len() > most || self.bytes > bytes) {
            if let Some(oldest) = self.changes.pop_front() {
                self.bytes -= size(&oldest);
                self.missed += 1;
            }
        }
    }

    fn take(&mut self) -> Option<Told> {
        match std::mem::take(&mut self.missed) {
            0 => {
                let change = self.changes.pop_front()?;
                self.bytes -= size(&change);
                Some(Told::Changed(change))
            }
            missed => Some(Told::Missed(missed)),
        }
    }
}

fn size(change: &Change) -> usize {
    change.key.len() + change.value.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(number: usize, size: usize) -> Change {
        Change { key: format!("{number:03}"), value: Some(vec![0; size].into()) }
    }

    proptest! {
        /// Each one is taken or counted as missed, the newest are kept, and in their order.
        #[test]
        fn what_there_is_no_room_for_is_counted(
            most in 1..5_usize,
            bytes in 0..40_usize,
            steps in prop::collection::vec(prop::option::of(0..15_usize), 0..40),
        ) {
            let mut waiting = Waiting::default();
            let (mut pushed, mut taken, mut missed) = (0, Vec::new(), 0);
            for size in steps {
                match size {
                    Some(size) => {
                        waiting.push(change(pushed, size), (most, bytes));
                        pushed += 1;
                    }
                    None => match waiting.take() {
                        Some(Told::Changed(change)) => taken.push(change.key),
                        Some(Told::Missed(count)) => missed += count,
                        None => prop_assert!(waiting.changes.is_empty()),
                    },
                }
                prop_assert!(waiting.changes.len() <= most);
                let held: usize = waiting.changes.iter().map(size_of_one).sum();
                prop_assert_eq!(held, waiting.bytes);
                prop_assert!(held <= bytes || waiting.changes.len() == 1);
            }
            while let Some(told) = waiting.take() {
                match told {
                    Told::Changed(change) => taken.push(change.key),
                    Told::Missed(count) => missed += count,
                }
            }
            prop_assert!(taken.is_sorted());
            prop_assert_eq!(taken.len() as u64 + missed, pushed as u64);
            if pushed > 0 {
                prop_assert_eq!(taken.last().unwrap(), &change(pushed - 1, 0).key);
            }
        }
    }

    fn size_of_one(change: &Change) -> usize {
        size(change)
    }

    #[tokio::test]
    async fn it_ends_with_who_tells() {
        let watchers = Watchers::default();
        let mut one = watchers.watch("b");
        let mut other = watchers.watch("b");
        watchers.tell("elsewhere", || change(0, 0));
        watchers.tell("b", || change(1, 0));
        drop(watchers);
        for stream in [&mut one, &mut other] {
            assert_eq!(stream.next().await, Some(Told::Changed(change(1, 0))));
            assert_eq!(stream.next().await, None);
        }
    }
}
