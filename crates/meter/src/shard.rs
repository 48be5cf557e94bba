use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More shards than this bring less contention relief than they cost to sum at every scrape.
const SHARDS: usize = 16;

static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD_SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The calling thread's shard, dealt round robin on its first call.
fn thread_shard() -> usize {
    THREAD_SHARD.with(|shard| match shard.get() {
        usize::MAX => {
            let dealt = NEXT_THREAD.fetch_add(1, Ordering::Relaxed) % SHARDS;
            shard.set(dealt);
            dealt
        }
        dealt => dealt,
    })
}

/// A value per thread group. A shard is allocated when a thread first writes to it: a thousand idle
/// workloads cost a thousand pointer tables, not sixteen thousand sets of counters.
#[derive(Debug)]
pub(crate) struct Sharded<T> {
    shards: [OnceLock<Box<Padded<T>>>; SHARDS],
}

/// Two cache lines, because the adjacent-line prefetcher moves them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T> Default for Sharded<T> {
    fn default() -> Self {
        Self { shards: [const { OnceLock::new() }; SHARDS] }
    }
}

impl<T: Default> Sharded<T> {
    /// The calling thread's shard. Another thread may hold the same one: writes must be atomic.
    #[inline]
    pub(crate) fn mine(&self) -> &T {
        &self.shards[thread_shard()].get_or_init(Box::default).0
    }
}

impl<T> Sharded<T> {
    /// The shards that were written to, each read while others may still write.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().filter_map(|shard| shard.get().map(|padded| &padded.0))
    }
}
