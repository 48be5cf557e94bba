//! Applications on this host: the one way from a description to running code.
//!
//! A [`Host`] holds applications, each with its revisions. [`Host::apply`] makes a revision ready beside
//! the one that runs, lets traffic move when it is, and ends the old one: what did not change is kept as
//! it is, instances and all. When anything of the new one fails, it is dropped, and the old one goes on.

mod capabilities;
mod error;
mod files;
mod make;
mod messaging;
mod order;
mod reachable;
mod revision;
mod runtime;
mod status;
mod takeover;
mod turn;
mod variables;
mod watch;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use reef_app::{Application, HttpTrigger, Link, Name};
use reef_bus::{Bus, InProcess};
use reef_capability::Secret;
use reef_engine::{Background, Engine};
use reef_http::{StaticFiles, Workers};
use reef_messaging::Messaging;
use reef_telemetry::Outbox;
use reef_wasi::Next;

use self::{
    capabilities::Backends,
    reachable::Outside,
    takeover::stop_all,
    turn::{Doing, Turn, Turns},
};
pub(crate) use self::{capabilities::CapabilityLink, messaging::on_bus};
pub use self::{
    error::DeployError,
    files::{files_seen, leads_outside},
    order::{WORKER, environment_name},
    runtime::runtime_folders,
    status::{ApplicationStatus, PlacedStatus, TriggerStatus, WorkloadStatus},
    turn::{Change, Event, Stage, Watcher},
};
pub use crate::task::{Phase, TaskStatus};
use crate::{
    Workload,
    fetch::{Fetched, Fetcher},
    remote::Callee,
    serve::{Ingress, Mounted, Script, ServeOptions},
    task::{Plan, Task},
};

/// How long an instance may take to be made, when nothing else is said.
const STARTING: Duration = Duration::from_secs(30);
/// How long runs and connections of a revision that was replaced may go on.
const GRACE: Duration = Duration::from_secs(30);

/// What is to be deployed.
#[derive(Clone)]
pub struct Order {
    /// The application.
    pub application: Application,
    /// What its paths start from.
    pub folder: PathBuf,
    /// Values of its variables, over their defaults.
    pub values: BTreeMap<Name, String>,
    /// Values that its sources of variables had, when it was last made.
    pub sourced: BTreeMap<Name, Secret>,
    /// Whether the application's name stands before its workloads', as there may be others beside it.
    pub qualified: bool,
    /// Whether an instance of each workload is tried before it takes over.
    pub tried: bool,
    /// Where a lattice places its workloads one by one: which of them this is.
    pub placed: Option<Placed>,
}

/// A workload that a lattice placed on this host, one of several perhaps.
#[derive(Clone)]
pub struct Placed {
    /// What it is deployed as: revisions of one workload may be here at once.
    pub key: Arc<str>,
    /// Which workload of the application, which has what it is made of beside it.
    pub workload: Name,
    /// How many instances of it there may be.
    pub instances: Arc<AtomicU32>,
    /// Whether other workloads send requests to it.
    pub linked: bool,
    /// Where the others are.
    pub others: Arc<dyn Others>,
}

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placed").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The other workloads of an application that is placed on many hosts.
pub trait Others: Send + Sync {
    /// The way to the one that a link is to, for requests.
    fn workload(&self, link: &Link) -> Arc<dyn Next>;
    /// The way to the application's own routes.
    fn own_routes(&self) -> Arc<dyn Next>;
    /// Who answers what a link to a workload is for that is not composed in here.
    fn callee(&self, link: &Link) -> Arc<dyn Callee>;
}

/// What an apply has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The application.
    pub application: String,
    /// The revision that runs now.
    pub revision: u64,
    /// Workloads that were made anew, by name.
    pub made: Vec<String>,
    /// Workloads that went on as they were.
    pub kept: Vec<String>,
    /// Workloads that are gone.
    pub gone: Vec<String>,
    /// Whether anything is different from before. Where nothing is, the revision is the one before.
    pub changed: bool,
}

