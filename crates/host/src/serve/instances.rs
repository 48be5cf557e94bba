//! Live instances of one workload, one list a worker thread.
//!
//! An instance is a task that owns a store. The dispatcher sees it as a [`Slot`]: a mailbox for
//! requests, and the flags that say whether it takes any. A request stays on the worker it came in
//! on, so that connection, instance and guest share a core and its caches.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{channel::oneshot, task::AtomicWaker};
use reef_wasi::Traced;
use rustix::time::{ClockId, clock_gettime};
use tokio::{sync::Semaphore, task::AbortHandle};
use wasmtime_wasi_http::WasiBody;

pub(super) type Reply = Result<http::Response<WasiBody>, wasmtime::Error>;

/// A request on its way to an instance.
pub(super) struct Job {
    pub(super) request: http::Request<WasiBody>,
    pub(super) tls: bool,
    pub(super) trace: Traced,
    pub(super) reply: oneshot::Sender<Reply>,
    pub(super) claim: Arc<Claim>,
    /// Was with an instance that could not begin it.
    pub(super) handed_on: bool,
}

/// What a request and its instance know of each other.
#[derive(Default)]
pub(super) struct Claim {
    /// The instance that has it; another one if the first could not begin it.
    slot: Mutex<Option<Arc<Slot>>>,
    /// The guest has been given it.
    begun: AtomicBool,
    /// Nobody waits for the answer any more.
    given_up: AtomicBool,
    waker: AtomicWaker,
}

/// One live instance.
pub(super) struct Slot {
    mailbox: Mutex<Mailbox>,
    waker: AtomicWaker,
    /// Is on its shard's list, hence takes a job.
    listed: AtomicBool,
    /// Takes no job any more.
    closed: AtomicBool,
    /// Ended by a trap, a deadline or a panic: what it left unfinished is broken off.
    failed: AtomicBool,
    /// In guest code that has not come back for a tick: not waiting for anything.
    pub(super) computing: AtomicBool,
    /// Waits for a request. `since`: when this last changed or a last request ended, in milliseconds
    /// as [`now`] counts them.
    idle: AtomicBool,
    since: AtomicU64,
    task: OnceLock<AbortHandle>,
    /// Requests that it is serving, until their answers were delivered or given up.
    serving: AtomicUsize,
    /// Most of them at once.
    most: usize,
    /// A request was given up in it, and what that left behind may run for ever.
    retired: AtomicBool,
    /// Why it trapped, where that is certain to concern a single request.
    trapped: OnceLock<String>,
    /// Closed when it has ended, or is about to: nothing more is said of why. It has no permits.
    over: Semaphore,
}

/// Requests that the guest has not been given yet.
struct Mailbox {
    jobs: VecDeque<Box<Job>>,
    /// Nobody looks into it any more.
    ended: bool,
}

/// The instances of one workload.
pub(super) struct Instances {
    shards: Box<[Shard]>,
    /// Not reachable any more: an instance ends when it has done what it has.
    closed: AtomicBool,
}

/// Those of one worker.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    open: Mutex<Vec<Arc<Slot>>>,
    /// Those that have not come to rest yet for the first time.
    starting: Mutex<Vec<Arc<Slot>>>,
    all: Mutex<Vec<Weak<Slot>>>,
}

// === impl Claim ===

impl Claim {
    /// Gives the request up: an instance that waits ends just this request, or does not begin it; one
    /// that computes for it, or that serves nothing else, is ended.
    pub(super) fn give_up(&self, shared: bool) {
        self.given_up.store(true, Ordering::SeqCst);
        self.waker.wake();
        if let Some(slot) = self.slot()
            && (!shared || slot.computing.load(Ordering::SeqCst) && self.is_cause(&slot))
        {
            slot.kill();
        }
    }

