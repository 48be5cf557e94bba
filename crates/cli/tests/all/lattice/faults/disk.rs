//! A disk that is full.

use std::{fs::File, io::Write as _, process::Command};

use reef_servers::{Nats, Server as Bus};

use super::{Witness, kit, kit_folder, only_in, set_kit};
use crate::{
    host::folder,
    lattice::{Lattice, load::Load},
    server::{Server, serving},
    support::{eventually, guest},
};

impl Lattice {
    /// A host whose data is on a disk of a few MiB, which is there for as long as the host.
    fn join_on_small_disk(&mut self, name: &str, flags: &[&str]) {
        let mut host = serving("host", ["--name", name]);
        self.host_flags(&mut host, name, flags);
        let data = self.dir.path().join(name);
        std::fs::create_dir(&data).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount -t tmpfs -o size=4m tmpfs \"$0\" && exec \"$@\"").arg(data);
        command.arg(host.get_program()).args(host.get_args());
        for (name, value) in host.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::piped());
        self.hosts.push(Some(Server::spawn(command)));
    }
}

#[test]
fn what_nats_has_no_room_for_is_refused_in_words_and_nothing_that_it_acknowledged_is_lost() {
    const SCALE: &str = "scale.instances = 2";
    let bus = Bus::nats_on_small_disk(Nats::Newest, 64).unwrap();
    let mut lattice = Lattice::over(format!("{}/test", bus.url()), bus);
    let witness = Witness::start(&lattice.url);
    for name in ["one", "two"] {
        lattice.join(name, &[]);
    }
    lattice.heard(2);
    let shop = kit_folder(SCALE);
    lattice.apply(shop.path());
    (0..2).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&[lattice.host(0).addr, lattice.host(1).addr], "/env", 1);

    lattice.bus.fill_disk().unwrap();
    // There may be a little room left where something was written before.
    let mut acknowledged = 1;
    let refused = eventually("a version that is refused", || {
        set_kit(shop.path(), acknowledged + 1, SCALE);
        let ended = lattice.tell(&["apply", shop.path().to_str().unwrap()]);
        acknowledged += u32::from(ended.status() == 0);
        (ended.status() != 0).then_some(ended)
    });
    assert!(refused.stderr.contains("the lattice's store"), "{refused:?}");
    // What runs does so on, with nobody to lead or to be asked.
    load.goes_on(500);

    lattice.bus.free_disk().unwrap();
    // JetStream ends itself when there is no room, until the server starts again.
    lattice.bus.start_again().unwrap();
    lattice.heard(2);
    let (kept, wanted) = lattice.history("shop");
    assert!(wanted >= Some(acknowledged.into()), "{wanted:?}, {acknowledged} was acknowledged");
    assert_eq!(kept.last().copied(), wanted, "{kept:?}");
    set_kit(shop.path(), 99, SCALE);
    eventually("a version that is accepted", || {
        let ended = lattice.tell(&["apply", shop.path().to_str().unwrap(), "--wait"]);
        (ended.status() == 0).then_some(())
    });
    eventually("the last version at every host", || {
        (0..2).all(|host| lattice.get(host, "/env").text() == "env VERSION=99\n").then_some(())
    });
    load.goes_on(100);
    load.ends_well();
    witness.settled();
    witness.runs(2);
}

#[test]
fn what_does_not_fit_on_a_disk_is_said_and_runs_once_there_is_room() {
    let bus = Bus::nats(Nats::Newest).unwrap();
    let mut lattice = Lattice::over(format!("{}/test", bus.url()), bus);
    let witness = Witness::start(&lattice.url);
    lattice.join_on_small_disk("full", &["--label", "zone=a"]);
    lattice.join("other", &["--label", "zone=b"]);
    lattice.heard(2);
    let scale = only_in("a", 2);
    let shop = folder(&[("kit.wasm", "p2-http-kit")], &kit(1, &scale));
    lattice.apply(shop.path());
    assert_eq!(lattice.answers(0, "/env"), "env VERSION=1\n");
    assert_eq!(lattice.answers(1, "/env"), "env VERSION=1\n");
    let load = Load::on(&[lattice.host(0).addr, lattice.host(1).addr], "/env", 1);

    let data = lattice.dir.path().join("full");
    let filler = format!("/proc/{}/root{}/filler", lattice.host(0).id(), data.display());
    let mut file = File::create(&filler).unwrap();
    for size in [1 << 16, 1 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    // Another component, which is not there yet.
    std::fs::copy(guest("p3-http-kit"), shop.path().join("kit.wasm")).unwrap();
    set_kit(shop.path(), 2, &scale);
    lattice.told(&["apply", shop.path().to_str().unwrap()]);
    eventually("what is wrong with it", || {
        let all = lattice.json(&["get", "placements"]);
        let mut all = all.as_array().unwrap().iter();
        all.any(|one| one["trouble"].to_string().contains("No space left")).then_some(())
    });
    // What ran does so on, and others are not kept up.
    load.goes_on(200);
    let news = folder(
        &[("web.wasm", "p2-hello-http")],
        &format!(
            "name = 'news'\n[[workload]]\nname = 'web'\nsource = 'web.wasm'\n\
             trigger.http.route = '/news'\n{}\n",
            only_in("b", 1)
        ),
    );
    lattice.apply(news.path());
    assert_eq!(lattice.answers(0, "/news"), lattice.answers(1, "/news"));

    drop(file);
    std::fs::remove_file(&filler).unwrap();
    lattice.is_deployed("shop");
    eventually("the new version", || {
        (0..2).all(|host| lattice.get(host, "/env").text() == "env VERSION=2\n").then_some(())
    });
    load.ends_well();
    witness.settled();
    witness.only(|workload, host| (workload == "kit") == (host == "full"));
}
