//! A controller on a lattice in a folder, for tests.

use std::{collections::BTreeMap, path::Path, time::Duration};

use reef_bus::Message;
use reef_document::{Diagnostics, Source};
use reef_lattice::{
    Digest, Lattice,
    record::{File, Heartbeat, Revision},
};
use reef_planner::WorkloadKey;
use tempfile::TempDir;

use crate::{
    Controller, Options,
    api::{Accept, Client},
    core::samples::{heartbeat, reported},
};

pub(super) struct Place {
    folder: TempDir,
    pub(super) lattice: Lattice,
    pub(super) controller: Controller,
    pub(super) client: Client,
}

impl Place {
    /// Once it leads, if it wants to. `seen`: what the controller sees of the lattice.
    pub(super) async fn new(options: Options, seen: impl FnOnce(Lattice) -> Lattice) -> Self {
        let folder = TempDir::new().unwrap();
        let lattice = Lattice::local(folder.path()).unwrap();
        let leads = options.leads;
        let controller = Controller::start(seen(lattice.clone()), options);
        until(async || controller.is_current() && controller.leads() == leads).await;
        let client = Client::new(lattice.bus.clone(), &lattice.name);
        Self { folder, lattice, controller, client }
    }

    pub(super) async fn kept(&self, content: &str) -> File {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(content);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let local = self.folder.path().join("content");
        std::fs::write(&local, content).unwrap();
        self.lattice.objects.put(&digest, Path::new(&local)).await.unwrap();
        File { path: "web.wasm".to_owned(), digest, size: content.len() as u64 }
    }

    /// A host says what it runs.
    pub(super) async fn says(&self, sequence: u64, apps: &[&str]) {
        let key = |app: &&str| WorkloadKey::new("default", *app, "web");
        let placements = apps.iter().map(|app| reported(key(app), 1)).collect();
        let beat = Heartbeat { placements, ..heartbeat("one", sequence) };
        let subject = format!("reef.{}.heartbeat.one", self.lattice.name);
        let message = Message::new(&subject, serde_json::to_vec(&beat).unwrap()).unwrap();
        self.lattice.bus.publish(message).await.unwrap();
    }

    pub(super) async fn apply(&self, file: &File) {
        let text = format!(
            "name = 'shop'\n[[workload]]\nname = 'web'\nsource = 'web.wasm'\n\
             digest = '{}'\ntrigger.http.route = '/...'\nscale.instances = 1\n",
            file.digest
        );
        let source = Source::new("reef.toml", text);
        let manifest = reef_app::Manifest::parse(&source).unwrap();
        let application = manifest.application(None, &mut Diagnostics::default()).unwrap();
        let revision = Revision {
            number: 0,
            application: serde_json::to_value(&application).unwrap(),
            values: BTreeMap::new(),
            files: vec![file.clone()],
            workloads: BTreeMap::new(),
            autoscale: BTreeMap::new(),
            percentiles: BTreeMap::new(),
            manifest: None,
            by: None,
        };
        let namespace = "default".to_owned();
        let asked = Accept { namespace, revision: Some(revision), ..Accept::default() };
        self.client.call(&asked).await.unwrap();
    }
}

pub(super) async fn until(is: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}
