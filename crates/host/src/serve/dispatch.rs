//! From a request to the workload that answers it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use futures::channel::oneshot;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use reef_app::Handing;
use reef_artifact::{Kind, Served, Wasi};
use reef_engine::{Background, DeadlinePassed, within};
use reef_http::{
    AcceptEncoding, Admission, BodyError, BoxError, Compression, Peer, RequestBody, ResponseBody,
    StaticFiles, Workers, overloaded_response,
};
use reef_telemetry::{RequestSpan, Tracer};
use reef_wasi::{Handled, Next};
use wasmtime_wasi_http::{
    Error, WasiBody, handler::ExpirationError, p3::bindings::http::types::ErrorCode,
};

use super::{
    answer::{Announced, Broken, Exchange, FromInstance, Streamed},
    component::{Contract, GuestError, NoAnswer, Pool, Uninstantiable},
    ingress::{Mount, Script},
    instances::{Claim, Job},
    spans::traced,
    uri::absolute,
    wagi::Wagi,
};
use crate::{Failure, Workload, command::advice, failure::Trap, workload::Linked};

/// How instances are used again. `None` is the default of the guest's WASI version: fresh instances
/// for 0.2, shared ones for 0.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reuse {
    /// Requests that one instance serves in its life.
    pub requests: Option<u32>,
    /// Requests that one instance serves at once (WASI 0.3 only).
    pub concurrent: Option<u32>,
    /// How long an instance without work is kept.
    pub idle: Option<Duration>,
}

/// A [`Reuse`] with everything decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reused {
    pub(super) requests: u32,
    pub(super) concurrent: u32,
    pub(super) idle: Duration,
}

/// The queue in front of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queueing {
    /// Requests in progress at once.
    pub concurrent: u32,
    /// Requests that may wait.
    pub waiting: u32,
    /// How long they may wait.
    pub patience: Duration,
}

/// How a workload is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServeOptions {
    /// How instances are used again.
    pub reuse: Reuse,
    /// The queue.
    pub queueing: Queueing,
    /// How many instances there may be, where a lattice says so: not more requests at once than they can serve.
    pub instances: Option<u32>,
}

/// How long an instance that has dropped a request may take to say why: it does so at once, as soon as
/// its thread has a turn.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A workload at a route, with its queue and its instances.
pub(super) struct Service {
    pub(super) workload: Arc<Workload>,
    admission: Admission,
    /// Requests at once in all, and for each instance.
    most: (u32, u32),
    pub(super) deadline: Option<Duration>,
    pub(super) guest: Guest,
    tracer: Tracer,
    route: String,
    /// Handed to its guest as Spin does it: the base of its route.
    pub(super) spin: Option<String>,
    max_body: Option<u64>,
    /// Sent in place of asking the guest.
    files: Option<StaticFiles>,
    compression: Option<Compression>,
}

pub(super) enum Guest {
    Component(Arc<Pool>),
    Wagi(Wagi),
    Workers(super::workers::Workers),
}

/// Why workloads cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not a kind that answers HTTP.
    #[error(
        "{name} does not answer HTTP: it is a {kind}. Reef serves components that export wasi:http/incoming-handler 0.2, wasi:http/handler 0.3 or fermyon:spin/inbound-http, and WASI 0.1 commands as CGI-style (WAGI) handlers; {advice}"
    )]
    NotServable {
        /// Which workload.
        name: Arc<str>,
        /// What it is.
        kind: String,
        /// What to do with it.
        advice: &'static str,
    },
    /// Cannot stand in front of another.
    #[error(
        "{name} cannot stand in front of {next} as middleware: middleware is a component of the world wasi:http/middleware 0.3 (it imports and exports wasi:http/handler), in front of a wasi:http component"
    )]
    NotMiddleware {
        /// The one in front.
        name: Arc<str>,
        /// The one behind.
        next: Arc<str>,
    },
    /// No such function.
    #[error("{name} has no function `{entrypoint}`; `reef inspect` lists those that it has")]
    NoEntrypoint {
        /// Which workload.
        name: Arc<str>,
        /// The name.
        entrypoint: String,
    },
    /// Middleware without anything behind it.
    #[error(
        "{name} is middleware: it wants a handler behind it; serve that, with --middleware and this file, in a manifest trigger.http.middleware"
    )]
    NothingBehind {
        /// Which workload.
        name: Arc<str>,
    },
    /// Not what its exports promise.
    #[error("{name} does not fit its own interface: {cause:#}")]
    Mismatch {
        /// Which workload.
        name: Arc<str>,
        /// What Wasmtime said.
        cause: wasmtime::Error,
    },
}

