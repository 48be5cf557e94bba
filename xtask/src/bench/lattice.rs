//! A lattice on one machine: how soon an application is where it is wanted, changed, and whole again after a host was
//! killed; fifty hosts with a thousand instances; from no instance at all to the first answer.
//!
//! What wadm 0.21.1 with wasmCloud 1.9.2 needed for the first three, on a machine of this kind: 0.2 s; never right
//! within 37 s, though it said so after 0.5 s; 79 s.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reef_servers::{Nats, Server as Bus};
use serde_json::Value;

use super::Effort;
use super::client::Connection;
use super::record::{Bench, Target};
use super::running::{self, Running, not_interrupted};
use super::tools::{Program, Tools};

const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at what is there.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is asked when it has no instance.
const FROM_ZERO: usize = 9;

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let reef = tools.reef()?;
    bench.begin();
    for _ in 0..effort.rounds {
        five(tools, &reef, bench)?;
    }
    let (hosts, instances) = (effort.times(50, 6), effort.times(1000, 60) as u64);
    many(tools, &reef, hosts, instances, bench)?;
    let ms = |metric: &'static str| (metric, "ms");
    let five = "5 hosts";
    let below = |most: f64| Some(Target::Below(most));
    bench.state(
        "100 instances on 5 hosts, `reef apply --wait` and all",
        ms("deployed_ms"),
        five,
        below(1000.0),
    );
    bench.state("the same spread over three zones instead", ms("changed_ms"), five, below(1000.0));
    bench.state(
        "times that it was said to be ready and was not",
        ("false_ready", ""),
        five,
        below(1.0),
    );
    bench.state("whole again after SIGKILL of a host", ms("whole_ms"), five, below(7000.0));
    bench.state("of that, until it was noticed", ms("noticed_ms"), five, below(5000.0));
    bench.state("from no instance to the first answer", ms("zero_ms"), five, below(10.0));
    let what = format!("{instances} instances on {hosts} hosts");
    bench.state(&what, ms("deployed_ms"), "many hosts", below(30_000.0));
    bench.commands.insert(five.into(), "reef host --lattice URL --name N --label zone=Z".into());
    Ok(())
}

/// A lattice and its hosts.
struct Lattice<'t> {
    bus: Bus,
    hosts: Vec<Option<Running>>,
    reef: &'t Program,
    folder: PathBuf,
    addrs: Vec<SocketAddr>,
}

impl<'t> Lattice<'t> {
    fn start(tools: &Tools<'_>, reef: &'t Program, hosts: usize) -> Result<Self> {
        let folder = tools.scratch("lattice");
        if folder.exists() {
            fs::remove_dir_all(&folder).context("cannot write to the cache")?;
        }
        fs::create_dir_all(&folder).context("cannot write to the cache")?;
        let bus = Bus::nats(Nats::Newest)?;
        let mut lattice = Self { bus, hosts: Vec::new(), reef, folder, addrs: Vec::new() };
        for number in 0..hosts {
            let addr = super::server::free_address()?;
            let mut command = reef.command();
            command.args(["host", "--log", "warn", "--name", &format!("h{number}")]);
            command.args(["--label", &format!("zone=z{}", number % 3), "--workers", "1"]);
            command.args(["--memory", "64GiB", "--cpu", "1000", "--addr", &addr.to_string()]);
            command.args(["--lattice", &lattice.url()]);
            if number >= 3 {
                command.arg("--no-controller");
            }
            command.arg("--data").arg(lattice.folder.join(format!("h{number}")));
            command.arg("--socket").arg(lattice.folder.join(format!("h{number}.socket")));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            lattice.hosts.push(Some(Running::start("reef host", &mut command)?));
            lattice.addrs.push(addr);
        }
        lattice.until("the hosts", |lattice| {
            let all = lattice.json(&["get", "hosts", "--json"])?;
            Ok(all.as_array().is_some_and(|all| all.len() == hosts))
        })?;
        Ok(lattice)
    }

