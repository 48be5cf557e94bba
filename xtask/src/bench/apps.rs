//! Applications: how soon a hundred components are ready, how long one of them takes to be replaced under
//! load, and CGI-style handlers.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Effort;
use super::http::POOLING;
use super::load;
use super::record::{Bench, Target};
use super::running::{not_interrupted, time};
use super::server::Server;
use super::subject::{ADDRESS, Subject, turns};
use super::tools::{Program, Tools};

/// All components compiled, on a slow machine.
const START: Duration = Duration::from_secs(10 * 60);
const LIMIT: Duration = Duration::from_secs(60);
const COUNT: usize = 100;
/// Requests a second while one is replaced.
const STEADY: f64 = 2000.0;

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let reef = tools.reef()?;
    bench.begin();
    ready(tools, &reef, effort, bench)?;
    swap(tools, &reef, effort, bench)?;
    scripts(tools, &reef, effort, bench)
}

/// From the start of the process to the first answer, code in the cache.
fn ready(tools: &Tools<'_>, reef: &Program, effort: Effort, bench: &mut Bench) -> Result<()> {
    let folder = application(tools, "ready", COUNT)?;
    drop(up(tools, reef, &folder)?);
    for _ in 0..effort.rounds {
        let started = Instant::now();
        let server = up(tools, reef, &folder)?;
        bench.push("reef up", "ready_ms", started.elapsed().as_secs_f64() * 1e3);
        server.still_runs()?;
    }
    bench.commands.insert("reef up".into(), "reef up --addr ADDRESS reef.toml".into());
    let what = format!("{COUNT} cached components ready and one asked");
    bench.state(&what, ("ready_ms", "ms"), "reef up", Some(Target::Below(1000.0)));
    Ok(())
}

/// One of a hundred workloads is replaced, again and again, while others are asked at a steady rate.
fn swap(tools: &Tools<'_>, reef: &Program, effort: Effort, bench: &mut Bench) -> Result<()> {
    let folder = application(tools, "swap", COUNT)?;
    let variants: Vec<PathBuf> = (0..2)
        .map(|variant| {
            let file = folder.join(format!("variant-{variant}"));
            let original = tools.guest("p2-hello-http")?;
            super::density::write_marked(&file, &fs::read(original)?, COUNT + variant)?;
            Ok(file)
        })
        .collect::<Result<_>>()?;
    let server = up(tools, reef, &folder)?;
    let apply = |variant: &Path| -> Result<Duration> {
        fs::copy(variant, folder.join("new")).context("cannot write to the cache")?;
        fs::rename(folder.join("new"), folder.join("1.wasm"))?;
        let mut command = reef.command();
        command.arg("apply").arg(&folder).arg("--socket").arg(folder.join("socket"));
        Ok(time("reef apply", &mut command, LIMIT)?.wall)
    };
    // Both are compiled once.
    for variant in variants.iter().chain(&variants) {
        apply(variant)?;
    }
    for _ in 0..effort.rounds {
        let address: SocketAddr = server.address;
        let (loaded, swaps) = std::thread::scope(|scope| {
            let asking = scope.spawn(|| load::steady(address, "/1", STEADY, effort.load));
            let mut swaps = Vec::new();
            let until = Instant::now() + effort.load.saturating_sub(Duration::from_millis(500));
            while Instant::now() < until && not_interrupted().is_ok() {
                for variant in &variants {
                    swaps.push(apply(variant)?);
                }
            }
            let Ok(loaded) = asking.join() else { bail!("a client panicked") };
            Ok::<_, anyhow::Error>((loaded?, swaps))
        })?;
        for swap in &swaps {
            bench.push("reef apply", "swap_ms", swap.as_secs_f64() * 1e3);
        }
        bench.push("reef apply", "failed", loaded.failed);
        bench.push("reef apply", "rate", loaded.rate);
        bench.push("reef apply", "p99_ms", loaded.p99);
        println!("{} swaps, {:.0} requests/s, {} failed", swaps.len(), loaded.rate, loaded.failed);
    }
    bench.commands.insert("reef apply".into(), "reef apply FOLDER --socket SOCKET".into());
    let what = format!("one of {COUNT} workloads replaced, the process of `reef apply` and all");
    bench.state(&what, ("swap_ms", "ms"), "reef apply", Some(Target::Below(100.0)));
    let what = format!("requests to it that failed meanwhile, at {STEADY} a second");
    bench.state(&what, ("failed", ""), "reef apply", Some(Target::Below(1.0)));
    bench.state("p99 of those requests", ("p99_ms", "ms"), "reef apply", None);
    Ok(())
}