/// Applications on this machine, behind one listener.
pub struct Host {
    engine: Arc<Engine>,
    ingress: Arc<Ingress>,
    workers: Workers,
    background: Arc<Background>,
    bus: Arc<dyn Bus>,
    /// The same as what a link may be to.
    messages: Arc<dyn Messaging>,
    backends: Backends,
    applications: Mutex<BTreeMap<String, Deployed>>,
    outside: Outside,
    /// Held while a table is made and put in place: changes beside each other do not undo each other.
    installing: Mutex<()>,
    snapshots: runtime::Snapshots,
    fetcher: Fetcher,
    turns: Turns,
    /// Where what guests measure and log goes.
    outbox: OnceLock<Outbox>,
}

/// An application and its revisions, the present one last.
struct Deployed {
    revisions: VecDeque<Arc<Revision>>,
    tasks: Vec<Running>,
    count: u64,
}

/// One accepted version of an application, everything in it made.
struct Revision {
    number: u64,
    since: SystemTime,
    order: Order,
    units: Vec<Arc<Unit>>,
    chains: Vec<Arc<Chain>>,
    plans: Vec<(Arc<Unit>, Plan)>,
    /// What is answered without a guest.
    fixed: Vec<Mounted>,
}

/// A workload that was made.
struct Unit {
    identity: make::Identity,
    /// Its name in the application.
    name: Name,
    workload: Arc<Workload>,
    /// Routes that it tells of itself.
    routes: Option<reef_wagi::routes::DynamicRoutes>,
    /// The files that it sees, for as long as it is there.
    copies: Option<Arc<tempfile::TempDir>>,
}

/// A workload at a route, with what stands in front.
struct Chain {
    trigger: HttpTrigger,
    /// What of its route is the base of all of its application.
    base: String,
    options: ServeOptions,
    /// Whether it is reached from outside, and not only by other workloads of its application.
    public: bool,
    script: Script,
    files: Option<StaticFiles>,
    /// The workload, then its middleware, outermost first.
    units: Vec<Arc<Unit>>,
    mounted: Mounted,
}

struct Running {
    unit: Arc<Unit>,
    task: Task,
}

// === impl Host ===

