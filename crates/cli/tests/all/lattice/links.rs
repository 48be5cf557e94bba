//! Links between workloads: on one host without the network, across hosts over the bus.

use reef_servers::Nats;

use super::Lattice;
use crate::{host::folder, support::eventually};

/// A handler and the library that it is linked to, each where its label says.
fn manifest(add: &str) -> String {
    format!(
        "name = 'math'\n\
         [[workload]]\nname = 'http'\nsource = 'http.wasm'\ntrigger.http.route = '/...'\n\
         link = [{{ import = 'acme:math', workload = 'add' }}]\n\
         scale.instances = 1\nscale.spread = [{{ labels = {{ zone = 'a' }} }}]\n\
         [[workload]]\nname = 'add'\nsource = 'add.wasm'\n\
         scale.instances = 2\nscale.spread = [{{ labels = {{ zone = '{add}' }} }}]\n"
    )
}

#[test]
fn a_link_goes_over_the_bus_or_stays_in_the_process_by_where_its_ends_are() {
    goes_over_the_bus_or_not(Nats::Newest);
}

pub(super) fn goes_over_the_bus_or_not(version: Nats) {
    let zones = ["zone=a", "zone=b", "zone=b"].map(|zone| ["--label", zone]);
    let [a, b, c] = &zones;
    let mut lattice = Lattice::on(version, &[("a", a), ("b1", b), ("b2", c)]);
    let guests = [("http.wasm", "p2-math-http"), ("add.wasm", "p2-math-add")];
    let folder = folder(&guests, &manifest("b"));
    lattice.apply(folder.path());
    eventually("the sum", || (lattice.get(0, "/add/2/40").text() == "42\n").then_some(()));
    // Whatever host is asked.
    assert_eq!(lattice.get(1, "/add/2/3").text(), "5\n");
    let calls = |lattice: &Lattice, host: usize| {
        lattice.host(host).metric("reef_requests_total", "workload=\"math/add\"")
    };
    // They are counted after they are answered.
    eventually("two calls on other hosts", || {
        (calls(&lattice, 1) + calls(&lattice, 2) >= 2.0).then_some(())
    });

    // Whichever host it is on goes: the other one answers.
    lattice.kill(1);
    // A NATS server that has answered something since knows that the host's connection is closed.
    lattice.json(&["get", "hosts"]);
    for _ in 0..20 {
        let reply = lattice.get(0, "/add/20/1");
        assert_eq!((reply.status, &*reply.text()), (200, "21\n"));
    }

    // Now both are on one host, and nothing goes over the bus any more.
    std::fs::write(folder.path().join("reef.toml"), manifest("a")).unwrap();
    lattice.apply(folder.path());
    eventually("the ends of the link on one host", || {
        let before = calls(&lattice, 0);
        assert_eq!(lattice.get(0, "/add/1/1").text(), "2\n");
        (calls(&lattice, 0) == before).then_some(())
    });
}

/// A handler, what it is linked to, and what that is linked to by links of its own, each where its label says. All of them
/// are for the same interfaces.
fn three(twice: &str, add: &str, imports: &[&str]) -> String {
    let links = |imports: &[&str], to: &str| {
        let link = |import| format!("{{ import = '{import}', workload = '{to}' }}");
        imports.iter().map(link).collect::<Vec<_>>().join(", ")
    };
    let (to_twice, to_add) = (links(&["acme:math"], "twice"), links(imports, "add"));
    format!(
        "name = 'three'\n\
         [[workload]]\nname = 'http'\nsource = 'http.wasm'\ntrigger.http.route = '/...'\n\
         link = [{to_twice}]\n\
         scale.instances = 1\nscale.spread = [{{ labels = {{ zone = 'a' }} }}]\n\
         [[workload]]\nname = 'twice'\nsource = 'twice.wasm'\nlink = [{to_add}]\n\
         scale.instances = 1\nscale.spread = [{{ labels = {{ zone = '{twice}' }} }}]\n\
         [[workload]]\nname = 'add'\nsource = 'add.wasm'\n\
         scale.instances = 1\nscale.spread = [{{ labels = {{ zone = '{add}' }} }}]\n"
    )
}

