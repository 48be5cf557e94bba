//! What is reachable, and how that changes while requests come in.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Request, Response, StatusCode};
use reef_app::{HttpTrigger, Route};
use reef_engine::Background;
use reef_http::{
    Handler, Peer, RequestBody, ResponseBody, RouteConflict, Router, RouterBuilder, Workers,
    request_host,
};
use reef_telemetry::Tracer;

use super::dispatch::{Behind, Guest, ServeError, ServeOptions, Service, takes_next, text};
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
    /// What answers there.
    pub workload: Arc<Workload>,
    /// What a request goes through before, outermost first: components of the world
    /// `wasi:http/middleware`.
    pub middleware: Vec<Arc<Workload>>,
    /// How.
    pub options: ServeOptions,
}

/// A workload made ready to answer at its route, and not reachable yet. Cheap to clone; all clones
/// share queue and instances.
#[derive(Clone)]
pub struct Mounted {
    route: Route,
    /// Named in messages, whatever stands in front of it.
    name: Arc<str>,
    service: Arc<Service>,
    /// What stands behind middleware, to be looked after as well.
    inner: Arc<[Arc<Service>]>,
}

/// A set of routes, to become what is reachable.
pub struct Table {
    router: Router<Mounted>,
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
}

// === impl Mounted ===

impl Mounted {
    /// Where it answers.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What is reached first there: the outermost middleware, if there is any.
    pub fn workload(&self) -> &Arc<Workload> {
        &self.service.workload
    }

    /// Answers a request as if it had come in at the route.
    pub async fn answer(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> Response<ResponseBody> {
        let span = self.service.span(&request);
        self.service.answer(request, peer, span, 0).await
    }

    fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        std::iter::once(&self.service).chain(&*self.inner)
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.route)
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
        for one in mounted {
            router.add(&one.name.clone(), one.route.clone(), one)?;
        }
        Ok(Self { router: router.build() })
    }

    fn mounted(&self) -> impl Iterator<Item = &Mounted> {
        self.router.routes().map(|(_, mounted)| mounted)
    }

    fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.mounted().flat_map(Mounted::services)
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
        let table = Table { router: RouterBuilder::new().build() };
        let ingress = Arc::new(Self {
            table: ArcSwap::from_pointee(table),
            retired: Mutex::default(),
            workers: workers.clone(),
            background,
            tracer,
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

    /// Makes a workload ready to answer.
    ///
    /// # Errors
    /// When it cannot be served, or its middleware cannot stand in front of it.
    pub fn mount(&self, mount: &Mount) -> Result<Mounted, ServeError> {
        let make = |workload: &Arc<Workload>| {
            let (background, tracer) = (self.background.clone(), self.tracer.clone());
            Service::new(workload, mount, &self.workers, background, tracer).map(Arc::new)
        };
        let mut service = make(&mount.workload)?;
        let mut inner = Vec::new();
        for middleware in mount.middleware.iter().rev() {
            if !takes_next(middleware) || matches!(service.guest, Guest::Wagi(_)) {
                let (name, next) = (middleware.name().clone(), service.workload.name().clone());
                return Err(ServeError::NotMiddleware { name, next });
            }
            middleware.world.set_next(Arc::new(Behind(service.clone())));
            inner.push(service);
            service = make(middleware)?;
        }
        if mount.middleware.is_empty() && takes_next(&mount.workload) {
            return Err(ServeError::NothingBehind { name: mount.workload.name().clone() });
        }
        let (name, route) = (mount.workload.name().clone(), mount.trigger.route.value.clone());
        Ok(Mounted { name, route, service, inner: inner.into() })
    }

    /// From now on, this is what is reachable. What was and is no more ends with the requests that it
    /// is answering.
    pub fn install(&self, table: Table) {
        let before = self.table.swap(Arc::new(table));
        let after = self.table.load();
        let gone =
            before.services().filter(|old| !after.services().any(|new| Arc::ptr_eq(old, new)));
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

    /// Nothing is reachable any more. Idle instances end; those at work end with their work.
    pub fn close(&self) {
        self.install(Table { router: RouterBuilder::new().build() });
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
    async fn handle(&self, request: Request<RequestBody>, peer: Peer) -> Response<ResponseBody> {
        let found = {
            let table = self.table.load();
            let found = table.router.find(request_host(&request), request.uri().path());
            found.map(|found| (found.value.service.clone(), found.rest.len()))
        };
        let Some((service, rest)) = found else {
            return text(StatusCode::NOT_FOUND, "Nothing is served at this address.\n");
        };
        let span = service.span(&request);
        service.answer(request, peer, span, rest).await
    }
}

impl fmt::Debug for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.load().fmt(f)
    }
}
