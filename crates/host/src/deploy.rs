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
mod revision;
mod runtime;
mod status;
mod turn;
mod variables;
mod watch;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use reef_app::{Application, HttpTrigger, Name};
use reef_bus::{Bus, InProcess};
use reef_capability::Secret;
use reef_engine::{Background, Engine};
use reef_http::{StaticFiles, Workers};
use reef_messaging::Messaging;
use reef_wasi::Stdio;

use self::{
    capabilities::Backends,
    revision::address,
    turn::{Doing, Turn, Turns},
};
pub(crate) use self::{capabilities::CapabilityLink, messaging::on_bus};
pub use self::{
    error::DeployError,
    files::leads_outside,
    order::{WORKER, environment_name},
    runtime::runtime_folders,
    status::{ApplicationStatus, TriggerStatus, WorkloadStatus},
    turn::{Change, Event, Stage, Watcher},
};
pub use crate::task::{Phase, TaskStatus};
use crate::{
    Workload,
    command::{self, Given},
    fetch::{Fetched, Fetcher},
    serve::{Ingress, Mounted, Script, ServeOptions, Table},
    task::{Inlet, OpenError, Plan, Task},
};

/// How many revisions of an application are kept to go back to.
const REVISIONS: usize = 10;
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
    snapshots: runtime::Snapshots,
    fetcher: Fetcher,
    turns: Turns,
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
            snapshots: runtime::Snapshots::new(scripts),
            fetcher,
            turns: Turns::default(),
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
        let turn = self.turns.begin("apply", order.application.name.as_str()).await?;
        let before = self.current(order.application.name.as_str());
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
        let turn = self.turns.begin("restart", application).await?;
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
        let turn = self.turns.begin("rollback", application).await?;
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
        let _turn = self.turns.begin("stop", application).await?;
        let removed = {
            let mut applications = self.lock();
            match applications.remove(application) {
                Some(removed) => removed,
                None if called_off => return Ok(()),
                None => return Err(unknown(application, &applications)),
            }
        };
        if let Ok(table) = Table::new(self.mounted()) {
            self.ingress.install(table);
        }
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

    /// What is reachable of all applications.
    fn mounted(&self) -> Vec<Mounted> {
        let applications = self.lock();
        let current = applications.values().filter_map(|deployed| deployed.revisions.back());
        current.flat_map(|revision| revision.mounted().collect::<Vec<_>>()).collect()
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

    /// Lets a revision take over, if it is ready.
    async fn put(self: &Arc<Self>, turn: Turn, made: Revision) -> Result<Applied, DeployError> {
        let name = made.order.application.name.to_string();
        let before = self.current(&name);
        let getting_ready = async {
            // Conflicts first: they cost nothing to find.
            let table = self.table_with(&name, &made)?;
            self.starts(&made, before.as_deref(), &turn.doing).await?;
            Ok((table, self.bind(&name, &made).await?))
        };
        let (table, binding) = turn.unless_called_off(getting_ready).await?;
        let host = self.clone();
        // It is not left half done when whoever asked for it is gone.
        let taking_over = tokio::spawn(async move {
            let applied = host.take_over(name, made, before, table, binding).await;
            turn.doing.done();
            drop(turn);
            applied
        });
        taking_over.await.map_err(|_| DeployError::Stopped)
    }

    /// From here on nothing fails.
    async fn take_over(
        &self,
        name: String,
        mut made: Revision,
        before: Option<Arc<Revision>>,
        table: Table,
        binding: Vec<Bound>,
    ) -> Applied {
        made.connect();
        self.ingress.install(table);
        let (applied, old) = {
            let mut applications = self.lock();
            let deployed = applications.entry(name.clone()).or_insert_with(|| Deployed {
                revisions: VecDeque::new(),
                tasks: Vec::new(),
                count: 0,
            });
            let old = std::mem::take(&mut deployed.tasks);
            match before.as_deref().filter(|before| made.is_like(before)) {
                Some(before) => {
                    // What it was before stays there to go back to. Folders were opened anew.
                    (made.number, made.since) = (before.number, before.since);
                    deployed.revisions.pop_back();
                }
                None => {
                    deployed.count += 1;
                    made.number = deployed.count;
                }
            }
            let applied = made.compared(before.as_deref());
            deployed.revisions.push_back(Arc::new(made));
            if deployed.revisions.len() > REVISIONS {
                deployed.revisions.pop_front();
            }
            (applied, old)
        };
        let (kept, mut ended): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|running| binding.iter().any(|bound| bound.is_same(running)));
        // What comes from now on is for the new ones.
        ended.iter_mut().for_each(|running| running.task.end());
        // Services end first: two of one at once would want the same files and ports.
        let (services, others): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|running| running.task.is_service());
        tokio::spawn(stop_all(others, GRACE));
        stop_all(services, GRACE).await;
        let mut tasks = kept;
        for bound in binding {
            if !tasks.iter().any(|running| bound.is_same(running)) {
                let (workers, background) = (&self.workers, self.background.clone());
                let workload = bound.unit.workload.clone();
                let task = bound.plan.start(workload, bound.inlet, workers, background);
                tasks.push(Running { unit: bound.unit, task });
            }
        }
        if let Some(deployed) = self.lock().get_mut(&name) {
            deployed.tasks = tasks;
        }
        applied
    }

    /// All routes, with those of this revision for its application's.
    fn table_with(&self, name: &str, made: &Revision) -> Result<Table, DeployError> {
        let others: Vec<_> = {
            let applications = self.lock();
            let others = applications.iter().filter(|(other, _)| *other != name);
            let current = others.filter_map(|(_, deployed)| deployed.revisions.back());
            current.flat_map(|revision| revision.mounted().collect::<Vec<_>>()).collect()
        };
        Ok(Table::new(others.into_iter().chain(made.mounted()))?)
    }

    /// Whether what is new can be instantiated, has run its commands of the start, and says that it is
    /// ready.
    async fn starts(
        &self,
        made: &Revision,
        before: Option<&Revision>,
        doing: &Doing,
    ) -> Result<(), DeployError> {
        let known: HashSet<_> =
            before.into_iter().flat_map(Revision::all_units).map(address).collect();
        let is_new = |unit: &Arc<Unit>| !known.contains(&address(unit));
        let background = || Some(self.background.clone());
        for unit in made.all_units().filter(|unit| made.order.tried && is_new(unit)) {
            doing.step(unit.workload.name(), Stage::Trying);
            unit.workload.try_instance(STARTING, background()).await?;
        }
        for unit in made.units.iter().filter(|unit| is_new(unit)) {
            let Some(described) = made.described(&unit.name) else { continue };
            for start in described.trigger.start.iter() {
                doing.step(unit.workload.name(), Stage::Starting);
                let mut args = vec![unit.workload.name().to_string()];
                args.extend(made.order.resolved(&start.args)?);
                let deadline = described.limits.deadline.map(|limit| limit.0);
                let deadline = deadline.or(Some(order::RUN_DEADLINE));
                let workload = unit.workload.clone();
                let given = Given { args, env: Vec::new(), stdio: Stdio::Log };
                let run = command::run_with(workload, given, deadline, background()).await?;
                if run.status != 0 {
                    let (workload, status) = (unit.workload.name().clone(), run.status);
                    return Err(DeployError::StartFailed { workload, status });
                }
            }
        }
        for chain in &made.chains {
            let new = chain.units.iter().any(is_new);
            let described = chain.units.first().and_then(|unit| made.described(&unit.name));
            if let Some(ready) = described.and_then(|described| described.ready.as_ref())
                && new
            {
                doing.step(chain.mounted.name(), Stage::Asking);
                revision::is_ready(chain, ready).await?;
            }
        }
        Ok(())
    }

    /// Opens where the work of tasks comes in.
    async fn bind(&self, name: &str, made: &Revision) -> Result<Vec<Bound>, DeployError> {
        let mut bound = Vec::new();
        for ((unit, plan), other) in made.plans.iter().zip(self.inlets(name, made)?) {
            let workload = unit.workload.name();
            let inlet = plan
                .open(&unit.workload, other, &self.messages, &self.workers)
                .await
                .map_err(|error| {
                    let workload = workload.clone();
                    match error {
                        OpenError::Listen(cause) => DeployError::Listen { workload, cause },
                        OpenError::Subscribe(cause) => DeployError::Subscribe { workload, cause },
                        OpenError::Watch(cause) => DeployError::Watch { workload, cause },
                    }
                })?;
            bound.push(Bound { unit: unit.clone(), plan: plan.clone(), inlet });
        }
        Ok(bound)
    }

    /// What the tasks that run have opened already, for each plan.
    fn inlets(&self, name: &str, made: &Revision) -> Result<Vec<Option<Inlet>>, DeployError> {
        let applications = self.lock();
        let old = applications.get(name).map(|deployed| &deployed.tasks[..]).unwrap_or_default();
        let mut old: Vec<_> = old.iter().collect();
        let inlets = made.plans.iter().map(|(unit, plan)| {
            let alike =
                |running: &&Running| running.task.takes_like(plan, running.unit.name == unit.name);
            let Some(at) = old.iter().position(alike) else { return Ok(None) };
            // Each has one successor.
            let inlet = old.swap_remove(at).task.inlet();
            let workload = unit.workload.name().clone();
            inlet.map_err(|cause| DeployError::Listen { workload, cause })
        });
        inlets.collect()
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

/// A task that is to be started, with where its work comes in.
struct Bound {
    unit: Arc<Unit>,
    plan: Plan,
    inlet: Option<Inlet>,
}

impl Bound {
    fn is_same(&self, running: &Running) -> bool {
        Arc::ptr_eq(&self.unit, &running.unit) && self.plan == running.task.plan
    }
}

async fn stop_all(tasks: Vec<Running>, grace: Duration) {
    futures::future::join_all(tasks.into_iter().map(|running| running.task.stop(grace))).await;
}

fn unknown(application: &str, there: &BTreeMap<String, Deployed>) -> DeployError {
    let there = there.keys().cloned().collect();
    DeployError::NoApplication { application: application.to_owned(), there }
}
