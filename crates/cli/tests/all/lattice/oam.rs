//! Manifests of wadm as they are: each feature of its samples, on hosts of a lattice.

use std::{collections::BTreeMap, fs};

use reef_lattice::record::{Assignment, decode};
use reef_servers::Nats;

use super::Lattice;
use crate::{client::wait, support::guest};

/// A manifest in the lattice's folder, where its components stand too.
fn write(lattice: &Lattice, name: &str, metadata: &str, components: &str) -> String {
    let file = format!("{name}.yaml");
    for (artifact, of) in [
        ("hello.wasm", "p2-hello-http"),
        ("http.wasm", "p2-math-http"),
        ("add.wasm", "p2-math-add"),
    ] {
        fs::copy(guest(of), lattice.dir.path().join(artifact)).unwrap();
    }
    let text = format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: {name}\n  annotations:\n    \
         description: 'This is my app'\n{metadata}spec:\n  components:\n{components}"
    );
    fs::write(lattice.dir.path().join(&file), text).unwrap();
    file
}

/// The same, applied and waited for.
#[track_caller]
fn apply(lattice: &Lattice, name: &str, metadata: &str, components: &str) {
    let file = write(lattice, name, metadata, components);
    lattice.told(&["apply", "-f", &file, "--wait", "--timeout", "120s"]);
}

/// A component with a scaler.
fn component(name: &str, artifact: &str, traits: &str) -> String {
    format!(
        "    - name: {name}\n      type: component\n      properties:\n        image: file://./{artifact}\n      \
         traits:\n{traits}"
    )
}

/// The HTTP server of wasmCloud, for a component.
fn server(target: &str, address: &str) -> String {
    format!(
        "    - name: httpserver\n      type: capability\n      properties:\n        image: \
         ghcr.io/wasmcloud/http-server:0.23.0\n      traits:\n        - type: link\n          properties:\n            \
         target:\n              name: {target}\n            namespace: wasi\n            package: http\n            \
         interfaces: [incoming-handler]\n            source:\n              config:\n                - name: listen\n                  \
         properties:\n                    {address}\n"
    )
}

fn scaler(kind: &str, instances: u32, spread: &[(&str, &str, u32)]) -> String {
    let mut text = format!(
        "        - type: {kind}\n          properties:\n            instances: {instances}\n"
    );
    if !spread.is_empty() {
        text.push_str("            spread:\n");
    }
    for (name, requirement, weight) in spread {
        text.push_str(&format!(
            "              - name: {name}\n                requirements:\n                  {requirement}\n                \
             weight: {weight}\n"
        ));
    }
    text
}

/// How many of a workload are ready on each host that has some.
fn ready(lattice: &Lattice, workload: &str) -> BTreeMap<String, u64> {
    let all = lattice.placements().into_iter();
    all.filter(|one| one.0 == workload && one.3 > 0).map(|one| (one.1, one.3)).collect()
}

fn on<const N: usize>(hosts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    hosts.into_iter().map(|(host, many)| (host.to_owned(), many)).collect()
}

#[test]
fn spreads_by_weight_and_as_many_on_each_host() {
    let labels = ["zone=us-east-1", "zone=us-west-1"].map(|zone| ["--label", zone]);
    let [east, west] = &labels;
    let lights = ["--label", "zone=us-east-1", "--label", "ledenabled=true"];
    let lattice = Lattice::led(Nats::Newest, &[("e", east), ("w", west), ("l", &lights)]);
    let spread = [("eastcoast", "zone: us-east-1", 80), ("westcoast", "zone: us-west-1", 20)];
    let components = [
        component("userinfo", "hello.wasm", &scaler("spreadscaler", 10, &spread)),
        component(
            "ledblinky",
            "hello.wasm",
            &scaler("spreadscaler", 1, &[("haslights", "ledenabled: \"true\"", 100)]),
        ),
        component(
            "everywhere",
            "hello.wasm",
            &scaler("daemonscaler", 2, &[("east", "zone: us-east-1", 100)]),
        ),
        server("userinfo", "address: 0.0.0.0:8080"),
    ];
    apply(&lattice, "my-example-app", "", &components.concat());
    assert_eq!(ready(&lattice, "userinfo"), on([("e", 4), ("l", 4), ("w", 2)]));
    assert_eq!(ready(&lattice, "ledblinky"), on([("l", 1)]));
    assert_eq!(ready(&lattice, "everywhere"), on([("e", 2), ("l", 2)]));
    for host in 0..3 {
        assert_eq!(lattice.answers(host, "/"), "hello\n", "host {host}");
    }
}

