//! Revisions that give way to others, with requests coming in all the time.

use std::{fs, path::Path};

use reef_servers::Nats;

use super::{Lattice, load::Load};
use crate::host::folder;

/// A manifest of the example, for a guest that says which version it is.
fn example(name: &str, version: u32) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-zones");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains("hello_service.wasm"), "{text}");
    let text = text.replace("hello_service.wasm", "kit.wasm");
    let route = "trigger.http.route";
    text.replace(route, &format!("env = {{ VERSION = '{version}' }}\n{route}"))
}

#[test]
fn from_one_machine_to_three_zones_and_back_by_the_manifest_alone_no_request_fails() {
    let zones = ["zone=a", "zone=b", "zone=c"].map(|zone| ["--label", zone]);
    let [a, b, c] = &zones;
    let lattice = Lattice::led(Nats::Newest, &[("a", a), ("b", b), ("c", c)]);
    let shop = folder(&[("kit.wasm", "p2-http-kit")], &example("one.toml", 1));
    lattice.apply(shop.path());
    let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();

    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&addrs, "/env", 1);
    let hosts = |lattice: &Lattice| -> Vec<(String, u64)> {
        lattice.placements().into_iter().map(|(_, host, _, ready)| (host, ready)).collect()
    };
    let on = |host: &str, ready| (host.to_owned(), ready);
    for version in 1..=2 {
        fs::write(shop.path().join("reef.toml"), example("zones.toml", version)).unwrap();
        lattice.apply(shop.path());
        assert_eq!(hosts(&lattice), [on("a", 2), on("b", 2), on("c", 2)]);
        load.goes_on(200);
        fs::write(shop.path().join("reef.toml"), example("one.toml", version)).unwrap();
        lattice.apply(shop.path());
        assert_eq!(hosts(&lattice), [on("a", 1)]);
        load.goes_on(200);
    }
    assert_eq!(lattice.get(2, "/env").text(), "env VERSION=2\n");
    load.ends_well();
}
