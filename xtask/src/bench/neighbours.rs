//! Requests to a server while others on it compute until their deadline.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::http::{POOLING, WASI_03};
use super::load;
use super::record::{Bench, Target};
use super::running::not_interrupted;
use super::subject::{ADDRESS, Subject, turns};
use super::tools::Tools;

/// Requests that loop at any time.
const LOOPING: usize = 4;
const SPIN: &str = "/spin";
const WARM_UP: Duration = Duration::from_secs(1);

const RATE: (&str, &str) = ("requests_per_second", "/s");
const P99: (&str, &str) = ("p99_ms", "ms");

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let (wrk, reef, wasmtime) = (tools.wrk()?, tools.reef()?, tools.wasmtime()?);
    bench.versions.insert("wasmtime".into(), wasmtime.version("--version")?);
    let (p2, p3) = (tools.guest("p2-http-kit")?, tools.guest("p3-http-kit")?);
    let hello = tools.guest("p3-hello-http")?;
    let ours = ["serve", "--addr", ADDRESS, "--log", "error", "--deadline", "2s"];
    let reused = [&ours[..], &["--reuse", "1000000"]].concat();
    let (at_spin, elsewhere) =
        (format!("{SPIN}={}", p3.display()), format!("/...={}", hello.display()));
    let theirs = [POOLING, WASI_03, &["-Wtimeout=2s"]].concat();
    let subjects = [
        Subject::on_file("reef, one 0.3 component", &reef, &ours, &p3),
        Subject::new("reef, two 0.3 components", &reef, ours.iter().map(AsRef::as_ref))
            .then(&[&at_spin, &elsewhere]),
        Subject::on_file("reef, one 0.2 component", &reef, &ours, &p2),
        Subject::on_file("reef, one 0.2 component, reused", &reef, &reused, &p2),
        Subject::on_file("wasmtime, one 0.3 component", &wasmtime, &theirs, &p3),
    ];
    for subject in &subjects {
        subject.record(bench);
    }
    bench.begin();
    for round in 0..effort.rounds {
        for subject in turns(&subjects, round as usize) {
            let outcome = one_turn(tools, &wrk, subject, effort, bench);
            not_interrupted()?;
            if let Err(error) = outcome {
                bench.note(format!("{}: {error:#}", subject.name));
            }
        }
    }
    findings(bench, &subjects);
    Ok(())
}

fn one_turn(
    tools: &Tools<'_>,
    wrk: &Path,
    subject: &Subject,
    effort: Effort,
    bench: &mut Bench,
) -> Result<()> {
    let log = tools.scratch("wrk.log");
    let server = subject.serve(tools, "/")?;
    load::full(wrk, server.address, "/", WARM_UP, &log)?;
    let alone = load::full(wrk, server.address, "/", effort.load, &log)?;
    let beside = load::while_others_ask(server.address, SPIN, LOOPING, || {
        // By the end of this, the loops have begun.
        load::full(wrk, server.address, "/", WARM_UP, &log)?;
        // Longer than a deadline, so that loops end and begin.
        let duration = effort.load.max(Duration::from_secs(4));
        load::full(wrk, server.address, "/", duration, &log)
    })?;
    server.still_runs()?;
    for (name, load) in [(unloaded(subject), alone), (subject.name.to_owned(), beside)] {
        println!("{name:<44} {:>9.1} /s  p99 {:.2} ms", load.rate, load.p99);
        bench.push(&name, RATE.0, load.rate);
        bench.push(&name, P99.0, load.p99);
        bench.push(&name, "failed", load.failed);
    }
    Ok(())
}

fn unloaded(subject: &Subject) -> String {
    format!("{}, unloaded", subject.name)
}

fn findings(bench: &mut Bench, subjects: &[Subject]) {
    for subject in subjects {
        let (name, is_ours) = (subject.name, subject.name.starts_with("reef"));
        let quarter = is_ours.then_some(Target::RatioAtLeast(0.25));
        bench.compare(name, RATE, name, &unloaded(subject), quarter);
        let prompt = is_ours.then_some(Target::Below(100.0));
        bench.state(&format!("{name}: p99"), P99, name, prompt);
        let failed: f64 = bench.values(name, "failed").iter().sum();
        if failed > 0.0 {
            bench.note(format!("{name}: {failed} requests failed beside the loops"));
        }
    }
    bench.note(format!(
        "{LOOPING} clients ask for {SPIN} again and again, each request computing until its deadline \
         of 2 s, while wrk asks for / over 32 connections."
    ));
}