/// A CGI-style hello beside a component's, and beside loading the module for each request.
fn scripts(tools: &Tools<'_>, reef: &Program, effort: Effort, bench: &mut Bench) -> Result<()> {
    let (wrk, wasmtime) = (tools.wrk()?, tools.wasmtime()?);
    let (script, handler) = (tools.guest("wagi-env")?, tools.guest("p2-hello-http")?);
    bench.versions.insert("wasmtime".into(), wasmtime.version("--version")?);
    let words = ["serve", "--addr", ADDRESS, "--log", "warn"];
    let subjects = [
        Subject::on_file("reef WAGI", reef, &words, &script),
        Subject::on_file("wasmtime serve", &wasmtime, POOLING, &handler),
    ];
    let module = tools.precompile(&wasmtime, &script, &[])?;
    let per_request =
        Subject::on_file("a load per request", &wasmtime, &["run", "--allow-precompiled"], &module);
    for subject in &subjects {
        subject.record(bench);
    }
    per_request.record(bench);
    for round in 0..effort.rounds {
        for subject in turns(&subjects, round as usize) {
            let server = subject.serve(tools, "/")?;
            load::full(
                &wrk,
                server.address,
                "/",
                Duration::from_secs(1),
                &tools.scratch("wrk.log"),
            )?;
            let load =
                load::full(&wrk, server.address, "/", effort.load, &tools.scratch("wrk.log"))?;
            println!("{:<28} {:>9.0} /s", subject.name, load.rate);
            bench.push(subject.name, "rate", load.rate);
        }
        // Without the server around it: what is left out would only make it slower.
        let (started, mut runs) = (Instant::now(), 0.0);
        while started.elapsed() < effort.load.min(Duration::from_secs(3)) {
            per_request.time(LIMIT)?;
            runs += 1.0;
        }
        bench.push(per_request.name, "rate", 2.0 * runs / started.elapsed().as_secs_f64());
    }
    let rate = ("rate", "/s");
    let what = "a CGI-style hello beside a fresh component of `wasmtime serve`";
    bench.compare(what, rate, "reef WAGI", "wasmtime serve", Some(Target::RatioAtLeast(0.5)));
    let what = "the same beside loading the compiled module for each request";
    bench.compare(what, rate, "reef WAGI", per_request.name, Some(Target::RatioAtLeast(5.0)));
    bench.note(
        "A load per request: `wasmtime run` of the precompiled module, its rate on one core doubled for \
         two."
            .into(),
    );
    Ok(())
}

fn up(tools: &Tools<'_>, reef: &Program, folder: &Path) -> Result<Server> {
    let command = |address: SocketAddr| {
        let mut command = reef.command();
        command.args(["up", "--log", "warn", "--addr", &address.to_string(), "--socket"]);
        command.arg(folder.join("socket")).arg(folder);
        command
    };
    Server::start("reef up", command, "/0", START, &tools.scratch("server.log"))
}

/// A folder with an application of so many components, each different.
fn application(tools: &Tools<'_>, name: &str, count: usize) -> Result<PathBuf> {
    let folder = tools.scratch(name);
    fs::create_dir_all(&folder).context("cannot write to the cache")?;
    let original = fs::read(tools.guest("p2-hello-http")?).context("cannot read a guest")?;
    let mut manifest = "name = \"bench\"\n".to_owned();
    for index in 0..count {
        super::density::write_marked(&folder.join(format!("{index}.wasm")), &original, index)
            .context("cannot write to the cache")?;
        manifest.push_str(&format!(
            "[[workload]]\nname = \"w{index}\"\nsource = \"{index}.wasm\"\n\
             trigger.http.route = \"/{index}\"\n"
        ));
    }
    fs::write(folder.join("reef.toml"), manifest).context("cannot write to the cache")?;
    Ok(folder)
}