#[test]
fn what_a_part_is_linked_to_is_answered_wherever_that_is() {
    let zones = ["zone=a", "zone=b", "zone=c"].map(|zone| ["--label", zone]);
    let [a, b, c] = &zones;
    let lattice = Lattice::start(&[("a", a), ("b", b), ("c", c)]);
    let guests = [
        ("http.wasm", "p2-math-http"),
        ("twice.wasm", "p2-math-twice"),
        ("add.wasm", "p2-math-add"),
    ];
    let folder = folder(&guests, "");
    let calls = |of: &str| -> f64 {
        let labels = format!("workload=\"three/{of}\"");
        (0..3).map(|host| lattice.host(host).metric("reef_requests_total", &labels)).sum()
    };
    let (package, items) = (["acme:math"], ["acme:math/add", "acme:math/reach"]);
    // The one in the middle is a part of the handler, of nothing, or has the library as a part; or all are one.
    for (twice, add, imports) in [
        ("a", "b", &package[..]),
        ("b", "b", &package),
        ("b", "c", &package),
        ("a", "a", &package),
        ("a", "c", &items),
    ] {
        std::fs::write(folder.path().join("reef.toml"), three(twice, add, imports)).unwrap();
        lattice.apply(folder.path());
        let (over_the_bus, within) = match (twice == "a", add == twice) {
            (true, true) => (None, Some("twice")),
            (true, false) => (Some("add"), Some("twice")),
            (false, true) => (Some("twice"), Some("add")),
            (false, false) => (Some("add"), None),
        };
        let case = format!("twice in {twice}, add in {add}");
        eventually(&case, || {
            let before = (over_the_bus.map(calls), within.map(calls));
            assert_eq!(lattice.get(0, "/add/1/20").text(), "42\n", "{case}");
            let after = (over_the_bus.map(calls), within.map(calls));
            (after.0 > before.0 || over_the_bus.is_none() && after.1 == before.1).then_some(())
        });
        eventually(&case, || {
            let before = within.map(calls);
            assert_eq!(lattice.get(0, "/add/20/1").text(), "42\n", "{case}");
            (within.map(calls) == before).then_some(())
        });
    }
}

/// Composed into its user it would be without them.
#[test]
fn what_has_grants_of_its_own_keeps_them_beside_its_user() {
    let lattice = Lattice::start(&[("a", &[]), ("b", &[])]);
    let guests = [("http.wasm", "p2-math-http"), ("add.wasm", "p2-math-add")];
    let manifest = "name = 'math'\n\
        [[workload]]\nname = 'http'\nsource = 'http.wasm'\ntrigger.http.route = '/...'\n\
        link = [{ import = 'acme:math', workload = 'add' }]\nscale.daemon = 1\n\
        [[workload]]\nname = 'add'\nsource = 'add.wasm'\nenv = { WHERE = 'by itself' }\n\
        scale.daemon = 1\n";
    lattice.apply(folder(&guests, manifest).path());
    for host in 0..2 {
        assert_eq!(lattice.get(host, "/variable/WHERE").text(), "by itself\n");
    }
}

/// Two components, one of which gives out handles to the other.
const USER: &str = r#"(component (import "acme:files/store@1.0.0" (instance
    (export "handle" (type $handle (sub resource)))
    (export "open" (func (param "name" string) (result (own $handle)))))))"#;

#[test]
fn a_link_that_only_one_process_can_have_is_refused_when_it_is_applied() {
    let lattice = Lattice::start(&[("a", &[])]);
    let manifest = |files: &str| {
        format!(
            "name = 'shop'\n\
             [[workload]]\nname = 'user'\nsource = 'user.wasm'\ntrigger.http.route = '/...'\n\
             link = [{{ import = 'acme:files', workload = 'files' }}]\n\
             [[workload]]\nname = 'files'\nsource = 'files.wasm'\n{files}\n"
        )
    };
    let folder = folder(&[], &manifest("scale.instances = 1"));
    std::fs::write(folder.path().join("user.wasm"), wat::parse_str(USER).unwrap()).unwrap();
    std::fs::write(folder.path().join("files.wasm"), wat::parse_str("(component)").unwrap())
        .unwrap();
    let path = folder.path().to_str().unwrap();
    for args in [&["apply", path][..], &["apply", path, "--dry-run"]] {
        let ended = lattice.tell(args);
        assert_eq!(ended.status(), 1, "{ended:?}");
        let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = ["`user`", "`files`", "`acme:files/store@1.0.0`", "`open`", "reef.toml:6:"];
        for part in parts.iter().chain(&["has a resource", "is composed into"]) {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_eq!(lattice.json(&["get", "apps"]), serde_json::json!([]));
    // What it would be composed of has to fit; but it is not for the controller to say so.
    std::fs::write(folder.path().join("reef.toml"), manifest("")).unwrap();
    lattice.told(&["apply", path]);
}
