//! What a workload exports for others to call, wherever they are.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use reef_engine::{Background, Flavour, Paced, within};
use reef_http::Workers;
use reef_meter::Finished;
use reef_rpc::{Outgoing, Received, Refusal};
use reef_wasi::Stdio;
use reef_wrpc::Signature;
use tokio::sync::oneshot;
use wasmtime::component::{
    ComponentExportIndex,
    types::{ComponentFunc, ComponentItem},
};

use super::{carries, export::serve_export, interface};
use crate::{Failure, Workload, workload::Linked};

/// Packages whose exports are triggers, and not for other guests.
const TRIGGERS: [&str; 4] = ["wasi:", "wasmcloud:", "fermyon:", "spin:"];

/// A function of a workload, each call of which has an instance of its own.
#[derive(Clone)]
pub struct Exported {
    /// The interface.
    pub interface: String,
    /// The function in it.
    pub name: String,
    /// What it takes and gives, on the wire.
    pub signature: Signature,
    ty: ComponentFunc,
    index: ComponentExportIndex,
    workload: Arc<Workload>,
    background: Arc<Background>,
    workers: Workers,
    next: Arc<AtomicUsize>,
}

impl Exported {
    /// All that a workload exports and that can be carried; what cannot is left out.
    pub(crate) fn of(
        workload: &Arc<Workload>,
        background: &Arc<Background>,
        workers: &Workers,
    ) -> Vec<Self> {
        let Linked::Component(pre) = &workload.linked else { return Vec::new() };
        let (component, next) = (pre.component(), Arc::new(AtomicUsize::new(0)));
        let engine = component.engine();
        let mut all = Vec::new();
        for (name, item) in component.component_type().exports(engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
            if TRIGGERS.iter().any(|package| name.starts_with(package)) {
                continue;
            }
            let functions = match interface(engine, &instance) {
                Ok(functions) => functions,
                Err(reason) => {
                    tracing::debug!(workload = &**workload.name(), interface = name, %reason, "Not for other hosts.");
                    continue;
                }
            };
            let Some(within) = component.get_export_index(None, name) else { continue };
            for (function, ty) in functions {
                let Some(index) = component.get_export_index(Some(&within), &function) else {
                    continue;
                };
                let Ok(signature) = carries(&function, &ty) else { continue };
                all.push(Self {
                    interface: name.to_owned(),
                    name: function,
                    signature,
                    ty,
                    index,
                    workload: workload.clone(),
                    background: background.clone(),
                    workers: workers.clone(),
                    next: next.clone(),
                });
            }
        }
        all
    }

    /// Calls it, by `deadline` and within the workload's own.
    ///
    /// # Errors
    /// Why there is no result.
    pub async fn call(
        self,
        deadline: tokio::time::Instant,
        params: Received,
    ) -> Result<Outgoing, Refusal> {
        let (reply, answered) = oneshot::channel();
        let worker = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len().max(1);
        let handle = self.workers.handle(worker).clone();
        let name = self.workload.name().clone();
        let running = handle.spawn(self.run(deadline, params, reply));
        let running = AbortOnDrop(Some(running));
        match answered.await {
            Ok(answer) => {
                // What it streams goes on, within its deadline.
                running.go_on();
                answer
            }
            Err(_) => {
                Err(Refusal::failed(format!("{name} ended without a result; its log says why")))
            }
        }
    }

    async fn run(
        self,
        deadline: tokio::time::Instant,
        params: Received,
        reply: oneshot::Sender<Result<Outgoing, Refusal>>,
    ) {
        let (start, workload) = (Instant::now(), &self.workload);
        let meter = workload.meter().clone();
        meter.begin();
        let own = workload.world.limits().deadline;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let limit = own.map_or(left, |own| own.min(left));
        let ended = self.called(start, limit, params, reply).await;
        meter.finish(&Finished { status: None, latency: start.elapsed(), ..Finished::default() });
        if let Err(failure) = ended {
            match failure {
                Failure::Trapped { .. } => meter.trap(),
                Failure::Deadline { .. } => meter.deadline_exceeded(),
                _ => {}
            }
            tracing::warn!(
                workload = &**self.workload.name(),
                interface = self.interface,
                function = self.name,
                "{failure}"
            );
        }
    }

    async fn called(
        &self,
        start: Instant,
        limit: std::time::Duration,
        params: Received,
        reply: oneshot::Sender<Result<Outgoing, Refusal>>,
    ) -> Result<(), Failure> {
        let workload = &self.workload;
        let name = || workload.name().clone();
        let Linked::Component(pre) = &workload.linked else { return Ok(()) };
        let guest = workload.world.component(&[name().to_string()], Stdio::Log)?;
        let (mut store, activity) =
            workload.engine.store(workload.flavour, workload.world.share(), guest)?;
        workload.meter().instance_created();
        let (pre, ty, index) = (pre.clone(), self.ty.clone(), self.index);
        let (concurrent, named) = (workload.flavour == Flavour::Concurrent, name());
        let running = Box::pin(async move {
            let called = async {
                let instance = pre.instantiate_async(&mut store).await?;
                let function = instance
                    .get_func(&mut store, index)
                    .ok_or_else(|| wasmtime::format_err!("the export is gone"))?;
                serve_export(&mut store, function, &ty, concurrent, params, reply).await
            };
            match called.await {
                Ok(()) => Ok(()),
                Err(error) => Failure::ended(error, store.data().limits(), named).map(drop),
            }
        });
        let paced = Paced::new(activity, Some(self.background.clone()), running);
        match within(limit.into(), start, paced).await {
            Ok(Some(ended)) => ended,
            Ok(None) => Err(Failure::Shutdown { workload: name() }),
            Err(passed) => Err(Failure::Deadline { workload: name(), passed }),
        }
    }
}

/// A task that ends with whoever waits for it, unless it is let go on.
struct AbortOnDrop(Option<tokio::task::JoinHandle<()>>);

impl AbortOnDrop {
    fn go_on(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of {}", self.interface, self.name, self.workload.name())
    }
}
