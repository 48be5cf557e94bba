//! What is reachable at this host: the routes of all applications of the lattice, wherever their workloads are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    str::FromStr as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use reef_app::{Application, Link, Name, Route};
use reef_host::{
    deploy::{Order, Others},
    remote::Callee,
    serve::Mounted,
};
use reef_http::{BoxError, Router, RouterBuilder};
use reef_lattice::{
    Key,
    key::kind,
    record::{self, App, Revision, Routing, Shared as LatticeShared},
};
use reef_planner::WorkloadKey;
use reef_wasi::{Handled, Next};
use serde::de::DeserializeOwned;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    Shared,
    calls::Called,
    forward::{Outward, Peers, Tried},
    metrics,
    path::{Near, Own, Path, Revisions},
    records::Routes,
};

/// How long a guest's request waits for an instance of the other workload.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what is not heard of may be unknown here before it is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// Between two times that it is told out of turn how far routes are followed: who deployed something waits for that.
const TOLD: Duration = Duration::from_millis(100);

/// The ways that the routes of an application lead.
type Ways = Arc<Router<Arc<Path>>>;

/// The ways to all workloads.
#[derive(Default)]
pub(crate) struct Paths {
    all: Mutex<HashMap<WorkloadKey, Arc<Path>>>,
    /// Of each application: its own routes.
    own: Mutex<HashMap<(String, String), Ways>>,
    /// Of each route: the revisions that have it.
    revisions: Mutex<HashMap<Routed, Arc<Revisions>>>,
}

/// Routes that are the same are left as they are.
type Seen = BTreeMap<(String, String), (Vec<Routed>, Option<u64>)>;
/// A route, and the workload that it is to.
type Routed = (String, WorkloadKey);

impl Paths {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkloadKey, Arc<Path>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to a workload, which may not be anywhere yet.
    pub(crate) fn to(&self, workload: &WorkloadKey) -> Arc<Path> {
        let mut all = self.lock();
        let path = all.entry(workload.clone());
        path.or_insert_with(|| Arc::new(Path::new(workload.clone()))).clone()
    }

    /// The revisions that have a route, which are these from now on.
    fn revisions(&self, route: Routed, now: BTreeSet<u64>) -> Arc<Revisions> {
        let mut all = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        let revisions = all.entry(route).or_default();
        if **revisions.load() != now {
            revisions.store(Arc::new(now));
        }
        revisions.clone()
    }

    fn retain(&self, known: &BTreeSet<WorkloadKey>) {
        // Guests that are linked to one that is gone hold it.
        self.lock().retain(|key, path| known.contains(key) || Arc::strong_count(path) > 1);
        let mut all = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, of), revisions| known.contains(of) || Arc::strong_count(revisions) > 1);
    }
}

/// Keeps what is reachable as the store says.
pub(crate) async fn follow(shared: Arc<Shared>, peers: Arc<Peers>) {
    let mut seen = Seen::new();
    let mut mirror = shared.records.mirror.clone();
    let mut all = Applications::new();
    // Until the store is heard, as it was.
    take(&shared, &mut all, shared.kept.below("").into_iter());
    let (mut told, mut newest_told) = (Instant::now(), 0);
    loop {
        let (until, newest) = mirror.look(|view| {
            let routes = view.below(kind::ROUTE).map(|entry| entry.revision);
            (if view.is_current() { view.revision() } else { 0 }, routes.max().unwrap_or_default())
        });
        read(&shared, &peers, &mut all, &mut seen).await;
        shared.routed.store(until, Ordering::Release);
        let mut wait = AGAIN;
        if newest != newest_told {
            let left = TOLD.saturating_sub(told.elapsed());
            if left.is_zero() {
                (told, newest_told) = (Instant::now(), newest);
                shared.changed.notify_one();
            } else {
                wait = left;
            }
        }
        shared.records.tidy();
        let _ = tokio::time::timeout(wait, mirror.changed()).await;
    }
}

/// What is known of an application.
struct Known {
    namespace: String,
    app: String,
    record: App,
    routing: Routing,
}

/// All applications, with where their requests go, as they were last heard of. One that the store has no record of any
/// more stays: it says of those that are deleted that they are.
type Applications = BTreeMap<(String, String), (App, Routing)>;

/// Takes in what is said of applications.
fn take(shared: &Shared, all: &mut Applications, said: impl Iterator<Item = (Key, Bytes)>) {
    let mut now: BTreeMap<(String, String), (Option<App>, Option<Routing>)> = BTreeMap::new();
    for (key, value) in said {
        let tokens: Vec<_> = key.tokens().collect();
        let [first, namespace, app] = &tokens[..] else { continue };
        let at = (namespace.to_string(), app.to_string());
        match &**first {
            kind::APP => now.entry(at).or_default().0 = read_or_kept(shared, &key, &value),
            kind::ROUTE => now.entry(at).or_default().1 = read_or_kept(shared, &key, &value),
            _ => {}
        }
    }
    for (at, said) in now {
        match said {
            (Some(app), routing) => drop(all.insert(at, (app, routing.unwrap_or_default()))),
            (None, Some(routing)) => {
                if let Some((_, known)) = all.get_mut(&at) {
                    *known = routing;
                }
            }
            (None, None) => {}
        }
    }
}