// === impl Reuse ===

impl Reuse {
    fn decided(self, v0_3: bool) -> Reused {
        let (requests, concurrent) = if v0_3 { (1024, 16) } else { (1, 1) };
        Reused {
            requests: self.requests.unwrap_or(requests),
            concurrent: self.concurrent.unwrap_or(concurrent),
            idle: self.idle.unwrap_or(Duration::from_secs(10)),
        }
    }
}

// === impl Queueing ===

impl Default for Queueing {
    fn default() -> Self {
        Self { concurrent: 512, waiting: 1024, patience: Duration::from_secs(5) }
    }
}

fn at_once((most, each): (u32, u32), instances: u32) -> u32 {
    most.min(each.saturating_mul(instances))
}

// === impl Service ===

impl Service {
    pub(super) fn new(
        workload: &Arc<Workload>,
        mount: &Mount,
        workers: &Workers,
        background: Arc<Background>,
        tracer: Tracer,
        compression: &Compression,
    ) -> Result<Self, ServeError> {
        let options = &mount.options;
        let name = workload.name().clone();
        let served = workload.kinds().iter().find_map(Kind::servable);
        let not_servable = || ServeError::NotServable {
            name: name.clone(),
            kind: workload.kinds().first().map_or("library", Kind::word).to_owned(),
            advice: advice(workload.kinds().first()),
        };
        let guest = match (served.ok_or_else(not_servable)?, &workload.linked) {
            (served @ (Served::Http(_) | Served::Spin), Linked::Component(pre)) => {
                let contract = match served {
                    Served::Http(Wasi::V0_3(_)) => Contract::V0_3,
                    Served::Http(_) => Contract::V0_2,
                    _ => Contract::Spin,
                };
                let v0_3 = contract == Contract::V0_3;
                let reuse = options.reuse.decided(v0_3);
                let workers = workers.clone();
                let pool = Pool::new(workload.clone(), pre, contract, reuse, workers, background);
                let mismatch = |cause| ServeError::Mismatch { name: name.clone(), cause };
                Guest::Component(Arc::new(pool.map_err(mismatch)?))
            }
            (Served::Wagi, Linked::Module(pre)) if mount.trigger.handing == Handing::Workers => {
                let Script { file, args, entries } = mount.script.clone();
                let (workload, pre) = (workload.clone(), pre.clone());
                let file = file.as_deref();
                Guest::Workers(super::workers::Workers::new(
                    workload, pre, file, args, entries, background,
                ))
            }
            (Served::Wagi, Linked::Module(pre)) => {
                if let Some(entrypoint) = &mount.trigger.entrypoint
                    && !workload.exports_function(entrypoint)
                {
                    return Err(ServeError::NoEntrypoint { name, entrypoint: entrypoint.clone() });
                }
                Guest::Wagi(Wagi::new(workload.clone(), pre.clone(), &mount.trigger, background))
            }
            _ => return Err(not_servable()),
        };
        let Queueing { concurrent, waiting, patience } = options.queueing;
        let each = match &guest {
            Guest::Component(pool) => pool.reuse.concurrent,
            Guest::Wagi(_) | Guest::Workers(_) => 1,
        };
        let most = (concurrent, each);
        let at_once = options.instances.map_or(concurrent, |instances| at_once(most, instances));
        Ok(Self {
            workload: workload.clone(),
            admission: Admission::new(at_once, waiting, patience),
            most,
            deadline: mount
                .trigger
                .deadline
                .map(|limit| limit.0)
                .into_iter()
                .chain(workload.world.limits().deadline)
                .min(),
            guest,
            tracer,
            route: mount.trigger.route.path(),
            spin: (mount.trigger.handing == Handing::Spin).then(|| mount.base.clone()),
            files: mount.files.clone(),
            max_body: mount.trigger.max_body.map(|size| size.0.0),
            compression: mount.trigger.compress.then(|| compression.clone()),
        })
    }

