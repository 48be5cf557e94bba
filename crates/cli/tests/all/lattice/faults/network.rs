//! Machines with a network of their own each, between which it can be cut.
//!
//! Each machine is a network namespace that lives as long as a process in it, and that process as long as this one:
//! nothing is left behind, however a test ends. Between them is a router, which loses what it is told to, silently and
//! one way or both.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    os::fd::AsFd as _,
    panic::resume_unwind,
    process::{Child, Command, Stdio},
    thread,
};

use reef_servers::{Nats, Server as Bus};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Lattice, Witness};
use crate::{
    client,
    server::Server,
    support::{eventually, reef},
};

/// A network namespace.
struct Space {
    holds: Child,
}

/// Machines that are numbered from nothing on, and a router between.
pub(crate) struct Network {
    router: Space,
    machines: Vec<Space>,
}

/// The machine that NATS is on, and that of the test itself. Hosts follow.
pub(crate) const NATS: usize = 0;
const TEST: usize = 1;
const FIRST: usize = 2;

/// Whoever is cut off gets no part of clients' requests for longer than some seconds.
const CONFIG: &str = "host: 0.0.0.0\njetstream: enabled\nping_interval: '1s'\nping_max: 2\n";

impl Space {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        // It ends when nobody can write to it any more.
        command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let holds = command.spawn().expect("`unshare` of util-linux");
        let space = Self { holds };
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        eventually("a network namespace (it takes root to make one)", || {
            let name = fs::read_link(space.path()).ok()?;
            (name != own).then_some(())
        });
        space.ip("link set lo up");
        space
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holds.id())
    }

    /// Does something there. What is started there stays there.
    fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let there = File::open(self.path()).unwrap();
        let done = thread::scope(|scope| {
            let moved = scope.spawn(move || {
                move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                what()
            });
            moved.join()
        });
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn ip(&self, args: &str) {
        let done = self.within(|| Command::new("ip").args(args.split(' ')).output().unwrap());
        assert!(done.status.success(), "ip {args}: {done:?}");
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.holds.kill();
        let _ = self.holds.wait();
    }
}

impl Network {
    fn new(machines: usize) -> Self {
        let router = Space::new();
        router.within(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        let machines = (0..machines).map(|at| {
            let machine = Space::new();
            let (own, here) = (addr(at), Ipv4Addr::new(10, 77, at as u8, 1));
            let id = machine.holds.id();
            router.ip(&format!("link add name m{at} type veth peer name eth0 netns {id}"));
            router.ip(&format!("addr add {here}/24 dev m{at}"));
            router.ip(&format!("link set m{at} up"));
            machine.ip(&format!("addr add {own}/24 dev eth0"));
            machine.ip("link set eth0 up");
            machine.ip(&format!("route add default via {here}"));
            machine
        });
        let machines = machines.collect();
        Self { router, machines }
    }

    /// Does something on a machine.
    pub(crate) fn on<T: Send>(&self, machine: usize, what: impl FnOnce() -> T + Send) -> T {
        self.machines[machine].within(what)
    }

    /// Whatever one sends to the other is lost.
    pub(crate) fn cut_one_way(&self, from: usize, to: usize) {
        self.router.ip(&rule("add", from, to));
    }

    pub(crate) fn heal_one_way(&self, from: usize, to: usize) {
        self.router.ip(&rule("del", from, to));
    }

    /// So both ways.
    pub(crate) fn cut(&self, one: usize, other: usize) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    pub(crate) fn heal(&self, one: usize, other: usize) {
        self.heal_one_way(one, other);
        self.heal_one_way(other, one);
    }
}

fn addr(machine: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, machine as u8, 2)
}

fn rule(what: &str, from: usize, to: usize) -> String {
    format!("rule {what} from {} to {} blackhole", addr(from), addr(to))
}

/// The machine that a host is on.
pub(crate) fn machine(host: usize) -> usize {
    FIRST + host
}

