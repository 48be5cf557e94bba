//! A lattice of this process, and hosts on it.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use reef_app::Application;
use reef_bus::{Message, RequestError};
use reef_controller::{
    Controller, Options,
    api::{Accept, Client, GetHosts, Pin},
};
use reef_document::Diagnostics;
use reef_lattice::{
    Change, Key, Lattice,
    record::{Assigned, Assignment, File, Heartbeat, Measured, Reported, Revision, decode},
};
use reef_planner::Resources;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub(crate) struct Place {
    pub(crate) lattice: Lattice,
    hosts: AtomicUsize,
    _folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let lattice = Lattice::local(folder.path()).unwrap();
        Self { lattice, hosts: AtomicUsize::new(0), _folder: folder }
    }

    pub(crate) fn controller(&self) -> Controller {
        Controller::start(self.lattice.clone(), Options::default())
    }

    /// One that makes up artifacts for clients that send manifests only.
    pub(crate) fn pinning(&self) -> Controller {
        let pin: Option<Arc<dyn Pin>> = Some(Arc::new(MadeUp));
        Controller::start(self.lattice.clone(), Options { pin, ..Options::default() })
    }

    /// Asks as a client of wadm does.
    pub(crate) async fn wadm(&self, operation: &str, body: &str) -> serde_json::Value {
        let subject = format!("wadm.api.{}.model.{operation}", self.lattice.name);
        let message = Message::new(&subject, body.to_owned()).unwrap();
        let begun = Instant::now();
        loop {
            let asked = self.lattice.bus.request(message.clone(), PATIENCE).await;
            match asked {
                Ok(answer) => return serde_json::from_slice(answer.body()).unwrap(),
                Err(RequestError::NoResponders { .. }) if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.lattice.bus.clone(), &self.lattice.name)
    }

    /// Waits until a controller has heard of all hosts.
    pub(crate) async fn heard(&self, client: &Client) {
        let all = self.hosts.load(Ordering::Relaxed);
        let heard = || async { client.call(&GetHosts {}).await.unwrap().len() == all };
        until_async("all hosts are heard of", heard).await;
    }

    pub(crate) fn host(&self, id: &str, zone: &str) -> Host {
        self.hosts.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State {
            id: id.to_owned(),
            zone: zone.to_owned(),
            lattice: self.lattice.clone(),
            running: Mutex::default(),
            load: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
        });
        let task = tokio::spawn(run(state.clone()));
        Host { state, task }
    }

    pub(crate) async fn record<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let key = Key::parse(key).unwrap();
        let entry = self.lattice.store.get(&key).await.unwrap()?;
        Some(decode(key.as_str(), &entry.value).unwrap())
    }
}

#[derive(Debug)]
struct MadeUp;

#[async_trait::async_trait]
impl Pin for MadeUp {
    async fn pin(&self, application: &mut Application) -> Result<Vec<File>, String> {
        for workload in &mut application.workloads {
            workload.digest = Some(format!("sha256:{:064x}", 7).into());
        }
        Ok(Vec::new())
    }
}

/// A host that is ready with whatever it is told at once.
pub(crate) struct Host {
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    id: String,
    zone: String,
    lattice: Lattice,
    /// The assignment's revision, and what it says.
    running: Mutex<(u64, Vec<Assigned>)>,
    load: AtomicU64,
    sequence: AtomicU64,
}

impl Host {
    pub(crate) fn instances(&self) -> u32 {
        self.state.running.lock().unwrap().1.iter().map(|one| one.instances).sum()
    }

    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    /// Requests in progress on it, from now on.
    pub(crate) fn load(&self, running: u64) {
        self.state.load.store(running, Ordering::Relaxed);
    }

    pub(crate) async fn demand(&self, workload: &str) {
        let subject = format!("reef.{}.demand", self.state.lattice.name);
        let message = Message::new(&subject, workload.to_owned()).unwrap();
        self.state.lattice.bus.publish(message).await.unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(state: Arc<State>) {
    let want = format!("want.{}", state.id);
    let mut changes = state.lattice.store.watch(&[&want]).await.unwrap();
    loop {
        state.say().await;
        let change = tokio::time::timeout(Duration::from_millis(500), changes.next()).await;
        if let Ok(Some(Change::Put(entry))) = change {
            let assignment: Assignment = decode("it", &entry.value).unwrap();
            *state.running.lock().unwrap() = (entry.revision, assignment.workloads);
        }
    }
}

impl State {
    async fn say(&self) {
        let (assignment, running) = self.running.lock().unwrap().clone();
        let load = self.load.load(Ordering::Relaxed);
        let placements = running.into_iter().map(|one| Reported {
            workload: one.workload,
            revision: one.revision,
            instances: one.instances,
            ready: one.instances,
            requests: Resources::default(),
            trouble: None,
            measured: Measured { running: load, ..Measured::default() },
        });
        let beat = Heartbeat {
            host: self.id.clone(),
            name: format!("{}-name", self.id),
            boot: 1,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
            version: "0".into(),
            labels: BTreeMap::from([("zone".to_owned(), self.zone.clone())]),
            capacity: Resources::new(1 << 30, 4000),
            load: Resources::default(),
            http: None,
            up: 0,
            left: false,
            leaving: false,
            assignment,
            routed: u64::MAX,
            missing: Vec::new(),
            placements: placements.collect(),
        };
        let subject = format!("reef.{}.heartbeat.{}", self.lattice.name, self.id);
        let message = Message::new(&subject, serde_json::to_vec(&beat).unwrap()).unwrap();
        self.lattice.bus.publish(message).await.unwrap();
    }
}

/// An application with three instances of one workload.
pub(crate) struct App {
    name: &'static str,
    artifact: u32,
    pub(crate) route: &'static str,
    pub(crate) scale: &'static str,
    pub(crate) rollout: &'static str,
}

pub(crate) fn app(name: &'static str, artifact: u32) -> App {
    App { name, artifact, route: "/...", scale: "scale.instances = 3", rollout: "" }
}

impl App {
    pub(crate) fn accept(&self) -> Accept {
        let Self { name, artifact, route, scale, rollout } = self;
        let text = format!(
            "name = \"{name}\"\n[[workload]]\nname = \"web\"\nsource = \"web.wasm\"\ndigest = \"sha256:{artifact:064x}\"\ntrigger.http.route = \"{route}\"\n{scale}\n{rollout}\n"
        );
        accept(text)
    }
}

/// A manifest as a client sends it.
pub(crate) fn accept(text: String) -> Accept {
    let source = reef_document::Source::new("reef.toml", text);
    let mut found = Diagnostics::default();
    let manifest = reef_app::Manifest::parse(&source).unwrap();
    let application = manifest.application(None, &mut found).unwrap_or_else(|| {
        let all: Vec<_> = found.iter().map(ToString::to_string).collect();
        panic!("{all:?}")
    });
    let revision = Revision {
        number: 0,
        application: serde_json::to_value(&application).unwrap(),
        values: BTreeMap::new(),
        files: Vec::new(),
        workloads: BTreeMap::new(),
        autoscale: BTreeMap::new(),
        percentiles: BTreeMap::new(),
        manifest: None,
        by: None,
    };
    Accept {
        namespace: "default".into(),
        revision: Some(revision),
        cause: "reef.toml".into(),
        ..Accept::default()
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    until_async(what, || std::future::ready(is())).await;
}

pub(crate) async fn until_async<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