    fn url(&self) -> String {
        format!("{}/bench", self.bus.url())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.reef.command();
        command.args(args).env("REEF_LATTICE", self.url());
        command
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.command(args).stderr(Stdio::null()).output().context("cannot ask")?;
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// Instances on hosts that are heard of, and those of them that are ready; not on that host.
    fn instances(&self, but: &str) -> Result<(u64, u64)> {
        let all = self.json(&["get", "placements", "--json"])?;
        let all = all.as_array().into_iter().flatten();
        let heard = all.filter(|one| one["heard"] == true && one["host_name"] != but);
        Ok(heard.fold((0, 0), |(instances, ready), one| {
            let number = |name: &str| one[name].as_u64().unwrap_or_default();
            (instances + number("instances"), ready + number("ready"))
        }))
    }

    fn until(&self, what: &str, mut is: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let until = Instant::now() + LIMIT;
        while !is(self)? {
            not_interrupted()?;
            for host in self.hosts.iter().flatten() {
                host.still_runs()?;
            }
            if Instant::now() > until {
                bail!("waited in vain for {what}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Milliseconds of `reef apply --wait`.
    fn apply(&self, manifest: &str) -> Result<f64> {
        fs::write(self.folder.join("app/reef.toml"), manifest).context("cannot write")?;
        let folder = self.folder.join("app");
        let mut command = self.command(&["apply", "--wait"]);
        command.arg(&folder);
        Ok(running::time("reef apply", &mut command, LIMIT)?.wall.as_secs_f64() * 1e3)
    }
}

fn five(tools: &Tools<'_>, reef: &Program, bench: &mut Bench) -> Result<()> {
    let mut lattice = Lattice::start(tools, reef, 5)?;
    application(tools, &lattice.folder)?;
    let five = "5 hosts";
    bench.push(five, "deployed_ms", lattice.apply(&manifest(100, ""))?);
    let zones = "scale.spread = [{ labels = { zone = 'z0' } }, { labels = { zone = 'z1' } }, \
                 { labels = { zone = 'z2' } }]\n";
    let mut false_ready = f64::from(u8::from(lattice.instances("")? != (100, 100)));
    bench.push(five, "changed_ms", lattice.apply(&manifest(100, zones))?);
    false_ready += f64::from(u8::from(lattice.instances("")? != (100, 100)));
    bench.push(five, "false_ready", false_ready);

    // One of two in its zone: the other one has room for all of them.
    let killed = Instant::now();
    lattice.hosts[4] = None;
    lattice.until("the loss", |lattice| {
        let hosts = lattice.json(&["get", "hosts", "--json"])?;
        let mut lost = hosts.as_array().into_iter().flatten().filter(|host| host["name"] == "h4");
        Ok(lost.all(|host| host["state"] == "silent"))
    })?;
    bench.push(five, "noticed_ms", killed.elapsed().as_secs_f64() * 1e3);
    lattice.until("the instances", |lattice| Ok(lattice.instances("h4")? == (100, 100)))?;
    bench.push(five, "whole_ms", killed.elapsed().as_secs_f64() * 1e3);

    lattice.apply(&manifest(
        1,
        "scale.auto = { min = 0, max = 4, target = { concurrency = 10 }, scale-to-zero = '1s' }\n",
    ))?;
    for _ in 0..FROM_ZERO {
        lattice.until("no instance", |lattice| Ok(lattice.instances("h4")? == (0, 0)))?;
        let asked = Instant::now();
        let answer = Connection::open(lattice.addrs[0], LIMIT)?.get("/")?;
        if answer.status != 200 {
            bail!("the first request was answered with {}", answer.status);
        }
        bench.push(five, "zero_ms", asked.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

fn many(
    tools: &Tools<'_>,
    reef: &Program,
    hosts: usize,
    instances: u64,
    bench: &mut Bench,
) -> Result<()> {
    let lattice = Lattice::start(tools, reef, hosts)?;
    application(tools, &lattice.folder)?;
    bench.push("many hosts", "deployed_ms", lattice.apply(&manifest(instances, ""))?);
    if lattice.instances("")? != (instances, instances) {
        bail!("it is said to be ready, and is not");
    }
    Ok(())
}

fn application(tools: &Tools<'_>, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("app")).context("cannot write to the cache")?;
    fs::copy(tools.guest("p2-hello-http")?, folder.join("app/web.wasm"))
        .context("cannot write to the cache")?;
    Ok(())
}

fn manifest(instances: u64, more: &str) -> String {
    let instances = if more.contains("auto") {
        String::new()
    } else {
        format!("scale.instances = {instances}\n")
    };
    format!(
        "name = \"bench\"\n[[workload]]\nname = \"web\"\nsource = \"web.wasm\"\n\
         trigger.http.route = \"/...\"\n{instances}{more}"
    )
}
