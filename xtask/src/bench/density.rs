//! Many different small components in one process: what one costs in memory, and how long its first
//! request takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Effort;
use super::client::Connection;
use super::record::Bench;
use super::running::pause;
use super::server::Server;
use super::statistics::percentile;
use super::subject::ADDRESS;
use super::tools::{Program, Tools};

/// All components compiled, on a slow machine.
const START: Duration = Duration::from_secs(20 * 60);
const LIMIT: Duration = Duration::from_secs(30);
/// How long an instance without work is kept, and a little more until that has been seen.
const IDLE: &str = "3s";
const UNTIL_IDLE: Duration = Duration::from_secs(6);

const MILLISECONDS: &str = "ms";
const KIBIBYTES: &str = "KiB";

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let reef = tools.reef()?;
    let count = effort.times(1000, 20);
    bench.begin();
    for guest in ["p2-hello-http", "p3-hello-http"] {
        let files = different(tools, guest, count)?;
        let filled = Instant::now();
        drop(serve(tools, &reef, &files)?);
        println!("{guest}: {count} components compiled in {:.0} s", filled.elapsed().as_secs_f64());
        for _ in 0..effort.rounds {
            round(tools, &reef, guest, &files, bench)?;
        }
        let memory = [
            ("mounted_kib", "memory of one, before its first request"),
            ("used_kib", "memory of one with an idle instance"),
            ("idle_kib", "memory of one, idle, its instance ended"),
            ("idle_private_kib", "of that, not backed by a file"),
        ];
        for (metric, what) in memory {
            bench.state(&format!("{guest}: {what}"), (metric, KIBIBYTES), guest, None);
        }
        for (metric, what) in [
            ("first_p50_ms", "first request, median"),
            ("first_p99_ms", "first request, p99"),
            ("second_p99_ms", "second request, p99"),
        ] {
            bench.state(&format!("{guest}: {what}"), (metric, MILLISECONDS), guest, None);
        }
        bench.state(&format!("{guest}: start of the server"), ("start_s", "s"), guest, None);
    }
    let line = format!("reef serve /0=0.wasm … /{0}={0}.wasm --instance-idle {IDLE}", count - 1);
    bench.commands.insert("reef serve".into(), line);
    bench.note(format!(
        "{count} components that differ in a custom section, code cache warm; memory is resident memory, \
         less that of a server with one component, by component."
    ));
    Ok(())
}

fn round(
    tools: &Tools<'_>,
    reef: &Program,
    guest: &str,
    files: &[PathBuf],
    bench: &mut Bench,
) -> Result<()> {
    let others = (files.len() - 1) as f64;
    let alone = serve(tools, reef, &files[..1])?;
    let [base, private_base] = [alone.memory("VmRSS")?, alone.memory("RssAnon")?];
    drop(alone);

    let started = Instant::now();
    let server = serve(tools, reef, files)?;
    bench.push(guest, "start_s", started.elapsed().as_secs_f64());
    let each = |bytes: f64, base: f64| (bytes - base) / others / 1024.0;
    bench.push(guest, "mounted_kib", each(server.memory("VmRSS")?, base));
    let first = ask_each(&server, files.len())?;
    bench.push(guest, "used_kib", each(server.memory("VmRSS")?, base));
    let second = ask_each(&server, files.len())?;
    pause(UNTIL_IDLE)?;
    bench.push(guest, "idle_kib", each(server.memory("VmRSS")?, base));
    bench.push(guest, "idle_private_kib", each(server.memory("RssAnon")?, private_base));
    for (metric, latencies, share) in [
        ("first_p50_ms", &first, 0.5),
        ("first_p99_ms", &first, 0.99),
        ("second_p99_ms", &second, 0.99),
    ] {
        bench.push(guest, metric, percentile(latencies, share).context("no request")?);
    }
    server.still_runs()
}

/// One request to each but the first, which was asked when the server started; in milliseconds.
fn ask_each(server: &Server, count: usize) -> Result<Vec<f64>> {
    let mut connection = Connection::open(server.address, LIMIT)?;
    let mut latencies = Vec::new();
    for index in 1..count {
        let answer = connection.get(&format!("/{index}"))?;
        if answer.status != 200 {
            bail!("component {index} answered {}", answer.status);
        }
        latencies.push(answer.whole.as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

fn serve(tools: &Tools<'_>, reef: &Program, files: &[PathBuf]) -> Result<Server> {
    let command = |address: std::net::SocketAddr| {
        let mut command = reef.command();
        let instances = (2 * files.len()).to_string();
        command.args(["serve", "--log", "warn", "--instance-idle", IDLE]);
        command.args(["--max-instances", &instances, "--addr", &address.to_string()]);
        for (index, file) in files.iter().enumerate() {
            command.arg(format!("/{index}={}", file.display()));
        }
        command
    };
    Server::start("reef serve", command, "/0", START, &tools.scratch("server.log"))
        .with_context(|| format!("{} components at {ADDRESS}", files.len()))
}

/// Copies of a component, each with a custom section of its own at the end.
fn different(tools: &Tools<'_>, guest: &str, count: usize) -> Result<Vec<PathBuf>> {
    let original = fs::read(tools.guest(guest)?).context("cannot read a guest")?;
    let folder = tools.scratch(guest);
    fs::create_dir_all(&folder).context("cannot write to the cache")?;
    (0..count)
        .map(|index| {
            let file = folder.join(format!("{index}.wasm"));
            write_marked(&file, &original, index).context("cannot write to the cache")?;
            Ok(file)
        })
        .collect()
}

pub(super) fn write_marked(file: &Path, original: &[u8], index: usize) -> std::io::Result<()> {
    fs::write(file, [original, &custom_section("bench", &index.to_string())].concat())
}

/// A custom section; both texts together are shorter than 126 bytes, so that each length is one byte.
fn custom_section(name: &str, content: &str) -> Vec<u8> {
    let length = 1 + name.len() + content.len();
    [&[0, length as u8, name.len() as u8], name.as_bytes(), content.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
