//! The command line as a trigger: a guest runs once, from start to exit status.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use reef_artifact::{Event, Kind, Wasi};
use reef_engine::{Background, Paced, within};
use reef_wasi::{ComponentGuest, Stdio};
use wasmtime::{Store, component::InstancePre};
use wasmtime_wasi::{p2::bindings::CommandPre as Pre02, p3::bindings::CommandPre as Pre03};

use crate::{Failure, Workload, workload::Linked};

/// What a command left behind.
pub struct Ended {
    /// Its exit status.
    pub status: i32,
    /// Its store. To unmap it takes a part of a short run, which a process that is about to end may
    /// leave to the system.
    pub store: Box<dyn Send>,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Runs a command with the caller's standard streams, to its end.
///
/// `args` are what the guest sees, its own name first. With a background, a share of the processor
/// can be enforced.
///
/// # Errors
/// When it is not a command, traps, or passes its deadline.
pub async fn run(
    workload: Arc<Workload>,
    args: Vec<String>,
    background: Option<Arc<Background>>,
) -> Result<Ended, Failure> {
    let deadline = workload.world.limits().deadline;
    let given = Given { args, env: Vec::new(), stdio: Stdio::Inherit };
    run_with(workload, given, deadline, background).await
}

/// What a trigger gives a command.
pub(crate) struct Given {
    /// What it sees, its own name first.
    pub(crate) args: Vec<String>,
    /// On top of what was granted.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdio: Stdio,
}

/// The same with what a trigger gives, and a deadline that is the trigger's.
pub(crate) fn run_with(
    workload: Arc<Workload>,
    given: Given,
    deadline: Option<Duration>,
    background: Option<Arc<Background>>,
) -> Running {
    let name = workload.name().clone();
    let start = Instant::now();
    let (activity, running) = match prepare(&workload, given) {
        Ok(prepared) => prepared,
        Err(failure) => return Box::pin(std::future::ready(Err(failure))),
    };
    // Boxed for the compiler, which forgets inside a future that `Running` borrows nothing.
    let paced: Pin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(Paced::new(activity, background, running));
    Box::pin(async move {
        match within(deadline, start, paced).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Failure::Shutdown { workload: name }),
            Err(passed) => Err(Failure::Deadline { workload: name, passed }),
        }
    })
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Ended, Failure>> + Send>>;

/// Whether a workload can be run as a command.
///
/// # Errors
/// When it is none: with what it is.
pub(crate) fn check(workload: &Workload) -> Result<(), Failure> {
    if workload.kinds().iter().any(|kind| matches!(kind, Kind::Command(_))) {
        return Ok(());
    }
    let reason = not_a_command(workload.kinds().first());
    Err(Failure::NotCallable { workload: workload.name().clone(), reason })
}

fn prepare(
    workload: &Arc<Workload>,
    Given { args, env, stdio }: Given,
) -> Result<(Arc<reef_engine::Activity>, Running), Failure> {
    let (world, name) = (&workload.world, workload.name().clone());
    let refusal = || Failure::NotCallable {
        workload: name.clone(),
        reason: not_a_command(workload.kinds().first()),
    };
    let wasi = workload.kinds().iter().find_map(|kind| match kind {
        Kind::Command(wasi) => Some(wasi.clone()),
        _ => None,
    });
    match (&workload.linked, wasi.ok_or_else(refusal)?) {
        (Linked::Module(pre), _) => {
            let guest = world.module(&args, &env, stdio)?;
            let (mut store, activity) =
                workload.engine.store(workload.flavour, world.share(), guest)?;
            let pre = pre.clone();
            let running = Box::pin(async move {
                let called = async {
                    let instance = pre.instantiate_async(&mut store).await?;
                    let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
                    start.call_async(&mut store, ()).await
                }
                .await;
                let status = match called {
                    Ok(()) => 0,
                    Err(error) => Failure::ended(error, store.data().limits(), name)?,
                };
                Ok(Ended { status, store: Box::new(store) })
            });
            Ok((activity, running))
        }
        (Linked::Component(pre), wasi) => {
            let command = Command::new(pre, &wasi).map_err(|cause| Failure::NotCallable {
                workload: workload.name().clone(),
                reason: format!("{cause:#}"),
            })?;
            let guest = world.component_with(&args, &env, stdio)?;
            let (mut store, activity) =
                workload.engine.store(workload.flavour, world.share(), guest)?;
            let running = Box::pin(async move {
                let status = match command.call(&mut store).await {
                    Ok(Ok(())) => 0,
                    Ok(Err(())) => 1,
                    Err(error) => Failure::ended(error, store.data().limits(), name)?,
                };
                Ok(Ended { status, store: Box::new(store) })
            });
            Ok((activity, running))
        }
    }
}

