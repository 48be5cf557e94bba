//! Artifacts that cannot be had for a while: the registry is down, or the lattice has lost one.

use std::fs;

use reef_lattice::Digest;
use sha2::Digest as _;

use super::{Witness, kit_folder};
use crate::{
    host::folder,
    lattice::Lattice,
    sources::{ARTIFACT, push, registry},
    support::{eventually, guest},
};

const ZONES: &str = "scale.instances = 2\nscale.spread = [\n\
    { name = 'a', labels = { zone = 'a' } },\n{ name = 'b', labels = { zone = 'b' } },\n]";

fn digest_of(bytes: &[u8]) -> (Digest, String) {
    let digest = sha2::Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("sha256:{hex}").parse().unwrap(), hex)
}

#[test]
fn a_registry_that_is_down_is_needed_to_apply_and_not_by_hosts() {
    let zones = ["zone=a", "zone=b"].map(|zone| ["--label", zone]);
    let [a, b] = &zones;
    let mut lattice = Lattice::start(&[("one", a)]);
    let witness = Witness::start(&lattice.url);
    let mut registry = registry();
    let addr = registry.addr();
    let wasm = fs::read(guest("p2-http-kit")).unwrap();
    push(addr, "kit", "1", ARTIFACT, &wasm);
    push(addr, "kit", "2", ARTIFACT, &wasm);
    let manifest = |tag: u32| {
        format!(
            "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'oci://{addr}/kit:{tag}'\n\
             trigger.http.route = '/...'\n{ZONES}\n"
        )
    };
    let shop = folder(&[], &manifest(1));
    lattice.told(&["apply", shop.path().to_str().unwrap()]);
    lattice.answers(0, "/");

    registry.kill();
    fs::write(shop.path().join("reef.toml"), manifest(2)).unwrap();
    let refused = lattice.tell(&["apply", shop.path().to_str().unwrap()]);
    assert_ne!(refused.status(), 0, "{refused:?}");
    assert!(refused.stderr.contains("refused the connection"), "{refused:?}");
    assert_eq!(lattice.history("shop"), (vec![1], Some(1)));
    // A host that has never seen the registry has all of it from the lattice.
    let second = lattice.join("two", b);
    lattice.ready(2);
    lattice.answers(second, "/");

    registry.start_again().unwrap();
    lattice.apply(shop.path());
    witness.settled();
    assert_eq!(lattice.history("shop"), (vec![1, 2], Some(2)));
}

#[test]
fn an_artifact_that_cannot_be_had_is_said_and_tried_again_until_it_can() {
    let zones = ["zone=a", "zone=b"].map(|zone| ["--label", zone]);
    let [a, b] = &zones;
    let mut lattice = Lattice::start(&[("one", a)]);
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder(ZONES);
    lattice.told(&["apply", shop.path().to_str().unwrap()]);
    lattice.answers(0, "/");

    let file = shop.path().join("kit.wasm");
    let (digest, hex) = digest_of(&fs::read(&file).unwrap());
    let objects = witness.lattice.objects.clone();
    witness.remove(&digest);
    let second = lattice.join("two", b);
    eventually("what is wrong with it", || {
        let all = lattice.json(&["get", "placements"]);
        let mut all = all.as_array().unwrap().iter();
        all.any(|one| one["host_name"] == "two" && one["trouble"].to_string().contains(&*hex))
            .then_some(())
    });
    // A request there goes where it can be answered.
    lattice.answers(second, "/");
    // What a host was just told counts when it has said so.
    lattice.ready(1);

    witness.wait(objects.put(&digest, &file)).unwrap();
    lattice.is_deployed("shop");
    lattice.ready(2);
    witness.settled();
}

#[test]
fn files_that_cannot_be_had_are_tried_again_and_hold_up_no_other_application() {
    let mut lattice = Lattice::start(&[("one", &[])]);
    let witness = Witness::start(&lattice.url);
    let files = folder(&[], "name = 'files'\n[[static]]\nroute = '/files/...'\ndir = 'public'\n");
    let file = files.path().join("public/a.txt");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "a file").unwrap();
    lattice.apply(files.path());
    assert_eq!(lattice.get(0, "/files/a.txt").text(), "a file");

    let (digest, _) = digest_of(b"a file");
    let objects = witness.lattice.objects.clone();
    witness.remove(&digest);
    let second = lattice.join("two", &[]);
    lattice.host(second).wait_for_log(&["they are tried again until they can be had"]);
    let shop = kit_folder("");
    lattice.apply(shop.path());
    lattice.answers(second, "/");
    assert_ne!(lattice.get(second, "/files/a.txt").text(), "a file");
    let waited = lattice.tell(&["wait", "files", "--timeout", "3s"]);
    let why = format!("two does not have all files of it: there is no object `{digest}`");
    assert_ne!(waited.status(), 0, "{waited:?}");
    assert!(waited.stderr.contains(&why), "{waited:?}");
    let described = lattice.told(&["describe", "files"]);
    assert!(described.contains(&why), "{described}");

    witness.wait(objects.put(&digest, &file)).unwrap();
    eventually("the file", || {
        (lattice.get(second, "/files/a.txt").text() == "a file").then_some(())
    });
    lattice.told(&["wait", "files"]);
}
