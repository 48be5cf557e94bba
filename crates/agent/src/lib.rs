//! A host's part in its lattice.
//!
//! An [`Agent`] follows what the leading controller assigns to its host, says how the host is, and keeps the routes of
//! all applications at the host's door, wherever their workloads are. It needs nobody to go on: without bus and store,
//! the host runs what it was last told to, also after a start, and says so once it is heard again.
//!
//! | module | what |
//! | --- | --- |
//! | `follow`, `placement` | what is assigned here, each workload with a task of its own |
//! | `order`, `files` | what a workload is made of |
//! | `heartbeat`, `metrics` | what is said of the host, and of what it runs |
//! | `routes`, `path`, `forward`, `watched` | where requests go, and what comes back |
//! | `calls` | calls of components, to other hosts and from them |
//! | `records`, `kept` | what is known of the store, and what of it outlives this process |

mod calls;
mod files;
mod follow;
mod forward;
mod heartbeat;
mod kept;
mod metrics;
mod order;
mod path;
mod placement;
mod records;
mod routes;
mod watched;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use reef_egress::{Client, ClientConfig, Egress};
use reef_host::deploy::Host;
use reef_lattice::{
    Failure, Key, Lattice, Mirror,
    key::kind,
    record::{self, Missing, Reported, Shared as LatticeShared},
};
use reef_planner::{Resources, WorkloadKey};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

pub use self::forward::Door;
use self::{
    calls::Calls,
    files::Files,
    forward::Peers,
    kept::Kept,
    metrics::Asked,
    placement::{Place, Placement},
    records::Records,
    routes::Paths,
};

/// How often a host that leaves looks whether something runs there still.
const LOOK: Duration = Duration::from_millis(50);

/// How a host is in its lattice.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is called.
    pub name: String,
    /// What it can be chosen by.
    pub labels: BTreeMap<String, String>,
    /// What it has for workloads.
    pub capacity: Resources,
    /// Where other hosts reach its HTTP; `None`: they do not.
    pub http: Option<String>,
    /// Where it keeps what is its own.
    pub data: PathBuf,
}

/// A host in its lattice.
pub struct Agent {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

struct Shared {
    lattice: Lattice,
    host: Arc<Host>,
    options: Options,
    id: String,
    boot: u64,
    since: Instant,
    sequence: AtomicU64,
    /// Of the assignment that is followed: the store's revision, and its term.
    followed: (AtomicU64, AtomicU64),
    /// The store's revision up to which routes are followed.
    routed: AtomicU64,
    /// Of these applications not all is answered that is without a guest.
    missing: Mutex<Vec<Missing>>,
    leaving: AtomicBool,
    released: watch::Sender<bool>,
    /// Something of the host has changed that is to be told.
    changed: Notify,
    placements: Mutex<BTreeMap<Place, Placement>>,
    /// Nanoseconds of processor time, and when they were counted.
    counted: Mutex<Option<(Instant, u64)>>,
    kept: Arc<Kept>,
    records: Records,
    files: Files,
    paths: Paths,
    peers: Arc<Peers>,
    calls: Calls,
    asked: Asked,
}

impl Agent {
    /// Joins the lattice. `host`: what runs workloads here.
    ///
    /// # Errors
    /// When the folder for data cannot be used.
    pub async fn start(
        lattice: Lattice,
        host: Arc<Host>,
        options: Options,
    ) -> Result<Self, Failure> {
        let folder = options.data.join("lattice").join(&*lattice.name);
        std::fs::create_dir_all(&folder).map_err(|error| files::disk(&folder, &error))?;
        let id = identity(&folder)?;
        let kept = Arc::new(Kept::new(folder.join("kept")));
        let own = |kind: &str| format!("{kind}.{id}");
        let (want, sched) = (own(kind::WANT), own(kind::SCHEDULING));
        // All by one watch, so that what was written first is known first: nothing ends here that routes still lead to.
        let prefixes = [&want, &sched, kind::APP, kind::REVISION, kind::ROUTE, kind::LATTICE];
        let mirror = Mirror::start(&lattice.store, &prefixes)?;
        let client = Client::new(ClientConfig {
            max_connections: 4096,
            max_idle_per_host: 256,
            ..ClientConfig::new("reef", everywhere())
        });
        let (bus, demand) = (lattice.bus.clone(), format!("reef.{}.demand", lattice.name));
        let runtime = tokio::runtime::Handle::current();
        let last_asked = Mutex::new(BTreeMap::<WorkloadKey, Instant>::new());
        let demand = move |path: &path::Path| {
            // Others ask at the same time: once a moment is enough.
            let mut asked = last_asked.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            asked.retain(|_, at| now.duration_since(*at) < Duration::from_millis(100));
            if asked.insert(path.workload.clone(), now).is_some() {
                return;
            }
            let (bus, body) = (bus.clone(), path.workload.to_string().into_bytes());
            let Ok(message) = reef_bus::Message::new(&demand, body) else { return };
            runtime.spawn(async move {
                let _ = tokio::time::timeout(Duration::from_secs(1), bus.publish(message)).await;
            });
        };
        let peers = Arc::new(Peers::new(host.ingress().clone(), client, Box::new(demand)));
        let shared = Arc::new(Shared {
            files: Files::new(lattice.objects.clone(), folder),
            records: Records::new(lattice.clone(), mirror, kept.clone()),
            lattice,
            host,
            id,
            options,
            boot: fastrand::u64(..),
            since: Instant::now(),
            sequence: AtomicU64::new(0),
            followed: Default::default(),
            routed: AtomicU64::new(0),
            missing: Mutex::default(),
            leaving: AtomicBool::new(false),
            released: watch::channel(false).0,
            changed: Notify::new(),
            placements: Mutex::default(),
            counted: Mutex::default(),
            kept,
            paths: Paths::default(),
            peers,
            calls: Calls::default(),
            asked: Asked::default(),
        });
        let mut tasks = JoinSet::new();
        let kept = shared.kept.clone();
        tasks.spawn(async move { kept.write().await });
        let tidying = shared.clone();
        tasks.spawn(async move { tidying.files.tidy().await });
        tasks.spawn(calls::open(shared.clone()));
        tasks.spawn(share(shared.clone()));
        tasks.spawn(follow::follow(shared.clone()));
        tasks.spawn(heartbeat::beat(shared.clone()));
        tasks.spawn(routes::follow(shared.clone(), shared.peers.clone()));
        Ok(Self { shared, tasks })
    }

