//! What is reachable at this host: the routes of all applications of the lattice, wherever their workloads are.

mod fixed;
mod known;
mod neighbours;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use reef_app::Route;
use reef_host::serve::Mounted;
use reef_http::{Router, RouterBuilder};
use reef_lattice::{
    Key,
    key::kind,
    record::{self, Missing, Revision, Shared as LatticeShared},
};
use reef_planner::WorkloadKey;

use self::fixed::{Fixed, has_fixed};
use self::known::{Applications, Known};
pub(crate) use self::neighbours::Neighbours;
use crate::{
    Shared,
    forward::{Outward, Peers},
    metrics,
    path::{Own, Path, Revisions},
    records::Routes,
};

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
    own: Mutex<HashMap<Place, Ways>>,
    /// Of each route: the revisions that have it.
    revisions: Mutex<HashMap<Routed, Arc<Revisions>>>,
}

/// A route, and the workload that it is to.
type Routed = (String, WorkloadKey);
/// An application: its namespace, and what it is called.
type Place = (String, String);

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

    fn own(&self) -> MutexGuard<'_, HashMap<Place, Ways>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retain(&self, known: &BTreeSet<WorkloadKey>, wanted: &[Arc<Read>]) {
        let places: HashSet<_> = wanted.iter().map(|read| &read.place).collect();
        self.own().retain(|place, _| places.contains(place));
        // Guests that are linked to one that is gone hold it.
        self.lock().retain(|key, path| known.contains(key) || Arc::strong_count(path) > 1);
        let mut all = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, of), revisions| known.contains(of) || Arc::strong_count(revisions) > 1);
    }
}

/// What of an application is reachable, and how.
struct Read {
    place: Place,
    routed: Vec<Routed>,
    /// The revision that has files or fixed answers.
    fixed: Option<u64>,
    workloads: Vec<WorkloadKey>,
    /// The metrics that they are scaled by.
    asked: Vec<(WorkloadKey, Arc<str>)>,
    mounted: Vec<Mounted>,
}

impl Read {
    /// Whether the same is reachable at the same places.
    fn is_as(&self, other: &Self) -> bool {
        (&self.place, &self.routed, self.fixed) == (&other.place, &other.routed, other.fixed)
    }
}

/// What is followed.
#[derive(Default)]
struct Followed {
    all: Applications,
    /// How many records it was read from, and the newest of their revisions.
    said: Option<(usize, u64)>,
    /// What is to be reachable, the oldest application first.
    wanted: Vec<Arc<Read>>,
    /// Whether nothing of it has to be looked at again before something changes.
    complete: bool,
    /// What is reachable now.
    seen: Vec<Arc<Read>>,
    /// What hosts know each other and their store by.
    lattice: Option<Bytes>,
    fixed: Fixed,
}

