//! The core on a lattice.

mod listen;
mod objects;
#[cfg(test)]
mod place;
#[cfg(test)]
mod tests;

pub(crate) use listen::Outage;
pub(crate) use objects::FRESH;
pub use objects::Retention;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use reef_lattice::{Failure, Lattice, record::HEARTBEAT};
use reef_planner::Time;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    api::{self, Pin},
    core::{AppKey, Core, Name, Outcome, Settings, Turn, Write},
};

/// Between two turns, at least and at most: as long as the last one took, so that there is time for all else.
const APART: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// How much earlier a turn may come, after a quiet time: what one thing leads to is seen to without a wait.
const EARLY: Duration = Duration::from_millis(3);
/// How long a write may take before nothing is known of it.
const WRITE: Duration = Duration::from_secs(5);
/// How long writes under way are waited for at the end.
const LAST: Duration = Duration::from_secs(1);

/// Statuses that wait to be told.
const STATUSES: usize = 1024;

/// How a controller behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What others see of it: `controller` and chance, if nothing is said.
    pub name: Option<String>,
    /// Whether it wants to lead; else it only answers clients.
    pub leads: bool,
    /// How the core behaves. (Its `holder` and `leads` are those above.)
    pub settings: Settings,
    /// What makes artifacts ready that manifests name, for clients that do not. Without it, they are refused.
    pub pin: Option<Arc<dyn Pin>>,
    /// How long objects stay that no revision is made of.
    pub retention: Retention,
}

/// A controller that runs. Dropped, it ends without a word: another one leads once its lease is over.
#[derive(Debug)]
pub struct Controller {
    shared: Arc<Shared>,
    end: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// What the tasks of a controller share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) lattice: Lattice,
    pub(crate) holder: Arc<str>,
    pub(crate) pin: Option<Arc<dyn Pin>>,
    /// What is known of artifacts that were looked at.
    pub(crate) looked: api::Looked,
    /// Where applications are reached.
    pub(crate) places: api::Places,
    core: Mutex<Core>,
    /// Something happened.
    happened: Notify,
    begun: (u64, Instant),
    /// Since when hosts are heard.
    pub(crate) hears: OnceLock<Instant>,
    /// Applications whose status was written here.
    statuses: (mpsc::Sender<AppKey>, AsyncMutex<mpsc::Receiver<AppKey>>),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: None,
            leads: true,
            settings: Settings::default(),
            pin: None,
            retention: Retention::default(),
        }
    }
}

// === impl Controller ===

impl Controller {
    /// Begins, on the present runtime. The lattice need not be there yet.
    pub fn start(lattice: Lattice, options: Options) -> Self {
        let name = options.name.unwrap_or_else(|| "controller".to_owned());
        let holder: Arc<str> = format!("{name}-{:016x}", fastrand::u64(..)).into();
        let settings =
            Settings { holder: holder.clone(), leads: options.leads, ..options.settings };
        let (statuses, told) = mpsc::channel(STATUSES);
        let shared = Arc::new(Shared {
            lattice,
            holder,
            pin: options.pin,
            looked: api::Looked::default(),
            places: api::Places::default(),
            core: Mutex::new(Core::new(settings)),
            happened: Notify::new(),
            begun: (wall(), Instant::now()),
            hears: OnceLock::new(),
            statuses: (statuses, AsyncMutex::new(told)),
        });
        let (end, ended) = watch::channel(false);
        let task = tokio::spawn(run(shared.clone(), options.retention, ended));
        Self { shared, end, task: Some(task) }
    }

    /// Whether it leads now.
    pub fn leads(&self) -> bool {
        self.shared.core().term().is_some()
    }

    /// Whether it knows all that is wanted and has had the time to hear of each host, and answers clients.
    pub fn is_current(&self) -> bool {
        self.shared.is_current()
    }

