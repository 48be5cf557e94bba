//! `reef get`, `describe`, `history`: what is there, and how it is.

use reef_controller::api::{Describe, GetApps, GetHistory, GetHosts, GetPlacements, HostInfo};
use reef_grants::ByteSize;
use reef_planner::Phase;

use super::{asked, print_json, say};
use crate::{
    args::{self, Listed},
    table,
};

/// Lists hosts, applications or placements.
pub(crate) fn get(args: &args::Get) -> anyhow::Result<i32> {
    asked(args.place(), async |asking| match args.what {
        Listed::Hosts => {
            let hosts = asking.client.call(&GetHosts::default()).await?;
            if args.json {
                print_json(&hosts)?;
                return Ok(0);
            }
            let head =
                ["HOST", "STATE", "LABELS", "INSTANCES", "MEMORY", "CORES", "HTTP", "UP", "ID"];
            let mut rows = vec![head.map(String::from)];
            rows.extend(hosts.iter().map(host));
            table::print(&rows)
        }
        Listed::Apps => {
            let request = GetApps { namespace: args.namespace.clone() };
            let mut apps = asking.client.call(&request).await?;
            apps.retain(|one| args.app.as_ref().is_none_or(|app| one.app == *app));
            if args.json {
                print_json(&apps)?;
                return Ok(0);
            }
            let head = ["NAMESPACE", "APPLICATION", "REVISION", "VERSION", "STATE", "READY", "WHY"];
            let mut rows = vec![head.map(String::from)];
            rows.extend(apps.into_iter().map(|one| {
                [
                    one.namespace,
                    one.app,
                    one.revision.map_or_else(|| "-".to_owned(), |number| number.to_string()),
                    one.version.unwrap_or_default(),
                    one.phase.map_or("unknown", word).to_owned(),
                    format!("{}/{}", one.ready, one.wanted),
                    one.reasons.into_iter().next().unwrap_or_default(),
                ]
            }));
            table::print(&rows)
        }
        Listed::Placements => {
            let request =
                GetPlacements { namespace: args.namespace.clone(), app: args.app.clone() };
            let placements = asking.client.call(&request).await?;
            if args.json {
                print_json(&placements)?;
                return Ok(0);
            }
            let head = ["WORKLOAD", "REVISION", "HOST", "READY", "TROUBLE"];
            let mut rows = vec![head.map(String::from)];
            rows.extend(placements.into_iter().map(|one| {
                let silent = if one.heard { "" } else { " (silent)" };
                [
                    format!("{}/{}/{}", one.namespace, one.app, one.workload),
                    one.revision.to_string(),
                    format!("{}{silent}", one.host_name),
                    format!("{}/{}", one.ready, one.instances),
                    one.trouble.unwrap_or_default(),
                ]
            }));
            table::print(&rows)
        }
    })
}

fn host(one: &HostInfo) -> [String; 9] {
    let labels: Vec<_> = one.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cores = |thousandths: u64| thousandths as f64 / 1000.0;
    [
        one.name.clone(),
        one.state.clone(),
        labels.join(","),
        format!("{}/{}", one.ready, one.instances),
        format!("{} of {}", ByteSize(one.given.memory), ByteSize(one.capacity.memory)),
        format!("{} of {}", cores(one.given.cpu), cores(one.capacity.cpu)),
        one.http.clone().unwrap_or_else(|| "-".to_owned()),
        table::short(std::time::Duration::from_secs(one.up)),
        one.id.clone(),
    ]
}

/// All about an application.
pub(crate) fn describe(args: &args::Describe) -> anyhow::Result<i32> {
    asked(args.asked.place(), async |asking| {
        let request =
            Describe { namespace: args.asked.namespace.clone(), app: args.application.clone() };
        let one = asking.client.call(&request).await?;
        if args.json {
            print_json(&one)?;
            return Ok(0);
        }
        let phase = one.status.as_ref().map_or("unknown", |status| word(status.phase));
        let wanted = one.wanted.map_or_else(|| "nothing".to_owned(), |n| format!("revision {n}"));
        say(&format!("{}/{}: {phase}; {wanted} is wanted", one.namespace, one.app))?;
        for (name, workload) in one.status.iter().flat_map(|status| &status.workloads) {
            say(&format!(
                "\n{name}: {}, {} of {} ready",
                word(workload.phase),
                workload.ready,
                workload.wanted
            ))?;
            if let Some(instances) = one.scaled.get(name) {
                say(&format!("  scaled to {instances} by hand"))?;
            }
            for part in workload.spread.iter().filter(|part| !part.name.is_empty()) {
                say(&format!("  spread {}: {} of {} placed", part.name, part.placed, part.wanted))?;
            }
            for placement in one.placements.iter().filter(|one| one.workload == *name) {
                let trouble = placement.trouble.as_ref().map(|why| format!(": {why}"));
                say(&format!(
                    "  {} of {} ready on {} at revision {}{}",
                    placement.ready,
                    placement.instances,
                    placement.host_name,
                    placement.revision,
                    trouble.unwrap_or_default()
                ))?;
            }
            for reason in &workload.reasons {
                say(&format!("  {reason}"))?;
            }
        }
        for unrouted in &one.unrouted {
            say(&format!("\n{unrouted}"))?;
        }
        Ok(0)
    })
}

/// The revisions of an application.
pub(crate) fn history(args: &args::History) -> anyhow::Result<i32> {
    asked(args.asked.place(), async |asking| {
        let request =
            GetHistory { namespace: args.asked.namespace.clone(), app: args.application.clone() };
        let history = asking.client.call(&request).await?;
        if args.json {
            print_json(&history)?;
            return Ok(0);
        }
        let mut rows =
            vec![["REVISION", "", "AGE", "OF", "VERSION", "DESCRIPTION"].map(String::from)];
        rows.extend(history.revisions.into_iter().rev().map(|head| {
            let wanted = history.wanted == Some(head.number);
            [
                head.number.to_string(),
                if wanted { "wanted" } else { "" }.to_owned(),
                table::ago(Some(head.at.0 as f64 / 1000.0)),
                head.cause,
                head.version.unwrap_or_default(),
                head.description.unwrap_or_default(),
            ]
        }));
        table::print(&rows)
    })
}

/// How an application is, as people say it.
pub(super) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Deployed => "deployed",
        Phase::Unhealthy => "unhealthy",
        Phase::Reconciling => "reconciling",
        Phase::Waiting => "waiting",
        Phase::Undeployed => "undeployed",
        Phase::Failed => "failed",
    }
}