    /// Whether the instance computes for this request: not for another, which this one waits behind.
    fn is_cause(&self, slot: &Slot) -> bool {
        self.begun.load(Ordering::Acquire) || slot.serving.load(Ordering::SeqCst) == 1
    }

    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst)
    }

    /// Resolves when the request was given up.
    pub(super) async fn given_up(self: Arc<Self>) {
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            if self.is_given_up() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether the instance ended badly, so that a body that ends now is not whole.
    pub(super) fn failed(&self) -> bool {
        self.slot().is_some_and(|slot| slot.failed.load(Ordering::SeqCst))
    }

    /// Why the instance trapped, if it did so for this request.
    pub(super) fn trap(&self) -> Option<String> {
        self.slot()?.trapped.get().cloned()
    }

    /// Resolves when the instance has ended, or is about to: from then on [`Claim::trap`] is certain.
    pub(super) async fn ended(&self) {
        if let Some(slot) = self.slot() {
            // An error says that it is closed.
            let _ = slot.over.acquire().await;
        }
    }

    fn slot(&self) -> Option<Arc<Slot>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn taken_by(&self, slot: &Arc<Slot>) {
        slot.serving.fetch_add(1, Ordering::SeqCst);
        let before = self.slot.lock().unwrap_or_else(PoisonError::into_inner).replace(slot.clone());
        if let Some(before) = before {
            before.left();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(slot) = self.slot() {
            slot.left();
        }
    }
}

// === impl Slot ===

impl Slot {
    pub(super) fn new(first: Box<Job>, most: usize) -> Arc<Self> {
        let mailbox = Mailbox { jobs: VecDeque::with_capacity(1), ended: false };
        let slot = Arc::new(Self {
            mailbox: Mutex::new(mailbox),
            waker: AtomicWaker::new(),
            listed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            // Until it has come to rest once: its start function may never end.
            computing: AtomicBool::new(true),
            idle: AtomicBool::new(false),
            since: AtomicU64::new(now()),
            task: OnceLock::new(),
            serving: AtomicUsize::new(0),
            most,
            retired: AtomicBool::new(false),
            trapped: OnceLock::new(),
            over: Semaphore::new(0),
        });
        let pushed = slot.push(first);
        debug_assert!(pushed.is_ok(), "a new mailbox takes jobs");
        slot
    }

    fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job into the mailbox; gives it back when nobody will look there again.
    fn push(self: &Arc<Self>, job: Box<Job>) -> Result<(), Box<Job>> {
        let mut mailbox = self.mailbox();
        if mailbox.ended {
            return Err(job);
        }
        job.claim.taken_by(self);
        mailbox.jobs.push_back(job);
        drop(mailbox);
        self.waker.wake();
        Ok(())
    }

    /// The next job, if there is one; otherwise the waker is told when there is.
    pub(super) fn poll_job(&self, cx: &mut Context<'_>) -> Poll<Box<Job>> {
        self.waker.register(cx.waker());
        let mut mailbox = self.mailbox();
        while let Some(job) = mailbox.jobs.pop_front() {
            if !job.claim.is_given_up() {
                job.claim.begun.store(true, Ordering::Release);
                return Poll::Ready(job);
            }
        }
        Poll::Pending
    }

    /// Whether jobs wait to be begun.
    pub(super) fn is_awaited(&self) -> bool {
        !self.mailbox().jobs.is_empty()
    }

    /// Takes out the jobs that were not begun, except for the first so many.
    pub(super) fn take_waiting(&self, keep: usize) -> VecDeque<Box<Job>> {
        let mut mailbox = self.mailbox();
        mailbox.jobs.retain(|job| !job.claim.is_given_up());
        let keep = keep.min(mailbox.jobs.len());
        mailbox.jobs.split_off(keep)
    }

    /// Nobody looks into the mailbox any more. The jobs that were not begun, to be begun elsewhere.
    pub(super) fn end(&self) -> VecDeque<Box<Job>> {
        self.mailbox().ended = true;
        self.over.close();
        self.take_waiting(0)
    }

    /// The next job; `None` when the instance is to end.
    pub(super) async fn next(&self) -> Option<Box<Job>> {
        poll_fn(|cx| match self.poll_job(cx) {
            Poll::Ready(job) => Poll::Ready(Some(job)),
            Poll::Pending if self.is_closed() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Takes no more jobs; those that are there are done.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// The guest trapped. To be called before the store is dropped.
    pub(super) fn trapped(&self, why: String) {
        let waiting = self.mailbox().jobs.len();
        if self.serving.load(Ordering::Relaxed).saturating_sub(waiting) <= 1 {
            let _ = self.trapped.set(why);
        }
        self.fail();
    }

    /// A request has ended, or gone elsewhere.
    fn left(&self) {
        let before = self.serving.fetch_sub(1, Ordering::SeqCst);
        if before == 1 {
            self.since.store(now(), Ordering::Relaxed);
        }
        if before == self.most || before == 1 && self.retired.load(Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Whether it may be given another request. If not, whoever waits for a job is woken when it may.
    pub(super) fn has_room(&self) -> bool {
        self.serving.load(Ordering::SeqCst) < self.most
    }

    /// It is to end when it serves nobody any more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// Whether it is retired and serves nobody; otherwise the waker is told when it is so.
    pub(super) fn poll_deserted(&self, cx: &mut Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.retired.load(Ordering::SeqCst) && self.serving.load(Ordering::SeqCst) == 0
    }

    /// Marks the instance as ended badly. To be called before its store is dropped.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.close();
        self.over.close();
    }

    /// Ends the instance at once.
    pub(super) fn kill(&self) {
        self.fail();
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    pub(super) fn runs_as(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    pub(super) fn set_idle(&self, idle: bool) {
        if self.idle.swap(idle, Ordering::Relaxed) != idle {
            self.since.store(now(), Ordering::Relaxed);
        }
    }
}

// === impl Instances ===

impl Instances {
    pub(super) fn new(workers: usize) -> Self {
        let shards = (0..workers.max(1)).map(|_| Shard::default()).collect();
        Self { shards, closed: AtomicBool::new(false) }
    }

    fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker % self.shards.len()]
    }

    /// Hands the job to an instance that is there; gives it back when there is none.
    pub(super) fn offer(&self, worker: usize, mut job: Box<Job>) -> Result<(), Box<Job>> {
        let shard = self.shard(worker);
        loop {
            // The most recently used goes first: its memory is in the cache, and what is not needed
            // grows old and is ended.
            let Some(slot) = shard.open.lock().unwrap_or_else(PoisonError::into_inner).pop() else {
                return Err(job);
            };
            slot.listed.store(false, Ordering::SeqCst);
            if slot.is_closed() {
                continue;
            }
            match slot.push(job) {
                Ok(()) => return Ok(()),
                Err(back) => job = back,
            }
        }
    }

    /// Has the job wait for an instance that is being made; gives it back when there is none with
    /// room.
    pub(super) fn join(&self, worker: usize, job: Box<Job>) -> Result<(), Box<Job>> {
        let starting = self.shard(worker).starting.lock().unwrap_or_else(PoisonError::into_inner);
        match starting.last() {
            Some(slot) if !slot.is_closed() && slot.has_room() => slot.push(job),
            _ => Err(job),
        }
    }

    /// The instance is being made, and others than its first request may wait for it.
    pub(super) fn starting(&self, worker: usize, slot: &Arc<Slot>) {
        let shard = self.shard(worker);
        shard.starting.lock().unwrap_or_else(PoisonError::into_inner).push(slot.clone());
    }

    /// It is known what became of the instance: nobody waits for it any more.
    pub(super) fn settle(&self, worker: usize, slot: &Arc<Slot>) {
        let shard = self.shard(worker);
        let mut starting = shard.starting.lock().unwrap_or_else(PoisonError::into_inner);
        starting.retain(|other| !Arc::ptr_eq(other, slot));
    }

    /// The instance takes another job.
    pub(super) fn list(&self, worker: usize, slot: &Arc<Slot>) {
        if self.closed.load(Ordering::SeqCst) {
            return slot.close();
        }
        if !slot.is_closed() && !slot.listed.swap(true, Ordering::SeqCst) {
            let shard = self.shard(worker);
            shard.open.lock().unwrap_or_else(PoisonError::into_inner).push(slot.clone());
        }
    }

    /// The instance takes no job for now.
    pub(super) fn unlist(&self, worker: usize, slot: &Arc<Slot>) {
        if slot.listed.swap(false, Ordering::SeqCst) {
            let mut open = self.shard(worker).open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|other| !Arc::ptr_eq(other, slot));
        }
    }

    pub(super) fn register(&self, worker: usize, slot: &Arc<Slot>) {
        let mut all = self.shard(worker).all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == all.capacity() {
            // Most have ended by now; those that have not are what the list is for.
            all.retain(|slot| slot.strong_count() > 0);
            let live = all.len();
            all.reserve(live.max(64));
        }
        all.push(Arc::downgrade(slot));
    }

    /// Ends instances that were idle for long, and those that go on after their last answer for
    /// longer than a request may take.
    pub(super) fn tidy(&self, worker: usize, idle: Duration, deadline: Option<Duration>) {
        let now = now();
        let shard = self.shard(worker);
        let mut all = shard.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|slot| {
            let Some(slot) = slot.upgrade() else { return false };
            let age = Duration::from_millis(now.saturating_sub(slot.since.load(Ordering::Relaxed)));
            if slot.idle.load(Ordering::Relaxed) {
                if age >= idle {
                    slot.close();
                }
            } else if deadline.is_some_and(|deadline| age > deadline)
                && slot.serving.load(Ordering::SeqCst) == 0
            {
                slot.kill();
            }
            true
        });
        let mut open = shard.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|slot| !slot.is_closed());
    }

    /// Whether any instance is there.
    pub(super) fn any(&self) -> bool {
        self.shards.iter().any(|shard| {
            let all = shard.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().any(|slot| slot.strong_count() > 0)
        })
    }

    /// Ends all instances, after what they are doing.
    pub(super) fn close(&self) {
        // Before the instances are: what is made or comes to rest from here on ends by itself.
        self.closed.store(true, Ordering::SeqCst);
        for shard in &self.shards {
            for slot in shard.all.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                if let Some(slot) = slot.upgrade() {
                    slot.close();
                }
            }
            shard.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// Milliseconds since the machine was started, as of its last tick: read several times a request, and
/// compared with seconds.
fn now() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::MonotonicCoarse;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let now = clock_gettime(CLOCK);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

#[cfg(test)]
mod tests;
