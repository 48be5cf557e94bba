//! Requests per second of a hello, over kept connections, and how long one takes.

use std::time::Duration;

use anyhow::{Result, bail};

use super::Effort;
use super::client::Connection;
use super::load::{self, Load};
use super::record::{Bench, Target};
use super::running::not_interrupted;
use super::subject::{ADDRESS, Subject, turns};
use super::tools::{Program, Tools};

/// What every server answers.
const ANSWER: &[u8] = b"hello\n";
/// A short load before the one that counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// `wasmtime serve` with its pooling allocator, for a component of Rust's standard library.
pub(super) const POOLING: &[&str] =
    &["serve", "--addr", ADDRESS, "-O", "pooling-allocator=y", "-Scli"];
/// What makes it faster still: 4 MiB of memory, 64 KiB of tables and 128 KiB of stack stay mapped.
const RESIDENT: &[&str] = &[
    "-O",
    "pooling-memory-keep-resident=4194304,pooling-table-keep-resident=65536,pooling-async-stack-keep-resident=131072",
];
pub(super) const WASI_03: &[&str] = &["-Sp3", "-Wcomponent-model-async"];
/// Instances for the whole run.
const REUSED: &[&str] = &["--max-instance-reuse-count", "1000000"];
/// As many requests for an instance as Reef's default.
const REUSED_LIKE_US: &[&str] = &["--max-instance-reuse-count", "1024"];

const RATE: (&str, &str) = ("requests_per_second", "/s");
const P99: (&str, &str) = ("p99_ms", "ms");
const STEADY_P99: (&str, &str) = ("steady_p99_ms", "ms");

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let (wrk, reef, wasmtime) = (tools.wrk()?, tools.reef()?, tools.wasmtime()?);
    bench.versions.insert("wasmtime".into(), wasmtime.version("--version")?);
    let subjects = subjects(tools, &reef, &wasmtime)?;
    for subject in &subjects {
        subject.record(bench);
    }
    bench.begin();
    for round in 0..effort.rounds {
        for subject in turns(&subjects, round as usize) {
            let outcome = full(tools, &wrk, subject, effort.load);
            not_interrupted()?;
            match outcome {
                Ok(load) => {
                    println!("{:<28} {:>9.0} /s  p99 {:.2} ms", subject.name, load.rate, load.p99);
                    push(bench, subject.name, "", &load);
                }
                Err(error) => bench.note(format!("{}: {error:#}", subject.name)),
            }
        }
    }
    steady(tools, &subjects, effort, bench)?;
    findings(bench);
    Ok(())
}

fn subjects(tools: &Tools<'_>, reef: &Program, wasmtime: &Program) -> Result<Vec<Subject>> {
    let hyper = tools.hyper()?;
    let (p2, p3) = (tools.guest("p2-hello-http")?, tools.guest("p3-hello-http")?);
    let ours = |name, more: &[&str], file| {
        let words = [&["serve", "--addr", ADDRESS, "--log", "warn"], more].concat();
        Subject::on_file(name, reef, &words, file)
    };
    let theirs = |name, more: &[&[&str]], file| {
        let words = [&[POOLING], more].concat().concat();
        Subject::on_file(name, wasmtime, &words, file)
    };
    Ok(vec![
        Subject::new("native hyper", &hyper, [ADDRESS.as_ref()]),
        ours("reef 0.2 fresh", &[], &p2),
        theirs("wasmtime 0.2 fresh", &[], &p2),
        theirs("wasmtime 0.2 fresh, resident", &[RESIDENT], &p2),
        ours("reef 0.2 reused", &["--reuse", "1000000"], &p2),
        theirs("wasmtime 0.2 reused", &[REUSED], &p2),
        ours("reef 0.3", &[], &p3),
        theirs("wasmtime 0.3", &[WASI_03], &p3),
        theirs("wasmtime 0.3, like ours", &[WASI_03, RESIDENT, REUSED_LIKE_US], &p3),
    ])
}

