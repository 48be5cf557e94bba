//! The interface of wadm, as its own client uses it: the subjects, the bodies, and what it reads of the answers.
//! Source: wadm's crates `wadm-client` and `wadm-types` (`api.rs`), 0.21.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reef_bus::{Bus, Capacity, Interest, Message};
use reef_servers::Nats;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::Lattice;
use crate::{
    client::wait,
    sources::{ARTIFACT, push, registry},
    support::{eventually, guest},
};

#[derive(Debug, Deserialize)]
struct Put {
    result: String,
    total_versions: usize,
    current_version: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Summary {
    name: String,
    version: String,
    description: Option<String>,
    deployed_version: Option<String>,
    detailed_status: Status,
    status: Phase,
}

#[derive(Debug, Deserialize)]
struct Got {
    result: String,
    manifest: Option<Manifest>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Manifest {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Value,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Versions {
    result: String,
    versions: Vec<Version>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Version {
    version: String,
    deployed: bool,
}

#[derive(Debug, Deserialize)]
struct Deployed {
    result: String,
    name: String,
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Asked {
    result: String,
    status: Option<Status>,
}

#[derive(Debug, Deserialize)]
struct Status {
    status: Info,
    #[serde(default)]
    scalers: Vec<Scaler>,
}

#[derive(Debug, Deserialize)]
struct Scaler {
    kind: String,
    name: String,
    status: Info,
}

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(rename = "type")]
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Waiting,
    Undeployed,
    Reconciling,
    Deployed,
    Failed,
    Unhealthy,
}

/// What a client of wadm has.
struct Client(Arc<dyn Bus>);

impl Client {
    fn of(lattice: &Lattice) -> Self {
        let address = format!("{}/test", lattice.bus.url()).parse().unwrap();
        let opened = wait(async { reef_lattice::Lattice::nats(&address) });
        Self(opened.unwrap().bus)
    }

    fn ask<A: DeserializeOwned>(&self, operation: &str, body: &[u8]) -> A {
        let message = Message::new(&format!("wadm.api.test.model.{operation}"), body.to_vec());
        let asked = self.0.request(message.unwrap(), Duration::from_secs(60));
        let answer = wait(asked).unwrap();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{operation}: {error}: {text}"))
    }
}

fn manifest(version: &str, instances: u32) -> Value {
    let image = format!("file://{}", guest("p2-hello-http").display());
    json!({
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {
            "name": "hello-world",
            "annotations": { "description": "HTTP hello world", "version": version },
        },
        "spec": { "components": [
            {
                "name": "http-component",
                "type": "component",
                "properties": { "image": image },
                "traits": [{ "type": "spreadscaler", "properties": { "instances": instances } }],
            },
            {
                "name": "httpserver",
                "type": "capability",
                "properties": { "image": "ghcr.io/wasmcloud/http-server:0.23.0" },
                "traits": [{ "type": "link", "properties": {
                    "target": { "name": "http-component" },
                    "namespace": "wasi", "package": "http", "interfaces": ["incoming-handler"],
                    "source": { "config": [
                        { "name": "default-http", "properties": { "ADDRESS": "127.0.0.1:8080" } },
                    ] },
                } }],
            },
        ] },
    })
}

#[test]
fn a_client_of_wadm_puts_deploys_looks_and_deletes() {
    puts_deploys_looks_and_deletes(Nats::Newest);
}

pub(super) fn puts_deploys_looks_and_deletes(version: Nats) {
    let lattice = Lattice::on(version, &[("one", &[]), ("two", &[])]);
    let client = Client::of(&lattice);
    let interest = Interest {
        name: "follower".into(),
        subject: "wadm.status.test.hello-world".parse().unwrap(),
        queue: None,
        capacity: Capacity::default(),
    };
    let told = wait(client.0.subscribe(interest)).unwrap();

    assert!(client.ask::<Vec<Summary>>("list", b"").is_empty());
    let put = |manifest: &Value| client.ask::<Put>("put", manifest.to_string().as_bytes());
    let first = put(&manifest("v1", 2));
    assert_eq!(
        (&*first.result, &*first.name, &*first.current_version),
        ("created", "hello-world", "v1")
    );
    let second = put(&manifest("v2", 3));
    assert_eq!((&*second.result, second.total_versions), ("newversion", 2));
    let again: Value = client.ask("put", manifest("v2", 4).to_string().as_bytes());
    assert_eq!(again["result"], "error", "{again}");
    // Nor by one of many that ask for it at the same time.
    let results: Vec<Value> = std::thread::scope(|scope| {
        let put = |instances| client.ask("put", manifest("v3", instances).to_string().as_bytes());
        let all: Vec<_> = (1..9).map(|instances| scope.spawn(move || put(instances))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let put_by = results.iter().filter(|answer: &&Value| answer["result"] == "newversion");
    assert_eq!(put_by.count(), 1, "{results:?}");
    let deleted: Value = client.ask("del.hello-world", br#"{"version":"v3"}"#);
    assert_eq!(deleted["result"], "deleted", "{deleted}");

    // What is put does not run until it is deployed.
    assert_eq!(lattice.placements(), []);
    let all: Vec<Summary> = client.ask("list", b"");
    assert_eq!(
        (&*all[0].name, &*all[0].version, &all[0].deployed_version),
        ("hello-world", "v2", &None)
    );
    assert_eq!(all[0].description.as_deref(), Some("HTTP hello world"));
    assert_eq!(
        (all[0].status, all[0].detailed_status.status.phase),
        (Phase::Undeployed, Phase::Undeployed)
    );

    let deployed: Deployed = client.ask("deploy.hello-world", br#"{"version":"v1"}"#);
    assert_eq!((&*deployed.result, &*deployed.name), ("acknowledged", "hello-world"));
    assert_eq!(deployed.version.as_deref(), Some("v1"));
    let is = |wanted: Phase| {
        eventually(&format!("{wanted:?}"), || {
            let asked: Asked = client.ask("status.hello-world", b"");
            assert_eq!(asked.result, "ok");
            let status = asked.status.unwrap();
            (status.status.phase == wanted).then_some(status)
        })
    };
    let status = is(Phase::Deployed);
    lattice.ready(2);
    let scaler = &status.scalers[0];
    assert_eq!((&*scaler.kind, scaler.status.phase), ("SpreadScaler", Phase::Deployed));
    assert!(scaler.name.contains("http-component"), "{status:?}");
    eventually("an answer of it", || (lattice.get(1, "/").text() == "hello\n").then_some(()));

    // The last version, where none is named.
    let deployed: Deployed = client.ask("deploy.hello-world", b"");
    assert_eq!(deployed.version.as_deref(), Some("v2"));
    is(Phase::Deployed);
    lattice.ready(3);
    let versions: Versions = client.ask("versions.hello-world", b"");
    let version = |version: &str, deployed| Version { version: version.to_owned(), deployed };
    assert_eq!(versions.result, "success");
    assert_eq!(versions.versions, [version("v1", false), version("v2", true)]);

    let got: Got = client.ask("get.hello-world", br#"{"version":"v1"}"#);
    let kept = got.manifest.unwrap();
    assert_eq!(
        (&*got.result, &*kept.kind, &*kept.api_version),
        ("success", "Application", "core.oam.dev/v1beta1")
    );
    assert_eq!(
        (&*kept.metadata.name, &*kept.metadata.annotations["version"]),
        ("hello-world", "v1")
    );
    assert_eq!(kept.spec, manifest("v1", 2)["spec"]);

    let undeployed: Deployed = client.ask("undeploy.hello-world", b"");
    assert_eq!(undeployed.result, "acknowledged");
    is(Phase::Undeployed);
    // That says what is wanted, not that all of it has ended.
    eventually("nothing to run", || lattice.placements().is_empty().then_some(()));
    let deleted: Value = client.ask("del.hello-world", b"{}");
    assert_eq!(deleted["result"], "deleted");
    let deleted: Value = client.ask("del.hello-world", b"{}");
    assert_eq!(deleted["result"], "noop");
    for gone in ["get", "status", "deploy", "versions"] {
        let answer: Value = client.ask(&format!("{gone}.hello-world"), b"");
        assert_eq!(answer["result"], "notfound", "{gone}: {answer}");
    }

    // Who followed its status has heard of all that.
    let mut heard = Vec::new();
    while let Some(message) = told.try_next() {
        let status: Status = serde_json::from_slice(message.body()).unwrap();
        heard.push(status.status.phase);
    }
    assert!(heard.contains(&Phase::Deployed), "{heard:?}");
    assert_eq!(heard.last(), Some(&Phase::Undeployed), "{heard:?}");
}

#[test]
fn a_component_in_a_registry_is_fetched_when_it_is_put_and_runs_though_the_registry_goes() {
    let lattice = Lattice::start(&[("one", &[]), ("two", &[])]);
    let client = Client::of(&lattice);
    let mut registry = registry();
    let addr = registry.addr();
    let wasm = std::fs::read(guest("p2-hello-http")).unwrap();
    push(addr, "shop/hello", "1.0.0", ARTIFACT, &wasm);
    push(addr, "shop/text", "1.0.0", ARTIFACT, b"no wasm at all");
    let put = |image: &str| -> Value {
        let mut manifest = manifest("v1", 2);
        manifest["spec"]["components"][0]["properties"]["image"] = json!(image);
        client.ask("put", manifest.to_string().as_bytes())
    };
    for (image, why) in [
        (format!("{addr}/shop/hello:2.0.0"), "2.0.0"),
        (format!("{addr}/shop/nothing:1.0.0"), "shop/nothing"),
        (format!("{addr}/shop/text:1.0.0"), "is not WebAssembly"),
    ] {
        let answer = put(&image);
        assert_eq!(answer["result"], "error", "{image}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(why), "{image}: {answer}");
    }
    assert!(client.ask::<Vec<Summary>>("list", b"").is_empty());

    let answer = put(&format!("{addr}/shop/hello:1.0.0"));
    assert_eq!(answer["result"], "created", "{answer}");
    // From here on the lattice has it.
    registry.kill();
    let deployed: Deployed = client.ask("deploy.hello-world", b"");
    assert_eq!(&*deployed.result, "acknowledged", "{deployed:?}");
    eventually("all of it", || {
        let asked: Asked = client.ask("status.hello-world", b"");
        (asked.status.unwrap().status.phase == Phase::Deployed).then_some(())
    });
    lattice.ready(2);
    for host in 0..2 {
        eventually("an answer", || (lattice.get(host, "/").text() == "hello\n").then_some(()));
    }
}

#[test]
fn what_cannot_be_had_is_refused_when_it_is_put() {
    let lattice = Lattice::start(&[("one", &[])]);
    let client = Client::of(&lattice);
    let secret = lattice.dir.path().join("secret.txt");
    std::fs::write(&secret, "not for everybody").unwrap();
    for (image, why) in [
        ("file:///nowhere/there.wasm".to_owned(), "/nowhere/there.wasm"),
        (format!("file://{}", secret.display()), "is no WebAssembly"),
        ("127.0.0.1:1/none:1".to_owned(), "127.0.0.1:1"),
    ] {
        let mut manifest = manifest("v1", 1);
        manifest["spec"]["components"][0]["properties"]["image"] = json!(image);
        let answer: Value = client.ask("put", manifest.to_string().as_bytes());
        assert_eq!(answer["result"], "error", "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(why), "{answer}");
    }
    assert!(client.ask::<Vec<Summary>>("list", b"").is_empty());
}
