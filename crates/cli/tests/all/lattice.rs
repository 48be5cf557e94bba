//! A lattice of hosts as processes on this machine, over a real NATS.

mod alone;
mod apps;
mod autoscale;
mod canary;
mod edge;
mod faults;
mod hosts;
mod links;
mod load;
mod oam;
mod oldest;
mod rollouts;
mod strategies;
mod wadm;

use std::{path::Path, process::Command};

use reef_servers::{Nats, Server as Bus};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    client::{self, Reply},
    process::{Ended, finish},
    server::{Server, serving},
    support::{eventually, reef},
};

/// A lattice, and a folder for what its hosts keep.
pub(crate) struct Lattice<B = Bus> {
    /// What its servers are.
    pub(crate) bus: B,
    /// Where they are, and what the lattice is called there.
    pub(crate) url: String,
    pub(crate) dir: TempDir,
    pub(crate) hosts: Vec<Option<Server>>,
}

/// What a host is called, and the flags that it is started with beside that.
type Flags<'f> = (&'f str, &'f [&'f str]);

impl Lattice {
    /// With these hosts, once all of them are heard of.
    pub(crate) fn start(hosts: &[Flags<'_>]) -> Self {
        Self::on(Nats::Newest, hosts)
    }

    pub(crate) fn on(version: Nats, hosts: &[Flags<'_>]) -> Self {
        let bus = Bus::nats(version).unwrap();
        let mut lattice = Self::over(format!("{}/test", bus.url()), bus);
        for (name, flags) in hosts {
            lattice.join(name, flags);
        }
        lattice.heard(hosts.len());
        lattice
    }

    /// With a controller at the first host only: it answers what it has said, where another one may be behind it.
    pub(crate) fn led(version: Nats, hosts: &[Flags<'_>]) -> Self {
        let all = hosts.iter().enumerate().map(|(at, (_, flags))| {
            let controls = (at > 0).then_some("--no-controller");
            flags.iter().copied().chain(controls).collect::<Vec<&str>>()
        });
        let all: Vec<_> = all.collect();
        let hosts = hosts.iter().zip(&all).map(|((name, _), flags)| (*name, flags.as_slice()));
        Self::on(version, &hosts.collect::<Vec<_>>())
    }
}

impl<B> Lattice<B> {
    /// Without hosts, over these servers.
    pub(crate) fn over(url: String, bus: B) -> Self {
        Self { bus, url, dir: tempdir().unwrap(), hosts: Vec::new() }
    }

    /// One more host; which one it is.
    pub(crate) fn join(&mut self, name: &str, flags: &[&str]) -> usize {
        let host = self.spawn(name, flags);
        self.hosts.push(Some(host));
        self.hosts.len() - 1
    }

    /// A host that was there before, with its data.
    pub(crate) fn join_again(&mut self, at: usize, name: &str, flags: &[&str]) {
        self.hosts[at] = Some(self.spawn(name, flags));
    }

    fn spawn(&self, name: &str, flags: &[&str]) -> Server {
        let mut command = serving("host", ["--name", name]);
        self.host_flags(&mut command, name, flags);
        Server::spawn(command)
    }

    /// What all hosts are started with, each in a folder of its own.
    pub(crate) fn host_flags(&self, command: &mut Command, name: &str, flags: &[&str]) {
        command.args(["--lattice", &self.url, "--data"]).arg(self.dir.path().join(name));
        command.arg("--socket").arg(self.dir.path().join(format!("{name}.socket")));
        command.args(["--memory", "64GiB", "--cpu", "1000"]).args(flags);
    }

    pub(crate) fn host(&self, at: usize) -> &Server {
        self.hosts[at].as_ref().unwrap()
    }

    /// Waits until so many hosts are heard of.
    pub(crate) fn heard(&self, many: usize) {
        eventually("the hosts", || {
            let hosts = self.try_json(&["get", "hosts"])?;
            let ready = |host: &&Value| host["state"] == "ready";
            (hosts.as_array().unwrap().iter().filter(ready).count() == many).then_some(())
        });
    }

    /// A command on it, to its end.
    pub(crate) fn tell(&self, args: &[&str]) -> Ended {
        let mut command = reef();
        command.args(args).env("REEF_LATTICE", &self.url).current_dir(self.dir.path());
        finish(command, b"")
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub(crate) fn told(&self, args: &[&str]) -> String {
        let ended = self.tell(args);
        assert_eq!(ended.status(), 0, "{args:?}: {ended:?}");
        ended.stdout
    }

    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.told(&args)).unwrap()
    }

    fn try_json(&self, args: &[&str]) -> Option<Value> {
        let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
        let ended = self.tell(&args);
        serde_json::from_str(&ended.stdout).ok()
    }

    /// A folder with guests and a manifest, applied and waited for.
    #[track_caller]
    pub(crate) fn apply(&self, folder: &Path) -> String {
        self.told(&["apply", folder.to_str().unwrap(), "--wait", "--timeout", "120s"])
    }

    /// Workload, host, instances and ready ones of each placement on a host that is heard of.
    pub(crate) fn placements(&self) -> Vec<(String, String, u64, u64)> {
        let all = self.json(&["get", "placements"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut all: Vec<_> = all
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["heard"] == true)
            .map(|one| {
                let (instances, ready) = (&one["instances"], &one["ready"]);
                let host = text(&one["host_name"]);
                (text(&one["workload"]), host, instances.as_u64().unwrap(), ready.as_u64().unwrap())
            })
            .collect();
        all.sort();
        all
    }

    /// Waits until so many instances are ready, on hosts that are heard of.
    pub(crate) fn ready(&self, many: u64) {
        eventually(&format!("{many} ready instances"), || {
            let all = self.json(&["get", "placements"]);
            let heard = all.as_array().unwrap().iter().filter(|one| one["heard"] == true);
            let sum: u64 = heard.map(|one| one["ready"].as_u64().unwrap()).sum();
            (sum == many).then_some(())
        });
    }

    /// Kills a host.
    pub(crate) fn kill(&mut self, at: usize) {
        self.hosts[at] = None;
    }

    /// A request to a host.
    pub(crate) fn get(&self, at: usize, path: &str) -> Reply {
        client::get(self.host(at).addr, path)
    }
}
