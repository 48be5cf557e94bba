//! `reef top`: what workloads do, again and again.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use reef_grants::ByteSize;
use serde_json::Value;

use crate::{args::Top, control::client, manage::block_on, table};

/// Shows what workloads do, until it is interrupted or has shown it so often.
pub(crate) fn top(args: &Top) -> anyhow::Result<i32> {
    block_on(async {
        let mut before: Option<(Instant, HashMap<String, Value>)> = None;
        let mut shown = 0;
        loop {
            let hosts = client::running(args.hosts.socket.as_deref()).await?;
            let now = Instant::now();
            let workloads: Vec<_> = hosts
                .iter()
                .flat_map(|host| host.applications())
                .flat_map(|one| one["workloads"].as_array().into_iter().flatten())
                .collect();
            if let Some((then, old)) = &before {
                let page = page(&workloads, old, now.duration_since(*then));
                let mut out = io::stdout().lock();
                if out.is_terminal() {
                    // To the first line, and nothing below what is written.
                    write!(out, "\x1b[H\x1b[2J{page}")?;
                } else {
                    write!(out, "{page}")?;
                }
                out.flush()?;
                shown += 1;
            }
            if args.count.is_some_and(|count| shown >= count) {
                return Ok(0);
            }
            let known = workloads.iter().map(|one| (name_of(one), (*one).clone())).collect();
            before = Some((now, known));
            tokio::time::sleep(args.every.max(Duration::from_millis(100))).await;
        }
    })
}

fn page(workloads: &[&Value], old: &HashMap<String, Value>, time: Duration) -> String {
    let heads = [
        "WORKLOAD",
        "REQ/S",
        "5XX/S",
        "MEAN",
        "IN PROGRESS",
        "QUEUED",
        "CPU",
        "MEMORY",
        "INSTANCES/S",
    ];
    let mut rows = vec![heads.map(String::from)];
    for workload in workloads {
        let name = name_of(workload);
        let number = |of: &str| workload[of].as_f64().unwrap_or_default();
        let more = |of: &str| {
            let before = old.get(&name).and_then(|old| old[of].as_f64()).unwrap_or_default();
            (number(of) - before).max(0.0)
        };
        let rate = |of: &str| more(of) / time.as_secs_f64().max(0.001);
        let answered = more("requests");
        let mean = if answered > 0.0 { more("latency_seconds") / answered * 1e3 } else { 0.0 };
        rows.push([
            name.clone(),
            format!("{:.0}", rate("requests")),
            format!("{:.0}", rate("responses_5xx")),
            format!("{mean:.2} ms"),
            workload["in_flight"].to_string(),
            workload["queued"].to_string(),
            format!("{:.0}%", rate("cpu_seconds") * 100.0),
            ByteSize(workload["memory"].as_u64().unwrap_or_default()).to_string(),
            format!("{:.0}", rate("instances_created")),
        ]);
    }
    table::aligned(&rows)
}

fn name_of(workload: &Value) -> String {
    workload["qualified"].as_str().unwrap_or_default().to_owned()
}
