//! One workload on this host: made, kept, and ended.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use reef_app::Triggers;
use reef_host::deploy::{Placed, PlacedStatus};
use reef_lattice::{
    Key, accept,
    key::kind,
    record::{self, App, Measured, Reported, Revision, Trouble},
};
use reef_planner::{BackOff, Resources, WorkloadKey};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    Shared,
    calls::Serving,
    files::Folder,
    metrics::{self, Rates},
    order,
    routes::Neighbours,
};

/// How long a workload that is not wanted here any more goes on: other hosts may not know yet.
const LINGER: Duration = Duration::from_secs(1);

/// A workload at a revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) workload: WorkloadKey,
    pub(crate) revision: u64,
}

/// A workload that this host was told to run, or was.
pub(crate) struct Placement {
    wanted: watch::Sender<Option<u32>>,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    instances: AtomicU32,
    now: Mutex<Now>,
    rates: Mutex<Rates>,
}

#[derive(Default)]
struct Now {
    made: bool,
    requests: Resources,
    crashes: u32,
    last: Option<(Instant, String)>,
    /// Workloads that it is linked to and that were here when it was made: they are composed into it.
    here: Option<BTreeMap<String, u64>>,
    /// What it is made of.
    folder: Option<Folder>,
    /// It is about to be ended, and nothing keeps it any more.
    ending: bool,
    /// It has no instances, and is kept for when there is work for it.
    asleep: bool,
}

// === impl Place ===

impl Place {
    /// What it is deployed as.
    pub(crate) fn name(&self) -> String {
        name_of(&self.workload, self.revision)
    }
}

/// What a workload at a revision is deployed as on every host.
pub(crate) fn name_of(workload: &WorkloadKey, revision: u64) -> String {
    format!("{workload}@{revision}")
}

// === impl Placement ===

impl Placement {
    /// Makes it run, and goes on trying.
    pub(crate) fn start(shared: &Arc<Shared>, place: &Place, instances: u32) -> Self {
        let (wanted, told) = watch::channel(Some(instances));
        let state = Arc::new(State::default());
        state.instances.store(instances, Ordering::Relaxed);
        let running = run(shared.clone(), place.clone(), state.clone(), told);
        Self { wanted, state, task: tokio::spawn(running) }
    }

    /// So many instances from now on, also of one that was about to go.
    pub(crate) fn set(&self, instances: u32) {
        let now = self.state.now();
        if now.ending {
            // It ends first, and begins anew.
            return;
        }
        self.state.instances.store(instances, Ordering::Relaxed);
        self.wanted.send_if_modified(|wanted| {
            let other = *wanted != Some(instances);
            *wanted = Some(instances);
            other
        });
        drop(now);
    }

    /// Has it look at what else is here.
    pub(crate) fn look(&self) {
        self.wanted.send_modify(|_| {});
    }

    /// It is not wanted here any more.
    pub(crate) fn end(&self) {
        self.wanted.send_replace(None);
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.borrow().is_some()
    }