    /// Lets as many requests in at once as so many instances can serve.
    pub(super) fn set_instances(&self, instances: u32) {
        self.admission.set_max_concurrent(at_once(self.most, instances));
    }

    /// Whether requests wait for a place.
    pub(super) fn is_busy(&self) -> bool {
        self.admission.queued() > 0
    }

    /// Takes no more requests than those that are on their way.
    pub(super) fn close(&self) {
        if let Guest::Component(pool) = &self.guest {
            pool.instances.close();
        }
    }

    /// Whether instances of it are still there.
    pub(super) fn is_live(&self) -> bool {
        match &self.guest {
            Guest::Component(pool) => pool.instances.any(),
            // Each is the affair of its request.
            Guest::Wagi(_) | Guest::Workers(_) => false,
        }
    }

    pub(super) fn tidy(&self, worker: usize) {
        if let Guest::Component(pool) = &self.guest {
            pool.instances.tidy(worker, pool.reuse.idle, self.deadline);
        }
    }

    pub(super) fn span<B>(&self, request: &Request<B>) -> RequestSpan {
        let (headers, method) = (request.headers(), request.method());
        let mut span =
            self.tracer.start_request(headers, method, &self.route, self.workload.name());
        span.url(request.uri());
        span
    }

    /// `rest`: bytes of the path that follow the route's base.
    pub(super) async fn answer(
        &self,
        mut request: Request<RequestBody>,
        peer: Peer,
        mut span: RequestSpan,
        rest: usize,
    ) -> Response<ResponseBody> {
        if let Some(files) = &self.files {
            let below = request.uri().path().to_owned();
            let answer = Box::pin(files.answer(&request, &below)).await;
            if !matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                span.set_status(answer.status().as_u16());
                return answer;
            }
        }
        if let Some(most) = self.max_body
            && let Err(error) = request.body_mut().limit_bytes(most)
        {
            span.set_status(error.status().as_u16());
            return text(error.status(), "The body of the request is too large.\n");
        }
        let accept = self.compression.as_ref().map(|_| AcceptEncoding::of(request.headers()));
        let meter = self.workload.meter();
        meter.wait();
        let queued = Queued(meter, false);
        let permit = match self.admission.admit().await {
            Ok(permit) => permit,
            Err(refused) => {
                drop(queued);
                let response = overloaded_response(&refused);
                span.set_status(response.status().as_u16());
                return response;
            }
        };
        queued.admitted(permit.waited());
        let exchange = Exchange::new(&self.workload, span, permit);
        let result = match &self.guest {
            Guest::Component(pool) => {
                let mut request = request.map(|body| {
                    let error = |error: BodyError| Error::InternalError(Some(error.to_string()));
                    body.map_err(error).boxed_unsync()
                });
                absolute(&mut request, &peer);
                match self.component(pool, request, peer.tls, exchange).await {
                    Ok((head, body)) => finish(self, head, body).await,
                    Err(failed) => Err(failed),
                }
            }
            // Boxed: its state is several times the size of a component's, and every request of either
            // would carry room for it.
            Guest::Wagi(wagi) => {
                Box::pin(wagi.answer(request, rest, peer, self.deadline, exchange)).await
            }
            Guest::Workers(workers) => {
                Box::pin(workers.answer(request, peer, self.deadline, exchange)).await
            }
        };
        let response = result.unwrap_or_else(|failed| fail(*failed));
        match (&self.compression, accept) {
            (Some(compression), Some(accept)) => compression.apply(accept, response),
            _ => response,
        }
    }

    async fn component(
        &self,
        pool: &Arc<Pool>,
        request: Request<WasiBody>,
        tls: bool,
        mut exchange: Exchange,
    ) -> Result<Answered, Box<(Failure, Exchange)>> {
        let is_head = request.method() == Method::HEAD;
        let trace = traced(&exchange.span, self.workload.name());
        let claim = Arc::new(Claim::default());
        let trapped = {
            let (claim, workload) = (Arc::downgrade(&claim), self.workload.name().clone());
            move || {
                let why = claim.upgrade()?.trap()?;
                let cause = Trap::new(wasmtime::Error::msg(why), None);
                Some(Failure::Trapped { workload: workload.clone(), cause })
            }
        };
        let told = Arc::downgrade(&claim);
        let (reply, answer) = oneshot::channel();
        let job = Job { request, tls, trace, reply, claim: claim.clone(), handed_on: false };
        // Gives the request up when this future is dropped: the client is gone.
        let source = FromInstance::new(claim, pool.shares());
        pool.dispatch(Workers::current().unwrap_or(0), Box::new(job));

        let response = match within(self.deadline, exchange.start, answer).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(error))) => return Err(Box::new((self.failure(error), exchange))),
            Ok(Err(oneshot::Canceled)) => {
                // A guest that traps in the background drops its requests before it is known that it
                // trapped, and this is another thread.
                if trapped().is_none()
                    && let Some(claim) = told.upgrade()
                {
                    let _ = Box::pin(tokio::time::timeout(A_MOMENT, claim.ended())).await;
                }
                let workload = self.workload.name().clone();
                let failure = trapped().unwrap_or(Failure::Neighbour { workload });
                return Err(Box::new((failure, exchange)));
            }
            Err(passed) => return Err(Box::new((self.late(passed), exchange))),
        };
        let (head, body) = response.into_parts();
        exchange.status = head.status;
        let announced = Announced::of(&head, is_head);
        Ok((head, Streamed::new(body, announced, source, self.deadline, exchange)))
    }

    /// What Spin tells a component of a request that another one sent.
    fn set_internal_headers(&self, request: &mut Request<WasiBody>, base: &str) {
        let uri = request.uri().clone();
        let client = SocketAddr::from(([127, 0, 0, 1], 0));
        let facts = reef_spin::headers::Facts {
            route: "/...",
            base,
            rest: uri.path(),
            parameters: &[],
            uri: &uri,
            host: uri.authority().map_or("localhost", |authority| authority.as_str()),
            tls: false,
            client,
        };
        reef_spin::headers::set(request.headers_mut(), &facts);
        request.headers_mut().remove(header::HOST);
    }

    fn late(&self, passed: DeadlinePassed) -> Failure {
        Failure::Deadline { workload: self.workload.name().clone(), passed }
    }

    /// What an instance's error means.
    fn failure(&self, error: wasmtime::Error) -> Failure {
        let workload = self.workload.name().clone();
        if error.is::<ExpirationError>() {
            let limit = self.deadline.unwrap_or_default();
            return Failure::Deadline { workload, passed: DeadlinePassed(limit) };
        }
        if error.is::<NoAnswer>() || error.is::<GuestError>() {
            return Failure::NoAnswer { workload, reason: error.to_string() };
        }
        if let Some(code) = error.downcast_ref::<ErrorCode>() {
            let reason = format!("the handler answered with the error {code:?}");
            return Failure::NoAnswer { workload, reason };
        }
        let unstarted = error.is::<Uninstantiable>();
        let cause = Trap::new(error, None);
        if unstarted {
            Failure::Instantiate { workload, cause }
        } else {
            Failure::Trapped { workload, cause }
        }
    }
}