/// As many requests as it takes.
pub(super) fn full(
    tools: &Tools<'_>,
    wrk: &std::path::Path,
    subject: &Subject,
    duration: Duration,
) -> Result<Load> {
    let server = subject.serve(tools, "/")?;
    let answer = Connection::open(server.address, WARM_UP)?.get("/")?;
    if answer.body != ANSWER {
        bail!("it answers {:?}", String::from_utf8_lossy(&answer.body));
    }
    let log = tools.scratch("wrk.log");
    load::full(wrk, server.address, "/", WARM_UP, &log)?;
    let load = load::full(wrk, server.address, "/", duration, &log)?;
    server.still_runs()?;
    if load.failed > 0.0 {
        bail!("{} requests failed", load.failed);
    }
    Ok(load)
}

/// The same number of requests a second for ours and its peer: half of what the slower one takes.
fn steady(
    tools: &Tools<'_>,
    subjects: &[Subject],
    effort: Effort,
    bench: &mut Bench,
) -> Result<()> {
    let pairs = [
        ("reef 0.2 fresh", "wasmtime 0.2 fresh, resident"),
        ("reef 0.2 reused", "wasmtime 0.2 reused"),
        ("reef 0.3", "wasmtime 0.3"),
    ];
    let rates = pairs.map(|(ours, theirs)| {
        let (our, their) = (bench.median(ours, RATE.0), bench.median(theirs, RATE.0));
        our.zip(their).map(|(our, their)| our.min(their) / 2.0)
    });
    for _ in 0..effort.rounds {
        for ((ours, theirs), rate) in pairs.iter().zip(rates) {
            let Some(rate) = rate else { continue };
            for subject in subjects.iter().filter(|it| it.name == *ours || it.name == *theirs) {
                let outcome = subject.serve(tools, "/").and_then(|server| {
                    load::steady(server.address, "/", rate, WARM_UP)?;
                    load::steady(server.address, "/", rate, effort.load)
                });
                not_interrupted()?;
                match outcome {
                    Ok(load) => push(bench, subject.name, "steady_", &load),
                    Err(error) => bench.note(format!("{}: {error:#}", subject.name)),
                }
            }
        }
    }
    Ok(())
}

fn push(bench: &mut Bench, subject: &str, prefix: &str, load: &Load) {
    let metrics = [
        ("requests_per_second", load.rate),
        ("p50_ms", load.p50),
        ("p99_ms", load.p99),
        ("failed", load.failed),
    ];
    for (metric, value) in metrics {
        bench.push(subject, &format!("{prefix}{metric}"), value);
    }
}

fn findings(bench: &mut Bench) {
    let at_least = |bound| Some(Target::RatioAtLeast(bound));
    let no_worse = Some(Target::RatioAtMost(1.0));
    let hyper = "native hyper";
    bench.compare(
        "0.2, fresh instance",
        RATE,
        "reef 0.2 fresh",
        "wasmtime 0.2 fresh",
        at_least(2.2),
    );
    bench.compare(
        "0.2, fresh instance, peer's best flags",
        RATE,
        "reef 0.2 fresh",
        "wasmtime 0.2 fresh, resident",
        at_least(1.0),
    );
    bench.compare("0.2, reused", RATE, "reef 0.2 reused", hyper, at_least(0.5));
    bench.compare("0.2, reused", RATE, "reef 0.2 reused", "wasmtime 0.2 reused", None);
    bench.compare("0.3, reused", RATE, "reef 0.3", "wasmtime 0.3", at_least(1.5));
    bench.compare("0.3, reused", RATE, "reef 0.3", "wasmtime 0.3, like ours", None);
    bench.compare("0.3, reused", RATE, "reef 0.3", hyper, at_least(0.5));
    let pairs = [
        ("0.2, fresh instance", "reef 0.2 fresh", "wasmtime 0.2 fresh, resident"),
        ("0.2, reused", "reef 0.2 reused", "wasmtime 0.2 reused"),
        ("0.3, reused", "reef 0.3", "wasmtime 0.3"),
    ];
    for (what, ours, theirs) in pairs {
        bench.compare(&format!("{what}: p99 at full load"), P99, ours, theirs, None);
        let what = format!("{what}: p99 at the same rate");
        bench.compare(&what, STEADY_P99, ours, theirs, no_worse);
    }
    bench.note(
        "Load: wrk, one thread, 32 kept connections, on the same cores as the server. The same rate is \
         half of what the slower of the two takes, each request counted from its moment."
            .into(),
    );
}