    /// Whether it only waits for work, which it may never have here.
    pub(crate) fn is_asleep(&self) -> bool {
        self.state.now().asleep
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// What is said of it. `None` once it has ended.
    pub(crate) fn report(&self, shared: &Shared, place: &Place) -> Option<Reported> {
        if self.has_ended() {
            return None;
        }
        let wanted = *self.wanted.borrow();
        let instances = wanted.unwrap_or(0);
        let asked = shared.asked.of(&place.workload);
        let here = shared.host.placed(&place.name(), asked.as_deref().and_then(metrics::own));
        let now = self.state.now();
        let failed = here.as_ref().and_then(|here| here.failed.clone());
        let works = now.made && here.is_some() && failed.is_none();
        let trouble = now.last.as_ref().map(|(at, message)| Trouble {
            message: message.clone(),
            crashes: now.crashes,
            ago: u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        let of_task = failed.map(|message| Trouble { message, crashes: now.crashes, ago: 0 });
        Some(Reported {
            workload: place.workload.clone(),
            revision: place.revision,
            instances,
            ready: if works { instances } else { 0 },
            requests: now.requests,
            trouble: of_task.or(trouble.filter(|_| !works)),
            measured: here.map(|here| self.measured(&here, asked.as_deref())).unwrap_or_default(),
        })
    }

    /// What was measured of it, with the metric that it is scaled by.
    fn measured(&self, here: &PlacedStatus, asked: Option<&str>) -> Measured {
        let mut measured = crate::heartbeat::measured(&here.meter);
        if let Some(name) = asked {
            let mut rates = self.state.rates.lock().unwrap_or_else(PoisonError::into_inner);
            let ours = rates.look(name, &measured, Instant::now());
            measured.metrics.extend(here.metric.or(ours).map(|value| (name.to_owned(), value)));
        }
        measured
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it ends, as it is not wanted: from then on it is not wanted again.
    fn ends(&self, wanted: &watch::Receiver<Option<u32>>) -> bool {
        // Nobody says otherwise while this is held.
        let mut now = self.now();
        now.ending = wanted.borrow().is_none();
        now.asleep = false;
        now.ending
    }

    fn failed(&self, message: String) -> u32 {
        let mut now = self.now();
        let forgotten = BackOff::default().forget;
        if now.last.as_ref().is_some_and(|(at, _)| at.elapsed() > forgotten) {
            now.crashes = 0;
        }
        now.crashes = now.crashes.saturating_add(1);
        now.last = Some((Instant::now(), message));
        now.crashes
    }
}

async fn run(
    shared: Arc<Shared>,
    place: Place,
    state: Arc<State>,
    mut wanted: watch::Receiver<Option<u32>>,
) {
    let name = place.name();
    loop {
        let making = make(&shared, &place, &state);
        let made = tokio::select! {
            made = making => Some(made),
            () = unwanted(&mut wanted) => None,
        };
        match made {
            None if state.ends(&wanted) => return,
            None => {}
            Some(Ok(())) => {
                // What is said to be ready runs after a start without the store, too.
                shared.kept.written().await;
                break;
            }
            Some(Err(error)) => {
                let crashes = state.failed(error.clone());
                let pause = pause(crashes);
                tracing::warn!(
                    workload = name,
                    error,
                    "It does not run here; it is tried again in {pause:?}."
                );
                shared.changed.notify_one();
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = unwanted(&mut wanted) => {
                        if state.ends(&wanted) {
                            return;
                        }
                    }
                }
            }
        }
    }
    let mut serving = None;
    let mut before = 0;
    loop {
        let instances = *wanted.borrow_and_update();
        let Some(instances) = instances else {
            state.now().made = false;
            shared.changed.notify_one();
            if is_wanted_again(&shared, &place, &state, &mut wanted).await {
                continue;
            }
            break;
        };
        // What it is linked to has come here, or has left.
        if has_moved(&shared, &place, &state).await {
            if let Err(error) = make(&shared, &place, &state).await {
                tracing::warn!(workload = name, error, "It goes on with the links that it had.");
            }
            before = 0;
        }
        shared.host.set_instances(&name, instances);
        if before != instances {
            let new = Serving::start(&shared, &place, instances).await;
            if let Some(old) = serving.replace(new) {
                tokio::spawn(old.stop(LINGER));
            }
            before = instances;
        }
        if !std::mem::replace(&mut state.now().made, true) {
            tracing::info!(workload = name, "Runs here.");
        }
        shared.changed.notify_one();
        if wanted.changed().await.is_err() {
            return;
        }
    }
    if let Some(serving) = serving {
        serving.stop(LINGER).await;
    }
    if let Err(error) = shared.host.stop(&name).await {
        tracing::warn!(workload = name, %error, "It could not be ended.");
    } else {
        tracing::info!(workload = name, "Does not run here any more.");
    }
    shared.changed.notify_one();
}

/// Waits for a while though it is not wanted here any more. Whether it is wanted again.
async fn is_wanted_again(
    shared: &Shared,
    place: &Place,
    state: &State,
    wanted: &mut watch::Receiver<Option<u32>>,
) -> bool {
    loop {
        let again = tokio::time::timeout(LINGER, wanted.wait_for(Option::is_some));
        if matches!(again.await, Ok(Ok(_))) {
            state.now().asleep = false;
            return true;
        }
        // One that has no work stays made, without instances, so that its next request does not wait for that.
        if shared.has_slept(place).await && !shared.is_leaving() {
            state.now().asleep = true;
        } else {
            return !state.ends(wanted);
        }
    }
}

impl Shared {
    /// Whether a workload is wanted as it is here, and has no instances only for as long as it has no work.
    async fn has_slept(&self, place: &Place) -> bool {
        let WorkloadKey { namespace, app, workload } = &place.workload;
        let Ok(key) = Key::new(&[kind::APP, namespace, app]) else { return false };
        let Some(entry) = self.records.mirror.get(&key) else { return false };
        let Ok(record) = record::decode::<App>(key.as_str(), &entry.value) else { return false };
        let Some(number) = record.wanted.filter(|_| !record.deleted) else { return false };
        let Ok(revision) = self.revision(namespace, app, number).await else { return false };
        let planned = revision.workloads.get(&**workload);
        let is_this = planned.is_some_and(|one| one.revision.number == place.revision);
        let scaled = revision.autoscale.get(&**workload);
        let to_zero = scaled.is_some_and(|scale| scale.to_zero.is_some());
        is_this && to_zero && only_answers(&revision, workload)
    }
}

/// Whether nothing starts a workload but who asks it.
fn only_answers(revision: &Revision, workload: &str) -> bool {
    let Ok(application) = accept::application(revision) else { return false };
    let own = application.workloads.into_iter().find(|one| one.name.as_str() == workload);
    own.is_some_and(|own| {
        let requests = Triggers { http: own.trigger.http.clone(), ..Triggers::default() };
        own.trigger == requests
    })
}

/// Whether what a workload is linked to has come here or left since it was made, or is another revision now.
async fn has_moved(shared: &Arc<Shared>, place: &Place, state: &State) -> bool {
    let WorkloadKey { namespace, app, .. } = &place.workload;
    let Ok(revision) = shared.revision(namespace, app, place.revision).await else { return false };
    let here = order::linked_here(shared, place, &revision).await;
    here.is_ok_and(|here| state.now().here.as_ref() != Some(&numbers(&here)))
}

fn numbers(here: &order::Here) -> BTreeMap<String, u64> {
    here.iter().map(|(name, revision)| (name.clone(), revision.number)).collect()
}

async fn unwanted(wanted: &mut watch::Receiver<Option<u32>>) {
    let _ = wanted.wait_for(Option::is_none).await;
}

/// The pause after so many failures in a row.
fn pause(crashes: u32) -> Duration {
    let policy = BackOff::default();
    let doubled = 1_u32.checked_shl(crashes.saturating_sub(1)).unwrap_or(u32::MAX);
    policy.first.saturating_mul(doubled).min(policy.longest).mul_f64(0.75 + fastrand::f64() / 4.0)
}

async fn make(shared: &Arc<Shared>, place: &Place, state: &Arc<State>) -> Result<(), String> {
    let WorkloadKey { namespace, app, workload } = &place.workload;
    let revision = shared.revision(namespace, app, place.revision).await?;
    let here = order::linked_here(shared, place, &revision).await?;
    let parts = order::Parts::of(&revision, workload, &here)?;
    if let Some(planned) = revision.workloads.get(&**workload) {
        state.now().requests = planned.revision.requests;
    }
    let folder = shared.files.folder(&parts.files).await.map_err(|error| error.to_string())?;
    let placed = Placed {
        key: place.name().into(),
        workload: parts.workload.clone(),
        instances: Arc::new(AtomicU32::new(state.instances.load(Ordering::Relaxed))),
        linked: parts.linked,
        others: Arc::new(Neighbours::new(shared, &place.workload)),
    };
    let order = parts.order(&revision, folder.path().to_owned(), placed);
    shared.host.apply(order).await.map_err(|error| format!("{error:#}"))?;
    let mut now = state.now();
    (now.here, now.folder) = (Some(numbers(&here)), Some(folder));
    Ok(())
}