    /// Ends it; if it led, another one leads at once. Takes a second or two at most.
    pub async fn stop(mut self) {
        self.end.send_replace(true);
        if let Some(task) = self.task.take() {
            // It ends within its own deadlines.
            let _ = task.await;
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it knows all that is wanted, and each host has had the time to say once how it is.
    pub(crate) fn is_current(&self) -> bool {
        let heard = self.hears.get().is_some_and(|since| since.elapsed() >= HEARTBEAT);
        heard && self.core().is_current()
    }

    /// Milliseconds since 1970, by a clock that only goes forward, as fast as time does.
    pub(crate) fn now(&self) -> Time {
        let (wall, begun) = self.begun;
        Time(wall).after(begun.elapsed())
    }

    /// Tells the core something.
    fn tell(&self, what: impl FnOnce(&mut Core, Time)) {
        let now = self.now();
        what(&mut self.core(), now);
        self.happened.notify_one();
    }

    /// What became of a write.
    fn wrote(&self, name: &Name, outcome: Outcome) {
        let done = matches!(outcome, Outcome::Done(_));
        self.tell(|core, now| core.wrote(now, name, outcome));
        if let Name::Status(app) = name
            && done
        {
            // Who listens hears of the next one, if there is no room for this.
            let _ = self.statuses.0.try_send(app.clone());
        }
    }

    fn turn(&self) -> Turn {
        let now = self.now();
        self.core().turn(now)
    }

    fn write(self: &Arc<Self>, write: Write) -> BoxFuture<'static, (Name, Outcome)> {
        let (shared, store) = (self.clone(), self.lattice.store.clone());
        let led = self.core().leads(self.now());
        Box::pin(async move {
            let writing = async {
                match write.value {
                    Some(value) => store.put(&write.key, value, write.before).await.map(Some),
                    None => store.delete(&write.key, write.before).await.map(|()| None),
                }
            };
            // What a store does not take is tried again: not once another one may lead.
            let over = async {
                match (&write.name, led) {
                    (Name::Leader, _) => std::future::pending().await,
                    (_, Some((term, _))) => shared.over(term).await,
                    (_, None) => {}
                }
            };
            let outcome = tokio::select! {
                done = timeout(WRITE, writing) => match done {
                    Ok(Ok(revision)) => Outcome::Done(revision),
                    Ok(Err(Failure::Conflict(_))) => Outcome::Conflict,
                    Ok(Err(failure)) => Outcome::Failed(failure.to_string()),
                    Err(_) => Outcome::Failed(Failure::Timeout(WRITE).to_string()),
                },
                () = over => Outcome::Failed("the term was over before it was taken".to_owned()),
            };
            (write.name, outcome)
        })
    }

    /// Waits until a term in which this one leads is over.
    async fn over(&self, term: u64) {
        loop {
            let now = self.now();
            let leads = self.core().leads(now).filter(|(leads, _)| *leads == term);
            let Some((_, until)) = leads else { return };
            sleep_until(Instant::now() + Duration::from_millis(until.0.saturating_sub(now.0)))
                .await;
        }
    }
}

/// Tells clients of wadm how applications are, as that changes.
async fn tell_statuses(shared: Arc<Shared>) {
    let mut statuses = shared.statuses.1.lock().await;
    while let Some(app) = statuses.recv().await {
        let Some(message) = crate::wadm::told(&shared, &app) else { continue };
        let _ = timeout(WRITE, shared.lattice.bus.publish(message)).await;
    }
}

fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// All of a controller, until it is to end.
async fn run(shared: Arc<Shared>, retention: Retention, mut ended: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(listen::store(shared.clone()));
    tasks.spawn(listen::heartbeats(shared.clone()));
    tasks.spawn(listen::demand(shared.clone()));
    tasks.spawn(listen::pulse(shared.clone()));
    tasks.spawn(api::answer(shared.clone()));
    tasks.spawn(tell_statuses(shared.clone()));
    tasks.spawn(objects::tidy(shared.clone(), retention));
    let mut writes: FuturesUnordered<BoxFuture<'static, (Name, Outcome)>> = FuturesUnordered::new();
    let mut wake = Instant::now();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            _ = ended.wait_for(|end| *end) => break,
            () = shared.happened.notified() => {}
            Some((name, outcome)) = writes.next(), if !writes.is_empty() => {
                shared.wrote(&name, outcome);
                continue;
            }
            () = sleep_until(wake) => {}
        }
        // Whatever happens meanwhile is seen then; but writes go on.
        let early = Instant::now() + EARLY;
        if early < next && !pause(&shared, &mut writes, next - EARLY, &mut ended).await {
            break;
        }
        let begun = Instant::now();
        let turn = {
            // On large lattices it computes for a while.
            let shared = shared.clone();
            match tokio::task::spawn_blocking(move || shared.turn()).await {
                Ok(turn) => turn,
                Err(error) => {
                    tracing::error!(%error, "A turn of the controller failed.");
                    Turn::default()
                }
            }
        };
        let (least, most) = APART;
        next = next.max(Instant::now()) + begun.elapsed().clamp(least, most);
        tell(&shared, &turn);
        writes.extend(turn.writes.into_iter().map(|write| shared.write(write)));
        let now = shared.now();
        let after = turn.wake.map_or(HEARTBEAT, |at| {
            Duration::from_millis(at.0.saturating_sub(now.0)).min(Duration::from_secs(60))
        });
        wake = Instant::now() + after;
    }
    let ending = async {
        while let Some((name, outcome)) = writes.next().await {
            shared.wrote(&name, outcome);
        }
    };
    let _ = timeout(LAST, ending).await;
    let now = shared.now();
    let resigned = shared.core().resign(now);
    if let Some(write) = resigned {
        let _ = timeout(LAST, shared.write(write)).await;
    }
    tasks.shutdown().await;
}

/// Lets time pass; whether it is not to end.
async fn pause(
    shared: &Arc<Shared>,
    writes: &mut FuturesUnordered<BoxFuture<'static, (Name, Outcome)>>,
    until: Instant,
    ended: &mut watch::Receiver<bool>,
) -> bool {
    loop {
        tokio::select! {
            _ = ended.wait_for(|end| *end) => return false,
            Some((name, outcome)) = writes.next(), if !writes.is_empty() => {
                shared.wrote(&name, outcome);
            }
            () = sleep_until(until) => return true,
        }
    }
}

fn tell(shared: &Shared, turn: &Turn) {
    for note in &turn.notes {
        let lattice = &*shared.lattice.name;
        if note.is_warning() {
            tracing::warn!(lattice, "{note}");
        } else {
            tracing::info!(lattice, "{note}");
        }
    }
}