/// What is wanted of them.
fn known(all: &Applications) -> Vec<Known> {
    let wanted = all.iter().filter(|(_, (record, _))| record.wanted.is_some());
    let known = wanted.map(|((namespace, app), (record, routing))| Known {
        namespace: namespace.clone(),
        app: app.clone(),
        record: record.clone(),
        routing: routing.clone(),
    });
    let mut all: Vec<_> = known.collect();
    // Of two that want the same place, the one that was there first has it.
    all.sort_by_key(|known| known.record.accepted);
    all
}

/// A record as it is, or as it was when it last made sense: what runs goes on.
fn read_or_kept<T: DeserializeOwned>(shared: &Shared, key: &Key, value: &Bytes) -> Option<T> {
    let decode = |value: &[u8]| record::decode(key.as_str(), value);
    match decode(value) {
        Ok(read) => {
            shared.kept.keep(key, value);
            Some(read)
        }
        Err(failure) => {
            tracing::debug!(%failure, "It is left as it was.");
            decode(&shared.kept.read(key)?).ok()
        }
    }
}

async fn read(
    shared: &Arc<Shared>,
    peers: &Arc<Peers>,
    applications: &mut Applications,
    seen: &mut Seen,
) {
    if let Ok(key) = Key::new(&[kind::LATTICE]) {
        let entry = shared.records.mirror.get(&key).map(|entry| entry.value);
        if let Some(value) = &entry {
            shared.kept.keep(&key, value);
        }
        let value = entry.or_else(|| shared.kept.read(&key));
        let read = value.and_then(|value| record::decode::<LatticeShared>("lattice", &value).ok());
        if let Some(read) = read {
            peers.set_secret(&read.secret);
        }
    }
    let (mut wanted, mut workloads) = (Seen::new(), BTreeSet::new());
    let mut asked = BTreeMap::new();
    let mut mounted: Vec<(usize, Mounted)> = Vec::new();
    let own = Own { host: shared.id.clone(), zone: shared.options.labels.get("zone").cloned() };
    let said = shared.records.mirror.below("").into_iter();
    take(shared, applications, said.map(|entry| (entry.key, entry.value)));
    let all = known(applications);
    for (at, known) in all.iter().enumerate() {
        let mut routes: Vec<(Route, WorkloadKey, BTreeSet<u64>)> = Vec::new();
        let mut entries = Vec::new();
        let Some(number) = known.record.wanted else { continue };
        let Some(head) = revision(shared, known, number) else { continue };
        for (name, planned) in &head.workloads {
            let key = WorkloadKey::new(&known.namespace, &known.app, name);
            let entry = known.routing.workloads.get(name).cloned().unwrap_or_default();
            workloads.insert(key.clone());
            asked.extend(metrics::asked(&head, name).map(|metric| (key.clone(), metric)));
            let backends = entry.backends.iter().map(|backend| backend.revision);
            let revisions: BTreeSet<u64> = backends.chain([planned.revision.number]).collect();
            for number in revisions {
                let Some(all) = routes_of(shared, known, number) else { continue };
                for route in all.get(name).into_iter().flatten() {
                    let found =
                        routes.iter_mut().find(|(other, of, _)| other == route && *of == key);
                    match found {
                        Some((_, _, revisions)) => {
                            revisions.insert(number);
                        }
                        None => routes.push((route.clone(), key.clone(), [number].into())),
                    }
                }
            }
            entries.push((key, entry));
        }
        let mut router = RouterBuilder::new();
        let mut routed = Vec::new();
        for (route, key, revisions) in routes {
            let path = shared.paths.to(&key);
            let _ = router.add(&key.workload, route.clone(), path.clone());
            let of = (route.to_string(), key.clone());
            routed.push(of.clone());
            let revisions = shared.paths.revisions(of, revisions);
            let outward = Outward { peers: peers.clone(), path, revisions };
            mounted.push((at, Mounted::forward(key.to_string(), route, Arc::new(outward))));
        }
        // After the revisions that have the routes: a request that waits looks at those that come now.
        for (key, entry) in entries {
            shared.paths.to(&key).set(&entry, &own);
        }
        let place = (known.namespace.clone(), known.app.clone());
        let ways = Arc::new(router.build());
        shared.paths.own.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone(), ways);
        let fixed = has_fixed(&head).then_some(number);
        wanted.insert(place, (routed, fixed));
    }
    shared.paths.retain(&workloads);
    shared.asked.set(asked);
    if wanted == *seen {
        return;
    }
    for (at, known) in all.iter().enumerate() {
        let place = (known.namespace.clone(), known.app.clone());
        let Some((_, Some(number))) = wanted.get(&place) else { continue };
        match fixed(shared, known, *number).await {
            Ok(fixed) => mounted.extend(fixed.into_iter().map(|one| (at, one))),
            Err(why) => {
                tracing::warn!(application = known.app, why, "Its files are not served here.")
            }
        }
    }
    if install(shared, mounted, &all) {
        *seen = wanted;
    }
}

