//! Calls of components' functions: to instances on other hosts, and from there to instances here.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::BoxFuture;
use reef_compose::of_track;
use reef_host::remote::{Callee, Exported, Target};
use reef_planner::WorkloadKey;
use reef_rpc::{
    CallError, Client, Context, Exchange, Handler, Kind, Options, Outgoing, Received, Refusal,
    Served, Server, Settings,
};
use reef_wrpc::{Function, Signature};
use tokio::{sync::watch, time::Instant};

use crate::{
    Shared,
    forward::{Peers, SILENT},
    path::{Choice, Near, Path},
    placement::Place,
};

/// How long the bus may take to be heard before a call is given up.
const HEARD: Duration = Duration::from_secs(5);
/// How long a call waits for an instance where there is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to open the host's inbox.
const AGAIN: Duration = Duration::from_secs(1);
/// Hosts that are tried for a call.
const TRIES: usize = 4;
/// Calls that one instance is given at once.
const EACH: usize = 1;

/// This host's inbox, once the bus has taken it.
pub(crate) struct Calls(watch::Sender<Option<Exchange>>);

impl Default for Calls {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl Calls {
    async fn exchange(&self) -> Option<Exchange> {
        let mut opened = self.0.subscribe();
        let waiting = tokio::time::timeout(HEARD, opened.wait_for(Option::is_some));
        waiting.await.ok()?.ok()?.clone()
    }
}

/// Opens the host's inbox, for as long as it takes.
pub(crate) async fn open(shared: Arc<Shared>) {
    loop {
        match Exchange::open(shared.lattice.bus.clone(), Settings::default()).await {
            Ok(exchange) => {
                shared.calls.0.send_replace(Some(exchange));
                return;
            }
            Err(error) => tracing::debug!(%error, "The bus does not take calls yet."),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What stands before the functions of a workload on a host. Names may have dots in them.
fn prefix(lattice: &str, host: &str, name: &str) -> String {
    let token = |text: &str| text.replace('.', "=");
    let name: Vec<_> = name.split(['/', '@']).map(token).collect();
    format!("reef.{}.call.{}.{}", token(lattice), token(host), name.join("."))
}

// === to others ===

/// A workload that is called wherever it is.
pub(crate) struct Called {
    shared: Weak<Shared>,
    workload: WorkloadKey,
    /// Whether it may do the same twice.
    idempotent: bool,
}

impl Called {
    pub(crate) fn new(shared: Weak<Shared>, workload: WorkloadKey, idempotent: bool) -> Self {
        Self { shared, workload, idempotent }
    }

    /// Calls it on one host, for as long as that is there.
    async fn call_at(
        &self,
        peers: &Arc<Peers>,
        path: &Path,
        choice: &Choice,
        calling: impl Future<Output = Result<Received, CallError>>,
    ) -> Result<Received, CallError> {
        let Some(address) = choice.http.as_ref().filter(|_| choice.near != Near::Here) else {
            return calling.await;
        };
        let within = if self.idempotent { SILENT.0 } else { SILENT.1 };
        let gone = async {
            loop {
                peers.silent(address, within).await;
                // One that can be reached over the bus only is heard there by who says where to send calls.
                if !path.leads_to(choice) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            called = calling => called,
            () = gone => Err(CallError::Silent {
                function: format!("{} on host {}", self.workload, choice.host),
                waited: within,
            }),
        }
    }
}

impl Callee for Called {
    fn call<'a>(
        &'a self,
        instance: &'a str,
        name: &'a str,
        signature: &'a Signature,
        params: Outgoing,
        options: Options,
    ) -> BoxFuture<'a, Result<Received, CallError>> {
        Box::pin(async move {
            let nobody = || CallError::NoServer {
                function: format!("{instance}.{name} of {}", self.workload),
            };
            let shared = self.shared.upgrade().ok_or_else(nobody)?;
            let exchange = shared.calls.exchange().await.ok_or_else(nobody)?;
            let (client, track) = (Client::new(&exchange), of_track(instance));
            let path = shared.paths.to(&self.workload);
            let mut changes = path.changes();
            let (mut tried, mut params, until) =
                (Vec::new(), Some(params), Instant::now() + PATIENCE);
            let mut last = None;
            loop {
                let Some(choice) = path.choose_by_bus(&tried, &shared.peers.ejected) else {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() || !tried.is_empty() {
                        return Err(last.unwrap_or_else(nobody));
                    }
                    (shared.peers.demand)(&path);
                    changes.next(left.min(Duration::from_millis(200))).await;
                    continue;
                };
                let Some(now) = params.take() else { return Err(last.unwrap_or_else(nobody)) };
                // What is a stream can be sent once.
                let again = now.later.is_empty() && tried.len() + 1 < TRIES;
                params = again.then(|| Outgoing { values: now.values.clone(), later: Vec::new() });
                let prefix = prefix(&shared.lattice.name, &choice.host, &choice.name);
                let target = Target { client: client.clone(), prefix };
                let calling = target.call(&track, name, signature, now, options.clone());
                match self.call_at(&shared.peers, &path, &choice, calling).await {
                    Ok(received) => {
                        shared.peers.ejected.back(&choice.host);
                        return Ok(received);
                    }
                    // Nothing was done there.
                    Err(error @ CallError::NoServer { .. }) => {
                        shared.peers.ejected.out(&choice.host);
                        last = Some(error);
                    }
                    Err(error @ CallError::Silent { .. }) => {
                        shared.peers.ejected.out(&choice.host);
                        if !self.idempotent {
                            return Err(error);
                        }
                        last = Some(error);
                    }
                    Err(CallError::Refused {
                        function,
                        refusal: refusal @ Refusal { kind: Kind::Busy, .. },
                    }) => {
                        last = Some(CallError::Refused { function, refusal });
                    }
                    Err(error) => return Err(error),
                }
                tried.push(choice);
            }
        })
    }
}

// === from others ===

/// Functions of a workload here that others call, for as long as this is there.
pub(crate) struct Serving(Vec<Served>);

impl Serving {
    /// Has what a workload exports answered.
    pub(crate) async fn start(shared: &Shared, place: &Place, instances: u32) -> Self {
        let name = place.name();
        let all = shared.host.exported(&name);
        if all.is_empty() {
            return Self(Vec::new());
        }
        let Some(exchange) = shared.calls.exchange().await else {
            tracing::warn!(workload = name, "Other hosts cannot call it: the bus is not heard.");
            return Self(Vec::new());
        };
        let prefix = prefix(&shared.lattice.name, &shared.id, &name);
        let server = Server::new(&exchange);
        let concurrency = usize::try_from(instances).unwrap_or(usize::MAX).saturating_mul(EACH);
        let mut served = Vec::new();
        for exported in all {
            let function = Function {
                prefix: prefix.clone(),
                instance: of_track(&exported.interface),
                name: Function::wire_name(&exported.name).to_owned(),
            };
            let signature = exported.signature.clone();
            let handler = Arc::new(Answers(exported));
            match server.serve(&function, None, signature, concurrency, handler).await {
                Ok(one) => served.push(one),
                Err(error) => {
                    tracing::warn!(workload = name, %function, %error, "Other hosts cannot call it.");
                }
            }
        }
        Self(served)
    }

    /// Takes no more calls, and ends those in progress in time.
    pub(crate) async fn stop(self, patience: Duration) {
        futures::future::join_all(self.0.into_iter().map(|one| one.stop(patience))).await;
    }
}

struct Answers(Exported);

impl Handler for Answers {
    fn call(
        &self,
        context: Context,
        params: Received,
    ) -> BoxFuture<'static, Result<Outgoing, Refusal>> {
        Box::pin(self.0.clone().call(context.deadline, params))
    }
}
