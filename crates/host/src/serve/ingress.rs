//! What is reachable, and how that changes while requests come in.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use reef_app::{HttpTrigger, Route};
use reef_engine::Background;
use reef_http::{
    Compression, Fixed, Handler, Match, Peer, Redirect, RequestBody, ResponseBody, RouteConflict,
    Router, RouterBuilder, ServedBy, StaticFiles, Workers, request_host,
};
use reef_spin::headers::Facts;
use reef_telemetry::Tracer;
use reef_wasi::Next;

use super::dispatch::{Behind, Guest, ServeError, ServeOptions, Service, takes_next, text};
use super::entries::SharedEntries;
use crate::Workload;

/// How often a worker looks after its instances, at most and at least.
///
/// It has a second purpose: tokio wakes a thread for a new timer that is due before all others, even the
/// thread that sets it, which is a system call. With this timer always running ahead, a request's
/// deadline is never the first.
const BEAT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// One workload at one route.
#[derive(Debug)]
pub struct Mount {
    /// Where it answers, and how it is handed a request there.
    pub trigger: HttpTrigger,
    /// What of its route is the base of all routes of its application: `/` mostly.
    pub base: String,
    /// What answers there.
    pub workload: Arc<Workload>,
    /// What a request goes through before, outermost first: components of the world
    /// `wasi:http/middleware`.
    pub middleware: Vec<Arc<Workload>>,
    /// How.
    pub options: ServeOptions,
    /// What a worker needs to know beside its request.
    pub script: Script,
    /// Files that are sent in place of asking the guest, where there are such.
    pub files: Option<StaticFiles>,
}

/// What a worker of a site needs to know beside its request.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Its file, from its site on.
    pub file: Option<String>,
    /// Arguments of a runtime that evaluates a script with each request.
    pub args: Vec<String>,
    /// What it shares with others of its namespace.
    pub entries: Option<SharedEntries>,
}

/// Something made ready to answer at its route, and not reachable yet. Cheap to clone; all clones
/// share queue and instances.
#[derive(Clone)]
pub struct Mounted(Arc<Answering>);

struct Answering {
    route: Route,
    /// Named in messages, whatever stands in front of it.
    name: Arc<str>,
    endpoint: Endpoint,
    /// Whether it is left out where something else has its route.
    yields: bool,
}

/// What answers.
enum Endpoint {
    Guest {
        /// The outermost: middleware, if there is any.
        service: Arc<Service>,
        /// What stands behind middleware, to be looked after as well.
        inner: Arc<[Arc<Service>]>,
    },
    Files(StaticFiles),
    Redirect(Arc<Redirect>),
    Fixed(Arc<Fixed>),
    Forward(Arc<dyn Forward>),
}

/// What has requests answered by somebody else: another host.
pub trait Forward: Send + Sync {
    /// Has it answered.
    fn forward(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> BoxFuture<'_, Response<ResponseBody>>;
}

/// A set of routes, to become what is reachable.
pub struct Table {
    router: Router<Mounted>,
    /// What is reached by the name that it was placed here under, and not from outside.
    placed: HashMap<Arc<str>, Arc<Router<Mounted>>>,
    /// What only other workloads reach: looked after here, too.
    hidden: Vec<Mounted>,
}

/// What answers the requests of a server. Its [`Table`] is put in place of another one at any time:
/// requests that are in progress end where they began.
pub struct Ingress {
    table: ArcSwap<Table>,
    /// Not reachable any more, with instances that are still at work.
    retired: Mutex<Vec<Arc<Service>>>,
    workers: Workers,
    background: Arc<Background>,
    tracer: Tracer,
    compression: Compression,
    /// Whether responses say what answered: somebody writes it down.
    names: AtomicBool,
}

// === impl Mounted ===

impl Mounted {
    fn new(name: Arc<str>, route: Route, endpoint: Endpoint) -> Self {
        Self(Arc::new(Answering { route, name, endpoint, yields: false }))
    }

    /// Where it answers.
    pub fn route(&self) -> &Route {
        &self.0.route
    }

    /// What answers, as messages call it.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// Files of a folder.
    pub fn files(name: impl Into<Arc<str>>, route: Route, files: StaticFiles) -> Self {
        Self::new(name.into(), route, Endpoint::Files(files))
    }

    /// Another place to go to.
    pub fn redirect(name: impl Into<Arc<str>>, route: Route, redirect: Redirect) -> Self {
        Self::new(name.into(), route, Endpoint::Redirect(redirect.into()))
    }

