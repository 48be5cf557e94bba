//! `reef logs`: what workloads said.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::bail;
use serde_json::Value;

use crate::{args::Logs, control::client, manage::block_on};

/// Colours that are read on dark and on light.
pub(crate) const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Prints the last lines, and those that come if that is asked for.
pub(crate) fn logs(args: &Logs) -> anyhow::Result<i32> {
    let application = args.name.as_deref().map(|name| name.split('/').next().unwrap_or(name));
    let mut printer = Printer::new(io::stdout().is_terminal());
    block_on(async {
        let host = client::host_of(application, args.host.socket.as_deref()).await?;
        if let (Some(name), Some(application)) = (&args.name, application) {
            known(&host, application, name)?;
        }
        let mut path = format!("/v1/logs?tail={}&follow={}", args.tail, args.follow);
        if let Some(name) = &args.name {
            path.push_str(&format!("&workload={}", client::escaped(name)));
        }
        client::lines(&host.socket, &path, |line| {
            if args.json {
                writeln!(io::stdout(), "{line}")
            } else {
                write!(io::stdout(), "{}", printer.line(line))
            }
        })
        .await
    })?;
    Ok(0)
}

/// Says what there is, if no workload of an application is called so.
fn known(host: &client::Running, application: &str, name: &str) -> anyhow::Result<()> {
    let Some(one) = host.applications().find(|one| one["name"] == application) else {
        // It is only starting.
        return Ok(());
    };
    let workloads = one["workloads"].as_array().into_iter().flatten();
    let there: Vec<_> = workloads.filter_map(|workload| workload["qualified"].as_str()).collect();
    if name == application || there.contains(&name) {
        return Ok(());
    }
    bail!("{application} has no workload `{name}`; there is {}", there.join(", "))
}

/// Makes lines for people of those for machines.
pub(crate) struct Printer {
    colours: bool,
    /// By workload, in the order they came.
    known: HashMap<String, u8>,
}

impl Printer {
    pub(crate) fn new(terminal: bool) -> Self {
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours, known: HashMap::new() }
    }

    /// `TIME workload  what it said`
    pub(crate) fn line(&mut self, json: &str) -> String {
        let Ok(Value::Object(fields)) = serde_json::from_str(json) else {
            return format!("{json}\n");
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let time = text("timestamp").get(11..19).unwrap_or_default();
        let workload = text("workload");
        let guest = text("target") == "guest";
        let mut said = text("message").to_owned();
        for (name, value) in &fields {
            let own = ["timestamp", "target", "workload", "message", "stream", "level"];
            if own.contains(&name.as_str()) {
                continue;
            }
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            said.push_str(&format!(" {name}={value}"));
        }
        if !guest && matches!(text("level"), "WARN" | "ERROR") {
            said = format!("{}: {said}", text("level"));
        }
        let who = if workload.is_empty() { "reef" } else { workload };
        let who = if self.colours {
            let next = COLOURS[self.known.len() % COLOURS.len()];
            let colour = *self.known.entry(who.to_owned()).or_insert(next);
            format!("\x1b[{colour}m{who}\x1b[0m")
        } else {
            who.to_owned()
        };
        format!("{time} {who}  {}\n", reef_artifact::visible(&said, 8192))
    }
}
