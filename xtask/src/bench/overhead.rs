//! What deadlines and metering cost: a compute loop and an answer, with limits and without.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::http;
use super::record::{Bench, Target};
use super::subject::{ADDRESS, Subject, turns};
use super::tools::{Program, Tools};

const LIMIT: Duration = Duration::from_secs(120);
const LOOP: (&str, &str) = ("loop_s", "s");
const RATE: (&str, &str) = ("requests_per_second", "/s");
/// Limits that are never reached: of wall time, and of processor time as well.
const DEADLINE: &[&str] = &["--deadline", "1h"];
const SHARE: &[&str] = &["--deadline", "1h", "--cpu", "64"];
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
    let (deadline, share) = ([&["run"], DEADLINE].concat(), [&["run"], SHARE].concat());
    let precompiled = ["run", "--allow-precompiled"];
    let with_epochs = ["run", "--allow-precompiled", "-Wtimeout=3600s"];
    let pair = |name, program, words: &[&str], file, separator: &[&str]| {
        let subject =
            |hashes| Subject::on_file(name, program, words, file).then(separator).then(&[hashes]);
        [subject("1"), subject(&hashes)]
    };
    let pairs = [
        pair("reef run", reef, &["run"], &sha, &["--"]),
        pair("reef run, deadline", reef, &deadline, &sha, &["--"]),
        pair("reef run, deadline and share", reef, &share, &sha, &["--"]),
        pair("wasmtime run", wasmtime, &precompiled, &plain, &[]),
        pair("wasmtime run, timeout", wasmtime, &with_epochs, &epochs, &[]),
    ];
    for [once, often] in &pairs {
        often.record(bench);
        once.time(LIMIT)?; // fills caches
    }
    bench.begin();
    for round in 0..effort.rounds as usize * effort.times(4, 1) {
        for [once, often] in turns(&pairs, round) {
            let start = once.time(LIMIT)?.wall;
            let whole = often.time(LIMIT)?.wall;
            bench.push(often.name, LOOP.0, whole.saturating_sub(start).as_secs_f64());
        }
    }
    for (what, ours) in [
        ("compute loop, deadline", "reef run, deadline"),
        ("compute loop, deadline and processor share", "reef run, deadline and share"),
    ] {
        bench.compare(what, LOOP, ours, "reef run", TIMES);
        bench.compare(what, LOOP, ours, "wasmtime run", TIMES);
        bench.compare(what, LOOP, ours, "wasmtime run, timeout", None);
    }
    bench.compare("compute loop, no limit given", LOOP, "reef run", "wasmtime run", TIMES);
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
    let share = [&words, SHARE].concat();
    let subjects = [
        Subject::on_file("reef serve 0.2", reef, &words, &p2),
        Subject::on_file("reef serve 0.2, share", reef, &share, &p2),
        Subject::on_file("reef serve 0.3", reef, &words, &p3),
        Subject::on_file("reef serve 0.3, share", reef, &share, &p3),
    ];
    for round in 0..effort.rounds {
        for subject in turns(&subjects, round as usize) {
            subject.record(bench);
            let load = http::full(tools, &wrk, subject, effort.load)?;
            bench.push(subject.name, RATE.0, load.rate);
        }
    }
    bench.compare("0.2, fresh instance", RATE, "reef serve 0.2, share", "reef serve 0.2", RATES);
    bench.compare("0.3, reused", RATE, "reef serve 0.3, share", "reef serve 0.3", RATES);
    bench.note(
        "`reef serve` always has a deadline (30 s without the flag) and always meters: its rows show \
         what enforcing a processor share adds."
            .into(),
    );
    Ok(())
}