/// Makes all of it reachable; where two want the same place, the older application has it.
fn install(shared: &Shared, mounted: Vec<(usize, Mounted)>, all: &[Known]) -> bool {
    let every = mounted.iter().map(|(_, one)| one.clone()).collect();
    if shared.host.set_outside(every).is_ok() {
        return true;
    }
    let mut accepted: Vec<Mounted> = Vec::new();
    for (at, known) in all.iter().enumerate() {
        let own = mounted.iter().filter(|(of, _)| *of == at).map(|(_, one)| one.clone());
        let with: Vec<_> = accepted.iter().cloned().chain(own).collect();
        match reef_host::serve::Table::new(with.clone()) {
            Ok(_) => accepted = with,
            Err(conflict) => tracing::error!(
                application = known.app, namespace = known.namespace, %conflict,
                "It is not reachable: another application was there first."
            ),
        }
    }
    shared.host.set_outside(accepted).is_ok()
}

fn key_of(known: &Known, number: u64) -> Option<Key> {
    Key::new(&[kind::REVISION, &known.namespace, &known.app, &number.to_string()]).ok()
}

fn revision(shared: &Shared, known: &Known, number: u64) -> Option<Arc<Revision>> {
    shared.records.known(&key_of(known, number)?)
}

/// The routes of a revision, by its workloads.
fn routes_of(shared: &Shared, known: &Known, number: u64) -> Option<Arc<Routes>> {
    shared.records.routes(&key_of(known, number)?)
}

fn application(revision: &Revision) -> Option<Application> {
    reef_lattice::accept::application(revision).ok()
}

fn has_fixed(revision: &Revision) -> bool {
    let is_there = |name: &str| {
        let there = revision.application.get(name).and_then(|all| all.as_array());
        there.is_some_and(|all| !all.is_empty())
    };
    ["static", "redirect", "response"].into_iter().any(is_there)
}

/// What of an application is answered without a guest.
async fn fixed(shared: &Shared, known: &Known, number: u64) -> Result<Vec<Mounted>, String> {
    let revision = revision(shared, known, number).ok_or("its revision is not known here")?;
    let application = application(&revision).ok_or("its revision cannot be understood")?;
    let folders: Vec<_> = application.statics.iter().map(|one| one.dir.value.clone()).collect();
    let served = |file: &&record::File| {
        let path = std::path::Path::new(&file.path);
        folders.iter().any(|folder| path.starts_with(folder.strip_prefix("./").unwrap_or(folder)))
    };
    let files: Vec<_> = revision.files.iter().filter(served).cloned().collect();
    let folder = shared.files.folder(&files).await.map_err(|failure| failure.to_string())?;
    let values = revision.values.iter();
    let values =
        values.filter_map(|(name, value)| Some((Name::from_str(name).ok()?, value.clone())));
    let order = Order {
        application,
        folder,
        values: values.collect(),
        sourced: BTreeMap::new(),
        qualified: true,
        tried: false,
        placed: None,
    };
    shared.host.fixed(&order).map_err(|error| error.to_string())
}

// === from guest to guest ===

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
        Arc::new(Neighbour { shared: self.shared.clone(), to: To::Workload(self.key(link)) })
    }

    fn callee(&self, link: &Link) -> Arc<dyn Callee> {
        Arc::new(Called::new(self.shared.clone(), self.key(link)))
    }

    fn own_routes(&self) -> Arc<dyn Next> {
        let to = To::Routes(self.workload.namespace.to_string(), self.workload.app.to_string());
        Arc::new(Neighbour { shared: self.shared.clone(), to })
    }
}

struct Neighbour {
    shared: Weak<Shared>,
    to: To,
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
                let own = shared.paths.own.lock().unwrap_or_else(PoisonError::into_inner);
                let routes = own.get(&(namespace.clone(), app.clone())).cloned();
                drop(own);
                let found =
                    routes.as_ref().and_then(|routes| routes.find(None, request.uri().path()));
                found.map(|found| found.value.clone())
            }
        };
        let Some(path) = path else {
            return Box::pin(std::future::ready(Err(Error::DestinationNotFound)));
        };
        Box::pin(async move { answer(&shared, &path, request).await })
    }
}

async fn answer(
    shared: &Shared,
    path: &Path,
    mut request: Request<WasiBody>,
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
        match peers.send(&choice, head, body, true).await {
            Ok(response) => {
                let error = |error: BoxError| Error::InternalError(Some(error.to_string()));
                return Ok(response.map(|body| body.map_err(error).boxed_unsync()));
            }
            Err((why, nothing)) => {
                tracing::debug!(workload = %path.workload, host = choice.host, why, "A host did not answer.");
                let may = nothing || crate::forward::is_idempotent(&again.method);
                if !(empty && may) {
                    return Err(Error::DestinationUnavailable);
                }
                tried.push(choice, &peers.ejected);
                let nothing = http_body_util::Empty::new().map_err(|never| match never {});
                request = Request::from_parts(again, nothing.boxed_unsync());
            }
        }
    }
}