/// A response as it comes from a component.
type Answered = (http::response::Parts, Streamed<WasiBody, FromInstance>);

/// A service as what stands behind a middleware, or answers another workload of its application.
pub(super) struct Behind {
    pub(super) service: Arc<Service>,
    /// The request begins here: nothing from outside stands in front of it.
    pub(super) internal: bool,
}

impl Next for Behind {
    fn handle(&self, mut request: Request<WasiBody>) -> Handled {
        let service = self.service.clone();
        if let (true, Some(base)) = (self.internal, &service.spin) {
            service.set_internal_headers(&mut request, base);
        }
        Box::pin(async move {
            let Guest::Component(pool) = &service.guest else {
                return Err(Error::DestinationUnavailable);
            };
            let meter = service.workload.meter();
            meter.wait();
            let queued = Queued(meter, false);
            let span = service.span(&request);
            let permit =
                service.admission.admit().await.map_err(|_| Error::ConnectionLimitReached)?;
            queued.admitted(permit.waited());
            let exchange = Exchange::new(&service.workload, span, permit);
            let tls = request.uri().scheme() == Some(&http::uri::Scheme::HTTPS);
            match service.component(pool, request, tls, exchange).await {
                Ok((head, body)) => {
                    let body =
                        body.map_err(|broken| Error::InternalError(Some(broken.to_string())));
                    Ok(Response::from_parts(head, body.boxed_unsync()))
                }
                Err(failed) => {
                    // The middleware sees what a client would see.
                    let response = fail(*failed);
                    Ok(response.map(|body| {
                        let error = |error: BoxError| Error::InternalError(Some(error.to_string()));
                        body.map_err(error).boxed_unsync()
                    }))
                }
            }
        })
    }
}