/// Keeps what is reachable as the store says.
pub(crate) async fn follow(shared: Arc<Shared>, peers: Arc<Peers>) {
    let mut followed = Followed::default();
    let mut mirror = shared.records.mirror.clone();
    // Until the store is heard, as it was.
    let kept = shared.kept.all();
    let said = followed.all.differing(&kept);
    followed.all.take(&shared.kept, said);
    let (mut told, mut newest_told) = (Instant::now(), None);
    // Whether something is there that was missing when this was told.
    let mut come = false;
    let mut tidied: Option<Instant> = None;
    loop {
        let heard = mirror.look(|view| {
            let routes = view.below(kind::ROUTE).map(|entry| entry.revision);
            view.is_current().then(|| (view.revision(), routes.max().unwrap_or_default()))
        });
        let missing = followed.read(&shared, &peers);
        let before = std::mem::replace(&mut *shared.missing(), missing.clone());
        come |= before.iter().any(|one| !missing.contains(one));
        shared.routed.store(heard.map_or(0, |(until, _)| until), Ordering::Release);
        let (newest, mut wait) = (heard.map(|(_, newest)| newest), AGAIN);
        if come || newest != newest_told {
            let left = TOLD.saturating_sub(told.elapsed());
            if left.is_zero() {
                (told, newest_told, come) = (Instant::now(), newest, false);
                shared.changed.notify_one();
            } else {
                wait = left;
            }
        }
        if tidied.is_none_or(|at| at.elapsed() >= AGAIN) {
            shared.records.tidy();
            tidied = Some(Instant::now());
        }
        tokio::select! {
            () = mirror.changed() => {}
            () = followed.fixed.got() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Followed {
    /// Reads what differs. Of the applications that are returned, not all is there that is answered without a guest.
    fn read(&mut self, shared: &Arc<Shared>, peers: &Arc<Peers>) -> Vec<Missing> {
        self.read_lattice(shared, peers);
        let said = shared.records.mirror.look(|view| {
            let all = || view.below(kind::APP).chain(view.below(kind::ROUTE));
            // Whatever is written or deleted changes one of them.
            let said = all()
                .fold((0, 0), |(count, newest), entry| (count + 1, entry.revision.max(newest)));
            let new = self.said.replace(said) != Some(said);
            new.then(|| self.all.differing(all().map(|entry| (&entry.key, &entry.value))))
        });
        let differs = said.is_some_and(|said| self.all.take(&shared.kept, said));
        if differs || !self.complete {
            self.read_wanted(shared, peers);
        }
        let wanted = &self.wanted;
        let same =
            |(one, other): (&Arc<Read>, &Arc<Read>)| Arc::ptr_eq(one, other) || one.is_as(other);
        let same = wanted.len() == self.seen.len() && wanted.iter().zip(&self.seen).all(same);
        let come = self.fixed.get(shared, wanted);
        let missing = self.fixed.missing(wanted);
        if !come && same {
            return missing;
        }
        let mut mounted: Vec<(usize, Mounted)> = Vec::new();
        for (at, read) in wanted.iter().enumerate() {
            mounted.extend(read.mounted.iter().map(|one| (at, one.clone())));
            mounted.extend(self.fixed.of(&read.place).iter().map(|one| (at, one.clone())));
        }
        if install(shared, mounted, wanted) {
            self.seen.clone_from(wanted);
        }
        missing
    }

    /// Finds out what is to be reachable.
    fn read_wanted(&mut self, shared: &Arc<Shared>, peers: &Arc<Peers>) {
        let own = Own { host: shared.id.clone(), zone: shared.options.labels.get("zone").cloned() };
        let mut all = self.all.wanted();
        self.wanted.clear();
        self.complete = true;
        for known in &mut all {
            let read = match &known.read {
                Some(read) => Some(read.clone()),
                None => read_one(shared, peers, known, &own),
            };
            self.complete &= known.read.is_some();
            self.wanted.extend(read);
        }
        let wanted = &self.wanted;
        let workloads = wanted.iter().flat_map(|read| read.workloads.iter().cloned());
        shared.paths.retain(&workloads.collect(), wanted);
        shared.asked.set(wanted.iter().flat_map(|read| read.asked.iter().cloned()).collect());
    }

    /// What hosts know each other by; in another store, all is read anew.
    fn read_lattice(&mut self, shared: &Shared, peers: &Peers) {
        let Ok(key) = Key::new(&[kind::LATTICE]) else { return };
        let entry = shared.records.mirror.get(&key).map(|entry| entry.value);
        if let Some(value) = &entry {
            shared.kept.keep(&key, value);
        }
        let value = entry.or_else(|| shared.kept.read(&key));
        if value == self.lattice {
            return;
        }
        let read =
            value.as_ref().and_then(|value| record::decode::<LatticeShared>("lattice", value).ok());
        if let Some(read) = read {
            peers.set_secret(&read.secret);
        }
        self.lattice = value;
        self.all.forget_what_was_read();
        (self.said, self.complete) = (None, false);
    }
}

/// Finds out what of an application is reachable; not once and for all, while not all of its revisions are known here.
fn read_one(
    shared: &Arc<Shared>,
    peers: &Arc<Peers>,
    known: &mut Known,
    own: &Own,
) -> Option<Arc<Read>> {
    let number = known.record.wanted?;
    let head = revision(shared, &known.namespace, &known.app, number)?;
    let mut routes: Vec<(Route, WorkloadKey, BTreeSet<u64>)> = Vec::new();
    let (mut entries, mut asked, mut complete) = (Vec::new(), Vec::new(), true);
    for (name, planned) in &head.workloads {
        let key = WorkloadKey::new(&known.namespace, &known.app, name);
        let entry = known.routing.workloads.get(name).cloned().unwrap_or_default();
        asked.extend(metrics::asked(&head, name).map(|metric| (key.clone(), metric)));
        let backends = entry.backends.iter().map(|backend| backend.revision);
        let revisions: BTreeSet<u64> = backends.chain([planned.revision.number]).collect();
        for number in revisions {
            let Some(all) = routes_of(shared, known, number) else {
                complete = false;
                continue;
            };
            for route in all.get(name).into_iter().flatten() {
                let found = routes.iter_mut().find(|(other, of, _)| other == route && *of == key);
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
    let (mut routed, mut mounted) = (Vec::new(), Vec::new());
    for (route, key, revisions) in routes {
        let path = shared.paths.to(&key);
        let _ = router.add(&key.workload, route.clone(), path.clone());
        let of = (route.to_string(), key.clone());
        routed.push(of.clone());
        let revisions = shared.paths.revisions(of, revisions);
        let outward = Outward { peers: peers.clone(), path, revisions };
        mounted.push(Mounted::forward(key.to_string(), route, Arc::new(outward)));
    }
    // After the revisions that have the routes: a request that waits looks at those that come now.
    for (key, entry) in &entries {
        shared.paths.to(key).set(entry, own);
    }
    let place = (known.namespace.clone(), known.app.clone());
    shared.paths.own().insert(place.clone(), Arc::new(router.build()));
    let read = Arc::new(Read {
        place,
        routed,
        fixed: has_fixed(&head).then_some(number),
        workloads: entries.into_iter().map(|(key, _)| key).collect(),
        asked,
        mounted,
    });
    known.read = complete.then(|| read.clone());
    Some(read)
}

/// Makes all of it reachable; where two want the same place, the older application has it.
fn install(shared: &Shared, mounted: Vec<(usize, Mounted)>, all: &[Arc<Read>]) -> bool {
    let every = mounted.iter().map(|(_, one)| one.clone()).collect();
    if shared.host.set_outside(every).is_ok() {
        return true;
    }
    let mut accepted: Vec<Mounted> = Vec::new();
    for (at, read) in all.iter().enumerate() {
        let own = mounted.iter().filter(|(of, _)| *of == at).map(|(_, one)| one.clone());
        let with: Vec<_> = accepted.iter().cloned().chain(own).collect();
        match reef_host::serve::Table::new(with.clone()) {
            Ok(_) => accepted = with,
            Err(conflict) => tracing::error!(
                application = read.place.1, namespace = read.place.0, %conflict,
                "It is not reachable: another application was there first."
            ),
        }
    }
    shared.host.set_outside(accepted).is_ok()
}

fn revision(shared: &Shared, namespace: &str, app: &str, number: u64) -> Option<Arc<Revision>> {
    let key = Key::new(&[kind::REVISION, namespace, app, &number.to_string()]);
    shared.records.known(&key.ok()?)
}

/// The routes of a revision, by its workloads.
fn routes_of(shared: &Shared, known: &Known, number: u64) -> Option<Arc<Routes>> {
    let key = Key::new(&[kind::REVISION, &known.namespace, &known.app, &number.to_string()]);
    shared.records.routes(&key.ok()?)
}