    /// One answer to everybody.
    pub fn fixed(name: impl Into<Arc<str>>, route: Route, fixed: Fixed) -> Self {
        Self::new(name.into(), route, Endpoint::Fixed(fixed.into()))
    }

    /// The same answer, unless something else has its route: no conflict.
    pub fn fixed_unless_taken(name: impl Into<Arc<str>>, route: Route, fixed: Fixed) -> Self {
        let (name, endpoint) = (name.into(), Endpoint::Fixed(fixed.into()));
        Self(Arc::new(Answering { route, name, endpoint, yields: true }))
    }

    /// Something that somebody else answers.
    pub fn forward(name: impl Into<Arc<str>>, route: Route, to: Arc<dyn Forward>) -> Self {
        Self::new(name.into(), route, Endpoint::Forward(to))
    }

    /// Lets as many requests in at once as so many instances can serve.
    pub(crate) fn set_instances(&self, instances: u32) {
        if let Endpoint::Guest { service, .. } = &self.0.endpoint {
            service.set_instances(instances);
        }
    }

    /// The workload that is reached first there: the outermost middleware, if there is any.
    pub fn workload(&self) -> Option<&Arc<Workload>> {
        match &self.0.endpoint {
            Endpoint::Guest { service, .. } => Some(&service.workload),
            _ => None,
        }
    }

    /// The same for a guest that sends requests to it, without leaving the process. `None` where no
    /// component answers.
    pub fn internal(&self) -> Option<Arc<dyn Next>> {
        match &self.0.endpoint {
            Endpoint::Guest { service, .. } if matches!(service.guest, Guest::Component(_)) => {
                Some(Arc::new(Behind { service: service.clone(), internal: true }))
            }
            _ => None,
        }
    }

    /// Answers a request as if it had come in at the route.
    pub async fn answer(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> Response<ResponseBody> {
        self.answer_below(request, peer, 0).await
    }

    /// `rest`: bytes of the path that follow the route's base.
    async fn answer_below(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
        rest: usize,
    ) -> Response<ResponseBody> {
        let path = request.uri().path();
        let below = path.get(path.len().saturating_sub(rest)..).unwrap_or_default();
        match &self.0.endpoint {
            Endpoint::Guest { service, .. } => {
                let span = service.span(&request);
                service.answer(request, peer, span, rest).await
            }
            Endpoint::Files(files) => files.answer(&request, below).await,
            Endpoint::Redirect(redirect) => redirect.answer(request.uri(), below),
            Endpoint::Fixed(fixed) => fixed.answer(request.method()),
            Endpoint::Forward(to) => to.forward(request, peer).await,
        }
    }

    fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        let (service, inner) = match &self.0.endpoint {
            Endpoint::Guest { service, inner } => (Some(service), &inner[..]),
            _ => (None, &[][..]),
        };
        service.into_iter().chain(inner)
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.0.name, self.0.route)
    }
}

// === impl Table ===

impl Table {
    /// All that is to be reachable.
    ///
    /// # Errors
    /// Two want the same place.
    pub fn new(mounted: impl IntoIterator<Item = Mounted>) -> Result<Self, RouteConflict> {
        let mut router = RouterBuilder::new();
        let (yielding, mounted): (Vec<_>, Vec<_>) =
            mounted.into_iter().partition(|one| one.0.yields);
        for one in mounted {
            router.add(&one.name().clone(), one.route().clone(), one)?;
        }
        for one in yielding {
            // A conflict says that it is not needed.
            let _ = router.add(&one.name().clone(), one.route().clone(), one);
        }
        Ok(Self { router: router.build(), placed: HashMap::new(), hidden: Vec::new() })
    }

    /// With something more that is reached by its name only ([`Ingress::answer_placed`]).
    ///
    /// # Errors
    /// Two of it want the same place.
    pub fn with_placed(
        mut self,
        name: Arc<str>,
        mounted: impl IntoIterator<Item = Mounted>,
    ) -> Result<Self, RouteConflict> {
        let own = Self::new(mounted)?;
        self.placed.insert(name, Arc::new(own.router));
        Ok(self)
    }

    /// With what only other workloads reach.
    #[must_use]
    pub fn with_hidden(mut self, hidden: impl IntoIterator<Item = Mounted>) -> Self {
        self.hidden.extend(hidden);
        self
    }

