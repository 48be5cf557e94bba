//! The lattice of one machine: a host, and nothing else.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    client,
    host::folder,
    process::{Ended, finish},
    server::{Server, serving},
    support::{eventually, reef},
};

/// A user of a machine, with a place for sockets and one for data.
struct Machine(TempDir);

const SHOP: &str = r#"
name = "shop"

[[workload]]
name = "web"
source = "web.wasm"
trigger.http.route = "/..."
scale.instances = 2
"#;

impl Machine {
    fn new() -> Self {
        let dir = tempdir().unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        Self(dir)
    }

    fn start(&self) -> Server {
        let mut command = serving("host", ["--name", "only", "--data"]);
        command.arg(self.0.path().join("data")).env("XDG_RUNTIME_DIR", self.0.path().join("run"));
        command.args(["--memory", "8GiB", "--cpu", "100"]);
        Server::spawn(command)
    }

    fn tell(&self, args: &[&str]) -> Ended {
        let mut command = reef();
        command.args(args).env("XDG_RUNTIME_DIR", self.0.path().join("run"));
        command.env_remove("REEF_LATTICE").current_dir(self.0.path());
        finish(command, b"")
    }

    #[track_caller]
    fn told(&self, args: &[&str]) -> String {
        let ended = self.tell(args);
        assert_eq!(ended.status(), 0, "{args:?}: {ended:?}");
        ended.stdout
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.told(&args)).unwrap()
    }

    #[track_caller]
    fn apply(&self, folder: &Path) -> String {
        self.told(&["apply", folder.to_str().unwrap(), "--wait", "--timeout", "120s"])
    }
}

#[test]
fn one_host_is_a_lattice_that_needs_nothing() {
    let machine = Machine::new();
    machine.tell(&["get", "hosts"]).fails(125, &["reef host", "REEF_LATTICE"]);

    let host = machine.start();
    eventually("the host", || {
        let hosts = machine.json(&["get", "hosts"]);
        (hosts[0]["name"] == "only" && hosts.as_array().unwrap().len() == 1).then_some(())
    });

    let shop = folder(&[("web.wasm", "p2-http-kit")], SHOP);
    let path = shop.path().to_str().unwrap();
    let plan = machine.told(&["apply", path, "--dry-run"]);
    assert!(plan.contains("Nothing was changed."), "{plan}");
    let said = machine.apply(shop.path());
    assert!(said.contains("shop is ready."), "{said}");
    assert_eq!(host.get("/env").status, 200);
    assert_eq!(machine.json(&["get", "placements"])[0]["ready"], 2);

    machine.told(&["scale", "shop/web", "3"]);
    machine.told(&["wait", "shop"]);
    eventually("three instances", || {
        (machine.json(&["get", "apps"])[0]["ready"] == 3).then_some(())
    });

    let other = format!("{SHOP}env = {{ VERSION = '2' }}\n");
    fs::write(shop.path().join("reef.toml"), other).unwrap();
    machine.apply(shop.path());
    eventually("the second revision", || {
        host.get("/env").text().contains("VERSION=2").then_some(())
    });
    machine.told(&["rollback", "shop"]);
    machine.told(&["wait", "shop"]);
    eventually("the first revision", || {
        (!host.get("/env").text().contains("VERSION")).then_some(())
    });
    let history = machine.json(&["history", "shop"]);
    assert!(history["revisions"].as_array().unwrap().len() >= 2, "{history}");

    machine.told(&["delete", "shop", "--wait", "--timeout", "120s"]);
    eventually("no route", || (host.get("/env").status == 404).then_some(()));
}

#[test]
fn one_folder_is_of_one_host() {
    let machine = Machine::new();
    let host = machine.start();
    let mut command = reef();
    command.args(["host", "--name", "only", "--addr", "127.0.0.1:0", "--data"]);
    command.arg(machine.0.path().join("data"));
    command.arg("--socket").arg(machine.0.path().join("other.socket"));
    let refused = finish(command, b"");
    assert_ne!(refused.status(), 0);
    let process = format!("open already, by the process {}", host.id());
    assert!(refused.stderr.contains(&process), "{refused:?}");
    assert!(refused.stderr.contains("--data"), "{refused:?}");
    // The first one does not mind.
    machine.json(&["get", "hosts"]);
}

#[test]
fn what_was_acknowledged_runs_again_after_a_kill() {
    let machine = Machine::new();
    let shop = folder(&[("web.wasm", "p2-http-kit")], SHOP);
    let host = machine.start();
    // Acknowledged, and not waited for.
    machine.told(&["apply", shop.path().to_str().unwrap()]);
    drop(host);
    // What it is made of is kept: the folder is not needed any more.
    drop(shop);

    for many in [2, 4] {
        let host = machine.start();
        eventually("all instances", || {
            (machine.json(&["get", "apps"])[0]["ready"] == many).then_some(())
        });
        eventually("an answer", || (client::get(host.addr, "/env").status == 200).then_some(()));
        machine.told(&["scale", "shop/web", "4"]);
        host.signal("KILL");
    }
}
