//! The steps from a file to a first byte, each by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Effort;
use super::client::Connection;
use super::record::{Bench, Target};
use super::statistics::percentile;
use super::subject::{ADDRESS, Subject};
use super::tools::Tools;
use crate::process;

const LIMIT: Duration = Duration::from_secs(10);
const MICROSECONDS: &str = "µs";

/// What the example `ladder` of `reef-host` prints: for each file, the medians of each step.
type Steps = BTreeMap<String, BTreeMap<String, f64>>;

pub(super) fn measure(tools: &Tools<'_>, effort: Effort, bench: &mut Bench) -> Result<()> {
    let (ladder, reef, hyper) = (tools.ladder()?, tools.reef()?, tools.hyper()?);
    let module = tools.guest("p1-hello")?;
    let (p2, p3) = (tools.guest("p2-hello-http")?, tools.guest("p3-hello-http")?);
    let words = ["serve", "--addr", ADDRESS, "--log", "warn"];
    let servers = [
        Subject::new("native hyper", &hyper, [ADDRESS.as_ref()]),
        Subject::on_file("reef 0.2 fresh", &reef, &words, &p2),
        Subject::on_file("reef 0.3", &reef, &words, &p3),
    ];
    bench.begin();
    for _ in 0..effort.rounds {
        let mut command = ladder.command();
        command.arg(tools.scratch("ladder-code")).arg(effort.times(10_000, 100).to_string());
        let printed = process::capture(command.args([&module, &p2, &p3]))?;
        let steps: Steps = serde_json::from_str(&printed).context("the steps are not JSON")?;
        for (file, steps) in steps {
            for (step, microseconds) in steps {
                bench.push(&file, &step, microseconds);
            }
        }
        for server in &servers {
            server.record(bench);
            first_byte(tools, server, effort, bench)?;
        }
    }
    for guest in ["p1-hello", "p2-hello-http", "p3-hello-http"] {
        for (step, what) in [
            ("map", "map compiled code"),
            ("link", "link"),
            ("store", "store"),
            ("instantiate", "instantiate"),
            ("instantiate_p99", "instantiate, p99"),
            ("end", "end of the instance"),
        ] {
            let target = (step == "instantiate").then_some(Target::Below(50.0));
            bench.state(&format!("{guest}: {what}"), (step, MICROSECONDS), guest, target);
        }
    }
    for server in &servers {
        let what = format!("{}: first byte over a kept connection", server.name);
        bench.state(&what, ("first_byte", MICROSECONDS), server.name, None);
    }
    bench.note(
        "Steps are medians of one thread; an instance takes its slot from a warm pool.".into(),
    );
    Ok(())
}

fn first_byte(
    tools: &Tools<'_>,
    subject: &Subject,
    effort: Effort,
    bench: &mut Bench,
) -> Result<()> {
    let server = subject.serve(tools, "/")?;
    let mut connection = Connection::open(server.address, LIMIT)?;
    let mut times = Vec::new();
    for _ in 0..effort.times(10_000, 100) {
        times.push(connection.get("/")?.first_byte.as_secs_f64() * 1e6);
    }
    bench.push(subject.name, "first_byte", percentile(&times, 0.5).context("no request")?);
    Ok(())
}
