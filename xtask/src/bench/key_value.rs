//! Values by their keys, from inside a request: how long one get takes in this process, and how many a second come
//! through guests from a server, beside the server's own client.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reef_servers::{Nats, Server as Store};

use super::Effort;
use super::client::Connection;
use super::record::{Bench, Target};
use super::running::{Running, not_interrupted};
use super::server::Server;
use super::tools::{Program, Tools};

const START: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(60);
/// Gets of one request where the store is in this process, and where it is a server.
const HERE: u32 = 10_000;
const THERE: u32 = 200;
/// Not a backend: a component that is called in its place.
const LINKED: &str = "linked component";
/// Requests at once, and tasks of the client.
const AT_ONCE: u32 = 64;

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let reef = tools.reef()?;
    bench.begin();
    here(tools, &reef, effort, bench)?;
    there(tools, &reef, effort, bench)
}

/// Stores of this process.
fn here(tools: &Tools<'_>, reef: &Program, effort: Effort, bench: &mut Bench) -> Result<()> {
    for (backend, most) in [("memory", 5.0), ("embedded", 20.0), (LINKED, 2.0)] {
        let server = up(tools, reef, backend, None)?;
        for _ in 0..effort.rounds {
            for (operation, metric) in [("get", "get_us"), ("set", "set_us")] {
                // Each set of the embedded store waits for the disk.
                let waits = backend == "embedded" && operation == "set";
                let times = if waits { THERE } else { HERE };
                let nanoseconds = timed(server.address, operation, times)?;
                bench.push(backend, metric, nanoseconds / 1e3);
            }
        }
        server.still_runs()?;
        let link = match backend {
            LINKED => "a link to a component that keeps values in its memory".to_owned(),
            _ => format!("a link with backend = \"{backend}\""),
        };
        bench.commands.insert(backend.into(), format!("reef up, {link}"));
        let what = format!("a get from inside a request: {backend}");
        bench.state(&what, ("get_us", "µs"), backend, Some(Target::Below(most)));
        let what = format!("a set from inside a request: {backend}");
        bench.state(&what, ("set_us", "µs"), backend, None);
    }
    Ok(())
}

/// Stores of a server, beside its own client.
fn there(tools: &Tools<'_>, reef: &Program, effort: Effort, bench: &mut Bench) -> Result<()> {
    let client = tools.key_value_client()?;
    for backend in ["redis", "nats"] {
        let store = match backend {
            "redis" => Store::redis()?,
            _ => Store::nats(Nats::Newest)?,
        };
        let server = up(tools, reef, backend, Some(&store.url()))?;
        // Makes the bucket and the value that the client asks for, too.
        timed(server.address, "get", 1)?;
        let (ours, theirs) = (format!("reef with {backend}"), format!("{backend}'s client"));
        let seconds = effort.load.as_secs().max(1).to_string();
        for round in 0..effort.rounds {
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    let rate = many(server.address, effort.load)?;
                    println!("{ours:<28} {rate:>9.0} /s");
                    bench.push(&ours, "rate", rate);
                } else {
                    let mut command = client.command();
                    command.args([backend, &store.url(), &AT_ONCE.to_string(), &seconds]);
                    let rate = printed(tools, &mut command, effort.load + LIMIT)?;
                    println!("{theirs:<28} {rate:>9.0} /s");
                    bench.push(&theirs, "rate", rate);
                }
            }
        }
        server.still_runs()?;
        bench
            .commands
            .insert(ours.clone(), format!("reef up, a link with backend = \"{backend}\""));
        bench.commands.insert(theirs.clone(), format!("client {backend} URL {AT_ONCE} {seconds}"));
        let what = format!("gets from {backend}, {AT_ONCE} requests at once, beside as many tasks");
        let target = Some(Target::RatioAtLeast(0.9));
        bench.compare(&what, ("rate", "/s"), &ours, &theirs, target);
    }
    bench.note(format!("A request gets {THERE} values from a server, one after the other."));
    Ok(())
}

