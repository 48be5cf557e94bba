//! Where guests compute when they compute for long.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Instant,
};

use tokio::runtime::Handle;

use crate::pace::{Activity, Share};

/// Niceness of the background threads: the kernel gives a thread of niceness 0 about ten times as
/// much time when both want it, so answering goes before computing, yet computing never stands still.
const NICENESS: i32 = 10;

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Threads of low priority on which computing guests take turns, one [`TICK`](crate::TICK) at a
/// time. The next turn goes to the workload that has had the least, so that one workload with a
/// hundred computing requests weighs no more than its neighbour with one.
pub struct Background {
    queue: Arc<Queue>,
    threads: usize,
}

struct Queue {
    state: Mutex<Ready>,
    wake: Condvar,
    /// Timers and sockets of the guests belong to this runtime.
    runtime: Handle,
}

#[derive(Default)]
struct Ready {
    workloads: BTreeMap<usize, Workload>,
    /// Tasks of workloads that have used up their share, by when they may go on.
    later: BinaryHeap<Reverse<Later>>,
    /// Least time had by any workload that is now waiting for a turn.
    floor: u64,
    started: bool,
    stopped: bool,
}

struct Workload {
    share: Arc<Share>,
    tasks: VecDeque<Arc<Task>>,
}

struct Later {
    at: Instant,
    task: Arc<Task>,
}

struct Task {
    future: Mutex<Option<BoxFuture>>,
    activity: Arc<Activity>,
    queue: Weak<Queue>,
    state: AtomicU8,
    /// Nobody wants the result any more.
    removed: AtomicBool,
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Woken while running: to be queued again.
const WOKEN: u8 = 3;

/// Takes a guest out of the background when dropped.
pub(crate) struct Removal(Arc<Task>);

// === impl Background ===

impl Background {
    /// A background of so many threads, which start with the first guest that needs them.
    ///
    /// `runtime` must outlive it: what guests wait for (timers, sockets) is driven there.
    pub fn new(threads: usize, runtime: Handle) -> Self {
        let queue = Queue { state: Mutex::default(), wake: Condvar::new(), runtime };
        Self { queue: Arc::new(queue), threads: threads.max(1) }
    }

    pub(crate) fn spawn(&self, activity: Arc<Activity>, future: BoxFuture) -> Removal {
        let task = Arc::new(Task {
            future: Mutex::new(Some(future)),
            activity,
            queue: Arc::downgrade(&self.queue),
            state: AtomicU8::new(QUEUED),
            removed: AtomicBool::new(false),
        });
        let start = {
            let mut ready = self.queue.lock();
            !std::mem::replace(&mut ready.started, true)
        };
        if start {
            for index in 0..self.threads {
                if let Err(error) = start_thread(index, self.queue.clone()) {
                    tracing::error!(%error, "The system gives no thread for computing guests.");
                }
            }
        }
        self.queue.push(task.clone());
        Removal(task)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let mut ready = self.queue.lock();
        ready.stopped = true;
        let left = std::mem::take(&mut ready.workloads);
        let later = std::mem::take(&mut ready.later);
        drop(ready);
        self.queue.wake.notify_all();
        drop((left, later));
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("threads", &self.threads).finish_non_exhaustive()
    }
}

// === impl Queue ===

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: Arc<Task>) {
        let mut ready = self.lock();
        if ready.stopped {
            return;
        }
        match task.activity.share().not_before() {
            Some(at) => ready.later.push(Reverse(Later { at, task })),
            None => ready.push(task),
        }
        drop(ready);
        self.wake.notify_one();
    }

    /// The next task to run; `None` at shutdown.
    fn next(&self) -> Option<Arc<Task>> {
        let mut ready = self.lock();
        loop {
            if ready.stopped {
                return None;
            }
            let now = Instant::now();
            while ready.later.peek().is_some_and(|Reverse(later)| later.at <= now) {
                if let Some(Reverse(later)) = ready.later.pop() {
                    ready.push(later.task);
                }
            }
            if let Some(task) = ready.pop() {
                return Some(task);
            }
            ready = match ready.later.peek() {
                Some(Reverse(later)) => {
                    let wait = later.at.saturating_duration_since(now);
                    self.wake.wait_timeout(ready, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(ready).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

// === impl Ready ===

impl Ready {
    fn push(&mut self, task: Arc<Task>) {
        let share = task.activity.share();
        let floor = self.floor;
        self.workloads
            .entry(Arc::as_ptr(share) as usize)
            .or_insert_with(|| {
                // A workload that was away does not come back with a claim to all the time it missed.
                share.turn.fetch_max(floor, Ordering::Relaxed);
                Workload { share: share.clone(), tasks: VecDeque::new() }
            })
            .tasks
            .push_back(task);
    }

    fn pop(&mut self) -> Option<Arc<Task>> {
        let (&key, workload) =
            self.workloads.iter_mut().min_by_key(|(_, w)| w.share.turn.load(Ordering::Relaxed))?;
        self.floor = self.floor.max(workload.share.turn.load(Ordering::Relaxed));
        let task = workload.tasks.pop_front();
        if workload.tasks.is_empty() {
            self.workloads.remove(&key);
        }
        task
    }
}

// === impl Task ===

impl Task {
    fn run(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::SeqCst);
        let waker = Waker::from(self.clone());
        let mut slot = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(future) = slot.as_mut() else { return };
        let (poll, used, _) = self.activity.poll(future.as_mut(), &mut Context::from_waker(&waker));
        let share = self.activity.share();
        share.turn.fetch_add(used.as_nanos() as u64, Ordering::Relaxed);
        match poll {
            Poll::Ready(()) => *slot = None,
            Poll::Pending if self.removed.load(Ordering::SeqCst) => *slot = None,
            Poll::Pending => {
                drop(slot);
                if self.removed.load(Ordering::SeqCst) {
                    // Removed between the poll and the release of the lock.
                    self.clear();
                }
                let woken = self
                    .state
                    .compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst)
                    .is_err();
                if woken {
                    self.enqueue();
                }
            }
        }
    }

    /// Drops the future, unless it is being polled: then its runner does.
    fn clear(&self) {
        let future = match self.future.try_lock() {
            Ok(mut slot) => slot.take(),
            Err(TryLockError::Poisoned(slot)) => slot.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        drop(future);
    }

    fn enqueue(self: Arc<Self>) {
        self.state.store(QUEUED, Ordering::SeqCst);
        if let Some(queue) = self.queue.upgrade() {
            queue.push(self);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        loop {
            let (from, to) = match self.state.load(Ordering::SeqCst) {
                IDLE => (IDLE, QUEUED),
                RUNNING => (RUNNING, WOKEN),
                _ => return,
            };
            if self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                if from == IDLE {
                    self.enqueue();
                }
                return;
            }
        }
    }
}

// === impl Removal ===

impl Drop for Removal {
    fn drop(&mut self) {
        // Never waits for a turn to end: the thread that has it is of lower priority than ours.
        self.0.removed.store(true, Ordering::SeqCst);
        self.0.clear();
    }
}

// === impl Later ===

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

fn start_thread(index: usize, queue: Arc<Queue>) -> io::Result<()> {
    thread::Builder::new().name(format!("reef-compute-{index}")).spawn(move || {
        // On Linux the priority of "this process" is the calling thread's own.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::warn!(%error, "The computing threads keep normal priority.");
        }
        let _context = queue.runtime.enter();
        while let Some(task) = queue.next() {
            task.run();
        }
    })?;
    Ok(())
}
