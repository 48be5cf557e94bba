//! What is removed of a lattice's objects, and what stays.

use std::{collections::BTreeMap, path::Path, time::Duration};

use reef_bus::Message;
use reef_document::{Diagnostics, Source};
use reef_lattice::{
    Digest, Expected, Key, Lattice,
    key::kind,
    record::{File, Heartbeat, Revision},
};
use reef_planner::WorkloadKey;
use tempfile::TempDir;

use super::{Removed, Retention, Unused};
use crate::{
    Controller, Options,
    api::{Accept, Client, Delete},
    core::samples::{heartbeat, reported},
};

/// Nothing stays that may go.
const AT_ONCE: Retention =
    Retention { needed: Duration::ZERO, unused: Duration::ZERO, every: Duration::from_secs(3600) };

struct Place {
    folder: TempDir,
    lattice: Lattice,
    controller: Controller,
    client: Client,
}

impl Place {
    async fn new(leads: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let lattice = Lattice::local(folder.path()).unwrap();
        let options = Options { leads, retention: AT_ONCE, ..Options::default() };
        let controller = Controller::start(lattice.clone(), options);
        until(async || controller.is_current() && controller.leads() == leads).await;
        let client = Client::new(lattice.bus.clone(), &lattice.name);
        Self { folder, lattice, controller, client }
    }

    /// One look at what nobody needs.
    async fn look(&self, unused: &mut Unused, retention: Retention) -> Removed {
        self.controller.shared.tidy_once(unused, retention).await.unwrap()
    }

    async fn removed(&self) -> u64 {
        self.look(&mut Unused::new(), AT_ONCE).await.objects
    }

    async fn has(&self, file: &File) -> bool {
        self.lattice.objects.has(&file.digest).await.unwrap()
    }

    async fn kept(&self, content: &str) -> File {
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
    async fn says(&self, sequence: u64, apps: &[&str]) {
        let key = |app: &&str| WorkloadKey::new("default", *app, "web");
        let placements = apps.iter().map(|app| reported(key(app), 1)).collect();
        let beat = Heartbeat { placements, ..heartbeat("one", sequence) };
        let subject = format!("reef.{}.heartbeat.one", self.lattice.name);
        let message = Message::new(&subject, serde_json::to_vec(&beat).unwrap()).unwrap();
        self.lattice.bus.publish(message).await.unwrap();
    }

    async fn apply(&self, file: &File) {
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

async fn until(is: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_revisions_are_made_of_stays_and_what_none_is_goes() {
    let place = Place::new(true).await;
    let stray = place.kept("stray").await;
    assert_eq!(place.removed().await, 0, "a store without applications may be one that was lost");

    let first = place.kept("0").await;
    place.apply(&first).await;
    assert_eq!(
        place.look(&mut Unused::new(), AT_ONCE).await,
        Removed { objects: 1, bytes: 5, uploads: 0 }
    );
    assert!(!place.has(&stray).await && place.has(&first).await);
    assert_eq!(place.removed().await, 0);

    // Thirty-two revisions are kept, and the one before the wanted one, which nothing has rolled out.
    let mut last = first.clone();
    for number in 1..40 {
        last = place.kept(&number.to_string()).await;
        place.apply(&last).await;
    }
    until(async || {
        place.removed().await;
        place.lattice.objects.unheld(Duration::ZERO).await.unwrap().len() <= 33
    })
    .await;
    assert!(place.has(&last).await);

    let (namespace, app) = ("default".to_owned(), "shop".to_owned());
    place.client.call(&Delete { namespace, app }).await.unwrap();
    until(async || {
        place.removed().await;
        place.lattice.objects.unheld(Duration::ZERO).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_that_may_be_needed() {
    let place = Place::new(true).await;
    let used = place.kept("used").await;
    place.apply(&used).await;
    let stray = place.kept("stray").await;

    // It was needed a moment ago.
    let retention = Retention { needed: Duration::from_secs(3600), ..AT_ONCE };
    assert_eq!(place.look(&mut Unused::new(), retention).await, Removed::default());
    // It was not seen to be unused for long.
    let retention = Retention { unused: Duration::from_secs(3600), ..AT_ONCE };
    let mut unused = Unused::new();
    for _ in 0..2 {
        assert_eq!(place.look(&mut unused, retention).await, Removed::default());
    }
    assert_eq!(unused.keys().collect::<Vec<_>>(), [&stray.digest]);
    // And is said to be needed, which begins anew.
    let since = unused[&stray.digest].1;
    place.lattice.objects.hold(&stray.digest, Duration::ZERO).await.unwrap();
    place.look(&mut unused, retention).await;
    assert!(unused[&stray.digest].1 > since);

    // A host runs something of which the store knows nothing: it is not the store that there was.
    place.says(1, &["lost"]).await;
    let unknown = || place.controller.shared.core().runs_what_is_unknown();
    until(async || unknown()).await;
    assert_eq!(place.removed().await, 0);
    place.says(2, &[]).await;
    until(async || !unknown()).await;

    // Nobody knows what a revision is made of that cannot be read.
    let broken = Key::new(&[kind::REVISION, "default", "other", "1"]).unwrap();
    let store = &place.lattice.store;
    store.put(&broken, "{ no record".into(), Expected::Absent).await.unwrap();
    let told = async || {
        let core = place.controller.shared.core();
        core.records().revisions.len() == 2
    };
    until(told).await;
    assert_eq!(place.removed().await, 0);
    store.delete(&broken, Expected::Any).await.unwrap();
    until(async || place.removed().await == 1).await;
    assert!(!place.has(&stray).await && place.has(&used).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_lead_removes_nothing() {
    let place = Place::new(false).await;
    let used = place.kept("used").await;
    place.apply(&used).await;
    let stray = place.kept("stray").await;
    assert_eq!(place.removed().await, 0);
    assert!(place.has(&stray).await);
}
