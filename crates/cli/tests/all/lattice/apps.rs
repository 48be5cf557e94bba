//! Applications: accepted, placed, changed, gone.

use std::fs;

use reef_servers::Nats;

use super::Lattice;
use crate::{host::folder, support::eventually};

const SHOP: &str = r#"
name = "shop"

[[workload]]
name = "web"
source = "web.wasm"
trigger.http.route = "/..."
scale.instances = 6
scale.spread = [
    { name = "a", labels = { zone = "a" }, weight = 2 },
    { name = "b", labels = { zone = "b" }, weight = 1 },
]
"#;

#[test]
fn an_application_runs_where_its_manifest_says_and_answers_at_every_host() {
    comes_changes_and_goes(Nats::Newest);
}

pub(super) fn comes_changes_and_goes(version: Nats) {
    let zone = |zone| ["--label", zone];
    let (a, b) = (zone("zone=a"), zone("zone=b"));
    let lattice = Lattice::led(version, &[("a1", &a), ("a2", &a), ("b1", &b), ("c1", &[])]);
    let shop = folder(&[("web.wasm", "p2-hello-http")], SHOP);
    let said = lattice.apply(shop.path());
    assert!(said.contains("shop is ready."), "{said}");

    let placed = |host: &str, many| ("web".to_owned(), host.to_owned(), many, many);
    assert_eq!(lattice.placements(), [placed("a1", 2), placed("a2", 2), placed("b1", 2)]);
    for host in 0..4 {
        lattice.answers(host, "/");
    }
    let apps = lattice.json(&["get", "apps"]);
    assert_eq!((&apps[0]["phase"], &apps[0]["ready"]), (&"deployed".into(), &6.into()));

    // Applied again, nothing changes.
    let again = lattice.told(&["apply", shop.path().to_str().unwrap()]);
    assert!(again.contains("nothing has changed"), "{again}");

    lattice.told(&["scale", "shop/web", "3"]);
    lattice.told(&["wait", "shop"]);
    lattice.ready(3);
    lattice.told(&["delete", "shop", "--wait", "--timeout", "120s"]);
    assert_eq!(lattice.placements(), []);
    eventually("no route", || (lattice.get(0, "/").status == 404).then_some(()));
}

#[test]
fn an_application_of_files_is_ready_when_every_host_serves_them() {
    let lattice = Lattice::start(&[("one", &[]), ("two", &[])]);
    let files = folder(&[], "name = 'files'\n[[static]]\nroute = '/...'\ndir = 'public'\n");
    fs::create_dir(files.path().join("public")).unwrap();
    // They are fetched one by one: what is said too early is said before the last one is there.
    let write = |revision: usize| {
        for file in 0..200 {
            let path = files.path().join(format!("public/{file}.txt"));
            fs::write(path, format!("file {file} of revision {revision}")).unwrap();
        }
    };
    for revision in 1..=3 {
        write(revision);
        lattice.apply(files.path());
        for host in 0..2 {
            let text = lattice.get(host, "/199.txt").text();
            assert_eq!(text, format!("file 199 of revision {revision}"));
        }
    }
}