/// See <https://github.com/wasmCloud/wadm/issues/432>.
#[test]
fn spreads_that_overlap_are_settled_and_stay_so() {
    let east = ["--label", "region=us-east-1"];
    let west = ["--label", "region=us-west-1"];
    let real = |region| ["--label", region, "--label", "cloud=real"];
    let (first, second) = (real("region=us-east-1"), real("region=us-west-1"));
    let hosts: [(&str, &[&str]); 4] = [("e", &east), ("w", &west), ("re", &first), ("rw", &second)];
    let lattice = Lattice::led(Nats::Newest, &hosts);
    let spread = [
        ("eastcoast", "region: us-east-1", 25),
        ("westcoast", "region: us-west-1", 25),
        ("realcloud", "cloud: real", 50),
    ];
    let scaled = |many| component("hello", "hello.wasm", &scaler("spreadscaler", many, &spread));
    let server = server("hello", "address: 0.0.0.0:8080");
    apply(&lattice, "overlapping", "", &format!("{}{server}", scaled(12)));
    let placed = ready(&lattice, "hello");
    assert_eq!(placed.values().sum::<u64>(), 12, "{placed:?}");
    assert!(placed["re"] + placed["rw"] >= 6, "{placed:?}");

    // Whatever hosts say from then on, nothing is done any more.
    let address = format!("{}/test", lattice.bus.url()).parse().unwrap();
    let opened = wait(async { reef_lattice::Lattice::nats(&address) }).unwrap();
    let assigned = || {
        let all = lattice.json(&["get", "hosts"]);
        let all = all.as_array().unwrap().iter().map(|host| {
            let id = host["id"].as_str().unwrap();
            let key = reef_lattice::Key::new(&["want", id]).unwrap();
            let entry = wait(opened.store.get(&key)).unwrap().unwrap();
            let assignment: Assignment = decode(id, &entry.value).unwrap();
            (id.to_owned(), (assignment, entry.revision))
        });
        all.collect::<BTreeMap<_, _>>()
    };
    let before = assigned();
    let interest = reef_bus::Interest {
        name: "test".into(),
        subject: "reef.test.heartbeat.*".parse().unwrap(),
        queue: None,
        capacity: reef_bus::Capacity::default(),
    };
    let beats = wait(opened.bus.subscribe(interest)).unwrap();
    for _ in 0..12 {
        wait(beats.next()).unwrap();
    }
    let after = assigned();
    assert!(after.keys().eq(before.keys()), "{before:?}, then {after:?}");
    for (host, (told, revision)) in &after {
        let (was, before) = &before[host];
        assert_eq!(told.workloads, was.workloads, "{host}: it was acted on");
        // Who leads from then on writes it once more.
        if told.term == was.term {
            assert_eq!(revision, before, "{host}: it was acted on");
        }
    }
    assert_eq!(ready(&lattice, "hello"), placed);

    // Fewer of them are taken from where they are too many.
    apply(&lattice, "overlapping", "", &format!("{}{server}", scaled(4)));
    let placed = ready(&lattice, "hello");
    assert_eq!(placed.values().sum::<u64>(), 4, "{placed:?}");
    assert!(placed["re"] + placed["rw"] >= 2, "{placed:?}");
}

fn link(target: &str) -> String {
    format!(
        "        - type: link\n          properties:\n            target:\n              name: {target}\n            \
         namespace: acme\n            package: math\n            interfaces: [add, reach]\n"
    )
}

#[test]
fn components_are_linked_over_hosts_and_to_those_of_another_application() {
    let labels = ["zone=a", "zone=b"].map(|zone| ["--label", zone]);
    let [a, b] = &labels;
    let lattice = Lattice::led(Nats::Newest, &[("a", a), ("b", b)]);
    let at = |zone: &'static str| scaler("spreadscaler", 1, &[("there", zone, 100)]);
    let http = component("http", "http.wasm", &format!("{}{}", at("zone: a"), link("add")));
    let add = component("add", "add.wasm", &at("zone: b"));
    let server = server("http", "address: 0.0.0.0:8080");
    apply(&lattice, "math", "", &format!("{http}{add}{server}"));
    assert_eq!((ready(&lattice, "http"), ready(&lattice, "add")), (on([("a", 1)]), on([("b", 1)])));
    let sum = |path: &str| lattice.answers(0, path);
    assert_eq!(sum("/add/2/40"), "42\n");
    lattice.told(&["delete", "math", "--wait", "--timeout", "120s"]);

    // The same of an application for everybody.
    let shared = "    experimental.wasmcloud.dev/shared: 'true'\n";
    apply(&lattice, "shared-component", shared, &add);
    let foreign = "    - name: link-to-meee\n      type: component\n      properties:\n        application:\n          name: \
                   shared-component\n          component: add\n";
    let http =
        component("http", "http.wasm", &format!("{}{}", at("zone: a"), link("link-to-meee")));
    apply(&lattice, "math", "", &format!("{http}{foreign}{server}"));
    assert_eq!(sum("/add/20/1"), "21\n");
    assert_eq!(ready(&lattice, "add"), on([("b", 1)]));
}

#[test]
fn versions_follow_each_other_and_can_be_gone_back_to() {
    let lattice = Lattice::start(&[("one", &[])]);
    let server = server("hello", "address: 0.0.0.0:8080");
    for (version, instances) in [("v0.0.1", 1), ("v0.0.2", 3)] {
        let hello = component("hello", "hello.wasm", &scaler("spreadscaler", instances, &[]));
        let metadata = format!("    version: {version}\n");
        apply(&lattice, "hello-world", &metadata, &format!("{hello}{server}"));
        assert_eq!(ready(&lattice, "hello"), on([("one", instances.into())]));
    }
    let history = lattice.told(&["history", "hello-world"]);
    assert!(history.contains("v0.0.1") && history.contains("v0.0.2"), "{history}");
    lattice.told(&["rollback", "hello-world"]);
    lattice.told(&["wait", "hello-world"]);
    assert_eq!(ready(&lattice, "hello"), on([("one", 1)]));
    // The trait's older name for how many.
    let replicas = scaler("spreadscaler", 2, &[]).replace("instances", "replicas");
    let hello =
        component("hello", "hello.wasm", &replicas).replace("type: component", "type: actor");
    apply(&lattice, "hello-world", "    version: v0.0.3\n", &format!("{hello}{server}"));
    assert_eq!(ready(&lattice, "hello"), on([("one", 2)]));
}