/// The export `wasi:cli/run` of one version or the other.
enum Command {
    V0_2(Pre02<ComponentGuest>),
    V0_3(Pre03<ComponentGuest>),
}

impl Command {
    fn new(pre: &InstancePre<ComponentGuest>, wasi: &Wasi) -> wasmtime::Result<Self> {
        match wasi {
            Wasi::V0_3(_) => Pre03::new(pre.clone()).map(Self::V0_3),
            _ => Pre02::new(pre.clone()).map(Self::V0_2),
        }
    }

    /// The outer error is the engine's, the inner one the guest's own word for failure.
    async fn call(&self, store: &mut Store<ComponentGuest>) -> wasmtime::Result<Result<(), ()>> {
        match self {
            Self::V0_2(pre) => {
                let command = pre.instantiate_async(&mut *store).await?;
                command.wasi_cli_run().call_run(store).await
            }
            Self::V0_3(pre) => {
                let command = pre.instantiate_async(&mut *store).await?;
                store
                    .run_concurrent(async |accessor| {
                        command.wasi_cli_run().call_run(accessor).await
                    })
                    .await?
            }
        }
    }
}

/// What it is then, and what can be done with it.
fn not_a_command(kind: Option<&Kind>) -> String {
    let what = match kind {
        Some(Kind::HttpHandler(_) | Kind::SpinHttpHandler) => "an HTTP handler",
        Some(Kind::EventHandler(_)) => "an event handler",
        Some(Kind::MessageHandler { .. }) => "a message handler",
        Some(Kind::ProxyFilter { .. }) => "a proxy filter",
        Some(Kind::StreamTransform { .. }) => "a stream transform",
        _ => "a library",
    };
    format!("it is not a command but {what}; {}", advice(kind))
}

/// What to do with a workload of this kind, for somebody who tried something else.
pub(crate) fn advice(kind: Option<&Kind>) -> &'static str {
    match kind {
        Some(Kind::Command(_)) => "run it with `reef run`",
        Some(Kind::HttpHandler(_) | Kind::SpinHttpHandler) => "serve it with `reef serve`",
        Some(Kind::EventHandler(event)) => match event {
            Event::Cron => "give it a `trigger.cron` in a reef.toml, and run that with `reef up`",
            Event::Mqtt => "give it a `trigger.mqtt` in a reef.toml, and run that with `reef up`",
            Event::Redis => "give it a `trigger.redis` in a reef.toml, and run that with `reef up`",
            Event::Watch => "give it a `trigger.watch` in a reef.toml, and run that with `reef up`",
        },
        Some(Kind::MessageHandler { .. }) => {
            "give it a `trigger.message` in a reef.toml, and run that with `reef up`"
        }
        Some(Kind::ProxyFilter { .. }) => "Reef has no proxy to put it in yet",
        Some(Kind::StreamTransform { .. }) => "Reef has no record streams yet",
        _ => {
            "call one of its functions with `reef run --invoke 'name(arguments)'`; `reef inspect` lists them"
        }
    }
}
