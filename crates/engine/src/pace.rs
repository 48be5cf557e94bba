//! Processor time and wall time of guests.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use reef_grants::{CpuShare, Limits};
use reef_meter::Meter;
use tokio::sync::oneshot;

use crate::{
    background::{Background, Removal},
    clock::{TICK, Ticker},
};

/// How long a guest may compute on the thread that called it before it is moved aside: until the
/// second interruption in a row, if it had the processor for most of the time between.
pub const BURST: Duration = Duration::from_millis(2 * TICK.as_millis() as u64);

/// Processor time between two interruptions from which on a guest counts as computing. A thread that
/// the kernel took the processor from sees ticks go by as well, and uses none.
const COMPUTING: Duration = Duration::from_micros(TICK.as_micros() as u64 * 7 / 10);

/// A guest that was entered so short a time ago waited for something since the last tick: it goes on. Were it
/// interrupted, a server that many guests wait for would see each of them entered twice a tick.
const ENTERED: Duration = Duration::from_micros(TICK.as_micros() as u64 / 4);

/// A poll that took less is charged as the clock says: what the kernel takes a thread away for is longer.
const SHORT: Duration = Duration::from_micros(100);
/// How long a thread's processor time is taken to be what it was.
const FRESH: Duration = Duration::from_millis(1);

thread_local! {
    /// This thread's processor time when it was last asked for, which is a call of the kernel.
    static ASKED: Cell<Option<Asked>> = const { Cell::new(None) };
}

/// A thread's processor time at a moment.
#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    time: Duration,
    /// What guests were charged since.
    charged: Duration,
}

/// How much unused processor time a workload with a [`CpuShare`] may save up.
const SAVINGS: Duration = Duration::from_millis(100);

/// The processor time of one workload: what it has had and what it may have.
///
/// All its guests share one, wherever they run.
pub struct Share {
    meter: Arc<Meter>,
    /// Time had on the background threads, in nanoseconds: who has had least goes next.
    pub(crate) turn: AtomicU64,
    budget: Option<Mutex<Budget>>,
}

struct Budget {
    cores: f64,
    /// Seconds of processor time in hand; negative when overdrawn.
    saved: f64,
    at: Instant,
}

/// What one guest is doing: shared between its store, which counts interruptions, and the
/// [`Paced`] future that runs it.
pub struct Activity {
    slices: AtomicU32,
    /// When the guest was last entered, in nanoseconds since this was made.
    entered: AtomicU64,
    made: Instant,
    away: AtomicBool,
    share: Arc<Share>,
    ticker: Option<Arc<Ticker>>,
}

/// Runs a guest's future with its processor time metered and, when it computes for long, moves it
/// to the [`Background`].
///
/// Dropping it ends the guest wherever it is.
pub struct Paced<F: Future> {
    state: State<F>,
    activity: Arc<Activity>,
    background: Option<Arc<Background>>,
    /// Interrupted the last time; now its processor time is looked at.
    suspect: bool,
}

enum State<F: Future> {
    Here(Pin<Box<F>>),
    Away { result: oneshot::Receiver<F::Output>, _removal: Removal },
    Done,
}

/// A guest used up its wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline of {} passed", humantime(.0))]
pub struct DeadlinePassed(pub Duration);

/// Runs a future until the workload's deadline, counted from `start`.
///
/// This is the one deadline of Reef: waiting guests are dropped by the timer, computing ones are
/// interrupted at every [`TICK`] and then dropped by the same timer.
///
/// # Errors
/// When the deadline passes first.
pub async fn within<F: Future>(
    deadline: Option<Duration>,
    start: Instant,
    future: F,
) -> Result<F::Output, DeadlinePassed> {
    // A deadline beyond what a clock can say is none.
    match deadline.and_then(|limit| Some((limit, start.checked_add(limit)?))) {
        None => Ok(future.await),
        Some((limit, end)) => {
            tokio::time::timeout_at(end.into(), future).await.map_err(|_| DeadlinePassed(limit))
        }
    }
}

/// Does something, and says how much processor time it took. Not what the kernel gave to others meanwhile; what this
/// thread did up to a millisecond before may be in it.
fn timed<T>(start: Instant, what: impl FnOnce() -> T) -> (T, Duration) {
    let fresh = |asked: &Asked| start.duration_since(asked.at) < FRESH;
    let before = ASKED.get().filter(fresh).unwrap_or_else(|| Asked::now(start));
    ASKED.set(Some(before));
    let done = what();
    let took = start.elapsed();
    if took < SHORT {
        if let Some(asked) = ASKED.get() {
            ASKED.set(Some(Asked { charged: asked.charged + took, ..asked }));
        }
        return (done, took);
    }
    let now = Asked::now(start + took);
    ASKED.set(Some(now));
    (done, took.min(now.time.saturating_sub(before.time).saturating_sub(before.charged)))
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

fn humantime(duration: &Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{} s", millis / 1000)
    } else {
        format!("{millis} ms")
    }
}

// === impl Asked ===

impl Asked {
    fn now(at: Instant) -> Self {
        Self { at, time: thread_time(), charged: Duration::ZERO }
    }
}

// === impl Share ===

