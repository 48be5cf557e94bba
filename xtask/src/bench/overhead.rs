//! What deadlines and metering cost: a compute loop and an answer, with limits and without.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::http;
use super::record::{Bench, Target};
use super::subject::{ADDRESS, Subject};
use super::tools::{Program, Tools};

const LIMIT: Duration = Duration::from_secs(120);
const LOOP: (&str, &str) = ("loop_s", "s");
const RATE: (&str, &str) = ("requests_per_second", "/s");
/// Limits that are never reached.
const LIMITS: &[&str] = &["--deadline", "1h", "--cpu", "64"];
/// Two hundredths, as a ratio of times and of rates.
const TIMES: Option<Target> = Some(Target::RatioAtMost(1.02));
const RATES: Option<Target> = Some(Target::RatioAtLeast(0.98));

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let (reef, wasmtime) = (tools.reef()?, tools.wasmtime()?);
    bench.versions.insert("wasmtime".into(), wasmtime.version("--version")?);
    compute(tools, &reef, &wasmtime, effort, bench)?;
    serve(tools, &reef, effort, bench)
}

/// The loop alone: the time of many rounds less that of one.
fn compute(
    tools: &Tools<'_>,
    reef: &Program,
    wasmtime: &Program,
    effort: Effort,
    bench: &mut Bench,
) -> Result<()> {
    let sha = tools.guest("p1-sha")?;
    let plain = tools.precompile(wasmtime, &sha, &[])?;
    let epochs = tools.precompile(wasmtime, &sha, &["-Wepoch-interruption=y"])?;
    let hashes = effort.times(2_000_000, 100_000).to_string();
    let limited = [&["run"], LIMITS].concat();
    let precompiled = ["run", "--allow-precompiled"];
    let with_epochs = ["run", "--allow-precompiled", "-Wtimeout=3600s"];
    let pair = |name, program, words: &[&str], file, separator: &[&str]| {
        let subject =
            |hashes| Subject::on_file(name, program, words, file).then(separator).then(&[hashes]);
        [subject("1"), subject(&hashes)]
    };
    let pairs = [
        pair("reef run", reef, &["run"], &sha, &["--"]),
        pair("reef run, limited", reef, &limited, &sha, &["--"]),
        pair("wasmtime run", wasmtime, &precompiled, &plain, &[]),
        pair("wasmtime run, timeout", wasmtime, &with_epochs, &epochs, &[]),
    ];
    for [once, often] in &pairs {
        often.record(bench);
        once.time(LIMIT)?; // fills caches
    }
    bench.begin();
    for _ in 0..effort.rounds as usize * effort.times(4, 1) {
        for [once, often] in &pairs {
            let start = once.time(LIMIT)?.wall;
            let whole = often.time(LIMIT)?.wall;
            bench.push(often.name, LOOP.0, whole.saturating_sub(start).as_secs_f64());
        }
    }
    let what = "compute loop, deadline and processor share";
    bench.compare(what, LOOP, "reef run, limited", "reef run", TIMES);
    bench.compare(what, LOOP, "reef run, limited", "wasmtime run", TIMES);
    bench.compare("compute loop, no limit given", LOOP, "reef run", "wasmtime run", TIMES);
    let what = "compute loop, deadline";
    bench.compare(what, LOOP, "reef run, limited", "wasmtime run, timeout", None);
    for [_, often] in &pairs {
        bench.describe(often.name, LOOP);
    }
    bench.note(
        "The peer without a timeout has no checks for interruption in its code; ours always has."
            .into(),
    );
    Ok(())
}

fn serve(tools: &Tools<'_>, reef: &Program, effort: Effort, bench: &mut Bench) -> Result<()> {
    let wrk = tools.wrk()?;
    let (p2, p3) = (tools.guest("p2-hello-http")?, tools.guest("p3-hello-http")?);
    let words = ["serve", "--addr", ADDRESS, "--log", "warn"];
    let limited = [&words, LIMITS].concat();
    let subjects = [
        Subject::on_file("reef serve 0.2", reef, &words, &p2),
        Subject::on_file("reef serve 0.2, limited", reef, &limited, &p2),
        Subject::on_file("reef serve 0.3", reef, &words, &p3),
        Subject::on_file("reef serve 0.3, limited", reef, &limited, &p3),
    ];
    for _ in 0..effort.rounds {
        for subject in &subjects {
            subject.record(bench);
            let load = http::full(tools, &wrk, subject, effort.load)?;
            bench.push(subject.name, RATE.0, load.rate);
        }
    }
    bench.compare("0.2, fresh instance", RATE, "reef serve 0.2, limited", "reef serve 0.2", RATES);
    bench.compare("0.3, reused", RATE, "reef serve 0.3, limited", "reef serve 0.3", RATES);
    bench.note(
        "`reef serve` always has a deadline (30 s without the flag) and always meters: its rows show \
         what enforcing a processor share adds."
            .into(),
    );
    Ok(())
}