    fn mounted(&self) -> impl Iterator<Item = &Mounted> {
        self.router.routes().map(|(_, mounted)| mounted)
    }

    fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        let placed = self.placed.values().flat_map(|router| router.routes());
        let placed = placed.map(|(_, mounted)| mounted);
        self.mounted().chain(placed).chain(&self.hidden).flat_map(Mounted::services)
    }

    fn empty() -> Self {
        let router = RouterBuilder::new().build();
        Self { router, placed: HashMap::new(), hidden: Vec::new() }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.mounted()).finish()
    }
}

// === impl Ingress ===

impl Ingress {
    /// One where nothing is reachable.
    pub fn new(workers: &Workers, background: Arc<Background>, tracer: Tracer) -> Arc<Self> {
        let ingress = Arc::new(Self {
            table: ArcSwap::from_pointee(Table::empty()),
            retired: Mutex::default(),
            workers: workers.clone(),
            background,
            tracer,
            compression: Compression::default(),
            names: AtomicBool::new(false),
        });
        for worker in 0..workers.len() {
            let weak = Arc::downgrade(&ingress);
            workers.spawn_on(worker, async move {
                let mut beat = BEAT.0;
                loop {
                    tokio::time::sleep(beat).await;
                    let Some(ingress) = weak.upgrade() else { return };
                    beat = ingress.tidy(worker);
                }
            });
        }
        ingress
    }

    /// What answers are compressed by: one bound for all.
    pub fn compression(&self) -> &Compression {
        &self.compression
    }

    /// Has responses say what answered, for the access log.
    pub fn name_responses(&self) {
        self.names.store(true, Ordering::Relaxed);
    }

    /// Makes a workload ready to answer.
    ///
    /// # Errors
    /// When it cannot be served, or its middleware cannot stand in front of it.
    pub fn mount(&self, mount: &Mount) -> Result<Mounted, ServeError> {
        let make = |workload: &Arc<Workload>| {
            let (background, tracer) = (self.background.clone(), self.tracer.clone());
            Service::new(workload, mount, &self.workers, background, tracer, &self.compression)
                .map(Arc::new)
        };
        let mut service = make(&mount.workload)?;
        let mut inner = Vec::new();
        for middleware in mount.middleware.iter().rev() {
            if !takes_next(middleware) || matches!(service.guest, Guest::Wagi(_)) {
                let (name, next) = (middleware.name().clone(), service.workload.name().clone());
                return Err(ServeError::NotMiddleware { name, next });
            }
            let behind = Behind { service: service.clone(), internal: false };
            middleware.world.set_next(Arc::new(behind));
            inner.push(service);
            service = make(middleware)?;
        }
        if mount.middleware.is_empty() && takes_next(&mount.workload) {
            return Err(ServeError::NothingBehind { name: mount.workload.name().clone() });
        }
        let (name, route) = (mount.workload.name().clone(), mount.trigger.route.value.clone());
        let endpoint = Endpoint::Guest { service, inner: inner.into() };
        Ok(Mounted::new(name, route, endpoint))
    }

    /// From now on, this is what is reachable. What was and is no more ends with the requests that it
    /// is answering.
    pub fn install(&self, table: Table) {
        let before = self.table.swap(Arc::new(table));
        let after = self.table.load();
        let kept: HashSet<_> = after.services().map(Arc::as_ptr).collect();
        let gone = before.services().filter(|old| !kept.contains(&Arc::as_ptr(old)));
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        for service in gone {
            service.close();
            retired.push(service.clone());
        }
    }

    /// What is reachable.
    pub fn mounted(&self) -> Vec<Mounted> {
        self.table.load().mounted().cloned().collect()
    }

    /// Whether something was placed here under a name.
    pub fn has_placed(&self, name: &str) -> bool {
        self.table.load().placed.contains_key(name)
    }

    /// Has what was placed here under a name answer a request.
    ///
    /// # Errors
    /// The request, where nothing was, or nothing of it has that route.
    pub async fn answer_placed(
        &self,
        name: &str,
        mut request: Request<RequestBody>,
        peer: Peer,
    ) -> Result<Response<ResponseBody>, Request<RequestBody>> {
        let router = self.table.load().placed.get(name).cloned();
        match router.and_then(|router| find(&router, &mut request, peer)) {
            Some((mounted, rest)) => Ok(mounted.answer_below(request, peer, rest).await),
            None => Err(request),
        }
    }