/// Runs a test on a machine of its own, with NATS on another one and each of these hosts on one more.
pub(crate) fn apart(
    hosts: &[(&str, &[&str])],
    test: impl FnOnce(&mut Lattice<Bus>, &Network, &Witness) + Send,
) {
    let network = Network::new(FIRST + hosts.len());
    let bus = network.on(NATS, || Bus::nats_with(Nats::Newest, CONFIG));
    let bus = bus.unwrap();
    let url = format!("nats://{}:{}/test", addr(NATS), bus.port());
    network.on(TEST, || {
        let mut lattice = Lattice::over(url, bus);
        let witness = Witness::start(&lattice.url);
        for (at, (name, flags)) in hosts.iter().enumerate() {
            lattice.join_on(&network, machine(at), name, flags);
        }
        lattice.heard(hosts.len());
        test(&mut lattice, &network, &witness);
    });
}

/// How many servers of NATS there are where each host has one of its own.
const SERVERS: usize = 3;
/// Where such servers listen for each other, and say how they are.
const ROUTES: u16 = 6222;
const MONITOR: u16 = 8222;

/// The machine of a server of NATS, of several.
pub(crate) fn nats(at: usize) -> usize {
    if at == 0 { NATS } else { machine(SERVERS) + at - 1 }
}

/// Runs a test with three servers of NATS that belong together and a host that knows one of them each, all on machines of
/// their own. The first host leads. The lattice's clients know the other servers; that of the first is told too.
pub(crate) fn clustered(
    hosts: &[(&str, &[&str]); SERVERS],
    test: impl FnOnce(&mut Lattice<Vec<Bus>>, &Network, &Witness, &str) + Send,
) {
    let network = Network::new(nats(SERVERS));
    let routes: Vec<_> =
        (0..SERVERS).map(|at| format!("'nats://{}:{ROUTES}'", addr(nats(at)))).collect();
    let routes = routes.join(", ");
    let servers = (0..SERVERS).map(|at| {
        let config = format!(
            "{CONFIG}server_name: nats-{at}\nhttp: '0.0.0.0:{MONITOR}'\n\
             cluster: {{name: reef, listen: '0.0.0.0:{ROUTES}', routes: [{routes}]}}\n"
        );
        network.on(nats(at), || Bus::nats_with(Nats::Newest, &config)).unwrap()
    });
    let servers: Vec<Bus> = servers.collect();
    let places = servers.iter().enumerate();
    let places = places.map(|(at, bus)| format!("{}:{}", addr(nats(at)), bus.port()));
    let places: Vec<_> = places.collect();
    network.on(TEST, || {
        for at in 0..SERVERS {
            eventually("servers of NATS that know each other", || {
                let addr = (addr(nats(at)), MONITOR).into();
                let said = client::raw(addr, "GET /jsz HTTP/1.0\r\n\r\n").replace([' ', '\n'], "");
                let (_, meta) = said.split_once("\"meta_cluster\":")?;
                (meta.contains("\"leader\":\"nats-") && meta.contains("\"cluster_size\":3"))
                    .then_some(())
            });
        }
        let urls: Vec<_> = places.iter().map(|place| format!("nats://{place}/test")).collect();
        let others = format!("nats://{}/test", places[1..].join(","));
        let mut lattice = Lattice::over(others.clone(), servers);
        let witness = Witness::start(&lattice.url);
        for (at, (name, flags)) in hosts.iter().enumerate() {
            lattice.url.clone_from(&urls[at]);
            lattice.join_on(&network, machine(at), name, flags);
            lattice.heard(at + 1);
        }
        lattice.url = others;
        test(&mut lattice, &network, &witness, &urls[0]);
    });
}

impl<B> Lattice<B> {
    fn join_on(&mut self, network: &Network, machine: usize, name: &str, flags: &[&str]) {
        let mut command = reef();
        let own = format!("{}:0", addr(machine));
        command.args(["host", "--name", name, "--addr", &own, "--admin", "127.0.0.1:0"]);
        command.args(["--log-format", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        self.host_flags(&mut command, name, flags);
        let host = network.on(machine, || Server::spawn(command));
        self.hosts.push(Some(host));
    }
}
