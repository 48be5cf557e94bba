//! From guest to guest: the other workloads of an application, and those that links lead to.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use http::Request;
use http_body_util::BodyExt as _;
use reef_app::Link;
use reef_host::{deploy::Others, remote::Callee};
use reef_http::BoxError;
use reef_planner::WorkloadKey;
use reef_wasi::{Handled, Next};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    Shared,
    calls::Called,
    forward::{Sent, Tried, is_idempotent},
    path::{Near, Path},
};

/// How long a guest's request waits for an instance of the other workload.
const PATIENCE: Duration = Duration::from_secs(10);

/// The other workloads of an application, for a guest of it.
pub(crate) struct Neighbours {
    shared: Weak<Shared>,
    workload: WorkloadKey,
}

impl Neighbours {
    pub(crate) fn new(shared: &Arc<Shared>, workload: &WorkloadKey) -> Self {
        Self { shared: Arc::downgrade(shared), workload: workload.clone() }
    }
}

impl Neighbours {
    /// The workload that a link is to.
    fn key(&self, link: &Link) -> WorkloadKey {
        let WorkloadKey { namespace, app, .. } = &self.workload;
        let namespace = link.namespace.as_ref().map_or(&**namespace, |name| name.as_str());
        let app = link.application.as_ref().map_or(&**app, |name| name.as_str());
        let workload = link.workload.as_ref().map_or("", |name| name.as_str());
        WorkloadKey::new(namespace, app, workload)
    }
}

impl Others for Neighbours {
    fn workload(&self, link: &Link) -> Arc<dyn Next> {
        let (shared, to) = (self.shared.clone(), To::Workload(self.key(link)));
        Arc::new(Neighbour { shared, to, idempotent: link.is_idempotent() })
    }

    fn callee(&self, link: &Link) -> Arc<dyn Callee> {
        Arc::new(Called::new(self.shared.clone(), self.key(link), link.is_idempotent()))
    }

    fn own_routes(&self) -> Arc<dyn Next> {
        let to = To::Routes(self.workload.namespace.to_string(), self.workload.app.to_string());
        Arc::new(Neighbour { shared: self.shared.clone(), to, idempotent: false })
    }
}

struct Neighbour {
    shared: Weak<Shared>,
    to: To,
    /// Whether every request may be sent twice.
    idempotent: bool,
}

enum To {
    Workload(WorkloadKey),
    Routes(String, String),
}

impl Next for Neighbour {
    fn handle(&self, request: Request<WasiBody>) -> Handled {
        let Some(shared) = self.shared.upgrade() else {
            return Box::pin(std::future::ready(Err(Error::DestinationUnavailable)));
        };
        let path = match &self.to {
            To::Workload(key) => Some(shared.paths.to(key)),
            To::Routes(namespace, app) => {
                let routes = shared.paths.own().get(&(namespace.clone(), app.clone())).cloned();
                let found =
                    routes.as_ref().and_then(|routes| routes.find(None, request.uri().path()));
                found.map(|found| found.value.clone())
            }
        };
        let Some(path) = path else {
            return Box::pin(std::future::ready(Err(Error::DestinationNotFound)));
        };
        let idempotent = self.idempotent || is_idempotent(request.method());
        Box::pin(async move { answer(&shared, &path, request, idempotent).await })
    }
}

async fn answer(
    shared: &Shared,
    path: &Path,
    mut request: Request<WasiBody>,
    idempotent: bool,
) -> Result<http::Response<WasiBody>, Error> {
    let peers = &shared.peers;
    let (mut tried, until) = (Tried::default(), Instant::now() + PATIENCE);
    loop {
        let Some(choice) = peers.next(path, None, &mut tried, until).await else {
            return Err(Error::DestinationUnavailable);
        };
        if choice.near == Near::Here {
            match peers.ingress.placed_internal(&choice.name) {
                Some(next) => return next.handle(request).await,
                None => {
                    tried.push(choice, &peers.ejected);
                    continue;
                }
            }
        }
        // A guest's body is a stream: only a request without one can be sent again.
        let (head, body) = request.into_parts();
        let empty = http_body::Body::is_end_stream(&body);
        let again = head.clone();
        let may = Sent { internal: true, again: idempotent };
        match peers.send(&choice, head, body, may).await {
            Ok(response) => {
                let error = |error: BoxError| Error::InternalError(Some(error.to_string()));
                return Ok(response.map(|body| body.map_err(error).boxed_unsync()));
            }
            Err((why, nothing)) => {
                tracing::debug!(workload = %path.workload, host = choice.host, why, "A host did not answer.");
                if !(empty && (nothing || idempotent)) {
                    return Err(Error::DestinationUnavailable);
                }
                tried.push(choice, &peers.ejected);
                let nothing = http_body_util::Empty::new().map_err(|never| match never {});
                request = Request::from_parts(again, nothing.boxed_unsync());
            }
        }
    }
}
