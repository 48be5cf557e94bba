//! `reef ps`, `stop`, `restart`, `apply`, `rollback`, `publish`: what is told to hosts that run.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Value, json};

use crate::{
    args::{Apply, Ps, Publish, Restart, Rollback, Stop},
    control::client::{self, Running},
    lattice, manifest, table,
};

/// Bytes of a message's body that a host takes.
const LARGEST_MESSAGE: u64 = 1 << 20;

/// Says what runs.
pub(crate) fn ps(args: &Ps) -> anyhow::Result<i32> {
    let all = block_on(client::running(args.hosts.socket.as_deref()))?;
    if args.json {
        let all: Vec<_> = all.into_iter().map(|one| one.status).collect();
        writeln!(io::stdout(), "{:#}", Value::Array(all))?;
        return Ok(0);
    }
    if all.is_empty() {
        writeln!(io::stdout(), "Nothing runs here. `reef up` starts what a reef.toml describes.")?;
        return Ok(0);
    }
    let mut rows = vec![
        ["WORKLOAD", "REVISION", "UP", "STARTED BY", "STATE", "DONE", "FAILED"].map(String::from),
    ];
    for host in &all {
        for application in host.applications() {
            rows.extend(rows_of(host, application));
        }
    }
    table::print(&rows)
}