/// The rate that the client prints.
fn printed(tools: &Tools<'_>, command: &mut Command, limit: Duration) -> Result<f64> {
    let path = tools.scratch("client.log");
    command.stdout(fs::File::create(&path).context("cannot write a log")?);
    let status = Running::start("the client", command)?.wait(limit)?;
    let printed = fs::read_to_string(&path).context("cannot read a log")?;
    if !status.success() {
        bail!("the client ended with {status}: {printed}");
    }
    printed.trim().parse().with_context(|| format!("the client printed no rate: {printed}"))
}

/// Nanoseconds of one operation, as the guest measured it.
fn timed(address: SocketAddr, operation: &str, times: u32) -> Result<f64> {
    let mut connection = Connection::open(address, LIMIT)?;
    let answer = connection.get(&format!("/draft2/{operation}-times-{times}/b/k"))?;
    let text = String::from_utf8_lossy(&answer.body);
    text.trim().parse().with_context(|| format!("the guest answered: {text}"))
}

/// Gets a second, by as many requests at once.
fn many(address: SocketAddr, duration: Duration) -> Result<f64> {
    let (start, requests) = (Instant::now(), AtomicU64::new(0));
    let path = format!("/draft2/get-times-{THERE}/b/k");
    let client = || -> Result<()> {
        let mut connection = Connection::open(address, LIMIT)?;
        while start.elapsed() < duration && not_interrupted().is_ok() {
            let answer = connection.get(&path)?;
            if answer.status != 200 || !answer.body.iter().all(u8::is_ascii_digit) {
                bail!("the guest answered {}", String::from_utf8_lossy(&answer.body));
            }
            requests.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(client)).collect();
        for client in clients {
            let Ok(outcome) = client.join() else { bail!("a client panicked") };
            outcome?;
        }
        Ok(())
    })?;
    not_interrupted()?;
    let gets = requests.load(Ordering::Relaxed) as f64 * f64::from(THERE);
    Ok(gets / start.elapsed().as_secs_f64())
}

fn up(tools: &Tools<'_>, reef: &Program, backend: &str, url: Option<&str>) -> Result<Server> {
    let folder = application(tools, backend, url)?;
    let command = |address: SocketAddr| {
        let mut command = reef.command();
        command.args(["up", "--log", "warn", "--addr", &address.to_string(), "--socket"]);
        command.arg(folder.join("socket")).arg("--data").arg(folder.join("data")).arg(&folder);
        command
    };
    Server::start("reef up", command, "/", START, &tools.scratch("server.log"))
}

/// A folder with an application that uses a store.
fn application(tools: &Tools<'_>, backend: &str, url: Option<&str>) -> Result<PathBuf> {
    let folder = tools.scratch(&format!("key-value-{}", backend.replace(' ', "-")));
    let write =
        |path: &Path, what: &[u8]| fs::write(path, what).context("cannot write to the cache");
    fs::create_dir_all(&folder).context("cannot write to the cache")?;
    let guest = fs::read(tools.guest("p2-key-value")?).context("cannot read a guest")?;
    write(&folder.join("kv.wasm"), &guest)?;
    let url = url.map(|url| format!(", url = \"{url}\"")).unwrap_or_default();
    let (links, more) = match backend {
        LINKED => {
            let mock = fs::read(tools.guest("p2-kv-mock")?).context("cannot read a guest")?;
            write(&folder.join("mock.wasm"), &mock)?;
            let link = |interface: &str| {
                let import = format!("wasi:keyvalue/{interface}@0.2.0-draft2");
                format!("{{ import = \"{import}\", workload = \"mock\" }}, ")
            };
            let mock = "[[workload]]\nname = \"mock\"\nsource = \"mock.wasm\"\n";
            (["store", "atomics", "batch"].map(link).concat(), mock)
        }
        _ => {
            let config = format!("{{ backend = \"{backend}\"{url} }}");
            let import = "import = \"wasi:keyvalue\", capability = \"key-value\"";
            (format!("{{ {import}, config = {config} }}"), "")
        }
    };
    let manifest = format!(
        "name = \"bench\"\n[[workload]]\nname = \"kv\"\nsource = \"kv.wasm\"\n\
         trigger.http.route = \"/...\"\nlink = [{links}]\n{more}"
    );
    write(&folder.join("reef.toml"), manifest.as_bytes())?;
    Ok(folder)
}