    /// The same whatever the path is: a guest sends it to the workload, and not to one of its routes.
    ///
    /// # Errors
    /// The request, where nothing was placed here under that name.
    pub async fn answer_any_placed(
        &self,
        name: &str,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> Result<Response<ResponseBody>, Request<RequestBody>> {
        let mounted = self.first_placed(name);
        match mounted {
            Some(mounted) => Ok(mounted.answer(request, peer).await),
            None => Err(request),
        }
    }

    /// Whether requests wait for what was placed here under a name.
    pub fn is_busy(&self, name: &str) -> bool {
        let table = self.table.load();
        let placed = table.placed.get(name);
        placed.is_some_and(|router| {
            router.routes().flat_map(|(_, mounted)| mounted.services()).any(|one| one.is_busy())
        })
    }

    fn first_placed(&self, name: &str) -> Option<Mounted> {
        let table = self.table.load();
        let (_, mounted) = table.placed.get(name)?.routes().next()?;
        Some(mounted.clone())
    }

    /// What was placed here under a name, for a guest of this host that sends requests to it.
    pub fn placed_internal(&self, name: &str) -> Option<Arc<dyn Next>> {
        self.first_placed(name)?.internal()
    }

    /// Nothing is reachable any more. Idle instances end; those at work end with their work.
    pub fn close(&self) {
        self.install(Table::empty());
    }

    /// Looks after the instances of a worker. How long until it should again.
    fn tidy(&self, worker: usize) -> Duration {
        let table = self.table.load_full();
        let mut soonest = None;
        for service in table.services() {
            service.tidy(worker);
            soonest = soonest.into_iter().chain(service.deadline).min();
        }
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|service| {
            service.tidy(worker);
            service.is_live()
        });
        soonest.map_or(BEAT.1, |deadline| (deadline / 2).clamp(BEAT.0, BEAT.1))
    }
}

impl Handler for Ingress {
    async fn handle(
        &self,
        mut request: Request<RequestBody>,
        peer: Peer,
    ) -> Response<ResponseBody> {
        let found = find(&self.table.load().router, &mut request, peer);
        let Some((mounted, rest)) = found else {
            return text(StatusCode::NOT_FOUND, "Nothing is served at this address.\n");
        };
        let mut response = match &mounted.0.endpoint {
            // The usual one by itself: its future is small.
            Endpoint::Guest { service, .. } => {
                let span = service.span(&request);
                service.answer(request, peer, span, rest).await
            }
            _ => Box::pin(mounted.answer_below(request, peer, rest)).await,
        };
        if self.names.load(Ordering::Relaxed) {
            let route = mounted.route().to_string().into();
            response.extensions_mut().insert(ServedBy { workload: mounted.name().clone(), route });
        }
        response
    }
}

/// What answers a request, and how many bytes of its path follow the route's base. The request is what it is to see.
fn find(
    router: &Router<Mounted>,
    request: &mut Request<RequestBody>,
    peer: Peer,
) -> Option<(Mounted, usize)> {
    let found = router.find(request_host(request), request.uri().path())?;
    let own = spin_headers(&found, request, peer);
    let found = (found.value.clone(), found.rest.len());
    if let Some(own) = own {
        replace_spin_headers(request.headers_mut(), own);
    }
    Some(found)
}

/// What Spin tells its components of a request, if that is how this one is handed to its guest.
fn spin_headers(
    found: &Match<'_, '_, Mounted>,
    request: &Request<RequestBody>,
    peer: Peer,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let Endpoint::Guest { service, .. } = &found.value.0.endpoint else { return None };
    let base = service.spin.as_deref()?;
    let parameters: Vec<_> = found.parameters().collect();
    let rest = if found.route.takes_below() { found.rest } else { "" };
    Some(reef_spin::headers::own(&Facts {
        route: &found.route.path(),
        base,
        rest,
        parameters: &parameters,
        uri: request.uri(),
        host: request_host(request).unwrap_or("localhost"),
        tls: peer.tls,
        client: peer.remote,
    }))
}

fn replace_spin_headers(headers: &mut HeaderMap, own: Vec<(HeaderName, HeaderValue)>) {
    let brought: Vec<_> =
        headers.keys().filter(|name| reef_spin::headers::is_reserved(name)).cloned().collect();
    for name in brought {
        headers.remove(name);
    }
    headers.extend(own);
}

impl fmt::Debug for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.load().fmt(f)
    }
}