    /// Which host it is: the same one at each start.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// What answers requests at this host.
    pub fn door(&self) -> Arc<Door> {
        Arc::new(Door::new(self.shared.peers.clone()))
    }

    /// Asks for what runs here to be taken elsewhere. Done once nothing does, or after `within`. Whether it was.
    pub async fn leave(&self, within: Duration) -> bool {
        self.shared.leaving.store(true, Ordering::Release);
        self.shared.changed.notify_one();
        let until = tokio::time::Instant::now() + within;
        while !self.shared.is_idle() {
            if tokio::time::Instant::now() >= until {
                return false;
            }
            // That something changed is for the heartbeat to hear.
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Ready once the host was released: it was drained to leave, and nothing runs here any more.
    pub async fn released(&self) {
        let mut released = self.shared.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }

    /// Says good-bye and ends. What runs here is for the host to end.
    pub async fn stop(mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        self.shared.kept.finish().await;
        heartbeat::say(&self.shared, true).await;
        self.shared.placements().clear();
    }
}

impl Shared {
    fn placements(&self) -> MutexGuard<'_, BTreeMap<Place, Placement>> {
        self.placements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing runs here.
    fn is_idle(&self) -> bool {
        self.placements().values().all(Placement::is_asleep)
    }

    fn reports(&self) -> Vec<Reported> {
        let placements = self.placements();
        placements.iter().filter_map(|(place, one)| one.report(self, place)).collect()
    }

    /// The newest revision of a workload that runs here and is to go on.
    fn runs(&self, workload: &WorkloadKey) -> Option<u64> {
        let placements = self.placements();
        let own = placements.iter().filter(|(place, _)| place.workload == *workload);
        own.filter(|(_, one)| one.is_wanted()).map(|(place, _)| place.revision).max()
    }

    /// A revision of an application.
    async fn revision(
        &self,
        namespace: &str,
        app: &str,
        number: u64,
    ) -> Result<Arc<record::Revision>, String> {
        let number = number.to_string();
        let key = Key::new(&[kind::REVISION, namespace, app, &number]);
        self.records.revision(&key.map_err(|error| error.to_string())?).await
    }

    fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    fn missing(&self) -> MutexGuard<'_, Vec<Missing>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    fn assignment(&self) -> u64 {
        self.followed.0.load(Ordering::Acquire)
    }

    /// Thousandths of a core that were used since this was last asked.
    fn cores_since_last(&self, cpu: u64) -> u64 {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let before = counted.replace((now, cpu));
        let Some((at, before)) = before else { return 0 };
        let nanos = u64::try_from(now.duration_since(at).as_nanos()).unwrap_or(u64::MAX).max(1);
        cpu.saturating_sub(before).saturating_mul(1000) / nanos
    }
}

/// What a host is known by, for as long as its data is there.
fn identity(folder: &Path) -> Result<String, Failure> {
    let file = folder.join("host");
    if let Ok(text) = std::fs::read_to_string(&file) {
        let text = text.trim();
        if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(text.to_owned());
        }
    }
    let id = format!("{:016x}", fastrand::u64(..));
    std::fs::write(&file, &id).map_err(|error| files::disk(&file, &error))?;
    Ok(id)
}

/// Hosts say themselves where they are.
fn everywhere() -> Egress {
    let ranges = ["*:*", "0.0.0.0/0:*", "[::/0]:*", "::/0:*"];
    Egress::new(ranges.iter().filter_map(|range| range.parse().ok()).collect())
}

/// Sees to it that hosts know each other by something, also after the store was emptied.
async fn share(shared: Arc<Shared>) {
    let Ok(key) = Key::new(&[kind::LATTICE]) else { return };
    let mut mirror = shared.records.mirror.clone();
    loop {
        let there = shared.records.mirror.get(&key).is_some();
        if !there
            && shared.records.mirror.is_current()
            && let Some(own) = begun(shared.kept.read(&key))
            && let Ok(value) = record::encode(&own)
        {
            // Another host may be first: then that one's counts.
            let _ = shared.lattice.store.put(&key, value, reef_lattice::Expected::Absent).await;
        }
        let wait = Duration::from_secs(if there { 60 } else { 1 });
        let _ = tokio::time::timeout(wait, mirror.changed()).await;
    }
}

/// What hosts know each other by in a store that was begun now. `before`: what that was in the one before, by which those
/// know each other still that do not hear the store.
fn begun(before: Option<Bytes>) -> Option<LatticeShared> {
    let before = before.and_then(|value| record::decode::<LatticeShared>("lattice", &value).ok());
    let (mut secret, mut store) = ([0_u8; 32], [0_u8; 16]);
    getrandom::fill(&mut secret).and_then(|()| getrandom::fill(&mut store)).ok()?;
    Some(LatticeShared {
        secret: before.map_or_else(|| files::hex(&secret), |before| before.secret),
        format: 1,
        store: files::hex(&store),
    })
}