impl Share {
    /// The share of a workload with these limits.
    pub fn new(limits: &Limits, meter: Arc<Meter>) -> Self {
        let budget = limits.cpu.map(|cpu| Mutex::new(Budget::new(cpu, Instant::now())));
        Self { meter, turn: AtomicU64::new(0), budget }
    }

    /// The workload's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    fn charge(&self, used: Duration) {
        self.meter.guest_cpu(used);
        if let Some(budget) = &self.budget {
            let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
            budget.refill(Instant::now());
            budget.saved -= used.as_secs_f64();
        }
    }

    /// When the workload may run again; `None` for now.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        let mut budget = self.budget.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        budget.refill(now);
        (budget.saved < 0.0).then(|| now + Duration::from_secs_f64(-budget.saved / budget.cores))
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("turn", &self.turn).finish_non_exhaustive()
    }
}

// === impl Budget ===

impl Budget {
    fn new(cpu: CpuShare, at: Instant) -> Self {
        let cores = cpu.cores();
        Self { cores, saved: cores * SAVINGS.as_secs_f64(), at }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.saved = (self.saved + passed * self.cores).min(self.cores * SAVINGS.as_secs_f64());
    }
}

// === impl Activity ===

impl Activity {
    pub(crate) fn new(share: Arc<Share>, ticker: Option<Arc<Ticker>>) -> Arc<Self> {
        Arc::new(Self {
            slices: AtomicU32::new(0),
            entered: AtomicU64::new(0),
            made: Instant::now(),
            away: AtomicBool::new(false),
            share,
            ticker,
        })
    }

    /// Whether the guest was interrupted while computing since it was last entered: it is not
    /// waiting for anything.
    pub fn is_interrupted(&self) -> bool {
        self.slices.load(Ordering::Relaxed) != 0
    }

    /// Whether the guest was moved to the background. It stays there: work that comes after belongs
    /// on an instance of its own.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// A tick has come while the guest runs: whether it is to let others run.
    pub(crate) fn interrupt(&self) -> bool {
        let now = self.made.elapsed().as_nanos() as u64;
        let computes =
            now - self.entered.load(Ordering::Relaxed).min(now) >= ENTERED.as_nanos() as u64;
        if computes {
            self.slices.fetch_add(1, Ordering::Relaxed);
        }
        computes
    }

    pub(crate) fn share(&self) -> &Arc<Share> {
        &self.share
    }

    /// Polls the guest once; says whether it was interrupted.
    pub(crate) fn poll<F: Future + ?Sized>(
        &self,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> (Poll<F::Output>, Duration, bool) {
        if let Some(ticker) = &self.ticker {
            ticker.touch();
        }
        let start = Instant::now();
        let entered = start.saturating_duration_since(self.made).as_nanos() as u64;
        self.entered.store(entered, Ordering::Relaxed);
        let (poll, used) = timed(start, || future.poll(cx));
        self.share.charge(used);
        let interrupted =
            self.slices.load(Ordering::Relaxed) != 0 && self.slices.swap(0, Ordering::Relaxed) != 0;
        (poll, used, interrupted)
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity").field("slices", &self.slices).finish_non_exhaustive()
    }
}

// === impl Paced ===

impl<F> Paced<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// Wraps the future that runs a guest. Without a background it is metered only.
    pub fn new(activity: Arc<Activity>, background: Option<Arc<Background>>, future: F) -> Self {
        Self { state: State::Here(Box::pin(future)), activity, background, suspect: false }
    }

    fn move_away(&mut self, background: &Arc<Background>) {
        if let State::Here(future) = std::mem::replace(&mut self.state, State::Done) {
            self.activity.away.store(true, Ordering::Relaxed);
            let (sender, result) = oneshot::channel();
            let removal = background.spawn(
                self.activity.clone(),
                Box::pin(async move {
                    // The receiver is gone only when nobody wants the result any more.
                    let _ = sender.send(future.await);
                }),
            );
            self.state = State::Away { result, _removal: removal };
        }
    }
}

impl<F> Future for Paced<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// `None` when the background was shut down with the guest in it.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Here(future) = &mut this.state {
            let mut computing = false;
            let overdrawn = this.background.is_some() && this.activity.share.not_before().is_some();
            if !overdrawn {
                let before = this.suspect.then(thread_time);
                let (poll, _, interrupted) = this.activity.poll(future.as_mut(), cx);
                if let Poll::Ready(output) = poll {
                    this.state = State::Done;
                    return Poll::Ready(Some(output));
                }
                computing =
                    interrupted && before.is_some_and(|before| thread_time() - before >= COMPUTING);
                this.suspect = interrupted;
            }
            match this.background.clone() {
                Some(background) if overdrawn || computing => {
                    this.move_away(&background);
                }
                _ => return Poll::Pending,
            }
        }
        match &mut this.state {
            State::Away { result, .. } => match Pin::new(result).poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(output) => {
                    this.state = State::Done;
                    Poll::Ready(output.ok())
                }
            },
            State::Here(_) => Poll::Pending,
            State::Done => Poll::Ready(None),
        }
    }
}

impl<F: Future> Unpin for Paced<F> {}

impl<F: Future> fmt::Debug for Paced<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").field("activity", &self.activity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