fn rows_of(host: &Running, application: &Value) -> Vec<[String; 7]> {
    let up = table::ago(application["since"].as_f64());
    let revision = application["revision"].to_string();
    let base = host.status["addresses"][0].as_str().unwrap_or_default();
    let mut rows = Vec::new();
    for workload in application["workloads"].as_array().into_iter().flatten() {
        let name = text(&workload["qualified"]);
        let row = |by: String, state: String, done: &Value, failed: &Value| {
            [
                name.clone(),
                revision.clone(),
                up.clone(),
                by,
                state,
                done.to_string(),
                failed.to_string(),
            ]
        };
        for (at, route) in workload["routes"].as_array().into_iter().flatten().enumerate() {
            let route = text(route);
            let url = if route.starts_with('/') { format!("{base}{route}") } else { route };
            let state = format!("{} in progress", workload["in_flight"]);
            // The meter is the workload's, whatever the route.
            rows.push(match at {
                0 => row(url, state, &workload["requests"], &workload["responses_5xx"]),
                _ => row(url, String::new(), &json!("\""), &json!("\"")),
            });
        }
        for task in workload["tasks"].as_array().into_iter().flatten() {
            let mut state = text(&task["phase"]);
            if let Some(next) = task["next"].as_f64() {
                state = format!("{state}, next in {}", table::until(next));
            }
            if let Some(dropped) = task["dropped"].as_u64().filter(|dropped| *dropped > 0) {
                state = format!("{state}, {dropped} dropped");
            }
            rows.push(row(text(&task["trigger"]), state, &task["runs"], &task["failures"]));
        }
    }
    for row in &mut rows {
        for cell in &mut row[5..] {
            if cell.contains('"') {
                *cell = "\"".to_owned();
            }
        }
    }
    rows
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Ends an application, or a host with all of its own.
pub(crate) fn stop(args: &Stop) -> anyhow::Result<i32> {
    block_on(async {
        let socket = args.host.socket.as_deref();
        match &args.application {
            Some(application) => {
                let host = client::host_of(Some(application), socket).await?;
                told(&host, application, "stop", &json!({})).await?;
                say(&format!("{application} is stopped."))?;
            }
            None => {
                let host = client::host_of(None, socket).await?;
                client::call(&host.socket, Method::POST, "/v1/stop", None).await?;
                gone(&host).await?;
                say("Stopped.")?;
            }
        }
        Ok(0)
    })
}

/// Waits until nobody answers any more.
async fn gone(host: &Running) -> anyhow::Result<()> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while std::os::unix::net::UnixStream::connect(&host.socket).is_ok() {
        if std::time::Instant::now() > until {
            bail!("it has been told to stop and is still answering requests in progress");
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Makes an application anew, or one of its workloads.
pub(crate) fn restart(args: &Restart) -> anyhow::Result<i32> {
    let (application, workload) = match args.name.split_once('/') {
        Some((application, workload)) => (application, Some(workload)),
        None => (&*args.name, None),
    };
    block_on(async {
        let host = client::host_of(Some(application), args.host.socket.as_deref()).await?;
        let done = told(&host, application, "restart", &json!({ "workload": workload })).await?;
        applied(&done, args.json)
    })
}

/// Goes back to an earlier revision.
pub(crate) fn rollback(args: &Rollback) -> anyhow::Result<i32> {
    if lattice::is_meant(args.place(), || Some(args.application.clone()))? {
        return lattice::rollback(args);
    }
    block_on(async {
        let host = client::host_of(Some(&args.application), args.host.socket.as_deref()).await?;
        let done = told(&host, &args.application, "rollback", &json!({ "to": args.to })).await?;
        applied(&done, args.json)
    })
}

/// Makes a manifest run in the place of what runs under its name.
pub(crate) fn apply(args: &Apply) -> anyhow::Result<i32> {
    let path = args.file.as_deref().or(args.path.as_deref()).unwrap_or(std::path::Path::new("."));
    let mut found = reef_document::Diagnostics::default();
    let named = || {
        let loaded = manifest::load(path, args.profile.as_deref(), &mut Default::default());
        Some(loaded.ok()??.application.name.to_string())
    };
    if lattice::is_meant(args.place(), named)? {
        return lattice::apply(args);
    }
    let loaded = manifest::load(path, args.profile.as_deref(), &mut found)?;
    crate::check::show(&path.display().to_string(), &found)?;
    let Some(loaded) = loaded else { return Ok(1) };
    let name = loaded.application.name.to_string();
    if args.dry_run {
        bail!(
            "`--dry-run` is for a lattice, and no host of one runs here; `reef check` looks at a manifest"
        );
    }
    block_on(async {
        let socket = args.host.socket.as_deref();
        // An application that does not run yet goes to the only host there is.
        let all = client::running(socket).await?;
        let known = all.iter().any(|host| host.has(&name));
        let host = client::host_of(known.then_some(&*name), socket).await?;
        let values: serde_json::Map<_, _> =
            args.var.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let body = json!({
            "path": std::path::absolute(path)?.display().to_string(),
            "profile": args.profile,
            "values": values,
        });
        let done = client::change(&host.socket, "/v1/apply", &body).await?;
        applied(&done, args.json)
    })
}

/// Puts a message on a host's bus, and prints the answer if one is asked for.
pub(crate) fn publish(args: &Publish) -> anyhow::Result<i32> {
    let body = match args.body.as_deref() {
        Some("-") => {
            let mut body = Vec::new();
            let most = LARGEST_MESSAGE + 1;
            io::stdin().lock().take(most).read_to_end(&mut body).context("cannot read the body")?;
            if body.len() as u64 == most {
                bail!(
                    "the body has more than {LARGEST_MESSAGE} bytes; send less, or where it lies"
                );
            }
            body
        }
        other => other.unwrap_or_default().as_bytes().to_vec(),
    };
    let mut path = format!("/v1/publish?subject={}", client::escaped(&args.subject));
    if args.request {
        path.push_str(&format!("&request=true&timeout={}ms", args.timeout.as_millis()));
    }
    block_on(async {
        let host = client::host_of(None, args.host.socket.as_deref()).await?;
        let answer = client::hand(&host.socket, &path, body.into()).await?;
        if args.request {
            let mut out = io::stdout().lock();
            out.write_all(&answer)?;
            if out.is_terminal() && !answer.ends_with(b"\n") {
                out.write_all(b"\n")?;
            }
            out.flush()?;
            return Ok(0);
        }
        let published: Value = serde_json::from_slice(&answer).unwrap_or_default();
        match published["recipients"].as_u64() {
            Some(0) => say(&format!("Nobody subscribes to `{}`: nobody has it.", args.subject))?,
            Some(1) => say("Published; one subscriber has it.")?,
            Some(many) => say(&format!("Published; {many} subscribers have it."))?,
            None => say("Published.")?,
        }
        Ok(0)
    })
}

async fn told(
    host: &Running,
    application: &str,
    what: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    let path = format!("/v1/applications/{}/{what}", client::escaped(application));
    client::change(&host.socket, &path, body).await
}

fn applied(done: &Value, json: bool) -> anyhow::Result<i32> {
    if json {
        writeln!(io::stdout(), "{done:#}")?;
        return Ok(0);
    }
    let names = |of: &str| {
        let names = done[of].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(", ")
    };
    let mut said = format!("{} is at revision {}", text(&done["application"]), done["revision"]);
    if done["changed"] == false {
        say(&format!("{said}, as before: nothing has changed."))?;
        return Ok(0);
    }
    for (of, word) in [("made", "new"), ("kept", "as before"), ("gone", "gone")] {
        let names = names(of);
        if !names.is_empty() {
            said.push_str(&format!("; {word}: {names}"));
        }
    }
    say(&format!("{said}."))?;
    Ok(0)
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// Runs what talks to a host.
pub(crate) fn block_on<T>(asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(asking)
}