/// Whether a workload imports the handler behind it.
pub(super) fn takes_next(workload: &Workload) -> bool {
    workload.imports_interface("wasi:http/handler")
}

/// The response, streamed or at once.
pub(super) async fn finish<B, S>(
    service: &impl Named,
    head: http::response::Parts,
    body: Streamed<B, S>,
) -> Result<Response<ResponseBody>, Box<(Failure, Exchange)>>
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin + Send + 'static,
    B::Error: fmt::Display,
    S: super::answer::Source,
{
    match body.into_body().await {
        Ok(body) => Ok(Response::from_parts(head, body)),
        Err((broken, exchange)) => {
            let workload = service.name().clone();
            let failure = match broken {
                Broken::Deadline(passed) => Failure::Deadline { workload, passed },
                Broken::Instance => {
                    let cause = Trap::new(wasmtime::Error::msg(broken.to_string()), None);
                    Failure::Trapped { workload, cause }
                }
                other => Failure::NoAnswer { workload, reason: other.to_string() },
            };
            Err(Box::new((failure, exchange)))
        }
    }
}

/// Who is talked about in messages.
pub(super) trait Named {
    fn name(&self) -> &Arc<str>;
}

impl Named for Service {
    fn name(&self) -> &Arc<str> {
        self.workload.name()
    }
}

/// Says it to the log in full, and to the client as far as that is the client's business.
fn fail((failure, mut exchange): (Failure, Exchange)) -> Response<ResponseBody> {
    let status = failure.status();
    let said = match &failure {
        Failure::Deadline { .. } => {
            exchange.meter.deadline_exceeded();
            "The application did not answer in time.\n"
        }
        Failure::Trapped { .. } => "The application failed while it answered this request.\n",
        Failure::NoAnswer { .. } | Failure::Refused { .. } => {
            "The application gave no valid answer to this request.\n"
        }
        _ => "The application cannot answer now.\n",
    };
    let trace_id = exchange.span.trace_id().map(tracing::field::display);
    if matches!(failure, Failure::Trapped { .. }) {
        // Its instance has said so, with the backtrace.
        tracing::debug!(status = status.as_u16(), trace_id, "{failure}");
    } else {
        tracing::warn!(status = status.as_u16(), trace_id, "{failure}");
    }
    exchange.status = status;
    exchange.span.error(said.trim_end());
    text(status, said)
}

pub(super) fn text(status: StatusCode, said: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(said));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// A request in the queue; one that leaves it unadmitted was refused, or its client is gone.
struct Queued<'a>(&'a reef_meter::Meter, bool);

impl Queued<'_> {
    fn admitted(mut self, waited: Duration) {
        self.1 = true;
        self.0.admit(waited);
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.refuse();
        }
    }
}