impl Host {
    /// A host without applications. `scripts`: the folder where scripts that were evaluated are kept for
    /// the next start. `fetcher`: has what is not on this machine. `data`: where applications keep what is
    /// theirs; without one, it is in memory.
    pub fn new(
        engine: Arc<Engine>,
        ingress: Arc<Ingress>,
        workers: Workers,
        background: Arc<Background>,
        scripts: Option<PathBuf>,
        fetcher: Fetcher,
        data: Option<PathBuf>,
    ) -> Arc<Self> {
        let bus: Arc<dyn Bus> = Arc::new(InProcess::default());
        let messages = reef_messaging::in_process(bus.clone());
        let backends = Backends::new(data);
        // The first is the one of links that name none.
        if let Some(in_process) = reef_messaging::BACKENDS.first() {
            backends.messaging.keep(in_process, &messages);
        }
        Arc::new(Self {
            engine,
            ingress,
            workers,
            background,
            bus,
            messages,
            backends,
            applications: Mutex::default(),
            outside: Outside::default(),
            installing: Mutex::default(),
            snapshots: runtime::Snapshots::new(scripts),
            fetcher,
            turns: Turns::default(),
            outbox: OnceLock::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Deployed>> {
        self.applications.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what is ordered run, in the place of what runs under its name.
    ///
    /// # Errors
    /// When anything of it cannot be made, started or reached: then nothing has changed.
    pub async fn apply(self: &Arc<Self>, order: Order) -> Result<Applied, DeployError> {
        let turn = self.turns.begin("apply", order.key(), order.placed.is_some()).await?;
        let before = self.current(order.key());
        self.replace(turn, order, before, None).await
    }

    /// Makes an application anew, or one of its workloads: with fresh instances, though nothing of it
    /// has changed.
    ///
    /// # Errors
    /// When there is no such application or workload; otherwise as [`Host::apply`].
    pub async fn restart(
        self: &Arc<Self>,
        application: &str,
        workload: Option<&str>,
    ) -> Result<Applied, DeployError> {
        let turn = self.turns.begin("restart", application, false).await?;
        let before = self.current(application).ok_or_else(|| self.unknown(application))?;
        if let Some(workload) = workload
            && !before.order.application.workloads.iter().any(|one| one.name.as_str() == workload)
        {
            let (application, workload) = (application.to_owned(), workload.to_owned());
            return Err(DeployError::NoWorkload { application, workload });
        }
        let order = before.order.clone();
        self.replace(turn, order, Some(before), Some(Restart(workload.map(str::to_owned)))).await
    }

    /// Goes back to a revision that ran before: the one before the present, if none is named.
    ///
    /// # Errors
    /// When there is none such; otherwise as [`Host::apply`].
    pub async fn rollback(
        self: &Arc<Self>,
        application: &str,
        to: Option<u64>,
    ) -> Result<Applied, DeployError> {
        let turn = self.turns.begin("rollback", application, false).await?;
        let (wanted, current, there) = {
            let applications = self.lock();
            let deployed =
                applications.get(application).ok_or_else(|| unknown(application, &applications))?;
            let earlier = deployed.revisions.iter().rev().skip(1);
            let wanted = match to {
                None => earlier.clone().next(),
                Some(number) => earlier.clone().find(|revision| revision.number == number),
            };
            let there = earlier.map(|revision| revision.number).collect::<Vec<_>>();
            (wanted.cloned(), deployed.revisions.back().cloned(), there)
        };
        let Some(wanted) = wanted else {
            let application = application.to_owned();
            return Err(DeployError::NoRevision { application, there });
        };
        let runs = |chain: &Arc<Chain>| {
            current.as_ref().is_some_and(|now| now.chains.iter().any(|one| Arc::ptr_eq(one, chain)))
        };
        let chains = wanted.chains.iter().map(|chain| match runs(chain) {
            true => Ok(chain.clone()),
            false => self.mount_again(&wanted.order, chain),
        });
        // What it was made of is still there: the files may have changed since.
        let again = Revision {
            number: 0,
            since: SystemTime::now(),
            order: wanted.order.clone(),
            units: wanted.units.clone(),
            chains: chains.collect::<Result<_, _>>()?,
            plans: wanted.plans.clone(),
            fixed: wanted.fixed.clone(),
        };
        self.put(turn, again).await
    }

    /// Ends an application, and calls off what is being done with it.
    ///
    /// # Errors
    /// When there is none of that name, or another change is in the way.
    pub async fn stop(&self, application: &str) -> Result<(), DeployError> {
        let called_off = self.turns.call_off(application);
        let placed = self.current(application).is_some_and(|now| now.order.placed.is_some());
        let _turn = self.turns.begin("stop", application, placed).await?;
        let removed = {
            let mut applications = self.lock();
            match applications.remove(application) {
                Some(removed) => removed,
                None if called_off => return Ok(()),
                None => return Err(unknown(application, &applications)),
            }
        };
        let _ = self.install();
        stop_all(removed.tasks, GRACE).await;
        Ok(())
    }

    /// Begins no run and takes no connection any more; ends when those in progress have, or after
    /// `grace`. Requests are answered on. What is being changed is called off, and nothing is changed
    /// any more.
    pub async fn end_tasks(&self, grace: Duration) {
        self.turns.close();
        self.turns.ended(grace).await;
        let tasks = self
            .lock()
            .values_mut()
            .flat_map(|deployed| std::mem::take(&mut deployed.tasks))
            .collect();
        stop_all(tasks, grace).await;
    }

    /// Takes everything down. Instances that are at work end with their work.
    pub fn close(&self) {
        self.ingress.close();
        self.lock().clear();
    }

    /// Exports what guests measure and log by themselves. To be said before anything is applied; the first one
    /// counts.
    pub fn export(&self, outbox: Outbox) {
        let _ = self.outbox.set(outbox);
    }

    /// Has somebody told of what happens in changes. The first one counts.
    pub fn watch(&self, watcher: Watcher) {
        self.turns.watch(watcher);
    }

    /// What is being changed now.
    pub fn change(&self) -> Option<Change> {
        self.turns.present()
    }

    /// What answers requests here.
    pub fn ingress(&self) -> &Arc<Ingress> {
        &self.ingress
    }

    /// What carries messages here, for all applications.
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    /// Every workload that is deployed, each time that it was made.
    pub fn workloads(&self) -> Vec<Arc<Workload>> {
        let applications = self.lock();
        let current = applications.values().filter_map(|deployed| deployed.revisions.back());
        current.flat_map(|revision| revision.workloads().cloned().collect::<Vec<_>>()).collect()
    }

    fn current(&self, application: &str) -> Option<Arc<Revision>> {
        self.lock().get(application).and_then(|deployed| deployed.revisions.back().cloned())
    }

    fn unknown(&self, application: &str) -> DeployError {
        unknown(application, &self.lock())
    }

    /// How many instances there may be of a workload that was placed here.
    pub fn set_instances(&self, key: &str, instances: u32) {
        let Some(current) = self.current(key) else { return };
        if let Some(placed) = &current.order.placed {
            placed.instances.store(instances, Ordering::Relaxed);
        }
        current.chains.iter().for_each(|chain| chain.mounted.set_instances(instances));
    }

    /// `before`: what runs, of which what is the same may be kept.
    async fn replace(
        self: &Arc<Self>,
        turn: Turn,
        mut order: Order,
        before: Option<Arc<Revision>>,
        restart: Option<Restart>,
    ) -> Result<Applied, DeployError> {
        order.sourced = turn.unless_called_off(self.sourced(&order)).await?;
        let fetching = self.fetch(&order, restart.as_ref());
        let fetched = turn.unless_called_off(fetching).await?;
        let (host, doing) = (self.clone(), turn.doing.clone());
        // Compiling takes as long as it takes, and must not hold anything else up.
        let making = tokio::task::spawn_blocking(move || {
            host.make(order, before.as_deref(), restart.as_ref(), &fetched, &doing)
        });
        let made = async { making.await.map_err(|_| DeployError::Stopped)? };
        let made = turn.unless_called_off(made).await?;
        self.put(turn, made).await
    }

    /// Fetches what of an order is not on this machine, each once.
    async fn fetch(
        &self,
        order: &Order,
        restart: Option<&Restart>,
    ) -> Result<Fetched, DeployError> {
        let wanted = restart.and_then(|restart| restart.wanted(&order.application));
        let fetched = self.fetcher.fetch_all(wanted.as_ref().unwrap_or(&order.application)).await;
        fetched.map_err(|(workload, cause)| DeployError::Fetch {
            workload: order.qualified(workload),
            cause: cause.into(),
        })
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lock().keys()).finish()
    }
}

/// What is made anew though it has not changed: one workload, or all.
struct Restart(Option<String>);

impl Restart {
    /// The part of an application that one workload is made of, with those that it is a part of.
    fn wanted(&self, application: &Application) -> Option<Application> {
        let target = self.0.as_deref()?;
        let made = application.workloads.iter().filter(|one| make::has_part(one, target));
        let names: HashSet<_> = made
            .flat_map(|one| {
                let middleware = one.trigger.http.iter().flat_map(|trigger| &trigger.middleware);
                let linked = one.links.iter().filter_map(|link| link.workload.as_ref());
                let parts = middleware.chain(linked).map(|name| name.value.clone());
                std::iter::once(one.name.value.clone()).chain(parts)
            })
            .collect();
        let mut wanted = application.clone();
        wanted.workloads.retain(|one| names.contains(&one.name.value));
        Some(wanted)
    }
}

fn unknown(application: &str, there: &BTreeMap<String, Deployed>) -> DeployError {
    let there = there.keys().cloned().collect();
    DeployError::NoApplication { application: application.to_owned(), there }
}
