//! The threads that serve: one per core, each with a current-thread runtime of its own.
//!
//! A connection lives on one worker, so its reads, its handler and its writes share a cache and
//! take no lock that another core holds. What must spread (the streams of one HTTP/2 connection)
//! is spawned on the worker with the fewest requests in progress.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A fixed set of worker threads. Cheap to clone; all clones are the same set.
///
/// The threads end at [`Workers::shutdown`], or when the last clone is dropped (then unjoined).
#[derive(Clone, Debug)]
pub struct Workers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    workers: Box<[Worker]>,
    stop: watch::Sender<bool>,
    finished: Mutex<mpsc::Receiver<usize>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// Padded to a cache line of its own, so that workers do not slow each other by counting.
#[derive(Debug)]
#[repr(align(128))]
struct Worker {
    handle: Handle,
    load: Load,
}

/// What one worker is busy with now.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: AtomicUsize,
}

impl Workers {
    /// Starts `count` threads (at least one), named `name-0`, `name-1` and so on.
    ///
    /// # Errors
    /// The operating system refused a thread or its event queue.
    pub fn start(count: usize, name: &str) -> std::io::Result<Self> {
        let count = count.max(1);
        let (stop, stopped) = watch::channel(false);
        let (finish, finished) = mpsc::channel();
        let mut workers = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .thread_name(format!("{name}-{index}"))
                .build()?;
            let handle = runtime.handle().clone();
            let mut stopped = stopped.clone();
            let finish = finish.clone();
            let thread =
                std::thread::Builder::new().name(format!("{name}-{index}")).spawn(move || {
                    CURRENT.set(Some(index));
                    // An error means that every `Workers` is gone: stop as well.
                    let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
                    // Tasks are dropped here; work on blocking threads is left behind.
                    runtime.shutdown_background();
                    let _ = finish.send(index);
                })?;
            workers.push(Worker { handle, load: Load::default() });
            threads.push(thread);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                workers: workers.into(),
                stop,
                finished: Mutex::new(finished),
                threads: Mutex::new(threads),
            }),
        })
    }

    /// How many workers there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.inner.workers.len()
    }

    /// The index of the worker this thread is, or `None` on any other thread.
    pub fn current() -> Option<usize> {
        CURRENT.get()
    }

    /// Runs `future` on worker `index` (modulo their number).
    pub fn spawn_on<F>(&self, index: usize, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.worker(index).handle.spawn(future)
    }

    /// The runtime of worker `index` (modulo their number).
    pub fn handle(&self, index: usize) -> &Handle {
        &self.worker(index).handle
    }

    /// Live connections on worker `index`.
    pub fn connections(&self, index: usize) -> usize {
        self.load(index).connections.load(Ordering::Relaxed)
    }

    /// Requests in progress on worker `index`.
    pub fn requests(&self, index: usize) -> usize {
        self.load(index).requests.load(Ordering::Relaxed)
    }

    pub(crate) fn load(&self, index: usize) -> &Load {
        &self.worker(index).load
    }

    fn worker(&self, index: usize) -> &Worker {
        &self.inner.workers[index % self.inner.workers.len()]
    }

    /// The worker that a new connection should live on.
    pub(crate) fn fewest_connections(&self) -> usize {
        (0..self.len()).min_by_key(|&index| self.connections(index)).unwrap_or(0)
    }

    /// The worker that one more stream of a connection living on `home` should run on. Moving a
    /// stream costs a wake-up on another core, so it moves only to a worker that has at most half
    /// the work of `home`.
    pub(crate) fn for_stream(&self, home: usize) -> usize {
        let least = (0..self.len()).min_by_key(|&index| self.requests(index)).unwrap_or(home);
        if self.requests(home) > 2 * self.requests(least) { least } else { home }
    }

    /// Asks every worker to stop, drops their tasks, and waits for the threads up to `deadline`.
    /// Returns whether all ended in time. A thread that did not is left to the process's end.
    ///
    /// Blocks: call it from a thread that is not a worker.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        self.inner.stop.send_replace(true);
        let mut threads = lock(&self.inner.threads);
        let finished = lock(&self.inner.finished);
        for _ in 0..threads.len() {
            let left = until.saturating_duration_since(Instant::now());
            if finished.recv_timeout(left).is_err() {
                return false;
            }
        }
        // Each has sent its last word: joining waits only for its last instructions.
        threads.drain(..).all(|thread| thread.join().is_ok())
    }
}

/// A mutex whose holders cannot leave its data half-changed: a panic elsewhere changes nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
