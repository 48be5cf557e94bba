//! A revision takes over from the one before: it is got ready, and from then on nothing fails.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use reef_wasi::Stdio;

use super::{
    Applied, DeployError, Deployed, GRACE, Host, Revision, Running, STARTING, Stage, Unit, order,
    revision::{self, address},
    turn::{Doing, Turn},
};
use crate::{
    command::{self, Given},
    task::{Inlet, OpenError, Plan},
};

/// How many revisions of an application are kept to go back to.
const REVISIONS: usize = 10;

impl Host {
    /// Lets a revision take over, if it is ready.
    pub(super) async fn put(
        self: &Arc<Self>,
        turn: Turn,
        made: Revision,
    ) -> Result<Applied, DeployError> {
        let name = made.order.key().to_owned();
        let before = self.current(&name);
        let getting_ready = async {
            // Conflicts first: they cost nothing to find.
            self.table(Some(&made))?;
            self.starts(&made, before.as_deref(), &turn.doing).await?;
            self.bind(&name, &made).await
        };
        let binding = turn.unless_called_off(getting_ready).await?;
        let host = self.clone();
        // It is not left half done when whoever asked for it is gone.
        let taking_over = tokio::spawn(async move {
            let applied = host.take_over(name, made, before, binding).await;
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
        binding: Vec<Bound>,
    ) -> Applied {
        made.connect();
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
        if let Err(conflict) = self.install() {
            // There was none before it was accepted, and nothing else is changed meanwhile.
            tracing::error!(%conflict, "What is reachable is as it was before.");
        }
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

/// Ends tasks at once, each with so much time for what it is at.
pub(super) async fn stop_all(tasks: Vec<Running>, grace: Duration) {
    futures::future::join_all(tasks.into_iter().map(|running| running.task.stop(grace))).await;
}
